//! What came of a row: its checks, and the lines that are printed of it.

use std::fmt::Write as _;
use std::slice;

use anyhow::{Result, bail, ensure};
use serde_json::json;
use weir_tests::client::Answer;
use weir_tests::judge::{Unit, Verdict};
use weir_tests::load::load_ended;
use weir_tests::provider::Provider;
use weir_tests::site::Site;

use super::fault::Fault;
use super::row::{Row, Strike, must_be_overload};
use crate::MOST_CLOSED;

/// A row after its run.
pub(crate) struct Outcome {
    pub(crate) site: Site,
    pub(crate) answers: Vec<Answer>,
    /// Times the summed limits.
    offered: f64,
    pub(crate) strikes: Vec<Strike>,
    /// In the order of the plan's providers.
    findings: Vec<Finding>,
}

/// The judge on one provider.
pub(crate) struct Finding {
    name: &'static str,
    limit: u64,
    /// What a window may hold.
    bound: u64,
    /// The fullest window, wherever the provider charges a call.
    worst: u64,
    used: f64,
    admitted: u64,
    refused: u64,
}

impl Finding {
    /// Each provider is judged by its own way to charge.
    async fn on(
        row: &Row,
        provider: &Provider,
        site: &Site,
        strikes: &[Strike],
        until_us: u64,
    ) -> Result<Finding> {
        let verdict = Verdict::on(slice::from_ref(provider), site.plan.scale.window, until_us).await?;
        let upstream = &provider.upstream;
        let unit = if upstream.rpm.is_some() { Unit::Requests } else { Unit::Tokens };
        let at_any_moment = if unit == Unit::Tokens { verdict.worst_at_any_instant() } else { Vec::new() };
        let worst = verdict.worst(unit).into_iter().map(|(worst, _)| worst).chain(at_any_moment).max();
        let limit = upstream.rpm.or(upstream.tpm).unwrap_or(0);
        let bound = match row.shares {
            true => limit + row.granted_unseen(&provider.arrivals().await?, strikes, row.weight(upstream)),
            false => (limit as f64 * (row.bound)(site.plan.scale.window)) as u64,
        };
        Ok(Finding {
            name: upstream.name,
            limit,
            bound,
            worst: worst.unwrap_or(0),
            used: verdict.used(unit),
            admitted: verdict.admitted(),
            refused: verdict.refused(),
        })
    }

    /// Times its limit.
    fn times(&self, amount: u64) -> f64 {
        amount as f64 / self.limit as f64
    }
}

impl Outcome {
    pub(crate) async fn of(
        row: &Row,
        site: Site,
        answers: Vec<Answer>,
        offered: f64,
        strikes: Vec<Strike>,
    ) -> Result<Outcome> {
        let mut findings = Vec::new();
        let until_us = load_ended(&answers);
        for provider in &site.providers {
            findings.push(Finding::on(row, provider, &site, &strikes, until_us).await?);
        }
        let outcome = Outcome { site, answers, offered, strikes, findings };
        outcome.print(row);
        Ok(outcome)
    }

    /// Windows that exceed the bound, and refusals that say so, in words.
    pub(crate) fn breaches(&self) -> Vec<String> {
        let mut found = Vec::new();
        for Finding { name, limit, bound, worst, refused, .. } in &self.findings {
            if worst > bound {
                found.push(format!(
                    "{name}: a window held {worst}; the limit is {limit}, {bound} are allowed"
                ));
            }
            if *refused > 0 {
                found.push(format!("{name}: {refused} calls answered with 429"));
            }
        }
        found
    }

    /// Fails unless the limits held, hard to hold as it was, were used, and calls fared as the row says.
    pub(crate) fn must_hold(&self, row: &Row) -> Result<()> {
        let breaches = self.breaches();
        if !breaches.is_empty() {
            bail!("{}: limits were not kept:\n  {}", row.name, breaches.join("\n  "));
        }
        must_be_overload(self.offered)?;
        ensure!(!self.strikes.is_empty(), "void: the fault never struck");
        for (finding, least) in self.findings.iter().zip(row.least_used) {
            let Finding { name, used, .. } = finding;
            let strict = row.fault == Fault::None || self.site.plan.scale.is_full();
            let least = if strict { least } else { 0.9 * least };
            ensure!(*used >= least, "{name}: only {used:.3} of the limit was used, not {least}");
        }
        let (closed, lost) = (self.count(503), self.lost());
        let all = self.answers.len() as f64;
        let refused = format!("{closed} of {all} calls were refused for want of the shared state");
        ensure!(row.closes || closed as f64 <= MOST_CLOSED * all, "{refused}");
        let most = row.most_lost * all;
        ensure!(lost as f64 <= most, "{lost} of {} calls were lost", self.answers.len());
        let odd = self.answers.iter().find(|a| !matches!(a.status, 0 | 200 | 429 | 502 | 503 | 504));
        ensure!(odd.is_none(), "an answer that nothing explains: {odd:?}");
        Ok(())
    }

    fn count(&self, status: u16) -> usize {
        self.answers.iter().filter(|answer| answer.status == status).count()
    }

    fn lost(&self) -> usize {
        let lost = |answer: &&Answer| answer.broken.is_some() || matches!(answer.status, 0 | 502 | 504);
        self.answers.iter().filter(lost).count()
    }

    /// One line for machines, and one for the table in RESULTS.md.
    fn print(&self, row: &Row) {
        let full = self.site.plan.scale.window.as_secs();
        let [mut limits, mut worst, mut used] = [const { String::new() }; 3];
        let (mut admitted, mut refused) = (0, 0);
        let mut providers = Vec::new();
        for (at, finding) in self.findings.iter().enumerate() {
            let Finding { name, limit, .. } = finding;
            let between = if at > 0 { " / " } else { "" };
            // Writing to a string cannot fail.
            let _ = write!(limits, "{between}{limit}");
            let _ = write!(worst, "{between}{:.3}", finding.times(finding.worst));
            let _ = write!(used, "{between}{:.1}", 100.0 * finding.used);
            admitted += finding.admitted;
            refused += finding.refused;
            providers.push(json!({
                "name": name, "limit": limit, "bound": finding.bound, "worst": finding.worst, "used": finding.used,
                "admitted": finding.admitted, "refused": finding.refused,
            }));
        }
        let bound = self.findings.iter().map(|finding| finding.times(finding.bound)).fold(1.0, f64::max);
        let (offered, closed, lost) = (self.offered, self.count(503), self.lost());
        let replicas = self.site.replicas.len();
        let record = json!({
            "row": row.name, "window_s": full, "replicas": replicas, "offered": offered, "strikes": self.strikes.len(),
            "bound": bound, "closed_503": closed, "lost": lost, "calls": self.answers.len(), "providers": providers,
        });
        println!("ROW {record}");
        let strikes = if row.fault == Fault::None { 0 } else { self.strikes.len() };
        println!(
            "| {} ({strikes}) | {full} s: {limits} | {replicas} | {offered:.2} | {admitted} | {used} | {worst} | {bound:.3} | {refused} | {lost} / {closed} |",
            row.name,
        );
    }
}
