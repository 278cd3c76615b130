//! `[[accounts]]`: endpoint, credentials and pools of each.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, Uri};

use super::super::preset::Preset;
use super::super::tree::{At, Field, List, Reading, Span};
use super::super::{Access, Account, Charge, Counted, Pattern, PoolId, raw};
use super::access::{access, headers_of};
use super::addresses::{self, NOWHERE, Providers};
use super::budgets::budgets;
use super::names::Names;
use super::pools::{self, Origin, Pools, Terms};
use super::settings::Defaults;
use super::slow_start::slow_start;
use super::tiers::Tier;

/// Headers that the HTTP client sets itself.
pub(super) const OWN_HEADERS: &[&str] =
    &["connection", "content-length", "content-type", "expect", "host", "te", "transfer-encoding", "upgrade"];

/// All accounts, for what refers to them.
pub(super) struct Accounts<'f> {
    pub(super) list: Vec<Linked>,
    pub(super) names: Names<'f>,
}

/// An account and what its deployments take from it.
pub(super) struct Linked {
    pub(super) account: Arc<Account>,
    /// The pool of the whole account.
    pub(super) pool: Option<PoolId>,
    /// What all of it may spend.
    pub(super) budgets: Vec<PoolId>,
    pub(super) model_pools: Vec<ModelPool>,
    /// Whose limits its deployments have that no model pool names.
    pub(super) tier: Option<Tier>,
    /// How deployments count, unless they say otherwise.
    pub(super) terms: Terms,
}

/// A pool of some upstream models of an account.
pub(super) struct ModelPool {
    pub(super) id: PoolId,
    /// What its models may spend.
    pub(super) budgets: Vec<PoolId>,
    pub(super) patterns: Vec<(Pattern, Span)>,
}

/// Resolves all accounts.
pub(super) fn accounts<'f>(
    field: &'f Field<List<raw::Account>>,
    providers: &Providers,
    defaults: &Defaults,
    pools: &mut Pools,
    cx: &mut Reading<'_>,
) -> Accounts<'f> {
    let names = Names::collect("account", field, |account| &account.name, cx);
    let list = field.items().iter().map(|at| link(at, providers, defaults, pools, cx)).collect();
    Accounts { list, names }
}

fn link(
    at: &At<raw::Account>,
    providers: &Providers,
    defaults: &Defaults,
    pools: &mut Pools,
    cx: &mut Reading<'_>,
) -> Linked {
    let written = &at.value;
    let name = written.name.or(String::new());
    let preset = providers.find(&written.provider, cx);
    let usual = preset.as_ref().map_or(Charge::EndActual, |preset| preset.counting.charge);
    let counted = preset.as_ref().map_or(Counted::ALL, |preset| preset.counting.counted());
    let terms = Terms {
        counted,
        ..Terms::provider(written.charge.or(usual), defaults.headroom, defaults.slow_start)
    };
    let span = written.name.get().map_or(&at.span, |name| &name.span).clone();
    let meters = pools::meters(&written.limits, &written.meters, cx);
    let pool = pools.add_if_limited(Origin { name: format!("account/{name}"), span }, meters, terms, cx);
    let budgets = budgets(&format!("account/{name}"), &written.budgets, pools, cx);
    let model_pools = model_pools(&name, written, terms, pools, cx);
    let tier = written.limits_preset.get().zip(preset.as_ref());
    let tier = tier.and_then(|(tier, preset)| Tier::of(tier, written.charge.value().copied(), preset, cx));
    let place = addresses::place(at, preset.as_deref(), cx);
    let access = access(at, preset.as_deref(), &place, cx);
    let account = Account {
        tag: access.tag(&name, &place.base_url),
        name,
        preset: preset.unwrap_or_else(|| Arc::new(Preset::unknown())),
        base_url: place.base_url,
        region: place.region,
        values: place.values,
        headers: headers(written, &access, cx),
        access,
        traceparent: written.traceparent.or(true),
    };
    Linked { account: Arc::new(account), pool, budgets, model_pools, tier, terms }
}

fn model_pools(
    account: &str,
    written: &raw::Account,
    terms: Terms,
    pools: &mut Pools,
    cx: &mut Reading<'_>,
) -> Vec<ModelPool> {
    // Collected for its checks: nothing refers to a pool by name.
    Names::collect("pool of this account", &written.pools, |pool| &pool.name, cx);
    let mut found = Vec::new();
    for At { value: pool, span } in written.pools.items() {
        let meters = pools::meters(&pool.limits, &pool.meters, cx);
        if pool.limits.is_absent() && pool.meters.is_absent() && pool.budgets.is_absent() {
            cx.problem(span, "a pool without limits: give it `limits`, `meters` or `budgets`");
        }
        let name = pool.name.or(String::new());
        let origin = Origin {
            name: format!("account/{account}/{name}"),
            span: pool.name.get().map_or(span, |name| &name.span).clone(),
        };
        let slow_start = slow_start(&pool.slow_start, terms.slow_start, cx);
        let terms = terms.with(&pool.pace, &pool.reserve, &pool.charge, &pool.on_outage);
        let budgets = budgets(&origin.name, &pool.budgets, pools, cx);
        let id = pools.add(origin, meters, Terms { slow_start, ..terms }, cx);
        if pool.models.value().is_some_and(|models| models.written == 0) {
            cx.problem(span, "a pool without `models`: name the upstream models that draw on it, or `*`");
        }
        let pattern = |at: &At<String>| (Pattern::new(&at.value), at.span.clone());
        found.push(ModelPool { id, budgets, patterns: pool.models.items().iter().map(pattern).collect() });
    }
    found
}

fn headers(written: &raw::Account, access: &Access, cx: &mut Reading<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let taken = headers_of(access);
    let by = if written.credentials.is_absent() { "api_key" } else { "credentials" };
    let mut found = Vec::new();
    for header in written.headers.value().map_or(&[][..], |headers| &headers.0) {
        let Ok(name) = header.name.parse::<HeaderName>() else {
            cx.problem(&header.name_span, "this cannot be the name of a header");
            continue;
        };
        if OWN_HEADERS.contains(&name.as_str()) {
            cx.problem(&header.name_span, format!("`{name}` is set by the gateway itself"));
        }
        if taken.contains(&name) {
            cx.problem(&header.name_span, format!("`{name}` is already set by `{by}`"));
        }
        let Some(value) = header.value.get() else { continue };
        match HeaderValue::from_str(&value.value) {
            Ok(mut ready) => {
                // Kept out of debug output.
                ready.set_sensitive(true);
                found.push((name, ready));
            }
            Err(_) => cx.problem(&value.span, "holds characters that a header cannot carry"),
        }
    }
    found
}

/// Stands in for the account of a deployment whose reference is wrong; never leaves the check.
pub(super) fn unknown() -> Arc<Account> {
    Arc::new(Account {
        name: String::new(),
        tag: 0,
        preset: Arc::new(Preset::unknown()),
        base_url: Uri::from_static(NOWHERE),
        values: BTreeMap::new(),
        region: None,
        access: Access::Open,
        headers: Vec::new(),
        traceparent: false,
    })
}

/// Reports the patterns of account pools that no deployment's upstream model matches.
pub(super) fn unmatched_patterns(
    accounts: &Accounts<'_>,
    deployed: &[(usize, String)],
    cx: &mut Reading<'_>,
) {
    for (index, linked) in accounts.list.iter().enumerate() {
        for (pattern, span) in linked.model_pools.iter().flat_map(|pool| &pool.patterns) {
            if !deployed.iter().any(|(account, model)| *account == index && pattern.matches(model)) {
                cx.problem(span, "no deployment of this account has an upstream model that this matches");
            }
        }
    }
}
