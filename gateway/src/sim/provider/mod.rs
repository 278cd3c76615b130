//! A strict fake OpenAI provider: it enforces its limits to the token and keeps a raw log of what arrived, so
//! that an independent judge can tell whether Weir kept them.
//!
//! It shares no code with Weir's own meters. An arrival is judged, charged and recorded at one instant under one
//! lock; answers are made up from a seed; failures are injected where asked. Reading order: `chat` is the path of
//! one call, `books` the verdict and the log, `account` and `limiter` the limits, `script` the body.
//!
//! Besides OpenAI's routes: `GET /_log?since=SEQ` (JSON lines), `GET /_stats`, `POST /_reset`, `POST /_control`,
//! `GET /_bodies`.

mod account;
mod answer;
mod bodies;
mod books;
mod burn;
mod call;
mod chat;
mod clock;
mod control;
mod faults;
mod limiter;
mod listing;
mod log;
mod options;
mod request;
mod schema;
mod script;
mod server;
#[cfg(test)]
mod tests;
mod wire;

pub use account::Charging;
pub use books::{KeyStats, Stats};
pub use control::Change;
pub use faults::{Fault, FaultKind, Place, Route};
pub use limiter::LimiterKind;
pub use options::{Key, Limits, Options, Span};

use anyhow::Context as _;
use arc_swap::ArcSwap;
use bodies::Bodies;
use books::{Books, Rules};
use bytes::Bytes;
use clock::Clock;
use control::Behaviour;
use http::HeaderMap;
use log::Log;
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

/// Runs a provider until SIGTERM or SIGINT. Prints `listening on http://ADDR` when it is ready.
pub async fn serve(options: Options) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let handle = start(options).await?;
    println!("listening on http://{}", handle.addr());
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    handle.shutdown().await
}

/// Starts a provider on the current runtime. It stops when the handle is dropped or shut down.
pub async fn start(options: Options) -> anyhow::Result<Handle> {
    let listener = TcpListener::bind(options.listen)
        .await
        .with_context(|| format!("cannot listen on {}", options.listen))?;
    let addr = listener.local_addr()?;
    let shared = Arc::new(Shared::new(options)?);
    let server = tokio::spawn(server::accept(listener, shared.clone()));
    Ok(Handle { addr, shared, server })
}

/// A running provider.
#[derive(Debug)]
pub struct Handle {
    addr: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

impl Handle {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Counts as of now.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Changes timing, output or failures from the next call on.
    pub fn change(&self, change: Change) -> anyhow::Result<()> {
        self.shared.change(change).map_err(anyhow::Error::msg)
    }

    /// Closes every connection, records the calls in flight as aborted and flushes the log file.
    pub async fn shutdown(mut self) -> anyhow::Result<()> {
        self.server.abort();
        match (&mut self.server).await {
            Err(error) if !error.is_cancelled() => return Err(error.into()),
            Err(_) | Ok(()) => {}
        }
        self.shared.books.lock().log.flush().context("the log file is incomplete")
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// What all calls of one provider share.
#[derive(Debug)]
struct Shared {
    clock: Clock,
    models: Vec<String>,
    /// Tokens.
    default_max_output: u64,
    seed: u64,
    draws: AtomicU64,
    behaviour: ArcSwap<Behaviour>,
    /// Held for the few microseconds of one verdict or one end, never across an await.
    books: Mutex<Books>,
    bodies: Option<Mutex<Bodies>>,
}

impl Shared {
    fn new(options: Options) -> anyhow::Result<Self> {
        let behaviour = Behaviour::new(&options).map_err(anyhow::Error::msg)?;
        let log = Log::open(options.keep, options.log.as_deref()).context("cannot open the log file")?;
        let rules = Rules {
            limiter: options.limiter,
            window_us: clock::micros(options.window),
            charging: options.charge,
            count_rejected: options.count_rejected,
            keys: options.keys,
            burn: options.burn,
        };
        Ok(Self {
            clock: Clock::start(),
            models: options.models,
            default_max_output: options.default_max_output,
            seed: options.seed,
            draws: AtomicU64::new(0),
            behaviour: ArcSwap::from_pointee(behaviour),
            books: Mutex::new(Books::new(rules, log)),
            bodies: options.record_bodies.then(Mutex::default),
        })
    }

    /// The draws of the next call: they depend on the seed and on how many calls came before, on nothing else.
    fn next_draw(&self) -> fastrand::Rng {
        let call = self.draws.fetch_add(1, Relaxed);
        fastrand::Rng::with_seed(self.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ call)
    }

    fn keep_body(&self, seq: u64, headers: &HeaderMap, body: &Bytes) {
        if let Some(bodies) = &self.bodies {
            bodies.lock().push(seq, headers, body);
        }
    }

    /// The recorded bodies as JSON lines; none unless recording.
    fn bodies(&self) -> String {
        self.bodies.as_ref().map(|bodies| bodies.lock().lines()).unwrap_or_default()
    }

    fn stats(&self) -> Stats {
        let mut books = self.books.lock();
        books.stats(self.clock.now_us())
    }

    fn change(&self, change: Change) -> Result<(), String> {
        self.behaviour.store(Arc::new(self.behaviour.load().with(change)?));
        Ok(())
    }

    /// Forgets charges, counts, log and bodies; numbers and draws go on.
    fn reset(&self) {
        self.books.lock().reset();
        if let Some(bodies) = &self.bodies {
            bodies.lock().clear();
        }
    }
}
