//! `[[experiments]]`: variants of how a model is served, each for a share of its calls, so that they can be compared.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{Model, ModelId, Target};

/// One experiment. A model has one at most.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// Unique; a label of metrics.
    pub name: Arc<str>,
    /// Whose calls it is about: those that ask for it or that a rule gives it, not those that come as a fallback.
    pub model: ModelId,
    /// What stays with one variant.
    pub by: By,
    /// At least two; the others are compared with the first.
    pub variants: Vec<Variant>,
    /// SHA-256 (first 16 hex digits) of what the variants are, without their shares: what was measured belongs to it.
    pub digest: String,
}

/// What stays with one variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// A session; a call of none is drawn by itself.
    Session,
    /// A tenant.
    Tenant,
    /// Nothing: every call is drawn by itself.
    Call,
}

impl By {
    /// As the file has it.
    pub const WORDS: [(&'static str, By); 3] =
        [("session", By::Session), ("tenant", By::Tenant), ("call", By::Call)];

    /// The word in the file.
    pub fn word(self) -> &'static str {
        match self {
            By::Session => "session",
            By::Tenant => "tenant",
            By::Call => "call",
        }
    }
}

/// One way to serve the model.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Unique in the experiment; a label of metrics.
    pub name: Arc<str>,
    /// Its part of the calls beside those of the others, as the file has it; 0 for none.
    pub share: f64,
    /// The model as this variant serves it: with its deployments and its strategy.
    pub own: Model,
    /// What serves where these have no room: the model's other deployments, by the model's strategy. None if there are no others.
    pub rest: Option<Model>,
}

impl Variant {
    /// Does a deployment of the model belong to it?
    pub fn has(&self, target: &Target) -> bool {
        self.own.targets.iter().any(|own| own.deployment == target.deployment)
    }
}

impl Experiment {
    /// The greatest number of variants.
    pub const MOST_VARIANTS: usize = 16;
    /// The largest share.
    pub const MOST_SHARE: f64 = 1e6;

    /// A digest of what is told by `parts`, each in its place.
    pub(super) fn digest<'p>(parts: impl IntoIterator<Item = &'p str>) -> String {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hex::encode(&hash.finalize()[..8])
    }

    /// The shares as the file has them, by variant.
    pub fn shares(&self) -> Vec<f64> {
        self.variants.iter().map(|variant| variant.share).collect()
    }
}
