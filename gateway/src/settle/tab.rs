//! What an attempt costs, told once: when it is settled, or, dropped before, as one that was given up.
//!
//! What the provider says it used is paid at the price of the second in which it was sent. Where the provider does not say, because
//! the stream broke or the client left, it is the output that reached us and the input as far as the stream told it, else our own
//! count of it. Of one that was given up before anything came (a client that left, a hedge that lost, a time-out) it is our count of
//! the input. A refusal, or a connection that broke before anything came, costs nothing. What cannot be known is counted as that.
//! Budgets go by the same numbers, but for what the client left: of that they keep all that was held ([`Actual::Abandoned`]).

use std::sync::Arc;

use crate::clock::unix_now;
use crate::config::{Config, DeploymentId, Model, ModelId};
use crate::cost::told::hour_now;
use crate::cost::{Place, Saved, Spent};
use crate::dialect::openai::answer::Usage;
use crate::shared::{Shared, Snapshot};
use crate::state::Actual;

/// What an attempt still costs.
#[derive(Debug)]
pub struct Tab {
    shared: Arc<Shared>,
    snapshot: Arc<Snapshot>,
    place: Place,
    model: Option<ModelId>,
    deployment: DeploymentId,
    /// Estimated input tokens.
    input: u64,
    /// Unix seconds.
    sent: u64,
    is_open: bool,
}

/// What an attempt is counted for.
#[derive(Clone, Debug)]
pub struct For {
    /// Who asks.
    pub tenant: Arc<str>,
    /// What for; none: for nobody, to see whether the deployment serves.
    pub model: Option<ModelId>,
    /// Who serves it.
    pub deployment: DeploymentId,
}

impl Tab {
    /// Of an attempt that is sent now, with so much input by our own count, tokens.
    pub fn open(shared: &Arc<Shared>, snapshot: &Arc<Snapshot>, what: For, input: u64) -> Tab {
        let For { tenant, model, deployment } = what;
        let name = model.map_or_else(|| shared.nobody.clone(), |model| snapshot.model_names[model.0].clone());
        let place = (tenant, name, snapshot.config.deployments[deployment.0].name.clone());
        Tab {
            shared: shared.clone(),
            snapshot: snapshot.clone(),
            place,
            model,
            deployment,
            input,
            sent: unix_now(),
            is_open: true,
        }
    }

    /// The attempt is settled so, and its answer is the client's. US$, if that is known.
    pub fn pay(mut self, actual: Actual) -> Option<f64> {
        self.settle(actual, true)
    }

    /// The attempt is settled so, and the client has nothing of it.
    pub fn pay_in_vain(mut self, actual: Actual) {
        self.settle(actual, false);
    }

    fn settle(&mut self, actual: Actual, serves: bool) -> Option<f64> {
        match actual {
            Actual::Used(usage) => self.close(usage, false, serves),
            Actual::Partial(usage) => self.close(usage, true, serves),
            Actual::TimedOut { .. } | Actual::Abandoned => self.give_up(),
            Actual::Failed => {
                self.is_open = false;
                Some(0.0)
            }
        }
    }

    /// What it uses is not to be known here.
    pub fn unknown(mut self) {
        self.tell(Spent::UNKNOWN);
    }

    /// Of what it used nothing is known but that it was sent, and nobody has anything of it.
    fn give_up(&mut self) -> Option<f64> {
        self.close(Usage { input: self.input, ..Usage::default() }, true, false)
    }

    /// It costs nothing.
    pub fn free(mut self) {
        self.is_open = false;
    }

    fn close(&mut self, usage: Usage, estimated: bool, serves: bool) -> Option<f64> {
        let config = &self.snapshot.config;
        let cost =
            config.deployments[self.deployment.0].pricing.at(self.sent).map(|price| price.cost(&usage));
        let usd = cost.flatten();
        let model = self.model.map(|model| &config.models[model.0]);
        let saved = match (usd, model) {
            (Some(usd), Some(model)) => saved(config, model, serves.then_some(&usage), self.sent, usd),
            _ => Saved::default(),
        };
        self.tell(Spent { usage: Some(usage), estimated, usd, saved });
        usd
    }

    fn tell(&mut self, spent: Spent) {
        self.is_open = false;
        self.shared.metrics.spent(&self.place, &spent);
        self.shared.costs.note(&self.place, &spent, hour_now());
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        if self.is_open {
            self.give_up();
        }
    }
}

/// What the same tokens would have cost at the model's baseline, and at the dearest of its deployments, served as usual, less what
/// they cost. None: the client had nothing of them, so they are all too many wherever they were used.
fn saved(config: &Config, model: &Model, usage: Option<&Usage>, sent: u64, usd: f64) -> Saved {
    let at = |id: DeploymentId| {
        let price = config.deployments[id.0].pricing.at(sent);
        price.map(|price| usage.map_or(0.0, |usage| price.as_usual(usage)))
    };
    let dearest = model.targets.iter().filter_map(|target| at(target.deployment)).max_by(f64::total_cmp);
    Saved {
        baseline: model.baseline.and_then(at).map(|cost| cost - usd),
        dearest: dearest.map(|cost| cost - usd),
    }
}

#[cfg(test)]
#[path = "tab_tests.rs"]
mod tests;
