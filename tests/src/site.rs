//! A whole site: Redis, strict providers, replicas and, if wanted, HAProxy in front of them.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use crate::apart::Apart;
use crate::balancer::Balancer;
use crate::client::{Ask, Client};
use crate::clock::Clock;
use crate::gateway::{Binary, Replica};
use crate::load::{Load, Phase};
use crate::place;
use crate::provider::{Provider, Upstream};
use crate::redis_server::Redis;
use crate::scale::Scale;
use crate::topology::{Others, Shared, Topology};

/// The bounds of an attempt, as configured.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// TCP.
    pub connect: Duration,
    /// To the first content.
    pub first_token: Duration,
    /// Of the whole.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        let ms = Duration::from_millis;
        Timeouts { connect: ms(500), first_token: ms(2_000), total: ms(5_000) }
    }
}

/// What a test needs.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Names the folder of its files.
    pub name: String,
    /// The gateway; none: the usual one.
    pub binary: Option<Binary>,
    /// How many.
    pub replicas: usize,
    /// The providers; the model `m` is served by all of them unless `models` says otherwise.
    pub upstreams: Vec<Upstream>,
    /// `closed`, `open` or `share`.
    pub on_outage: &'static str,
    /// Of every attempt.
    pub timeouts: Timeouts,
    /// `[[models]]`, TOML.
    pub models: Option<String>,
    /// Further lines of `[defaults]`.
    pub defaults: String,
    /// How calls wait for room.
    pub queue: String,
    /// Whether replicas are lent room; `WEIR_LEASES=1`: in all tests.
    pub leases: bool,
    /// How Redis is set up.
    pub topology: Topology,
    /// Length of windows.
    pub scale: Scale,
    /// The first replica runs in a network namespace of its own. Needs root.
    pub apart: bool,
    /// Redis has a clock of its own, which can be stepped.
    pub own_clock: bool,
    /// Further lines of `[server]`.
    pub server: String,
    /// Of the replicas' processes.
    pub environment: Vec<(String, String)>,
    /// How the balancer tells replicas whom it connects: HAProxy's `send-proxy` or `send-proxy-v2`.
    pub introduces: Option<&'static str>,
}

impl Plan {
    /// Three replicas in front of `upstreams`.
    pub fn new(name: &str, upstreams: Vec<Upstream>) -> Plan {
        Plan {
            name: name.to_owned(),
            binary: None,
            replicas: 3,
            upstreams,
            on_outage: "closed",
            timeouts: Timeouts::default(),
            models: None,
            defaults: String::new(),
            queue: "{ max = 0 }".into(),
            leases: std::env::var_os("WEIR_LEASES").is_some_and(|value| value == "1"),
            topology: Topology::Single,
            scale: Scale::short(),
            apart: false,
            own_clock: false,
            server: "drain_delay = \"700ms\"\ndrain_timeout = \"10s\"\n".to_owned(),
            environment: Vec::new(),
            introduces: None,
        }
    }

    fn settings(&self, servers: &str, providers: &[Provider]) -> String {
        let Timeouts { connect, first_token, total } = self.timeouts;
        let names: Vec<String> =
            self.upstreams.iter().map(|upstream| format!("\"{}\"", upstream.name)).collect();
        let every = format!("[[models]]\nname = \"m\"\ndeployments = [{}]\n", names.join(", "));
        let accounts: String =
            providers.iter().map(|provider| provider.upstream.config(provider.addr(), self.scale)).collect();
        let leases = self.leases;
        format!(
            "[state]\n{servers}\ntimeout = \"250ms\"\nleases = {leases}\non_outage = \"{}\"\n\n[defaults]\n\
             timeouts = {{ connect = \"{}ms\", first_token = \"{}ms\", idle = \"2s\", total = \"{}ms\" }}\n\
             retry = {{ attempts = 3, base = \"20ms\", max = \"100ms\" }}\nqueue = {}\n{}\n{accounts}{}",
            self.on_outage,
            connect.as_millis(),
            first_token.as_millis(),
            total.as_millis(),
            self.queue,
            self.defaults,
            self.models.as_ref().unwrap_or(&every),
        )
    }
}

/// Everything that a plan asks for, running; it ends when dropped.
#[derive(Debug)]
pub struct Site {
    /// Talks to the balancer.
    pub client: Arc<Client>,
    /// The replicas behind it.
    pub replicas: Vec<Replica>,
    /// In the plan's order.
    pub providers: Vec<Provider>,
    /// The shared state: the server that has it at the start.
    pub redis: Redis,
    /// The servers beside that.
    pub others: Others,
    /// Where the first replica runs, if the plan says so.
    pub apart: Option<Arc<Apart>>,
    /// The plan.
    pub plan: Plan,
    _balancer: Balancer,
    _folder: PathBuf,
}

impl Site {
    /// Starts all of it and waits until it answers.
    pub async fn start(plan: Plan) -> Result<Site> {
        let folder = place::folder(&plan.name)?;
        let usual = place::weir()?;
        let binary = plan.binary.clone().unwrap_or(Binary { path: usual.clone(), control: None });
        let apart = plan.apart.then(Apart::make).transpose()?.map(Arc::new);
        let host = apart.as_ref().map_or(Ipv4Addr::LOCALHOST, |apart| apart.host());
        let clock = plan.own_clock.then(|| Clock::new(&folder)).transpose()?;
        let Shared { redis, others, settings } = plan.topology.start(host, clock, &folder).await?;
        let providers = start_providers(&usual, &plan, host, &folder).await?;
        let settings = plan.settings(&settings, &providers);
        let mut replicas = Vec::new();
        for at in 0..plan.replicas {
            let inside = apart.clone().filter(|_| at == 0);
            replicas.push(
                Replica::start(&binary, at, (&plan.server, &settings), &plan.environment, inside, &folder)
                    .await?,
            );
        }
        let addresses: Vec<_> = replicas.iter().map(Replica::addr).collect();
        let balancer = Balancer::start(&addresses, plan.introduces, &folder).await?;
        let client = Arc::new(Client::new(balancer.addr()));
        let (_balancer, _folder) = (balancer, folder);
        Ok(Site { client, replicas, providers, redis, others, apart, plan, _balancer, _folder })
    }
}

impl Site {
    /// Begins to send so many calls a second, every other one streamed.
    pub fn load(&self, rate: f64, time: Duration) -> Load {
        let ask = |at: usize| Ask::new("m").max_tokens(64).streamed(at.is_multiple_of(2));
        Load::start(self.client.clone(), 0, &[Phase { time, rate }], ask)
    }

    /// How many calls each provider has seen.
    pub async fn seen(&self) -> Result<Vec<usize>> {
        let mut counts = Vec::new();
        for provider in &self.providers {
            counts.push(provider.arrivals().await?.len());
        }
        println!("{}: {counts:?}", self.plan.name);
        Ok(counts)
    }
}

async fn start_providers(weir: &Path, plan: &Plan, host: Ipv4Addr, folder: &Path) -> Result<Vec<Provider>> {
    let mut providers = Vec::new();
    for upstream in &plan.upstreams {
        providers.push(Provider::start(weir, upstream.clone(), plan.scale.window, host, folder).await?);
    }
    Ok(providers)
}
