//! `budgets`: what a tenant, an account or some of its models may spend in a day or a month. Each is a pool of its own, for
//! it begins anew with its period, and what is counted beside it does not.

use std::collections::BTreeSet;

use super::super::tree::{At, Field, List, Reading};
use super::super::{MeterKind, MeterSpec, Model, ModelId, Pattern, PoolId, Pricing, Rule, Side, Tenant, raw};
use super::deployments::Deployments;
use super::models::Models;
use super::pools::{Origin, Pools, Terms};

/// Millionths of a US dollar.
const DOLLAR: f64 = 1e6;
/// More than anybody means, US dollars; as millionths it is less than 2^40.
const MOST: f64 = 1e6;

/// The budgets of `owner`, a pool's name.
pub(super) fn budgets(
    owner: &str,
    written: &Field<List<raw::Budget>>,
    pools: &mut Pools,
    cx: &mut Reading<'_>,
) -> Vec<PoolId> {
    let (mut found, mut periods): (Vec<PoolId>, Vec<_>) = (Vec::new(), Vec::new());
    for at in written.items() {
        let raw::Budget { usd, per } = &at.value;
        let (Some(usd), Some(period)) = (usd.get(), per.value().copied()) else { continue };
        if !(1.0 / DOLLAR..=MOST).contains(&usd.value) {
            cx.problem(&usd.span, "a budget is from 0.000001 to 1,000,000 US dollars");
            continue;
        }
        if periods.contains(&period) {
            cx.problem(&at.span, format!("a second budget per {}", period.word()));
            continue;
        }
        periods.push(period);
        let limit = (usd.value * DOLLAR).round() as u64;
        let meters = vec![MeterSpec { kind: MeterKind::Usd, limit, per_ms: period.window() }];
        let terms = Terms { period: Some(period), ..Terms::ours(Side::Ours) };
        let origin = Origin { name: format!("{owner}/budget/{}", period.word()), span: at.span.clone() };
        found.push(pools.add(origin, meters, terms, cx));
    }
    found
}

/// What is to be paid must be known: a deployment without a price would cost nothing.
pub(super) fn need_price(written: &At<raw::Deployment>, pricing: &Pricing, cx: &mut Reading<'_>) {
    if written.value.price.is_absent() && !pricing.is_known() {
        let span = written.value.name.get().map_or(&written.span, |name| &name.span);
        cx.problem(
            span,
            "its account has a budget, and this deployment has no `price` (0 if it costs nothing), nor has the table",
        );
    }
}

/// The same for what a tenant may call.
pub(super) fn need_prices(
    written: &raw::Tenant,
    tenant: &Tenant,
    (models, ruled): (&Models<'_>, &[Rule]),
    deployments: &Deployments<'_>,
    cx: &mut Reading<'_>,
) {
    let Some(at) = written.budgets.get() else { return };
    let may = |model: &Model| {
        let names = std::iter::once(&model.name).chain(&model.aliases);
        let begins =
            |pattern: &Pattern| pattern.text.starts_with(&model.name) || pattern.matches(&model.name);
        let some = || tenant.models.iter().all(|list| list.iter().any(begins));
        names.clone().any(|name| tenant.may_use(name)) || model.wildcard && some()
    };
    let called = models.list.iter().enumerate();
    let called =
        called.filter(|(at, model)| may(model) || ruled.iter().any(|rule| rule.model == ModelId(*at)));
    let targets = called.flat_map(|(_, model)| &model.targets);
    let deployed = targets.map(|target| &deployments.list[target.deployment.0].deployment);
    let unpriced: BTreeSet<&str> = deployed.filter(|of| !of.pricing.is_known()).map(|of| &*of.name).collect();
    if let Some(first) = unpriced.first() {
        let others = match unpriced.len() {
            1 => String::new(),
            n => format!(" (nor have {} others)", n - 1),
        };
        cx.problem(
            &at.span,
            format!("a budget needs prices, and deployment `{first}`, which this tenant may use, has no `price`, nor has the table{others}"),
        );
    }
}
