//! The cluster as one document that changes little from moment to moment: times are points on the state's own clock (`now_ms`) or the
//! time of day, never "from now", and what has a name stands under it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::super::admin::{Configs, bound, kind_name};
use super::patch::without_nulls;
use super::shown::Shown;
use crate::clock::unix_ms;
use crate::config::{Deployment, Model, ModelId, Side, Strategy, Target};
use crate::shared::{Shared, Snapshot};
use crate::state::core::{Cause, Circuit, Circuits, State};
use crate::state::{Away, PoolInfo};

/// What is known of the cluster at a moment.
pub(super) struct Known<'a> {
    /// The replica that shows it.
    pub(super) shared: &'a Shared,
    pub(super) snapshot: &'a Snapshot,
    /// The state and who works by which configuration, or why nobody can say.
    pub(super) state: &'a Result<(State, Configs), Away>,
    /// What each replica shows, this one included.
    pub(super) shown: &'a BTreeMap<String, Shown>,
}

/// All of it; of what only the state knows what was known `before`, if that is away.
pub(super) fn document(known: &Known<'_>, before: &Value) -> Value {
    let Known { shared, snapshot, state, shown } = known;
    let mut document = json!({
        "replica": shared.client.name(), "version": env!("CARGO_PKG_VERSION"), "unix_ms": unix_ms(),
        "config": snapshot.config.hash, "config_refused": shared.refusal(),
        "degraded": shared.client.is_away(), "draining": shared.is_draining(),
        "models": models(snapshot), "experiments": experiments(snapshot),
    });
    let sums = shown.iter().map(|(name, shown)| (name.clone(), json!(shown.sums)));
    document["sums"] = sums.collect::<Map<_, _>>().into();
    let mut waiting = BTreeMap::<&str, usize>::new();
    for (model, calls) in shown.values().flat_map(|shown| &shown.waiting) {
        *waiting.entry(model).or_default() += calls;
    }
    document["waiting"] = json!(waiting);
    match state {
        Ok((state, configs)) => {
            document["now_ms"] = state.now().into();
            document["epoch"] = state.epoch.into();
            document["pending"] = state.pending.len().into();
            document["pools"] = pools(snapshot, state);
            document["deployments"] = deployments(snapshot, Some(state));
            (document["replicas"], document["config_skew"]) = replicas(known, state, configs);
        }
        Err(away) => {
            document["away"] = away.to_string().into();
            document["deployments"] = deployments(snapshot, None);
            stay_as_they_were(&mut document["deployments"], &before["deployments"]);
            for kept in ["epoch", "pending", "pools", "replicas", "config_skew", "now_ms"] {
                document[kept] = before[kept].clone();
            }
        }
    }
    without_nulls(&mut document);
    document
}

/// Everyone who lives, or was expected to, and whether they work by several configurations.
fn replicas(known: &Known<'_>, state: &State, configs: &Configs) -> (Value, Value) {
    let (mut replicas, mut hashes) = (Map::new(), BTreeSet::new());
    for (inc, life) in &state.lives {
        let alive = life.exp >= state.now();
        let config = configs.get(&inc.name).and_then(Option::as_ref);
        if alive {
            hashes.extend(config);
        }
        // (Of several lives of one replica, one that lives counts.)
        if !alive && replicas.contains_key(&inc.name) {
            continue;
        }
        let mut replica = json!({ "alive": alive, "life": inc.k, "config": config });
        if let Some(Shown { in_hand, waiting, degraded, draining, version, refused, since, .. }) =
            known.shown.get(&inc.name).filter(|_| alive)
        {
            replica["in_hand"] = json!(in_hand);
            replica["waiting"] = json!(waiting.values().sum::<usize>());
            replica["degraded"] = json!(degraded);
            replica["draining"] = json!(draining);
            replica["version"] = json!(version);
            replica["config_refused"] = json!(refused);
            replica["started"] = json!(since);
        }
        replicas.insert(inc.name.clone(), replica);
    }
    (replicas.into(), (hashes.len() > 1).into())
}

fn models(snapshot: &Snapshot) -> Value {
    let name = |id: &ModelId| &*snapshot.model_names[id.0];
    let model = |(at, model): (usize, &Model)| {
        let target = |target: &Target| {
            let deployment = &*snapshot.config.deployments[target.deployment.0].name;
            json!({ "deployment": deployment, "tier": target.tier, "weight": target.weight, "auto": target.auto })
        };
        let shown = json!({
            "strategy": strategy(model.ranking.strategy), "aliases": model.aliases,
            "targets": model.targets.iter().map(target).collect::<Vec<_>>(),
            "fallbacks": model.fallbacks.iter().map(name).collect::<Vec<_>>(),
        });
        (snapshot.model_names[at].to_string(), shown)
    };
    snapshot.config.models.iter().enumerate().map(model).collect::<Map<_, _>>().into()
}

fn deployments(snapshot: &Snapshot, state: Option<&State>) -> Value {
    let deployment = |(at, deployment): (usize, &Deployment)| {
        let duty = &snapshot.duties[at];
        let pools: Vec<&str> = deployment.pools.iter().map(|pool| &*snapshot.pools[pool.0].name).collect();
        let mut shown = json!({
            "account": deployment.account.name, "provider": deployment.account.preset.name,
            "region": deployment.account.region, "model": deployment.model, "pools": pools,
            "drained": duty.is_drained(), "weight": duty.weight(), "version": duty.version(),
        });
        if let Some(state) = state {
            let rest = |pool: &crate::config::PoolId| {
                state.pools.get(&snapshot.pools[pool.0].decl.key).map_or(0, |pool| pool.rest_until)
            };
            shown["rests_until"] = later(deployment.pools.iter().map(rest).max().unwrap_or(0), state);
            shown["circuit"] = circuit(state.circuits.known.get(&deployment.tag), state);
            shown["account_state"] = account(&state.circuits, deployment.account.tag, state);
        }
        (deployment.name.to_string(), shown)
    };
    snapshot.config.deployments.iter().enumerate().map(deployment).collect::<Map<_, _>>().into()
}

/// What only the state knows of deployments is not unknown while it is away: a circuit that was open is not closed.
fn stay_as_they_were(deployments: &mut Value, before: &Value) {
    for (name, deployment) in deployments.as_object_mut().into_iter().flatten() {
        for kept in ["rests_until", "circuit", "account_state"] {
            deployment[kept] = before[name][kept].clone();
        }
    }
}

/// A time to come, or nothing.
fn later(time: u64, state: &State) -> Value {
    if time > state.now() { time.into() } else { Value::Null }
}

fn circuit(circuit: Option<&Circuit>, state: &State) -> Value {
    match circuit {
        Some(Circuit::Open { next, since, .. }) => json!({ "state": "open", "until": next, "since": since }),
        Some(Circuit::Ramp { since, whole }) if state.now() < since + whole => {
            json!({ "state": "recovering", "since": since, "until": since + whole })
        }
        Some(Circuit::Ramp { .. }) | None => json!({ "state": "closed" }),
    }
}

/// Why an account is left alone, if it is.
fn account(circuits: &Circuits, tag: u64, state: &State) -> Value {
    let open = |cause: Cause| match circuits.known.get(&cause.tag(tag)) {
        Some(Circuit::Open { next, .. }) => Some((cause, *next)),
        _ => None,
    };
    let shut = [Cause::Key, Cause::Quota].into_iter().find_map(open);
    shut.map_or(Value::Null, |(cause, next)| json!({ "state": cause.word(), "until": later(next, state) }))
}

fn pools(snapshot: &Snapshot, state: &State) -> Value {
    let pool = |info: &std::sync::Arc<PoolInfo>| {
        let stored = state.pools.get(&info.decl.key);
        let meters =
            info.kinds.iter().zip(info.decl.meters.iter()).enumerate().map(|(at, (kind, declared))| {
                let meter = stored.and_then(|pool| pool.meters.get(at));
                json!({
                    "kind": kind_name(*kind), "window_ms": declared.shape.span(),
                    "cap": meter.map_or(declared.cap, |m| m.cap),
                    "learned": meter.map_or(declared.cap, |m| bound(info, at, m, state)),
                    "used": meter.map_or(0, |m| m.sum), "held": meter.map_or(0, |m| m.hold),
                })
            });
        let shown = json!({
            "ours": info.side == Side::Ours, "meters": meters.collect::<Vec<_>>(),
            "rests_until": later(stored.map_or(0, |pool| pool.rest_until), state),
        });
        (info.name.to_string(), shown)
    };
    snapshot.pools.iter().map(pool).collect::<Map<_, _>>().into()
}

/// The shares that hold; what was measured is a page of its own.
fn experiments(snapshot: &Snapshot) -> Value {
    let shown = snapshot.config.experiments.iter().zip(&snapshot.trials).map(|(experiment, trial)| {
        let live = trial.live();
        let names = trial.variants();
        let variants =
            names.iter().zip(&live.shares).map(|(name, share)| json!({ "name": **name, "share": share }));
        let shown = json!({
            "model": *snapshot.model_names[experiment.model.0], "by": experiment.by.word(),
            "told": live.is_told, "variants": variants.collect::<Vec<_>>(),
        });
        (experiment.name.to_string(), shown)
    });
    shown.collect::<Map<_, _>>().into()
}

/// As the file has it.
fn strategy(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::Capacity => "capacity",
        Strategy::Weighted => "weighted",
        Strategy::RoundRobin => "round-robin",
        Strategy::Latency => "latency",
        Strategy::Cost => "cost",
        Strategy::ErrorRate => "error-rate",
        Strategy::LeastBusy => "least-busy",
        Strategy::Predictive => "predictive",
        Strategy::Composite => "composite",
    }
}
