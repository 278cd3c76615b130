//! A second attempt beside one that is long in coming (Dean and Barroso, The Tail at Scale, 2013): whoever has content
//! first serves the call.
//!
//! It costs what a call costs, so there are few, only where less than half is in use, and none where the provider
//! charges all that might be used on arrival. The attempt that lost is dropped: its connection closes and its reservation
//! settles as if its client had left. Nothing of it can have reached the client.

use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::Body;
use http::Response;
use smallvec::{SmallVec, smallvec};

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
use crate::upstream::Failed;

/// A second attempt goes where no more than this share is in use with it, millionths.
const HALF: u64 = 500_000;

/// Attempts that did not answer, and where.
pub(super) type Misses<'a> = SmallVec<[(&'a Target, Miss); 2]>;

/// How a race ended.
enum Ended<'a> {
    /// The first is the only one, or the only one that ended; or it failed, and then the second ended so.
    First(Box<Result<Read, Failed>>, Option<Box<(Attempt<'a>, Result<Read, Failed>)>>),
    /// The second ended before it.
    Second(Box<(Attempt<'a>, Read)>),
}

/// What a second attempt goes by.
#[derive(Clone, Copy)]
pub(super) struct Beside<'b> {
    pub(super) model: ModelId,
    pub(super) after: Duration,
    pub(super) attempts: &'b Attempts<'b>,
    pub(super) tried: &'b Tried,
    /// There is something else to try after both.
    pub(super) others: bool,
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
        mut first: Attempt<'a>,
        session: Option<&SessionRef>,
        beside: Beside<'_>,
        record: &mut Option<Record>,
    ) -> Result<Response<Body>, Misses<'a>> {
        first.announce(session, record);
        let sent = OnceLock::new();
        let ended = self.race(&mut first, beside, &sent, record).await;
        let target = first.target;
        if sent.get().is_some() {
            note(record, |record| record.attempts += 1);
        }
        let (read, second) = match ended {
            Ended::First(read, second) => (*read, second.map(|second| *second)),
            Ended::Second(second) => {
                let (second, read) = *second;
                let alone = second.sent.saturating_duration_since(first.sent);
                note(record, |record| record.upstream += alone);
                self.gave_up(beside.model, &first.deployment.name, "second", record);
                drop(first);
                second.announce(None, record);
                let other = second.target;
                return second.end(Ok(read), record).await.map_err(|miss| smallvec![(other, miss)]);
            }
        };
        match (read, second) {
            (read @ Ok(_), second) => {
                match (second, sent.get()) {
                    (Some((second, Err(failed))), _) => {
                        self.won(beside.model, "first");
                        drop(second.miss(failed, record));
                    }
                    (_, Some(name)) => self.gave_up(beside.model, name, "first", record),
                    (_, None) => {}
                }
                first.end(read, record).await.map_err(|miss| smallvec![(target, miss)])
            }
            (Err(failed), None) => Err(smallvec![(target, first.miss(failed, record))]),
            (Err(failed), Some((second, read))) => {
                let (miss, other) = (first.miss(failed, record), second.target);
                self.won(beside.model, if read.is_ok() { "second" } else { "none" });
                if read.is_ok() {
                    second.announce(None, record);
                }
                let ended = second.end(read, record).await;
                ended.map_err(|other_miss| smallvec![(target, miss), (other, other_miss)])
            }
        }
    }

    /// Whoever ends first; a failure waits for the other.
    async fn race(
        &'a self,
        first: &mut Attempt<'a>,
        beside: Beside<'_>,
        sent: &OnceLock<&'a Arc<str>>,
        record: &mut Option<Record>,
    ) -> Ended<'a> {
        let mut one = pin!(first.exchange(record));
        if let Ok(read) = tokio::time::timeout(beside.after, one.as_mut()).await {
            return Ended::First(Box::new(read), None);
        }
        let mut two = pin!(async {
            let mut second = self.second(beside).await?;
            let name = &second.deployment.name;
            sent.get_or_init(|| name);
            let read = second.exchange(&mut None).await;
            Some((second, read))
        });
        tokio::select! {
            biased;
            read = one.as_mut() => {
                let second = if read.is_ok() { None } else { two.await };
                Ended::First(Box::new(read), second.map(Box::new))
            }
            ended = two.as_mut() => match ended {
                Some((second, Ok(read))) => Ended::Second(Box::new((second, read))),
                failed => Ended::First(Box::new(one.await), failed.map(Box::new)),
            },
        }
    }

    /// Room for a second attempt at another deployment, if there is enough.
    async fn second(&'a self, beside: Beside<'_>) -> Option<Attempt<'a>> {
        let id = beside.model;
        let hedge = self.snapshot.config.models[id.0].hedge?;
        let mut ranked = self.rank(id, beside.attempts, beside.tried, None);
        ranked.retain(|ranked| self.may_be_second(ranked.target));
        let now = boot_ms();
        let taken = || self.snapshot.hedges[id.0].lock().take(now, hedge.budget, LEAST_HEDGED);
        if ranked.is_empty() || !beside.attempts.are_left() || !taken() {
            return None;
        }
        let most = self.priority.most().min(HALF);
        let ask_for = AskFor { luck: fastrand::u64(0..1_000_000), most, ..AskFor::default() };
        let mut wish = self.wish(id, &ranked, None, ask_for);
        let (client, port) = (&self.worker.shared.client, &self.worker.port);
        match client.reserve(port, &mut wish, self.deadline).await {
            Ok(Outcome::Granted(reservation, _)) => {
                let target = ranked[reservation.index].target;
                Some(Attempt::new(self, id, target, Some(reservation), beside.others))
            }
            _ => None, // the first goes on alone
        }
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
    fn gave_up(&self, id: ModelId, name: &Arc<str>, won: &'static str, record: &mut Option<Record>) {
        self.worker.shared.metrics.attempt(name, "overtaken");
        note(record, |record| record.explanation.tried(name, "overtaken"));
        self.won(id, won);
    }

    fn won(&self, id: ModelId, won: &'static str) {
        self.worker.shared.metrics.hedged(&self.snapshot.model_names[id.0], won);
    }
}
