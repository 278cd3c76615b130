//! Admin pages of keys: made, listed, rotated, revoked, for all replicas.

use std::slice;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Path, Request, State};
use http::{HeaderValue, Response, StatusCode, Uri, header};
use percent_encoding::percent_decode_str;
use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::admin::{Desk, meters, reply};
use super::connection::Peer;
use crate::clock::unix_ms;
use crate::keys::change::{Changed, Changer, Refused};
use crate::keys::wanted::{Rotation, Wanted};
use crate::keys::{Key, shown};

/// Most of a request's body, bytes.
const MOST: usize = 256 * 1024;

/// All keys that were made at run time, or with `?tenant=` those of one tenant, the oldest first.
pub(super) async fn all(State(desk): State<Arc<Desk>>, uri: Uri) -> Response<Body> {
    let of = match uri.query().map(|query| query.strip_prefix("tenant=").ok_or(query)).transpose() {
        Ok(tenant) => tenant.map(|written| percent_decode_str(written).decode_utf8_lossy().into_owned()),
        Err(_) => return refused(&Refused::Wrong("only `tenant` may be asked for".into())),
    };
    let used = desk.port.used_keys().await.unwrap_or_default(); // if nobody says, what was seen here
    let keyring = &desk.shared.keyring;
    let table = keyring.table().clone();
    let wanted = table.keys().filter(|key| of.as_ref().is_none_or(|name| *name == key.entry.tenant));
    let used = |key: &Key| used.get(&*key.id).copied().unwrap_or(0).max(key.used_s());
    let keys = shown::list(wanted, used, unix_ms());
    answer(StatusCode::OK, &json!({ "keys": keys, "stale": !keyring.is_fresh() }))
}

/// One of them.
pub(super) async fn one(State(desk): State<Arc<Desk>>, Path(id): Path<String>) -> Response<Body> {
    let table = desk.shared.keyring.table().clone();
    let Some(key) = table.get(&id) else { return refused(&Refused::Unknown) };
    let used = desk.port.used_keys().await.unwrap_or_default().get(&id).copied().unwrap_or(0);
    let mut page = shown::shown(&id, &key.entry, used.max(key.used_s()), unix_ms());
    if let Some(pool) = &key.pool {
        let state = desk.port.overview(slice::from_ref(&pool.decl.key)).await.ok();
        page["meters"] = state.map(|state| meters(pool, &state)).into(); // null while nobody says
    }
    answer(StatusCode::OK, &page)
}

/// Makes one; it is shown in this answer and never again.
pub(super) async fn create(
    State(desk): State<Arc<Desk>>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
) -> Response<Body> {
    let wanted: Wanted = match read(request).await {
        Ok(wanted) => wanted,
        Err(why) => return refused(&Refused::Wrong(why)),
    };
    let made = whole(async move {
        let snapshot = desk.shared.snapshot.load_full();
        changer(&desk, &peer.ip().to_string()).create(wanted, &snapshot.config).await
    });
    told(StatusCode::CREATED, made.await)
}

/// Puts another in its place.
pub(super) async fn rotate(
    State(desk): State<Arc<Desk>>,
    Extension(Peer(peer)): Extension<Peer>,
    Path(id): Path<String>,
    request: Request,
) -> Response<Body> {
    let rotation: Rotation = match read(request).await {
        Ok(rotation) => rotation,
        Err(why) => return refused(&Refused::Wrong(why)),
    };
    let rotated = whole(async move { changer(&desk, &peer.ip().to_string()).rotate(&id, &rotation).await });
    told(StatusCode::OK, rotated.await)
}

/// Ends one for good.
pub(super) async fn revoke(
    State(desk): State<Arc<Desk>>,
    Extension(Peer(peer)): Extension<Peer>,
    Path(id): Path<String>,
) -> Response<Body> {
    let revoked = whole(async move { changer(&desk, &peer.ip().to_string()).revoke(&id).await });
    told(StatusCode::OK, revoked.await)
}

/// In a task of its own: what is done is noted in the log, whether or not who asked for it waits.
async fn whole(
    change: impl Future<Output = Result<Changed, Refused>> + Send + 'static,
) -> Result<Changed, Refused> {
    let done = tokio::spawn(change).await;
    done.unwrap_or_else(|err| Err(Refused::Failed(err.to_string())))
}

fn changer<'a>(desk: &'a Desk, by: &'a str) -> Changer<'a> {
    Changer { keyring: &desk.shared.keyring, port: &desk.port, now_ms: unix_ms(), by }
}

/// (Where no token is wanted, a page in an operator's browser could send anything here, but that it is JSON.)
async fn read<T: DeserializeOwned>(request: Request) -> Result<T, String> {
    let kind = request.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    if !kind.starts_with(b"application/json") {
        return Err("the body must be JSON, and `content-type: application/json` say so".to_owned());
    }
    let body = axum::body::to_bytes(request.into_body(), MOST).await;
    let body = body.map_err(|_| "the body could not be read, or is too large".to_owned())?;
    serde_json::from_slice(&body).map_err(|err| format!("the body is not what it should be: {err}"))
}

fn told(status: StatusCode, changed: Result<Changed, Refused>) -> Response<Body> {
    let Changed { id, entry, made } = match changed {
        Ok(changed) => changed,
        Err(why) => return refused(&why),
    };
    let mut page = shown::shown(&id, &entry, 0, unix_ms());
    if let Some(made) = made {
        page["key"] = made.clear.expose_secret().into();
    }
    let mut response = answer(status, &page);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn refused(why: &Refused) -> Response<Body> {
    let status = match why {
        Refused::Wrong(_) => StatusCode::BAD_REQUEST,
        Refused::Conflict(_) => StatusCode::CONFLICT,
        Refused::Unknown => StatusCode::NOT_FOUND,
        Refused::Away(_) => StatusCode::SERVICE_UNAVAILABLE,
        Refused::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let mut response = answer(status, &json!({"error": {"message": why.to_string()}}));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

fn answer(status: StatusCode, page: &Value) -> Response<Body> {
    let mut response = reply("application/json", page.to_string().into_bytes());
    *response.status_mut() = status;
    response
}
