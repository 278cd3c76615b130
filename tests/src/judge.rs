//! The verdict on a run: `judge.py` on the providers' raw arrival logs.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::place;
use crate::provider::Provider;

/// Which limit a run is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Requests per window.
    Requests,
    /// Tokens per window.
    Tokens,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Unit::Requests => "requests",
            Unit::Tokens => "tokens",
        }
    }
}

/// What the judge found.
#[derive(Debug)]
pub struct Verdict {
    report: Value,
}

impl Verdict {
    /// Judges the logs of `providers`, with the windows and limits that they enforce. A call that a stopped replica sends
    /// long after the load ended, at `until_us`, does not count as a time in which nothing was used.
    pub async fn on(providers: &[Provider], window: Duration, until_us: u64) -> Result<Verdict> {
        let mut command = Command::new("python3");
        command.arg(place::judge()).arg("--window").arg(window.as_secs_f64().to_string());
        command.arg("--load-to-us").arg(until_us.to_string());
        let Some(first) = providers.first() else { bail!("no provider to judge") };
        command.arg("--mode").arg(first.upstream.charge);
        for provider in providers {
            let upstream = &provider.upstream;
            for (unit, limit) in [("rpm", upstream.rpm), ("tpm", upstream.tpm)] {
                if let Some(limit) = limit {
                    command.arg("--limit").arg(format!("{}:{unit}={limit}", upstream.key()));
                }
            }
        }
        for provider in providers {
            command.arg(provider.log().await?);
        }
        let output = command.output().context("is python3 installed?")?;
        let report: Value = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("the judge failed: {}", String::from_utf8_lossy(&output.stderr)))?;
        if let Some(reason) = report.get("void") {
            bail!("void: the logs prove nothing: {reason}");
        }
        print!("{}", String::from_utf8_lossy(&output.stderr));
        Ok(Verdict { report })
    }

    /// What is wrong, in words; empty when every limit was kept and no 429 was needed for it.
    pub fn failures(&self) -> Vec<String> {
        let words = |found: &Value| found.as_str().unwrap_or_default().to_owned();
        self.report["failures"].as_array().map(|all| all.iter().map(words).collect()).unwrap_or_default()
    }

    /// Fails unless every limit was kept without a single 429.
    pub fn must_be_clean(&self) -> Result<()> {
        let failures = self.failures();
        if !failures.is_empty() {
            bail!("limits were not kept:\n  {}", failures.join("\n  "));
        }
        Ok(())
    }

    /// Share of the summed limit that was used, from one window after the first arrival on.
    pub fn used(&self, unit: Unit) -> f64 {
        let (mut used, mut limits) = (0.0, 0.0);
        for key in self.keys() {
            let limit = key[unit.name()]["limit"].as_f64().unwrap_or(0.0);
            used += limit * key[unit.name()]["used_share"].as_f64().unwrap_or(0.0);
            limits += limit;
        }
        used / limits
    }

    /// Worst window and limit of every provider.
    pub fn worst(&self, unit: Unit) -> Vec<(u64, u64)> {
        let number = |value: &Value| value.as_u64().unwrap_or(0);
        let pair = |key: &Value| (number(&key[unit.name()]["worst"]), number(&key[unit.name()]["limit"]));
        self.keys().map(pair).collect()
    }

    /// The largest sum of tokens in one window of every provider, if it charges each call at whatever instant from
    /// its arrival to its end is worst; nothing where every call is charged on arrival.
    pub fn worst_at_any_instant(&self) -> Vec<u64> {
        self.keys().filter_map(|key| key["tokens"]["at_any_instant"].as_u64()).collect()
    }

    /// Calls that providers admitted.
    pub fn admitted(&self) -> u64 {
        self.sum("arrivals") - self.refused()
    }

    /// Calls that providers answered with 429.
    pub fn refused(&self) -> u64 {
        self.sum("refused_429")
    }

    fn sum(&self, field: &str) -> u64 {
        self.keys().map(|key| key[field].as_u64().unwrap_or(0)).sum()
    }

    fn keys(&self) -> impl Iterator<Item = &Value> {
        self.report["keys"].as_object().into_iter().flat_map(|keys| keys.values())
    }
}
