//! What a call has tried, and which deployments that leaves.

use std::sync::Arc;

use super::Call;
use crate::config::{DeploymentId, Model, Target};
use crate::upstream::way::Way;

/// What a call has tried, whichever of its models led there.
#[derive(Default)]
pub(super) struct Tried {
    pub(super) deployments: Vec<DeploymentId>,
    /// Those of them whose account does not keep what the call continues.
    pub(super) without: Vec<DeploymentId>,
    /// Those of them whose account has asked not to be tried again.
    pub(super) refusing: Vec<DeploymentId>,
    /// Where the request cannot be said.
    pub(super) unsayable: Vec<Spoken>,
    /// A failure has taken so long that the call is tried nowhere else.
    pub(super) over: bool,
}

/// A way to ask a provider for a model: what one deployment of the same could not be told, no other can.
#[derive(PartialEq, Eq)]
pub(super) struct Spoken {
    way: Way,
    preset: String,
    model: String,
}

impl Call<'_> {
    /// Can this deployment serve the call, and may it still be asked?
    pub(super) fn is_able(&self, id: DeploymentId, tried: &Tried) -> bool {
        let Tried { deployments, without, refusing: _, unsayable, over: _ } = tried;
        let is_tried = deployments.contains(&id) || self.is_of(id, without) || self.is_refused(id, tried);
        if is_tried || self.is_drained(id) {
            return false;
        }
        match unsayable.is_empty() {
            true => self.way(id).is_some(),
            false => self.spoken(id).is_some_and(|spoken| !unsayable.contains(&spoken)),
        }
    }

    /// Does it get no new calls, by what operators say?
    pub(super) fn is_drained(&self, id: DeploymentId) -> bool {
        self.snapshot.duties[id.0].is_drained()
    }

    /// Could this deployment of a model serve the call if it were not drained?
    pub(super) fn is_kept_from(&self, model: &Model, target: &Target) -> bool {
        let id = target.deployment;
        self.is_drained(id) && self.way(id).is_some() && self.is_fit(model, target)
    }

    /// Is it one that the call may go to, by what it demands and what it continues?
    fn is_fit(&self, model: &Model, target: &Target) -> bool {
        let (config, id) = (&self.snapshot.config, target.deployment);
        let at_home = self.home.as_ref().is_none_or(|home| home.may_be(config, id));
        let fits = self.needs(0).fit(config.deployments[id.0].context_window);
        at_home && fits && self.lack(model, target).is_none()
    }

    /// Has its account asked not to be tried again?
    pub(super) fn is_refused(&self, id: DeploymentId, tried: &Tried) -> bool {
        self.is_of(id, &tried.refusing)
    }

    /// Is a deployment of the account of one of these?
    fn is_of(&self, id: DeploymentId, others: &[DeploymentId]) -> bool {
        let account = |id: DeploymentId| &self.snapshot.config.deployments[id.0].account;
        others.iter().any(|other| Arc::ptr_eq(account(*other), account(id)))
    }

    /// May this deployment of a model serve the call, as far as is known without asking anybody?
    pub(super) fn is_candidate(&self, model: &Model, target: &Target, tried: &Tried) -> bool {
        self.is_able(target.deployment, tried) && self.is_fit(model, target)
    }

    /// How a deployment serves the call; `None` if it cannot.
    pub(super) fn way(&self, deployment: DeploymentId) -> Option<Way> {
        self.snapshot.endpoints[deployment.0].way(self.peek.api)
    }

    /// The same, and at whom.
    pub(super) fn spoken(&self, deployment: DeploymentId) -> Option<Spoken> {
        let preset = self.snapshot.endpoints[deployment.0].preset().name.clone();
        let model = self.snapshot.config.deployments[deployment.0].model.clone();
        Some(Spoken { way: self.way(deployment)?, preset, model })
    }
}
