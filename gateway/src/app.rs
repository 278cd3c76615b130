//! Wiring of one replica: workers, listeners, the state's loop, shutdown.
//!
//! Serving shape: one single-threaded runtime per core, each with its own connection to the state and its own
//! connections to providers, so that a call never changes threads. Measured against work stealing in
//! `tests/bench/RESULTS.md`. Accepting, the state's loop and the admin pages run on the caller's runtime.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use axum::body::Body;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tower::ServiceExt;

use crate::config::{Config, OnOutage};
use crate::http::{admin, handle, server};
use crate::shared::{Shared, Snapshot, Worker};
use crate::state::connect::Servers;
use crate::state::lanes::Lane;
use crate::state::local::Local;
use crate::state::{About, Client, Port};
use crate::telemetry::Metrics;
use crate::upstream::Upstreams;

/// How long a start waits for the shared state before it serves without.
const FIRST_CONTACT: Duration = Duration::from_secs(1);
/// How long closing the admin pages may take.
const ADMIN_GRACE: Duration = Duration::from_secs(1);

/// Which state a replica works on.
#[derive(Clone, Debug)]
pub enum Backend {
    /// What the configuration says.
    Configured,
    /// A core that other replicas in this process share.
    Shared(Arc<Local>),
}

/// A replica that serves.
#[derive(Debug)]
pub struct Running {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where operators connect.
    pub admin: SocketAddr,
    /// What its workers share.
    pub shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    stop_state: watch::Sender<bool>,
    workers: Vec<JoinHandle<()>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    keeper: tokio::task::JoinHandle<()>,
}

/// Starts a replica on the current runtime. `workers` 0 means one per core.
pub async fn start(
    config: Config,
    name: String,
    backend: Backend,
    workers: usize,
) -> anyhow::Result<Running> {
    let server = config.server.clone();
    let state = config.state.clone();
    let snapshot = Snapshot::new(config)?;
    let expected = state.as_ref().map_or(0, |state| state.expected_replicas);
    let (deadlines, session_idle) = (snapshot.deadlines(), snapshot.session_idle());
    let client = Client::new(About { name, deadlines, expected, session_idle });
    tell_of_small_pools(&snapshot, expected);
    let shared = Arc::new(Shared::new(snapshot, client.clone(), Arc::new(Metrics::new()?))?);
    let ports = match (backend, state) {
        (Backend::Shared(local), _) => Ports::Local(local),
        (Backend::Configured, None) => Ports::Local(Arc::default()),
        (Backend::Configured, Some(state)) => Ports::Redis(Servers::new(state)),
    };
    let listener = bind(server.listen).await?;
    let admin_listener = bind(server.admin_listen).await?;
    let metrics_listener = match server.metrics_listen {
        Some(addr) => Some(bind(addr).await?),
        None => None,
    };
    let (listen, admin) = (listener.local_addr()?, admin_listener.local_addr()?);

    let (stop, stopping) = watch::channel(false);
    // The admin pages and the state's loop stay until the last call has ended.
    let (stop_state, state_stopping) = watch::channel(false);
    let admin_stopping = state_stopping.clone();
    let port = ports.open()?;
    let keeper = tokio::spawn(async move {
        port.opened(FIRST_CONTACT).await;
        client.keep(port, state_stopping).await;
    });
    let desk = Arc::new(admin::Desk { shared: shared.clone(), port: ports.open()? });
    let count = if workers == 0 { std::thread::available_parallelism()?.get() } else { workers };
    let mut seats = Vec::with_capacity(count);
    let mut threads = Vec::with_capacity(count);
    let mut starting = Vec::with_capacity(count);
    for index in 0..count {
        let (seat, inbox) = server::seat();
        seats.push(seat);
        let (shared, ports, stop) = (shared.clone(), ports.clone(), stopping.clone());
        let (started, ready) = oneshot::channel();
        starting.push(ready);
        threads.push(spawn_worker(index, shared, ports, inbox, stop, server.drain_timeout, started)?);
    }
    for ready in starting {
        ready.await.context("a worker did not start")?;
    }
    let mut tasks = vec![
        tokio::spawn(server::accept(listener, seats, stopping.clone())),
        tokio::spawn(serve_admin(admin_listener, admin::router(desk.clone()), admin_stopping.clone())),
    ];
    if let Some(listener) = metrics_listener {
        tasks.push(tokio::spawn(serve_admin(listener, admin::metrics_router(desk), admin_stopping)));
    }
    Ok(Running { listen, admin, shared, stop, stop_state, workers: threads, tasks, keeper })
}

impl Running {
    /// Not ready from now on; calls in flight finish within the configured grace, what they hold is handed back.
    pub async fn shutdown(self) -> anyhow::Result<()> {
        self.shared.drain();
        self.stop.send_replace(true);
        let workers = self.workers;
        let joined = tokio::task::spawn_blocking(move || {
            workers.into_iter().map(JoinHandle::join).all(|worker| worker.is_ok())
        });
        let sound = joined.await?;
        self.stop_state.send_replace(true);
        for task in self.tasks {
            task.await?;
        }
        self.keeper.await?;
        anyhow::ensure!(sound, "a worker panicked");
        Ok(())
    }
}

/// How ports to the state are made.
#[derive(Clone)]
enum Ports {
    Local(Arc<Local>),
    Redis(Arc<Servers>),
}

impl Ports {
    /// A port for the current runtime.
    fn open(&self) -> anyhow::Result<Port> {
        Ok(match self {
            Ports::Local(local) => Port::Local(local.clone()),
            Ports::Redis(servers) => Port::Redis(Lane::start(servers.clone())?),
        })
    }
}

/// A limit smaller than the number of replicas leaves nothing to any of them while Redis is away.
fn tell_of_small_pools(snapshot: &Snapshot, replicas: u64) {
    let shared = snapshot.pools.iter().filter(|pool| pool.on_outage == OnOutage::Share);
    for pool in shared.filter(|pool| pool.decl.meters.iter().any(|meter| meter.cap < replicas)) {
        tracing::warn!(
            target: "weir::state", pool = %pool.name, replicas,
            "a limit is smaller than the number of replicas: nothing of it can be used while Redis is away"
        );
    }
}

async fn bind(addr: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(addr).await.with_context(|| format!("cannot listen on {addr}"))
}

fn spawn_worker(
    index: usize,
    shared: Arc<Shared>,
    ports: Ports,
    inbox: server::Inbox,
    stop: watch::Receiver<bool>,
    grace: Duration,
    started: oneshot::Sender<()>,
) -> anyhow::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let work = async move {
        match ports.open() {
            Ok(port) => {
                port.opened(FIRST_CONTACT).await;
                // Nobody waits any more if the start was given up.
                let _ = started.send(());
                let worker = Arc::new(Worker { shared, port, upstreams: Upstreams::default() });
                let handler = move |request| handle(worker.clone(), request);
                server::serve(inbox, handler, stop, grace).await;
            }
            Err(err) => tracing::error!(target: "weir::app", error = %err, "worker cannot start"),
        }
    };
    let name = format!("worker-{index}");
    Ok(std::thread::Builder::new().name(name).spawn(move || runtime.block_on(work))?)
}

async fn serve_admin(listener: TcpListener, router: axum::Router, stop: watch::Receiver<bool>) {
    let (seat, inbox) = server::seat();
    let accepting = server::accept(listener, vec![seat], stop.clone());
    let handler = move |request: http::Request<hyper::body::Incoming>| {
        let answering = router.clone().oneshot(request.map(Body::new));
        async move { answering.await.unwrap_or_else(|never| match never {}) }
    };
    tokio::join!(accepting, server::serve(inbox, handler, stop, ADMIN_GRACE));
}
