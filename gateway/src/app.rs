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
use crate::cost;
use crate::experiment::told::Teller;
use crate::http::connection::{Door, Peer};
use crate::http::server::Phase;
use crate::http::{admin, gauges, handle, server, view};
use crate::keys::heard::Hearer;
use crate::periods;
use crate::shared::{Over, Shared, Snapshot, Worker};
use crate::state::connect::Servers;
use crate::state::lanes::Lane;
use crate::state::local::Local;
use crate::state::{About, Client, Port};
use crate::telemetry::{Metrics, Otlp};
use crate::upstream::Upstreams;
use crate::{alerts, checks};

/// How long a start waits for the shared state before it serves without.
const FIRST_CONTACT: Duration = Duration::from_secs(1);
/// How long closing the admin pages may take.
const ADMIN_GRACE: Duration = Duration::from_secs(1);
/// How often a worker shows that it runs.
pub const PULSE: Duration = Duration::from_secs(1);

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
    admin_phase: watch::Sender<Phase>,
    stop_checks: watch::Sender<bool>,
    checks: Vec<tokio::task::JoinHandle<()>>,
    stop_state: watch::Sender<bool>,
    workers: Vec<JoinHandle<usize>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    state_tasks: Vec<tokio::task::JoinHandle<()>>,
}

/// Starts a replica on the current runtime. `workers` 0 means one per core; `otlp` is told what it does.
pub async fn start(
    config: Config,
    name: String,
    backend: Backend,
    workers: usize,
    otlp: Option<Arc<Otlp>>,
) -> anyhow::Result<Running> {
    let server = config.server.clone();
    let state = config.state.clone();
    let snapshot = Snapshot::new(config, &name, None)?;
    let expected = state.as_ref().map_or(0, |state| state.expected_replicas);
    let (deadlines, session_idle) = (snapshot.deadlines(), snapshot.session_idle());
    let client = Client::new(About { name, deadlines, expected, session_idle });
    tell_of_small_pools(&snapshot, expected);
    for caution in snapshot.config.cautions() {
        tracing::warn!(target: "weir::config", caution, "worth a look");
    }
    let count = if workers == 0 { std::thread::available_parallelism()?.get() } else { workers };
    let metrics = Metrics::with(otlp.as_ref(), snapshot.config.telemetry.tenant_labels)?;
    let metrics_interval = otlp.as_ref().and_then(|otlp| otlp.metrics_interval());
    let shared = Arc::new(Shared::new(snapshot, client.clone(), (Arc::new(metrics), otlp), count)?);
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

    let (phase, admin_phase) = (watch::Sender::new(Phase::Serving), watch::Sender::new(Phase::Serving));
    // The admin pages and the state's loops stay until the last call has ended.
    let (stop_state, state_stopping) = watch::channel(false);
    let (port, announcing) = (ports.open()?, client.clone().announce(ports.open()?, state_stopping.clone()));
    let keeping = async move {
        port.opened(FIRST_CONTACT).await;
        client.keep(port, state_stopping).await;
    };
    // (What no call waits for has one connection.)
    let aside = ports.open()?;
    let (heard, first_heard) = oneshot::channel();
    let telling = Teller::new(shared.clone(), aside.clone()).run(stop_state.subscribe(), heard);
    let costs = cost::told::Teller::new(shared.clone(), aside.clone()).run(stop_state.subscribe());
    let hearing = Hearer::new(shared.clone(), aside).run(stop_state.subscribe());
    let periods = periods::keep(shared.clone(), stop_state.subscribe());
    let mut state_tasks = vec![tokio::spawn(keeping), tokio::spawn(announcing)];
    state_tasks.extend([
        tokio::spawn(telling),
        tokio::spawn(costs),
        tokio::spawn(hearing),
        tokio::spawn(periods),
    ]);
    let (seats, threads) = start_workers(count, &shared, &ports, &phase).await?;
    // No call before it is known who is drained, or that nobody can say so. (If the loop has ended, this replica ends.)
    let _ = tokio::time::timeout(FIRST_CONTACT, first_heard).await;
    let port = ports.open()?;
    let desk = admin::Desk::new(shared.clone(), port.clone(), admin_phase.subscribe());
    let (stop_checks, checks_stopping) = watch::channel(false);
    let (upstreams, over) = (Upstreams::default(), Arc::default());
    let checking = Arc::new(Worker { shared: shared.clone(), port: port.clone(), upstreams, over });
    let alerting = alerts::keep(shared.clone(), port, checks_stopping.clone());
    let checks = vec![tokio::spawn(checks::keep(checking, checks_stopping)), tokio::spawn(alerting)];
    let serve_admin = |listener, router| tokio::spawn(serve_admin(listener, router, admin_phase.subscribe()));
    let mut tasks = vec![
        tokio::spawn(server::accept(listener, seats, server::most_connections(), phase.subscribe())),
        serve_admin(admin_listener, admin::router(desk.clone())),
        tokio::spawn(view::keep(desk.clone(), admin_phase.subscribe())),
    ];
    tasks.extend(
        metrics_interval
            .map(|interval| tokio::spawn(gauges::tell(desk.clone(), interval, admin_phase.subscribe()))),
    );
    tasks.extend(metrics_listener.map(|listener| serve_admin(listener, admin::metrics_router(desk))));
    Ok(Running {
        listen,
        admin,
        shared,
        phase,
        admin_phase,
        stop_checks,
        checks,
        stop_state,
        workers: threads,
        tasks,
        state_tasks,
    })
}

async fn start_workers(
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
        threads.push(spawn_worker(index, shared, ports, inbox, phase, started)?);
    }
    for ready in starting {
        ready.await.context("a worker did not start")?;
    }
    Ok((seats, threads))
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
        self.shared.drain();
        advance(&self.phase, Phase::Draining);
        let mut phase = self.phase.subscribe();
        // Over is over, whoever says so.
        let _ = tokio::time::timeout(delay, server::reached(&mut phase, Phase::Over)).await;
        advance(&self.phase, Phase::Closing);
        let grace = self.shared.snapshot.load().config.server.drain_timeout;
        let mut ended = tokio::task::spawn_blocking(move || join(self.workers));
        let ended = match tokio::time::timeout(grace, &mut ended).await {
            Ok(ended) => ended,
            Err(_) => {
                tracing::warn!(target: "weir::app", "grace is over; calls are cut");
                advance(&self.phase, Phase::Over);
                ended.await
            }
        };
        // Until it leaves others take it for who checks, and tells.
        self.stop_checks.send_replace(true);
        // One that has panicked keeps the others from nothing: the state is left all the same.
        let mut well = Ok(());
        for task in self.checks {
            well = well.and(task.await);
        }
        advance(&self.admin_phase, Phase::Closing);
        self.stop_state.send_replace(true);
        for task in self.state_tasks {
            well = well.and(task.await);
        }
        let pages = tokio::time::sleep(ADMIN_GRACE);
        let mut tasks = self.tasks;
        tokio::select! {
            () = pages => advance(&self.admin_phase, Phase::Over),
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

/// How many connections the workers have cut.
fn join(workers: Vec<JoinHandle<usize>>) -> anyhow::Result<usize> {
    let cut: Result<Vec<usize>, _> = workers.into_iter().map(JoinHandle::join).collect();
    cut.map(|cut| cut.iter().sum()).map_err(|_| anyhow::anyhow!("a worker panicked"))
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

async fn serve_admin(listener: TcpListener, router: axum::Router, phase: watch::Receiver<Phase>) {
    let (seat, inbox) = server::seat();
    let accepting = server::accept(listener, vec![seat], server::most_connections(), phase.clone());
    let handler = move |peer: Peer, request: http::Request<crate::http::Arriving>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        let answering = router.clone().oneshot(request);
        async move { answering.await.unwrap_or_else(|never| match never {}) }
    };
    tokio::join!(accepting, server::serve(inbox, Door::Operators, handler, phase));
}
