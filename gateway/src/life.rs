//! The life of `weir serve`: start, reload, drain, end.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::MissedTickBehavior;
use tracing::Instrument;

use crate::app::{self, Backend, Running};
use crate::config::Config;
use crate::notify;
use crate::reload::{LOOK, Reloader};
use crate::shared::Shared;
use crate::telemetry::{self, Otlp};

/// Exit code when calls had to be cut: they exceeded `drain_timeout`, or a second signal came.
pub const CUT: u8 = 3;

/// Signals to end.
struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Signals> {
        Ok(Signals { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    /// Returns when told to end: whether a balancer has to notice first. Not so at a terminal.
    async fn end(&mut self) -> bool {
        tokio::select! { _ = self.term.recv() => true, _ = self.int.recv() => false }
    }
}

/// Serves by the configuration at `path` until told to end. The exit code says whether calls were cut.
pub async fn serve(path: PathBuf, replica: String) -> anyhow::Result<ExitCode> {
    let (config, sources) = Config::load_from(&path);
    let config = match config {
        Ok(config) => config,
        Err(report) => {
            eprintln!("{report}");
            return Ok(ExitCode::FAILURE);
        }
    };
    let otlp = Otlp::start(&config, &replica)?;
    let _log = telemetry::log::install(otlp.as_deref());
    raise_open_files();
    let (metrics, ended) = match start(config, replica, otlp.clone()).await {
        Ok((signals, hangup, running)) => {
            let metrics = running.shared.metrics.clone();
            let reloader = Reloader::new(path, sources, running.shared.clone());
            (Some(metrics), live_and_drain(signals, keep_up(reloader, hangup), running).await)
        }
        Err(err) => {
            tracing::error!(target: "weir::app", error = format!("{err:#}"), "this replica does not start");
            (None, Err(err))
        }
    };
    // Also of a replica that could not start: why not is what its collector is for.
    if let Some(otlp) = otlp {
        otlp.end(move || metrics.iter().for_each(|metrics| metrics.end())).await;
    }
    ended
}

async fn start(
    config: Config,
    replica: String,
    otlp: Option<Arc<Otlp>>,
) -> anyhow::Result<(Signals, Signal, Running)> {
    let (signals, hangup) = (Signals::new()?, signal(SignalKind::hangup())?);
    let running = app::start(config, replica, Backend::Configured, 0, otlp).await?;
    Ok((signals, hangup, running))
}

async fn live_and_drain(
    mut signals: Signals,
    reloading: impl Future<Output = ()> + Send + 'static,
    running: Running,
) -> anyhow::Result<ExitCode> {
    tracing::info!(target: "weir::app", listen = %running.listen, admin = %running.admin, "serving");
    notify::tell(notify::READY);
    // Apart from the rest of its life: files may be slow, and those of a network may hang.
    let mut reloading = tokio::spawn(reloading);
    let patient = tokio::select! {
        patient = live(&mut signals, &running.shared) => patient,
        ended = &mut reloading => {
            tracing::error!(target: "weir::config", ?ended, "no more reloads: restart this replica");
            live(&mut signals, &running.shared).await
        }
    };
    reloading.abort();
    notify::tell(notify::STOPPING);
    let span = tracing::info_span!(target: "weir::app", "drain");
    drain(&mut signals, running, patient).instrument(span).await
}

/// Until told to end.
async fn live(signals: &mut Signals, shared: &Shared) -> bool {
    let period = notify::watchdog();
    let mut watchdog = tokio::time::interval(period.unwrap_or(Duration::from_secs(3600)));
    loop {
        tokio::select! {
            patient = signals.end() => return patient,
            _ = watchdog.tick(), if period.is_some() => {
                if shared.pulse.beats_within(app::PULSE * 10) {
                    notify::tell(notify::ALIVE);
                }
            }
        }
    }
}

/// Reloads the configuration when a file of it changes, and when told to.
async fn keep_up(mut reloader: Reloader, mut hangup: Signal) {
    let mut look = tokio::time::interval(LOOK);
    // After a pause two looks at once would find every change standing still.
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            told = hangup.recv() => {
                if told.is_none() {
                    return;
                }
                notify::tell(&notify::reloading());
                reloader.reload().await;
                notify::tell(notify::READY);
            }
            _ = look.tick() => reloader.look().await,
        }
    }
}

/// To the end: a second signal cuts what is left of the calls, a third does not wait for anything.
async fn drain(signals: &mut Signals, running: Running, patient: bool) -> anyhow::Result<ExitCode> {
    tracing::info!(target: "weir::app", "draining");
    let delay =
        if patient { running.shared.snapshot.load().config.server.drain_delay } else { Duration::ZERO };
    let hurry = running.hurry();
    let ending = running.shutdown(delay);
    let mut ending = std::pin::pin!(ending);
    for urgent in [false, true] {
        if urgent {
            hurry.now();
        }
        tokio::select! {
            cut = ending.as_mut() => {
                let cut = cut?;
                tracing::info!(target: "weir::app", cut, "ended");
                return Ok(if cut == 0 { ExitCode::SUCCESS } else { ExitCode::from(CUT) });
            }
            _ = signals.end() => {}
        }
    }
    tracing::warn!(target: "weir::app", "told to end three times; what is held stays so until it expires");
    Ok(ExitCode::from(CUT))
}

/// Each call takes two file descriptors, and a shell's usual limit is 1,024; the hard limit is the operator's word.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(err) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        tracing::warn!(target: "weir::app", error = %err, "the number of open files cannot be raised");
    }
}
