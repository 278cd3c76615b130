//! A call of nobody's, to see whether a deployment serves calls: a few tokens, reserved and settled as any other's.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::saying::{Asked, To, read, write};
use crate::admit::estimate::Estimate;
use crate::admit::{self, AskFor};
use crate::clock::{boot_ms, unix_now};
use crate::config::{Deployment, DeploymentId, Target};
use crate::dialect::api::Api;
use crate::dialect::gemini::Framing;
use crate::dialect::openai::answer::{Service, Usage};
use crate::dialect::talk::{Dialect, Refused};
use crate::route::Ranked;
use crate::settle::{For, Tab};
use crate::shared::{Snapshot, Worker};
use crate::state::core::meter::WHOLE;
use crate::state::{Actual, Outcome, Reservation, Wish};
use crate::upstream::answer::{self, Patience};
use crate::upstream::telling::Telling;
use crate::upstream::way::{self, Way};
use crate::upstream::{Endpoint, Failed};

/// What is asked.
const ASKED: &[u8] = br#"{"model":"m","messages":[{"role":"user","content":"Reply with the word ok."}]}"#;
/// Tokens of it that are held, whatever wraps it.
const INPUT: u64 = 32;
/// Tokens of the answer: less is refused by some providers.
const OUTPUT: u64 = 16;

/// How it was.
pub(crate) enum Chatted {
    /// It answered.
    Answered,
    /// It was not asked, for want of room.
    NoRoom,
}

/// Asks a deployment for a few tokens, which must have come by `until`.
pub(crate) async fn chat(
    worker: &Worker,
    snapshot: &Arc<Snapshot>,
    target: &Target,
    until: Instant,
) -> Result<Chatted, Failed> {
    let (id, client) = (target.deployment, &worker.shared.client);
    let deployment = &snapshot.config.deployments[id.0];
    let (call, body, telling) = say(&snapshot.endpoints[id.0], deployment).map_err(Failed::Unsayable)?;
    let mut wish = wish(snapshot, target);
    // A shared state that is slow is no fault of the deployment, which needs the most of the time.
    let room_by = until - until.saturating_duration_since(Instant::now()) * 3 / 4;
    let reservation = match client.reserve(&worker.port, &mut wish, room_by).await {
        Ok(Outcome::Granted(reservation, _)) => Some(reservation),
        Ok(Outcome::Unlimited(_)) => None,
        Ok(Outcome::Denied(_) | Outcome::TooBig { .. }) | Err(_) => return Ok(Chatted::NoRoom),
    };
    let until = reservation.as_ref().map_or(until, |held| until.min(held.end_by).min(held.head_by));
    let asked =
        exchange(worker, snapshot, id, (call, body, telling), target.timeouts.connect, until, reservation);
    let answered = asked.await;
    if let Err(Failed::Answered { failure, .. }) = &answered {
        snapshot.rest(client, id, failure);
    }
    answered.map(|()| Chatted::Answered)
}

/// The request as the deployment gets it, and how its answer is read.
fn say(
    endpoint: &Endpoint,
    deployment: &Deployment,
) -> Result<(crate::config::preset::Call, Bytes, Telling), Refused> {
    let Some(Way::Talk(dialect)) = endpoint.way(Api::Chat) else {
        return Err(Refused::whole("The deployment has no conversations."));
    };
    let asked = Asked { model: "m".to_owned(), stream: false, framing: Framing::Sse, wants_usage: false };
    let mut request = read(Dialect::Chat, ASKED, &asked)?;
    request.max_output = Some(OUTPUT);
    let to = To {
        dialect,
        preset: endpoint.preset().clone(),
        model: deployment.model.clone(),
        most: OUTPUT,
        beta: None,
        near: ASKED.len() + 256,
    };
    let (body, retold) = write(&request, Dialect::Chat, &asked, &to)?;
    let telling = match dialect {
        Dialect::Chat => Telling::Passed { api: Api::Chat, withhold_usage: false },
        _ => Telling::Retold(retold),
    };
    Ok((way::call(endpoint.preset(), dialect, false), body, telling))
}

/// Room for it in every limit, whatever its circuits say: to find that out is what it is for.
fn wish(snapshot: &Snapshot, target: &Target) -> Wish {
    let common: Vec<_> = snapshot.config.gateway_pool.iter().map(|id| &snapshot.pools[id.0]).collect();
    let ranked = [Ranked { target, tier: 0, threshold: WHOLE, set: 0 }];
    let estimate = Estimate {
        input: INPUT,
        guessed_input: 0,
        output: OUTPUT,
        explicit_output: true,
        service: Service::Standard,
    };
    let (config, infos) = (&snapshot.config, &snapshot.pools);
    let ask_for = AskFor { at: unix_now(), ..AskFor::default() };
    let mut wish = admit::wish(config, infos, &common, &ranked, |_, _| estimate, None, ask_for);
    for candidate in &mut Arc::make_mut(&mut wish.ask).candidates {
        (candidate.circuit, candidate.account) = (None, 0);
    }
    wish
}

async fn exchange(
    worker: &Worker,
    snapshot: &Arc<Snapshot>,
    id: DeploymentId,
    (call, body, telling): (crate::config::preset::Call, Bytes, Telling),
    connect: Duration,
    until: Instant,
    mut reservation: Option<Reservation>,
) -> Result<(), Failed> {
    let left = until.saturating_duration_since(Instant::now()).as_millis() as u64;
    let send_by = reservation.as_ref().map_or(u64::MAX, |held| held.send_by).min(boot_ms() + left);
    let shared = &worker.shared;
    let mut tab = None;
    let answered = async {
        let request = snapshot.endpoints[id.0].call(call, body, send_by);
        let request = request.ok_or_else(|| Failed::NotSent("the provider has no such call".into()))?;
        let what = For { tenant: shared.nobody.clone(), model: None, deployment: id };
        tab = Some(Tab::open(shared, snapshot, what, INPUT));
        let response = worker.upstreams.send(request, connect, until).await?;
        if let Some(reservation) = &mut reservation {
            reservation.head();
        }
        let (head, upstream) = response.into_parts();
        let patience = Patience { idle: left_of(until), until };
        answer::whole(upstream, &head.headers, &telling, patience, &worker.shared.buffered).await
    };
    let answered = answered.await;
    let actual = match &answered {
        Ok(whole) => {
            let about = Usage { input: INPUT, output: OUTPUT, ..Usage::default() };
            whole.told.usage.map_or(Actual::Partial(about), Actual::Used)
        }
        Err(Failed::NotSent(_) | Failed::Late(_) | Failed::Unsayable(_)) => {
            tab.into_iter().for_each(Tab::free);
            reservation.into_iter().for_each(Reservation::cancel);
            return answered.map(|_| ());
        }
        Err(Failed::Unreadable { usage, .. }) => usage.map_or(Actual::Abandoned, Actual::Used),
        Err(Failed::TimedOut(_)) => Actual::Abandoned,
        Err(Failed::Broken(_) | Failed::Answered { .. }) => Actual::Failed,
    };
    reservation.into_iter().for_each(|held| held.settle(actual));
    tab.into_iter().for_each(|tab| tab.pay(actual).map_or((), |_| ()));
    answered.map(|_| ())
}

fn left_of(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}
