//! What an attempt costs, told once: when it is settled, or, dropped before, as one that was given up.
//!
//! It counts as our own limits count it. What the provider says it used is paid at the price of the second in which it was sent.
//! Where the provider does not say, because the stream broke or the client left, it is what reached us and our own count of the
//! input; of one that was given up before anything came (a client that left, a hedge that lost, a time-out) it is the input.
//! A refusal, or a connection that broke before anything came, costs nothing. What cannot be known is counted as that.

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

    /// The attempt is settled so. US$, if that is known.
    pub fn pay(mut self, actual: Actual) -> Option<f64> {
        match actual {
            Actual::Used(usage) => self.close(usage, false),
            Actual::Partial { input, delivered } => {
                self.close(Usage { input, output: delivered, ..Usage::default() }, true)
            }
            Actual::Failed => {
                self.is_open = false;
                Some(0.0)
            }
            Actual::Abandoned => self.give_up(),
        }
    }

    /// What it uses is not to be known here.
    pub fn unknown(mut self) {
        self.tell(Spent::UNKNOWN);
    }

    /// Of what it used nothing is known but that it was sent.
    fn give_up(&mut self) -> Option<f64> {
        self.close(Usage { input: self.input, ..Usage::default() }, true)
    }

    /// It costs nothing.
    pub fn free(mut self) {
        self.is_open = false;
    }

    fn close(&mut self, usage: Usage, estimated: bool) -> Option<f64> {
        let config = &self.snapshot.config;
        let cost =
            config.deployments[self.deployment.0].pricing.at(self.sent).map(|price| price.cost(&usage));
        let usd = cost.flatten();
        let model = self.model.map(|model| &config.models[model.0]);
        let saved = match (usd, model) {
            (Some(usd), Some(model)) => saved(config, model, &usage, self.sent, usd),
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
/// they cost.
fn saved(config: &Config, model: &Model, usage: &Usage, sent: u64, usd: f64) -> Saved {
    let at = |id: DeploymentId| {
        let price = config.deployments[id.0].pricing.at(sent);
        price.map(|price| price.as_usual(usage))
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
