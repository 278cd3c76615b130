//! The load: calls of several tenants, plain and streamed, dealt to the replicas in turn as a balancer would.
//!
//! The rate swings slowly around its mean, beginning in the trough, and calls arrive at random (exponential gaps),
//! whatever became of the earlier ones: a gateway is not spared because it is slow. What bounds the load is a cap on
//! the calls in flight; beyond it calls are not made, and counted.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::cast::{CALLERS, Caller, MODEL};

/// Calls in flight at most.
const IN_FLIGHT: usize = 256;
/// Longest time that a call may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the calls in flight may take to finish when the load stops.
const GRACE: Duration = Duration::from_secs(3);
/// One swing of the rate, and how far it goes from the mean.
const SWING: Duration = Duration::from_secs(40);
const AMPLITUDE: f64 = 0.35;
/// How long a time to first token counts towards the median, and how many waits do.
const RECENT: Duration = Duration::from_secs(10);
const WAITS: usize = 1_000;
/// What prompts are made of.
const WORDS: &str =
    "The river carries less water in summer, and the weir keeps its level even for every mill. ";

type Http = Client<HttpConnector, Full<Bytes>>;

/// What the clients saw.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Calls made.
    pub(super) sent: u64,
    /// Calls not made because too many were in flight.
    pub(super) skipped: u64,
    /// Calls that were neither answered nor refused with 429.
    pub(super) failed: u64,
    /// Calls refused with 429.
    pub(super) refused: u64,
    /// Of these, the ones that did not say when to come back.
    pub(super) silent: u64,
    /// The longest time that a refusal asked to wait, ms.
    pub(super) longest_wait_ms: u64,
    waits_ms: VecDeque<u64>,
    first_tokens: BTreeMap<String, VecDeque<(Instant, Duration)>>,
}

impl Tally {
    /// Median time that the last refusals asked to wait, ms.
    pub(super) fn median_wait_ms(&self) -> Option<u64> {
        median(self.waits_ms.iter().copied())
    }

    /// Median time to the first token of the streams of a deployment that began within the last seconds.
    pub(super) fn median_first_token(&self, deployment: &str, now: Instant) -> Option<Duration> {
        let times = self.first_tokens.get(deployment)?;
        median(times.iter().filter(|(at, _)| *at + RECENT >= now).map(|(_, time)| *time))
    }

    fn first_token(&mut self, deployment: &str, now: Instant, time: Duration) {
        let times = self.first_tokens.entry(deployment.to_owned()).or_default();
        while times.front().is_some_and(|(at, _)| *at + RECENT < now) {
            times.pop_front();
        }
        times.push_back((now, time));
    }

    fn refusal(&mut self, headers: &HeaderMap) {
        self.refused += 1;
        let number = |name| headers.get(name)?.to_str().ok()?.parse::<u64>().ok();
        let whole = number(header::RETRY_AFTER.as_str());
        let Some(wait) = number("retry-after-ms").or(whole.map(|seconds| seconds * 1_000)) else {
            self.silent += 1;
            return;
        };
        self.longest_wait_ms = self.longest_wait_ms.max(wait);
        self.waits_ms.push_back(wait);
        if self.waits_ms.len() > WAITS {
            self.waits_ms.pop_front();
        }
    }
}

fn median<T: Ord>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    let middle = values.len() / 2;
    values.into_iter().nth(middle)
}

/// A running load. Dropped, it stops at once.
#[derive(Debug)]
pub(super) struct Load {
    /// What its clients saw; short sections.
    pub(super) tally: Arc<Mutex<Tally>>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Load {
    /// Starts a load of `mean` calls per second on average.
    pub(super) fn start(replicas: Vec<SocketAddr>, mean: f64) -> Load {
        let tally: Arc<Mutex<Tally>> = Arc::default();
        let (stop, stopping) = watch::channel(false);
        let http = Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build_http();
        let crowd = Crowd { http, replicas, tally: tally.clone() };
        let task = tokio::spawn(crowd.call_until(stopping, mean));
        Load { tally, stop, task }
    }

    /// Makes no more calls and lets those in flight finish within a few seconds.
    pub(super) async fn end(self) -> anyhow::Result<()> {
        self.stop.send_replace(true);
        Ok(self.task.await?)
    }
}

/// Calls per second at a time since the start: a slow swing around the mean that begins at its lowest.
fn rate(mean: f64, since: Duration) -> f64 {
    let turn = since.as_secs_f64() / SWING.as_secs_f64() * std::f64::consts::TAU;
    mean * (1.0 - AMPLITUDE * turn.cos())
}

struct Crowd {
    http: Http,
    replicas: Vec<SocketAddr>,
    tally: Arc<Mutex<Tally>>,
}

impl Crowd {
    async fn call_until(self, mut stop: watch::Receiver<bool>, mean: f64) {
        let started = Instant::now();
        let mut due = started;
        let mut turn = 0;
        let mut calls = JoinSet::new();
        loop {
            // 1 - draw is never 0, whose logarithm is infinite.
            due += Duration::from_secs_f64(-(1.0 - fastrand::f64()).ln() / rate(mean, due - started));
            tokio::select! {
                () = tokio::time::sleep_until(due.into()) => {}
                // An error means that whoever could say stop has gone.
                _ = stop.wait_for(|stop| *stop) => break,
            }
            while calls.try_join_next().is_some() {}
            if calls.len() >= IN_FLIGHT {
                self.tally.lock().skipped += 1;
                continue;
            }
            self.tally.lock().sent += 1;
            turn = (turn + 1) % self.replicas.len();
            let call = one_call(self.http.clone(), self.replicas[turn], self.tally.clone());
            calls.spawn(call);
        }
        let finish = async { while calls.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, finish).await.is_err() {
            calls.shutdown().await;
        }
    }
}

async fn one_call(http: Http, replica: SocketAddr, tally: Arc<Mutex<Tally>>) {
    let caller = draw_caller();
    let streamed = fastrand::u32(..100) < caller.streamed;
    let sent = Instant::now();
    let answered = async {
        let request = request(replica, &caller, streamed)?;
        let response = http.request(request).await?;
        read(response, streamed, sent, &tally).await
    };
    match tokio::time::timeout(PATIENCE, answered).await {
        Ok(Ok(())) => {}
        Ok(Err(_)) | Err(_) => tally.lock().failed += 1,
    }
}

/// Reads an answer to its end.
async fn read(
    response: Response<Incoming>,
    streamed: bool,
    sent: Instant,
    tally: &Mutex<Tally>,
) -> anyhow::Result<()> {
    let (head, mut body) = response.into_parts();
    match head.status {
        StatusCode::OK => {}
        StatusCode::TOO_MANY_REQUESTS => tally.lock().refusal(&head.headers),
        status => anyhow::bail!("{status}"),
    }
    let deployment = head.headers.get("x-weir-deployment").and_then(|name| name.to_str().ok());
    let mut waiting = streamed && head.status == StatusCode::OK;
    while let Some(frame) = body.frame().await {
        frame?;
        if std::mem::take(&mut waiting) {
            // The gateway begins a stream with its first content.
            tally.lock().first_token(deployment.unwrap_or_default(), Instant::now(), sent.elapsed());
        }
    }
    Ok(())
}

fn draw_caller() -> Caller {
    let mut left = fastrand::u32(..100);
    for caller in CALLERS {
        match left.checked_sub(caller.share) {
            Some(rest) => left = rest,
            None => return caller,
        }
    }
    CALLERS[0]
}

fn request(replica: SocketAddr, caller: &Caller, streamed: bool) -> anyhow::Result<Request<Full<Bytes>>> {
    let prompt = WORDS.repeat(fastrand::usize(1..=8));
    let mut body = json!({"model": MODEL, "messages": [{"role": "user", "content": prompt}]});
    if streamed {
        body["stream"] = true.into();
    }
    if fastrand::u32(..100) < 80 {
        body["max_tokens"] = fastrand::u32(60..=100).into();
    }
    let mut request = Request::post(format!("http://{replica}/v1/chat/completions"))
        .header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .header(header::AUTHORIZATION, format!("Bearer {}", caller.key));
    if caller.sessions > 0 {
        let session = fastrand::u32(..caller.sessions);
        request = request.header("x-session-id", format!("{}-{session}", caller.name));
    }
    Ok(request.body(Full::from(body.to_string()))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_begins_low_and_swings_around_its_mean() {
        assert!((rate(100.0, Duration::ZERO) - 65.0).abs() < 1e-9);
        assert!((rate(100.0, SWING / 4) - 100.0).abs() < 1e-9);
        assert!((rate(100.0, SWING / 2) - 135.0).abs() < 1e-9);
    }

    #[test]
    fn a_refusal_is_silent_only_without_any_time() {
        let mut tally = Tally::default();
        let mut headers = HeaderMap::new();
        tally.refusal(&headers);
        headers.insert("retry-after", HeaderValue::from_static("2"));
        tally.refusal(&headers);
        headers.insert("retry-after-ms", HeaderValue::from_static("1500"));
        tally.refusal(&headers);
        assert_eq!((tally.refused, tally.silent, tally.longest_wait_ms), (3, 1, 2_000));
        assert_eq!(tally.median_wait_ms(), Some(2_000));
    }

    #[test]
    fn the_median_is_of_the_recent_streams_of_one_deployment() {
        let (mut tally, start) = (Tally::default(), Instant::now());
        tally.first_token("a", start, Duration::from_secs(9));
        tally.first_token("b", start, Duration::from_secs(8));
        let later = start + RECENT + Duration::from_secs(1);
        for ms in [30, 10, 20] {
            tally.first_token("a", later, Duration::from_millis(ms));
        }
        assert_eq!(tally.median_first_token("a", later), Some(Duration::from_millis(20)));
        assert_eq!(tally.median_first_token("b", later), None);
        assert_eq!(tally.median_first_token("c", later), None);
    }
}
