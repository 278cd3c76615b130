//! What the workers of one replica share, and what each has of its own.

use std::cell::LazyCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ahash::{AHashMap, AHashSet};
use anyhow::Context;
use arc_swap::ArcSwap;
use http::HeaderValue;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::admit::estimate::Predictor;
use crate::auth::{Credentials, Keys, Who};
use crate::bound::Bound;
use crate::clock::unix_ms;
use crate::config::{Account, Config, Deployment, DeploymentId, Experiment, Model};
use crate::cost::Costs;
use crate::dialect::failure::{Class, Failure};
use crate::duty::{self, Duty};
use crate::error::Error;
use crate::experiment::Trial;
use crate::keys::Keyring;
use crate::pulse::Pulse;
use crate::queue::Queue;
use crate::route;
use crate::route::budget::Budget;
use crate::route::rotation::Rotation;
use crate::standing::Standing;
use crate::state::core::PoolDecl;
use crate::state::{Client, Deadlines, PoolInfo, Port, Watch, pools};
use crate::telemetry::trace::Tracing;
use crate::telemetry::{Metrics, Otlp};
use crate::tls;
use crate::upstream::auth::{Outside, Pass};
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
    /// What authorises the requests of each account, in the order of the file.
    pub passes: Vec<Pass>,
    /// By [`crate::config::DeploymentId`].
    pub endpoints: Vec<Endpoint>,
    /// Who may call.
    pub keys: Keys,
    /// By [`crate::config::DeploymentId`].
    pub standings: Vec<Arc<Standing>>,
    /// By [`crate::config::DeploymentId`]: what operators say of it.
    pub duties: Vec<Arc<Duty>>,
    /// By [`crate::config::ModelId`]; short sections.
    pub rotations: Vec<Mutex<Rotation>>,
    /// How the experiments run, in the order of the file.
    pub trials: Vec<Arc<Trial>>,
    /// Calls that wait for room, by [`crate::config::ModelId`].
    pub queues: Vec<Arc<Queue>>,
    /// What is left to try calls again, by [`crate::config::ModelId`]; short sections.
    pub budgets: Vec<Arc<Mutex<Budget>>>,
    /// What is left of second attempts, by [`crate::config::ModelId`]; short sections.
    pub hedges: Vec<Arc<Mutex<Budget>>>,
    /// Names of the models, by id.
    pub model_names: Vec<Arc<str>>,
    /// What the client listener shows.
    pub tls: Option<Arc<rustls::ServerConfig>>,
}

impl Snapshot {
    /// Of a checked configuration; what it has in common with the one `before` is kept, so that no token is fetched again.
    pub fn new(config: Config, replica: &str, before: Option<&Snapshot>) -> anyhow::Result<Snapshot> {
        let passes = passes(&config, before)?;
        let endpoints = endpoints(&config, &passes)?;
        let name = |model: &Model| {
            let star = if model.wildcard { "*" } else { "" };
            Arc::from(format!("{}{star}", model.name))
        };
        let model_names: Vec<Arc<str>> = config.models.iter().map(name).collect();
        Ok(Snapshot {
            pools: pools::table(&config, unix_ms()),
            queues: of_models(&model_names, before, |before| &before.queues),
            hedges: of_models(&model_names, before, |before| &before.hedges),
            budgets: of_models(&model_names, before, |before| &before.budgets),
            trials: trials(&config, replica, before),
            passes,
            endpoints,
            standings: standings(&config, before),
            duties: duty::of(&config, before.map(|before| &*before.duties)),
            keys: Keys::new(&config),
            rotations: config.models.iter().map(|_| Mutex::default()).collect(),
            model_names,
            tls: config.server.tls.as_ref().map(tls::acceptor).transpose()?,
            config,
        })
    }

    /// The deployments whose behaviour is of interest to how any model is served, with their pools; no other is told of. Where
    /// prompts that begin alike are to meet, that is how many calls are in flight.
    fn watches(&self) -> Vec<Watch> {
        let variants = self.config.experiments.iter().flat_map(|experiment| &experiment.variants);
        let models = self.config.models.iter().chain(variants.map(|variant| &variant.own));
        let by_prefix = |model: &Model| model.affinity.as_ref().is_some_and(|affinity| affinity.prefix);
        let looking = models.filter(|model| route::looks(model) || by_prefix(model));
        let ids: AHashSet<usize> =
            looking.flat_map(|model| &model.targets).map(|target| target.deployment.0).collect();
        let watch = |(at, standing): (usize, &Arc<Standing>)| {
            standing.set_watched(ids.contains(&at));
            let pools = self.config.deployments[at].pools.iter().map(|id| self.pools[id.0].clone());
            standing.watched().map(|of| Watch { of: of.clone(), pools: pools.collect() })
        };
        self.standings.iter().enumerate().filter_map(watch).collect()
    }

    /// If a failure is of the kind, the pools of a deployment that its provider limits rest, for every replica, as long
    /// as the provider says; how long that is. (If the whole account is refused its circuits see to it.)
    pub fn rest(&self, client: &Client, deployment: DeploymentId, failure: &Failure) -> Option<Duration> {
        let deployment = &self.config.deployments[deployment.0];
        let cooldown = deployment.cooldown;
        // Who asks for less may have a lower limit than we think, also if it does not say for how long.
        let (time, refused) = match failure.class {
            Class::RateLimited { retry_after } => (Some(retry_after.unwrap_or(cooldown.default)), true),
            Class::QuotaExhausted { retry_after } => (Some(retry_after.unwrap_or(cooldown.max)), false),
            Class::SlowDown { retry_after } => (retry_after, true),
            Class::Overloaded { retry_after: Some(time) } => (Some(time), false),
            _ => return None,
        };
        let time = time.map(|time| time.min(cooldown.max));
        for pool in deployment.rests.iter().filter(|_| failure.account.is_none()) {
            client.rest(&self.pools[pool.0].decl.key, time.unwrap_or_default(), refused);
        }
        time
    }

    /// The weights of its file are those beside which weights set at run time hold, from now on.
    fn rebase(&self) {
        for (at, duty) in self.duties.iter().enumerate() {
            duty.rebase(duty::basis(&self.config, DeploymentId(at)));
        }
    }

    /// The accounts by their tags in the state.
    fn account_tags(&self) -> Vec<(u64, Arc<str>)> {
        self.config.accounts.iter().map(|account| (account.tag, account.name.as_str().into())).collect()
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

/// What authorises each account's requests: what did so before, if the account is the same, or what its file and the
/// environment say.
fn passes(config: &Config, before: Option<&Snapshot>) -> anyhow::Result<Vec<Pass>> {
    let outside = LazyCell::new(Outside::real);
    let variable = |name: &str| std::env::var(name).ok();
    let kept = |account: &Account| {
        let before = before?;
        let same = |old: &Arc<Account>| old.name == account.name && old.access == account.access;
        before.passes.get(before.config.accounts.iter().position(same)?).cloned()
    };
    let pass = |account: &Arc<Account>| {
        let made = || Pass::of(&account.access, &|| outside.clone(), &variable);
        kept(account).map_or_else(made, Ok).with_context(|| format!("account {}", account.name))
    };
    config.accounts.iter().map(pass).collect()
}

/// How each deployment stands: as before, if it is the same model at the same place.
fn standings(config: &Config, before: Option<&Snapshot>) -> Vec<Arc<Standing>> {
    let kept = |deployment: &Deployment| {
        let before = before?;
        let same = |old: &Deployment| {
            old.name == deployment.name
                && old.model == deployment.model
                && old.account.base_url == deployment.account.base_url
        };
        before.standings.get(before.config.deployments.iter().position(same)?).cloned()
    };
    let new = |deployment: &Deployment| Arc::new(Standing::new(deployment.tag));
    config.deployments.iter().map(|d| kept(d).unwrap_or_else(|| new(d))).collect()
}

/// Experiments go on: with the shares that were set at run time, and what was measured, while they are what they were.
fn trials(config: &Config, replica: &str, before: Option<&Snapshot>) -> Vec<Arc<Trial>> {
    let trial = |experiment: &Experiment| {
        let kept = before.and_then(|before| before.trials.iter().find(|old| old.name == experiment.name));
        Arc::new(Trial::new(experiment, replica, kept.map(|kept| &**kept)))
    };
    config.experiments.iter().map(trial).collect()
}

/// What models keep when the configuration changes: calls that wait go on waiting.
fn of_models<T: Default>(
    models: &[Arc<str>],
    before: Option<&Snapshot>,
    of: impl Fn(&Snapshot) -> &Vec<Arc<T>>,
) -> Vec<Arc<T>> {
    let kept = |name: &Arc<str>| {
        let before = before?;
        of(before).get(before.model_names.iter().position(|old| old == name)?).cloned()
    };
    models.iter().map(|name| kept(name).unwrap_or_default()).collect()
}

fn endpoints(config: &Config, passes: &[Pass]) -> anyhow::Result<Vec<Endpoint>> {
    let endpoint = |deployment: &Deployment| {
        let of = config.accounts.iter().position(|account| Arc::ptr_eq(account, &deployment.account));
        let pass = of.and_then(|index| passes.get(index));
        Endpoint::new(deployment, pass.context("a deployment without an account")?)
    };
    config.deployments.iter().map(endpoint).collect()
}

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

#[cfg(test)]
#[path = "shared_tests.rs"]
mod tests;
