//! Responses that a provider has kept: read, deleted, cancelled. They go where the response is, and draw on the limits of requests that
//! their caller has: each asks a provider, so whoever is at his limit does not go on so. The provider's own limits are of calls, and stay.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use http::{HeaderMap, Method, Response};

use super::continued::find;
use super::{AWAY_RETRY, attempt, judge, note, time_limit};
use crate::admit;
use crate::auth::{Credentials, Who};
use crate::config::DeploymentId;
use crate::dialect::api::Api;
use crate::dialect::failure::Class;
use crate::error::{Error, Kind};
use crate::http::reply::{Owed, Pace, Reply};
use crate::keys::table;
use crate::shared::{Snapshot, Worker};
use crate::state::core::Denied;
use crate::state::{Actual, Outcome, PoolInfo, place_key};
use crate::telemetry::Record;
use crate::telemetry::trace::PassedOn;
use crate::upstream::answer::{self, Opened, Patience, Whole};
use crate::upstream::telling::Telling;
use crate::upstream::{Endpoint, Failed};

/// Bounds of such a request.
const CONNECT: Duration = Duration::from_secs(2);
const IDLE: Duration = Duration::from_secs(60);
const TOTAL: Duration = Duration::from_secs(600);
/// Attempts at one provider, and the longest pause between two.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);

/// Which part of a kept response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The response: read or deleted.
    Whole,
    /// What was put in.
    InputItems,
    /// The making of it, to be ended.
    Cancel,
}

impl Part {
    /// Does it know the method?
    pub fn knows(self, method: &Method) -> bool {
        match self {
            Part::Whole => method == Method::GET || method == Method::DELETE,
            Part::InputItems => method == Method::GET,
            Part::Cancel => method == Method::POST,
        }
    }

    /// The methods that it knows, as the header `allow` says it.
    pub fn methods(self) -> &'static str {
        match self {
            Part::Whole => "GET, DELETE",
            Part::InputItems => "GET",
            Part::Cancel => "POST",
        }
    }
}

/// What is asked of a kept response.
#[derive(Debug)]
pub struct Request<'a> {
    /// As the client sends it.
    pub method: Method,
    /// The response's.
    pub id: &'a str,
    /// Which part.
    pub part: Part,
    /// As the client sends it; may be empty.
    pub query: &'a str,
}

impl Request<'_> {
    /// What stands behind the id. A key in the query is the client's and stays here.
    fn rest(&self) -> String {
        let part = match self.part {
            Part::Whole => "",
            Part::InputItems => "/input_items",
            Part::Cancel => "/cancel",
        };
        let ours = |pair: &&str| !pair.is_empty() && *pair != "key" && !pair.starts_with("key=");
        let query: Vec<&str> = self.query.split('&').filter(ours).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{part}{mark}{}", query.join("&"))
    }

    fn not_found(&self) -> Error {
        Error::new(Kind::NotStored, format!("Response with id '{}' not found.", self.id)).param("id")
    }
}

/// Serves a request for a kept response.
pub async fn stored(
    worker: &Arc<Worker>,
    ask: &Request<'_>,
    headers: &HeaderMap,
    record: &mut Option<Record>,
) -> Result<Response<Body>, Error> {
    let snapshot = worker.shared.snapshot.load_full();
    let who = worker.shared.who(&snapshot, Credentials { headers, query: ask.query }).await?;
    let tenant = who.name();
    note(record, |record| (record.tenant, record.key, record.api) = (tenant.clone(), who.key_id(), "stored"));
    let trace = record.as_ref().map(|record| record.trace.clone()).unwrap_or_default();
    let until = Instant::now() + time_limit(TOTAL, headers)?;
    let keep_alive = snapshot.config.server.stream_keepalive;
    let homes = homes(worker, &snapshot, &tenant, ask).await?;
    if !homes.is_empty() {
        draw(worker, &snapshot, &who, until).await?;
    }
    let mut last = None;
    for id in homes {
        let deployment = &snapshot.config.deployments[id.0];
        note(record, |record| record.deployment = deployment.name.clone());
        let begun = Instant::now();
        let passed_on = if deployment.account.traceparent { trace.passed_on(None) } else { PassedOn::new() };
        let to = (&snapshot.endpoints[id.0], &passed_on);
        let answered = persist(worker, to, ask, until, record).await;
        note(record, |record| record.upstream += begun.elapsed());
        match answered {
            Ok(answer) => return Ok(respond(worker, answer, keep_alive, record)),
            Err(Failed::Answered { failure, .. })
                if matches!(failure.class, Class::NotFound | Class::NotKept) => {}
            Err(failed) => last = Some(failed),
        }
    }
    Err(last.map_or_else(|| ask.not_found(), judge::unserved))
}

/// Draws on the caller's limits of requests: its key's, its tenant's, those of the tenants above, the gateway's. What was drawn is
/// posted at once: nothing else of it is to be known.
async fn draw(worker: &Worker, snapshot: &Snapshot, who: &Who<'_>, until: Instant) -> Result<(), Error> {
    let tenants = who.tenant.iter().flat_map(|tenant| tenant.pools.iter());
    let configured = snapshot.config.gateway_pool.iter().chain(tenants).map(|id| &snapshot.pools[id.0]);
    let pools: Vec<&Arc<PoolInfo>> =
        configured.chain(who.key.iter().filter_map(|key| key.pool.as_ref())).collect();
    if pools.is_empty() {
        return Ok(());
    }
    let mut wish = admit::one_request(&pools);
    match worker.shared.client.reserve(&worker.port, &mut wish, until).await {
        Ok(Outcome::Granted(reservation, _)) => {
            reservation.settle(Actual::Failed); // a request, and no tokens
            Ok(())
        }
        Ok(Outcome::Unlimited(_)) => Ok(()),
        Ok(Outcome::Denied(denied)) => Err(refused(worker, &wish.infos, &denied)),
        Ok(Outcome::TooBig { .. }) => {
            Err(Error::new(Kind::TooBigForLimit, "A limit of this key is less than one request."))
        }
        Err(_) => {
            let message = "The gateway's shared state is not reachable.";
            Err(Error::new(Kind::StateAway, message).retry_after(AWAY_RETRY))
        }
    }
}

fn refused(worker: &Worker, infos: &[Arc<PoolInfo>], denied: &Denied) -> Error {
    let name = infos.get(denied.pool).map_or_else(|| "".into(), |info| info.name.clone());
    let (scope, series, whose) = match &*name {
        "gateway" => ("gateway", name, "this gateway"),
        of_key if of_key.starts_with(table::POOLS) => ("key", "".into(), "this key"),
        _ => ("tenant", name, "this key"),
    };
    worker.shared.metrics.denied(scope, &series);
    let wait = Duration::from_millis(denied.retry_in.max(1));
    let message = format!("Rate limit reached for {whose}. Please try again in {:.3}s.", wait.as_secs_f64());
    Error::new(Kind::RateLimited, message).retry_after(wait)
}

/// Where the response may be: where it is known to be, or if nobody knows and there are no tenants, one deployment of
/// each account whose provider keeps responses.
async fn homes(
    worker: &Worker,
    snapshot: &Snapshot,
    tenant: &str,
    ask: &Request<'_>,
) -> Result<Vec<DeploymentId>, Error> {
    let place = worker.shared.client.place(&worker.port, &place_key(tenant, ask.id)).await;
    let place = place.map_err(|_| {
        let message = "The gateway's shared state, which knows where this is kept, is not reachable.";
        Error::new(Kind::StateAway, message).retry_after(AWAY_RETRY)
    })?;
    let config = &snapshot.config;
    if let Some(home) = place.and_then(|place| find(config, place.tag)) {
        return Ok(vec![home]);
    }
    if !tenant.is_empty() {
        return Ok(Vec::new());
    }
    let keeps = |at: &usize| snapshot.endpoints[*at].keeps_responses();
    let first = |at: &usize| {
        let account = &config.deployments[*at].account;
        !config.deployments[..*at].iter().any(|other| Arc::ptr_eq(&other.account, account))
    };
    Ok((0..config.deployments.len()).filter(keeps).filter(first).map(DeploymentId).collect())
}

/// What a provider answers.
enum Answer {
    Whole(Whole),
    Stream(Box<Opened>, Patience),
}

/// Asks again after a failure that may pass: each of these requests may be made twice.
async fn persist(
    worker: &Worker,
    to: (&Endpoint, &PassedOn),
    ask: &Request<'_>,
    until: Instant,
    record: &mut Option<Record>,
) -> Result<(HeaderMap, Answer), Failed> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        note(record, |record| record.attempts += 1);
        let pause = PAUSE.mul_f64(fastrand::f64());
        match fetch(worker, to, ask, until).await {
            Err(failed) if attempts < ATTEMPTS && may_pass(&failed) && Instant::now() + pause < until => {}
            done => return done,
        }
        tokio::time::sleep(pause).await;
    }
}

fn may_pass(failed: &Failed) -> bool {
    match failed {
        Failed::NotSent(_) | Failed::Late(_) | Failed::Broken(_) => true,
        Failed::TimedOut(_) | Failed::Unsayable(_) | Failed::Unreadable { .. } => false, // what was slow once would cost its time again
        Failed::Answered { failure, .. } if failure.should_retry == Some(false) => false,
        Failed::Answered { failure, .. } => {
            matches!(
                failure.class,
                Class::Transient | Class::TimedOut | Class::Overloaded { .. } | Class::SlowDown { .. }
            )
        }
    }
}

async fn fetch(
    worker: &Worker,
    (endpoint, passed_on): (&Endpoint, &PassedOn),
    ask: &Request<'_>,
    until: Instant,
) -> Result<(HeaderMap, Answer), Failed> {
    let mut outgoing = endpoint
        .kept(ask.method.clone(), ask.id, &ask.rest())
        .ok_or_else(|| Failed::NotSent("the provider keeps no responses, or none with such a path".into()))?;
    outgoing.belongs_to(passed_on.clone());
    let response = worker.upstreams.send(outgoing, CONNECT, until.min(Instant::now() + IDLE)).await?;
    let (head, upstream) = response.into_parts();
    let patience = Patience { idle: IDLE, until };
    let telling = Telling::Passed { api: Api::Responses, withhold_usage: false };
    let answer = if answer::is_event_stream(&head.headers) {
        // What happened to it is what is asked.
        Answer::Stream(Box::new(Opened::at_head(upstream, &telling, &head.headers)), patience)
    } else {
        let room = &worker.shared.buffered;
        Answer::Whole(answer::whole(upstream, &head.headers, &telling, patience, room).await?)
    };
    Ok((attempt::passed_on(&head.headers), answer))
}

/// The answer as the client gets it. A stream takes the record along: it counts among the calls at once to its end.
fn respond(
    worker: &Worker,
    (mut headers, answer): (HeaderMap, Answer),
    keep_alive: Option<Duration>,
    record: &mut Option<Record>,
) -> Response<Body> {
    if let Some(record) = record.as_ref() {
        attempt::whence(&mut headers, record);
    }
    let body = match (answer, record.take()) {
        (Answer::Stream(opened, patience), Some(record)) => {
            let pace = Pace { patience, keep_alive };
            let owed = Owed::Record(Box::new(record));
            Body::new(Reply::new(*opened, pace, owed, worker.over.clone()))
        }
        (Answer::Whole(whole), Some(mut record)) => {
            record.ok();
            attempt::held(whole.told.body, record.place.take(), whole.room)
        }
        (_, None) => Body::empty(), // a record is made with every request
    };
    attempt::respond(headers, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(part: Part, query: &str) -> String {
        Request { method: Method::GET, id: "resp_1", part, query }.rest()
    }

    #[test]
    fn the_query_passes_but_for_the_clients_key() {
        assert_eq!(rest(Part::Whole, ""), "");
        assert_eq!(rest(Part::Whole, "key=secret"), "");
        assert_eq!(rest(Part::InputItems, "a=1&key=secret&&b=2"), "/input_items?a=1&b=2");
    }
}
