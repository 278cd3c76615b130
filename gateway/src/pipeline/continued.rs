//! Calls that go on with what a provider has kept. A response and a conversation exist in one account only, so the
//! call must go there, whichever replica gets it: to the deployment that made them while the model has it, else to
//! another of the same account.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{AWAY_RETRY, Call};
use crate::config::{Config, DeploymentId, Target};
use crate::dialect::request::Continues;
use crate::error::{Error, Kind};
use crate::route::Ranked;
use crate::shared::{Snapshot, Worker};
use crate::state::{Away, Claimed, owner_key, owner_tag, place_key};

/// A claim outlives its call by so much at least.
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
    /// far as a tenant is concerned, and so is a conversation that another tenant went on with before ([`Call::claim`]). Without tenants, and for
    /// other conversations, which are not made here, accounts are tried in turn.
    pub(super) async fn of(
        worker: &Worker,
        snapshot: &Snapshot,
        tenant: &str,
        continues: Option<&Continues>,
    ) -> Result<Option<Home>, Error> {
        let Some(continues) = continues else { return Ok(None) };
        let (client, key) = (&worker.shared.client, place_key(tenant, continues.id()));
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

/// A conversation of a tenant in an account.
struct Owned<'a> {
    id: &'a str,
    key: String,
    owner: u64,
}

impl Call<'_> {
    /// That which the call goes on with, if somebody may own it.
    fn owned(&self, target: &Target) -> Option<Owned<'_>> {
        let continues = self.peek.continues.as_ref().filter(|_| !self.tenant_name.is_empty());
        let Some(Continues::Conversation(id)) = continues else { return None };
        let account = self.snapshot.config.deployments[target.deployment.0].account.tag;
        Some(Owned { id, key: owner_key(account, id), owner: owner_tag(&self.tenant_name) })
    }

    /// Makes the conversation that the call goes on with its tenant's. Nothing may be sent before, or of two tenants who begin at once
    /// both would be in it; and who leaves before an answer, which may have been read, would not be known to have been there. An error
    /// if it is another's in this account, or nobody can say.
    pub(super) async fn claim(&self, target: &Target) -> Result<Claimed, Error> {
        let Some(Owned { id, key, owner }) = self.owned(target) else { return Ok(Claimed::Ours) };
        let Worker { shared, port, .. } = &**self.worker;
        let call = self.deadline.saturating_duration_since(Instant::now()) + OVER;
        let ttl = self.snapshot.config.server.remember_responses.max(call);
        match shared.client.claim(port, &key, owner, ttl).await.map_err(unknown)? {
            Claimed::Theirs => Err(not_theirs(id)),
            claimed => Ok(claimed),
        }
    }

    /// Nothing of the call was taken in: the conversation is not there, or was not reached. It stays the tenant's if another call in it
    /// was answered meanwhile: then it has a place.
    pub(super) async fn unclaim(&self, target: &Target) {
        let Some(Owned { id, key, owner }) = self.owned(target) else { return };
        let Worker { shared, port, .. } = &**self.worker;
        let place = shared.client.newest_place(port, &place_key(&self.tenant_name, id)).await;
        if place == Ok(None) {
            shared.client.unclaim(port, &key, owner).await;
        }
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
