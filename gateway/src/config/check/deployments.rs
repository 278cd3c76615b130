//! `[[deployments]]`: where each runs and which pools it draws on.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::super::preset::FillError;
use super::super::tree::{At, Field, List, Reading, Span};
use super::super::units::Count;
use super::super::{Account, Deployment, PoolId, Prices, Pricing, raw};
use super::abilities;
use super::accounts::{self, Accounts};
use super::budgets;
use super::names::Names;
use super::pools::{self, Origin, Pools, Terms};
use super::settings::{self, Defaults};
use super::slow_start::slow_start;
use super::tiers::TierPools;
use super::{circuit, health, price};

/// `max_output` if the file does not say: tokens.
const MAX_OUTPUT: u64 = 4096;

/// All deployments, for what refers to them.
pub(super) struct Deployments<'f> {
    pub(super) list: Vec<Linked>,
    pub(super) names: Names<'f>,
    /// Some tags could not be read, so there may be others.
    pub(super) has_other_tags: bool,
}

impl Deployments<'_> {
    /// Every tag, once.
    pub(super) fn tags(&self) -> Vec<Arc<str>> {
        let all = self.list.iter().flat_map(|linked| linked.deployment.tags.iter().cloned());
        all.collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// A deployment and its index among the accounts.
pub(super) struct Linked {
    pub(super) deployment: Deployment,
    account: Option<usize>,
}

/// Resolves all deployments.
pub(super) fn deployments<'f>(
    field: &'f Field<List<raw::Deployment>>,
    (accounts, prices): (&Accounts<'_>, &Prices),
    defaults: &Defaults,
    pools: &mut Pools,
    cx: &mut Reading<'_>,
) -> Deployments<'f> {
    let names = Names::collect("deployment", field, |deployment| &deployment.name, cx);
    let mut tiers = TierPools::default();
    let mut of = |at| link(at, (accounts, prices), defaults, &mut tiers, pools, cx);
    let list: Vec<Linked> = field.items().iter().map(&mut of).collect();
    tags_differ(field.items(), cx);
    let known = |linked: &Linked| !linked.deployment.model.is_empty() && linked.account.is_some();
    if list.iter().all(known) && !field.is_incomplete() {
        let deployed = |linked: &Linked| Some((linked.account?, linked.deployment.model.clone()));
        let deployed: Vec<(usize, String)> = list.iter().filter_map(deployed).collect();
        accounts::unmatched_patterns(accounts, &deployed, cx);
    }
    let has_other_tags =
        field.is_incomplete() || field.items().iter().any(|at| at.value.tags.is_incomplete());
    Deployments { list, names, has_other_tags }
}

fn link(
    at: &At<raw::Deployment>,
    (accounts, prices): (&Accounts<'_>, &Prices),
    defaults: &Defaults,
    tiers: &mut TierPools,
    pools: &mut Pools,
    cx: &mut Reading<'_>,
) -> Linked {
    let written = &at.value;
    let name = written.name.or(String::new());
    let index = written.account.get().and_then(|account| accounts.names.find(account, cx));
    let account = index.and_then(|index| Some((index, accounts.list.get(index)?)));
    let linked = account.map(|(_, linked)| linked);
    let model = model(written, linked, cx);
    let unknown = Terms::provider(super::super::Charge::EndActual, defaults.headroom, defaults.slow_start);
    let terms = linked.map_or(unknown, |linked| linked.terms);
    let slow_start = slow_start(&written.slow_start, terms.slow_start, cx);
    let terms = terms.with(&written.pace, &written.reserve, &written.charge, &written.on_outage);
    let terms = Terms { slow_start, ..terms };
    let meters = pools::meters(&written.limits, &written.meters, cx);
    if let (true, Some(at)) = (meters.is_empty(), written.slow_start.get()) {
        cx.problem(&at.span, "a slow start is a share of limits: give the deployment `limits` or `meters` of its own, or set it where they are");
    }
    let span = written.name.get().map_or(&at.span, |name| &name.span).clone();
    let own = pools.add(Origin { name: format!("deployment/{name}"), span }, meters, terms, cx);
    let shared = account.map(|account| shared_pools(account, written, tiers, pools, cx)).unwrap_or_default();
    let budgets = linked.map(|linked| budgets_of(linked, written)).unwrap_or_default();
    let preset = linked.map(|linked| &*linked.account.preset);
    let pricing = match written.price.get() {
        Some(at) => Pricing::Own(price::price(at, cx)),
        None => preset.map_or(Pricing::UNKNOWN, |preset| prices.of(&preset.name, &model)),
    };
    if !budgets.is_empty() && prices.is_read() {
        budgets::need_price(at, &pricing, cx);
    }
    let (context_window, max_output) = sizes(written, cx);
    let of_account = linked.and_then(|linked| linked.pool);
    let circuit = circuit::circuit(&written.circuit, defaults.circuit, cx);
    let health_check = health::of_deployment(at, defaults.health_check, preset, circuit.enabled, cx);
    let deployment = Deployment {
        tag: Deployment::tag_of(&name),
        name: name.into(),
        account: linked.map_or_else(accounts::unknown, |linked| Arc::clone(&linked.account)),
        model,
        pools: of_account.into_iter().chain(shared.iter().copied()).chain([own]).chain(budgets).collect(),
        rests: if shared.is_empty() { vec![own] } else { shared },
        pricing,
        context_window,
        max_output,
        cooldown: settings::cooldown(&written.cooldown, defaults.cooldown, cx),
        circuit,
        health_check,
        supports: abilities::supports(&written.supports),
        quality: abilities::quality(&written.quality, cx),
        tags: abilities::tags(written.tags.items(), cx),
    };
    Linked { deployment, account: index }
}

/// The account's model pools that the upstream model draws on; if there are none, that of the account's tier.
fn shared_pools(
    (index, account): (usize, &accounts::Linked),
    written: &raw::Deployment,
    tiers: &mut TierPools,
    pools: &mut Pools,
    cx: &mut Reading<'_>,
) -> Vec<PoolId> {
    let Some(model) = written.model.get() else { return Vec::new() };
    let fits = |pool: &&accounts::ModelPool| pool.patterns.iter().any(|(p, _)| p.matches(&model.value));
    let own: Vec<PoolId> = account.model_pools.iter().filter(fits).map(|pool| pool.id).collect();
    if !own.is_empty() {
        return own;
    }
    let said = !written.limits.is_absent() || !written.meters.is_absent();
    tiers.find((index, account), model, said || account.pool.is_some(), pools, cx).into_iter().collect()
}

/// The budgets of the account, and of those of its model pools that the upstream model draws on.
fn budgets_of(account: &accounts::Linked, written: &raw::Deployment) -> Vec<PoolId> {
    let model = written.model.value().map_or("", String::as_str);
    let fits = |pool: &&accounts::ModelPool| pool.patterns.iter().any(|(p, _)| p.matches(model));
    let of_models = account.model_pools.iter().filter(fits).flat_map(|pool| &pool.budgets);
    account.budgets.iter().chain(of_models).copied().collect()
}

/// The provider's name for the model: any text that can stand in a request, and in its path if it stands there.
fn model(written: &raw::Deployment, account: Option<&accounts::Linked>, cx: &mut Reading<'_>) -> String {
    let Some(at) = written.model.get() else { return String::new() };
    if at.value.trim().is_empty() || at.value.chars().any(char::is_control) {
        cx.problem(&at.span, "expected the provider's name of a model");
    } else if account.is_some_and(|linked| leads_elsewhere(&linked.account, &at.value)) {
        cx.problem(&at.span, "this provider has the model in its paths, where this cannot stand");
    }
    at.value.clone()
}

fn leads_elsewhere(account: &Account, model: &str) -> bool {
    let wrong = FillError::NotInPath("model".to_owned());
    account.preset.paths.keys().any(|call| account.path(*call, model, "id") == Err(wrong.clone()))
}

fn sizes(written: &raw::Deployment, cx: &mut Reading<'_>) -> (Option<u64>, u64) {
    let window = written.context_window.value().map(|Count(tokens)| *tokens);
    let most = window.unwrap_or(u64::MAX);
    match written.max_output.get() {
        None => (window, MAX_OUTPUT.min(most)),
        Some(At { value: Count(tokens), span }) => {
            if *tokens > most {
                cx.problem(span, "larger than `context_window`");
            }
            (window, *tokens)
        }
    }
}

/// Shared state names deployments by tag, so two of one tag would be one.
fn tags_differ(list: &[At<raw::Deployment>], cx: &mut Reading<'_>) {
    let mut seen: HashMap<u64, (&str, &Span)> = HashMap::new();
    for name in list.iter().filter_map(|at| at.value.name.get()) {
        match seen.insert(Deployment::tag_of(&name.value), (&name.value, &name.span)) {
            Some((other, first)) if other != name.value => {
                let line = cx.line(first);
                let message =
                    format!("its tag in shared state is that of the deployment at line {line}: rename one");
                cx.problem(&name.span, message);
            }
            _ => {}
        }
    }
}
