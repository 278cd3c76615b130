//! Provider presets: what is known of each provider, as dated data.
//!
//! One file per provider (`config/providers/*.toml`, built in, replaceable by files of the same form) says where the
//! provider is, which calls it has, how it is paid, where it departs from the dialect it speaks, how it counts, and
//! which limits its account tiers have. Facts that nobody has confirmed are marked `# unverified` in the files.

mod check;
mod file;
mod fill;
mod load;
mod parts;
mod tier;
mod words;

#[cfg(test)]
mod check_tests;
#[cfg(test)]
mod fill_tests;
#[cfg(test)]
mod load_tests;
#[cfg(test)]
mod quirk_tests;
#[cfg(test)]
mod recorded_tests;
#[cfg(test)]
mod tier_tests;

use std::collections::{BTreeMap, BTreeSet};

use http::{HeaderName, HeaderValue};

pub use fill::{FillError, Template};
pub use load::Presets;
pub use tier::{Tier, TierPool};
pub use words::{Call, Counts, Dialect, MaxTokens, Quirk, ResetFormat, Scope, Window};

use super::{Charge, Counted, MeterKind};

/// What is known of one provider.
#[derive(Clone, Debug)]
pub struct Preset {
    /// What accounts say as `provider`.
    pub name: String,
    /// When its facts were last looked at, `2026-11-29`.
    pub as_of: String,
    /// Where they stand.
    pub sources: Vec<String>,
    /// Where it is; none: the account must say. See [`Preset::base_url`].
    pub base_url: Option<Template>,
    /// Where it is instead when a value is a certain one; the first that applies.
    pub base_url_when: Vec<BaseUrlWhen>,
    /// What it speaks.
    pub dialects: BTreeSet<Dialect>,
    /// How calls show who pays; at least one, the usual one first.
    pub auth: Vec<Auth>,
    /// Headers of every request.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Placeholders of its addresses besides `model` and `id`.
    pub values: BTreeMap<String, ValueSpec>,
    /// Path and query of each call, to be put behind the base URL. See [`Preset::path`].
    pub paths: BTreeMap<Call, Template>,
    /// Where it departs from its dialects.
    pub quirks: BTreeSet<Quirk>,
    /// How it counts.
    pub counting: Counting,
    /// What its limits are counted per.
    pub pools_per: Vec<Scope>,
    /// Headers of answers that tell limits.
    pub limit_headers: Vec<LimitHeaders>,
    /// Headers of refusals that tell when to come back, the most exact first.
    pub retry_after: Vec<HeaderName>,
    /// The header that names a request in the provider's own logs.
    pub request_id: Option<HeaderName>,
    /// Limits of its account tiers, in file order. See [`Preset::limits`].
    pub tiers: Vec<Tier>,
}

/// Another address when a value is a certain one.
#[derive(Clone, Debug)]
pub struct BaseUrlWhen {
    /// Name of the value.
    pub value: String,
    /// What it must be.
    pub is: String,
    /// The address then.
    pub base_url: Template,
}

/// What stands for a placeholder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueSpec {
    /// What it is, for people.
    pub about: String,
    /// Used when the account does not say; none: it must.
    pub default: Option<String>,
}

/// How a call shows who pays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// Nothing.
    None,
    /// `Authorization: Bearer KEY`.
    Bearer,
    /// The key alone in a header.
    Header(HeaderName),
    /// AWS Signature Version 4 for this service.
    Sigv4 {
        /// `bedrock`.
        service: String,
    },
    /// A Google OAuth token as bearer.
    Google {
        /// What the token must be good for.
        scope: String,
    },
    /// A Microsoft Entra token as bearer.
    Entra {
        /// What the token must be good for.
        scope: String,
    },
}

/// How a provider counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counting {
    /// The nearest of the gateway's ways; default of accounts' `charge`.
    pub charge: Charge,
    /// What `max_tokens` does when a request arrives.
    pub max_tokens: MaxTokens,
    /// Input that no cache served.
    pub input: Counts,
    /// Input read from the prompt cache.
    pub cached_input: Counts,
    /// Input written to the prompt cache.
    pub cache_write: Counts,
    /// Output.
    pub output: Counts,
    /// Requests that were refused or failed.
    pub failed: Counts,
    /// How limits come back.
    pub window: Window,
    /// A token of output counts as so many; 1 unless the file says otherwise.
    pub output_factor: u32,
}

impl Counting {
    /// Which tokens count toward limits of tokens. Where the provider itself has none, limits are whoever set them's, and
    /// everything counts; so does what nobody knows.
    pub fn counted(&self) -> Counted {
        if self.input != Counts::Counted {
            return Counted::ALL;
        }
        Counted {
            cached_input: self.cached_input != Counts::Excluded,
            cache_write: self.cache_write != Counts::Excluded,
            output: if self.output == Counts::Excluded { 0 } else { self.output_factor },
        }
    }
}

/// Headers that tell one limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitHeaders {
    /// What is limited.
    pub kind: MeterKind,
    /// Per how many milliseconds; `None` when the header does not say.
    pub per_ms: Option<u64>,
    /// Tells the limit.
    pub limit: Option<HeaderName>,
    /// Tells what is left.
    pub remaining: Option<HeaderName>,
    /// Tells when it is whole again, and how it says so.
    pub reset: Option<(HeaderName, ResetFormat)>,
}

impl Preset {
    /// Of a provider of which nothing is known: a stand-in while problems are collected.
    pub(super) fn unknown() -> Preset {
        let counting = Counting {
            charge: Charge::EndActual,
            max_tokens: MaxTokens::Unknown,
            input: Counts::Unknown,
            cached_input: Counts::Unknown,
            cache_write: Counts::Unknown,
            output: Counts::Unknown,
            failed: Counts::Unknown,
            window: Window::Unknown,
            output_factor: 1,
        };
        Preset {
            name: String::new(),
            as_of: String::new(),
            sources: Vec::new(),
            base_url: None,
            base_url_when: Vec::new(),
            dialects: BTreeSet::new(),
            auth: Vec::new(),
            headers: Vec::new(),
            values: BTreeMap::new(),
            paths: BTreeMap::new(),
            quirks: BTreeSet::new(),
            counting,
            pools_per: Vec::new(),
            limit_headers: Vec::new(),
            retry_after: Vec::new(),
            request_id: None,
            tiers: Vec::new(),
        }
    }

    /// Does it depart from its dialect in this way?
    pub fn has(&self, quirk: Quirk) -> bool {
        self.quirks.contains(&quirk)
    }
}
