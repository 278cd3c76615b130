//! The end of an attempt, exactly once: the reservation is settled, the predictor learns, the cost is counted and
//! the call's record is told.

mod kept;
mod tab;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub use kept::Kept;
use opentelemetry::KeyValue;
pub use tab::{For, Tab};

use crate::config::DeploymentId;
use crate::dialect::failure::Failure;
use crate::dialect::openai::answer::Usage;
use crate::error::Kind;
use crate::shared::{PredictionKey, Shared, Snapshot};
use crate::standing::Busy;
use crate::state::{Actual, Reservation};
use crate::telemetry::trace::AttemptSpan;
use crate::telemetry::{Operation, Record};
use crate::upstream::seen::Seen;

/// What an attempt that is being answered still owes.
#[derive(Debug)]
pub struct Settlement {
    /// Where predictions are kept.
    pub shared: Arc<Shared>,
    /// `None` when limits are suspended (`on_outage = "open"`).
    pub reservation: Option<Reservation>,
    /// The call's record.
    pub record: Record,
    /// What the call goes by.
    pub snapshot: Arc<Snapshot>,
    /// Whose answer it is.
    pub deployment: DeploymentId,
    /// Estimated input tokens.
    pub input: u64,
    /// Choices asked for.
    pub choices: u64,
    /// What the predictor files this call under.
    pub key: PredictionKey,
    /// When the attempt was sent.
    pub sent: Instant,
    /// From then to the first content, if it is streamed.
    pub first: Option<Duration>,
    /// It failed, and its deployment is not to blame.
    pub blameless: bool,
    /// It failed in a way that opens no circuits.
    pub harmless: bool,
    /// The end of its time.
    pub until: Instant,
    /// The attempt is in flight.
    pub busy: Option<Busy>,
    /// The answer is made after the call has ended: what it will have used is not known here.
    pub background: bool,
    /// What it costs.
    pub tab: Option<Tab>,
    /// To be told of the answer's size at its end, where later calls may refer to it.
    pub kept: Option<Kept>,
    /// Of the attempt, if the call is told of.
    pub span: Option<AttemptSpan>,
    /// What the call is, in the word of the GenAI conventions.
    pub operation: &'static str,
}

impl Settlement {
    /// A plain answer was read whole.
    pub fn answered(mut self, usage: Option<Usage>, bytes: usize) {
        self.record.ok();
        self.went_well(usage);
        let known = Usage { input: self.input, output: bytes as u64 / 4, ..Usage::default() };
        self.close(usage, known);
    }

    /// A stream is over: ended, failed or left by the client.
    pub fn stream_ended(mut self, seen: &Seen, outcome: &'static str) {
        self.record.stream_ended(outcome);
        match outcome {
            "ok" => self.went_well(seen.usage),
            wrong if wrong == Kind::UpstreamFailed.name() => self.went_wrong(),
            // It stopped sending; else its time was over, which the client may have set.
            slow if slow == Kind::UpstreamTimeout.name() && Instant::now() < self.until => self.went_wrong(),
            _ => {} // that the client or this replica went says nothing of the deployment
        }
        self.close(seen.used(), seen.used_so_far(self.input));
    }

    /// The provider failed inside the stream: if it is at its limit, that is so for every replica and every other call.
    pub fn failed_by(&mut self, failure: &Failure) {
        let class = failure.class;
        (self.blameless, self.harmless) = (!class.is_theirs(), !class.opens_circuits());
        self.snapshot.rest(&self.shared.client, self.deployment, failure);
        if let (Some(busy), Some(of)) = (&mut self.busy, failure.account) {
            (self.blameless, self.harmless) = (true, true);
            busy.refused(of, class.retry_after());
        }
    }

    fn went_well(&mut self, usage: Option<Usage>) {
        let (first, whole) = (self.first, self.sent.elapsed());
        let output = usage.map(|usage| usage.output / self.choices.max(1));
        if let Some(busy) = &mut self.busy {
            busy.answered(first, whole, output);
        }
    }

    fn went_wrong(&mut self) {
        if let Some(busy) = self.busy.as_mut().filter(|_| !self.blameless) {
            busy.failed(!self.harmless);
        }
    }

    /// Tells collectors of the attempt's end.
    fn tell(&mut self, usage: Option<Usage>, actual: &Actual) {
        let (record, outcome) = (&self.record, self.record.outcome);
        record.trace.settled(|| {
            let held = self.reservation.as_ref().map_or(0, Reservation::held_tokens);
            let mut said = vec![
                KeyValue::new("weir.settled_by", settled_by(actual)),
                KeyValue::new("weir.held_tokens", i64::try_from(held).unwrap_or(i64::MAX)),
            ];
            let used = usage.and_then(|usage| i64::try_from(usage.total()).ok());
            said.extend(used.map(|used| KeyValue::new("weir.used_tokens", used)));
            said
        });
        self.shared.metrics.operation(&Operation {
            deployment: &self.snapshot.config.deployments[self.deployment.0],
            operation: self.operation,
            outcome,
            took: self.sent.elapsed(),
            first: self.first,
            usage,
        });
        if let Some(span) = self.span.take() {
            span.ended(outcome, usage.as_ref());
        }
    }

    /// `known`: what is known of the usage where the provider does not tell it in all.
    fn close(&mut self, usage: Option<Usage>, known: Usage) {
        self.record.upstream += self.sent.elapsed();
        self.record.usage = usage;
        let actual = match usage {
            Some(usage) => {
                self.shared.observe(&self.key, usage.output / self.choices.max(1));
                Actual::Used(usage)
            }
            None if self.background => Actual::Abandoned,
            None => Actual::Partial(known),
        };
        self.tell(usage, &actual);
        if let Some(reservation) = self.reservation.take() {
            reservation.settle(actual);
        }
        self.pay(actual);
        if let (Some(kept), Some(usage)) = (self.kept.take(), usage) {
            kept.tell_later(usage.total());
        }
    }

    fn pay(&mut self, actual: Actual) {
        let Some(tab) = self.tab.take() else { return };
        let cost = match actual {
            Actual::Abandoned => {
                tab.unknown(); // it is made later
                None
            }
            known => tab.pay(known),
        };
        (self.record.cost, self.record.is_cost_unknown) = (cost.unwrap_or(0.0), cost.is_none());
    }
}

/// How a reservation was settled: by what the provider said, or by what is known without.
fn settled_by(actual: &Actual) -> &'static str {
    match actual {
        Actual::Used(_) => "usage",
        Actual::Partial(_) => "estimate",
        Actual::TimedOut { .. } | Actual::Failed => "failure",
        Actual::Abandoned => "hold",
    }
}
