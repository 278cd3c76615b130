//! A strict fake provider as its own process, and how Weir is told about it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::json;

use crate::client::{self, says_200};
use crate::process::{Process, free_port};
use crate::scale::Scale;

/// What a provider enforces, and what Weir is told.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Names its account and its deployment.
    pub name: &'static str,
    /// Requests per window.
    pub rpm: Option<u64>,
    /// Tokens per window.
    pub tpm: Option<u64>,
    /// Attempts at once; kept by Weir alone.
    pub concurrency: Option<u64>,
    /// `admission-max`, `admission-actual` or `end-actual`.
    pub charge: &'static str,
    /// `max` or `predicted`.
    pub reserve: &'static str,
    /// Most output of a call that does not say, tokens.
    pub max_output: u64,
    /// What the model can read, tokens; as Weir is told.
    pub context_window: Option<u64>,
    /// How many times its limit it lets pass before it refuses: more than 1 where a test's bound is.
    pub lenience: f64,
    /// Further lines of its account.
    pub account: String,
    /// Further lines of its deployment.
    pub deployment: String,
    /// Further arguments of `weir provider`.
    pub behaviour: Vec<String>,
}

impl Upstream {
    /// One without limits that answers at once.
    pub fn new(name: &'static str) -> Upstream {
        Upstream {
            name,
            rpm: None,
            tpm: None,
            concurrency: None,
            charge: "admission-max",
            reserve: "max",
            max_output: 512,
            context_window: None,
            lenience: 1.0,
            account: String::new(),
            deployment: String::new(),
            behaviour: Vec::new(),
        }
    }

    /// With arguments of `weir provider`, separated by spaces.
    pub fn behaving(mut self, arguments: &str) -> Upstream {
        self.behaviour.extend(arguments.split_whitespace().map(str::to_owned));
        self
    }

    /// At this price for a million tokens, US$.
    pub fn priced(self, input: f64, output: f64) -> Upstream {
        let deployment = format!("price = {{ input = {input:?}, output = {output:?} }}\n");
        Upstream { deployment, ..self }
    }

    /// At a price as a deployment says it, TOML.
    pub fn costing(self, price: &str) -> Upstream {
        Upstream { deployment: format!("price = {price}\n"), ..self }
    }

    /// The key that Weir calls it with.
    pub fn key(&self) -> String {
        format!("sk-up-{}", self.name)
    }

    /// Its account and deployment in Weir's configuration.
    pub fn config(&self, addr: SocketAddr, scale: Scale) -> String {
        let name = self.name;
        let meter = |kind: &str, limit: Option<u64>| limit.map(|limit| scale.meter(kind, limit));
        let limits = meter("requests", self.rpm).or(meter("tokens", self.tpm));
        let pool = limits.map_or(String::new(), |limits| {
            let (charge, reserve) = (self.charge, self.reserve);
            format!(
                "pools = [{{ name = \"all\", models = [\"*\"], {limits}, charge = \"{charge}\", reserve = \"{reserve}\" }}]\n"
            )
        });
        let concurrency =
            self.concurrency.map_or(String::new(), |most| format!("limits = {{ concurrency = {most} }}\n"));
        let window = self.context_window.map_or(String::new(), |most| format!("context_window = {most}\n"));
        format!(
            "[[accounts]]\nname = \"{name}\"\nprovider = \"openai-compatible\"\nbase_url = \"http://{addr}/v1\"\n\
             api_key = \"{}\"\n{}{pool}\n[[deployments]]\nname = \"{name}\"\naccount = \"{name}\"\nmodel = \"up-{name}\"\n\
             max_output = {}\n{window}{concurrency}{}\n",
            self.key(),
            self.account,
            self.max_output,
            self.deployment,
        )
    }
}

/// One request as the provider saw it. Instants are Unix microseconds.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Arrival {
    /// When it came.
    pub arrival_us: u64,
    /// `chat` or `models`.
    pub route: String,
    /// Port of the caller's connection.
    pub peer: u16,
    /// When it ended, if it has.
    pub end_us: Option<u64>,
    /// Status sent; 0: none was.
    pub status: u16,
    /// Input tokens.
    pub prompt_tokens: u64,
    /// Of them: said to have come from a cache.
    pub cached_tokens: u64,
    /// And to have been written to one.
    pub written_tokens: u64,
    /// Output tokens generated.
    pub output_tokens: u64,
    /// The caller went away before the end.
    pub aborted: bool,
}

/// A running provider.
#[derive(Debug)]
pub struct Provider {
    /// What it is.
    pub upstream: Upstream,
    addr: SocketAddr,
    folder: PathBuf,
    _process: Process,
}

impl Provider {
    /// Starts one on a free port of `host`.
    pub async fn start(
        weir: &Path,
        upstream: Upstream,
        window: Duration,
        host: Ipv4Addr,
        folder: &Path,
    ) -> Result<Provider> {
        let addr = SocketAddr::from((host, free_port()?));
        let mut key = upstream.key();
        let limit = |name: &str, limit: Option<u64>| {
            limit.map(|limit| format!("{name}={}", (limit as f64 * upstream.lenience) as u64))
        };
        let limits: Vec<String> =
            [limit("rpm", upstream.rpm), limit("tpm", upstream.tpm)].into_iter().flatten().collect();
        if !limits.is_empty() {
            key = format!("{key}:{}", limits.join(","));
        }
        let mut command = Command::new(weir);
        command.args(["provider", "--listen", &addr.to_string(), "--key", &key]);
        command.args(["--window", &format!("{}s", window.as_secs()), "--charge", upstream.charge]);
        command.args(["--default-max-output", &upstream.max_output.to_string()]);
        command.args(&upstream.behaviour);
        let mut process = Process::start(&format!("provider-{}", upstream.name), &mut command, folder)?;
        process.wait_until(async || says_200(addr, "/healthz").await).await?;
        Ok(Provider { upstream, addr, folder: folder.to_owned(), _process: process })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Replaces its injected failures, written as for `--fail`; none ends all.
    pub async fn fail(&self, failures: &[&str]) -> Result<()> {
        self.control(json!({ "fail": failures })).await
    }

    /// Changes its behaviour: `latency`, `pace`, `jitter`, `output`, `fail`.
    pub async fn control(&self, change: serde_json::Value) -> Result<()> {
        let (status, body) = client::post(self.addr, "/_control", change.to_string()).await?;
        if status != 200 {
            bail!("{} refuses the change: {}", self.upstream.name, String::from_utf8_lossy(&body));
        }
        Ok(())
    }

    /// Its raw arrival log, kept as a file for the judge.
    pub async fn log(&self) -> Result<PathBuf> {
        let (status, body) = client::get(self.addr, "/_log").await?;
        if status != 200 {
            bail!("{} does not give its log", self.upstream.name);
        }
        let file = self.folder.join(format!("{}.arrivals", self.upstream.name));
        std::fs::write(&file, body)?;
        Ok(file)
    }

    /// Its log, read.
    pub async fn arrivals(&self) -> Result<Vec<Arrival>> {
        let text = std::fs::read_to_string(self.log().await?)?;
        text.lines().map(|line| serde_json::from_str(line).context("a line of the arrival log")).collect()
    }

    /// How many calls came between two moments, Unix time in µs.
    pub async fn seen(&self, from: u64, to: u64) -> Result<usize> {
        let arrivals = self.arrivals().await?;
        Ok(arrivals.iter().filter(|one| (from..to).contains(&one.arrival_us)).count())
    }
}
