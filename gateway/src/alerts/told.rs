//! What has been told, and therefore what is to be told now. Pure: what is seen and the time in, events out.
//!
//! Nothing waits to be told: what is due follows each time from what is seen and what was told, so a message that failed
//! needs no queue, and one whose reason is over before it could be sent is never sent.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::message::Posted;
use super::seen::{Alert, Kind};

/// So many are kept in mind, for what is kept of them must stay small; the gravest come first.
pub const MOST: usize = 500;
/// What is over for so long, seconds, is told to be over: what comes and goes is one alert.
const OVER: u64 = 30;
/// From one failed message to the next try: this, twice as long each time, up to the other.
const AGAIN: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));

/// Something to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Of what.
    pub alert: Alert,
    /// It is over.
    pub is_over: bool,
    /// Since when it is the matter, Unix seconds.
    pub since: u64,
}

/// What has been told of and not told to be over.
#[derive(Debug, Default)]
pub struct Told {
    told: BTreeMap<String, Entry>,
    // Seen and not told yet: since when, Unix seconds.
    new: BTreeMap<String, u64>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    since: u64,
    gone: Option<u64>, // not seen since then
}

impl Told {
    /// What is to be told, now that all this is seen, the gravest first.
    pub fn news(&mut self, seen: &[Alert], now: u64) -> Vec<Event> {
        let is_seen = |key: &str| seen.iter().any(|alert| alert.key == key);
        for (key, entry) in &mut self.told {
            entry.gone = if is_seen(key) { None } else { entry.gone.or(Some(now)) };
        }
        let is_new = |alert: &&Alert| !self.told.contains_key(&alert.key);
        let new: BTreeMap<String, u64> = seen
            .iter()
            .filter(is_new)
            .map(|alert| (alert.key.clone(), self.new.get(&alert.key).copied().unwrap_or(now)))
            .collect();
        self.new = new;
        let begun = seen.iter().filter_map(|alert| {
            let since = *self.new.get(&alert.key)?;
            Some(Event { alert: alert.clone(), is_over: false, since })
        });
        // (Whom there is no room for is not told; who was told is not over for that.)
        let begun = begun.take(MOST.saturating_sub(self.told.len()));
        let is_over = |entry: &Entry| entry.gone.is_some_and(|gone| gone + OVER <= now);
        let over = self.told.iter().filter(|(_, entry)| is_over(entry)).filter_map(|(key, entry)| {
            Some(Event { alert: Alert::read(key)?, is_over: true, since: entry.since })
        });
        begun.chain(over).collect()
    }

    /// These were told, as far as they are of these kinds.
    pub fn note(&mut self, events: &[Event], of: impl Fn(Kind) -> bool) {
        for event in events.iter().filter(|event| of(event.alert.kind)) {
            if event.is_over {
                self.told.remove(&event.alert.key);
            } else {
                let entry = Entry { since: event.since, gone: None };
                self.told.insert(event.alert.key.clone(), entry);
            }
        }
    }

    /// Goes by what [`Told::write`] wrote, perhaps at another replica, in place of what is known here: who told meanwhile knows
    /// what is over as well. What cannot be read was not told.
    pub fn adopt(&mut self, noted: &str) {
        let lines = noted.lines().filter_map(|line| line.split_once(' '));
        let read = lines.filter_map(|(since, key)| Some((Alert::read(key)?.key, since.parse::<u64>().ok()?)));
        let before = std::mem::take(&mut self.told);
        let entry = |(key, since): (String, u64)| {
            let gone = before.get(&key).and_then(|entry: &Entry| entry.gone);
            (key, Entry { since, gone })
        };
        self.told = read.map(entry).collect();
    }

    /// Nothing is to be told to be over.
    pub fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// As it is kept.
    pub fn write(&self) -> String {
        self.told.iter().map(|(key, entry)| format!("{} {key}\n", entry.since)).collect()
    }
}

/// When a message may be tried: further and further apart while they fail.
#[derive(Debug, Default)]
pub struct Pace {
    failures: u32,
    next: Option<Instant>,
}

impl Pace {
    /// Now?
    pub fn may_try(&self, now: Instant) -> bool {
        self.next.is_none_or(|next| now >= next)
    }

    /// One was tried; whether that it failed is news. `luck`: from 0 to 1.
    pub fn ended(&mut self, posted: &Posted, now: Instant, luck: f64) -> bool {
        let Posted::Not { after, .. } = posted else {
            *self = Pace::default();
            return false;
        };
        let (first, most) = AGAIN;
        let wait = first.saturating_mul(1 << self.failures.min(16)).min(most).mul_f64(1.0 - 0.2 * luck);
        self.next = Some(now + wait.max(after.unwrap_or_default().min(most)));
        self.failures += 1;
        self.failures == 1
    }
}

#[cfg(test)]
#[path = "told_tests.rs"]
mod tests;
