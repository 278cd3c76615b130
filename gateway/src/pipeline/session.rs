//! Which calls belong together: the session that a call names, or how its prompt begins.

use sha2::{Digest, Sha256};

use super::Call;
use crate::config::{Deployment, DeploymentId, Model, ModelId};
use crate::route::{Needs, Ranked};
use crate::state::core::{DEAR, Kin, Likeness, SessionRef};

/// No provider keeps a shorter prompt, tokens: OpenAI, Anthropic and Google say 1,024 or more.
const CACHED: u64 = 1_024;

impl Call<'_> {
    /// The session, by the header; else by the member of the request that counts.
    pub(super) fn session(&self, id: ModelId, model: &Model) -> Option<SessionRef> {
        let affinity = model.affinity.as_ref()?;
        let by_header = self.headers.get(&affinity.header).map(|value| (None, value.as_bytes()));
        let by_field = || {
            let (hint, name) = self.peek.session(&self.body, affinity.fields)?;
            Some((Some(hint.name()), name))
        };
        let (field, name) = by_header.or_else(by_field)?;
        let mut hash = Sha256::new();
        let mut add = |part: &[u8]| {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        };
        add(self.snapshot.model_names[id.0].as_bytes());
        add(self.tenant_name.as_bytes());
        add(name);
        if let Some(field) = field {
            add(field.as_bytes()); // what header and member say may be the same word and not the same session
        }
        let key = hex::encode(&hash.finalize()[..16]);
        Some(SessionRef { key, ttl: affinity.ttl.as_millis() as u64, kin: Kin::default() })
    }

    /// The session, with who is like whom among these candidates, and like the one that has failed it last, or that was its own
    /// until it was drained.
    pub(super) fn with_kin(
        &self,
        session: Option<&SessionRef>,
        id: ModelId,
        ranked: &[Ranked<'_>],
        failed: Option<&DeploymentId>,
    ) -> Option<SessionRef> {
        let session = session?;
        let config = &self.snapshot.config;
        let (model, deployments) = (&config.models[id.0], &config.deployments);
        let tiers = ranked.first().map(|first| first.tier) != ranked.last().map(|last| last.tier);
        let needs = tiers.then(|| self.needs(self.expected_output(id)));
        let of = |ranked: &Ranked<'_>| {
            let deployment = &deployments[ranked.target.deployment.0];
            let (cold, worth) = needs.map_or((DEAR, 0), |needs| prices(deployment, needs, model));
            // Outside of its variant it does not stay, whatever a move costs.
            let worth = if self.is_spilled(id, ranked.target) { DEAR + 1 } else { worth };
            Likeness { set: ranked.set, cold, worth, ..like(deployment) }
        };
        let kin = Kin {
            of: ranked.iter().map(of).collect(),
            lost: failed.map(|id| &deployments[id.0]).or_else(|| self.drained_pin(model, session)).map(like),
            within: (model.ranking.tiebreak_within * 1e6) as u64,
            spare: u64::from(model.headroom.soft) * 1_000_000 / u64::from(model.headroom.hard),
        };
        Some(SessionRef { kin, ..session.clone() })
    }

    /// Where the session went before that was drained, as far as this replica knows.
    fn drained_pin(&self, model: &Model, session: &SessionRef) -> Option<&Deployment> {
        if !model.targets.iter().any(|target| self.is_drained(target.deployment)) {
            return None;
        }
        let tag = self.worker.shared.client.recall_pin(&session.key)?;
        let deployments = self.snapshot.config.deployments.iter().enumerate();
        let mut drained = deployments.filter(|(at, _)| self.is_drained(DeploymentId(*at)));
        drained.find(|(_, deployment)| deployment.tag == tag).map(|(_, deployment)| deployment)
    }

    /// How the prompt begins, if that is to decide and a provider might have cached it.
    pub(super) fn beginning(&self, model: &Model) -> Option<u64> {
        let counts = model.affinity.as_ref().is_some_and(|affinity| affinity.prefix);
        if counts && self.input >= CACHED { self.peek.beginning(&self.body) } else { None }
    }
}

fn like(deployment: &Deployment) -> Likeness {
    let provider = Deployment::tag_of(&deployment.account.preset.name);
    let model = Deployment::tag_of(&deployment.model);
    Likeness { model, provider, set: 0, cold: DEAR, worth: 0 }
}

/// What a call costs at a deployment if nothing of it is cached there; and below what it is worth leaving it, which has all of
/// the input cached perhaps. Nano-dollars.
fn prices(deployment: &Deployment, needs: Needs, model: &Model) -> (u64, u64) {
    let Some(price) = deployment.pricing.at(needs.at) else { return (DEAR, 0) };
    let nano = |dollars: f64| ((dollars * 1e9) as u64).min(DEAR);
    let cost = |cached| price.of(needs.input, cached, 0, needs.expected);
    let warm = cost(needs.input) * (1.0 - model.ranking.tiebreak_within);
    (nano(cost(0)), nano(warm))
}
