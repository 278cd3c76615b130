//! A master, two replicas, three sentinels.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::secure::{PASSWORD, users};
use super::{Others, Shared};
use crate::process::{Process, accepts, eventually, free_port, local};
use crate::redis_server::{Redis, ask};

/// What the sentinels call the master.
const MASTER: &str = "main";

/// The replicas and the sentinels.
#[derive(Debug)]
pub struct Sentinels {
    sentinels: Vec<SocketAddr>,
    _replicas: Vec<Redis>,
    _processes: Vec<Process>,
}

impl Sentinels {
    /// Waits until every sentinel names another master than `old`; which one.
    pub async fn replaced(&self, old: SocketAddr) -> Result<SocketAddr> {
        eventually("another master", async || {
            let named: Vec<_> =
                self.sentinels.iter().map(|&sentinel| named_by(sentinel)).collect::<Result<_>>()?;
            Ok(named.iter().all(|addr| *addr == named[0] && *addr != old))
        })
        .await?;
        named_by(self.sentinels[0])
    }

    /// Whom the sentinels name.
    pub fn master(&self) -> Result<SocketAddr> {
        named_by(self.sentinels[0])
    }

    /// Has the sentinels replace a master that is well.
    pub fn fail_over(&self) -> Result<()> {
        ask(self.sentinels[0], &["SENTINEL", "FAILOVER", MASTER])
    }

    /// Cuts a master off from sentinels and replicas, which are the default user there; another user does not notice.
    pub fn cut_off(&self, master: &Redis) -> Result<()> {
        let mut connection = redis::Client::open(master.url())?.get_connection()?;
        let mut tell = |words: &[&str]| redis::cmd(words[0]).arg(&words[1..]).query::<()>(&mut connection);
        tell(&["ACL", "SETUSER", "default", "off"])?;
        tell(&["CLIENT", "KILL", "TYPE", "REPLICA"])?;
        Ok(tell(&["CLIENT", "KILL", "USER", "default", "SKIPME", "yes"])?)
    }
}

pub(super) async fn start(folder: &Path) -> Result<Shared> {
    let users = users(folder)?.display().to_string();
    let mut arguments: Vec<String> =
        ["--aclfile", &users, "--repl-diskless-sync-delay", "0"].map(str::to_owned).into();
    let master = Redis::start_as("redis-1", &arguments, folder).await?;
    arguments.extend(["--replicaof".into(), "127.0.0.1".into(), master.addr().port().to_string()]);
    let mut replicas = Vec::new();
    for name in ["redis-2", "redis-3"] {
        replicas.push(Redis::start_as(name, &arguments, folder).await?);
    }
    let mut sentinels = Vec::new();
    let mut processes = Vec::new();
    for number in 1..=3 {
        let addr = local(free_port()?);
        processes.push(start_sentinel(number, addr, master.addr(), folder).await?);
        sentinels.push(addr);
    }
    settled(&master, &sentinels).await?;
    let nodes: Vec<String> = sentinels.iter().map(|addr| format!("\"{addr}\"")).collect();
    let settings = format!(
        "sentinel = {{ nodes = [{}], master = \"{MASTER}\", data_username = \"weir\", data_password = \"{PASSWORD}\" }}",
        nodes.join(", ")
    );
    let others = Others::Sentinel(Sentinels { sentinels, _replicas: replicas, _processes: processes });
    Ok(Shared { redis: master, others, settings })
}

async fn start_sentinel(
    number: usize,
    addr: SocketAddr,
    master: SocketAddr,
    folder: &Path,
) -> Result<Process> {
    let name = format!("sentinel-{number}");
    let home = folder.join(&name);
    std::fs::create_dir_all(&home)?;
    let file = home.join("sentinel.conf"); // which it rewrites
    let text = format!(
        "bind 127.0.0.1\nport {}\ndir {}\nsentinel monitor {MASTER} 127.0.0.1 {} 2\n\
         sentinel down-after-milliseconds {MASTER} 1500\nsentinel failover-timeout {MASTER} 5000\n",
        addr.port(),
        home.display(),
        master.port(),
    );
    std::fs::write(&file, text)?;
    let mut command = Command::new("redis-server");
    command.arg(&file).arg("--sentinel");
    let mut process = Process::start(&name, &mut command, folder)?;
    process.wait_until(async || accepts(addr)).await?;
    Ok(process)
}

/// Waits until the replicas have all data, and the sentinels know the replicas and each other.
async fn settled(master: &Redis, sentinels: &[SocketAddr]) -> Result<()> {
    eventually("replicas that are in step", async || {
        let info: String = master.ask(&["INFO", "replication"])?;
        Ok(info.matches("state=online").count() == 2)
    })
    .await?;
    eventually("sentinels that know everybody", async || {
        for &sentinel in sentinels {
            let facts: Vec<String> = ask(sentinel, &["SENTINEL", "MASTER", MASTER])?;
            let is =
                |name: &str, value: &str| facts.chunks(2).any(|pair| pair[0] == name && pair[1] == value);
            if !is("num-slaves", "2") || !is("num-other-sentinels", "2") {
                return Ok(false);
            }
        }
        Ok(true)
    })
    .await
}

fn named_by(sentinel: SocketAddr) -> Result<SocketAddr> {
    let words = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER];
    let [host, port] = &ask::<Vec<String>>(sentinel, &words)?[..] else { bail!("no master named") };
    format!("{host}:{port}").parse().context("the address of a master")
}
