//! What the workers of one replica share, and what each has of its own.

mod snapshot;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ahash::{AHashMap, AHashSet};
use arc_swap::ArcSwap;
use http::HeaderValue;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::admit::estimate::Predictor;
use crate::auth::{Credentials, Who};
use crate::bound::Bound;
use crate::config::Config;
use crate::cost::Costs;
use crate::duty;
use crate::error::Error;
use crate::keys::Keyring;
use crate::pulse::Pulse;
use crate::state::core::PoolDecl;
use crate::state::{Client, PoolInfo, Port};
use crate::telemetry::trace::Tracing;
use crate::telemetry::{Metrics, Otlp};
use crate::upstream::Upstreams;

pub use snapshot::Snapshot;
pub(crate) use snapshot::{deadlines, watches};

/// Under what the predictor files a call: model and tenant.
pub type PredictionKey = (Arc<str>, Arc<str>);

/// What a reload could not do as the file says.
#[derive(Debug, PartialEq, Eq)]
pub struct Changes {
    /// Settings that only a restart changes.
    pub kept: Vec<&'static str>,
    /// Pools whose meters are others than before: nothing is known of what was used of them.
    pub anew: Vec<Arc<str>>,
}

/// Pools that have another key than before: which meters a pool has is a part of its key.
fn begun_anew(before: &[Arc<PoolInfo>], after: &[Arc<PoolInfo>]) -> Vec<Arc<str>> {
    let fixed = |pool: &&Arc<PoolInfo>| !pool.is_budget(); // those of another period are meant to
    let keys: AHashMap<&str, &str> =
        before.iter().filter(fixed).map(|pool| (&*pool.name, &*pool.decl.key)).collect();
    let other = |pool: &&Arc<PoolInfo>| keys.get(&*pool.name).is_some_and(|key| *key != &*pool.decl.key);
    after.iter().filter(other).map(|pool| pool.name.clone()).collect()
}

/// One replica.
#[derive(Debug)]
pub struct Shared {
    /// Replaced on reload.
    pub snapshot: ArcSwap<Snapshot>,
    /// This replica's side of the capacity state.
    pub client: Arc<Client>,
    /// The keys of tenants that were made at run time.
    pub keyring: Arc<Keyring>,
    /// Instruments.
    pub metrics: Arc<Metrics>,
    /// What its attempts cost.
    pub costs: Costs,
    /// The name of nobody's model and of nobody, made once.
    pub nobody: Arc<str>,
    /// What was set of deployments, as it was heard last.
    pub heard: duty::told::Heard,
    /// Its name, as a header.
    pub replica: HeaderValue,
    /// Calls at once.
    pub calls: Arc<Bound>,
    /// Bytes of request bodies at once.
    pub buffered: Arc<Bound>,
    /// Its workers.
    pub pulse: Arc<Pulse>,
    /// What makes the spans of calls, if they are told to a collector.
    pub tracing: Option<Arc<Tracing>>,
    otlp: Option<Arc<Otlp>>,
    /// Told when another snapshot is in force.
    pub adopted: watch::Sender<()>,
    adopting: Mutex<()>,                 // one configuration after the other
    refusal: Mutex<Option<Vec<String>>>, // what is wrong with the file that was read last; short sections
    predictors: Mutex<AHashMap<PredictionKey, Predictor>>, // short sections
    draining: AtomicBool,
}

impl Shared {
    /// A replica of so many workers that serves `snapshot`.
    pub fn new(
        snapshot: Snapshot,
        client: Arc<Client>,
        (metrics, otlp): (Arc<Metrics>, Option<Arc<Otlp>>),
        workers: usize,
    ) -> anyhow::Result<Shared> {
        let server = &snapshot.config.server;
        client.tell_config(&snapshot.config.hash);
        client.watch(snapshot.watches());
        client.watch_accounts(snapshot.account_tags());
        metrics.in_force(true);
        Ok(Shared {
            keyring: Arc::new(Keyring::new(snapshot.config.on_outage)),
            costs: Costs::new(client.name()),
            nobody: "".into(),
            heard: duty::told::Heard::default(),
            replica: HeaderValue::try_from(client.name())?,
            calls: Bound::new(server.max_calls),
            buffered: Bound::new(server.max_buffered),
            pulse: Arc::new(Pulse::new(workers)),
            tracing: otlp.as_ref().and_then(|otlp| otlp.tracing()),
            otlp,
            adopted: watch::Sender::new(()),
            adopting: Mutex::default(),
            refusal: Mutex::default(),
            snapshot: ArcSwap::from_pointee(snapshot),
            client,
            metrics,
            predictors: Mutex::default(),
            draining: AtomicBool::new(false),
        })
    }

    /// How often a collector is told metrics, if it is.
    pub fn metrics_interval(&self) -> Option<Duration> {
        self.otlp.as_ref()?.metrics_interval()
    }

    /// Serves by another configuration from now on; calls in flight keep theirs.
    pub fn adopt(&self, config: Config) -> anyhow::Result<Changes> {
        let _one = self.adopting.lock();
        let changes = self.serve_by(config)?;
        *self.refusal.lock() = None;
        self.metrics.reloaded(true);
        Ok(changes)
    }

    /// Serves by the same configuration in another period: budgets begin anew.
    pub fn renew(&self) -> anyhow::Result<()> {
        let _one = self.adopting.lock();
        let config = self.snapshot.load().config.clone();
        self.serve_by(config).map(|_| ())
    }

    fn serve_by(&self, mut config: Config) -> anyhow::Result<Changes> {
        let before = self.snapshot.load_full();
        let kept = config.keep_fixed(&before.config);
        let after = Snapshot::new(config, self.client.name(), Some(&before))?;
        self.otlp.iter().try_for_each(|otlp| otlp.adopt(&after.config))?;
        let anew = begun_anew(&before.pools, &after.pools);
        let server = &after.config.server;
        self.calls.set(server.max_calls);
        self.buffered.set(server.max_buffered);
        // Before the first call by it: an attempt keeps to what its life allows, whatever the snapshot says.
        let decls: Vec<PoolDecl> = after.pools.iter().map(|pool| pool.decl.clone()).collect();
        self.client.reconfigure(&after.config.hash, &decls, after.deadlines(), after.session_idle());
        self.client.watch(after.watches());
        self.client.watch_accounts(after.account_tags());
        self.keyring.reconfigure(after.config.on_outage);
        let names: AHashSet<Arc<str>> = after.model_names.iter().cloned().collect();
        self.predictors.lock().retain(|(model, _), _| names.contains(model));
        after.rebase();
        self.heard.adopt(&after.duties);
        self.snapshot.store(Arc::new(after));
        self.adopted.send_replace(());
        Ok(Changes { kept, anew })
    }

    /// Whose call it is that comes with these.
    pub async fn who<'s>(
        &self,
        snapshot: &'s Snapshot,
        credentials: Credentials<'_>,
    ) -> Result<Who<'s>, Error> {
        snapshot.keys.who(&snapshot.config, &self.keyring, credentials).await
    }

    /// A configuration was read that cannot be used, for these reasons.
    pub fn refused(&self, reasons: Vec<String>) {
        *self.refusal.lock() = Some(reasons);
        self.metrics.reloaded(false);
    }

    /// What is wrong with the configuration that was read last, if it is not the one in force.
    pub fn refusal(&self) -> Option<Vec<String>> {
        self.refusal.lock().clone()
    }

    /// Learns from an answer of `output` tokens per choice.
    pub fn observe(&self, key: &PredictionKey, output: u64) {
        let mut predictors = self.predictors.lock();
        match predictors.get_mut(key) {
            Some(predictor) => predictor.observe(output),
            None => predictors.entry(key.clone()).or_default().observe(output),
        }
    }

    /// What half of such calls stay within, tokens per choice.
    pub fn expected(&self, key: &PredictionKey) -> Option<u64> {
        self.predictors.lock().get(key).and_then(Predictor::median)
    }

    /// What such calls stay within, tokens per choice.
    pub fn predicted(&self, key: &PredictionKey) -> Option<u64> {
        self.predictors.lock().get(key).and_then(Predictor::p95)
    }

    /// Clients are to go elsewhere from now on.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Is this replica shutting down?
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// May a balancer send calls here? Not before it was tried to hear of limits and of keys.
    pub fn is_ready(&self) -> bool {
        !self.is_draining() && self.client.is_settled() && self.keyring.is_settled()
    }
}

/// Tells the calls of one worker that the grace is over. (The phases' own channel is all workers': each call would count
/// itself in and out of it, from every thread.)
#[derive(Debug, Default)]
pub struct Over {
    said: AtomicBool,
    waiting: Notify,
}

impl Over {
    /// It is.
    pub fn say(&self) {
        self.said.store(true, Ordering::Release);
        self.waiting.notify_waiters();
    }

    /// Returns when it is.
    pub async fn said(&self) {
        let waiting = self.waiting.notified(); // made before the look: nothing is said unheard between them
        if !self.said.load(Ordering::Acquire) {
            waiting.await;
        }
    }
}

/// One thread with its own runtime, connection to the state and connections to providers.
#[derive(Debug)]
pub struct Worker {
    /// Of the replica.
    pub shared: Arc<Shared>,
    /// To the state.
    pub port: Port,
    /// To providers.
    pub upstreams: Upstreams,
    /// When calls must end.
    pub over: Arc<Over>,
}
