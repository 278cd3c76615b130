//! Whether a call may be tried again, beside all the calls of its model: where everybody fails, most may not.
//!
//! The budget is for the sake of those who are down. So what does not ask more of them needs none: an attempt after one
//! that was never sent, and one at a deployment that has served most of its calls lately. That is what a call does whose
//! deployment has died while others live; without this, those that were on their way there when its circuit opened would fail.

use parking_lot::Mutex;

use super::Call;
use crate::clock::boot_ms;
use crate::config::{DeploymentId, ModelId};
use crate::route::Ranked;
use crate::route::attempts::Attempts;
use crate::route::budget::{Budget, LEAST};
use crate::shared::Snapshot;
use crate::telemetry::{Record, Why};

/// A further attempt, taken from its model's budget. One that is not made, for there is no room or its client has left, is given
/// back.
pub(super) struct Taken<'a> {
    budget: Option<&'a Mutex<Budget>>,
    at: u64,
}

impl Taken<'_> {
    /// It is made.
    pub(super) fn made(mut self) {
        self.budget = None;
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some(budget) = self.budget {
            budget.lock().give_back(self.at);
        }
    }
}

impl<'a> Call<'a> {
    /// Leaves the candidates at which a call may be attempted now; if none of them, that is counted.
    pub(super) fn within_budget(
        &self,
        id: ModelId,
        attempts: &Attempts<'_>,
        ranked: &mut Vec<Ranked<'_>>,
        record: &mut Option<Record>,
    ) -> Taken<'a> {
        let snapshot: &'a Snapshot = self.snapshot;
        let (retry, budget) = (&snapshot.config.models[id.0].retry, &snapshot.budgets[id.0]);
        let (is_further, at) = (attempts.sent() && retry.is_bounded() && !ranked.is_empty(), boot_ms());
        if !is_further {
            return Taken { budget: None, at };
        }
        if budget.lock().take(at, retry.budget, LEAST) {
            return Taken { budget: Some(budget), at };
        }
        ranked.retain(|ranked| {
            let deployment = ranked.target.deployment;
            let helps = !self.fails(deployment, retry.budget);
            if let Some(record) = record.as_mut().filter(|_| !helps) {
                let name = &self.snapshot.config.deployments[deployment.0].name;
                record.explanation.add(name, Why::NoBudget);
            }
            helps
        });
        if ranked.is_empty() {
            self.worker.shared.metrics.budget_exhausted(&self.snapshot.model_names[id.0]);
        }
        Taken { budget: None, at }
    }

    /// A call is attempted on a model for the first time.
    pub(super) fn pay_in(&self, id: ModelId) {
        let model = &self.snapshot.config.models[id.0];
        if model.retry.is_bounded() && model.targets.len() > 1 {
            self.snapshot.budgets[id.0].lock().pay_in(boot_ms());
        }
        if model.hedge.is_some() && self.peek.stream {
            self.snapshot.hedges[id.0].lock().pay_in(boot_ms());
        }
    }

    /// Would the budget, as it stands, keep the call from an attempt there?
    pub(super) fn is_barred(&self, id: ModelId, deployment: DeploymentId) -> bool {
        let retry = &self.snapshot.config.models[id.0].retry;
        retry.is_bounded()
            && self.fails(deployment, retry.budget)
            && !self.snapshot.budgets[id.0].lock().is_left(boot_ms(), retry.budget, LEAST)
    }

    /// Has it failed more than this share of its calls lately?
    pub(super) fn fails(&self, deployment: DeploymentId, millionths: u64) -> bool {
        self.snapshot.standings[deployment.0].unserved() > millionths
    }
}
