//! What a call leaves behind: one [`Record`], told once to the metrics, once to the log, to the call's span if it has one, and to
//! who watches.

mod calls;
mod costs;
mod explanation;
mod fates;
pub mod feed;
mod gauges;
mod genai;
mod instruments;
mod late;
mod levels;
pub mod log;
pub mod metrics;
pub(crate) mod names;
pub mod otlp;
mod overview;
mod redact;
mod series;
mod told;
pub mod trace;
mod variants;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use http::StatusCode;
use smallvec::SmallVec;

use crate::dialect::limits::Left;
use crate::dialect::voice::Voice;
use crate::error::Kind;
use crate::experiment::{Assigned, Ending, Sample};
use crate::state::core::SessionOutcome;

pub use explanation::{Explanation, Why};
pub use feed::Feed;
pub use genai::Operation;
pub use metrics::Metrics;
pub use otlp::Otlp;
pub use trace::Trace;

/// What is not known yet, made once: an empty `Arc` costs an allocation as well.
static NOBODY: LazyLock<Arc<str>> = LazyLock::new(|| "".into());
/// In an explanation: what is the same for all.
pub static EVERY: LazyLock<Arc<str>> = LazyLock::new(|| "every candidate".into());

/// Facts of one call, gathered on its way and told when it is dropped: at the end of the answer's body, or
/// wherever the call ended before.
#[derive(Debug)]
pub struct Record {
    metrics: Arc<Metrics>,
    /// Its place among traces.
    pub trace: Trace,
    /// Counts the call among those at once, if it was let in.
    pub place: Option<crate::bound::Part>,
    /// Who asks: who connected, or whom the balancer names.
    pub client: Option<std::net::IpAddr>,
    /// Sent to the client as `x-request-id`.
    pub id: String,
    /// When the request was read.
    pub started: Instant,
    /// Who pays; empty for an anonymous call.
    pub tenant: Arc<str>,
    /// The id of the key that it came with, if that was made at run time.
    pub key: Option<Arc<str>>,
    /// In whose manner the client is answered.
    pub voice: Voice,
    /// Which call; empty if that was never clear.
    pub api: &'static str,
    /// The same in the word of the GenAI conventions; empty as well.
    pub operation: &'static str,
    /// The configured model; empty if none was found.
    pub model: Arc<str>,
    /// The deployment of the last attempt.
    pub deployment: Arc<str>,
    /// Attempts sent.
    pub attempts: u32,
    /// Whether another attempt has begun beside the one that is counted, while both may run.
    pub beside: Option<Arc<AtomicBool>>,
    /// HTTP status; 499 if the client left first.
    pub status: u16,
    /// `ok`, an error kind, or how a stream ended.
    pub outcome: &'static str,
    /// The answer is a stream.
    pub stream: bool,
    /// Tokens as the provider counted them.
    pub usage: Option<crate::dialect::openai::answer::Usage>,
    /// Tokens held for the last attempt.
    pub held_tokens: u64,
    /// From the request to the first content.
    pub first_token: Option<Duration>,
    /// Spent waiting for upstreams.
    pub upstream: Duration,
    /// Spent waiting for the shared state.
    pub state: Duration,
    /// Spent waiting for room.
    pub waited: Duration,
    /// Since when it waits for room now, and in which pool.
    pub waiting: Option<(Instant, Arc<str>)>,
    /// US dollars, of the attempt that answered.
    pub cost: f64,
    /// Nobody knows what it cost.
    pub is_cost_unknown: bool,
    /// What became of the session.
    pub session: SessionOutcome,
    /// What the tenant has left, for the answer's head.
    pub left: SmallVec<[Left; 2]>,
    /// The variant that it fell to, if its model is experimented with.
    pub assigned: Option<Box<Assigned>>,
    /// Why each candidate was taken or not.
    pub explanation: Explanation,
}

impl Record {
    /// Of a call that was just read. Until somebody says otherwise, the client has left.
    pub fn new(metrics: Arc<Metrics>, id: String) -> Record {
        Record {
            metrics,
            trace: Trace::Off,
            place: None,
            client: None,
            id,
            started: Instant::now(),
            voice: Voice::default(),
            api: "",
            operation: "",
            tenant: NOBODY.clone(),
            key: None,
            model: NOBODY.clone(),
            deployment: NOBODY.clone(),
            attempts: 0,
            beside: None,
            status: 499,
            outcome: "client_gone",
            stream: false,
            usage: None,
            held_tokens: 0,
            first_token: None,
            upstream: Duration::ZERO,
            waited: Duration::ZERO,
            waiting: None,
            state: Duration::ZERO,
            cost: 0.0,
            is_cost_unknown: false,
            session: SessionOutcome::None,
            left: SmallVec::new(),
            assigned: None,
            explanation: Explanation::default(),
        }
    }

    /// A stream, whose head was sent before, is over.
    pub fn stream_ended(&mut self, outcome: &'static str) {
        self.outcome = outcome;
        self.status = if outcome == "client_gone" { 499 } else { 200 };
    }

    /// As an experiment sees it.
    fn sample(&self, whole: Duration) -> Sample {
        Sample {
            ending: ending(self.status, self.outcome),
            spilled: self.assigned.as_ref().is_some_and(|assigned| assigned.spilled),
            whole,
            first: self.first_token,
            tokens: self.usage.map(|usage| (usage.input, usage.output)),
            cost: self.cost,
        }
    }

    /// It waits for room in a pool, from now on if it did not before.
    pub fn waits(&mut self, pool: Arc<str>) {
        self.waiting.get_or_insert_with(|| (Instant::now(), pool));
    }

    /// It waits no more, if it did: it was `served`, `refused`, or its client has `left`.
    pub fn waits_no_more(&mut self, outcome: &'static str) {
        let Some((since, pool)) = self.waiting.take() else { return };
        let time = since.elapsed();
        self.waited += time;
        self.metrics.waited(&self.model, time, outcome);
        self.trace.waited(time, &pool, outcome);
        self.explanation.add(&EVERY, Why::Waited { time, pool });
    }

    /// Served to the end.
    pub fn ok(&mut self) {
        (self.status, self.outcome) = (200, "ok");
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.waits_no_more("left");
        if self.beside.take().is_some_and(|begun| begun.load(Ordering::Relaxed)) {
            self.attempts += 1; // its client left while both ran
            self.metrics.hedged(&self.model, "none");
        }
        let duration = self.started.elapsed();
        self.metrics.call(self, duration);
        if let Some(assigned) = &self.assigned {
            let sample = self.sample(duration);
            self.metrics.of_variant(assigned, &sample);
            assigned.book.note(assigned.variant, sample);
        }
        if let Trace::Told(told) = &self.trace {
            told.end(self, duration);
        }
        self.metrics.feed.call(self, duration);
        log::call(self, duration); // takes what it tells
    }
}

/// What became of a call: whose fault it is that it was not served.
fn ending(status: u16, outcome: &str) -> Ending {
    let any = StatusCode::default();
    let theirs = [
        Kind::RateLimited,
        Kind::BudgetSpent,
        Kind::TooBigForLimit,
        Kind::Refused(any),
        Kind::ContextTooLong(any),
        Kind::ContentFiltered(any),
    ];
    match (status, outcome) {
        (_, "ok") => Ending::Served,
        (_, "client_gone") => Ending::Left,
        _ if theirs.iter().any(|kind| kind.name() == outcome) => Ending::Refused,
        (400..=428 | 430..=499, _) => Ending::Refused,
        _ => Ending::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Fault;

    /// Broken on purpose to see it fail: every 429 taken for the client's fault; what a provider refuses taken for the provider's.
    #[test]
    fn a_variant_is_to_blame_for_what_providers_and_the_gateway_do_and_for_nothing_else() {
        for kind in Kind::all() {
            let expected = match (kind, kind.fault()) {
                (Kind::RateLimited | Kind::BudgetSpent | Kind::TooBigForLimit | Kind::ModelForbidden, _) => {
                    Ending::Refused
                }
                (_, Fault::Client) => Ending::Refused,
                (_, Fault::Policy | Fault::Upstream | Fault::Gateway) => Ending::Failed,
            };
            assert_eq!(ending(kind.status().as_u16(), kind.name()), expected, "{kind:?}");
        }
        // A stream that broke has its head behind it.
        assert_eq!(ending(200, Kind::UpstreamFailed.name()), Ending::Failed);
        assert_eq!(ending(499, "client_gone"), Ending::Left);
        assert_eq!(ending(200, "ok"), Ending::Served);
    }
}
