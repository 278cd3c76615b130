//! HAProxy in TCP mode in front of the replicas: it balances connections and looks at nothing inside them.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::{Process, accepts, free_port, local};

const SETTINGS: &str = "\
global
    maxconn 1500
    nbthread 1
defaults
    mode tcp
    timeout connect 500ms
    timeout client 5m
    timeout server 5m
    timeout check 500ms
    retries 3
    option redispatch 1
backend replicas
    balance leastconn
    option httpchk GET /readyz
    http-check expect status 200
    default-server check inter 250ms fall 2 rise 1
";

/// A running HAProxy.
#[derive(Debug)]
pub struct Balancer {
    addr: SocketAddr,
    _process: Process,
}

impl Balancer {
    /// Starts one in front of `replicas`, which it `introduces` clients to if wanted.
    pub async fn start(replicas: &[SocketAddr], introduces: Option<&str>, folder: &Path) -> Result<Balancer> {
        let addr = local(free_port()?);
        let mut text = SETTINGS.to_owned();
        for (at, replica) in replicas.iter().enumerate() {
            let how = introduces.map_or(String::new(), |how| format!(" {how} check-send-proxy"));
            writeln!(text, "    server replica-{at} {replica}{how}")?;
        }
        writeln!(text, "frontend clients\n    bind {addr}\n    default_backend replicas")?;
        let file = folder.join("haproxy.cfg");
        std::fs::write(&file, text)?;
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(&file);
        let mut process = Process::start("haproxy", &mut command, folder).context("is haproxy installed?")?;
        process.wait_until(async || accepts(addr)).await?;
        Ok(Balancer { addr, _process: process })
    }

    /// Where clients connect.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}
