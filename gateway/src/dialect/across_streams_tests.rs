//! Every recorded stream is written in every other dialect that clients speak and read again there: the same text, calls,
//! finish and usage, in the order that the dialect prescribes. `WEIR_TRAFFIC` names the folder of recordings; without it
//! this test prints that it was skipped.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::across_tests::{Tally, arguments, records};
use super::converse::Frames;
use super::gemini::{ArrayReader, Framing};
use super::openai::answer::Usage;
use super::speech::{Reader, Writer};
use super::talk::{Delta, Dialect, Event, Finish, Opening, Part, base64};
use super::{chat, gemini, messages, responses};

const CLIENTS: [Dialect; 4] = [Dialect::Chat, Dialect::Responses, Dialect::Messages, Dialect::Gemini];

/// The server-sent events of a body: names and data.
fn split(body: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(body).replace("\r\n", "\n");
    let mut frames = Vec::new();
    for frame in text.split("\n\n") {
        let (mut name, mut data) = (String::new(), Vec::new());
        for line in frame.lines() {
            match line.split_once(':') {
                Some(("event", value)) => value.trim().clone_into(&mut name),
                Some(("data", value)) => data.push(value.strip_prefix(' ').unwrap_or(value)),
                _ => {}
            }
        }
        if !data.is_empty() {
            frames.push((name, data.join("\n")));
        }
    }
    frames
}

fn read_events(dialect: Dialect, body: &[u8]) -> Result<Vec<Event>, String> {
    let (mut reader, mut events) = (Reader::new(dialect), Vec::new());
    for (name, data) in split(body) {
        reader.read(&name, data.as_bytes(), &mut events).map_err(|refused| refused.message)?;
    }
    reader.end(&mut events).map_err(|refused| refused.message)?;
    Ok(events)
}

/// A recorded stream, in whichever form it was recorded.
fn read_recorded(dialect: Dialect, response: &Value) -> Option<Vec<Event>> {
    let body = response["body"].as_str()?;
    let bytes = if response["body_encoding"] == "base64" { base64::decode(body)? } else { body.into() };
    if dialect == Dialect::Gemini && bytes.trim_ascii_start().starts_with(b"[") {
        let (mut reader, mut events, mut elements) = (Reader::new(dialect), Vec::new(), Vec::new());
        ArrayReader::default().read(&bytes, &mut elements).ok()?;
        elements.iter().try_for_each(|data| reader.read("", data, &mut events)).ok()?;
        return reader.end(&mut events).ok().map(|()| events);
    }
    if dialect != Dialect::Converse {
        return read_events(dialect, &bytes).ok();
    }
    let (mut reader, mut events, mut frames) = (Reader::new(dialect), Vec::new(), Frames::default());
    frames.push(&bytes);
    while let Some(frame) = frames.next_frame().ok()? {
        reader.read_frame(&frame, &mut events).ok()?;
    }
    reader.end(&mut events).ok().map(|()| events)
}

fn writer(dialect: Dialect) -> Writer {
    match dialect {
        Dialect::Chat => Writer::Chat(Box::new(chat::Writer::new("", "", 1, true))),
        Dialect::Responses => {
            Writer::Responses(Box::new(responses::Writer::new("", "", 1, Default::default())))
        }
        Dialect::Messages => Writer::Messages(Box::new(messages::Writer::new("msg_1", "m"))),
        _ => Writer::Gemini(Box::new(gemini::Writer::new(Framing::Sse))),
    }
}

/// What a stream says in all.
#[derive(Debug, Default, PartialEq)]
struct Said {
    words: String,
    calls: Vec<(String, Value)>,
    finish: Option<&'static str>,
    usage: Option<(u64, u64, u64)>,
}

/// Finishes that every dialect tells apart; a model that declines has no word of its own in all of them.
fn kind(finish: &Finish, calls: bool) -> Option<&'static str> {
    match finish {
        Finish::Calls => Some("calls"),
        Finish::Stop if calls => Some("calls"),
        Finish::Stop | Finish::StopText(_) => Some("stop"),
        Finish::Length | Finish::Context => Some("length"),
        Finish::Filtered => Some("held"),
        Finish::Refused | Finish::Paused | Finish::Malformed | Finish::Other(_) => None,
    }
}

fn gather(events: &[Event]) -> Said {
    let (mut said, mut texts, mut calls) = (Said::default(), Vec::new(), BTreeMap::new());
    for event in events {
        match event {
            Event::Begin { piece, opening: Opening::Call { name, custom: false, .. }, .. } => {
                calls.insert(*piece, (name.clone(), String::new()));
            }
            Event::Begin { piece, opening: Opening::Text | Opening::Refusal, .. } => texts.push(*piece),
            Event::Begin { opening: Opening::Whole(piece), .. } => {
                if let Part::Text { text, .. } = &piece.part {
                    said.words.push_str(text);
                }
            }
            Event::Delta { piece, delta: Delta::Text(text), .. } if texts.contains(piece) => {
                said.words += text
            }
            Event::Delta { piece, delta: Delta::Arguments(text), .. } => {
                calls.entry(*piece).and_modify(|call: &mut (String, String)| call.1 += text);
            }
            Event::Finish { finish, .. } => said.finish = kind(finish, !calls.is_empty()),
            Event::Usage(Usage { input, output, cached_input, .. }) => {
                said.usage = Some((*input, *output, *cached_input));
            }
            _ => {}
        }
    }
    said.words.retain(|c| !c.is_whitespace());
    said.calls = calls.into_values().map(|(name, text)| (name, arguments(&text))).collect();
    said
}

fn obeys(dialect: Dialect, frames: &[(String, String)]) -> Result<(), String> {
    let ended = frames.last().is_some_and(|last| last.1 == "[DONE]");
    let frames = if ended { &frames[..frames.len() - 1] } else { frames };
    let data: Vec<Value> = frames.iter().map(|frame| serde_json::from_str(&frame.1).unwrap()).collect();
    if ended != (dialect == Dialect::Chat) {
        return Err("ends as another dialect".to_owned());
    }
    match dialect {
        Dialect::Chat => chat_obeys(&data),
        Dialect::Responses => responses_obeys(frames, &data),
        Dialect::Messages => messages_obeys(frames, &data),
        _ => gemini_obeys(&data),
    }
}

/// The role first, nothing of a choice behind its finish, the usage last.
fn chat_obeys(data: &[Value]) -> Result<(), String> {
    let mut finished = false;
    for (nth, chunk) in data.iter().enumerate() {
        let choice = &chunk["choices"][0];
        if (nth == 0) != (choice["delta"]["role"] == "assistant") {
            return Err(format!("the role stands not first: {chunk}"));
        }
        if finished && !choice.is_null() {
            return Err(format!("behind the finish: {chunk}"));
        }
        finished |= choice["finish_reason"].is_string();
    }
    let last_is_usage =
        data.last().is_some_and(|last| last["choices"] == json!([]) && last["usage"].is_object());
    let usage = data.iter().filter(|chunk| chunk["usage"].is_object()).count();
    if finished && usage <= 1 && (usage == 0 || last_is_usage) {
        Ok(())
    } else {
        Err("no proper end".to_owned())
    }
}

/// Numbers without gaps; every item and part that begins ends, with all that its deltas said.
fn responses_obeys(frames: &[(String, String)], data: &[Value]) -> Result<(), String> {
    let (mut items, mut parts, mut texts) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for (nth, ((name, _), event)) in frames.iter().zip(data).enumerate() {
        let broken = |what: &str| Err(format!("{what}: {event}"));
        if event["sequence_number"] != nth as u64 || event["type"] != name.as_str() {
            return broken("number or name");
        }
        let output = event["output_index"].as_u64();
        let place = (output, event["content_index"].as_u64(), event["summary_index"].as_u64());
        match name.trim_start_matches("response.") {
            "output_item.added" if items.insert(output, ()).is_some() => return broken("added twice"),
            "output_item.done" if items.remove(&output).is_none() => return broken("done without begin"),
            "content_part.added" | "reasoning_summary_part.added" if parts.insert(place, ()).is_some() => {
                return broken("part added twice");
            }
            "content_part.done" | "reasoning_summary_part.done" if parts.remove(&place).is_none() => {
                return broken("part done without begin");
            }
            kind if kind.ends_with(".delta") => {
                let text: &mut String = texts.entry(place).or_default();
                text.push_str(event["delta"].as_str().unwrap_or_default());
            }
            kind @ ("output_text.done"
            | "reasoning_text.done"
            | "reasoning_summary_text.done"
            | "function_call_arguments.done") => {
                let name = if kind.starts_with("function_call") { "arguments" } else { "text" };
                let told = texts.remove(&place).unwrap_or_default();
                if told != event[name].as_str().unwrap_or("?") {
                    return broken("not what its deltas said");
                }
            }
            _ => {}
        }
    }
    let order = frames.first().is_some_and(|first| first.0 == "response.created")
        && frames
            .last()
            .is_some_and(|last| ["response.completed", "response.incomplete"].contains(&&*last.0));
    if order && items.is_empty() && parts.is_empty() { Ok(()) } else { Err("begun and not ended".to_owned()) }
}

/// Blocks one behind the other, counted up, between the message's start and its delta and stop.
fn messages_obeys(frames: &[(String, String)], data: &[Value]) -> Result<(), String> {
    let (mut next, mut open) = (0_u64, None);
    for ((name, _), event) in frames.iter().zip(data) {
        let index = event["index"].as_u64();
        let fits = match name.as_str() {
            "content_block_start" => {
                let fits = open.is_none() && index == Some(next);
                (open, next) = (index, next + 1);
                fits
            }
            "content_block_delta" => open.is_some() && index == open,
            "content_block_stop" => open.take() == index,
            _ => open.is_none() || name == "ping",
        };
        if !fits || event["type"] != name.as_str() {
            return Err(format!("out of order: {event}"));
        }
    }
    let names: Vec<&str> = frames.iter().map(|frame| frame.0.as_str()).collect();
    let whole = matches!(names.as_slice(), ["message_start", .., "message_delta", "message_stop"]);
    if whole && open.is_none() { Ok(()) } else { Err(format!("no proper end: {names:?}")) }
}

/// The finish in the last event, with the usage.
fn gemini_obeys(data: &[Value]) -> Result<(), String> {
    let finishes = |event: &Value| event["candidates"][0]["finishReason"].is_string();
    let early = data.iter().rev().skip(1).any(finishes);
    if !early && data.last().is_some_and(finishes) {
        Ok(())
    } else {
        Err("the finish stands not last".to_owned())
    }
}

/// Only one answer, that did not fail: several are for Chat and Gemini alone.
fn is_plain(events: &[Event]) -> bool {
    let other = |event: &Event| match event {
        Event::Failed { .. } => true,
        Event::Begin { choice, .. } | Event::Finish { choice, .. } => *choice > 0,
        _ => false,
    };
    !events.iter().any(other)
}

/// What stands in Messages for a picture that the model made, without white space.
const MEDIA: &str = "(Themodelansweredwithmedia,image/png,whichtheMessagesAPIcannotcarry.)";

fn check(from: Dialect, to: Dialect, events: &[Event]) -> Result<(), String> {
    let (mut writer, mut body) = (writer(to), Vec::new());
    events.iter().for_each(|event| writer.write(event, &mut body));
    obeys(to, &split(&body))?;
    let again = read_events(to, &body)?;
    let (mut wanted, mut found) = (gather(events), gather(&again));
    if to == Dialect::Messages {
        // It says so in words, and has one for an answer held back and for one declined.
        found.words = found.words.replace(MEDIA, "");
        wanted.finish = wanted.finish.filter(|finish| *finish != "held");
    }
    if wanted.usage.is_none() || wanted.usage == Some((0, 0, 0)) {
        (wanted.usage, found.usage) = (None, None);
    }
    if wanted.finish.is_none() {
        found.finish = None;
    }
    if wanted == found { Ok(()) } else { Err(format!("of {from:?} {wanted:?} became {found:?}")) }
}

/// Seen to fail: a picture that Messages tells in words, and an answer held back, which is declined there, before the test
/// allowed for both. Broken on purpose: usage left out (Chat), a block not stopped (Messages), numbers from 1 (Responses).
#[test]
fn streams_keep_what_both_dialects_can_say() {
    let mut tally = Tally::default();
    let mut streams = 0;
    for (id, from, record) in records() {
        if record["stream"] != true || record["response"]["status"] != 200 {
            continue;
        }
        let Some(events) = read_recorded(from, &record["response"]) else { continue };
        streams += 1;
        for to in CLIENTS.into_iter().filter(|to| *to != from) {
            if !is_plain(&events) {
                tally.refused += 1;
                continue;
            }
            match check(from, to, &events) {
                Ok(()) => tally.passed += 1,
                Err(what) => tally.fail(from, to, &id, what),
            }
        }
    }
    println!("{streams} streams");
    tally.conclude(1_400);
}
