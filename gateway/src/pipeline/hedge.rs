//! A second attempt beside one that is long in coming (Dean and Barroso, The Tail at Scale, 2013): whoever has content
//! first serves the call.
//!
//! It costs what a call costs, so there are few, only where less than half is in use, and none where the provider
//! charges all that might be used on arrival. The attempt that lost is dropped: its connection closes and its reservation
//! settles as if its client had left. Nothing of it can have reached the client.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::body::Body;
use http::Response;
use smallvec::SmallVec;

use super::attempt::{Attempt, Read};
use super::judge::Miss;
use super::tried::Tried;
use super::{Call, note};
use crate::admit::AskFor;
use crate::clock::boot_ms;
use crate::config::{After, Charge, ModelId, Side, Target};
use crate::route::attempts::Attempts;
use crate::route::budget::LEAST_HEDGED;
use crate::state::Outcome;
use crate::state::core::SessionRef;
use crate::telemetry::Record;

/// A second attempt goes where no more than this share is in use with it, millionths.
const HALF: u64 = 500_000;

/// Attempts that did not answer, and where.
pub(super) type Misses<'a> = SmallVec<[(&'a Target, Miss); 2]>;

/// What came of an attempt up to its first content. One that failed is settled and told of by then, whatever the other does.
type Came<'a> = Result<(Attempt<'a>, Read), Lost<'a>>;

/// An attempt that failed.
struct Lost<'a> {
    target: &'a Target,
    name: &'a Arc<str>,
    at: Instant,
    miss: Miss,
}

/// The second attempt, once it is sent: where, and when.
type Second<'a> = OnceLock<(&'a Arc<str>, Instant)>;

/// What a second attempt goes by.
#[derive(Clone, Copy)]
pub(super) struct Beside<'b> {
    pub(super) model: ModelId,
    pub(super) after: Duration,
    pub(super) attempts: &'b Attempts<'b>,
    pub(super) tried: &'b Tried,
    /// A fallback may be tried after both.
    pub(super) falls_back: bool,
    /// The first is outside of the call's variant.
    pub(super) spilled: bool,
}

impl<'a> Call<'a> {
    /// After how long an attempt at `target` gets a second one beside it, if it may.
    pub(super) fn hedge_after(&self, id: ModelId, target: &Target) -> Option<Duration> {
        let model = &self.snapshot.config.models[id.0];
        let (hedge, peek) = (model.hedge?, &self.peek);
        let is_kept = peek.kept || peek.background || peek.continues.is_some() || self.home.is_some();
        if !peek.stream || is_kept || model.targets.len() < 2 {
            return None;
        }
        match hedge.after {
            After::Time(time) => Some(time),
            After::P95 => self.snapshot.standings[target.deployment.0].first_within(),
        }
    }

    /// Runs an attempt up to the first content of its answer, or of that of another that begins beside it.
    pub(super) async fn hedged(
        &'a self,
        first: Attempt<'a>,
        session: Option<&SessionRef>,
        beside: Beside<'_>,
        record: &mut Option<Record>,
    ) -> Result<Response<Body>, Misses<'a>> {
        first.announce(session, record);
        let (model, name, sent) = (beside.model, &first.deployment.name, first.sent);
        let (second, begun) = (Second::new(), Arc::<AtomicBool>::default());
        note(record, |record| record.beside = Some(begun.clone()));
        let (one, two) = self.race(first, beside, (&second, &begun), record).await;
        note(record, |record| {
            (record.beside, record.attempts) = (None, record.attempts + u32::from(second.get().is_some()));
        });
        let won = match (&one, &two) {
            (Some(Ok(_)), _) => "first",
            (_, Some(Ok(_))) => "second",
            _ => "none",
        };
        if second.get().is_some() {
            self.worker.shared.metrics.hedged(&self.snapshot.model_names[model.0], won);
        }
        match (&one, second.get()) {
            (None, _) => self.gave_up(name, record),
            (_, Some((name, _))) if two.is_none() => self.gave_up(name, record),
            _ => {}
        }
        for lost in [&one, &two].into_iter().flatten().filter_map(|came| came.as_ref().err()) {
            note(record, |record| record.explanation.tried(lost.name, lost.miss.outcome));
        }
        let waited = |until: Instant| until.saturating_duration_since(sent);
        match (one, two) {
            (Some(Ok(served)), _) => self.served(served, None, record).await,
            (one, Some(Ok(served))) => {
                let before = waited(served.0.sent); // the rest is counted by who serves
                note(record, |record| record.upstream += before);
                self.served(served, one.and_then(Result::err), record).await
            }
            (one, two) => {
                let lost = one.into_iter().chain(two).filter_map(Result::err);
                let lost: SmallVec<[Lost<'a>; 2]> = lost.collect();
                let last = lost.iter().map(|lost| lost.at).max().unwrap_or(sent);
                note(record, |record| record.upstream += waited(last));
                Err(lost.into_iter().map(|lost| (lost.target, lost.miss)).collect())
            }
        }
    }

    /// The answer of who has content, after who may have failed before.
    async fn served(
        &self,
        (attempt, read): (Attempt<'a>, Read),
        before: Option<Lost<'a>>,
        record: &mut Option<Record>,
    ) -> Result<Response<Body>, Misses<'a>> {
        if record.as_ref().is_some_and(|record| record.deployment != attempt.deployment.name) {
            attempt.announce(None, record);
        }
        let target = attempt.target;
        attempt.end(Ok(read), record).await.map_err(|miss| {
            before.map(|lost| (lost.target, lost.miss)).into_iter().chain([(target, miss)]).collect()
        })
    }

    /// Whoever has content first; who was dropped for that, or did not begin, is none. A failure waits for the other.
    async fn race(
        &'a self,
        first: Attempt<'a>,
        beside: Beside<'_>,
        (begun, told): (&Second<'a>, &AtomicBool),
        record: &mut Option<Record>,
    ) -> (Option<Came<'a>>, Option<Came<'a>>) {
        let mut one = pin!(come(first, record));
        if let Ok(came) = tokio::time::timeout(beside.after, one.as_mut()).await {
            return (Some(came), None);
        }
        let mut nobody = None;
        let mut two = pin!(async {
            let second = self.second(beside).await?;
            let deployment = second.deployment;
            begun.get_or_init(|| (&deployment.name, second.sent));
            told.store(true, Ordering::Relaxed);
            Some(come(second, &mut nobody).await)
        });
        let came = tokio::select! {
            biased;
            came = one.as_mut() => match came {
                // Of what the request is to blame for, nobody else need be asked.
                Err(lost) if !lost.miss.retry => (Some(Err(lost)), None),
                Err(lost) => (Some(Err(lost)), two.await),
                served => (Some(served), None),
            },
            came = two.as_mut() => match came {
                Some(Ok(served)) => (None, Some(Ok(served))),
                failed => (Some(one.await), failed),
            },
        };
        if [&came.0, &came.1].into_iter().flatten().any(Result::is_ok) {
            self.trace.decided(); // before the other is dropped
        }
        came
    }

    /// Room for a second attempt at another deployment, if there is enough.
    async fn second(&'a self, beside: Beside<'_>) -> Option<Attempt<'a>> {
        let id = beside.model;
        let hedge = self.snapshot.config.models[id.0].hedge?;
        let all = self.rank(id, beside.attempts, beside.tried, None);
        // Being slow is no reason to leave the call's variant.
        let stays = |target| beside.spilled || !self.is_spilled(id, target);
        let mut ranked = all.clone();
        ranked.retain(|ranked| self.may_be_second(ranked.target) && stays(ranked.target));
        // One that is not made in the end has asked for room all the same: the budget bounds that too.
        let take = || self.snapshot.hedges[id.0].lock().take(boot_ms(), hedge.budget, LEAST_HEDGED);
        if ranked.is_empty() || !beside.attempts.are_left() || !take() {
            return None;
        }
        let most = self.priority.most().min(HALF);
        let ask_for = AskFor { luck: fastrand::u64(0..1_000_000), most, ..AskFor::default() };
        let mut wish = self.wish(id, &ranked, None, ask_for);
        let (client, port) = (&self.worker.shared.client, &self.worker.port);
        let granted = client.reserve(port, &mut wish, self.deadline).await;
        let Ok(Outcome::Granted(reservation, _)) = granted else { return None }; // the first goes on alone
        let target = ranked[reservation.index].target;
        let shut = |target: &Target| self.is_shut(target) || self.is_barred(id, target.deployment);
        let at = all.iter().position(|ranked| ranked.target.deployment == target.deployment);
        let others = at.is_some_and(|at| beside.attempts.may_go_on(&all, at, shut));
        // The bound was for what candidates draw on; of the tenant's limits it may be the last room, and one larger than half of a
        // limit is let in where nothing else is in use.
        let is_scarce = reservation.share > HALF;
        let second = Attempt::new(self, id, target, Some(reservation), others || beside.falls_back);
        let is_ended = self.who.still(&self.worker.shared.keyring).is_err(); // its key, since the first was sent
        if is_scarce || is_ended || self.is_drained(target.deployment) {
            second.withdraw();
            return None;
        }
        Some(second)
    }

    /// Not where the provider charges all that might be used on arrival, nor where it fails.
    fn may_be_second(&self, target: &Target) -> bool {
        let deployment = &self.snapshot.config.deployments[target.deployment.0];
        let charges = |id: &crate::config::PoolId| {
            self.snapshot.pools[id.0].side == Side::Provider(Charge::AdmissionMax)
        };
        !deployment.pools.iter().any(charges) && !self.is_shut(target) && !self.fails(target.deployment, HALF)
    }

    /// One of two attempts was dropped.
    fn gave_up(&self, name: &Arc<str>, record: &mut Option<Record>) {
        self.worker.shared.metrics.attempt(name, "overtaken");
        note(record, |record| record.explanation.tried(name, "overtaken"));
    }
}

/// Runs an attempt up to its first content, or to the end of what its failure means.
async fn come<'a>(mut attempt: Attempt<'a>, record: &mut Option<Record>) -> Came<'a> {
    match attempt.exchange(record).await {
        Ok(read) => Ok((attempt, read)),
        Err(failed) => {
            let (target, deployment) = (attempt.target, attempt.deployment);
            let miss = attempt.missed(failed);
            Err(Lost { target, name: &deployment.name, at: Instant::now(), miss })
        }
    }
}
