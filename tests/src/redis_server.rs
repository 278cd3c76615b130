//! A `redis-server` of the test's own, without persistence.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use redis::FromRedisValue;

use crate::process::{Process, accepts, free_port, local};

/// A Redis that can be killed, frozen and started again at the same address.
#[derive(Debug)]
pub struct Redis {
    addr: SocketAddr,
    name: String,
    arguments: Vec<String>,
    folder: PathBuf,
    process: Process,
}

impl Redis {
    /// Starts one on a free port.
    pub async fn start(folder: &Path) -> Result<Redis> {
        Redis::start_as("redis", &[], folder).await
    }

    /// Starts one called `name` with further arguments; its files are in a folder of that name.
    pub async fn start_as(name: &str, arguments: &[String], folder: &Path) -> Result<Redis> {
        let addr = local(free_port()?);
        std::fs::create_dir_all(folder.join(name))?;
        let process = launch(addr, name, arguments, folder).await?;
        let (name, arguments) = (name.to_owned(), arguments.to_vec());
        Ok(Redis { addr, name, arguments, folder: folder.to_owned(), process })
    }

    /// Where it listens, without TLS.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `redis://…` of its database 0.
    pub fn url(&self) -> String {
        format!("redis://{}/0", self.addr)
    }

    /// The answer to one command.
    pub fn ask<T: FromRedisValue>(&self, words: &[&str]) -> Result<T> {
        ask(self.addr, words)
    }

    /// SIGKILL: everything is lost.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Starts it again, empty, at the same address.
    pub async fn restart(&mut self) -> Result<()> {
        self.process = launch(self.addr, &self.name, &self.arguments, &self.folder).await?;
        Ok(())
    }

    /// FLUSHALL: everything is lost, and connections stay.
    pub fn flush(&self) -> Result<()> {
        self.ask(&["FLUSHALL"])
    }

    /// SIGSTOP: connections stay open and nothing answers.
    pub fn freeze(&self) -> Result<()> {
        self.process.signal("STOP")
    }

    /// SIGCONT.
    pub fn thaw(&self) -> Result<()> {
        self.process.signal("CONT")
    }
}

/// The answer of whatever speaks Redis at `addr` to one command.
pub fn ask<T: FromRedisValue>(addr: SocketAddr, words: &[&str]) -> Result<T> {
    let mut connection = redis::Client::open(format!("redis://{addr}/0"))?.get_connection()?;
    let mut command = redis::cmd(words.first().context("no command")?);
    command.arg(&words[1..]);
    command.query(&mut connection).with_context(|| format!("{} at {addr}", words.join(" ")))
}

async fn launch(addr: SocketAddr, name: &str, arguments: &[String], folder: &Path) -> Result<Process> {
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--port", &addr.port().to_string()]);
    command.args(["--save", "", "--appendonly", "no", "--dir"]).arg(folder.join(name));
    command.args(arguments);
    let mut process = Process::start(name, &mut command, folder).context("is redis-server installed?")?;
    process.wait_until(async || accepts(addr)).await?;
    Ok(process)
}
