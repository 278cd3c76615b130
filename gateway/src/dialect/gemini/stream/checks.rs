//! What tests of streams share: the order rules, an answer gathered from events, and a splitter of server-sent events.

use std::collections::{BTreeMap, HashMap};

use crate::dialect::openai::answer::Usage;
use crate::dialect::talk::{Delta, Event, Finish, Opening};

/// Checks the order rules of `event.rs`.
pub(in crate::dialect::gemini) fn obeys(events: &[Event]) -> Result<(), String> {
    let mut open: HashMap<(u64, usize), bool> = HashMap::new();
    let mut next: HashMap<u64, usize> = HashMap::new();
    let (mut finished, mut over) = (Vec::new(), false);
    for (at, event) in events.iter().enumerate() {
        let fail = |why: &str| Err(format!("event {at}, {event:?}: {why}"));
        if over {
            return fail("something follows the end");
        }
        let first = matches!(event, Event::Start { .. });
        if first != (at == 0) && !matches!(event, Event::Failed { .. } | Event::Ping) {
            return fail("the start comes first and once");
        }
        match event {
            Event::Begin { choice, piece, opening } => {
                if *piece != next.get(choice).copied().unwrap_or(0) || finished.contains(choice) {
                    return fail("pieces are numbered as they begin, before the finish");
                }
                next.insert(*choice, piece + 1);
                open.insert((*choice, *piece), matches!(opening, Opening::Whole(_)));
            }
            Event::Delta { choice, piece, .. } if open.get(&(*choice, *piece)) != Some(&false) => {
                return fail("the piece is not open, or came whole");
            }
            Event::End { choice, piece } if open.remove(&(*choice, *piece)).is_none() => {
                return fail("the piece is not open");
            }
            Event::Finish { choice, .. } => {
                if finished.contains(choice) || open.keys().any(|key| key.0 == *choice) {
                    return fail("a choice finishes once, with its pieces complete");
                }
                finished.push(*choice);
            }
            Event::Done | Event::Failed { .. } => over = true,
            _ => {}
        }
    }
    // A failure leaves its pieces open: they are not complete.
    let failed = matches!(events.last(), Some(Event::Failed { .. }));
    if over && (failed || open.is_empty()) {
        Ok(())
    } else {
        Err("the stream does not end, or a piece does not".into())
    }
}

/// What a choice said in all.
#[derive(Debug, Default, PartialEq)]
pub(in crate::dialect::gemini) struct Said {
    pub(in crate::dialect::gemini) text: String,
    pub(in crate::dialect::gemini) thought: String,
    pub(in crate::dialect::gemini) calls: Vec<(String, String, String)>,
    pub(in crate::dialect::gemini) signatures: Vec<String>,
    pub(in crate::dialect::gemini) wholes: usize,
    pub(in crate::dialect::gemini) finish: Option<Finish>,
}

/// Gathers what a stream said, by choice, and its last usage.
pub(in crate::dialect::gemini) fn gather(events: &[Event]) -> (BTreeMap<u64, Said>, Option<Usage>) {
    let mut said: BTreeMap<u64, Said> = BTreeMap::new();
    let mut thoughts = HashMap::new();
    let mut usage = None;
    for event in events {
        match event {
            Event::Begin { choice, piece, opening } => {
                let said = said.entry(*choice).or_default();
                thoughts.insert((*choice, *piece), matches!(opening, Opening::Reasoning { .. }));
                match opening {
                    Opening::Call { id, name, signature, .. } => {
                        said.signatures.extend(signature.iter().map(|proof| proof.value.clone()));
                        said.calls.push((id.clone(), name.clone(), String::new()));
                    }
                    Opening::Whole(_) => said.wholes += 1,
                    _ => {}
                }
            }
            Event::Delta { choice, piece, delta } => {
                let said = said.entry(*choice).or_default();
                match delta {
                    Delta::Text(text) if thoughts[&(*choice, *piece)] => said.thought.push_str(text),
                    Delta::Text(text) => said.text.push_str(text),
                    Delta::Arguments(text) => said.calls.last_mut().unwrap().2.push_str(text),
                    Delta::Signature(text) => said.signatures.push(text.value.clone()),
                    _ => {}
                }
            }
            Event::Finish { choice, finish } => {
                said.entry(*choice).or_default().finish = Some(finish.clone());
            }
            Event::Usage(counts) => usage = Some(*counts),
            _ => {}
        }
    }
    (said, usage)
}

/// The data of each server-sent event.
pub(in crate::dialect::gemini) fn split(body: &str) -> Vec<&str> {
    body.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim).collect()
}
