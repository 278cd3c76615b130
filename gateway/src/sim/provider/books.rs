//! The provider's books: accounts, arrival log and counts, behind one lock so that the order of the log is the
//! order in which the limits were charged.

use super::account::{Account, Charging, Gauges, Refusal, TokenCost, Unit};
use super::faults::Route;
use super::limiter::LimiterKind;
use super::log::{Log, Record};
use super::options::{Key, Limits};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// How limits are enforced and charged; fixed for the life of the provider.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) limiter: LimiterKind,
    pub(super) window_us: u64,
    pub(super) charging: Charging,
    pub(super) count_rejected: bool,
    pub(super) keys: Vec<Key>,
    /// What somebody else takes of every limit, a share.
    pub(super) burn: f64,
}

/// What is known of a request when it arrives.
#[derive(Debug)]
pub(super) struct Arrival<'a> {
    pub(super) secret: Option<&'a str>,
    pub(super) route: Route,
    /// Port at the other end of its connection.
    pub(super) peer: u16,
    pub(super) model: &'a str,
    pub(super) stream: bool,
    /// All zero for a request that will be refused as invalid.
    pub(super) prompt_tokens: u64,
    /// Of them: from a cache, to a cache.
    pub(super) cached_tokens: u64,
    pub(super) written_tokens: u64,
    pub(super) max_tokens: u64,
    pub(super) planned_tokens: u64,
    pub(super) body: &'a [u8],
}

/// The verdict on an arrival.
#[derive(Debug)]
pub(super) enum Verdict {
    Admitted,
    UnknownKey,
    Refused(Refusal),
}

/// A key's counts for `GET /_stats`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct KeyStats {
    /// Requests that arrived.
    pub arrivals: u64,
    /// Ended calls by status sent; 0: none was.
    pub statuses: BTreeMap<u16, u64>,
    /// Calls that broke a limit.
    pub violations: u64,
    /// Calls that have not ended.
    pub in_flight: u64,
    /// Output tokens generated.
    pub output_tokens: u64,
    /// Requests that count against the limit now, and the limit.
    pub requests: Option<(u64, u64)>,
    /// Tokens that count against the limit now, and the limit.
    pub tokens: Option<(u64, u64)>,
}

/// Counts of one provider.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Stats {
    /// Unix microseconds of these counts.
    pub now_us: u64,
    /// Length of the limits' window in microseconds.
    pub window_us: u64,
    /// Records no longer kept in the log.
    pub log_dropped: u64,
    /// By key label: the first 8 hex digits of the key's SHA-256.
    pub keys: BTreeMap<String, KeyStats>,
}

#[derive(Debug)]
struct Entry {
    account: Account,
    stats: KeyStats,
}

/// Accounts, log and counts.
#[derive(Debug)]
pub(super) struct Books {
    rules: Rules,
    entries: Vec<Entry>,
    by_secret: HashMap<String, usize>,
    pub(super) log: Log,
}

impl Books {
    pub(super) fn new(rules: Rules, log: Log) -> Self {
        let mut books = Self { rules, entries: Vec::new(), by_secret: HashMap::new(), log };
        books.clear_accounts();
        books
    }

    /// Judges and records an arrival. Returns its number, the verdict and the limits after it.
    pub(super) fn arrive(&mut self, now_us: u64, arrival: &Arrival<'_>) -> (u64, Verdict, Gauges) {
        let body_sha256 = Sha256::digest(arrival.body).into();
        let mut record = Record {
            seq: 0,
            key: "".into(),
            route: arrival.route,
            peer: arrival.peer,
            arrival_us: now_us,
            headers_us: None,
            end_us: None,
            status: 0,
            reason: "in_flight",
            model: arrival.model.to_owned(),
            stream: arrival.stream,
            prompt_tokens: arrival.prompt_tokens,
            cached_tokens: arrival.cached_tokens,
            written_tokens: arrival.written_tokens,
            max_tokens: arrival.max_tokens,
            planned_tokens: arrival.planned_tokens,
            output_tokens: 0,
            request_charge: None,
            token_charge: None,
            aborted: false,
            violation: None,
            body_bytes: arrival.body.len() as u64,
            body_sha256,
        };
        let Some(index) = self.entry(arrival.secret) else {
            record.key = label(arrival.secret);
            return (self.log.push(record), Verdict::UnknownKey, Gauges::default());
        };
        let Entry { account, stats } = &mut self.entries[index];
        if arrival.route == Route::Models {
            record.key = account.label.clone();
            let gauges = account.gauges(now_us);
            return (self.log.push(record), Verdict::Admitted, gauges); // free of charge
        }
        stats.arrivals += 1;
        stats.in_flight += 1;
        record.key = account.label.clone();
        let cost = token_cost(self.rules.charging, arrival);
        let verdict = match account.admit(now_us, cost) {
            Ok(()) => {
                record.request_charge = Some((now_us, 1));
                record.token_charge = (cost.charged > 0).then_some((now_us, cost.charged));
                Verdict::Admitted
            }
            Err(refusal) => {
                stats.violations += 1;
                record.violation = Some(refusal.unit.name());
                if self.rules.count_rejected {
                    account.charge_request(now_us);
                    record.request_charge = Some((now_us, 1));
                }
                Verdict::Refused(refusal)
            }
        };
        let gauges = account.gauges(now_us);
        (self.log.push(record), verdict, gauges)
    }

    /// Headers with this status are being sent.
    pub(super) fn headers(&mut self, seq: u64, now_us: u64, status: u16) {
        if let Some(record) = self.log.get_mut(seq) {
            record.headers_us = Some(now_us);
            record.status = status;
        }
    }

    /// A call has ended with `output_tokens` generated. Charges it where the end is what is charged.
    pub(super) fn end(&mut self, seq: u64, now_us: u64, end: End) {
        let Some(record) = self.log.get_mut(seq) else { return };
        record.end_us = Some(now_us);
        record.reason = end.reason;
        record.aborted = end.aborted;
        record.output_tokens = end.output_tokens;
        let key = record.key.clone();
        let counts = record.route == Route::Chat;
        let mut entries = self.entries.iter_mut().filter(|_| counts);
        if let Some(entry) = entries.find(|entry| entry.account.label == key) {
            let answered = record.request_charge.is_some() && record.status < 400 && record.prompt_tokens > 0;
            if self.rules.charging == Charging::EndActual && answered && record.violation.is_none() {
                let amount = record.prompt_tokens + end.output_tokens;
                record.token_charge = Some((now_us, amount));
                if entry.account.charge_tokens(now_us, amount) {
                    record.violation = Some(Unit::Tokens.name());
                    entry.stats.violations += 1;
                }
            }
            entry.stats.in_flight = entry.stats.in_flight.saturating_sub(1);
            entry.stats.output_tokens += end.output_tokens;
            *entry.stats.statuses.entry(record.status).or_default() += 1;
        }
        self.log.finished(seq);
    }

    /// Counts as of now.
    pub(super) fn stats(&mut self, now_us: u64) -> Stats {
        let mut keys = BTreeMap::new();
        for Entry { account, stats } in &mut self.entries {
            let gauges = account.gauges(now_us);
            let mut stats = stats.clone();
            stats.requests = gauges.requests.map(|gauge| (gauge.used, gauge.limit));
            stats.tokens = gauges.tokens.map(|gauge| (gauge.used, gauge.limit));
            keys.insert(account.label.to_string(), stats);
        }
        Stats { now_us, window_us: self.rules.window_us, log_dropped: self.log.dropped(), keys }
    }

    /// Forgets every charge, count and record.
    pub(super) fn reset(&mut self) {
        self.log.clear();
        self.clear_accounts();
    }

    fn clear_accounts(&mut self) {
        self.entries.clear();
        self.by_secret.clear();
        for key in self.rules.keys.clone() {
            self.add(&key.secret, key.limits);
        }
    }

    /// The account of a key. Without configured keys every key gets an account without limits.
    fn entry(&mut self, secret: Option<&str>) -> Option<usize> {
        let name = secret.unwrap_or_default();
        if let Some(index) = self.by_secret.get(name) {
            return Some(*index);
        }
        self.rules.keys.is_empty().then(|| self.add(name, Limits::default()))
    }

    fn add(&mut self, secret: &str, limits: Limits) -> usize {
        let label = label(Some(secret).filter(|secret| !secret.is_empty()));
        let account = Account::new(label, limits, self.rules.limiter, self.rules.window_us, self.rules.burn);
        self.entries.push(Entry { account, stats: KeyStats::default() });
        self.by_secret.insert(secret.to_owned(), self.entries.len() - 1);
        self.entries.len() - 1
    }
}

/// How a call ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub(super) reason: &'static str,
    pub(super) output_tokens: u64,
    pub(super) aborted: bool,
}

/// The name of a key in logs: never the key itself.
pub(super) fn label(secret: Option<&str>) -> Arc<str> {
    match secret {
        Some(secret) => hex::encode(&Sha256::digest(secret)[..4]).into(),
        None => "none".into(),
    }
}

fn token_cost(charging: Charging, arrival: &Arrival<'_>) -> TokenCost {
    let prompt = arrival.prompt_tokens;
    match charging {
        Charging::AdmissionMax => {
            let all = prompt.saturating_add(arrival.max_tokens);
            TokenCost { checked: all, charged: all }
        }
        Charging::AdmissionActual => {
            let all = prompt.saturating_add(arrival.planned_tokens);
            TokenCost { checked: all, charged: all }
        }
        Charging::EndActual => TokenCost { checked: prompt, charged: 0 },
    }
}
