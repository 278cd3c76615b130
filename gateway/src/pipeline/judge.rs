//! What a failed attempt means: what is settled, who rests, what the client is told and what may be tried next.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;

use super::attempt::Attempt;
use super::note;
use crate::dialect::failure::{Class, Failure};
use crate::dialect::openai::answer::Usage;
use crate::dialect::talk::Refused;
use crate::error::{Error, Kind, Said};
use crate::settle::Tab;
use crate::state::{Actual, Reservation};
use crate::telemetry::trace::AttemptSpan;
use crate::telemetry::{Operation, Record, names};
use crate::upstream::Failed;

/// When to come back to an upstream that does not say when.
const RETRY_SOON: Duration = Duration::from_secs(5);

/// Why an attempt did not answer, and what that allows.
pub(super) struct Miss {
    pub(super) error: Error,
    /// Another deployment may be tried.
    pub(super) retry: bool,
    /// After a pause: the fault may be a shared one.
    pub(super) pause: bool,
    /// But nothing is tried any more: it took too long.
    pub(super) slow: bool,
    /// It may have been sent.
    pub(super) sent: bool,
    /// And nothing of its account is: the provider has said so.
    pub(super) refuses: bool,
    /// How it ended, in a word.
    pub(super) outcome: &'static str,
    /// What it counts as.
    pub(super) what: What,
}

/// What an attempt that did not answer counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// One of the call's attempts.
    Attempt,
    /// None: what the call continues is not kept in this account; it may be in another.
    NotKept,
    /// None: nothing was sent, for the request cannot be said there.
    Unsayable,
}

impl Miss {
    /// Was nothing of the call taken in?
    pub(super) fn is_unread(&self) -> bool {
        !self.sent || matches!(self.what, What::NotKept | What::Unsayable)
    }

    /// Another deployment is tried, after a pause if so said.
    fn retried(error: Error, pause: bool) -> Miss {
        Miss {
            error,
            retry: true,
            pause,
            slow: false,
            sent: true,
            refuses: false,
            outcome: "failed",
            what: What::Attempt,
        }
    }
}

impl Attempt<'_> {
    /// Settles an attempt that failed, tells the others, and decides what is next.
    pub(super) fn miss(self, failed: Failed, record: &mut Option<Record>) -> Miss {
        let (time, deployment) = (self.sent.elapsed(), self.deployment);
        let miss = self.missed(failed);
        note(record, |record| {
            record.upstream += time;
            record.explanation.tried(&deployment.name, miss.outcome);
        });
        miss
    }

    /// The same of one that is noted later.
    pub(super) fn missed(mut self, failed: Failed) -> Miss {
        self.settle(&failed);
        let span = self.span.take();
        let _told_there = span.as_ref().map(AttemptSpan::enter);
        let status = match &failed {
            Failed::Answered { status, .. } => Some(status.as_u16()),
            _ => None,
        };
        let of_account = match &failed {
            Failed::Answered { failure, .. } => failure.account.map(|of| (of, failure.class.retry_after())),
            _ => None,
        };
        let opens = self.opens_circuits(&failed);
        let speaks = speaks_against(&failed, self.call.deadline);
        match (&mut self.busy, of_account) {
            (Some(busy), Some((of, said))) => busy.refused(of, said),
            (Some(busy), None) if speaks => busy.failed(opens),
            _ => {}
        }
        let ours = matches!(failed, Failed::Late(_));
        let (outcome, miss) = self.judge(failed);
        if miss.retry && miss.what == What::Attempt && !ours && Instant::now() < self.call.deadline {
            self.call.snapshot.standings[self.target.deployment.0].served(false);
        }
        self.tell_missed(outcome);
        span.into_iter().for_each(|span| span.failed(outcome, status));
        Miss { slow: self.retry().is_slow(self.sent.elapsed()), outcome, ..miss }
    }

    /// What it counts and costs all the same: the same for limits and budgets as for costs.
    fn settle(&mut self, failed: &Failed) {
        let (reservation, tab) = (self.reservation.take(), self.tab.take());
        match actual(failed, self.call.input, Instant::now() >= self.call.deadline) {
            None => {
                reservation.into_iter().for_each(Reservation::cancel);
                tab.into_iter().for_each(Tab::free);
            }
            Some(actual) => {
                reservation.into_iter().for_each(|reservation| reservation.settle(actual));
                tab.into_iter().for_each(|tab| tab.pay_in_vain(actual));
            }
        }
    }

    fn tell_missed(&self, outcome: &'static str) {
        let metrics = &self.call.worker.shared.metrics;
        metrics.attempt(&self.deployment.name, outcome);
        metrics.operation(&Operation {
            deployment: self.deployment,
            operation: names::operation(self.call.peek.api),
            outcome,
            took: self.sent.elapsed(),
            first: None,
            usage: None,
        });
    }

    /// Is it a failure that others had better be spared? Not what one request may be to blame for: an answer that cannot be
    /// told, a long time before the first content of a stream that has begun, a conflict, a tool of the client's that is away.
    fn opens_circuits(&self, failed: &Failed) -> bool {
        match failed {
            Failed::NotSent(_) | Failed::Broken(_) => true,
            Failed::TimedOut(_) => !self.begun,
            Failed::Late(_) | Failed::Unreadable { .. } | Failed::Unsayable(_) => false,
            Failed::Answered { status, failure, .. } => {
                failure.opens_circuits() && !matches!(status.as_u16(), 409 | 424)
            }
        }
    }

    fn judge(&self, failed: Failed) -> (&'static str, Miss) {
        let name = &self.deployment.name;
        let broken = |outcome, kind, detail: &str| {
            tracing::warn!(target: "weir::upstream", deployment = %name, outcome, detail, "attempt failed");
            (outcome, Miss::retried(no_answer(kind), true))
        };
        match failed {
            Failed::NotSent(detail) => {
                let (outcome, miss) = broken("not_sent", Kind::UpstreamFailed, &detail);
                (outcome, Miss { pause: false, sent: false, ..miss })
            }
            Failed::Late(detail) => {
                let (outcome, miss) = broken("not_sent", Kind::UpstreamFailed, detail);
                (outcome, Miss { pause: false, sent: false, ..miss })
            }
            Failed::Unsayable(refused) => ("unsayable", Miss { what: What::Unsayable, ..unsayable(refused) }),
            Failed::Unreadable { field, .. } => {
                let (outcome, miss) = broken("unreadable", Kind::UpstreamFailed, &field);
                (outcome, Miss { retry: false, ..miss })
            }
            Failed::TimedOut(detail) => broken("timeout", Kind::UpstreamTimeout, detail),
            Failed::Broken(detail) => broken("broken", Kind::UpstreamFailed, &detail),
            Failed::Answered { status, failure, body } => {
                tracing::warn!(
                    target: "weir::upstream", deployment = %name, status = status.as_u16(),
                    class = ?failure.class, "attempt refused"
                );
                let (outcome, miss) = self.judge_answer(status, &failure, &body);
                let refuses = failure.should_retry == Some(false) || failure.account.is_some();
                (outcome, Miss { refuses, ..miss })
            }
        }
    }

    fn judge_answer(&self, status: StatusCode, failure: &Failure, body: &Bytes) -> (&'static str, Miss) {
        let class = failure.class;
        let refused_as = |kind, retry| {
            let error = Error { kind, ..self.refused(status, failure, body) };
            Miss { retry, ..Miss::retried(error, false) }
        };
        let refused = |retry| refused_as(Kind::Refused(status), retry);
        let failed = |pause| Miss::retried(no_answer(Kind::UpstreamFailed), pause);
        match class {
            Class::RateLimited { .. } => ("rate_limited", self.rest(failure)),
            Class::QuotaExhausted { .. } => ("quota_exhausted", self.rest(failure)),
            // Who says 429 asks for fewer calls; the client is told when to come back.
            Class::Overloaded { retry_after } if status == StatusCode::TOO_MANY_REQUESTS => {
                ("overloaded", self.slow_down(failure, retry_after))
            }
            Class::SlowDown { retry_after } => ("slow_down", self.slow_down(failure, retry_after)),
            Class::Overloaded { retry_after: Some(_) } => {
                self.rest(failure);
                ("overloaded", failed(false))
            }
            Class::Overloaded { retry_after: None } => ("overloaded", failed(true)),
            Class::TimedOut => ("timeout", Miss::retried(no_answer(Kind::UpstreamTimeout), true)),
            Class::Transient => ("failed", failed(true)),
            Class::Auth => ("auth", failed(false)),
            // Many say 400 where others say 404.
            Class::NotFound if matches!(status, StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST) => {
                ("not_found", refused(true))
            }
            Class::NotFound => ("not_found", failed(false)),
            Class::NotKept => ("not_kept", Miss { what: What::NotKept, ..refused(true) }),
            Class::TooBigForPool => {
                let message = "This request asks for more than a whole limit of the provider.";
                let error = Error::new(Kind::TooBigForLimit, message);
                ("too_big", Miss::retried(error, false))
            }
            Class::ContextTooLong => ("context_too_long", refused_as(Kind::ContextTooLong(status), false)),
            Class::ContentFiltered => ("content_filtered", refused_as(Kind::ContentFiltered(status), false)),
            // It asks for another try, so the request is not to blame.
            Class::BadRequest => ("refused", refused(failure.should_retry == Some(true))),
        }
    }

    /// The upstream's own words, where the request itself is to blame.
    fn refused(&self, status: StatusCode, failure: &Failure, body: &Bytes) -> Error {
        let endpoint = &self.call.snapshot.endpoints[self.target.deployment.0];
        let api = self.call.peek.api;
        let own = endpoint.way(api).is_some_and(|way| way.is_of(api));
        refused(status, failure, if own { failure.passed(body) } else { None })
    }

    /// The upstream asks for fewer calls, until a time or in general.
    fn slow_down(&self, failure: &Failure, until: Option<Duration>) -> Miss {
        let rests = self.rest(failure);
        if until.is_some() {
            return rests;
        }
        let error = Error::new(Kind::NoCapacity, "The upstream asks for fewer calls.");
        Miss::retried(error.retry_after(RETRY_SOON), true)
    }

    /// The pools that the provider limits rest.
    fn rest(&self, failure: &Failure) -> Miss {
        let client = &self.call.worker.shared.client;
        let time = self.call.snapshot.rest(client, self.target.deployment, failure).unwrap_or_default();
        let message = format!(
            "Every deployment of this model is at its limit. Please try again in {:.3}s.",
            time.as_secs_f64()
        );
        Miss::retried(Error::new(Kind::NoCapacity, message).retry_after(time), false)
    }
}

/// What an attempt that failed is known to have used, with so much input by our own count, tokens; none: nothing was sent.
fn actual(failed: &Failed, input: u64, is_late: bool) -> Option<Actual> {
    match failed {
        Failed::NotSent(_) | Failed::Late(_) | Failed::Unsayable(_) => None,
        Failed::Unreadable { usage, bytes, .. } => {
            let known = Usage { input, output: *bytes as u64 / 4, ..Usage::default() };
            Some(usage.map_or(Actual::Partial(known), Actual::Used))
        }
        // The client's own time was over: as if it had left.
        Failed::TimedOut(_) if is_late => Some(Actual::Abandoned),
        Failed::TimedOut(_) => Some(Actual::TimedOut { input }),
        Failed::Broken(_) | Failed::Answered { .. } => Some(Actual::Failed),
    }
}

/// Does a failure speak against the deployment? Not what the client's own time, or what it asks for, is to blame for.
fn speaks_against(failed: &Failed, deadline: Instant) -> bool {
    match failed {
        Failed::Broken(_) => true,
        Failed::NotSent(_) | Failed::TimedOut(_) => Instant::now() < deadline,
        Failed::Late(_) | Failed::Unsayable(_) => false,
        Failed::Unreadable { .. } => true,
        Failed::Answered { failure, .. } => failure.class.is_theirs() && !failure.is_vague,
    }
}

/// What the deployment's dialect cannot say, another's may.
fn unsayable(refused: Refused) -> Miss {
    let error = Error { param: refused.field, ..Error::new(Kind::Malformed, refused.message) };
    Miss::retried(error, false)
}

fn no_answer(kind: Kind) -> Error {
    let text = match kind {
        Kind::UpstreamTimeout => "The upstream did not answer in time.",
        _ => "The upstream failed to answer.",
    };
    Error::new(kind, text)
}

/// What the upstream says of a request that it does not serve.
fn refused(status: StatusCode, failure: &Failure, raw: Option<Bytes>) -> Error {
    let error = Error::new(Kind::Refused(status), "The upstream refused this request.");
    Error { said: Some(Box::new(Said { words: failure.shown(), raw })), ..error }
}

/// What the client is told where nothing else can be tried.
pub(super) fn unserved(failed: Failed) -> Error {
    match failed {
        Failed::Answered { status, failure, body } => match failure.class {
            Class::BadRequest | Class::NotKept => refused(status, &failure, failure.passed(&body)),
            Class::RateLimited { retry_after } => {
                let wait = retry_after.unwrap_or(RETRY_SOON);
                Error::new(Kind::NoCapacity, "The upstream is at its limit.").retry_after(wait)
            }
            _ => no_answer(Kind::UpstreamFailed),
        },
        Failed::TimedOut(_) => no_answer(Kind::UpstreamTimeout),
        Failed::NotSent(_)
        | Failed::Late(_)
        | Failed::Broken(_)
        | Failed::Unsayable(_)
        | Failed::Unreadable { .. } => no_answer(Kind::UpstreamFailed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Limits, budgets and costs go by one answer. Broken on purpose to see it fail: a time-out settled as one that failed, which
    /// budgets then had for nothing while costs paid for its input.
    #[test]
    fn what_failed_counts_as_what_is_known_of_it() {
        let of = |failed: &Failed, is_late| actual(failed, 700, is_late);
        assert_eq!(of(&Failed::TimedOut("slow"), false), Some(Actual::TimedOut { input: 700 }));
        assert_eq!(of(&Failed::TimedOut("slow"), true), Some(Actual::Abandoned), "the client's own time");
        assert_eq!(of(&Failed::Broken("reset".into()), true), Some(Actual::Failed));
        assert_eq!(of(&Failed::NotSent("refused".into()), false), None);
        assert_eq!(of(&Failed::Late("stalled"), false), None);
    }
}
