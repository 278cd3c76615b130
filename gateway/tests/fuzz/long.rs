//! Long inputs: what takes four times as long must not take sixteen times the time.

use serde_json::Value;

use crate::mutate::nth_mut;
use crate::targets::Target;

/// Bytes; enough for what is quadratic to take seconds.
const LONG: usize = 1 << 20;
/// Below it nothing is compared, seconds of the processor.
const SHORT_TIME: f64 = 1.0;

/// Makes the entries long: `thorough`ly each in each of its places, else the first as a whole and with open brackets.
pub(crate) fn check(target: &Target, corpus: &[Vec<u8>], thorough: bool) {
    let entries = if thorough { corpus } else { &corpus[..1] };
    let size = if thorough { LONG } else { LONG / 4 };
    for entry in entries {
        let ways = if thorough { ways(entry) } else { 2 };
        (0..ways).for_each(|way| in_proportion(target, entry, way, size));
    }
}

fn in_proportion(target: &Target, entry: &[u8], way: usize, size: usize) {
    let time = |size| seconds(target, &grown(entry, way, size));
    let slow = || {
        let whole = time(size);
        whole > SHORT_TIME && whole > 8.0 * time(size / 4)
    };
    // (Once more, for the processor is others' too.)
    assert!(
        !slow() || !slow(),
        "{}: {size} bytes take {:.2} s, a quarter of it {:.2} s (way {way} of {:.60?})",
        target.name,
        time(size),
        time(size / 4),
        String::from_utf8_lossy(entry),
    );
}

fn seconds(target: &Target, input: &[u8]) -> f64 {
    let now = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    let begin = now();
    (target.run)(input);
    now() - begin
}

/// The entry again and again; open brackets; and each node of its JSON grown.
fn ways(entry: &[u8]) -> usize {
    let nodes = parsed(entry).map_or(0, |(_, mut value, _)| {
        (0..).take_while(|at| nth_mut(&mut value, &mut { *at }).is_some()).count()
    });
    2 + nodes
}

fn grown(entry: &[u8], way: usize, size: usize) -> Vec<u8> {
    match (way, parsed(entry)) {
        (0, _) => entry.repeat(size / entry.len().max(1) + 1),
        (1, _) => [entry, &b"[".repeat(size)[..]].concat(),
        (_, None) => entry.to_vec(),
        (_, Some((before, mut value, behind))) => {
            if let Some(node) = nth_mut(&mut value, &mut { way - 2 }) {
                grow(node, size);
            }
            [before, value.to_string().as_bytes(), behind].concat()
        }
    }
}

fn grow(node: &mut Value, size: usize) {
    match node {
        Value::String(text) => *text = "long, \n".repeat(size / 7),
        Value::Array(items) => {
            let last = items.last().cloned().unwrap_or_default();
            let count = size / (last.to_string().len() + 1);
            items.extend(std::iter::repeat_n(last, count));
        }
        Value::Object(members) => {
            members.extend((0..size / 12).map(|at| (format!("m{at:06}"), Value::from(1))));
        }
        other => *other = "x".repeat(size).into(),
    }
}

/// The longest line that holds JSON, from its first bracket on, and what stands around it.
fn parsed(entry: &[u8]) -> Option<(&[u8], Value, &[u8])> {
    if let Ok(value @ (Value::Array(_) | Value::Object(_))) = serde_json::from_slice(entry) {
        return Some((&[], value, &[]));
    }
    let line = entry
        .split(|byte| *byte == b'\n')
        .filter(|line| line.contains(&b'{'))
        .max_by_key(|line| line.len())?;
    let bracket = line.iter().position(|byte| *byte == b'{')?;
    let begin = line.as_ptr().addr() - entry.as_ptr().addr() + bracket;
    let end = begin + line.len() - bracket;
    Some((&entry[..begin], serde_json::from_slice(&entry[begin..end]).ok()?, &entry[end..]))
}
