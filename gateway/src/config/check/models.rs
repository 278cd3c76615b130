//! `[[models]]`: which deployments serve each, and how.

use super::super::tree::{At, Field, List, Reading};
use super::super::{
    Charge, DeploymentId, Headroom, Hedge, Model, Regions, Side, Target, Timeouts, raw, regions,
};
use super::deployments::Deployments;
use super::fallbacks;
use super::model_tiers::ModelTiers;
use super::names::{self, Names};
use super::pools::{self, Pools};
use super::settings::{self, Defaults};
use super::{hedge, queue};

/// All models, for what refers to them. The names include aliases.
pub(super) struct Models<'f> {
    pub(super) list: Vec<Model>,
    pub(super) names: Names<'f>,
}

/// Resolves all models.
pub(super) fn models<'f>(
    field: &'f Field<List<raw::Model>>,
    deployments: &Deployed<'_, '_>,
    defaults: &Defaults,
    cx: &mut Reading<'_>,
) -> Models<'f> {
    let names = names(field, cx);
    let list = field.items().iter().map(|at| model(at, deployments, defaults, cx));
    let mut list: Vec<Model> = list.collect();
    let found = fallbacks::fallbacks(field.items(), &names, cx);
    for (model, [any, context, content]) in list.iter_mut().zip(found) {
        (model.fallbacks, model.context_fallbacks, model.content_fallbacks) = (any, context, content);
    }
    Models { list, names }
}

/// What models need to know of deployments.
pub(super) struct Deployed<'d, 'f> {
    /// As written, for what they say about time-outs and prices.
    pub(super) written: &'d [At<raw::Deployment>],
    pub(super) linked: &'d Deployments<'f>,
    pub(super) pools: &'d Pools,
    /// Where this cluster runs.
    pub(super) region: Option<&'d str>,
    /// The file does not say.
    pub(super) is_nowhere: bool,
    /// The table of prices could be read.
    pub(super) has_table: bool,
}

impl Deployed<'_, '_> {
    /// Does neither the deployment nor the table say what it costs? (Of what could not be read nobody knows.)
    fn is_priceless(&self, name: &str) -> bool {
        let Some(index) = self.linked.names.index(name) else { return false };
        let (written, linked) = (&self.written[index].value, &self.linked.list[index].deployment);
        let may_say = written.price.is_absent() && self.has_table && !linked.model.is_empty();
        may_say && !linked.pricing.is_known()
    }
}

fn model(
    at: &At<raw::Model>,
    deployed: &Deployed<'_, '_>,
    defaults: &Defaults,
    cx: &mut Reading<'_>,
) -> Model {
    let written = &at.value;
    let (name, wildcard) = wildcard(written.name.value().map_or("", String::as_str));
    let timeouts = settings::timeouts(&written.timeouts, defaults.timeouts, cx);
    let said = (&written.strategy, &written.tiebreak, &written.tiebreak_within, &written.latency);
    let ranking = settings::ranking(said, defaults.ranking, cx);
    if ranking.compares_prices() {
        need_prices(written, deployed, cx);
    }
    let retry = settings::retry(&written.retry, defaults.retry, cx);
    let tiers = ModelTiers::of(written, retry, timeouts, cx);
    let near = nearest(written, deployed, defaults.regions, cx);
    Model {
        name: name.to_owned(),
        wildcard,
        aliases: written.aliases.items().iter().map(|at| at.value.clone()).collect(),
        ranking,
        targets: targets(written, deployed, (&tiers, timeouts, near), cx),
        tiers: tiers.bounded,
        affinity: settings::affinity(&written.affinity, &defaults.affinity, cx),
        // Known once every model has a name.
        fallbacks: Vec::new(),
        context_fallbacks: Vec::new(),
        content_fallbacks: Vec::new(),
        retry,
        headroom: model_headroom(&written.headroom, defaults.headroom, cx),
        total: timeouts.total,
        min_quality: min_quality(written, deployed, cx),
        queue: queue::queue(&written.queue, defaults.queue, cx),
        hedge: model_hedge(written, deployed, defaults, cx),
        baseline: baseline(written, deployed, cx),
    }
}

/// `hedge`. Where a model asks for it itself, some deployment must be one that may be asked beside another.
fn model_hedge(
    model: &raw::Model,
    deployed: &Deployed<'_, '_>,
    defaults: &Defaults,
    cx: &mut Reading<'_>,
) -> Option<Hedge> {
    let hedge = hedge::hedge(&model.hedge, defaults.hedge, cx);
    let Some(at) = model.hedge.get().filter(|_| hedge.is_some()) else { return hedge };
    let names = model.deployments.items().iter().filter_map(|at| at.value.name.value());
    let known: Option<Vec<usize>> = names.map(|name| deployed.linked.names.index(name)).collect();
    let charges = |index: &usize| {
        let pools = &deployed.linked.list[*index].deployment.pools;
        pools.iter().any(|id| deployed.pools.specs[id.0].side == Side::Provider(Charge::AdmissionMax))
    };
    match known {
        Some(known) if known.len() == 1 => {
            cx.problem(&at.span, "a second attempt is made at another deployment, and the model has one only");
        }
        Some(known) if !known.is_empty() && known.iter().all(charges) => cx.problem(
            &at.span,
            "no second attempt is made where all that may be used is charged on arrival, and every deployment \
             draws on a pool with `charge = \"admission-max\"` (the default of some providers)",
        ),
        _ => {}
    }
    hedge
}

/// What has no price cannot be compared: it may be dear, or one's own and free.
fn need_prices(model: &raw::Model, deployed: &Deployed<'_, '_>, cx: &mut Reading<'_>) {
    for written in model.deployments.items().iter().filter_map(|at| at.value.name.get()) {
        if deployed.is_priceless(&written.value) {
            cx.problem(
                &written.span,
                "the model compares prices (`cost`, `composite`), and this deployment has no `price`, nor has the \
                 table for its provider and model",
            );
        }
    }
}

/// `baseline`: any deployment, if it is known what it costs.
fn baseline(model: &raw::Model, deployed: &Deployed<'_, '_>, cx: &mut Reading<'_>) -> Option<DeploymentId> {
    let at = model.baseline.get()?;
    let index = deployed.linked.names.find(at, cx)?;
    if deployed.is_priceless(&at.value) {
        cx.problem(&at.span, "nothing is known of what this deployment costs: give it a `price`");
    }
    Some(DeploymentId(index))
}

/// Our region, if the model's nearest deployments come first.
fn nearest<'d>(
    model: &raw::Model,
    deployed: &Deployed<'d, '_>,
    base: Regions,
    cx: &mut Reading<'_>,
) -> Option<&'d str> {
    needs_region(&model.regions, deployed.is_nowhere, cx);
    deployed.region.filter(|_| model.regions.or(base) == Regions::Nearest)
}

/// What is nearest cannot be told if nobody says where we are.
pub(super) fn needs_region(regions: &Field<Regions>, is_nowhere: bool, cx: &mut Reading<'_>) {
    if let Some(at) = regions.get().filter(|at| is_nowhere && at.value == Regions::Nearest) {
        cx.problem(&at.span, "what is nearest is not known: [server] has no `region`");
    }
}

/// `min_quality`. Every deployment must say how good it is, and some task must be one that it does well enough.
fn min_quality(model: &raw::Model, deployed: &Deployed<'_, '_>, cx: &mut Reading<'_>) -> f64 {
    let Some(at) = model.min_quality.get() else { return 0.0 };
    if !(0.0..=1.0).contains(&at.value) {
        cx.problem(&at.span, "`min_quality` is from 0 to 1");
        return 0.0;
    }
    for written in model.deployments.items().iter().filter_map(|at| at.value.name.get()) {
        let Some(index) = deployed.linked.names.index(&written.value) else { continue };
        match &deployed.linked.list[index].deployment.quality {
            _ if deployed.written[index].value.quality.is_bad() => {}
            None => cx.problem(
                &written.span,
                "the model has a `min_quality`, and this deployment has no `quality`",
            ),
            Some(quality) if quality.best() < at.value => {
                cx.problem(
                    &written.span,
                    "this deployment's `quality` is below the model's `min_quality` at every task",
                );
            }
            Some(_) => {}
        }
    }
    at.value
}

/// `gpt-*` is the wildcard `gpt-`.
fn wildcard(written: &str) -> (&str, bool) {
    match written.strip_suffix('*') {
        Some(prefix) => (prefix, true),
        None => (written, false),
    }
}

/// Names first, then aliases, so that an alias is blamed for taking a name.
fn names<'f>(field: &'f Field<List<raw::Model>>, cx: &mut Reading<'_>) -> Names<'f> {
    let mut names = Names::new("model or alias");
    if field.is_incomplete() {
        names.set_incomplete();
    }
    for (index, model) in field.items().iter().enumerate() {
        match model.value.name.get() {
            Some(at) if at.value == "*" || names::is_name(wildcard(&at.value).0) => names.add(at, index, cx),
            Some(at) => {
                names::bad_name(at, cx);
                names.set_incomplete();
            }
            None => names.set_incomplete(),
        }
    }
    for (index, model) in field.items().iter().enumerate() {
        let aliases = &model.value.aliases;
        if aliases.is_incomplete() {
            names.set_incomplete();
        }
        for alias in aliases.items() {
            if names::is_name(&alias.value) {
                names.add(alias, index, cx);
            } else {
                names::bad_name(alias, cx);
                names.set_incomplete();
            }
        }
    }
    names
}

/// The targets of a model; `timeouts` are the model's, and those of its tiers go over them; `near` is the region from which the
/// nearest come first, if they do.
fn targets(
    model: &raw::Model,
    deployed: &Deployed<'_, '_>,
    (tiers, timeouts, near): (&ModelTiers, Timeouts, Option<&str>),
    cx: &mut Reading<'_>,
) -> Vec<Target> {
    let mut targets: Vec<Target> = Vec::new();
    let mut auto = Vec::new();
    for At { value: written, .. } in model.deployments.items() {
        let Some(name) = written.name.get() else { continue };
        let Some(index) = deployed.linked.names.find(name, cx) else { continue };
        if targets.iter().any(|target| target.deployment.0 == index) {
            cx.problem(&name.span, "this model has this deployment already");
            continue;
        }
        let weight = match written.weight.or(raw::Weight::Auto) {
            raw::Weight::Fixed(weight) => weight,
            raw::Weight::Auto => {
                auto.push(targets.len());
                1.0
            }
        };
        let tier = written.priority.or(0);
        let is_auto = auto.last() == Some(&targets.len());
        let min_share = min_share(&written.min_share, cx);
        let above = tiers.timeouts(tier).unwrap_or(timeouts);
        let timeouts = settings::timeouts(&deployed.written[index].value.timeouts, above, cx);
        let account = &deployed.linked.list[index].deployment.account;
        let distance = near.map_or(0, |near| regions::distance(near, account.region.as_deref()));
        targets.push(Target {
            deployment: DeploymentId(index),
            weight,
            auto: is_auto,
            min_share,
            tier,
            distance,
            timeouts,
        });
    }
    if let Some(list) = model.deployments.get().filter(|list| list.value.written == 0) {
        cx.problem(&list.span, "a model needs at least one deployment");
    }
    auto_weights(&mut targets, &auto, deployed);
    let all: f64 = targets.iter().map(|target| target.min_share).sum();
    if let (Some(list), true) = (model.deployments.get(), all > 1.0) {
        cx.problem(&list.span, "the `min_share` of all deployments come to more than 1");
    }
    targets
}

fn min_share(field: &Field<f64>, cx: &mut Reading<'_>) -> f64 {
    match field.get() {
        Some(At { value, .. }) if (0.0..=1.0).contains(value) => *value,
        Some(At { span, .. }) => {
            cx.problem(span, "expected a share from 0 to 1");
            0.0
        }
        None => 0.0,
    }
}

/// Weights of `auto`: in proportion to the tightest limit of each deployment and 1 on average, so that they stand
/// beside written weights sensibly. A deployment without limits weighs as much as the heaviest.
fn auto_weights(targets: &mut [Target], auto: &[usize], deployed: &Deployed<'_, '_>) {
    let rate = |target: &Target| {
        let deployment = &deployed.linked.list[target.deployment.0].deployment;
        pools::requests_per_minute(deployment.pools.iter().flat_map(|id| &deployed.pools.specs[id.0].meters))
    };
    let rates: Vec<Option<f64>> = auto.iter().map(|index| rate(&targets[*index])).collect();
    let Some(largest) = rates.iter().flatten().copied().max_by(f64::total_cmp) else { return };
    let mean = rates.iter().map(|rate| rate.unwrap_or(largest)).sum::<f64>() / rates.len() as f64;
    for (index, rate) in auto.iter().zip(rates) {
        targets[*index].weight = rate.unwrap_or(largest) / mean;
    }
}

/// A model moves where shifting begins. Where a pool stops is a property of the pool, which models share.
fn model_headroom(field: &Field<raw::Headroom>, base: Headroom, cx: &mut Reading<'_>) -> Headroom {
    if let Some(written) = field.value() {
        for (name, share) in [("hard", &written.hard), ("learned", &written.learned)] {
            if let Some(share) = share.get() {
                let message = format!("`{name}` on a model is not available yet; set it in [defaults]");
                cx.problem(&share.span, message);
            }
        }
    }
    settings::headroom(field, base, cx)
}
