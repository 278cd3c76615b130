//! From the file as written to a [`Config`]: every rule that a single value cannot show.
//!
//! The checks go on after a problem, with a stand-in for what is wrong, so that one run finds them all; a `Config`
//! leaves only if there was none. Whatever a problem makes unknowable (a reference, when a name could not be read)
//! is not reported on top of it.

mod abilities;
mod access;
mod accounts;
mod addresses;
mod alerts;
mod budgets;
mod circuit;
mod credentials;
mod deployments;
mod experiments;
mod fallbacks;
mod health;
mod hedge;
mod model_tiers;
mod models;
mod names;
mod parents;
mod pools;
pub(in crate::config) mod price;
mod queue;
mod redis;
mod rules;
mod server;
mod settings;
mod slow_start;
mod telemetry;
mod tenants;
mod tiers;
mod tls;

use std::path::Path;

use sha2::{Digest, Sha256};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::report::{Problem, Report};
use super::sources::Sources;
use super::tree::{Read, Reading};
use super::{Config, Side, mask, raw};
use addresses::Providers;
use pools::{Origin, Pools};
pub(in crate::config) use rules::hours;

/// Checks `text`; `env` looks up `${NAME}`. `file` only names the text in the report.
pub fn check(file: &Path, text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, Report> {
    check_from(file, text, env, &mut Sources::default())
}

/// The same; files that are read for it are added to `sources`.
pub(super) fn check_from(
    file: &Path,
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
    sources: &mut Sources,
) -> Result<Config, Report> {
    let (tree, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(syntax(file, text, &errors));
    }
    let mut cx = Reading::new(text, env);
    std::mem::swap(&mut cx.sources, sources);
    mask::secrets_of(tree.get_ref(), &mut cx.hidden);
    let root = Spanned::new(tree.span(), DeValue::Table(tree.into_inner()));
    let config = raw::File::read(&root, &mut cx).map(|written| link(&written, text, &mut cx));
    std::mem::swap(&mut cx.sources, sources);
    match config {
        Some(config) if cx.problems.is_empty() && cx.others.is_empty() => Ok(config),
        _ => {
            let report = Report::new(file, mask::hide(text, &cx.hidden), cx.problems);
            Err(Report { others: cx.others, ..report })
        }
    }
}

/// The errors of a file that is no TOML. What it means is not checked: half a tree would give false problems.
fn syntax(file: &Path, text: &str, errors: &[toml::de::Error]) -> Report {
    let problem =
        |error: &toml::de::Error| Problem { span: error.span(), message: error.message().to_owned() };
    Report::new(file, mask::hide_unparsed(text, raw::KEYS), errors.iter().map(problem).collect())
}

/// Links and checks every section; what is returned is only meaningful if no problem was added.
fn link(file: &raw::File, text: &str, cx: &mut Reading<'_>) -> Config {
    if let Some(version) = file.version.get().filter(|version| version.value.0 != 1) {
        cx.problem(&version.span, "this is not version 1, the only one so far");
    }
    let server = server::server(&file.server, cx);
    let telemetry = telemetry::telemetry(&file.telemetry, cx);
    let (state, on_outage) = server::state(&file.state, cx);
    let alerts = alerts::alerts(&file.alerts, cx);
    let mut pools = Pools::new(on_outage);
    let defaults = settings::defaults(&file.defaults, cx);
    let gateway_pool = file.limits.get().and_then(|at| {
        let meters = pools::meters(&file.limits, &super::tree::Field::Absent, cx);
        let origin = Origin { name: "gateway".to_owned(), span: at.span.clone() };
        pools.add_if_limited(origin, meters, pools::Terms::ours(Side::Ours), cx)
    });
    let providers = Providers::read(&file.providers_dir, cx);
    let accounts = accounts::accounts(&file.accounts, &providers, &defaults, &mut pools, cx);
    let prices = price::table(&file.prices, cx);
    let listed = (&accounts, &*prices);
    let deployments = deployments::deployments(&file.deployments, listed, &defaults, &mut pools, cx);
    let region = server.region.as_deref();
    let is_nowhere =
        !file.server.is_bad() && file.server.value().is_none_or(|server| server.region.is_absent());
    if let Some(defaults) = file.defaults.value() {
        models::needs_region(&defaults.regions, is_nowhere, cx);
    }
    let deployed = models::Deployed {
        written: file.deployments.items(),
        linked: &deployments,
        pools: &pools,
        region,
        is_nowhere,
        has_table: prices.is_read(),
    };
    let models = models::models(&file.models, &deployed, &defaults, cx);
    let called = rules::called(&file.rules);
    let (tenants, tenant_names) =
        tenants::tenants(&file.tenants, (&models, &called), &deployments, &mut pools, cx);
    let rules = rules::rules(&file.rules, &models, &tenant_names, &deployments, cx);
    for (written, tenant) in file.tenants.items().iter().zip(&tenants).filter(|_| prices.is_read()) {
        budgets::need_prices(&written.value, tenant, (&models, &rules), &deployments, cx);
    }
    let has_tenants = !tenants.is_empty() || tenant_names.is_incomplete();
    let experiments = experiments::experiments(&file.experiments, &models, &deployments, has_tenants, cx);
    let (rule_names, deployment_tags) = (rules::names(&called, &models), deployments.tags());
    Config {
        hash: hex::encode(&Sha256::digest(text.as_bytes())[..8]),
        server,
        state,
        on_outage,
        pools: pools.specs,
        gateway_pool,
        accounts: accounts.list.into_iter().map(|linked| linked.account).collect(),
        deployments: deployments.list.into_iter().map(|linked| linked.deployment).collect(),
        rule_names,
        deployment_tags,
        prices,
        models: models.list,
        rules,
        experiments,
        tenants,
        alerts,
        telemetry,
    }
}
