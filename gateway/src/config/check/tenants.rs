//! `[[tenants]]`: who may call, with which keys, which models, and how much.

use std::collections::HashMap;

use super::super::tree::{At, Field, List, Reading, Span};
use super::super::{Pattern, Priority, Side, Tenant, raw};
use super::budgets::budgets;
use super::models::Models;
use super::names::Names;
use super::pools::{self, Origin, Pools, Terms};
use super::queue;

/// Resolves all tenants.
pub(super) fn tenants<'f>(
    field: &'f Field<List<raw::Tenant>>,
    models: &Models<'_>,
    called: &[Pattern],
    pools: &mut Pools,
    cx: &mut Reading<'_>,
) -> (Vec<Tenant>, Names<'f>) {
    let names = Names::collect("tenant", field, |tenant| &tenant.name, cx);
    let mut seen = HashMap::new();
    let mut list = Vec::new();
    for At { value: written, span } in field.items() {
        let name = written.name.or(String::new());
        let meters = pools::meters(&written.limits, &written.meters, cx);
        let span = written.name.get().map_or(span, |name| &name.span).clone();
        let origin = Origin { name: format!("tenant/{name}"), span };
        let budgets = budgets(&origin.name, &written.budgets, pools, cx);
        list.push(Tenant {
            name: name.into(),
            budgets,
            keys: written.keys.items().iter().filter_map(|at| key(at, &mut seen, cx)).collect(),
            models: allowed(written, models, called, cx),
            pool: pools.add_if_limited(origin, meters, Terms::ours(Side::Ours), cx),
            weight: queue::weight(&written.weight, cx),
            priority: written.priority.or(Priority::Normal),
        });
    }
    (list, names)
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

/// The models a tenant may call. A full name must be one that some model answers to, or some rule (`called`).
fn allowed(
    written: &raw::Tenant,
    models: &Models<'_>,
    called: &[Pattern],
    cx: &mut Reading<'_>,
) -> Vec<Pattern> {
    if written.models.is_absent() {
        return vec![Pattern::new("*")];
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
    patterns
}
