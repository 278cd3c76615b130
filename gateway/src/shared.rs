//! What the workers of one replica share, and what each has of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ahash::AHashMap;
use arc_swap::ArcSwap;
use http::HeaderValue;
use parking_lot::Mutex;

use crate::admit::estimate::Predictor;
use crate::auth::Keys;
use crate::config::Config;
use crate::route::rotation::Rotation;
use crate::state::{Client, Deadlines, PoolInfo, Port, pools};
use crate::telemetry::Metrics;
use crate::upstream::{Endpoint, Upstreams};

/// Added to the configured time-outs in what the state is told: scheduling and the way to the wire.
const SLACK: Duration = Duration::from_millis(250);

/// Under what the predictor files a call: model and tenant.
pub type PredictionKey = (Arc<str>, Arc<str>);

/// A configuration with everything that is derived from it. A call takes one and keeps it to its end.
#[derive(Debug)]
pub struct Snapshot {
    /// As checked.
    pub config: Config,
    /// By [`crate::config::PoolId`].
    pub pools: Vec<Arc<PoolInfo>>,
    /// By [`crate::config::DeploymentId`].
    pub endpoints: Vec<Endpoint>,
    /// Who may call.
    pub keys: Keys,
    /// By [`crate::config::ModelId`]; short sections.
    pub rotations: Vec<Mutex<Rotation>>,
    /// Names of the models, by id.
    pub model_names: Vec<Arc<str>>,
}

impl Snapshot {
    /// Of a checked configuration.
    pub fn new(config: Config) -> anyhow::Result<Snapshot> {
        let endpoints = config.deployments.iter().map(Endpoint::new).collect::<anyhow::Result<_>>()?;
        let name = |model: &crate::config::Model| {
            let star = if model.wildcard { "*" } else { "" };
            Arc::from(format!("{}{star}", model.name))
        };
        Ok(Snapshot {
            pools: pools::table(&config),
            endpoints,
            keys: Keys::new(&config),
            rotations: config.models.iter().map(|_| Mutex::default()).collect(),
            model_names: config.models.iter().map(name).collect(),
            config,
        })
    }

    /// The longest that a session is remembered after its last call.
    pub fn session_idle(&self) -> Duration {
        let ttls = self.config.models.iter().filter_map(|model| model.affinity.as_ref()).map(|a| a.ttl);
        ttls.max().unwrap_or(Duration::from_secs(60))
    }

    /// The longest that any attempt may take; at least a second each, for a configuration without models.
    pub fn deadlines(&self) -> Deadlines {
        let timeouts = || self.config.models.iter().flat_map(|model| &model.targets).map(|t| t.timeouts);
        let head = timeouts().map(|t| t.connect + t.first_token).max().unwrap_or(Duration::from_secs(1));
        let end = timeouts().map(|t| t.total).max().unwrap_or(Duration::from_secs(1));
        let ms = |time: Duration| (time + SLACK).as_millis() as u64;
        Deadlines { head: ms(head), end: ms(end.max(head)) }
    }
}

/// One replica.
#[derive(Debug)]
pub struct Shared {
    /// Replaced on reload.
    pub snapshot: ArcSwap<Snapshot>,
    /// This replica's side of the capacity state.
    pub client: Arc<Client>,
    /// Instruments.
    pub metrics: Arc<Metrics>,
    /// Its name, as a header.
    pub replica: HeaderValue,
    predictors: Mutex<AHashMap<PredictionKey, Predictor>>, // short sections
    draining: AtomicBool,
}

impl Shared {
    /// A replica that serves `snapshot`.
    pub fn new(snapshot: Snapshot, client: Arc<Client>, metrics: Arc<Metrics>) -> anyhow::Result<Shared> {
        Ok(Shared {
            replica: HeaderValue::try_from(client.name())?,
            snapshot: ArcSwap::from_pointee(snapshot),
            client,
            metrics,
            predictors: Mutex::default(),
            draining: AtomicBool::new(false),
        })
    }

    /// Learns from an answer of `output` tokens per choice.
    pub fn observe(&self, key: &PredictionKey, output: u64) {
        let mut predictors = self.predictors.lock();
        match predictors.get_mut(key) {
            Some(predictor) => predictor.observe(output),
            None => predictors.entry(key.clone()).or_default().observe(output),
        }
    }

    /// What such calls stay within, tokens per choice.
    pub fn predicted(&self, key: &PredictionKey) -> Option<u64> {
        self.predictors.lock().get(key).and_then(Predictor::p95)
    }

    /// No new calls from now on.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Is this replica shutting down?
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// May a balancer send calls here?
    pub fn is_ready(&self) -> bool {
        !self.is_draining() && self.client.is_settled()
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
}
