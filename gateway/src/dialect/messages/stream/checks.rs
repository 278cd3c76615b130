//! What tests of streams need: frames taken apart, the order of events checked, events gathered.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Reader, Writer};
use crate::dialect::talk::{Delta, Event, Finish, Opening, Part, Piece, Refused};

/// The events of a body: names and data.
pub(crate) fn frames(body: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8(body.to_vec()).unwrap().replace("\r\n", "\n");
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

/// Reads frames to their end.
pub(crate) fn read_frames(frames: &[(String, String)]) -> Result<Vec<Event>, Refused> {
    let (mut reader, mut events) = (Reader::default(), Vec::new());
    for (name, data) in frames {
        reader.read(name, data.as_bytes(), &mut events)?;
    }
    reader.end(&mut events)?;
    Ok(events)
}

/// Reads a body to its end.
pub(crate) fn read_all(body: &[u8]) -> Result<Vec<Event>, Refused> {
    read_frames(&frames(body))
}

/// Writes events.
pub(crate) fn write_all(events: &[Event]) -> Vec<u8> {
    let (mut writer, mut to) = (Writer::new("msg_own", "model"), Vec::new());
    for event in events {
        writer.write(event, &mut to);
    }
    to
}

/// Checks the rules of order that events obey.
pub(crate) fn obeys(events: &[Event]) -> Result<(), String> {
    let (mut open, mut pieces, mut finished, mut over) = (BTreeMap::new(), 0, 0, false);
    for (nth, event) in events.iter().enumerate() {
        let broken = |what: &str| Err(format!("event {nth}: {what}: {event:?}"));
        if over {
            return broken("behind the end");
        }
        if (nth == 0) != matches!(event, Event::Start { .. }) && !matches!(event, Event::Failed { .. }) {
            return broken("a start elsewhere than first");
        }
        match event {
            Event::Begin { piece, opening, .. } => {
                if *piece != pieces || finished > 0 {
                    return broken("not the next piece");
                }
                pieces += 1;
                open.insert(*piece, matches!(opening, Opening::Whole(_)));
            }
            Event::Delta { piece, .. } if open.get(piece) != Some(&false) => return broken("not open"),
            Event::End { piece, .. } if open.remove(piece).is_none() => return broken("not open"),
            Event::Finish { .. } if !open.is_empty() || finished > 0 => return broken("too early or twice"),
            Event::Finish { .. } => finished += 1,
            Event::Done | Event::Failed { .. } => over = true,
            _ => {}
        }
    }
    if over { Ok(()) } else { Err("no end".to_owned()) }
}

/// What events say in all.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Gathered {
    pub(crate) text: String,
    pub(crate) thinking: String,
    pub(crate) signatures: String,
    pub(crate) citations: usize,
    pub(crate) calls: Vec<(String, String, String)>,
    pub(crate) whole: Vec<Value>,
    pub(crate) finish: String,
    pub(crate) input: u64,
    pub(crate) output: u64,
}

/// Gathers events.
pub(crate) fn gather(events: &[Event]) -> Gathered {
    let mut found = Gathered::default();
    let mut openings = BTreeMap::new();
    for event in events {
        match event {
            Event::Begin { piece, opening, .. } => {
                openings.insert(*piece, opening.clone());
                match opening {
                    Opening::Call { id, name, .. } => {
                        found.calls.push((id.clone(), name.clone(), String::new()))
                    }
                    Opening::Whole(piece) => found.whole.extend(foreign(piece)),
                    _ => {}
                }
            }
            Event::Delta { piece, delta, .. } => match (delta, &openings[piece]) {
                (Delta::Text(text), Opening::Text) => found.text += text,
                (Delta::Text(text), _) => found.thinking += text,
                (Delta::Arguments(text), _) => found.calls.last_mut().unwrap().2 += text,
                (Delta::Signature(proof) | Delta::Encrypted(proof), _) => found.signatures += &proof.value,
                (Delta::Citation(_), _) => found.citations += 1,
                (Delta::Summary(..), _) => {}
            },
            Event::Finish { finish, .. } => found.finish = word(finish),
            Event::Usage(usage) => (found.input, found.output) = (usage.input, usage.output),
            _ => {}
        }
    }
    found
}

fn foreign(piece: &Piece) -> Option<Value> {
    match &piece.part {
        Part::Foreign(_, value) => Some(value.clone()),
        _ => None,
    }
}

fn word(finish: &Finish) -> String {
    match finish {
        Finish::Stop => "end_turn",
        Finish::StopText(_) => "stop_sequence",
        Finish::Length => "max_tokens",
        Finish::Calls => "tool_use",
        other => return format!("{other:?}"),
    }
    .to_owned()
}

/// What the official SDKs rely on: blocks are counted up and stand one behind the other.
pub(crate) fn well_formed(data: &[Value]) {
    let (mut next, mut open) = (0, None);
    for event in data {
        match event["type"].as_str().unwrap() {
            "content_block_start" => {
                assert_eq!((&event["index"], open), (&json!(next), None), "{event}");
                open = Some(next);
                next += 1;
            }
            "content_block_delta" => assert_eq!(Some(&event["index"]), open.map(|open| json!(open)).as_ref()),
            "content_block_stop" => assert_eq!(event["index"], json!(open.take().unwrap())),
            "ping" => {}
            _ => assert_eq!(open, None, "{event}"),
        }
    }
    assert_eq!(data[0]["type"], "message_start");
    assert_eq!(data[data.len() - 2]["type"], "message_delta");
    assert_eq!(data[data.len() - 1]["type"], "message_stop");
}
