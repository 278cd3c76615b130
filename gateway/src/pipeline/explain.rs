//! Why a call goes where it goes: for the client that asks, and for the log.

use std::sync::Arc;
use std::time::Duration;

use super::tried::Tried;
use super::{Call, limits};
use crate::config::Model;
use crate::route::Ranked;
use crate::route::attempts::Attempts;
use crate::state::Wish;
use crate::state::core::{Cause, Denied, Draw, Told, Verdict};
use crate::telemetry::{EVERY, Record, Why};

impl Call<'_> {
    /// Takes note of what the state told besides; the candidate that is `taken` will be told of by its attempt.
    pub(super) fn told(
        &self,
        wish: &Wish,
        ranked: &[Ranked<'_>],
        told: Told,
        taken: Option<usize>,
        record: &mut Option<Record>,
    ) {
        let Some(record) = record else { return };
        if let Some(at) = wish.ask.tell.left.filter(|_| !told.left.is_empty()) {
            record.left = limits::of(&wish.infos[at], &told.left);
        }
        for (index, verdict) in told.why.into_iter().enumerate().filter(|(index, _)| Some(*index) != taken) {
            let why = match verdict {
                // Where nothing is taken, none was preferred: the call has no room in what it draws on besides.
                Verdict::NotLooked | Verdict::Fits(_) if taken.is_none() => continue,
                Verdict::Open(ms, Cause::Faults) => Why::Failing { time: Duration::from_millis(ms) },
                Verdict::Open(ms, cause) => Why::Shut { time: Duration::from_millis(ms), cause },
                Verdict::Recovers(_) => Why::Recovers,
                Verdict::NotLooked => Why::NotLooked,
                Verdict::Fits(share) => Why::NotPreferred { share: share as f64 / 1e6 },
                Verdict::Waits(ms, at) => {
                    Why::NoRoom { time: Duration::from_millis(ms), pool: pool_name(wish, at) }
                }
                Verdict::Never(at) => Why::TooLarge { pool: pool_name(wish, at) },
            };
            record.explanation.add(self.name(&ranked[index]), why);
        }
    }

    /// Tells of the deployments that are no candidates and were not tried: to who asks, or if nothing is left to try.
    pub(super) fn explain_absent(
        &self,
        model: &Model,
        ranked: &[Ranked<'_>],
        tried: &Tried,
        record: &mut Option<Record>,
    ) {
        let is_told = |record: &&mut Record| record.explanation.wanted || ranked.is_empty();
        let Some(record) = record.as_mut().filter(is_told) else { return };
        let is_ranked = |id| ranked.iter().any(|ranked| ranked.target.deployment == id);
        for target in &model.targets {
            let id = target.deployment;
            if tried.deployments.contains(&id) || is_ranked(id) {
                continue;
            }
            let deployment = &self.snapshot.config.deployments[id.0];
            let long = !self.needs(0).fit(deployment.context_window);
            let why = match self.way(id) {
                Some(_) if self.is_drained(id) => Why::Drained,
                Some(_) if self.is_refused(id, tried) => Why::AccountRefuses,
                None => Why::NoSuchCall,
                Some(_) if self.spoken(id).is_some_and(|spoken| tried.unsayable.contains(&spoken)) => {
                    Why::Unsayable
                }
                Some(_) => match self.lack(model, target) {
                    Some(lack) => Why::Lacks(lack.to_string()),
                    None if long => Why::TooLong,
                    None => Why::NotItsHome,
                },
            };
            if !record.explanation.tells(&deployment.name, &why) {
                record.explanation.add(&deployment.name, why);
            }
        }
    }

    /// Tells of the candidates that a call that has failed did not try.
    pub(super) fn explain_untried(
        &self,
        model: &Model,
        attempts: &Attempts<'_>,
        tried: &Tried,
        record: &mut Option<Record>,
    ) {
        let Some(record) = record else { return };
        for target in model.targets.iter().filter(|target| !tried.deployments.contains(&target.deployment)) {
            let why = match tried.over {
                _ if self.is_refused(target.deployment, tried) => Why::AccountRefuses,
                _ if !self.is_candidate(model, target, tried) => continue, // told of at the beginning
                true => Why::TooSlow,
                false if !attempts.are_left() || !attempts.may_go_to(target) => Why::NoAttempts,
                false => continue,
            };
            let name = &self.snapshot.config.deployments[target.deployment.0].name;
            if !record.explanation.tells(name, &why) {
                record.explanation.add(name, why);
            }
        }
    }

    /// Tells of a call that is larger than a whole limit: of the one that stands in its way everywhere, or of each candidate's.
    pub(super) fn explain_too_large(
        &self,
        wish: &Wish,
        ranked: &[Ranked<'_>],
        pool: usize,
        record: &mut Option<Record>,
    ) {
        let Some(record) = record else { return };
        if wish.ask.common.iter().any(|draw| draw.pool == pool) {
            return every(Why::TooLarge { pool: pool_name(wish, pool) }, record);
        }
        for (ranked, candidate) in ranked.iter().zip(&wish.ask.candidates) {
            let is_over = |draw: &&Draw| {
                let meters = &wish.ask.pools[draw.pool].meters;
                meters.iter().zip(&draw.amounts).any(|(meter, amount)| *amount > meter.cap)
            };
            // (A lower limit of another version may count, which only the state knows.)
            let own = candidate.draws.iter().find(is_over).map_or(pool, |draw| draw.pool);
            record.explanation.add(self.name(ranked), Why::TooLarge { pool: pool_name(wish, own) });
        }
    }

    fn name(&self, ranked: &Ranked<'_>) -> &Arc<str> {
        &self.snapshot.config.deployments[ranked.target.deployment.0].name
    }
}

/// What is the same for every candidate.
pub(super) fn every(why: Why, record: &mut Record) {
    record.explanation.add(&EVERY, why);
}

/// A refusal by what every candidate draws on besides, or one of which nothing more is known.
pub(super) fn denial(wish: &Wish, denied: &Denied) -> Why {
    let time = Duration::from_millis(denied.retry_in);
    if denied.open { Why::Failing { time } } else { Why::NoRoom { time, pool: pool_name(wish, denied.pool) } }
}

fn pool_name(wish: &Wish, at: usize) -> Arc<str> {
    wish.infos.get(at).map_or_else(|| "".into(), |info| info.name.clone())
}
