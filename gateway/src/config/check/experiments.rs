//! `[[experiments]]`: whose model and deployments are found, and which can tell anything.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::experiment::{By, Experiment, Variant};
use super::super::tree::{At, Field, List, Reading, Span};
use super::super::{Model, ModelId, Target, raw};
use super::deployments::Deployments;
use super::models::Models;
use super::names::Names;

/// Resolves all experiments; `tenants`: there are some.
pub(super) fn experiments(
    field: &Field<List<raw::Experiment>>,
    models: &Models<'_>,
    deployments: &Deployments<'_>,
    tenants: bool,
    cx: &mut Reading<'_>,
) -> Vec<Experiment> {
    Names::collect("experiment", field, |experiment| &experiment.name, cx);
    let mut taken: HashMap<usize, Span> = HashMap::new();
    let mut list = Vec::new();
    for At { value: written, span } in field.items() {
        let model = written.model.get().and_then(|at| Some((at, models.names.find(at, cx)?)));
        let by = written.by.or(By::Session);
        let place = written.by.get().map_or(span, |at| &at.span);
        if by == By::Tenant && !tenants {
            cx.problem(place, "there are no tenants to go `by`");
        }
        as_such(&written.variants, cx);
        let Some((at, model)) = model else { continue };
        if let Some(first) = taken.get(&model) {
            let message = format!("this model has an experiment already, at line {}", cx.line(first));
            cx.problem(&at.span, message);
        }
        taken.entry(model).or_insert_with(|| at.span.clone());
        if by == By::Session && models.list[model].affinity.is_none() {
            cx.problem(place, "the model has `affinity = false`: its calls are of no session");
        }
        let variants = variants(&written.variants, &models.list[model], deployments, cx);
        let name: Arc<str> = written.name.or(String::new()).into();
        let digest = digest(&name, by, &models.list[model], &variants, deployments);
        list.push(Experiment { name, model: ModelId(model), by, variants, digest });
    }
    list
}

/// What can be said of variants whatever the model is.
fn as_such(field: &Field<List<raw::Variant>>, cx: &mut Reading<'_>) {
    Names::collect("variant", field, |variant| &variant.name, cx);
    if let Some(list) = field.get() {
        if !(2..=Experiment::MOST_VARIANTS).contains(&list.value.written) {
            cx.problem(&list.span, "an experiment has from 2 to 16 variants");
        }
        let shares = field.items().iter().filter_map(|at| at.value.share.value());
        if !field.is_incomplete() && shares.clone().count() > 0 && shares.sum::<f64>() == 0.0 {
            cx.problem(&list.span, "no variant has a share above 0");
        }
    }
}

fn variants(
    field: &Field<List<raw::Variant>>,
    model: &Model,
    deployments: &Deployments<'_>,
    cx: &mut Reading<'_>,
) -> Vec<Variant> {
    let named: Vec<Option<Vec<Target>>> =
        field.items().iter().map(|at| targets(&at.value.deployments, model, deployments, cx)).collect();
    // What a variant names is not for those that name none.
    let is_free = |target: &&Target| !named.iter().flatten().flatten().any(|own| own == *target);
    let free: Vec<Target> = model.targets.iter().filter(is_free).cloned().collect();
    let mut list = Vec::new();
    for (At { value: written, span }, named) in field.items().iter().zip(&named) {
        if named.is_none() && free.is_empty() && !model.targets.is_empty() {
            cx.problem(
                span,
                "nothing is left for this variant: the others name every deployment of the model",
            );
        }
        let targets = named.as_ref().unwrap_or(&free);
        let variant = Variant {
            name: written.name.or(String::new()).into(),
            share: share(&written.share, cx),
            own: own(written, model, targets, deployments, cx),
            rest: rest(model, targets),
        };
        list.push(variant);
    }
    list
}

fn share(field: &Field<f64>, cx: &mut Reading<'_>) -> f64 {
    match field.get() {
        Some(At { value, .. }) if (0.0..=Experiment::MOST_SHARE).contains(value) => *value,
        Some(At { span, .. }) => {
            cx.problem(span, "expected a share from 0 to 1000000");
            1.0
        }
        None => 1.0,
    }
}

/// The deployments that a variant names; none if it names none.
fn targets(
    field: &Field<List<String>>,
    model: &Model,
    deployments: &Deployments<'_>,
    cx: &mut Reading<'_>,
) -> Option<Vec<Target>> {
    let list = field.get()?;
    if list.value.written == 0 {
        cx.problem(&list.span, "an empty list: leave `deployments` out for those that no variant names");
    }
    let mut targets: Vec<Target> = Vec::new();
    for at in field.items() {
        let Some(index) = deployments.names.find(at, cx) else { continue };
        match model.targets.iter().find(|target| target.deployment.0 == index) {
            None => cx.problem(&at.span, "this deployment is none of the experiment's model"),
            Some(target) if targets.contains(target) => {
                cx.problem(&at.span, "this variant has this deployment already");
            }
            Some(target) => targets.push(target.clone()),
        }
    }
    Some(targets)
}

/// The model as a variant serves it.
fn own(
    written: &raw::Variant,
    model: &Model,
    targets: &[Target],
    deployments: &Deployments<'_>,
    cx: &mut Reading<'_>,
) -> Model {
    let mut own = Model { targets: targets.to_vec(), ..model.clone() };
    own.ranking.strategy = written.strategy.or(own.ranking.strategy);
    own.ranking.tiebreak = written.tiebreak.or(own.ranking.tiebreak);
    let said = [&written.strategy, &written.tiebreak].into_iter().find_map(Field::get);
    if let Some(at) = said.filter(|_| own.ranking.compares_prices()) {
        let without = |target: &&Target| !deployments.list[target.deployment.0].deployment.pricing.is_known();
        for target in targets.iter().filter(without) {
            let name = &deployments.list[target.deployment.0].deployment.name;
            let message = format!(
                "the variant compares prices (`cost`, `composite`), and deployment {name} has no `price`"
            );
            cx.problem(&at.span, message);
        }
    }
    own
}

/// The model without these deployments.
fn rest(model: &Model, targets: &[Target]) -> Option<Model> {
    let others: Vec<Target> =
        model.targets.iter().filter(|target| !targets.contains(target)).cloned().collect();
    (!others.is_empty()).then(|| Model { targets: others, ..model.clone() })
}

/// Of what is compared: the same variants of the same model, whatever their shares.
fn digest(name: &str, by: By, model: &Model, variants: &[Variant], deployments: &Deployments<'_>) -> String {
    let mut parts = vec![name.to_owned(), by.word().to_owned(), model.name.clone()];
    for variant in variants {
        parts.push(variant.name.to_string());
        let ranking = &variant.own.ranking;
        parts.push(format!("{:?} {:?}", ranking.strategy, ranking.tiebreak));
        let name = |target: &Target| deployments.list[target.deployment.0].deployment.name.to_string();
        parts.push(variant.own.targets.iter().map(name).collect::<Vec<_>>().join(" "));
    }
    Experiment::digest(parts.iter().map(String::as_str))
}
