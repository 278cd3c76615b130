//! Admin pages of experiments: what they have shown, and their shares.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Path, State};
use http::{Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::admin::{Desk, OVERTAKEN, read, refused, reply};
use super::connection::Peer;
use crate::config::Experiment;
use crate::experiment::report::Page;
use crate::experiment::{Trial, told};
use crate::shared::Snapshot;
use crate::state::Away;

/// What may be asked of an experiment's shares.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    /// By variant, every one; `null`: those of the file hold again.
    #[serde(deserialize_with = "Option::deserialize")]
    shares: Option<BTreeMap<String, f64>>,
    /// What is measured begins anew.
    #[serde(default)]
    anew: bool,
    /// Only if this is what holds: who asks has seen no other.
    #[serde(default)]
    version: Option<u64>,
}

/// All experiments, in the order of the file.
pub(super) async fn all(State(desk): State<Arc<Desk>>) -> Response<Body> {
    let snapshot = desk.shared.snapshot.load_full();
    let mut shown = Vec::new();
    for (experiment, trial) in snapshot.config.experiments.iter().zip(&snapshot.trials) {
        shown.push(show(&desk, &snapshot, experiment, trial).await);
    }
    answer(StatusCode::OK, &json!({ "experiments": shown }))
}

/// One of them.
pub(super) async fn one(State(desk): State<Arc<Desk>>, Path(name): Path<String>) -> Response<Body> {
    let snapshot = desk.shared.snapshot.load_full();
    match find(&snapshot, &name) {
        Some((experiment, trial)) => answer(StatusCode::OK, &show(&desk, &snapshot, experiment, trial).await),
        None => unknown(),
    }
}

/// Sets its shares, for all replicas; they hold here when this is answered.
pub(super) async fn set(
    State(desk): State<Arc<Desk>>,
    Extension(Peer(peer)): Extension<Peer>,
    Path(name): Path<String>,
    body: Body,
) -> Response<Body> {
    let snapshot = desk.shared.snapshot.load_full();
    let Some((experiment, trial)) = find(&snapshot, &name) else { return unknown() };
    let body = match read(body).await {
        Ok(body) => body,
        Err(why) => return wrong(&why),
    };
    let change: Change = match serde_json::from_slice(&body) {
        Ok(change) => change,
        Err(err) => return wrong(&format!("expected {{\"shares\": {{...}}}}: {err}")),
    };
    let shares = match change.shares.map(|shares| by_variant(experiment, &shares)).transpose() {
        Ok(shares) => shares,
        Err(why) => return wrong(&why),
    };
    // In a task of its own: what is done is noted in the log, whether or not who asked for it waits.
    let (working, changed, by) = (desk.clone(), trial.clone(), peer.ip());
    let set = tokio::spawn(async move {
        let set = told::set(&working.port, &changed, (shares.clone(), change.anew), change.version).await;
        if !matches!(set, Ok(false)) {
            note(&changed.name, shares.as_deref(), change.anew, &by.to_string(), set.as_ref().err());
        }
        working.viewer.changed();
        set
    });
    match set.await {
        Ok(Ok(true)) => answer(StatusCode::OK, &show(&desk, &snapshot, experiment, trial).await),
        Ok(Ok(false)) => refused(StatusCode::CONFLICT, OVERTAKEN),
        Ok(Err(away)) => {
            let message =
                format!("the shared state is away: {away}; the shares may or may not have been set");
            refused(StatusCode::SERVICE_UNAVAILABLE, &message)
        }
        Err(err) => refused(StatusCode::INTERNAL_SERVER_ERROR, &err.to_string()),
    }
}

/// Who has changed what.
fn note(experiment: &str, shares: Option<&[f64]>, anew: bool, by: &str, failure: Option<&Away>) {
    let shares = shares.map_or_else(|| "of the file".to_owned(), |shares| format!("{shares:?}"));
    match failure {
        None => tracing::info!(
            target: "weir::audit", action = "shares", experiment, shares, anew, by, "changed by an operator"
        ),
        Some(error) => tracing::warn!(
            target: "weir::audit", action = "shares", experiment, shares, anew, by, %error,
            "asked for by an operator and perhaps not done"
        ),
    }
}

fn find<'s>(snapshot: &'s Snapshot, name: &str) -> Option<(&'s Experiment, &'s Arc<Trial>)> {
    let mut all = snapshot.config.experiments.iter().zip(&snapshot.trials);
    all.find(|(experiment, _)| *experiment.name == *name)
}

/// What was measured; if the shared state is away, what is known here.
async fn show(desk: &Desk, snapshot: &Snapshot, experiment: &Experiment, trial: &Trial) -> Value {
    let page = told::measured(&desk.port, trial).await.unwrap_or_else(|_| Page::here(&trial.live()));
    page.json(experiment, trial, &snapshot.model_names[experiment.model.0])
}

/// Shares in the order of the file.
fn by_variant(experiment: &Experiment, shares: &BTreeMap<String, f64>) -> Result<Vec<f64>, String> {
    let names = || experiment.variants.iter().map(|variant| &*variant.name);
    if let Some(unknown) = shares.keys().find(|name| !names().any(|known| known == name.as_str())) {
        return Err(format!("there is no variant {unknown:?}"));
    }
    let of = |name: &str| match shares.get(name) {
        Some(share) if (0.0..=Experiment::MOST_SHARE).contains(share) => Ok(*share),
        Some(_) => Err(format!("the share of {name:?} is not from 0 to {}", Experiment::MOST_SHARE)),
        None => Err(format!("variant {name:?} is missing: every one needs a share")),
    };
    let shares: Vec<f64> = names().map(of).collect::<Result<_, _>>()?;
    if shares.iter().sum::<f64>() > 0.0 {
        Ok(shares)
    } else {
        Err("no variant has a share above 0".to_owned())
    }
}

fn answer(status: StatusCode, page: &Value) -> Response<Body> {
    let mut response = reply("application/json", page.to_string().into_bytes());
    *response.status_mut() = status;
    response
}

fn wrong(message: &str) -> Response<Body> {
    refused(StatusCode::BAD_REQUEST, message)
}

fn unknown() -> Response<Body> {
    refused(StatusCode::NOT_FOUND, "there is no experiment of this name")
}
