//! A credential that is fetched, kept and renewed ahead of its end, by one fetch at a time.
//!
//! The fetch runs in its own task: a caller that goes away neither stops it nor leaves others waiting for it. While a value is
//! good callers get it at once, also while it is renewed or if that fails. Without one they wait for the fetch, and
//! after a failed fetch get its error until the pause is over. Nothing is fetched that nobody asks for.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tracing::field::{Empty, display};
use tracing::{Instrument, Span};

use super::Outside;
use super::exchange::{Denied, Exchange};

/// A value is renewed this long before its end, or at half of what is left if that is later. Metadata services
/// hand out the same token until about five minutes before its end.
const AHEAD: Duration = Duration::from_secs(300);
/// A value is not used this close to its end: the request is still on its way, and clocks differ.
const SPARE: Duration = Duration::from_secs(15);
/// The first pause after a failed fetch; it doubles with each.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A refused value is dropped no more often than this.
const QUIET: Duration = Duration::from_secs(60);

/// Which value authorised a request, so that a refusal of it does not drop its successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp(u64);

impl Stamp {
    /// Of what is not kept here.
    pub(super) const NONE: Stamp = Stamp(0);
}

/// A value and its end.
#[derive(Debug)]
pub(super) struct Fetched<T> {
    /// The value.
    pub(super) value: T,
    /// When it ends, by the wall clock.
    pub(super) ends: SystemTime,
}

/// Where a value comes from.
pub(super) trait Source: fmt::Debug + Send + Sync + 'static {
    /// What is fetched.
    type Item: Send + Sync + 'static;
    /// Fetches one. Every wait in it has its deadline.
    fn fetch(
        &self,
        by: &dyn Exchange,
        now: SystemTime,
    ) -> impl Future<Output = Result<Fetched<Self::Item>, Denied>> + Send;
}

/// The values of one source.
#[derive(Debug)]
pub(super) struct Kept<S: Source>(Arc<Inner<S>>);

struct Inner<S: Source> {
    source: S,
    outside: Outside,
    state: Mutex<State<S::Item>>, // short sections
    landed: Notify,
}

impl<S: Source> fmt::Debug for Inner<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("source", &self.source).finish_non_exhaustive()
    }
}

struct State<T> {
    held: Option<Held<T>>,
    flying: bool,
    failed: Option<Failure>,
    count: u64, // values that were fetched
    dropped: Option<SystemTime>,
}

struct Held<T> {
    value: Arc<T>,
    stamp: Stamp,
    renew: SystemTime,
    unfit: SystemTime,
}

struct Failure {
    why: Denied,
    at: SystemTime,
    in_a_row: u32,
}

/// What a caller does now.
enum Step<T> {
    Use(Arc<T>, Stamp),
    UseAndRenew(Arc<T>, Stamp),
    Fetch,
    Wait,
    Refuse(Denied),
}

impl<T> State<T> {
    /// Who has `waited` for a fetch that failed gets its error, however late it looks: one call makes one fetch at most.
    fn step(&self, now: SystemTime, waited: bool) -> Step<T> {
        let paused = self.failed.as_ref().filter(|failed| waited || failed.pauses(now));
        if let Some(held) = self.held.as_ref().filter(|held| now < held.unfit) {
            let (value, stamp) = (held.value.clone(), held.stamp);
            let waits = now < held.renew || self.flying || paused.is_some();
            return if waits { Step::Use(value, stamp) } else { Step::UseAndRenew(value, stamp) };
        }
        match paused {
            _ if self.flying => Step::Wait,
            Some(failed) => Step::Refuse(failed.why.clone()),
            None => Step::Fetch,
        }
    }

    fn land(&mut self, outcome: Result<Fetched<T>, Denied>, now: SystemTime) {
        self.flying = false;
        let fit = outcome.and_then(|Fetched { value, ends }| match times(ends, now) {
            Some((renew, unfit)) => Ok((value, renew, unfit)),
            None => Err(Denied::Unusable { whom: "a fetched credential", why: "its end is past or near" }),
        });
        match fit {
            Ok((value, renew, unfit)) => {
                self.count += 1;
                let stamp = Stamp(self.count);
                self.held = Some(Held { value: Arc::new(value), stamp, renew, unfit });
                self.failed = None;
            }
            Err(why) => {
                let in_a_row = self.failed.as_ref().map_or(1, |failed| failed.in_a_row.saturating_add(1));
                self.failed = Some(Failure { why, at: now, in_a_row });
            }
        }
    }

    fn refuse(&mut self, stamp: Stamp, now: SystemTime) -> bool {
        if self.held.as_ref().is_none_or(|held| held.stamp != stamp) {
            return true; // dropped or replaced already
        }
        if self.dropped.is_some_and(|at| lately(at, now, QUIET)) {
            return false;
        }
        self.held = None;
        self.dropped = Some(now);
        true
    }
}

impl Failure {
    fn pauses(&self, now: SystemTime) -> bool {
        lately(self.at, now, pause(self.in_a_row))
    }
}

/// When to renew, and from when on not to use what `ends` then; `None` if that is already.
fn times(ends: SystemTime, now: SystemTime) -> Option<(SystemTime, SystemTime)> {
    let left = ends.duration_since(now).ok().filter(|left| *left > SPARE)?;
    Some((ends - AHEAD.min(left / 2), ends - SPARE))
}

/// How long not to fetch after so many failures in a row.
fn pause(in_a_row: u32) -> Duration {
    PAUSE.saturating_mul(1 << in_a_row.saturating_sub(1).min(5)).min(LONGEST_PAUSE)
}

/// Was `at` less than `span` ago? No if it is yet to come: then the clock was set back, and nothing is known.
fn lately(at: SystemTime, now: SystemTime, span: Duration) -> bool {
    now.duration_since(at).is_ok_and(|ago| ago < span)
}

impl<S: Source> Kept<S> {
    /// Fetches nothing yet.
    pub(super) fn new(source: S, outside: Outside) -> Kept<S> {
        let state = State { held: None, flying: false, failed: None, count: 0, dropped: None };
        Kept(Arc::new(Inner { source, outside, state: Mutex::new(state), landed: Notify::new() }))
    }

    /// A good value.
    pub(super) async fn get(&self) -> Result<(Arc<S::Item>, Stamp), Denied> {
        let mut waited = false;
        loop {
            // Made before the look at the state, so that a landing in between wakes it.
            let landed = self.0.landed.notified();
            match self.step(waited) {
                Step::Use(value, stamp) => return Ok((value, stamp)),
                Step::UseAndRenew(value, stamp) => {
                    self.fly();
                    return Ok((value, stamp));
                }
                Step::Fetch => self.fly(),
                Step::Wait => {}
                Step::Refuse(why) => return Err(why),
            }
            landed.await;
            waited = true;
        }
    }

    /// Drops the value of that stamp; see [`super::Auth::refused`].
    pub(super) fn invalidate(&self, stamp: Stamp) -> bool {
        self.0.state.lock().refuse(stamp, self.0.now())
    }

    /// Looks, and marks the fetch as begun in the same section: only one caller is told to make it.
    fn step(&self, waited: bool) -> Step<S::Item> {
        let now = self.0.now();
        let mut state = self.0.state.lock();
        let step = state.step(now, waited);
        state.flying |= matches!(step, Step::Fetch | Step::UseAndRenew(..));
        step
    }

    fn fly(&self) {
        let flight = Flight { inner: self.0.clone(), landed: false };
        // A part of the call that it is for, if that is told of.
        let span = tracing::info_span!(
            target: "weir::auth", "fetch credentials", otel.status_code = Empty, error = Empty
        );
        tokio::spawn(flight.run().instrument(span));
    }
}

impl<S: Source> Inner<S> {
    fn now(&self) -> SystemTime {
        (self.outside.clock)()
    }

    fn land(&self, outcome: Result<Fetched<S::Item>, Denied>) {
        let now = self.now();
        self.state.lock().land(outcome, now);
        self.landed.notify_waiters();
    }
}

/// A fetch under way. It lands in any case: dropped with its runtime, or by a panic, as a failure.
struct Flight<S: Source> {
    inner: Arc<Inner<S>>,
    landed: bool,
}

impl<S: Source> Flight<S> {
    async fn run(mut self) {
        let inner = self.inner.clone();
        let outcome = inner.source.fetch(&*inner.outside.exchange, inner.now()).await;
        if let Err(why) = &outcome {
            Span::current().record("otel.status_code", "ERROR").record("error", display(why));
        }
        self.landed = true;
        inner.land(outcome);
    }
}

impl<S: Source> Drop for Flight<S> {
    fn drop(&mut self) {
        if !self.landed {
            self.inner.land(Err(Denied::CutShort));
        }
    }
}

#[cfg(test)]
#[path = "kept_tests.rs"]
mod tests;
