//! A load that was recorded: the lines that Weir logs of its calls, played again. Pure, line by line.
//!
//! A line is written when its call has ended, so a call came as long before as it lasted. It is served anew in the time that it took
//! then at its provider. What was refused has no size: it is taken to be like the call of its model that was served last before it.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use serde::Deserialize;

use super::load::{Coming, Load};
use super::service::Us;
use crate::config::Config;

/// A line of a call; of other lines there is no `model`.
#[derive(Deserialize)]
struct Line<'l> {
    timestamp: &'l str,
    target: &'l str,
    #[serde(default)]
    tenant: String,
    model: Option<String>,
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    status: u16,
    #[serde(default)]
    input_tokens: u64,
    #[serde(default)]
    output_tokens: u64,
    #[serde(default)]
    held_tokens: u64,
    #[serde(default)]
    duration_ms: f64,
    first_token_ms: Option<f64>,
    upstream_ms: Option<f64>,
    #[serde(default)]
    waited_ms: f64,
}

/// A log, read.
#[derive(Debug, Default)]
pub struct Record {
    names: Vec<String>,
    calls: Vec<(u64, Coming)>, // when they came, Unix time in microseconds
    unsized_calls: Vec<(u64, usize, Option<usize>, bool)>,
    left_out: BTreeMap<String, u64>,
    /// Lines that are no JSON, and the number of the first.
    pub broken: Option<(u64, u64)>,
    lines: u64,
}

impl Record {
    /// Reads a line.
    pub fn read(&mut self, line: &str, config: &Config) {
        self.lines += 1;
        if line.trim().is_empty() {
            return;
        }
        let Ok(read) = serde_json::from_str::<Line<'_>>(line) else {
            // Events of the log have other fields, but are JSON with a target.
            let is_event =
                serde_json::from_str::<serde_json::Value>(line).is_ok_and(|event| event.is_object());
            if !is_event {
                self.broken = Some(self.broken.map_or((1, self.lines), |(count, first)| (count + 1, first)));
            }
            return;
        };
        let Some(model) =
            read.model.as_deref().filter(|model| read.target == "weir::call" && !model.is_empty())
        else {
            return;
        };
        let Some(ended) = unix_us(read.timestamp) else {
            self.broken = Some(self.broken.map_or((1, self.lines), |(count, first)| (count + 1, first)));
            return;
        };
        let tenant = config.tenants.iter().position(|tenant| *tenant.name == *read.tenant);
        let what = match tenant {
            _ if config.find_model(model).is_none() => Some(format!("model {model}")),
            None if !config.tenants.is_empty() => Some(format!("tenant {}", read.tenant)),
            _ => None,
        };
        if let Some(what) = what {
            *self.left_out.entry(what).or_default() += 1;
            return;
        }
        let model = model.to_owned();
        self.take(&read, model, tenant, ended);
    }

    fn take(&mut self, line: &Line<'_>, model: String, tenant: Option<usize>, ended: u64) {
        let name = self.names.iter().position(|name| *name == model).unwrap_or_else(|| {
            self.names.push(model);
            self.names.len() - 1
        });
        let came = ended.saturating_sub((line.duration_ms.max(0.0) * 1e3) as u64);
        if line.status != 200 || line.input_tokens == 0 {
            self.unsized_calls.push((came, name, tenant, line.stream));
            return;
        }
        let alone = (line.duration_ms - line.waited_ms).max(0.0);
        let whole = line.upstream_ms.filter(|time| *time > 0.0).unwrap_or(alone);
        let first = line.first_token_ms.map_or(whole, |first| (first - line.waited_ms).clamp(0.0, whole));
        // What was held besides the input is what the call could have come to.
        let most = line.held_tokens.checked_sub(line.input_tokens).filter(|most| *most >= line.output_tokens);
        let coming = Coming {
            at: 0,
            name,
            tenant,
            input: line.input_tokens,
            weighs: line.input_tokens,
            output: line.output_tokens,
            max_tokens: most.filter(|most| *most > 0),
            stream: line.stream,
            took: Some((first / 1e3, whole / 1e3)),
        };
        self.calls.push((came, coming));
    }

    /// All lines were read: what was refused gets a size, and everything its order.
    pub fn complete(&mut self) {
        self.calls.sort_by_key(|(came, _)| *came);
        self.give_sizes();
        self.calls.sort_by_key(|(came, _)| *came);
    }

    /// How many calls there are.
    pub fn len(&self) -> usize {
        self.calls.len() + self.unsized_calls.len()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is not played, and how many calls of each: what the configuration does not have.
    pub fn left_out(&self) -> &BTreeMap<String, u64> {
        &self.left_out
    }

    /// So many times as much: each call as often, copies some seconds later. Calls that nothing is known of, and none of whose model
    /// was served, are left out.
    pub fn load(mut self, times: f64, seed: u64) -> Load {
        self.complete();
        let begin = self.calls.first().map_or(0, |(came, _)| *came);
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut calls = Vec::with_capacity((self.calls.len() as f64 * times) as usize + 1);
        for (came, coming) in self.calls {
            let copies = times.floor() as u64 + u64::from(rng.f64() < times.fract());
            for copy in 0..copies {
                let later: Us = if copy == 0 { 0 } else { rng.u64(0..LATER) };
                calls.push(Coming { at: came - begin + later, ..coming.clone() });
            }
        }
        Load::log(self.names, calls)
    }

    /// What was refused gets the size of the call of its model that was served last before it; the first get that of the first served.
    fn give_sizes(&mut self) {
        let mut unsized_calls = std::mem::take(&mut self.unsized_calls);
        unsized_calls.sort_by_key(|(came, ..)| *came);
        let mut last: Vec<Option<usize>> = vec![None; self.names.len()];
        for (at, (_, call)) in self.calls.iter().enumerate().rev() {
            last[call.name] = Some(at); // the first
        }
        let (mut at, served) = (0, self.calls.len());
        for (came, name, tenant, stream) in unsized_calls {
            while at < served && self.calls[at].0 <= came {
                last[self.calls[at].1.name] = Some(at);
                at += 1;
            }
            match last[name] {
                Some(like) => {
                    let coming = Coming { tenant, stream, ..self.calls[like].1.clone() };
                    self.calls.push((came, coming));
                }
                None => {
                    let what = format!("model {}, of which nothing was served", self.names[name]);
                    *self.left_out.entry(what).or_default() += 1;
                }
            }
        }
    }
}

/// Copies of calls come so much later at most.
const LATER: Us = 5_000_000;

fn unix_us(timestamp: &str) -> Option<u64> {
    let time = humantime::parse_rfc3339(timestamp).ok()?;
    let since: Duration = time.duration_since(UNIX_EPOCH).ok()?;
    Some(since.as_micros() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::check::check;

    fn config() -> Config {
        let text = "version = 1\naccounts = [{ name = \"a\", provider = \"openai\", api_key = \"k\" }]\n\
            deployments = [{ name = \"d\", account = \"a\", model = \"x\" }]\n\
            models = [{ name = \"m\", deployments = [\"d\"] }]\ntenants = [{ name = \"web\", models = [\"*\"] }]\n";
        check(std::path::Path::new("weir.toml"), text, &|_| None).unwrap_or_else(|report| panic!("{report}"))
    }

    fn line(second: u32, status: u16, tokens: (u64, u64), more: &str) -> String {
        format!(
            r#"{{"timestamp":"2026-11-30T10:00:{second:02}.500000Z","level":"INFO","target":"weir::call","request_id":"r","api":"chat","tenant":"web","model":"m","deployment":"d","outcome":"ok","session":"none","stream":true,"status":{status},"attempts":1,"input_tokens":{},"cached_tokens":0,"output_tokens":{},"held_tokens":150,"cost_micro_usd":3{more}}}"#,
            tokens.0, tokens.1
        )
    }

    fn played(record: Record, times: f64) -> Vec<Coming> {
        let (mut load, mut rng) = (record.load(times, 1), fastrand::Rng::with_seed(1));
        std::iter::from_fn(|| load.next(&mut rng)).collect()
    }

    /// Broken on purpose to see it fail: the time at which a call ended taken for that at which it came.
    #[test]
    fn calls_come_as_they_came() {
        let (config, mut record) = (config(), Record::default());
        let times = r#","duration_ms":4000.000,"first_token_ms":1500.000,"upstream_ms":3000.000,"state_ms":0.100,"waited_ms":1000.000"#;
        record.read(&line(20, 200, (100, 40), times), &config);
        record.read(
            r#"{"timestamp":"2026-11-30T10:00:00Z","level":"WARN","target":"weir::keys","message":"x"}"#,
            &config,
        );
        record.read(&line(30, 429, (0, 0), r#","duration_ms":12000.000"#), &config);
        record.read("not a line", &config);
        record.read(&line(30, 200, (1, 1), "").replace(r#""model":"m""#, r#""model":"other""#), &config);
        record.read(&line(30, 200, (1, 1), "").replace(r#""tenant":"web""#, r#""tenant":"x""#), &config);
        assert_eq!((record.len(), record.broken), (2, Some((1, 4))));
        let left: Vec<_> = record.left_out().iter().map(|(what, count)| (what.as_str(), *count)).collect();
        assert_eq!(left, [("model other", 1), ("tenant x", 1)]);
        let played = played(record, 1.0);
        let [served, refused] = [&played[0], &played[1]];
        assert_eq!((served.at, served.input, served.output, served.tenant), (0, 100, 40, Some(0)));
        assert_eq!((served.took, served.max_tokens, served.stream), (Some((0.5, 3.0)), Some(50), true));
        assert_eq!((refused.at, refused.input, refused.took), (2_000_000, 100, Some((0.5, 3.0))));
    }

    /// Broken on purpose to see it fail: the part of a copy always made.
    #[test]
    fn a_log_is_played_so_many_times_as_dense() {
        let (config, mut record) = (config(), Record::default());
        (0..600).for_each(|at| record.read(&line(at % 60, 200, (10, 5), r#","duration_ms":1.000"#), &config));
        let count = played(record, 2.5).len();
        assert!((1_400..1_600).contains(&count), "{count}");
    }
}
