//! Was that right? Looks at what the client saw and at what the provider got, and knows nothing else.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::run::{Outcome, probe_id};
use super::{After, Case, Expect, upstream_body};
use crate::endpoints::{ENDPOINTS, Endpoint};
use crate::gate::{CLIENT_KEY, LANES, UPSTREAM_KEY};
use crate::upstream::{Seen, Upstream};
use crate::wire::{Answer, find, shown};

/// What a request to a provider may consist of, each once.
const SENT_ON: [&str; 6] =
    ["authorization", "content-length", "content-type", "host", "user-agent", "x-account"];
/// What of an answer may come from a provider or the gateway.
const SAID: [&str; 21] = [
    "allow",
    "connection",
    "content-length",
    "content-type",
    "date",
    "openai-processing-ms",
    "retry-after",
    "retry-after-ms",
    "transfer-encoding",
    "x-ratelimit-limit-requests",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset-tokens",
    "x-request-id",
    "x-should-retry",
    "x-weir-attempts",
    "x-weir-deployment",
    "x-weir-replica",
    "x-weir-session",
];

/// What the provider got of a case.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    /// Of the call itself.
    pub(crate) own: Vec<Seen>,
    /// Of the call that followed.
    pub(crate) probe: Vec<Seen>,
    /// Of the call that was hidden in it.
    pub(crate) hidden: Vec<Seen>,
}

/// Says what is wrong with it, if anything.
pub(crate) fn judge(case: &Case, outcome: &Outcome, arrivals: &Arrivals, provider: &Upstream) -> Result<()> {
    ensure!(arrivals.hidden.is_empty(), "a hidden request reached the provider");
    for seen in arrivals.own.iter().chain(&arrivals.probe) {
        sent_on_rightly(seen, provider).with_context(|| format!("sent on as {:?}", seen.head))?;
    }
    let answer = outcome.answer.as_ref();
    match &case.expect {
        Expect::Served(body) => served(answer, case.endpoint, &case.id, &arrivals.own, body)?,
        Expect::Refused(statuses) => refused(case, answer, statuses, &arrivals.own)?,
        Expect::Either(statuses, body) => {
            if answer.is_some_and(|answer| answer.status == 200) {
                served(answer, case.endpoint, &case.id, &arrivals.own, body)?;
            } else {
                refused(case, answer, statuses, &arrivals.own)?;
            }
        }
        Expect::Nothing => {
            ensure!(arrivals.own.is_empty(), "it reached the provider");
            ensure!(answer.is_none_or(|answer| answer.status >= 400), "answered with {answer:?}");
        }
    }
    if let (Some(wanted), Some(answer)) = (case.interim, answer) {
        let came = answer.interim.contains(&100);
        ensure!(came == wanted, "interim answers {:?}", answer.interim);
    }
    connection(case, outcome, arrivals)
}

fn connection(case: &Case, outcome: &Outcome, arrivals: &Arrivals) -> Result<()> {
    let (endpoint, id) = (&ENDPOINTS[0], probe_id(case));
    let body = upstream_body(endpoint.request("sure-0", &id, "").as_bytes(), "sure-0");
    let probe = outcome.probe.as_ref();
    let is_served = || served(probe, endpoint, &id, &arrivals.probe, &body).context("the next call");
    match case.after {
        After::Open => is_served(),
        After::Any if probe.is_none() => {
            ensure!(arrivals.probe.is_empty(), "the next call was sent on and not answered");
            Ok(())
        }
        After::Any => is_served(),
        After::Closed => {
            let more = find(&outcome.rest, b"HTTP/1.1 2").or(find(&outcome.rest, b"HTTP/1.0 2"));
            ensure!(more.is_none(), "more came: {}", shown(&outcome.rest));
            Ok(())
        }
    }
}

/// Served: with the provider's answer to this very call, for which it got this body once.
fn served(answer: Option<&Answer>, endpoint: &Endpoint, id: &str, seen: &[Seen], body: &[u8]) -> Result<()> {
    let answer = answer.context("no answer")?;
    ensure!(answer.status == 200, "answered with {}: {}", answer.status, shown(&answer.body));
    let [seen] = seen else { bail!("{} requests at the provider", seen.len()) };
    said_rightly(answer)?;
    if find(body, br#""stream":true"#).is_some() {
        ensure!(answer.head.text("content-type")?.starts_with("text/event-stream"), "{:?}", answer.head);
        ensure!(answer.body == endpoint.stream(id).as_bytes(), "the stream is {}", shown(&answer.body));
        let mut wanted: Value = serde_json::from_slice(body)?;
        if endpoint.asks_for_usage {
            wanted["stream_options"]["include_usage"] = true.into(); // the gateway's own wish
        }
        ensure!(serde_json::from_slice::<Value>(&seen.body)? == wanted, "sent on as {}", shown(&seen.body));
    } else {
        ensure!(answer.body == endpoint.answer(id).as_bytes(), "it is {}", shown(&answer.body));
        ensure!(seen.body == body, "sent on as {}", shown(&seen.body));
    }
    Ok(())
}

fn refused(case: &Case, answer: Option<&Answer>, statuses: &[u16], seen: &[Seen]) -> Result<()> {
    let answer = answer.context("no answer")?;
    let text = shown(&answer.body);
    ensure!(seen.is_empty(), "it reached the provider");
    ensure!(statuses.contains(&answer.status), "{} instead of {statuses:?}: {text}", answer.status);
    said_rightly(answer)?;
    if answer.status == 405 {
        ensure!(answer.head.one("allow")?.is_some(), "a 405 that does not say what is allowed");
    }
    if case.bodiless { Ok(()) } else { is_error(answer) }
}

/// OpenAI's error body, and no secret in it.
pub(crate) fn is_error(answer: &Answer) -> Result<()> {
    let text = shown(&answer.body);
    ensure!(answer.head.text("content-type")?.starts_with("application/json"), "{:?}", answer.head);
    let body: Value = serde_json::from_slice(&answer.body).with_context(|| text.clone())?;
    let error = &body["error"];
    let said = error["message"].as_str().is_some_and(|message| !message.is_empty());
    ensure!(said && error["type"].is_string(), "no error of OpenAI's: {text}");
    for name in ["code", "param"] {
        ensure!(error.get(name).is_some_and(|v| v.is_string() || v.is_null()), "no {name}: {text}");
    }
    Ok(())
}

/// Nothing in an answer that came from a request's fields, tells a secret or belongs to a provider's connection.
pub(crate) fn said_rightly(answer: &Answer) -> Result<()> {
    for (name, value) in &answer.head.fields {
        ensure!(SAID.contains(&name.as_str()), "the answer says {name}");
        ensure!(find(value, b"WEIRINJECT").is_none(), "{name} was injected");
        answer.head.one(name)?;
    }
    for secret in [CLIENT_KEY, UPSTREAM_KEY, "SECRET"] {
        ensure!(find(&answer.body, secret.as_bytes()).is_none(), "the answer tells a secret");
    }
    Ok(())
}

/// One well-formed request with our own fields and nothing of the client's.
fn sent_on_rightly(seen: &Seen, provider: &Upstream) -> Result<()> {
    let known = ENDPOINTS.iter().any(|e| seen.head.line == format!("POST {} HTTP/1.1", e.upstream));
    ensure!(known, "the line {:?}", seen.head.line);
    for (name, value) in &seen.head.fields {
        ensure!(SENT_ON.contains(&name.as_str()), "the field {name}");
        ensure!(find(value, b"WEIRINJECT").is_none(), "{name} was injected");
        seen.head.one(name)?;
    }
    ensure!(seen.head.text("authorization")? == format!("Bearer {UPSTREAM_KEY}"), "the credential");
    let host = seen.head.text("host")?;
    ensure!((0..LANES).any(|lane| host == provider.addr(lane).to_string()), "the host {host}");
    ensure!(find(&seen.body, CLIENT_KEY.as_bytes()).is_none(), "the client's key");
    Ok(())
}
