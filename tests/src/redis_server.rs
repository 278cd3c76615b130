//! A `redis-server` of the test's own, without persistence.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::{Process, accepts, free_port, local};

/// A Redis that can be killed, frozen and started again at the same address.
#[derive(Debug)]
pub struct Redis {
    addr: SocketAddr,
    folder: PathBuf,
    process: Process,
}

impl Redis {
    /// Starts one on a free port.
    pub async fn start(folder: &Path) -> Result<Redis> {
        let addr = local(free_port()?);
        let process = launch(addr, folder).await?;
        Ok(Redis { addr, folder: folder.to_owned(), process })
    }

    /// `redis://…` of its database 0.
    pub fn url(&self) -> String {
        format!("redis://{}/0", self.addr)
    }

    /// SIGKILL: everything is lost.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Starts it again, empty, at the same address.
    pub async fn restart(&mut self) -> Result<()> {
        self.process = launch(self.addr, &self.folder).await?;
        Ok(())
    }

    /// FLUSHALL: everything is lost, and connections stay.
    pub fn flush(&self) -> Result<()> {
        let mut connection = redis::Client::open(self.url())?.get_connection()?;
        Ok(redis::cmd("FLUSHALL").query(&mut connection)?)
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

async fn launch(addr: SocketAddr, folder: &Path) -> Result<Process> {
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--port", &addr.port().to_string()]);
    command.args(["--save", "", "--appendonly", "no", "--dir"]).arg(folder);
    let mut process = Process::start("redis", &mut command, folder).context("is redis-server installed?")?;
    process.wait_until(async || accepts(addr)).await?;
    Ok(process)
}
