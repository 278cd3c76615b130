//! What cuts a stream of bytes into events, frames and elements.

use bytes::Bytes;
use serde_json::Value;
use weir::dialect::converse::{Damage, Frame, Frames};
use weir::dialect::gemini::ArrayReader;
use weir::dialect::openai::stream::{Event, Splitter};

use super::cut::same_however_cut;

/// The bound in these tests, so that short inputs meet it.
const LONGEST: usize = 512;

/// Server-sent events: together they are the stream, each ends at the first blank line, and none exceeds the bound.
pub(crate) fn events(input: &[u8]) {
    let (events, oversized) = same_however_cut(input, |pieces| {
        let mut splitter = Splitter::new(LONGEST);
        let mut events = Vec::new();
        for piece in pieces {
            for event in splitter.push(piece.clone()) {
                match event {
                    Ok(event) => events.push(event),
                    Err(_) => return (events, true),
                }
            }
        }
        events.extend(splitter.finish());
        (events, false)
    });
    let together: Vec<u8> = events.iter().flat_map(|event| event.raw.to_vec()).collect();
    assert!(if oversized { input.starts_with(&together) } else { input == together }, "bytes were lost");
    for (at, event) in events.iter().enumerate() {
        let end = first_blank_line(&event.raw);
        let last = !oversized && at + 1 == events.len();
        assert!(end == Some(event.raw.len()) || last && end.is_none(), "it ends elsewhere: {event:?}");
        assert!(event.raw.len() <= LONGEST);
        read(event);
    }
}

fn read(event: &Event) {
    assert!(event.data().is_none_or(|data| data.len() <= event.raw.len()));
    assert!(
        event.name().is_empty() || event.is_named(event.name().as_bytes()) || event.raw.starts_with(b"data:")
    );
}

/// Where the first blank line ends, as the standard has lines.
fn first_blank_line(raw: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let line = at;
        at += raw[at..].iter().position(|byte| matches!(byte, b'\n' | b'\r'))?;
        let blank = at == line;
        at += if raw[at..].starts_with(b"\r\n") { 2 } else { 1 };
        if blank {
            return Some(at);
        }
    }
}

/// AWS's frames: as the bytes are, and with lengths and checksums put right, without which little is read.
pub(crate) fn frames(input: &[u8]) {
    for bytes in [input, &sealed(input)] {
        let (frames, _end) = read_frames(bytes);
        assert!(frames.len() <= bytes.len() / 16);
    }
    let lines = of_lines(input);
    let (frames, end) = read_frames(&lines);
    let count = input.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
    assert!(end.is_err() || frames.len() == count, "{} frames of {count}", frames.len());
}

fn read_frames(input: &[u8]) -> (Vec<Frame>, Result<(), Damage>) {
    let read = |pieces: &[Bytes]| {
        let (mut frames, mut got) = (Frames::default(), Vec::new());
        for piece in pieces {
            frames.push(piece);
            loop {
                match frames.next_frame() {
                    Ok(Some(frame)) => got.push(frame),
                    Ok(None) => break,
                    Err(damage) => {
                        assert_eq!(frames.end(), Err(damage));
                        assert_eq!(frames.next_frame(), Err(damage), "damage does not heal");
                        return (got, Err(damage));
                    }
                }
            }
        }
        let end = frames.end();
        (got, end)
    };
    let (frames, end) = same_however_cut(input, read);
    let payload: usize = frames.iter().map(|frame| frame.payload.len() + 16).sum();
    assert!(payload <= input.len(), "more came out than went in");
    (frames, end)
}

/// The frames that the lengths in `input` tell of, with the right checksums; what is too short stays as it is.
fn sealed(input: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(input.len());
    let mut rest = input;
    while let Some((lengths, _)) = rest.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([lengths[0], lengths[1], lengths[2], lengths[3]]) as usize;
        let length = length.min(rest.len());
        let (frame, behind) = rest.split_at(length.max(8));
        out.extend(seal(lengths, frame));
        rest = behind;
    }
    out.extend_from_slice(rest);
    out
}

fn seal(lengths: &[u8], frame: &[u8]) -> Vec<u8> {
    let mut out = lengths.to_vec();
    out.extend(crc32fast::hash(lengths).to_be_bytes());
    let Some(inside) = frame.len().checked_sub(4).and_then(|end| frame.get(12..end)) else { return out };
    out.extend_from_slice(inside);
    out.extend(crc32fast::hash(&out).to_be_bytes());
    out
}

/// Frames from lines: `messageStart {"role":"assistant"}` is an event; `!` before the name makes it an exception.
pub(crate) fn of_lines(input: &[u8]) -> Vec<u8> {
    let lines = input.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.flat_map(frame_of_line).collect()
}

fn frame_of_line(line: &[u8]) -> Vec<u8> {
    let (kind, name, line) = match line.strip_prefix(b"!") {
        Some(line) => ("exception", ":exception-type", line),
        None => ("event", ":event-type", line),
    };
    let space = line.iter().take(200).position(|byte| *byte == b' ').unwrap_or(line.len().min(200));
    let (word, payload) = line.split_at(space);
    let word = String::from_utf8_lossy(word);
    let mut head = Vec::new();
    for (name, value) in [(":message-type", kind), (name, &*word)] {
        head.push(name.len() as u8);
        head.extend_from_slice(name.as_bytes());
        head.push(7);
        head.extend((value.len() as u16).to_be_bytes());
        head.extend_from_slice(value.as_bytes());
    }
    let length = 16 + head.len() + payload.len();
    let mut out = [(length as u32).to_be_bytes(), (head.len() as u32).to_be_bytes()].concat();
    out.extend(crc32fast::hash(&out).to_be_bytes());
    out.extend(head);
    out.extend_from_slice(payload);
    out.extend(crc32fast::hash(&out).to_be_bytes());
    out
}

/// Gemini's JSON array: if it is one, the elements are those that a JSON parser finds.
pub(crate) fn array(input: &[u8]) {
    let (elements, end) = same_however_cut(input, |pieces| {
        let (mut reader, mut elements) = (ArrayReader::default(), Vec::new());
        for piece in pieces {
            if let Err(refused) = reader.read(piece, &mut elements) {
                return (elements, Err(refused));
            }
        }
        (elements, reader.end())
    });
    let Ok(Value::Array(wanted)) = serde_json::from_slice::<Value>(input) else { return };
    if wanted.iter().all(Value::is_object) {
        let read: Vec<Value> = elements.iter().map(|one| serde_json::from_slice(one).unwrap()).collect();
        assert!(end.is_ok() && read == wanted, "not the elements of the array");
    } else {
        assert!(end.is_err(), "an element that is no object was taken");
    }
}
