//! The gateway under test: started in front of two raw providers, looked at from outside.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use weir_tests::client::{get, says_200};
use weir_tests::place;
use weir_tests::process::{Process, free_port, local};

use crate::upstream::Upstream;

/// What clients present. No provider may ever see it.
pub(crate) const CLIENT_KEY: &str = "sk-client-0123456789";
/// What the providers are to be presented with. No client may ever see it.
pub(crate) const UPSTREAM_KEY: &str = "sk-upstream-9876543210";
/// Largest body that the gateway takes.
pub(crate) const MAX_BODY: usize = 512 << 10;
/// Longest rest after a 429.
pub(crate) const LONGEST_REST: Duration = Duration::from_millis(20);
/// Lanes: each has deployments of its own, so that one that rests does not disturb the others.
pub(crate) const LANES: usize = 32;

/// A running gateway and what it stands in front of.
#[derive(Debug)]
pub(crate) struct Gate {
    /// Where clients connect.
    pub(crate) addr: SocketAddr,
    /// The provider that is asked first.
    pub(crate) bad: Upstream,
    /// The one behind it.
    pub(crate) good: Upstream,
    admin: SocketAddr,
    log: PathBuf,
    process: Process,
}

impl Gate {
    /// Starts one. Of each lane `n` there are the models `m-n` (bad, then good), `solo-n` (bad alone) and `sure-n`
    /// (good alone).
    pub(crate) async fn start(name: &str) -> Result<Gate> {
        let (bad, good) = (Upstream::start().await?, Upstream::start().await?);
        let (addr, admin) = (local(free_port()?), local(free_port()?));
        let folder = place::folder(name)?;
        let config = folder.join("edge.toml");
        std::fs::write(&config, settings(addr, admin, &bad, &good))?;
        let mut command = Command::new(place::weir()?);
        command.arg("serve").arg("--config").arg(&config).arg("--replica").arg("edge");
        let mut process = Process::start("edge", &mut command, &folder)?;
        process.wait_until(async || says_200(addr, "/readyz").await).await?;
        Ok(Gate { addr, bad, good, admin, log: folder.join("edge.log"), process })
    }

    /// File descriptors open now.
    pub(crate) fn descriptors(&self) -> Result<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/fd", self.process.pid()))?.count())
    }

    /// The most memory that it has had, bytes.
    pub(crate) fn peak(&self) -> Result<usize> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.process.pid()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<usize>()? << 10)
    }

    /// The admin page of the state.
    pub(crate) async fn state(&self) -> Result<Value> {
        let (status, body) = get(self.admin, "/admin/v1/state").await?;
        ensure!(status == 200, "the state answers {status}");
        Ok(serde_json::from_slice(&body)?)
    }

    /// Waits until nothing is held, and says how long that took.
    pub(crate) async fn quiet(&self) -> Result<Value> {
        let begun = Instant::now();
        loop {
            let state = self.state().await?;
            let held = held(&state);
            if held.is_empty() && state["pending"] == 0 {
                return Ok(state);
            }
            if begun.elapsed() > Duration::from_secs(10) {
                bail!("still held, {:?} after the last call: {held:?}", begun.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until no more than `most` file descriptors are open.
    pub(crate) async fn descriptors_within(&self, most: usize) -> Result<usize> {
        let begun = Instant::now();
        loop {
            let open = self.descriptors()?;
            if open <= most {
                return Ok(open);
            }
            ensure!(begun.elapsed() < Duration::from_secs(10), "{open} file descriptors, expected {most}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// It lives, has not panicked, and its log is lines of JSON with nothing slipped between them.
    pub(crate) async fn sound(&self) -> Result<()> {
        ensure!(says_200(self.addr, "/livez").await, "it is not alive");
        let log = std::fs::read(&self.log)?;
        let log = String::from_utf8(log).context("the log is not UTF-8")?;
        ensure!(!log.contains("panicked"), "it panicked: {}", self.process.tail());
        for secret in [CLIENT_KEY, UPSTREAM_KEY] {
            ensure!(!log.contains(secret), "the log shows a key");
        }
        // The last line may be on its way.
        let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
        for line in whole.lines() {
            let read: Result<Value, _> = serde_json::from_str(line);
            ensure!(read.is_ok_and(|line| line["level"].is_string()), "not a line of the log: {line:?}");
        }
        Ok(())
    }
}

/// Pools on which something is held.
fn held(state: &Value) -> Vec<String> {
    let pools = state["pools"].as_array().into_iter().flatten();
    let held =
        pools.filter(|pool| pool["meters"].as_array().into_iter().flatten().any(|meter| meter["held"] != 0));
    held.map(Value::to_string).collect()
}

/// What was posted to meters of `kind` of pools whose name begins so.
pub(crate) fn posted(state: &Value, pool: &str, kind: &str) -> u64 {
    let is_named = |found: &&Value| found["name"].as_str().is_some_and(|name| name.starts_with(pool));
    let pools = state["pools"].as_array().into_iter().flatten().filter(is_named);
    let meters = pools.flat_map(|pool| pool["meters"].as_array().into_iter().flatten());
    let of_kind = meters.filter(|meter| meter["kind"] == kind);
    of_kind.filter_map(|meter| meter["posted_ever"].as_u64()).sum()
}

fn settings(addr: SocketAddr, admin: SocketAddr, bad: &Upstream, good: &Upstream) -> String {
    let key = weir::auth::hash(CLIENT_KEY);
    let rest = LONGEST_REST.as_millis();
    let mut text = format!(
        r#"version = 1

[server]
listen = "{addr}"
admin_listen = "{admin}"
max_body = {MAX_BODY}
drain_timeout = "2s"
unread_timeout = "10s"

[defaults]
timeouts = {{ connect = "1s", first_token = "1500ms", idle = "1200ms", total = "5s" }}
retry = {{ attempts = 3, base = "1ms", max = "5ms" }}
cooldown = {{ default = "1ms", max = "{rest}ms" }}
circuit = {{ enabled = false }}

[[tenants]]
name = "team"
keys = ["{key}"]
limits = {{ rpm = 1_000_000_000, tpm = 1_000_000_000_000, concurrency = 1_000_000 }}
"#
    );
    for lane in 0..LANES {
        for (name, upstream) in [("bad", bad), ("good", good)] {
            text.push_str(&format!(
                r#"
[[accounts]]
name = "{name}-{lane}"
provider = "openai-compatible"
base_url = "http://{}/v1"
api_key = "{UPSTREAM_KEY}"
headers = {{ x-account = "{name}" }}

[[deployments]]
name = "{name}-{lane}"
account = "{name}-{lane}"
model = "up-{name}"
limits = {{ rpm = 1_000_000_000, tpm = 1_000_000_000_000, concurrency = 1_000_000 }}
"#,
                upstream.addr(lane)
            ));
        }
        text.push_str(&format!(
            r#"
[[models]]
name = "m-{lane}"
deployments = [{{ name = "bad-{lane}", priority = 0 }}, {{ name = "good-{lane}", priority = 1 }}]

[[models]]
name = "solo-{lane}"
deployments = ["bad-{lane}"]

[[models]]
name = "sure-{lane}"
deployments = ["good-{lane}"]
"#
        ));
    }
    text
}
