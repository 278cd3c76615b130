//! Which calls belong together: the session that a call names, or how its prompt begins.

use sha2::{Digest, Sha256};

use super::Call;
use crate::config::{Deployment, DeploymentId};
use crate::config::{Model, ModelId};
use crate::route::Ranked;
use crate::state::core::{Kin, Likeness, SessionRef};

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

    /// The session, with who is like whom among these candidates, and like the one that has failed it last.
    pub(super) fn with_kin(
        &self,
        session: Option<&SessionRef>,
        model: &Model,
        ranked: &[Ranked<'_>],
        failed: Option<&DeploymentId>,
    ) -> Option<SessionRef> {
        let session = session?;
        let deployments = &self.snapshot.config.deployments;
        let of = |ranked: &Ranked<'_>| like(&deployments[ranked.target.deployment.0], ranked.set);
        let kin = Kin {
            of: ranked.iter().map(of).collect(),
            lost: failed.map(|id| like(&deployments[id.0], 0)),
            within: (model.ranking.tiebreak_within * 1e6) as u64,
        };
        Some(SessionRef { kin, ..session.clone() })
    }

    /// How the prompt begins, if that is to decide and a provider might have cached it.
    pub(super) fn beginning(&self, model: &Model) -> Option<u64> {
        let counts = model.affinity.as_ref().is_some_and(|affinity| affinity.prefix);
        if counts && self.input >= CACHED { self.peek.beginning(&self.body) } else { None }
    }
}

fn like(deployment: &Deployment, set: u64) -> Likeness {
    let provider = Deployment::tag_of(&deployment.account.preset.name);
    Likeness { model: Deployment::tag_of(&deployment.model), provider, set }
}
