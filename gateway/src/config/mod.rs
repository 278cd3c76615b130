//! The configuration: `raw` is the file as written, [`check`] links and validates it, and what passes is a
//! [`Config`] in which every name is an index and every default is filled. Only a `Config` passes `main`.

mod access;
#[cfg(test)]
mod account_tests;
mod affinity;
mod alerts;
pub(crate) mod cautions;
pub mod check;
mod expand;
mod experiment;
mod fixed;
mod form;
mod health;
mod hedge;
mod hours;
#[cfg(test)]
mod level_tests;
mod manual;
mod mask;
mod period;
mod pool;
pub mod preset;
mod price;
mod prices;
#[cfg(test)]
mod production_tests;
mod quality;
mod queue;
mod ranking;
mod raw;
mod regions;
pub mod report;
mod retry;
mod rule;
pub mod schema;
#[cfg(test)]
mod schema_tests;
mod secrets;
mod share;
pub mod sources;
mod state;
mod suggest;
pub mod telemetry;
#[cfg(test)]
mod tests;
mod tree;
mod units;
mod unset;
mod words;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use crate::dialect::ability::Abilities;
pub use access::{Access, AwsCredentials, EntraApp, EntraCredentials, GoogleCredentials, Secret};
pub use affinity::Affinity;
pub use alerts::{Alerts, Webhook};
pub use experiment::{By, Experiment, Variant};
pub use health::{CheckKind, HealthCheck};
pub use hedge::{After, Hedge};
pub use hours::Hours;
pub use period::Period;
pub use pool::{Charge, Counted, MeterKind, MeterSpec, PoolSpec, ReservePolicy, Side, SlowStart};
use preset::{Call, FillError, Preset};
pub use price::{Factors, Listed, Price, Pricing, Rates};
pub use prices::{LONGEST as LONGEST_PRICES, Prices, Row};
pub use quality::Quality;
pub use queue::{Priority, Queue};
pub use ranking::{Latency, Measure, Ranking, Statistic, Strategy};
pub use regions::Regions;
pub use report::{Problem, Report};
pub use retry::{Retry, Tier, Timeouts};
pub use rule::{Complexity, Prompt, Rule, Wants, When};
pub use sources::{Sources, Watch};
pub use state::{Endpoint, Identity, Login, OnOutage, Sentinel, StateConfig, Tls, Topology};
pub use telemetry::Telemetry;

/// Index of a pool in [`Config::pools`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PoolId(pub usize);
/// Index of a deployment in [`Config::deployments`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeploymentId(pub usize);
/// Index of a model in [`Config::models`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelId(pub usize);

/// A checked configuration: linked, defaults filled, secrets wrapped.
#[derive(Clone, Debug)]
pub struct Config {
    /// SHA-256 (first 16 hex digits) of the file's text before `${}` expansion, so that no secret enters it.
    pub hash: String,
    /// Listeners and bounds.
    pub server: Server,
    /// Shared state; `None` means embedded in this process.
    pub state: Option<StateConfig>,
    /// What becomes of limits that do not say while the shared state is away.
    pub on_outage: OnOutage,
    /// Every pool of the file: gateway, accounts, account models, deployments, tenants.
    pub pools: Vec<PoolSpec>,
    /// The pool of the whole gateway (`[limits]`).
    pub gateway_pool: Option<PoolId>,
    /// In file order.
    pub accounts: Vec<Arc<Account>>,
    /// In file order.
    pub deployments: Vec<Deployment>,
    /// In file order; see [`Config::find_model`].
    pub models: Vec<Model>,
    /// In file order, which is that in which they are asked.
    pub rules: Vec<Rule>,
    /// In file order; at most one of each model.
    pub experiments: Vec<Experiment>,
    /// Names that may be asked for though no model has them: rules say which model serves them. Without those that end in `*`.
    pub rule_names: Vec<String>,
    /// Every tag that some deployment has.
    pub deployment_tags: Vec<Arc<str>>,
    /// In file order.
    pub tenants: Vec<Tenant>,
    /// What deployments cost that do not say it themselves.
    pub prices: Arc<Prices>,
    /// Who is told when something needs a person.
    pub alerts: Alerts,
    /// Where traces, metrics and logs go.
    pub telemetry: Telemetry,
}

/// `[server]`.
#[derive(Clone, Debug)]
pub struct Server {
    /// Client listener.
    pub listen: SocketAddr,
    /// Admin listener.
    pub admin_listen: SocketAddr,
    /// Listener for `/metrics` alone.
    pub metrics_listen: Option<SocketAddr>,
    /// Bearer token of the admin listener.
    pub admin_token: Option<SecretString>,
    /// Calls without a key are served on any listener when no tenants are configured.
    pub anonymous: bool,
    /// Largest request body, bytes.
    pub max_body: usize,
    /// Calls at once, each from its head to the end of its answer.
    pub max_calls: usize,
    /// Bytes of request bodies held at once.
    pub max_buffered: usize,
    /// How long an answer may wait for its client to read on.
    pub unread_timeout: Duration,
    /// After so much silence the client of a stream gets a comment; `None`: never.
    pub stream_keepalive: Option<Duration>,
    /// How long it is remembered which account keeps a response or a conversation.
    pub remember_responses: Duration,
    /// How long new connections are still served after SIGTERM.
    pub drain_delay: Duration,
    /// How long open calls may take to finish after that.
    pub drain_timeout: Duration,
    /// What the client listener shows; `None`: no TLS.
    pub tls: Option<Identity>,
    /// Every connection of the client listener begins with a PROXY protocol header.
    pub proxy_protocol: bool,
    /// Where this cluster runs.
    pub region: Option<String>,
}

/// `[[accounts]]`: one set of credentials at one endpoint.
#[derive(Clone, Debug)]
pub struct Account {
    /// Unique.
    pub name: String,
    /// Names it, together with what its calls show, in shared state: an even number below 2^53, another one with another key.
    pub tag: u64,
    /// What is known of its provider.
    pub preset: Arc<Preset>,
    /// Scheme, authority and path prefix, without a trailing slash; but the path of a bare host is `/`.
    pub base_url: http::Uri,
    /// What stands for the placeholders of its addresses, besides `model` and `id`.
    pub values: BTreeMap<String, String>,
    /// Where it is.
    pub region: Option<String>,
    /// What its calls show.
    pub access: Access,
    /// Extra headers of every upstream request.
    pub headers: Vec<(http::HeaderName, http::HeaderValue)>,
    /// Its provider is told which trace a request belongs to.
    pub traceparent: bool,
}

impl Account {
    /// Path and query of a call behind the base URL; `id` is that of what the call is about, if it is about one.
    pub fn path(&self, call: Call, model: &str, id: &str) -> Result<String, FillError> {
        let value =
            |name: &str| if name == "id" { Some(id.to_owned()) } else { self.values.get(name).cloned() };
        self.preset.path(call, model, &value)
    }
}

/// `[[deployments]]`.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// Unique.
    pub name: Arc<str>,
    /// [`Deployment::tag_of`] its name, unique among deployments: how sessions name it in shared state.
    pub tag: u64,
    /// Where it runs.
    pub account: Arc<Account>,
    /// The provider's name for the model.
    pub model: String,
    /// Every pool that a call on it draws on, account pools first, its own pool last.
    pub pools: Vec<PoolId>,
    /// The pools that rest after a 429: the account's model pools if there are any, else its own.
    pub rests: Vec<PoolId>,
    /// What its calls cost.
    pub pricing: Pricing,
    /// Largest input plus output, tokens.
    pub context_window: Option<u64>,
    /// What the provider generates at most when a call sets no max_tokens.
    pub max_output: u64,
    /// Rest after a 429.
    pub cooldown: Cooldown,
    /// What is done when it fails.
    pub circuit: Circuit,
    /// How it is looked after without calls; `None`: not at all.
    pub health_check: Option<HealthCheck>,
    /// What it can do; `None`: everything, as far as is known.
    pub supports: Option<Abilities>,
    /// How well it does it.
    pub quality: Option<Quality>,
    /// What calls and rules may demand: a region of data, say.
    pub tags: Vec<Arc<str>>,
}

impl Deployment {
    /// FNV-1a 64 of a name, the lower 53 bits: a number that Lua, whose numbers are doubles, holds exactly.
    pub fn tag_of(name: &str) -> u64 {
        let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        name.bytes().fold(0xcbf2_9ce4_8422_2325, step) & ((1 << 53) - 1)
    }
}

/// `cooldown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cooldown {
    /// After a 429 that names no time.
    pub default: Duration,
    /// No rest is longer.
    pub max: Duration,
}

/// `circuit`: when a deployment that fails is left alone by all replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Circuit {
    /// Whether it ever is.
    pub enabled: bool,
    /// So many attempts in a row failed.
    pub failures: u64,
    /// Or this share of those in the window, millionths,
    pub ratio: u64,
    /// of so many at least.
    pub min_calls: u64,
    /// How long attempts are counted.
    pub window: Duration,
    /// How long it is left alone before one call is let through.
    pub open: Duration,
    /// So many such calls in a row must go well.
    pub successes: u64,
    /// Then all calls are back in this time.
    pub ramp: Duration,
}

/// `[[models]]`.
#[derive(Clone, Debug)]
pub struct Model {
    /// What clients ask for; for a wildcard the part before `*`.
    pub name: String,
    /// `name` ended in `*`.
    pub wildcard: bool,
    /// Other names.
    pub aliases: Vec<String>,
    /// How targets are ranked.
    pub ranking: Ranking,
    /// The deployments that serve it.
    pub targets: Vec<Target>,
    /// Tiers with a bound of their own on attempts; others have none but the model's.
    pub tiers: Vec<Tier>,
    /// Sessions; `None` with `affinity = false`.
    pub affinity: Option<Affinity>,
    /// Tried in order when this model has no room or fails.
    pub fallbacks: Vec<ModelId>,
    /// Tried in order when the call is longer than it can read.
    pub context_fallbacks: Vec<ModelId>,
    /// Tried in order when its provider holds back what the call says.
    pub content_fallbacks: Vec<ModelId>,
    /// Attempts and back-off.
    pub retry: Retry,
    /// Where shifting begins.
    pub headroom: Headroom,
    /// Bound of the whole call.
    pub total: Duration,
    /// Deployments of a lower quality at the call's tasks do not serve it; 0 for none.
    pub min_quality: f64,
    /// How calls wait for room.
    pub queue: Queue,
    /// Second attempts beside those that are long in coming, if there are any.
    pub hedge: Option<Hedge>,
    /// What its costs are compared with.
    pub baseline: Option<DeploymentId>,
}

/// One deployment of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Which.
    pub deployment: DeploymentId,
    /// Relative weight, > 0; for `auto` in proportion to the deployment's tightest limit per minute, the automatic
    /// weights of a model being 1 on average.
    pub weight: f64,
    /// The weight is automatic: scaled by headroom and by what fails.
    pub auto: bool,
    /// The least share of the calls that it gets, so that what is known of it stays fresh.
    pub min_share: f64,
    /// Lower first.
    pub tier: u32,
    /// Inside a tier lower first: how far away it is where the model takes the nearest first, else 0.
    pub distance: u32,
    /// The nearest of deployment, tier, model, defaults.
    pub timeouts: Timeouts,
}

/// `headroom`, per mille of the declared limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headroom {
    /// Begin to shift.
    pub soft: u32,
    /// Stop.
    pub hard: u32,
    /// Stop by what the provider says is used of its own.
    pub learned: u32,
}

/// `[[tenants]]`.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// Unique.
    pub name: Arc<str>,
    /// Those above it, the nearest first.
    pub above: Vec<Arc<str>>,
    /// SHA-256 of each key.
    pub keys: Vec<[u8; 32]>,
    /// Model names or prefixes with `*`: its own, then those of each tenant above it. A model must be in every list.
    pub models: Vec<Vec<Pattern>>,
    /// What a deployment must have to serve its calls; those of the tenants above it included.
    pub tags: Vec<Arc<str>>,
    /// What its calls draw on: its own limits, then those of the tenants above it.
    pub pools: Vec<PoolId>,
    /// What may be spent, by it and by the tenants above it.
    pub budgets: Vec<PoolId>,
    /// Its share of scarce room beside others', > 0.
    pub weight: f64,
    /// How urgent its calls are at most.
    pub priority: Priority,
}

impl Tenant {
    /// May it use a model by this name?
    pub fn may_use(&self, name: &str) -> bool {
        self.models.iter().all(|list| list.iter().any(|pattern| pattern.matches(name)))
    }
}

/// A name, or a prefix when written with `*` at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// The text without `*`.
    pub text: String,
    /// Ended in `*`.
    pub prefix: bool,
}

impl Pattern {
    /// Reads `name` or `prefix*`.
    pub fn new(written: &str) -> Pattern {
        match written.strip_suffix('*') {
            Some(text) => Pattern { text: text.to_owned(), prefix: true },
            None => Pattern { text: written.to_owned(), prefix: false },
        }
    }

    /// Does `name` match?
    pub fn matches(&self, name: &str) -> bool {
        if self.prefix { name.starts_with(&self.text) } else { name == self.text }
    }
}

impl Config {
    /// Reads and checks `path`; a relative `${file:}` path is taken from the current directory.
    pub fn load(path: &std::path::Path) -> Result<Config, Report> {
        Config::load_from(path).0
    }

    /// The same, and all files that were read for it, whatever came of it.
    pub fn load_from(path: &std::path::Path) -> (Result<Config, Report>, Sources) {
        let mut sources = Sources::default();
        let config = match sources.read_text(path) {
            Ok(text) => check::check_from(path, &text, &|name| std::env::var(name).ok(), &mut sources),
            Err(err) => Err(Report::whole_file(path, format!("cannot be read: {err}"))),
        };
        (config, sources)
    }

    /// Reads and checks `path` for who plans with it and calls nobody: what is not at hand, be it in the environment or in files, is taken
    /// to be something or other.
    pub fn load_to_plan(path: &std::path::Path) -> Result<Config, Report> {
        let mut sources = Sources::default();
        let text = sources
            .read_text(path)
            .map_err(|err| Report::whole_file(path, format!("cannot be read: {err}")))?;
        let env = |name: &str| Some(std::env::var(name).unwrap_or_else(|_| unset::value(name)));
        check::check_from(path, &expand::without_files(&text), &env, &mut sources)
    }

    /// Is `name` one that rules make, and no model's?
    pub fn is_rule_name(&self, name: &str) -> bool {
        self.rules.iter().any(|rule| rule.when.names(name))
    }

    /// What rules that may be for a call of `name` want to know of it.
    pub fn wanted(&self, name: &str) -> Wants {
        if self.rules.is_empty() {
            return Wants::default();
        }
        let answers = self.find_model(name).map(|id| self.models[id.0].name.as_str());
        let wants =
            self.rules.iter().filter(|rule| rule.when.is_for(name, answers)).map(|rule| rule.when.wants());
        wants.fold(Wants::default(), |all, one| Wants {
            words: all.words || one.words,
            metadata: all.metadata || one.metadata,
        })
    }

    /// The model that answers to `name`: exact name, then alias, then the longest wildcard.
    pub fn find_model(&self, name: &str) -> Option<ModelId> {
        let exact = |m: &&Model| !m.wildcard && m.name == name;
        let alias = |m: &&Model| m.aliases.iter().any(|a| a == name);
        let position = |found: &Model| self.models.iter().position(|m| std::ptr::eq(m, found));
        if let Some(m) = self.models.iter().find(exact).or_else(|| self.models.iter().find(alias)) {
            return position(m).map(ModelId);
        }
        self.models
            .iter()
            .filter(|m| m.wildcard && name.starts_with(&m.name))
            .max_by_key(|m| m.name.len())
            .and_then(position)
            .map(ModelId)
    }
}
