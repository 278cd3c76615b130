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
use tokio::task::{JoinError, spawn_blocking};

use super::admin::{Desk, meters, reply};
use super::connection::Peer;
use crate::clock::unix_ms;
use crate::keys::Key;
use crate::keys::change::{Changed, Changer, Refused};
use crate::keys::shown::{self, Place};
use crate::keys::wanted::{Rotation, Wanted};

/// Most of a request's body, bytes.
const MOST: usize = 256 * 1024;

/// So many are listed at once at most.
const MOST_LISTED: usize = 1_000;

/// Which keys are to be listed.
#[derive(Debug, PartialEq, Eq)]
struct Listed {
    tenant: Option<String>,
    after: Option<Place>,
    most: usize,
}

impl Listed {
    fn read(query: &str) -> Result<Listed, &'static str> {
        let mut listed = Listed { tenant: None, after: None, most: MOST_LISTED };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, written) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode_str(written).decode_utf8_lossy();
            match name {
                "tenant" => listed.tenant = Some(value.into_owned()),
                "after" => {
                    let place = Place::read(&value).ok_or("`after` is what the part before calls `next`");
                    listed.after = Some(place?);
                }
                "limit" => {
                    let most = value.parse().ok().filter(|most| (1..=MOST_LISTED).contains(most));
                    listed.most = most.ok_or("`limit` is 1 to 1000")?;
                }
                _ => return Err("only `tenant`, `limit` and `after` may be asked for"),
            }
        }
        Ok(listed)
    }
}

/// Keys that were made at run time, or with `?tenant=` those of one tenant, the oldest first: `?limit=` of them, those behind `?after=`.
pub(super) async fn all(State(desk): State<Arc<Desk>>, uri: Uri) -> Response<Body> {
    let listed = match Listed::read(uri.query().unwrap_or_default()) {
        Ok(listed) => listed,
        Err(why) => return refused(&Refused::Wrong(why.into())),
    };
    match list(&desk, listed).await {
        Ok(page) => reply("application/json", page.into_bytes()),
        Err(err) => refused(&Refused::Failed(err.to_string())),
    }
}

/// (Who hears of keys works on this thread, and must not wait for as long as it takes to sort and write many.)
async fn list(desk: &Desk, Listed { tenant, after, most }: Listed) -> Result<String, JoinError> {
    let (table, stale) = (desk.shared.keyring.table().clone(), !desk.shared.keyring.is_fresh());
    let choose = move || {
        let is_wanted = |key: &&Arc<Key>| tenant.as_ref().is_none_or(|name| *name == key.entry.tenant);
        shown::part(table.keys().filter(is_wanted), after.as_ref(), most)
    };
    let (keys, next) = spawn_blocking(choose).await?;
    let ids: Vec<Arc<str>> = keys.iter().map(|key| key.id.clone()).collect();
    let used = desk.port.used_keys(&ids).await.unwrap_or_default(); // if nobody says, what was seen here
    spawn_blocking(move || {
        let (used, now_ms) = (used.into_iter().chain(std::iter::repeat(0)), unix_ms());
        let show =
            |(key, used): (&Arc<Key>, u64)| shown::shown(&key.id, &key.entry, used.max(key.used_s()), now_ms);
        let keys: Vec<Value> = keys.iter().zip(used).map(show).collect();
        let next = next.map(|next| next.to_string());
        json!({ "keys": keys, "next": next, "stale": stale }).to_string()
    })
    .await
}

/// One of them.
pub(super) async fn one(State(desk): State<Arc<Desk>>, Path(id): Path<String>) -> Response<Body> {
    let table = desk.shared.keyring.table().clone();
    let Some(key) = table.get(&id) else { return refused(&Refused::Unknown) };
    let used = desk.port.used_keys(slice::from_ref(&key.id)).await.unwrap_or_default();
    let used = used.into_iter().next().unwrap_or_default();
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
    let (working, by) = (desk.clone(), peer.ip().to_string());
    let made = whole(async move {
        let snapshot = working.shared.snapshot.load_full();
        let made = changer(&working, &by).create(wanted, &snapshot.config).await;
        note(("create", ""), &by, &made);
        made
    });
    let made = made.await;
    let warning = made.as_ref().ok().and_then(|made| too_small(&desk, &made.id));
    told(StatusCode::CREATED, made, warning)
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
    let by = peer.ip().to_string();
    let rotated = whole(async move {
        let rotated = changer(&desk, &by).rotate(&id, &rotation).await;
        note(("rotate", &id), &by, &rotated);
        rotated
    });
    told(StatusCode::OK, rotated.await, None)
}

/// Ends one for good; while the state is away at this replica alone, and the answer says so.
pub(super) async fn revoke(
    State(desk): State<Arc<Desk>>,
    Extension(Peer(peer)): Extension<Peer>,
    Path(id): Path<String>,
) -> Response<Body> {
    let by = peer.ip().to_string();
    let revoked = whole(async move {
        let revoked = changer(&desk, &by).revoke(&id).await;
        note(("revoke", &id), &by, &revoked);
        revoked
    });
    told(StatusCode::OK, revoked.await, None)
}

/// In a task of its own: what is done is noted in the log, whether or not who asked for it waits.
async fn whole(
    change: impl Future<Output = Result<Changed, Refused>> + Send + 'static,
) -> Result<Changed, Refused> {
    let done = tokio::spawn(change).await;
    done.unwrap_or_else(|err| Err(Refused::Failed(err.to_string())))
}

/// Who wanted to change what, where nobody knows whether it was done, or it was not for want of something here. (What was done is noted
/// where it is done; what is wrong by itself, by the listener.)
fn note((action, id): (&str, &str), by: &str, changed: &Result<Changed, Refused>) {
    let failure = changed.as_ref().err();
    if let Some(error) = failure.filter(|why| matches!(why, Refused::Away(_) | Refused::Failed(_))) {
        tracing::warn!(
            target: "weir::audit", action, id, by, %error, "asked for by an operator and perhaps not done"
        );
    }
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

/// What is to be said of a key of whose limit no replica has a part while the state is away.
fn too_small(desk: &Desk, id: &str) -> Option<String> {
    let key = desk.shared.keyring.table().get(id)?.clone();
    let expected =
        desk.shared.snapshot.load().config.state.as_ref().map_or(0, |state| state.expected_replicas);
    let replicas = expected.max(desk.shared.client.live() as u64);
    key.pool.as_ref().filter(|pool| pool.leaves_nothing_to_each_of(replicas)).map(|_| {
        format!(
            "a limit is smaller than the number of replicas ({replicas}): while the shared state is away, calls with this key get 503"
        )
    })
}

fn told(status: StatusCode, changed: Result<Changed, Refused>, warning: Option<String>) -> Response<Body> {
    let Changed { id, entry, made } = match changed {
        Ok(changed) => changed,
        Err(why) => return refused(&why),
    };
    let mut page = match entry {
        Some(entry) => shown::shown(&id, &entry, 0, unix_ms()),
        None => json!({ "id": &*id, "state": "revoked" }), // nothing else is done to what is not understood
    };
    if let Some(made) = made {
        page["key"] = made.clear.expose_secret().into();
    }
    if let Some(warning) = warning {
        page["warning"] = warning.into();
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
        Refused::Away(_) | Refused::EndedHere(_) => StatusCode::SERVICE_UNAVAILABLE,
        Refused::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let mut page = json!({"error": {"message": why.to_string()}});
    if matches!(why, Refused::EndedHere(_)) {
        page["error"]["ended_here"] = true.into();
    }
    let mut response = answer(status, &page);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_keys_to_list_is_read_and_what_is_not_known_refused() {
        let all = Listed { tenant: None, after: None, most: MOST_LISTED };
        assert_eq!(Listed::read(""), Ok(all));
        let some = Listed { tenant: Some("a b".into()), after: Place::read("5-key_1"), most: 20 };
        assert_eq!(Listed::read("tenant=a%20b&limit=20&after=5-key_1"), Ok(some));
        for odd in ["name=x", "limit=0", "limit=1001", "limit=x", "after=key_1", "limit"] {
            assert!(Listed::read(odd).is_err(), "{odd}");
        }
    }
}
