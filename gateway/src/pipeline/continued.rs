//! Calls that go on with what a provider has kept. A response and a conversation exist in one account only, so the
//! call must go there, whichever replica gets it: to the deployment that made them while the model has it, else to
//! another of the same account.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{AWAY_RETRY, Call};
use crate::config::{Config, DeploymentId};
use crate::dialect::request::Continues;
use crate::error::{Error, Kind};
use crate::route::Ranked;
use crate::shared::{Snapshot, Worker};
use crate::state::{Away, owner_key, owner_tag, place_key};

/// A call's claim ends so long after the call at the latest.
const OVER: Duration = Duration::from_secs(60);

/// Where a call must go.
pub(super) struct Home {
    deployment: DeploymentId,
    /// What the provider puts before the model besides the request, as far as is known.
    pub(super) tokens: u64,
    param: &'static str,
}

impl Home {
    /// Of what a call continues; `None` if it may go anywhere. A response that nobody remembers is somebody else's as
    /// far as a tenant is concerned, and a conversation that another tenant went on with before ([`claim`]). Without tenants, and for
    /// other conversations, which are not made here, accounts are tried in turn.
    pub(super) async fn of(
        worker: &Worker,
        snapshot: &Snapshot,
        tenant: &str,
        continues: Option<&Continues>,
    ) -> Result<Option<Home>, Error> {
        let Some(continues) = continues else { return Ok(None) };
        let (client, key) = (&worker.shared.client, place_key(tenant, continues.id()));
        if let (Continues::Conversation(id), false) = (continues, tenant.is_empty()) {
            let owner = client.newest_place(&worker.port, &owner_key(id)).await.map_err(unknown)?;
            if owner.is_some_and(|owner| owner.tag != owner_tag(tenant)) {
                return Err(not_theirs(id));
            }
        }
        let place = match continues {
            Continues::Response(_) => client.place(&worker.port, &key).await,
            Continues::Conversation(_) => client.newest_place(&worker.port, &key).await,
        };
        let place = place.map_err(unknown)?;
        let known = place.and_then(|place| Some((place, find(&snapshot.config, place.tag)?)));
        match (known, continues) {
            (Some((place, deployment)), _) => {
                Ok(Some(Home { deployment, tokens: place.tokens, param: continues.param() }))
            }
            (None, Continues::Response(id)) if !tenant.is_empty() => Err(not_found(id)),
            (None, _) => Ok(None),
        }
    }

    /// Leaves the candidates that can go on: the deployment itself, else those of its account.
    pub(super) fn keep(&self, config: &Config, ranked: &mut Vec<Ranked<'_>>) {
        let itself = |ranked: &Ranked<'_>| ranked.target.deployment == self.deployment;
        if ranked.iter().any(itself) {
            return ranked.retain(itself);
        }
        ranked.retain(|other| self.may_be(config, other.target.deployment));
    }

    /// Is a deployment in the right account?
    pub(super) fn may_be(&self, config: &Config, id: DeploymentId) -> bool {
        let account = |id: DeploymentId| &config.deployments[id.0].account;
        Arc::ptr_eq(account(id), account(self.deployment))
    }

    /// No deployment of the model asked for, or of what is left of it, is in the right account.
    pub(super) fn not_served(&self, model: &str) -> Error {
        let message = format!(
            "What '{}' refers to is kept where the model `{model}` cannot go on with it.",
            self.param
        );
        Error::new(Kind::NoCandidate, message).param(self.param)
    }
}

/// Makes the conversation that a call goes on with its tenant's, until the call is over: then who has answered says for how long. Nothing
/// may be sent before, or of two tenants who begin at once both would be in it.
pub(super) async fn claim(call: &Call<'_>) -> Result<(), Error> {
    let Some(Continues::Conversation(id)) =
        call.peek.continues.as_ref().filter(|_| !call.tenant_name.is_empty())
    else {
        return Ok(());
    };
    let Worker { shared, port, .. } = &**call.worker;
    let (key, owner) = (owner_key(id), owner_tag(&call.tenant_name));
    let ttl = call.deadline.saturating_duration_since(Instant::now()) + OVER;
    match shared.client.claim(port, &key, owner, ttl).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(not_theirs(id)),
        Err(away) => Err(unknown(away)),
    }
}

/// Nobody can say where it is.
fn unknown(_: Away) -> Error {
    let message = "The gateway's shared state, which knows where this is kept, is not reachable.";
    Error::new(Kind::StateAway, message).retry_after(AWAY_RETRY)
}

/// As if there were none.
fn not_theirs(id: &str) -> Error {
    Error::new(Kind::NotKept, format!("Conversation with id '{id}' not found.")).param("conversation")
}

/// As OpenAI says it.
fn not_found(id: &str) -> Error {
    Error::new(Kind::NotKept, format!("Previous response with id '{id}' not found."))
        .param("previous_response_id")
}

/// The deployment with a tag; `None` if the configuration does not have it any more.
pub(super) fn find(config: &Config, tag: u64) -> Option<DeploymentId> {
    config.deployments.iter().position(|deployment| deployment.tag == tag).map(DeploymentId)
}
