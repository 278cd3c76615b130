//! Admin calls about deployments: what operators say of them at run time, for all replicas.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Path, State};
use http::{HeaderValue, Method, Response, StatusCode, header};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::admin::{Desk, OVERTAKEN, read, refused, reply};
use super::connection::Peer;
use crate::config::Target;
use crate::duty::{self, Change, MOST_WEIGHT};
use crate::shared::Snapshot;
use crate::state::Away;

/// What may be asked of a deployment's weight.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Weight {
    /// `null`: that of the file holds again.
    #[serde(deserialize_with = "Option::deserialize")]
    weight: Option<f64>,
    /// Only if this is what was set last: who asks has seen no other.
    #[serde(default)]
    version: Option<u64>,
}

/// A request that has nothing to say.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// What may be changed, and by which method.
const VERBS: [(&str, Method); 3] =
    [("drain", Method::POST), ("resume", Method::POST), ("weight", Method::PUT)];

/// All deployments, in the order of the file.
pub(super) async fn all(State(desk): State<Arc<Desk>>) -> Response<Body> {
    let snapshot = desk.shared.snapshot.load_full();
    let all: Vec<Value> = (0..snapshot.duties.len()).map(|at| show(&snapshot, at)).collect();
    answer(&json!({ "deployments": all }))
}

/// One of them.
pub(super) async fn one(State(desk): State<Arc<Desk>>, Path(name): Path<String>) -> Response<Body> {
    let snapshot = desk.shared.snapshot.load_full();
    find(&snapshot, &name).map_or_else(unknown, |at| answer(&show(&snapshot, at)))
}

/// Changes one, for all replicas; it holds here when this is answered. Names may have slashes in them: what is to be done comes last.
pub(super) async fn change(
    State(desk): State<Arc<Desk>>,
    Extension(Peer(peer)): Extension<Peer>,
    Path(path): Path<String>,
    method: Method,
    body: Body,
) -> Response<Body> {
    let (name, verb) = path.rsplit_once('/').unwrap_or((&path, ""));
    if let Some(fault) = not_so(verb, &method) {
        return fault;
    }
    let (change, seen) = match asked(verb, body).await {
        Ok(asked) => asked,
        Err(why) => return refused(StatusCode::BAD_REQUEST, &why),
    };
    let snapshot = desk.shared.snapshot.load_full();
    let Some(at) = find(&snapshot, name) else { return unknown() };
    // In a task of its own: what is done is noted in the log, whether or not who asked for it waits.
    let (working, duty, by) = (desk.clone(), snapshot.duties[at].clone(), peer.ip());
    let set = tokio::spawn(async move {
        let set = duty::told::set(&working.port, &duty, change, seen).await;
        if !matches!(set, Ok(false)) {
            note(&duty.name, change, &by.to_string(), set.as_ref().err());
        }
        working.viewer.changed();
        set
    });
    match set.await {
        Ok(Ok(true)) => answer(&show(&snapshot, at)),
        Ok(Ok(false)) => refused(StatusCode::CONFLICT, OVERTAKEN),
        Ok(Err(away)) => {
            let message = format!("the shared state is away: {away}; this may or may not have been set");
            refused(StatusCode::SERVICE_UNAVAILABLE, &message)
        }
        Err(err) => refused(StatusCode::INTERNAL_SERVER_ERROR, &err.to_string()),
    }
}

/// Why nothing is done by such a name or method, if so.
fn not_so(verb: &str, method: &Method) -> Option<Response<Body>> {
    let Some((verb, by)) = VERBS.iter().find(|(known, _)| *known == verb) else {
        let message = "expected /admin/v1/deployments/NAME/drain, resume or weight";
        return Some(refused(StatusCode::NOT_FOUND, message));
    };
    (by != method).then(|| {
        let mut response = refused(StatusCode::METHOD_NOT_ALLOWED, &format!("{verb} is a {by}"));
        if let Ok(allowed) = HeaderValue::from_str(by.as_str()) {
            response.headers_mut().insert(header::ALLOW, allowed);
        }
        response
    })
}

/// What is to be changed, and of which version that is meant, if it says so.
async fn asked(verb: &str, body: Body) -> Result<(Change, Option<u64>), String> {
    let body = read(body).await?;
    if verb == "weight" {
        let Weight { weight, version } = serde_json::from_slice(&body).map_err(|err| {
            format!("expected {{\"weight\": a number, or null for that of the file}}: {err}")
        })?;
        return match weight {
            Some(weight) if !duty::is_weight(weight) => {
                Err(format!("a weight is above 0 and at most {MOST_WEIGHT}; to send nothing there, drain it"))
            }
            weight => Ok((Change::Weight(weight), version)),
        };
    }
    if !body.iter().all(u8::is_ascii_whitespace) {
        let Nothing {} =
            serde_json::from_slice(&body).map_err(|err| format!("{verb} takes no body: {err}"))?;
    }
    Ok((Change::Drained(verb == "drain"), None))
}

/// Who has changed what.
fn note(deployment: &str, change: Change, by: &str, failure: Option<&Away>) {
    let (action, weight) = match change {
        Change::Drained(true) => ("drain", None),
        Change::Drained(false) => ("resume", None),
        Change::Weight(weight) => ("weight", weight),
    };
    match failure {
        None => {
            tracing::info!(target: "weir::audit", action, deployment, weight, by, "changed by an operator")
        }
        Some(error) => tracing::warn!(
            target: "weir::audit", action, deployment, weight, by, %error, "asked for by an operator and perhaps not done"
        ),
    }
}

fn find(snapshot: &Snapshot, name: &str) -> Option<usize> {
    snapshot.duties.iter().position(|duty| *duty.name == *name)
}

fn show(snapshot: &Snapshot, at: usize) -> Value {
    let duty = &snapshot.duties[at];
    let of_file = |target: &Target| if target.auto { json!("auto") } else { json!(target.weight) };
    let weights = snapshot.config.models.iter().zip(&snapshot.model_names).flat_map(|(model, name)| {
        let targets = model.targets.iter().filter(|target| target.deployment.0 == at);
        targets.map(|target| (name.to_string(), of_file(target)))
    });
    json!({
        "name": *duty.name, "drained": duty.is_drained(),
        "weight": { "set": duty.weight(), "file": weights.collect::<Map<_, _>>() },
        "version": duty.version(),
    })
}

fn answer(page: &Value) -> Response<Body> {
    reply("application/json", page.to_string().into_bytes())
}

fn unknown() -> Response<Body> {
    refused(StatusCode::NOT_FOUND, "there is no deployment of this name")
}
