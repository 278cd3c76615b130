//! Wiring of one replica: workers, listeners, the state's loop, shutdown.
//!
//! Serving shape: one single-threaded runtime per core, each with its own connection to the state and its own
//! connections to providers, so that a call never changes threads. Measured against work stealing in
//! `tests/bench/RESULTS.md`. Accepting, the state's loop and the admin pages run on the caller's runtime.

mod loops;
mod workers;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::body::Body;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower::ServiceExt;

use self::loops::Loops;
pub use self::workers::PULSE;
use crate::config::{Config, Server};
use crate::http::connection::{Door, Peer};
use crate::http::server::Phase;
use crate::http::{admin, gauges, server, view};
use crate::shared::{Shared, Snapshot};
use crate::state::connect::Servers;
use crate::state::lanes::Lane;
use crate::state::local::Local;
use crate::state::{About, Client, FIRST_CONTACT, Port};
use crate::telemetry::{Metrics, Otlp};

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
    phase: watch::Sender<Phase>,
    workers: Vec<std::thread::JoinHandle<usize>>,
    accepting: JoinHandle<()>,
    for_all: Loops,
    state: Loops,
    pages: Pages,
}

/// Starts a replica on the current runtime. `workers` 0 means one per core; `otlp` is told what it does.
pub async fn start(
    config: Config,
    name: String,
    backend: Backend,
    workers: usize,
    otlp: Option<Arc<Otlp>>,
) -> anyhow::Result<Running> {
    let (server, ports) = (config.server.clone(), Ports::new(backend, &config));
    let count = if workers == 0 { std::thread::available_parallelism()?.get() } else { workers };
    let shared = Arc::new(share(config, name, otlp, count)?);
    let listeners = Listeners::bind(&server).await?;
    let (listen, admin) = (listeners.clients.local_addr()?, listeners.operators.local_addr()?);
    let phase = watch::Sender::new(Phase::Serving);
    let (state, first_heard) = Loops::of_state(&shared, &ports)?;
    let (seats, workers) = workers::start(count, &shared, &ports, &phase).await?;
    // No call before it is known who is drained, or that nobody can say so. (If the loop has ended, this replica ends.)
    let _ = tokio::time::timeout(FIRST_CONTACT, first_heard).await;
    let port = ports.open()?;
    let for_all = Loops::for_all(&shared, &port);
    let accept = server::accept(listeners.clients, seats, server::most_connections().0, phase.subscribe());
    let accepting = tokio::spawn(accept);
    let pages = Pages::serve(&shared, port, listeners.operators, listeners.metrics);
    Ok(Running { listen, admin, shared, phase, workers, accepting, for_all, state, pages })
}

/// What the workers of a replica share.
fn share(config: Config, name: String, otlp: Option<Arc<Otlp>>, workers: usize) -> anyhow::Result<Shared> {
    let expected = config.state.as_ref().map_or(0, |state| state.expected_replicas);
    let snapshot = Snapshot::new(config, &name, None)?;
    let (deadlines, session_idle) = (snapshot.deadlines(), snapshot.session_idle());
    let leases = snapshot.config.state.as_ref().is_some_and(|state| state.leases);
    let client = Client::new(About { name, deadlines, expected, session_idle, leases });
    tell_of_small_pools(&snapshot, expected);
    for caution in snapshot.config.cautions() {
        tracing::warn!(target: "weir::config", caution, "worth a look");
    }
    let metrics = Metrics::with(otlp.as_ref(), snapshot.config.telemetry.tenant_labels)?;
    Shared::new(snapshot, client, (Arc::new(metrics), otlp), workers)
}

/// A limit smaller than the number of replicas leaves nothing to any of them while Redis is away.
fn tell_of_small_pools(snapshot: &Snapshot, replicas: u64) {
    for pool in snapshot.pools.iter().filter(|pool| pool.leaves_nothing_to_each_of(replicas)) {
        tracing::warn!(
            target: "weir::state", pool = %pool.name, replicas,
            "a limit is smaller than the number of replicas: nothing of it can be used while Redis is away"
        );
    }
}

/// Where a replica listens.
struct Listeners {
    clients: TcpListener,
    operators: TcpListener,
    metrics: Option<TcpListener>,
}

impl Listeners {
    async fn bind(server: &Server) -> anyhow::Result<Listeners> {
        let metrics = match server.metrics_listen {
            Some(addr) => Some(bind(addr).await?),
            None => None,
        };
        Ok(Listeners {
            clients: bind(server.listen).await?,
            operators: bind(server.admin_listen).await?,
            metrics,
        })
    }
}

async fn bind(addr: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(addr).await.with_context(|| format!("cannot listen on {addr}"))
}

/// How ports to the state are made.
#[derive(Clone)]
enum Ports {
    Local(Arc<Local>),
    Redis(Arc<Servers>),
}

impl Ports {
    fn new(backend: Backend, config: &Config) -> Ports {
        match (backend, &config.state) {
            (Backend::Shared(local), _) => Ports::Local(local),
            (Backend::Configured, None) => Ports::Local(Arc::default()),
            (Backend::Configured, Some(state)) => Ports::Redis(Servers::new(state.clone())),
        }
    }

    /// A port for the current runtime.
    fn open(&self) -> anyhow::Result<Port> {
        Ok(match self {
            Ports::Local(local) => Port::Local(local.clone()),
            Ports::Redis(servers) => Port::Redis(Lane::start(servers.clone())?),
        })
    }
}

/// What operators and scrapers are shown, and the loops that it is made by.
#[derive(Debug)]
struct Pages {
    phase: watch::Sender<Phase>,
    tasks: Vec<JoinHandle<()>>,
}

impl Pages {
    fn serve(
        shared: &Arc<Shared>,
        port: Port,
        operators: TcpListener,
        metrics: Option<TcpListener>,
    ) -> Pages {
        let phase = watch::Sender::new(Phase::Serving);
        let desk = admin::Desk::new(shared.clone(), port, phase.subscribe());
        let serve = |listener, router| tokio::spawn(serve_admin(listener, router, phase.subscribe()));
        let mut tasks = vec![
            serve(operators, admin::router(desk.clone())),
            tokio::spawn(view::keep(desk.clone(), phase.subscribe())),
        ];
        let tell = |interval| tokio::spawn(gauges::tell(desk.clone(), interval, phase.subscribe()));
        tasks.extend(shared.metrics_interval().map(tell));
        tasks.extend(metrics.map(|listener| serve(listener, admin::metrics_router(desk.clone()))));
        Pages { phase, tasks }
    }
}

async fn serve_admin(listener: TcpListener, router: axum::Router, phase: watch::Receiver<Phase>) {
    let (seat, inbox) = server::seat();
    let accepting = server::accept(listener, vec![seat], server::most_connections().1, phase.clone());
    let handler = move |peer: Peer, request: http::Request<crate::http::Arriving>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        let answering = router.clone().oneshot(request);
        async move { answering.await.unwrap_or_else(|never| match never {}) }
    };
    tokio::join!(accepting, server::serve(inbox, Door::Operators, handler, phase));
}

/// Ends what is left of the calls of a replica that is shutting down.
#[derive(Debug)]
pub struct Hurry(watch::Sender<Phase>);

impl Hurry {
    /// Now.
    pub fn now(&self) {
        self.0.send_replace(Phase::Over);
    }
}

impl Running {
    /// For whoever will not wait for the end of [`Running::shutdown`].
    pub fn hurry(&self) -> Hurry {
        Hurry(self.phase.clone())
    }

    /// Not ready from now on. For `delay`, so that balancers notice, everything is served; then calls in flight finish
    /// within the configured grace, and what they hold is handed back. How many connections were cut at its end.
    pub async fn shutdown(self, delay: Duration) -> anyhow::Result<usize> {
        let Running { shared, phase, workers, accepting, for_all, state, pages, .. } = self;
        shared.drain();
        advance(&phase, Phase::Draining);
        let mut over = phase.subscribe();
        // Over is over, whoever says so.
        let _ = tokio::time::timeout(delay, server::reached(&mut over, Phase::Over)).await;
        advance(&phase, Phase::Closing);
        let grace = shared.snapshot.load().config.server.drain_timeout;
        let mut ended = tokio::task::spawn_blocking(move || workers::join(workers));
        let ended = match tokio::time::timeout(grace, &mut ended).await {
            Ok(ended) => ended,
            Err(_) => {
                tracing::warn!(target: "weir::app", "grace is over; calls are cut");
                advance(&phase, Phase::Over);
                ended.await
            }
        };
        let well = for_all.end().await;
        advance(&pages.phase, Phase::Closing);
        let well = well.and(state.end().await);
        let mut tasks = pages.tasks;
        tasks.push(accepting);
        tokio::select! {
            () = tokio::time::sleep(ADMIN_GRACE) => advance(&pages.phase, Phase::Over),
            () = async { for task in &mut tasks { let _ = task.await; } } => {}
        }
        well?;
        ended?
    }
}

/// Phases only go forward.
fn advance(phase: &watch::Sender<Phase>, so_far: Phase) {
    phase.send_if_modified(|phase| std::mem::replace(phase, so_far.max(*phase)) < so_far);
}
