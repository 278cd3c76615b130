//! Damage that is likely to be read: most inputs are JSON, alone or in lines, and stay it half of the time.

use fastrand::Rng;
use serde_json::{Map, Value, json};

/// No mutant is longer, bytes.
const LONGEST: usize = 64 << 10;

/// `input` changed in one to five places; `other` is an entry of the same corpus to take from.
pub(crate) fn mutant(rng: &mut Rng, input: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..rng.usize(1..=5) {
        bytes = match rng.u8(0..8) {
            0..4 => json_changed(rng, &bytes, other).unwrap_or_else(|| bytes_changed(rng, &bytes, other)),
            4 => lines_changed(rng, &bytes, other),
            _ => bytes_changed(rng, &bytes, other),
        };
        bytes.truncate(LONGEST);
    }
    bytes
}

/// Of the whole, or of a line from its first bracket on.
fn json_changed(rng: &mut Rng, bytes: &[u8], other: &[u8]) -> Option<Vec<u8>> {
    let range = json_in(rng, bytes)?;
    let mut value: Value = serde_json::from_slice(&bytes[range.clone()]).ok()?;
    let other = json_in(rng, other).and_then(|range| serde_json::from_slice(&other[range]).ok());
    change(rng, &mut value, &other.unwrap_or(Value::Null));
    Some([&bytes[..range.start], value.to_string().as_bytes(), &bytes[range.end..]].concat())
}

fn json_in(rng: &mut Rng, bytes: &[u8]) -> Option<std::ops::Range<usize>> {
    let trimmed = bytes.trim_ascii();
    if matches!(trimmed, [b'{', .., b'}'] | [b'[', .., b']'])
        && serde_json::from_slice::<Value>(trimmed).is_ok()
    {
        return Some(0..bytes.len());
    }
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').filter(|line| line.contains(&b'{')).collect();
    let line = lines.get(rng.usize(0..lines.len().max(1)))?;
    let begin = line.as_ptr().addr() - bytes.as_ptr().addr();
    let bracket = line.iter().position(|byte| *byte == b'{')?;
    Some(begin + bracket..begin + line.len())
}

/// Changes one node of `value`, or of what is in it.
fn change(rng: &mut Rng, value: &mut Value, other: &Value) {
    let count = value_count(value);
    let at = rng.usize(0..count);
    let donor = nth(other, rng.usize(0..value_count(other))).clone();
    if let Some(node) = nth_mut(value, &mut { at }) {
        change_here(rng, node, donor);
    }
}

fn change_here(rng: &mut Rng, node: &mut Value, donor: Value) {
    match (rng.u8(0..8), &mut *node) {
        (0, _) => *node = donor,
        (1, _) => *node = odd(rng),
        (2, _) => *node = json!([node.take()]),
        (3..6, Value::Array(items)) if !items.is_empty() => {
            let (from, to) = (rng.usize(0..items.len()), rng.usize(0..items.len()));
            match rng.u8(0..3) {
                0 => drop(items.remove(from)),
                1 => items.insert(to, items[from].clone()),
                _ => items.swap(from, to),
            }
        }
        (3..6, Value::Object(members)) if !members.is_empty() => change_members(rng, members, donor),
        (_, Value::String(text)) => {
            let bytes = bytes_changed(rng, text.as_bytes(), b"\n \"\\");
            *text = String::from_utf8_lossy(&bytes).into_owned();
        }
        (_, Value::Number(_)) => *node = number(rng),
        (_, Value::Bool(said)) => *said = !*said,
        _ => *node = donor,
    }
}

fn change_members(rng: &mut Rng, members: &mut Map<String, Value>, donor: Value) {
    let names: Vec<String> = members.keys().cloned().collect();
    let name = &names[rng.usize(0..names.len())];
    match rng.u8(0..4) {
        0 => drop(members.remove(name)),
        1 => drop(members.insert(name.clone(), donor)),
        2 => {
            let to = &names[rng.usize(0..names.len())];
            let value = members.get(name).cloned().unwrap_or_default();
            members.insert(to.clone(), value);
        }
        _ => {
            let value = members.remove(name).unwrap_or_default();
            let new = ["type", "", "text", "content", "#own", "id", "name", "error"][rng.usize(0..8)];
            members.insert(new.to_owned(), value);
        }
    }
}

fn odd(rng: &mut Rng) -> Value {
    const TEXTS: [&str; 8] =
        ["", "\u{0}", "null", "ſ\u{212a}\u{feff}", "data:,", "[DONE]", "{}", "\u{1f600}\r\n\r\n"];
    match rng.u8(0..6) {
        0 => Value::Null,
        1 => json!({}),
        2 => json!([]),
        3 => rng.bool().into(),
        4 => TEXTS[rng.usize(0..TEXTS.len())].into(),
        _ => number(rng),
    }
}

fn number(rng: &mut Rng) -> Value {
    const WHOLE: [i64; 8] = [0, -1, 1, i64::MAX, i64::MIN, 1 << 32, (1 << 53) + 1, 128];
    match rng.u8(0..4) {
        0 => u64::MAX.into(),
        1 => [0.5, -0.0, 1e308, 5e-324][rng.usize(0..4)].into(),
        _ => WHOLE[rng.usize(0..WHOLE.len())].into(),
    }
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(members) => members.values().collect(),
        _ => Vec::new(),
    }
}

fn value_count(value: &Value) -> usize {
    1 + children(value).into_iter().map(value_count).sum::<usize>()
}

fn nth(value: &Value, at: usize) -> &Value {
    let mut left = at;
    if left == 0 {
        return value;
    }
    left -= 1;
    for child in children(value) {
        let count = value_count(child);
        if left < count {
            return nth(child, left);
        }
        left -= count;
    }
    value
}

/// The node number `at`, counted as [`nth`] does.
pub(crate) fn nth_mut<'a>(value: &'a mut Value, at: &mut usize) -> Option<&'a mut Value> {
    if *at == 0 {
        return Some(value);
    }
    *at -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| nth_mut(item, at)),
        Value::Object(members) => members.values_mut().find_map(|member| nth_mut(member, at)),
        _ => None,
    }
}

fn lines_changed(rng: &mut Rng, bytes: &[u8], other: &[u8]) -> Vec<u8> {
    let mut lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let others: Vec<&[u8]> = other.split_inclusive(|byte| *byte == b'\n').collect();
    if lines.is_empty() || others.is_empty() {
        return other.to_vec();
    }
    let (from, to) = (rng.usize(0..lines.len()), rng.usize(0..lines.len()));
    match rng.u8(0..4) {
        0 => drop(lines.remove(from)),
        1 => lines.insert(to, lines[from]),
        2 => lines.swap(from, to),
        _ => lines.insert(to, others[rng.usize(0..others.len())]),
    }
    lines.concat()
}

fn bytes_changed(rng: &mut Rng, bytes: &[u8], other: &[u8]) -> Vec<u8> {
    const WORDS: [&[u8]; 12] = [
        b"\r",
        b"\n\n",
        b"\"",
        b"\\u0000",
        b"\\ud800",
        b"1e999",
        b"{",
        b"]",
        b",",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\0",
    ];
    let mut out = bytes.to_vec();
    let at = rng.usize(0..=out.len());
    let end = (at + rng.usize(0..16)).min(out.len());
    match rng.u8(0..7) {
        0 if at < out.len() => out[at] ^= 1 << rng.u8(0..8),
        1 => drop(out.drain(at..end)),
        2 => out.truncate(at),
        3 => drop(out.splice(at..at, bytes[at..end].repeat(rng.usize(1..4)))),
        4 if !other.is_empty() => {
            let from = rng.usize(0..other.len());
            out.truncate(at);
            out.extend_from_slice(&other[from..]);
        }
        5 if at < out.len() => out[at] = [0, 0xff, 0x7f, 0x80, b'0', b'"'][rng.usize(0..6)],
        _ => drop(out.splice(at..at, WORDS[rng.usize(0..WORDS.len())].iter().copied())),
    }
    out
}
