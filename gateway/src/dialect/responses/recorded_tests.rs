//! On recorded traffic, in the folder that `WEIR_TRAFFIC` names. Without it these tests pass without a word.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use super::*;
use crate::dialect::openai::answer::Usage;
use crate::dialect::talk::{Citation, Delta, Event, Finish, Opening, Part};

#[path = "recorded_same_tests.rs"]
mod same;
use same::{difference, same_meaning};

#[path = "recorded_naive_tests.rs"]
mod naive;
use naive::naive;

struct Recording {
    id: String,
    request: String,
    status: u64,
    stream: bool,
    answer: String,
}

/// All recordings of this dialect; none without the folder.
fn recordings() -> Vec<Recording> {
    let Some(folder) = std::env::var_os("WEIR_TRAFFIC") else {
        println!("skipped: WEIR_TRAFFIC is not set");
        return Vec::new();
    };
    let mut files: Vec<_> =
        std::fs::read_dir(Path::new(&folder)).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "jsonl"));
    files.sort();
    let lines = files.iter().flat_map(|path| {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>()
    });
    lines.filter(|line| line["endpoint"] == "responses").map(|line| of_line(&line)).collect()
}

fn of_line(line: &Value) -> Recording {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Recording {
        id: text(&line["id"]),
        request: text(&line["request"]["body"]),
        status: line["response"]["status"].as_u64().unwrap(),
        stream: line["stream"] == true,
        answer: text(&line["response"]["body"]),
    }
}

/// The events of a body: name and data.
pub(super) fn split(body: &str) -> Vec<(String, String)> {
    let mut events = Vec::new();
    let (mut name, mut data) = (String::new(), Vec::new());
    for line in body.lines().chain([""]) {
        if let Some(rest) = line.strip_prefix("event:") {
            name = rest.trim().to_owned();
        } else if let Some(rest) = line.strip_prefix("data:") {
            data.push(rest.strip_prefix(' ').unwrap_or(rest));
        } else if line.is_empty() && !data.is_empty() {
            events.push((std::mem::take(&mut name), data.join("\n")));
            data.clear();
        }
    }
    events
}

pub(super) fn read_stream(body: &str) -> Vec<Event> {
    let (mut reader, mut events) = (Reader::default(), Vec::new());
    for (name, data) in split(body) {
        reader.read(&name, data.as_bytes(), &mut events).unwrap();
    }
    reader.end(&mut events).unwrap();
    events
}

pub(super) fn write_stream(events: &[Event]) -> String {
    let mut writer = Writer::new("", "", 0, Map::new());
    let mut bytes = Vec::new();
    events.iter().for_each(|event| writer.write(event, &mut bytes));
    String::from_utf8(bytes).unwrap()
}

/// The rules of `event.rs`.
pub(super) fn obeys(events: &[Event]) -> Result<(), String> {
    let mut pieces: Vec<bool> = Vec::new();
    let (mut finished, mut over) = (false, false);
    for (at, event) in events.iter().enumerate() {
        let fault = match event {
            _ if over => Some("behind the end"),
            Event::Start { .. } => (at != 0).then_some("a late start"),
            _ if at == 0 && !matches!(event, Event::Failed { .. }) => Some("no start"),
            Event::Begin { piece, .. } => {
                pieces.push(true);
                (*piece + 1 != pieces.len() || finished).then_some("a piece out of order")
            }
            Event::Delta { piece, .. } => {
                (pieces.get(*piece) != Some(&true)).then_some("a delta to no open piece")
            }
            Event::End { piece, .. } => {
                let was = pieces.get_mut(*piece).map(|open| std::mem::replace(open, false));
                (was != Some(true)).then_some("an end of no open piece")
            }
            Event::Finish { .. } => {
                let again = std::mem::replace(&mut finished, true);
                (again || pieces.contains(&true)).then_some("a finish twice or with open pieces")
            }
            Event::Done | Event::Failed { .. } => {
                over = true;
                None
            }
            _ => None,
        };
        if let Some(fault) = fault {
            return Err(format!("{fault} at {at}: {event:?}"));
        }
    }
    over.then_some(()).ok_or_else(|| "no end".to_owned())
}

/// What a stream says, put together: the same from events and from the JSON.
#[derive(Debug, Default, PartialEq)]
struct Told {
    texts: Vec<String>,
    refusals: Vec<String>,
    thoughts: Vec<(String, Vec<String>, Option<String>)>,
    calls: Vec<(String, String, String)>,
    citations: Vec<Value>,
    foreign: Vec<Value>,
    logprobs: Vec<Value>,
    finish: Option<Finish>,
    usage: Option<Usage>,
}

fn gather(events: &[Event]) -> Told {
    let mut told = Told::default();
    let mut places: BTreeMap<usize, (char, usize)> = BTreeMap::new();
    for event in events {
        match event {
            Event::Begin { piece, opening, .. } => {
                places.insert(*piece, begin(&mut told, opening));
            }
            Event::Delta { piece, delta, .. } => add(&mut told, places[piece], delta),
            Event::Logprobs { tokens, .. } => told.logprobs.extend_from_slice(tokens),
            Event::Finish { finish, .. } => told.finish = Some(finish.clone()),
            Event::Usage(usage) => told.usage = Some(*usage),
            _ => {}
        }
    }
    sort(&mut told.foreign);
    told
}

/// Encrypted content is encrypted anew in every event.
fn unsealed(mut item: Value) -> Value {
    item.as_object_mut().unwrap().remove("encrypted_content");
    item
}

/// What the provider runs is told when it is complete, not where it stands.
fn sort(items: &mut [Value]) {
    items.sort_by_key(|item| item["id"].to_string());
}

fn begin(told: &mut Told, opening: &Opening) -> (char, usize) {
    match opening {
        Opening::Text => {
            told.texts.push(String::new());
            ('t', told.texts.len() - 1)
        }
        Opening::Refusal => {
            told.refusals.push(String::new());
            ('r', told.refusals.len() - 1)
        }
        Opening::Reasoning { .. } => {
            told.thoughts.push(Default::default());
            ('m', told.thoughts.len() - 1)
        }
        Opening::Call { id, name, .. } => {
            told.calls.push((id.clone(), name.clone(), String::new()));
            ('c', told.calls.len() - 1)
        }
        Opening::Whole(piece) => {
            let Part::Foreign(_, value) = &piece.part else { panic!("{piece:?}") };
            told.foreign.push(unsealed(value.clone()));
            ('f', 0)
        }
    }
}

fn add(told: &mut Told, place: (char, usize), delta: &Delta) {
    match (place, delta) {
        (('t', at), Delta::Text(text)) => told.texts[at].push_str(text),
        (('r', at), Delta::Text(text)) => told.refusals[at].push_str(text),
        (('m', at), Delta::Text(text)) => told.thoughts[at].0.push_str(text),
        (('m', at), Delta::Summary(which, text)) => {
            let summary = &mut told.thoughts[at].1;
            summary.resize(summary.len().max(which + 1), String::new());
            summary[*which].push_str(text);
        }
        (('m', at), Delta::Encrypted(text)) => {
            told.thoughts[at].2.get_or_insert_default().push_str(&text.value)
        }
        (('c', at), Delta::Arguments(text)) => told.calls[at].2.push_str(text),
        (('t', _), Delta::Citation(citation)) => told.citations.push(original(citation)),
        other => panic!("{other:?}"),
    }
}

fn original(citation: &Citation) -> Value {
    citation.original.clone().unwrap().1
}

/// Broken on purpose: without the mark `#item` two messages in a row became one; with `summary` written from `content`
/// those that reason failed.
#[test]
fn requests_keep_their_meaning() {
    let (mut count, mut faults) = (0, Vec::new());
    for recording in recordings() {
        let Ok(original) = serde_json::from_str::<Value>(&recording.request) else { continue };
        let read = match read_request(recording.request.as_bytes()) {
            Ok(read) => read,
            // A temperature of -1, which the provider refused too.
            Err(_) if recording.status == 400 => continue,
            Err(refused) => {
                faults.push(format!("{}: {refused}", recording.id));
                continue;
            }
        };
        count += 1;
        let written = write_request(&read).unwrap();
        let again = read_request(written.to_string().as_bytes()).unwrap();
        if again != read {
            let first = read.messages.iter().zip(&again.messages).find(|(one, other)| one != other);
            faults.push(format!("{}: read again it differs: {first:?}", recording.id));
        }
        let (before, after) = (same_meaning(original, ""), same_meaning(written, ""));
        faults.extend(difference(&before, &after, "").map(|fault| format!("{}: {fault}", recording.id)));
    }
    println!("{count} requests");
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    assert!(count == 0 || count >= 262, "{count}");
}

/// Broken on purpose: with the item's `id` made up anew nearly all failed; with usage without `written_input`, two.
#[test]
fn answers_keep_their_meaning() {
    let (mut count, mut faults) = (0, Vec::new());
    for recording in recordings().iter().filter(|recording| recording.status == 200 && !recording.stream) {
        let mut original: Value = serde_json::from_str(&recording.answer).unwrap();
        // Hand-made for other tests: no answer of this dialect.
        if original.get("output").is_none() {
            continue;
        }
        count += 1;
        let read = read_answer(recording.answer.as_bytes()).unwrap();
        let mut written = Vec::new();
        write_answer(&read, &Map::new(), &mut written);
        let written: Value = serde_json::from_slice(&written).unwrap();
        let mut again = read_answer(written.to_string().as_bytes()).unwrap();
        // What every answer must have is filled in where a provider leaves it out.
        again.extra = read.extra.clone();
        if again != read {
            faults.push(format!("{}: read again it differs: ", recording.id));
        }
        for (name, value) in written.as_object().unwrap() {
            if original.get(name).is_none() {
                original[name] = value.clone();
            }
        }
        let (before, after) = (same_meaning(original, ""), same_meaning(written, ""));
        faults.extend(difference(&before, &after, "").map(|fault| format!("{}: {fault}", recording.id)));
    }
    println!("{count} answers");
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    assert!(count == 0 || count >= 199, "{count}");
}

fn has_texts_in_a_row(events: &[Event]) -> bool {
    let openings = events
        .iter()
        .filter_map(|event| if let Event::Begin { opening, .. } = event { Some(opening) } else { None });
    let openings: Vec<_> = openings.collect();
    openings.windows(2).any(|pair| *pair[0] == Opening::Text && *pair[1] == Opening::Text)
}

/// The same but for what a trip may change: the id gets this dialect's prefix, and the last digit of a float may differ.
fn comparable(event: &Event) -> Event {
    let mut event = event.clone();
    match &mut event {
        Event::Start { id, .. } => *id = id.strip_prefix("resp_").unwrap_or(id).to_owned(),
        Event::Logprobs { tokens, .. } => tokens.iter_mut().for_each(|token| *token = token["token"].take()),
        _ => {}
    }
    event
}

/// Broken on purpose: with `complete` passing on the whole text instead of what is new all failed; with encrypted content
/// taken from `output_item.added` too, those that reason.
#[test]
fn streams_say_what_the_whole_answer_says() {
    let (mut count, mut faults) = (0, Vec::new());
    for recording in recordings().iter().filter(|recording| recording.status == 200 && recording.stream) {
        count += 1;
        let events = read_stream(&recording.answer);
        faults.extend(obeys(&events).err().map(|fault| format!("{}: {fault}", recording.id)));
        let (told, naive) = (gather(&events), naive(&recording.answer));
        if told != naive {
            let sides = (format!("{told:?}"), format!("{naive:?}"));
            let same = sides.0.bytes().zip(sides.1.bytes()).take_while(|(one, other)| one == other).count();
            let show = |side: &str| side.chars().skip(same.saturating_sub(60)).take(200).collect::<String>();
            faults.push(format!("{}:\n  {}\n  {}", recording.id, show(&sides.0), show(&sides.1)));
        }
        let written = write_stream(&events);
        let again = read_stream(&written);
        if has_texts_in_a_row(&events) {
            // They are written as one.
            let (mut one, mut other) = (gather(&events), gather(&again));
            (one.texts, other.texts) = (vec![one.texts.concat()], vec![other.texts.concat()]);
            assert_eq!(one, other);
            continue;
        }
        let differs = |at: &usize| events.get(*at).map(comparable) != again.get(*at).map(comparable);
        if let Some(at) = (0..events.len().max(again.len())).find(differs) {
            let pair = (events.get(at), again.get(at));
            faults.push(format!("{}: event {at} of {}: {pair:.600?}", recording.id, events.len()));
        }
        stream_tests::is_well_formed(&written);
    }
    println!("{count} streams");
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    assert!(count == 0 || count >= 76, "{count}");
}

/// Damaged bodies are read or refused; nothing else.
#[test]
fn damage_never_panics() {
    let recordings = recordings();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % below.max(1) as u64) as usize
    };
    for turn in 0..if recordings.is_empty() { 0 } else { 2000 } {
        let recording = &recordings[next(recordings.len())];
        let source = if turn % 2 == 0 { &recording.request } else { &recording.answer };
        // The long ones are long with echoes of tools; the shape is in the first part.
        let mut body = source.as_bytes()[..source.len().min(20_000)].to_vec();
        for _ in 0..next(4) {
            if let Some(byte) = {
                let at = next(body.len());
                body.get_mut(at)
            } {
                *byte = b"\"{}[]:,0-tn\\x\xff"[next(13)];
            }
        }
        if turn % 3 == 0 {
            body.truncate(next(body.len()));
        }
        if let Ok(request) = read_request(&body) {
            let _ = write_request(&request);
        }
        if let Ok(answer) = read_answer(&body) {
            write_answer(&answer, &Map::new(), &mut Vec::new());
        }
        let (mut reader, mut events) = (Reader::default(), Vec::new());
        let body = String::from_utf8_lossy(&body).into_owned();
        for (name, data) in split(&body) {
            if reader.read(&name, data.as_bytes(), &mut events).is_err() {
                break;
            }
        }
        write_stream(&events);
    }
}
