//! A configuration and what is derived from it.

use std::cell::LazyCell;
use std::sync::Arc;
use std::time::Duration;

use ahash::AHashSet;
use anyhow::Context;
use parking_lot::Mutex;

use crate::auth::Keys;
use crate::clock::unix_ms;
use crate::config::{Account, Config, Deployment, DeploymentId, Experiment, Model};
use crate::dialect::failure::{Class, Failure};
use crate::duty::{self, Duty};
use crate::experiment::Trial;
use crate::queue::Queue;
use crate::route;
use crate::route::budget::Budget;
use crate::route::rotation::Rotation;
use crate::standing::Standing;
use crate::state::{Client, Deadlines, PoolInfo, Watch, pools};
use crate::tls;
use crate::upstream::Endpoint;
use crate::upstream::auth::{Outside, Pass};

/// Added to the configured time-outs in what the state is told: scheduling and the way to the wire.
const SLACK: Duration = Duration::from_millis(250);

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
    pub(super) fn watches(&self) -> Vec<Watch> {
        watches(&self.config, &self.pools, &self.standings)
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
    pub(super) fn rebase(&self) {
        for (at, duty) in self.duties.iter().enumerate() {
            duty.rebase(duty::basis(&self.config, DeploymentId(at)));
        }
    }

    /// The accounts by their tags in the state.
    pub(super) fn account_tags(&self) -> Vec<(u64, Arc<str>)> {
        self.config.accounts.iter().map(|account| (account.tag, account.name.as_str().into())).collect()
    }

    /// The longest that a session is remembered after its last call.
    pub fn session_idle(&self) -> Duration {
        let ttls = self.config.models.iter().filter_map(|model| model.affinity.as_ref()).map(|a| a.ttl);
        ttls.max().unwrap_or(Duration::from_secs(60))
    }

    /// The longest that any attempt may take.
    pub fn deadlines(&self) -> Deadlines {
        deadlines(&self.config)
    }
}

/// The longest that any attempt may take; at least a second each, for a configuration without models.
pub(crate) fn deadlines(config: &Config) -> Deadlines {
    let timeouts = || config.models.iter().flat_map(|model| &model.targets).map(|t| t.timeouts);
    let head = timeouts().map(|t| t.connect + t.first_token).max().unwrap_or(Duration::from_secs(1));
    let end = timeouts().map(|t| t.total).max().unwrap_or(Duration::from_secs(1));
    let ms = |time: Duration| (time + SLACK).as_millis() as u64;
    Deadlines { head: ms(head), end: ms(end.max(head)) }
}

/// As [`Snapshot::watches`].
pub(crate) fn watches(config: &Config, pools: &[Arc<PoolInfo>], standings: &[Arc<Standing>]) -> Vec<Watch> {
    let variants = config.experiments.iter().flat_map(|experiment| &experiment.variants);
    let models = config.models.iter().chain(variants.map(|variant| &variant.own));
    let by_prefix = |model: &Model| model.affinity.as_ref().is_some_and(|affinity| affinity.prefix);
    let looking = models.filter(|model| route::looks(model) || by_prefix(model));
    let ids: AHashSet<usize> =
        looking.flat_map(|model| &model.targets).map(|target| target.deployment.0).collect();
    let watch = |(at, standing): (usize, &Arc<Standing>)| {
        standing.set_watched(ids.contains(&at));
        let pools = config.deployments[at].pools.iter().map(|id| pools[id.0].clone());
        standing.watched().map(|of| Watch { of: of.clone(), pools: pools.collect() })
    };
    standings.iter().enumerate().filter_map(watch).collect()
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

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
