//! The path of one call, top to bottom: read, know the tenant, find the model, then per model attempt after
//! attempt: rank, admit, send, read up to the first content, answer.
//!
//! What ends a call is a value: an answer or an [`Error`]. The reservation moves from admission into the attempt
//! and from there into the answer's body; wherever this future is dropped, dropping it settles.

mod admission;
mod attempt;
mod budget;
mod checking;
pub mod choice;
mod continued;
mod count;
mod explain;
mod fallbacks;
mod hedge;
mod judge;
mod limits;
mod room;
mod saying;
mod session;
pub mod stored;
mod tried;
mod variant;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Response};
use smallvec::smallvec;

use attempt::{Attempt, Unsent};
pub(crate) use checking::{Chatted, chat};
use continued::Home;
use fallbacks::{Ahead, sooner};
use hedge::{Beside, Misses};
use judge::What;
use saying::{Asked, ReadOnce};
use tried::Tried;
use variant::Falls;

use crate::admit::estimate::{self, Weight};
use crate::aside::look_through;
use crate::auth::{Credentials, Who};
use crate::clock::unix_now;
use crate::config::{DeploymentId, Model, ModelId, Priority, Target, Wants};
use crate::dialect::ability::Abilities;
use crate::dialect::api::Api;
use crate::dialect::gemini::Framing;
use crate::dialect::request::{self, BadRequest, InPath, Pairs, Peek, Words};
use crate::dialect::voice::Form;
use crate::error::{Error, Kind};
use crate::http as edge;
use crate::route::able::Demands;
use crate::route::attempts::Attempts;
use crate::route::{self, Needs, Ranked};
use crate::shared::{Snapshot, Worker};
use crate::standing::Look;
use crate::state::Claimed;
use crate::state::core::{Gates, SessionRef};
use crate::telemetry::{Record, Trace, names};

/// Shortest time that a refusal for want of the shared state asks the client to wait.
const AWAY_RETRY: Duration = Duration::from_secs(1);

/// What a client asks for: which call, and what else its path says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Which call.
    pub api: Api,
    /// The model in the path, as Azure's and Google's clients send it.
    pub named: Option<String>,
    /// Google's: the path asks for a stream, framed so. Elsewhere the body says whether to stream.
    pub stream: Option<Framing>,
}

impl Ask {
    /// How a stream to its client is written.
    pub fn form(&self) -> Form {
        Form { voice: self.api.voice(), framing: self.stream.unwrap_or(Framing::Sse) }
    }
}

/// One call on its way.
struct Call<'a> {
    worker: &'a Arc<Worker>,
    snapshot: &'a Arc<Snapshot>,
    who: &'a Who<'a>,
    tenant_name: Arc<str>,
    headers: &'a HeaderMap,
    body: Bytes,
    peek: Peek,
    /// What is put before the model, tokens: all of it, and how much of that is guessed.
    input: u64,
    guessed: u64,
    /// It holds what other providers said, under marks of ours.
    foreign: bool,
    home: Option<Home>,
    read_once: ReadOnce,
    asked: Asked,
    deadline: Instant,
    priority: Priority,
    /// The model that serves it, unless a fallback does.
    chosen: ModelId,
    /// What it asks of a deployment besides its length.
    demands: Demands<'a>,
    /// Where it goes first, if its model is experimented with.
    falls: Option<Falls<'a>>,
    /// Its place among traces.
    trace: Trace,
}

/// Serves a call.
pub async fn call(
    worker: &Arc<Worker>,
    ask: &Ask,
    credentials: Credentials<'_>,
    body: edge::Arriving,
    record: &mut Option<Record>,
    beat: &edge::Beat,
) -> Result<Response<Body>, Error> {
    let snapshot = worker.shared.snapshot.load_full();
    let config = &snapshot.config;
    let (who, headers) = (&worker.shared.who(&snapshot, credentials).await?, credentials.headers);
    let tenant_name = who.name();
    note(record, |record| {
        (record.tenant, record.key, record.api) = (tenant_name.clone(), who.key_id(), ask.api.name());
        record.operation = names::operation(ask.api);
    });
    let body = edge::read(body, config.server.max_body, &worker.shared.buffered).await?;
    who.still(&worker.shared.keyring)?;
    let tags = choice::tags(headers)?;
    let weighed = weigh(ask, &body, &snapshot).await?;
    let trace = record.as_ref().map(|record| record.trace.clone()).unwrap_or_default();
    trace.asked(&weighed.peek);
    note(record, |record| record.stream = weighed.peek.stream);
    let asked = choice::asked(&snapshot, who, &weighed.peek.model)?;
    let home = Home::of(worker, &snapshot, &tenant_name, weighed.peek.continues.as_ref()).await?;
    let (model, rule) = choice::choose(&snapshot, who, asked, (&weighed, &tags), home.as_ref())?;
    note(record, |record| {
        record.model = snapshot.model_names[model.0].clone();
        record.explanation.rule = rule.map(|rule| (rule.name.clone(), record.model.clone()));
    });
    let Weighed { peek, weight, uses, foreign, .. } = weighed;
    let wants_to_know = headers.get("x-weir-explain").is_some_and(|value| value == "1");
    note(record, |record| record.explanation.wanted = wants_to_know);
    let deadline = Instant::now() + time_limit(config.models[model.0].total, headers)?;
    if let Some(every) = config.server.stream_keepalive.filter(|_| peek.stream) {
        let _ = beat.set(every); // nobody else does
    }
    // What is continued is put before the model as well.
    let (read, guessed) = if ask.api.reads() { (weight.total(), weight.guessed) } else { (0, 0) };
    let input = read.saturating_add(home.as_ref().map_or(0, |home| home.tokens));
    let snapshot = &snapshot;
    let read_once = ReadOnce::new(peek.api.talks());
    let asked = Asked::of(&peek, ask.form());
    let mut call = Call {
        worker,
        snapshot,
        who,
        tenant_name,
        headers,
        body,
        peek,
        input,
        guessed,
        foreign,
        home,
        read_once,
        asked,
        deadline,
        priority: room::priority(who, headers)?,
        chosen: model,
        demands: Demands::new(&snapshot.config, uses, tags, (who.tags(), rule)),
        falls: None,
        trace,
    };
    match call.count(model, weight.total(), record) {
        Some(counted) => Ok(counted),
        None => {
            call.falls = call.falls(record);
            call.serve(model, record).await
        }
    }
}

/// What is found in one look through a request.
struct Weighed {
    peek: Peek,
    weight: Weight,
    /// What a model must be able to do for it.
    uses: Abilities,
    foreign: bool,
    /// Read if a rule asks.
    words: Words,
    /// Read if a rule asks.
    metadata: Pairs,
}

/// Reads a request and estimates its input.
async fn weigh(ask: &Ask, body: &Bytes, snapshot: &Arc<Snapshot>) -> Result<Weighed, Error> {
    let (ask, bytes) = (ask.clone(), body.clone());
    let rules = (!snapshot.config.rules.is_empty()).then(|| snapshot.clone());
    let wanted = move |model: &str| rules.map_or(Wants::default(), |snapshot| snapshot.config.wanted(model));
    let done = look_through(body.len(), move || read_and_weigh(&ask, &bytes, wanted)).await;
    let done = done.map_err(|_| Error::new(Kind::Internal, "The request could not be read."))?;
    done.map_err(|bad| Error {
        param: bad.param.map(str::to_owned),
        ..Error::new(Kind::Malformed, bad.message)
    })
}

fn read_and_weigh(
    ask: &Ask,
    body: &Bytes,
    wanted: impl FnOnce(&str) -> Wants,
) -> Result<Weighed, BadRequest> {
    let path = InPath { model: ask.named.as_deref(), stream: ask.stream.is_some() };
    let peek = request::peek(ask.api, body, path)?;
    let input = peek.input();
    let (mut weight, held) = estimate::input_weight(input.texts(body), input.repeats, &input.schemas(body));
    if input.cached {
        weight.guessed = weight.guessed.saturating_add(estimate::UNSEEN);
    }
    let Wants { words, metadata } = wanted(&peek.model);
    let words = if words { request::read_words(ask.api, input, body) } else { Words::default() };
    let metadata = if metadata { request::read_metadata(ask.api, body)? } else { Pairs::new() };
    let uses = peek.uses.and(held);
    Ok(Weighed { weight, uses, foreign: saying::is_foreign(body), words, metadata, peek })
}

/// The call's time: `most`, or less if the client says so.
fn time_limit(most: Duration, headers: &HeaderMap) -> Result<Duration, Error> {
    let Some(asked) = headers.get("x-weir-timeout-ms") else { return Ok(most) };
    let digits = asked.to_str().ok().map(str::trim).filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    match digits.and_then(|text| text.parse::<u64>().ok()).filter(|ms| *ms > 0) {
        Some(ms) => Ok(most.min(Duration::from_millis(ms))),
        None => {
            Err(Error::new(Kind::Malformed, "x-weir-timeout-ms must be a positive number of milliseconds."))
        }
    }
}

/// Writes into the record, which is here until the answer's body takes it along.
fn note(record: &mut Option<Record>, write: impl FnOnce(&mut Record)) {
    if let Some(record) = record {
        write(record);
    }
}

impl Call<'_> {
    /// Attempt after attempt on the deployments of one model; each at most once in the call.
    async fn serve_model(
        &self,
        id: ModelId,
        ahead: Ahead<'_>,
        tried: &mut Tried,
        record: &mut Option<Record>,
    ) -> Result<Response<Body>, Error> {
        let model = &self.snapshot.config.models[id.0];
        let session = self.session(id, model);
        let beginning = if session.is_none() { self.beginning(model) } else { None };
        let (mut attempts, mut pause, mut last) = (Attempts::new(model), false, None);
        let before = tried.deployments.len();
        while attempts.are_left() && !tried.over {
            if Instant::now() >= self.deadline {
                return Err(Error::late());
            }
            let mut ranked = self.rank(id, &attempts, tried, beginning);
            if tried.deployments.len() == before {
                self.explain_absent(model, &ranked, tried, record);
            }
            let taken = self.within_budget(id, &attempts, &mut ranked, record);
            if ranked.is_empty() || pause && !self.pause(model, attempts.made()).await {
                break;
            }
            pause = false; // it was made: who looks anew makes no other
            let going = self.with_kin(
                session.as_ref(),
                id,
                &ranked,
                tried.deployments.get(before..).and_then(<[_]>::last),
            );
            let may_wait = !self.may_fall_back(ahead, tried);
            let admitted = self.admit(id, &ranked, going, (tried, may_wait), record).await;
            let admitted = admitted.map_err(|error| match last.take() {
                Some(last) if error.kind == Kind::UpstreamFailed => last, // that the others have failed before adds nothing
                _ => error,
            })?;
            let Some((reservation, index)) = admitted else { continue };
            let target = ranked[index].target;
            let unsent = Unsent::new(Attempt::new(self, id, target, reservation, false));
            let claimed = match self.claim(target).await {
                Ok(claimed) => claimed,
                Err(theirs) if theirs.kind == Kind::NotKept => {
                    tried.without.push(target.deployment); // in another account it may be theirs
                    last = Some(theirs);
                    continue;
                }
                Err(unknown) => return Err(unknown),
            };
            self.who.still(&self.worker.shared.keyring)?; // it may have waited
            if self.is_drained(target.deployment) {
                continue; // since it was ranked
            }
            let Some(mut attempt) = unsent.made() else { continue };
            tried.deployments.push(target.deployment);
            let shut = |target: &Target| self.is_shut(target) || self.is_barred(id, target.deployment);
            taken.made();
            let falls_back = self.may_fall_back(ahead, tried);
            let others = attempts.may_go_on(&ranked, index, shut) || falls_back;
            if tried.deployments.len() == before + 1 {
                self.pay_in(id);
            }
            attempt.others = others;
            let beside = (&attempts, &*tried, falls_back);
            let misses = match self.tried_at(id, attempt, session.as_ref(), beside, record).await {
                Ok(response) => return Ok(response),
                Err(misses) => misses,
            };
            pause = false;
            if claimed == Claimed::Made && misses.iter().all(|(_, miss)| miss.is_unread()) {
                self.unclaim(target).await;
            }
            for (target, miss) in misses {
                if !miss.retry {
                    return Err(miss.error);
                }
                last = Some(sooner(last, miss.error));
                if !tried.deployments.contains(&target.deployment) {
                    tried.deployments.push(target.deployment); // it was beside the first
                }
                tried.refusing.extend(miss.refuses.then_some(target.deployment));
                match miss.what {
                    What::Attempt => {
                        attempts.count(target, miss.sent);
                        (pause, tried.over) = (pause | miss.pause, tried.over | miss.slow);
                    }
                    What::NotKept => tried.without.push(target.deployment), // it was looked for, not attempted
                    What::Unsayable => tried.unsayable.extend(self.spoken(target.deployment)),
                }
            }
        }
        self.explain_untried(model, &attempts, tried, record);
        Err(last.unwrap_or_else(|| self.nobody(model)))
    }

    /// One attempt, or two where the first is long in coming.
    async fn tried_at<'c>(
        &'c self,
        id: ModelId,
        attempt: Attempt<'c>,
        session: Option<&SessionRef>,
        (attempts, tried, falls_back): (&Attempts<'_>, &Tried, bool),
        record: &mut Option<Record>,
    ) -> Result<Response<Body>, Misses<'c>> {
        let target = attempt.target;
        let Some(after) = self.hedge_after(id, target) else {
            return attempt.run(session, record).await.map_err(|miss| smallvec![(target, miss)]);
        };
        let mut attempts = attempts.clone();
        attempts.count(target, true);
        let spilled = self.is_spilled(id, target);
        let beside = Beside { model: id, after, attempts: &attempts, tried, falls_back, spilled };
        Box::pin(self.hedged(attempt, session, beside, record)).await // its size is paid by those who want it
    }

    fn rank(
        &self,
        id: ModelId,
        attempts: &Attempts<'_>,
        tried: &Tried,
        beginning: Option<u64>,
    ) -> Vec<Ranked<'_>> {
        let config = &self.snapshot.config;
        let (first, rest) = self.parts(id);
        let parts = || std::iter::once(first).chain(rest).map(|(model, _)| model);
        let model = first.0;
        let per_choice = if parts().any(route::looks) { self.expected_output(id) } else { 0 };
        let needs = Needs { beginning, ..self.needs(per_choice) };
        let standings = &self.snapshot.standings;
        let look = Look {
            input: needs.input,
            output: per_choice,
            by: model.ranking.latency.measure,
            expects: parts().any(route::expects),
            replicas: self.worker.shared.client.live() as u64,
        };
        let outlook = |id: DeploymentId| standings[id.0].outlook(look);
        let able = |target: &Target| {
            let is_able = attempts.may_go_to(target)
                && self.is_able(target.deployment, tried)
                && self.lack(model, target).is_none();
            is_able.then(|| self.snapshot.duties[target.deployment.0].weight().unwrap_or(target.weight))
        };
        let rank = |(model, rotation)| {
            route::rank(config, model, rotation, needs, &able, &outlook, &mut fastrand::f64)
        };
        let mut ranked = rank(first);
        if let Some(rest) = rest {
            variant::behind(&mut ranked, rank(rest));
        }
        if let Some(home) = &self.home {
            home.keep(config, &mut ranked);
        }
        ranked
    }

    /// Is the deployment's circuit open, or one of its account, as far as this replica knows?
    fn is_shut(&self, target: &Target) -> bool {
        let deployment = &self.snapshot.config.deployments[target.deployment.0];
        self.worker.shared.client.is_open(Gates { own: deployment.tag, account: deployment.account.tag })
    }

    /// What the call asks of a deployment, with so much output to be expected for each choice.
    fn needs(&self, per_choice: u64) -> Needs {
        Needs {
            input: self.input - self.guessed,
            output: self.peek.max_output.unwrap_or(0),
            expected: per_choice.saturating_mul(self.peek.choices),
            beginning: None,
            at: unix_now(),
        }
    }

    /// What half of such calls stay within, tokens per choice.
    fn expected_output(&self, id: ModelId) -> u64 {
        let key = (self.snapshot.model_names[id.0].clone(), self.tenant_name.clone());
        estimate::expected_output(self.peek.max_output, self.worker.shared.expected(&key))
    }

    /// Full-jitter back-off before attempt `next` (from 1); false if the call's time is too short for it.
    async fn pause(&self, model: &Model, next: u32) -> bool {
        let most = model.retry.base.saturating_mul(1 << next.saturating_sub(1).min(16)).min(model.retry.max);
        let pause = most.mul_f64(fastrand::f64());
        let fits = Instant::now() + pause < self.deadline;
        if fits {
            tokio::time::sleep(pause).await;
        }
        fits
    }
}
