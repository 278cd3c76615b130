//! One check: what is asked, and what its end says of the deployment and of its account.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout_at;

use super::plan::Outcome;
use crate::admit::{shuts, trip};
use crate::clock::boot_ms;
use crate::config::{CheckKind, Deployment, HealthCheck, Target};
use crate::dialect::failure::{Class, OfAccount};
use crate::pipeline::{Chatted, chat};
use crate::shared::{Snapshot, Worker};
use crate::state::core::{Cause, Ending, Gates, Outcome as Told};
use crate::upstream::{Endpoint, Failed, Upstreams};

/// Of a list of models no more is read: that it is one shows in its first byte.
const MOST: usize = 1 << 20;

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The deployment answers.
    Well,
    /// It does not; for the log.
    Wrong(String),
    /// The account is refused.
    Refused(OfAccount, Option<Duration>),
    /// Nothing, for this reason.
    Nothing(Outcome),
}

impl Found {
    /// In metrics and logs.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Found::Well => "ok",
            Found::Wrong(_) => "failed",
            Found::Refused(OfAccount::Key, _) => "auth",
            Found::Refused(OfAccount::Credit, _) => "quota",
            Found::Nothing(outcome) => outcome,
        }
    }
}

/// Checks a deployment, which `target` is of some model.
pub(super) async fn check(
    worker: &Worker,
    snapshot: &Arc<Snapshot>,
    target: &Target,
    check: HealthCheck,
) -> Found {
    let (begun, until) = (boot_ms(), Instant::now() + check.timeout);
    let asked = async {
        match check.kind {
            CheckKind::Models => {
                let endpoint = &snapshot.endpoints[target.deployment.0];
                models(&worker.upstreams, endpoint, target.timeouts.connect, until).await
            }
            CheckKind::Chat => match chat(worker, snapshot, target, until).await? {
                Chatted::Answered => Ok(Found::Well),
                Chatted::NoRoom => Ok(Found::Nothing("no_room")),
            },
        }
    };
    let found = in_time(until, asked).await;
    // After a stall of this replica everything is late, whoever is fine.
    match found {
        Found::Wrong(_) if worker.shared.pulse.stood_still_since(begun) => Found::Nothing("stalled"),
        found => found,
    }
}

/// (What reads a refusal, or a list, has no such time of its own.)
async fn in_time(until: Instant, asked: impl Future<Output = Result<Found, Failed>>) -> Found {
    match timeout_at(until.into(), asked).await {
        Ok(Ok(found)) => found,
        Ok(Err(failed)) => judge(failed),
        Err(_) => Found::Wrong("not answered in time".into()),
    }
}

async fn models(
    upstreams: &Upstreams,
    endpoint: &Endpoint,
    connect: Duration,
    until: Instant,
) -> Result<Found, Failed> {
    let Some(request) = endpoint.models() else { return Ok(Found::Nothing("unusable")) };
    let response = upstreams.send(request, connect, until).await?;
    match first_byte(response.into_body()).await? {
        Some(b'{' | b'[') => Ok(Found::Well),
        _ => Ok(Found::Wrong("the answer is no list of models".into())),
    }
}

/// The first byte that is no space of a body. The rest is read, or its connection could not be kept, but not beyond [`MOST`].
async fn first_byte(mut body: Incoming) -> Result<Option<u8>, Failed> {
    let (mut first, mut size) = (None, 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|err| Failed::Broken(err.to_string()))?;
        let Some(data) = frame.data_ref() else { continue };
        first = first.or_else(|| data.trim_ascii_start().first().copied());
        size += data.len();
        if size > MOST {
            break;
        }
    }
    Ok(first)
}

/// What a failure says of the deployment. Less than of a call's: that a list of models is not shown to this key, or not there,
/// is no fault.
fn judge(failed: Failed) -> Found {
    match failed {
        Failed::NotSent(detail) | Failed::Broken(detail) => Found::Wrong(detail),
        Failed::TimedOut(detail) => Found::Wrong(detail.to_owned()),
        Failed::Late(_) | Failed::Unreadable { .. } | Failed::Unsayable(_) => Found::Nothing("unusable"),
        Failed::Answered { status, failure, .. } => match (failure.account, failure.class) {
            (Some(of), class) => Found::Refused(of, class.retry_after()),
            (None, Class::RateLimited { .. } | Class::SlowDown { .. } | Class::QuotaExhausted { .. }) => {
                Found::Nothing("limited")
            }
            (None, Class::Overloaded { .. } | Class::TimedOut | Class::Transient) => {
                Found::Wrong(format!("status {}", status.as_u16()))
            }
            (None, _) => Found::Nothing("unusable"),
        },
    }
}

/// Tells all replicas what was found; `had_failed`: the check before it.
pub(super) fn tell(
    worker: &Worker,
    deployment: &Deployment,
    check: HealthCheck,
    found: &Found,
    had_failed: bool,
) {
    let client = &worker.shared.client;
    let ending = match found {
        Found::Well => Ending::Well,
        Found::Wrong(_) => Ending::Wrong,
        Found::Refused(of, said) => {
            let cause = match of {
                OfAccount::Key => Cause::Key,
                OfAccount::Credit => Cause::Quota,
            };
            let trip = shuts(deployment.cooldown, *said);
            let mut told = Told::none(cause.tag(deployment.account.tag), trip);
            told.checked(Ending::Wrong, false);
            return client.learnt(told);
        }
        Found::Nothing(_) => return,
    };
    let is_open = |own, account| client.is_open(Gates { own, account });
    // A call of ours is a call; a list of models only takes back what a check before has said.
    let counts = had_failed || check.kind == CheckKind::Chat;
    let is_news = ending == Ending::Wrong || counts || is_open(deployment.tag, 0);
    if let Some(trip) = trip(deployment).filter(|_| is_news) {
        let mut told = Told::none(deployment.tag, trip);
        told.checked(ending, counts);
        client.learnt(told);
    }
    if ending == Ending::Well && is_open(0, deployment.account.tag) {
        let shown: &[Cause] = match check.kind {
            CheckKind::Models => &[Cause::Key],
            CheckKind::Chat => &[Cause::Key, Cause::Quota],
        };
        for cause in shown {
            let mut told = Told::none(cause.tag(deployment.account.tag), shuts(deployment.cooldown, None));
            told.checked(ending, false);
            client.learnt(told);
        }
    }
}

#[cfg(test)]
#[path = "one_tests.rs"]
mod tests;
