//! How each deployment stands: how it behaves and how much is in flight there, as this replica has seen it and the others told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::admit::{shuts, trip};
use crate::clock::boot_ms;
use crate::config::{Cooldown, Deployment, Measure};
use crate::dialect::failure::OfAccount;
use crate::pulse::Pulse;
use crate::route::Outlook;
use crate::route::behaviour::{Answered, Behaviour};
use crate::route::predict::{Predictor, SUMS, Size, Took};
use crate::shared::Shared;
use crate::state::core::{Cause, Ending, Ms, Outcome, Trip};
use crate::state::{Client, Watched};

const _: () = assert!(SUMS == crate::state::core::behaviour::SUMS);

/// One deployment's. It outlives reloads.
#[derive(Debug)]
pub struct Standing {
    behaviour: Mutex<Behaviour>, // short sections
    predictor: Mutex<Predictor>, // short sections, inside of none
    watched: Arc<Watched>,
    is_watched: AtomicBool,
    unserved: AtomicU64, // of the last calls that it did not serve, 2^-32 of all
}

/// About so many of its last calls say whether a deployment serves.
const LATELY: u64 = 16;

/// What a decision asks of a deployment's standing.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Input tokens of the call.
    pub input: u64,
    /// Output tokens that are to be expected.
    pub output: u64,
    /// How times are measured.
    pub by: Measure,
    /// Is asked how long this very call would take.
    pub expects: bool,
    /// Replicas alive, this one included.
    pub replicas: u64,
}

impl Standing {
    /// Of the deployment `tag`; nothing is known of it.
    pub fn new(tag: u64) -> Standing {
        Standing {
            behaviour: Mutex::default(),
            predictor: Mutex::default(),
            watched: Arc::new(Watched::new(tag)),
            is_watched: AtomicBool::new(false),
            unserved: AtomicU64::new(0),
        }
    }

    /// What all replicas know of it is of interest from now on, or is not.
    pub fn set_watched(&self, is_watched: bool) {
        self.is_watched.store(is_watched, Ordering::Relaxed);
    }

    /// What all replicas know of it, if that is of interest.
    pub fn watched(&self) -> Option<&Arc<Watched>> {
        self.is_watched.load(Ordering::Relaxed).then_some(&self.watched)
    }

    /// What a call is to expect.
    pub fn outlook(&self, look: Look) -> Outlook {
        self.outlook_at(look, boot_ms())
    }

    /// The same when it is `now`.
    pub fn outlook_at(&self, look: Look, now: Ms) -> Outlook {
        let known = self.watched.known(now);
        let (time, errors) = {
            let mut behaviour = self.behaviour.lock();
            (behaviour.time(look.output, look.by, now), behaviour.errors(now))
        };
        let busy = known.own + known.others;
        // Since they heard of us, each has sent about as much as we have.
        let unheard = known.own.saturating_sub(known.told) * look.replicas.saturating_sub(1);
        let crowd = (busy + unheard) as f64;
        // What a call costs those that are there as well: where time grows with load, n more calls take each as much longer as
        // the n take it. Everybody going by its own time alone would crowd the fastest (Pigou, 1920).
        let size = Size { input: look.input, output: look.output, load: 2.0 * crowd };
        let mut predictor = self.predictor.lock();
        let expected =
            if look.expects || time.is_none() { predictor.time(size, &known.sums, now) } else { None };
        let (used, full) = self.watched.shares();
        // A replica that has just begun goes by what the others learnt.
        let (time, errors) = (time.or(expected), errors.max(predictor.errors(&known.sums, now)));
        Outlook { time, expected, errors, own: known.own, busy, crowd, used, full }
    }

    /// An attempt is in flight, until what this returns is dropped; so much is put before the model.
    pub fn busy(self: &Arc<Standing>, input: u64, circuit: Option<Line>) -> Busy {
        let load = self.begin(boot_ms());
        Busy { standing: self.clone(), circuit, began: false, input, load }
    }

    /// An attempt begins; how many are in flight besides.
    pub fn begin(&self, now: Ms) -> u64 {
        let load = self.watched().map_or(0, |watched| {
            watched.add(&[0.0; SUMS], [1, 0, 0]);
            let known = watched.known(now);
            known.own + known.others
        });
        self.watched.begin();
        load
    }

    /// A call was refused that it might have served, for want of room: that was asked of it as well.
    pub fn missed(&self, input: u64, output: u64) {
        if let Some(watched) = self.watched() {
            watched.add(&[0.0; SUMS], [1, input, output]);
        }
    }

    /// What 95 of the last hundred streams stayed within to their first content, if any is known.
    pub fn first_within(&self) -> Option<Duration> {
        self.behaviour.lock().first_within(boot_ms()).map(Duration::from_secs_f64)
    }

    /// A call was served there, or had to go on to another.
    pub fn served(&self, well: bool) {
        let next = |share: u64| {
            let rest = share - share.div_ceil(LATELY);
            Some(if well { rest } else { rest + (1 << 32) / LATELY })
        };
        if !well || self.unserved.load(Ordering::Relaxed) > 0 {
            let _ = self.unserved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next); // it is never refused
        }
    }

    /// The share of the last calls that it did not serve, millionths; the latest count most.
    pub fn unserved(&self) -> u64 {
        (self.unserved.load(Ordering::Relaxed) * 1_000_000) >> 32
    }

    /// An attempt that had begun is over.
    pub fn end(&self) {
        self.watched.end();
    }

    /// It was answered in full.
    pub fn answered(&self, size: Size, answered: Answered, now: Ms) {
        self.behaviour.lock().answered(answered, now);
        if let Some(watched) = self.watched() {
            let first = answered.first.map(|first| first.as_secs_f64());
            let took = Took { first, whole: answered.whole.as_secs_f64() };
            let common = watched.known(now).sums;
            let sums = self.predictor.lock().answered(size, took, &common, now);
            watched.add(&sums, [0, size.input, size.output]);
        }
    }

    fn failed(&self, now: Ms) {
        self.behaviour.lock().failed(now);
        if let Some(watched) = self.watched() {
            let sums = self.predictor.lock().failed(now);
            watched.add(&sums, [0; 3]);
        }
    }
}

/// To whom it is told how an attempt ended.
#[derive(Debug)]
pub struct Line {
    client: Arc<Client>,
    pulse: Arc<Pulse>,
    begun: u64, // ms of `boot_ms`
    tag: u64,
    trip: Option<Trip>, // none: its circuit never opens
    account: u64,
    cooldown: Cooldown,
    permit: u64, // of a probe, until it is told what became of it
}

impl Line {
    /// Of an attempt at `deployment`, with the permit of a probe or 0.
    pub fn of(deployment: &Deployment, permit: u64, shared: &Shared) -> Line {
        Line {
            client: shared.client.clone(),
            pulse: shared.pulse.clone(),
            begun: boot_ms(),
            tag: deployment.tag,
            trip: trip(deployment),
            account: deployment.account.tag,
            cooldown: deployment.cooldown,
            permit,
        }
    }

    fn tell(&mut self, mut ending: Ending) {
        // After a stall of this replica everything is late, whoever is fine.
        if ending == Ending::Wrong && self.pulse.stood_still_since(self.begun) {
            ending = Ending::Unknown;
        }
        let permit = std::mem::take(&mut self.permit);
        if let Some(trip) = self.trip.filter(|_| ending != Ending::Unknown || permit > 0) {
            self.client.ended(self.tag, trip, ending, permit);
        }
        if permit > 0 {
            // That it failed otherwise says nothing of the account.
            let of_account = if ending == Ending::Well { ending } else { Ending::Unknown };
            self.probed(Cause::Key, of_account, permit);
            self.probed(Cause::Quota, of_account, permit);
        }
    }

    /// What became of a probe, to a circuit of the account.
    fn probed(&self, cause: Cause, ending: Ending, permit: u64) {
        let mut outcome = Outcome::none(cause.tag(self.account), shuts(self.cooldown, None));
        outcome.probes.push((permit, ending));
        self.client.learnt(outcome);
    }

    /// The whole account is refused.
    fn refused(&mut self, of: OfAccount, said: Option<Duration>) {
        let permit = std::mem::take(&mut self.permit);
        let (cause, other) = match of {
            OfAccount::Key => (Cause::Key, Cause::Quota),
            OfAccount::Credit => (Cause::Quota, Cause::Key),
        };
        let mut outcome = Outcome::none(cause.tag(self.account), shuts(self.cooldown, said));
        outcome.add(Ending::Wrong, permit);
        self.client.learnt(outcome);
        if permit > 0 {
            // Whose credit is spent has shown a key that is good.
            let of_other = if of == OfAccount::Credit { Ending::Well } else { Ending::Unknown };
            self.probed(other, of_other, permit);
            if let Some(trip) = self.trip {
                self.client.ended(self.tag, trip, Ending::Unknown, permit);
            }
        }
    }
}

/// An attempt in flight.
#[derive(Debug)]
pub struct Busy {
    standing: Arc<Standing>,
    circuit: Option<Line>,
    began: bool,
    input: u64,
    load: u64, // in flight there besides, when it began
}

impl Busy {
    /// Its answer has begun with content. A deployment that gets so far works.
    pub fn began(&mut self) {
        if !std::mem::replace(&mut self.began, true) {
            self.tell(Ending::Well);
        }
    }

    /// It was answered in full: its first content, if it was streamed, and its end came so long after it was sent;
    /// `output` are the tokens of a choice, if they are known.
    pub fn answered(&mut self, first: Option<Duration>, whole: Duration, output: Option<u64>) {
        self.began();
        let size = Size { input: self.input, output: output.unwrap_or(0), load: self.load as f64 };
        self.standing.answered(size, Answered { first, whole, output }, boot_ms());
    }

    /// It failed, and its deployment is to blame; `opens`: in a way that opens circuits.
    pub fn failed(&mut self, opens: bool) {
        self.standing.failed(boot_ms());
        if opens {
            self.tell(Ending::Wrong);
        }
    }

    /// The whole account is refused, until `said` if its provider says so: no deployment of it is called for a while.
    pub fn refused(&mut self, of: OfAccount, said: Option<Duration>) {
        self.standing.failed(boot_ms());
        if let Some(line) = &mut self.circuit {
            line.refused(of, said);
        }
    }

    fn tell(&mut self, ending: Ending) {
        if let Some(line) = &mut self.circuit {
            line.tell(ending);
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.standing.end();
        self.tell(Ending::Unknown); // a probe that nothing became of makes room for another
    }
}

#[cfg(test)]
#[path = "standing_simulated_tests.rs"]
mod simulated;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_flight_is_counted_until_it_is_dropped() {
        let standing = Arc::new(Standing::new(1));
        let by = Measure { window: 10, statistic: crate::config::Statistic::PeakEwma };
        let look = Look { input: 1, output: 1, by, expects: true, replicas: 3 };
        let (one, other) = (standing.busy(1, None), standing.busy(1, None));
        assert_eq!(standing.outlook(look).busy, 2);
        assert_eq!(standing.outlook(look).crowd, 6.0, "two others, who have sent as much");
        drop(one);
        assert_eq!(standing.outlook(look).busy, 1);
        drop(other);
        assert_eq!(standing.outlook(look).busy, 0);
    }

    #[test]
    fn who_fails_is_known_after_a_few_calls_and_who_serves_again_after_some() {
        let standing = Standing::new(1);
        let mut chance = fastrand::Rng::with_seed(1);
        for _ in 0..2_000 {
            standing.served(chance.u32(0..100) > 1);
            assert!(standing.unserved() < 200_000, "it fails two calls in a hundred");
        }
        let calls = |well: bool, until: fn(u64) -> bool| {
            let one = |_| {
                standing.served(well);
                until(standing.unserved())
            };
            (1..200).map(one).take_while(|is| !is).count() + 1
        };
        assert!((2..=4).contains(&calls(false, |share| share > 200_000)));
        (0..100).for_each(|_| standing.served(false));
        assert!(standing.unserved() > 990_000);
        assert!((20..=30).contains(&calls(true, |share| share <= 200_000)));
        (0..1_000).for_each(|_| standing.served(true));
        assert_eq!(standing.unserved.load(Ordering::Relaxed), 0, "then nothing is written any more");
    }

    /// Broken on purpose to see it fail: all watched.
    #[test]
    fn what_is_seen_is_learnt_from_while_it_is_of_interest() {
        let standing = Arc::new(Standing::new(1));
        let by = Measure { window: 10, statistic: crate::config::Statistic::PeakEwma };
        let look = Look { input: 500, output: 10, by, expects: true, replicas: 1 };
        let second = Duration::from_secs(1);
        standing.busy(500, None).answered(Some(second), second * 2, Some(10));
        assert_eq!(standing.outlook(look).expected, None);
        standing.set_watched(true);
        standing.busy(500, None).answered(Some(second), second * 2, Some(10));
        let expected = standing.outlook(look).expected.unwrap();
        assert!((expected - 2.0).abs() < 0.2, "{expected} s");
    }
}
