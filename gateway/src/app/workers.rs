//! The threads that serve calls: each with a runtime, a way to the state and connections to providers of its own.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::{oneshot, watch};

use super::Ports;
use crate::http::connection::Door;
use crate::http::handle;
use crate::http::server::{self, Phase};
use crate::shared::{Over, Shared, Worker};
use crate::state::FIRST_CONTACT;
use crate::upstream::Upstreams;

/// How often a worker shows that it runs.
pub const PULSE: Duration = Duration::from_secs(1);

/// Starts so many; returns when each of them can serve.
pub(super) async fn start(
    count: usize,
    shared: &Arc<Shared>,
    ports: &Ports,
    phase: &watch::Sender<Phase>,
) -> anyhow::Result<(Vec<server::Seat>, Vec<JoinHandle<usize>>)> {
    let (mut seats, mut threads, mut starting) = (Vec::new(), Vec::new(), Vec::new());
    for index in 0..count {
        let (seat, inbox) = server::seat();
        seats.push(seat);
        let (started, ready) = oneshot::channel();
        starting.push(ready);
        let (shared, ports, phase) = (shared.clone(), ports.clone(), phase.subscribe());
        threads.push(spawn(index, shared, ports, inbox, phase, started)?);
    }
    for ready in starting {
        ready.await.context("a worker did not start")?;
    }
    Ok((seats, threads))
}

fn spawn(
    index: usize,
    shared: Arc<Shared>,
    ports: Ports,
    inbox: server::Inbox,
    phase: watch::Receiver<Phase>,
    started: oneshot::Sender<()>,
) -> anyhow::Result<JoinHandle<usize>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let work = async move {
        let port = match ports.open() {
            Ok(port) => port,
            Err(err) => {
                tracing::error!(target: "weir::app", error = %err, "worker cannot start");
                return 0;
            }
        };
        port.opened(FIRST_CONTACT).await;
        // Nobody waits any more if the start was given up.
        let _ = started.send(());
        tokio::spawn(beat(shared.clone(), index));
        let over = Arc::<Over>::default();
        tokio::spawn(say_over(over.clone(), phase.clone()));
        let upstreams = Upstreams::default();
        let worker = Arc::new(Worker { shared: shared.clone(), port, upstreams, over });
        let handler = move |peer, request| handle(worker.clone(), peer, request);
        server::serve(inbox, Door::Clients(shared), handler, phase).await
    };
    let name = format!("worker-{index}");
    Ok(std::thread::Builder::new().name(name).spawn(move || runtime.block_on(work))?)
}

async fn say_over(over: Arc<Over>, mut phase: watch::Receiver<Phase>) {
    server::reached(&mut phase, Phase::Over).await;
    over.say();
}

async fn beat(shared: Arc<Shared>, worker: usize) {
    loop {
        shared.pulse.beat(worker);
        tokio::time::sleep(PULSE).await;
    }
}

/// Waits for their end. How many connections they have cut.
pub(super) fn join(workers: Vec<JoinHandle<usize>>) -> anyhow::Result<usize> {
    let cut: Result<Vec<usize>, _> = workers.into_iter().map(JoinHandle::join).collect();
    cut.map(|cut| cut.iter().sum()).map_err(|_| anyhow::anyhow!("a worker panicked"))
}
