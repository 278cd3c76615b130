//! `[[tenants]]`: who may call, with which keys, which models, and how much; and what those above them say of that.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::tree::{At, Field, List, Reading, Span};
use super::super::{Pattern, PoolId, Priority, Side, Tenant, raw};
use super::budgets::budgets;
use super::deployments::Deployments;
use super::models::Models;
use super::names::Names;
use super::pools::{self, Origin, Pools, Terms};
use super::{abilities, parents, queue};

/// What a tenant says itself.
struct Own {
    name: Arc<str>,
    keys: Vec<[u8; 32]>,
    models: Option<Vec<Pattern>>,
    tags: Vec<Arc<str>>,
    pool: Option<PoolId>,
    budgets: Vec<PoolId>,
    weight: f64,
    priority: Option<Priority>,
}

/// Resolves all tenants; `called` are the names that rules make.
pub(super) fn tenants<'f>(
    field: &'f Field<List<raw::Tenant>>,
    (models, called): (&Models<'_>, &[Pattern]),
    deployments: &Deployments<'_>,
    pools: &mut Pools,
    cx: &mut Reading<'_>,
) -> (Vec<Tenant>, Names<'f>) {
    let names = Names::collect("tenant", field, |tenant| &tenant.name, cx);
    let mut seen = HashMap::new();
    let mut own = Vec::new();
    for At { value: written, span } in field.items() {
        let name = written.name.or(String::new());
        let meters = pools::meters(&written.limits, &written.meters, cx);
        let span = written.name.get().map_or(span, |name| &name.span).clone();
        let origin = Origin { name: format!("tenant/{name}"), span };
        let budgets = budgets(&origin.name, &written.budgets, pools, cx);
        own.push(Own {
            name: name.into(),
            budgets,
            keys: written.keys.items().iter().filter_map(|at| key(at, &mut seen, cx)).collect(),
            models: allowed(written, models, called, cx),
            tags: abilities::demanded(written.tags.items(), deployments, cx),
            pool: pools.add_if_limited(origin, meters, Terms::ours(Side::Ours), cx),
            weight: queue::weight(&written.weight, cx),
            priority: written.priority.value().copied(),
        });
    }
    let above = parents::above(field.items(), &names, cx);
    let list = own.iter().zip(&above).map(|(tenant, above)| joined(tenant, above, &own));
    (list.collect(), names)
}

/// A tenant with what those above it say: limits, budgets, models and tags of all of them hold, and the priority is the nearest's.
fn joined(tenant: &Own, above: &[usize], all: &[Own]) -> Tenant {
    let above = || above.iter().map(|index| &all[*index]);
    let line = || std::iter::once(tenant).chain(above());
    let mut tags: Vec<Arc<str>> = Vec::new();
    for tag in line().flat_map(|one| &one.tags) {
        if !tags.contains(tag) {
            tags.push(tag.clone());
        }
    }
    Tenant {
        name: tenant.name.clone(),
        above: above().map(|one| one.name.clone()).collect(),
        keys: tenant.keys.clone(),
        models: line().filter_map(|one| one.models.clone()).collect(),
        tags,
        pools: line().filter_map(|one| one.pool).collect(),
        budgets: line().flat_map(|one| one.budgets.iter().copied()).collect(),
        weight: tenant.weight,
        priority: line().find_map(|one| one.priority).unwrap_or_default(),
    }
}

/// One key's hash. A key that is written in clear is refused too, and never shown.
fn key(at: &At<String>, seen: &mut HashMap<[u8; 32], Span>, cx: &mut Reading<'_>) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    let digits = at.value.strip_prefix("sha256:");
    if digits.is_none_or(|digits| hex::decode_to_slice(digits, &mut hash).is_err()) {
        cx.problem(&at.span, "expected `sha256:` and the 64 hex digits of the key's SHA-256");
        return None;
    }
    match seen.insert(hash, at.span.clone()) {
        Some(first) => {
            let message = format!("this key is given already, at line {}", cx.line(&first));
            cx.problem(&at.span, message);
            None
        }
        None => Some(hash),
    }
}

/// The models a tenant may call, if it says. A full name must be one that some model answers to, or some rule (`called`).
fn allowed(
    written: &raw::Tenant,
    models: &Models<'_>,
    called: &[Pattern],
    cx: &mut Reading<'_>,
) -> Option<Vec<Pattern>> {
    if written.models.is_absent() {
        return None;
    }
    let mut patterns = Vec::new();
    for at in written.models.items() {
        let pattern = Pattern::new(&at.value);
        let wildcard = || models.list.iter().any(|m| m.wildcard && pattern.text.starts_with(&m.name));
        let by_rule = || called.iter().any(|called| called.matches(&at.value));
        let known = pattern.prefix || models.names.contains(&at.value) || wildcard() || by_rule();
        if !known && !models.names.is_incomplete() {
            models.names.unknown(at, cx);
        }
        patterns.push(pattern);
    }
    Some(patterns)
}
