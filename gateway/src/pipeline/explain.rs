//! Why a call goes where it goes: for the client that asks, and for the log.

use std::time::Duration;

use super::{Call, Tried, limits, note};
use crate::config::Model;
use crate::route::Ranked;
use crate::state::Wish;
use crate::state::core::{Denied, Told, Verdict};
use crate::telemetry::{Record, Why};

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
        let pool = |at: usize| wish.infos.get(at).map_or_else(|| "".into(), |info| info.name.clone());
        for (index, verdict) in told.why.into_iter().enumerate().filter(|(index, _)| Some(*index) != taken) {
            let why = match verdict {
                Verdict::NotLooked => Why::NotLooked,
                Verdict::Fits(share) => Why::NotPreferred { share: share as f64 / 1e6 },
                Verdict::Waits(ms, at) => Why::NoRoom { time: Duration::from_millis(ms), pool: pool(at) },
                Verdict::Never(at) => Why::TooLarge { pool: pool(at) },
            };
            let deployment = ranked[index].target.deployment;
            record.explanation.add(&self.snapshot.config.deployments[deployment.0].name, why);
        }
    }

    /// Tells of the deployments that are no candidates and were not tried, to who asks.
    pub(super) fn explain_absent(
        &self,
        model: &Model,
        ranked: &[Ranked<'_>],
        tried: &Tried,
        record: &mut Option<Record>,
    ) {
        let Some(record) = record.as_mut().filter(|record| record.explanation.wanted) else { return };
        let deployments = model.targets.iter().map(|target| target.deployment);
        let is_ranked = |id| ranked.iter().any(|ranked| ranked.target.deployment == id);
        for id in deployments.filter(|id| !tried.deployments.contains(id) && !is_ranked(*id)) {
            let deployment = &self.snapshot.config.deployments[id.0];
            let long = deployment
                .context_window
                .is_some_and(|window| self.input.saturating_add(self.peek.max_output.unwrap_or(0)) > window);
            record.explanation.add(&deployment.name, if long { Why::TooLong } else { Why::NotItsHome });
        }
    }
}

/// A refusal of the state's that nobody asked to be explained: of every candidate it is known what stood in the way longest.
pub(super) fn denial(wish: &Wish, denied: &Denied, record: &mut Option<Record>) {
    let pool = wish.infos.get(denied.pool).map_or_else(|| "".into(), |pool| pool.name.clone());
    let time = Duration::from_millis(denied.retry_in);
    note(record, |record| record.explanation.add(&"every candidate".into(), Why::NoRoom { time, pool }));
}
