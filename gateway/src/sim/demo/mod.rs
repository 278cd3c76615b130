//! `weir demo`: the whole of Weir in one process, to look at. Strict fake providers with different limits, prices and
//! speeds, replicas in front of them, clients that call, and a view of how the load spreads. Nothing is installed,
//! nothing leaves the loopback interface.
//!
//! The replicas are real and talk HTTP on both sides; what a cluster shares through Redis, they share through one core
//! in this process. Reading order: `cast` is who plays, `load` the clients, `board` what is seen, `view`, `text`
//! and `terminal` how it is shown, `scrape` reads the gateway's metrics.

mod board;
mod cast;
mod load;
mod scrape;
mod terminal;
mod text;
mod view;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::provider;
use crate::app::{self, Backend, Running};
use crate::shared::Shared;
use crate::state::local::Local;
use board::{Board, Watcher};
use load::Load;
use terminal::Display;
use view::Stage;

/// Gateway processes to play.
const REPLICAS: usize = 3;
/// Where clients connect unless told otherwise, if it is free.
const PORT: u16 = 8080;
/// How far the ports of the replicas' metrics are apart.
const APART: u16 = 100;
/// How long replicas may take to become ready.
const READY: Duration = Duration::from_secs(5);
/// How often the providers' meters are read; they show the last moment, their peaks are ours to see.
const PEEK: Duration = Duration::from_millis(100);

/// Settings of the demo.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct Options {
    /// End after this many seconds; without it Ctrl-C ends.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub seconds: Option<u64>,
    /// Calls per second, the mean of a slow swing of a third up and down.
    #[arg(long, value_name = "CALLS", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub rate: u32,
    /// Port of the first replica on 127.0.0.1; 0 takes a free one. Default: 8080, or a free one if it is taken.
    #[arg(long)]
    pub port: Option<u16>,
    /// Port of the first replica's metrics on 127.0.0.1; the others' are 100 and 200 above. They are those that
    /// deploy/prometheus/targets.yml names: 9464. Default: none.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=65_335))]
    pub metrics: Option<u16>,
    /// No load: only your own calls.
    #[arg(long)]
    pub no_load: bool,
    /// Print lines every two seconds instead of redrawing the terminal.
    #[arg(long)]
    pub plain: bool,
}

/// Plays until the time is over, SIGINT or SIGTERM. True when every provider found its limits kept.
pub async fn run(options: Options) -> anyhow::Result<bool> {
    rustls::crypto::ring::default_provider().install_default().ok(); // a second call keeps the first
    let stopped = stop(options.seconds)?;
    let theatre = Theatre::open(options.port, options.metrics).await?;
    let load = (!options.no_load).then(|| Load::start(theatre.stage.replicas.clone(), options.rate.into()));
    let mut watcher = Watcher::new(REPLICAS, load.as_ref().map(|load| load.tally.clone()));
    let shown = theatre.play(&mut watcher, options.plain, stopped).await;
    if let Some(load) = load {
        load.end().await?;
    }
    let last = theatre.close(&mut watcher).await?;
    let told = shown.and_then(|()| Ok(terminal::write_lines(&view::summary(&last))?));
    match told {
        Err(error) if kind(&error) == Some(io::ErrorKind::BrokenPipe) => {} // whoever read has seen enough
        told => told?,
    }
    Ok(last.limits_held())
}

type Stopped = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Resolves when the demo is to end.
fn stop(seconds: Option<u64>) -> anyhow::Result<Stopped> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let over = async move {
        match seconds {
            Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            None => std::future::pending().await,
        }
    };
    Ok(Box::pin(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {}, () = over => {} }
    }))
}

/// Providers and replicas that run.
struct Theatre {
    providers: Vec<provider::Handle>,
    replicas: Vec<Running>,
    stage: Stage,
}

impl Theatre {
    async fn open(port: Option<u16>, metrics: Option<u16>) -> anyhow::Result<Theatre> {
        let mut providers = Vec::with_capacity(cast::PARTS.len());
        for (part, seed) in cast::PARTS.iter().zip(1..) {
            providers.push(provider::start(part.options(seed)).await?);
        }
        let addrs: Vec<SocketAddr> = providers.iter().map(provider::Handle::addr).collect();
        let core: Arc<Local> = Arc::default();
        let mut replicas = vec![first_replica(port, metrics, &addrs, &core).await?];
        for number in 2..=REPLICAS {
            let metrics = metrics.map(|first| first + APART * (number as u16 - 1));
            replicas.push(replica(number, (0, metrics), &addrs, &core).await?);
        }
        tokio::time::timeout(READY, ready(&replicas)).await.context("the replicas did not become ready")?;
        let admin = replicas[0].admin;
        let stage = Stage { replicas: replicas.iter().map(|replica| replica.listen).collect(), admin };
        Ok(Theatre { providers, replicas, stage })
    }

    /// Shows what happens until told to stop.
    async fn play(&self, watcher: &mut Watcher, plain: bool, mut stopped: Stopped) -> anyhow::Result<()> {
        let display = Display::open(plain, &self.stage)?;
        let shared = self.shared();
        let mut next = Instant::now();
        if !display.in_place {
            next += display.every; // a first block of zeros would say nothing
        }
        let mut peek = interval(PEEK);
        peek.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                _ = peek.tick() => {}
                () = &mut stopped => break,
            }
            if Instant::now() < next {
                watcher.peek(&self.providers);
                continue;
            }
            next = Instant::now() + display.every;
            if !display.show(watcher.look(&self.providers, &shared)?) {
                break;
            }
        }
        display.close().await
    }

    /// Ends everything and looks a last time when nothing moves any more.
    async fn close(self, watcher: &mut Watcher) -> anyhow::Result<Board> {
        let shared = self.shared();
        for replica in self.replicas {
            replica.shutdown(Duration::ZERO).await?;
        }
        let last = watcher.look(&self.providers, &shared)?;
        for provider in self.providers {
            provider.shutdown().await?;
        }
        Ok(last)
    }

    fn shared(&self) -> Vec<Arc<Shared>> {
        self.replicas.iter().map(|replica| replica.shared.clone()).collect()
    }
}

/// The replica that everybody is told about: at a port that stays the same from demo to demo, if it can.
async fn first_replica(
    port: Option<u16>,
    metrics: Option<u16>,
    providers: &[SocketAddr],
    core: &Arc<Local>,
) -> anyhow::Result<Running> {
    match (replica(1, (port.unwrap_or(PORT), metrics), providers, core).await, port) {
        (Err(error), None) if kind(&error) == Some(io::ErrorKind::AddrInUse) => {
            replica(1, (0, metrics), providers, core).await
        }
        (started, _) => started,
    }
}

fn kind(error: &anyhow::Error) -> Option<io::ErrorKind> {
    error.downcast_ref::<io::Error>().map(io::Error::kind)
}

async fn replica(
    number: usize,
    (port, metrics): (u16, Option<u16>),
    providers: &[SocketAddr],
    core: &Arc<Local>,
) -> anyhow::Result<Running> {
    let config = cast::config(port, metrics, providers)?;
    app::start(config, format!("weir-{number}"), Backend::Shared(core.clone()), 1, None).await
}

async fn ready(replicas: &[Running]) {
    let mut look = interval(Duration::from_millis(5));
    while !replicas.iter().all(|replica| replica.shared.is_ready()) {
        look.tick().await;
    }
}
