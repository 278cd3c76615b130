//! A preset's file as written: its tables, with the keys of each. Rules that a single value cannot show are in
//! [`check`](super::check).

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;
use toml::value::Datetime;

use super::words::{
    AuthKind, Call, ChargeWord, Counts, Dialect, Kind, MaxTokens, Quirk, ReserveWord, ResetFormat, Scope,
    Window,
};

/// Keys that a report may show of a file that is no TOML.
pub(super) const SHOWN: &[&[&str]] = &[&[
    "name", "as_of", "sources", "base_url", "dialects", "auth", "kind", "header", "quirks", "charge",
    "pools", "models", "limits", "meters", "limit", "per", "rpm", "tpm",
]];

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) name: Spanned<String>,
    pub(super) as_of: Spanned<Datetime>,
    pub(super) sources: Spanned<Vec<Spanned<String>>>,
    pub(super) base_url: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) base_url_when: Vec<When>,
    pub(super) dialects: Vec<Spanned<Dialect>>,
    pub(super) auth: Spanned<Vec<Spanned<Auth>>>,
    #[serde(default)]
    pub(super) headers: BTreeMap<Spanned<String>, Spanned<String>>,
    #[serde(default)]
    pub(super) values: BTreeMap<Spanned<String>, Value>,
    pub(super) paths: BTreeMap<Call, Spanned<String>>,
    #[serde(default)]
    pub(super) quirks: Vec<Spanned<Quirk>>,
    pub(super) counting: Counting,
    pub(super) pools_per: Vec<Scope>,
    #[serde(default)]
    pub(super) limit_headers: Vec<LimitHeaders>,
    #[serde(default)]
    pub(super) retry_after: Vec<Spanned<String>>,
    pub(super) request_id: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) tiers: Vec<Tier>,
}

/// Another address when a value is a certain one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct When {
    pub(super) value: Spanned<String>,
    pub(super) is: String,
    pub(super) base_url: Spanned<String>,
}

/// One way to show who pays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Auth {
    pub(super) kind: Spanned<AuthKind>,
    pub(super) header: Option<Spanned<String>>,
    pub(super) service: Option<Spanned<String>>,
    pub(super) scope: Option<Spanned<String>>,
}

/// What stands for a placeholder.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Value {
    pub(super) about: String,
    pub(super) default: Option<Spanned<String>>,
}

/// `[counting]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Counting {
    pub(super) charge: Spanned<ChargeWord>,
    pub(super) max_tokens: MaxTokens,
    pub(super) input: Counts,
    pub(super) cached_input: Counts,
    pub(super) cache_write: Counts,
    pub(super) output: Counts,
    pub(super) failed: Counts,
    pub(super) window: Window,
    pub(super) output_factor: Option<Spanned<u32>>,
}

/// Headers that tell one limit.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitHeaders {
    pub(super) kind: Spanned<Kind>,
    pub(super) per: Option<Spanned<String>>,
    pub(super) limit: Option<Spanned<String>>,
    pub(super) remaining: Option<Spanned<String>>,
    pub(super) reset: Option<Spanned<String>>,
    pub(super) format: Option<Spanned<ResetFormat>>,
}

/// `[[tiers]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tier {
    pub(super) name: Spanned<String>,
    pub(super) pools: Vec<Spanned<Pool>>,
    #[serde(default)]
    pub(super) without: Vec<Spanned<String>>,
}

/// A pool of a tier, as an account's `pools`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pool {
    pub(super) name: Spanned<String>,
    pub(super) models: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) meters: Vec<Spanned<Meter>>,
    pub(super) charge: Option<ChargeWord>,
    pub(super) reserve: Option<ReserveWord>,
}

/// `limits`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) rpm: Option<Spanned<i64>>,
    pub(super) rps: Option<Spanned<i64>>,
    pub(super) rpd: Option<Spanned<i64>>,
    pub(super) tpm: Option<Spanned<i64>>,
    pub(super) tpd: Option<Spanned<i64>>,
    pub(super) itpm: Option<Spanned<i64>>,
    pub(super) otpm: Option<Spanned<i64>>,
    pub(super) concurrency: Option<Spanned<i64>>,
}

/// One of `meters`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Meter {
    pub(super) kind: Kind,
    pub(super) limit: Spanned<i64>,
    pub(super) per: Option<Spanned<String>>,
}
