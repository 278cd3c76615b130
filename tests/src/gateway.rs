//! A replica: one `weir serve`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use crate::apart::Apart;
use crate::client::{Client, says_200};
use crate::process::{Process, free_port, local};

/// How the gateways are started.
#[derive(Clone, Debug)]
pub struct Binary {
    /// The executable.
    pub path: PathBuf,
    /// What is broken in it on purpose (`WEIR_CONTROL`).
    pub control: Option<&'static str>,
}

/// A replica that can be killed and replaced at the same address.
#[derive(Debug)]
pub struct Replica {
    /// Talks to this replica alone.
    pub client: Client,
    admin: SocketAddr,
    name: String,
    binary: Binary,
    config: PathBuf,
    apart: Option<Arc<Apart>>,
    folder: PathBuf,
    process: Process,
}

impl Replica {
    /// Starts replica number `at` with `settings` below its listeners, inside `apart` if given. Nobody outside of a
    /// namespace reaches the admin listener of a replica inside.
    pub async fn start(
        binary: &Binary,
        at: usize,
        settings: &str,
        apart: Option<Arc<Apart>>,
        folder: &Path,
    ) -> Result<Replica> {
        let host = apart.as_ref().map_or(Ipv4Addr::LOCALHOST, |apart| apart.inside());
        let (listen, admin) = ((host, free_port()?).into(), local(free_port()?));
        let name = format!("replica-{at}");
        let config = folder.join(format!("{name}.toml"));
        let text = format!(
            "version = 1\n\n[server]\nlisten = \"{listen}\"\nanonymous = true\nadmin_listen = \"{admin}\"\ndrain_timeout = \"10s\"\n\n{settings}"
        );
        std::fs::write(&config, text)?;
        let process = launch(binary, &name, &config, listen, apart.as_deref(), folder).await?;
        let (binary, folder) = (binary.clone(), folder.to_owned());
        Ok(Replica { client: Client::new(listen), admin, name, binary, config, apart, folder, process })
    }

    /// Where clients connect.
    pub fn addr(&self) -> SocketAddr {
        self.client.addr()
    }

    /// The admin listener.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// SIGKILL: its calls and its holds are left as they are.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Starts a new process in place of the one that ended.
    pub async fn replace(&mut self) -> Result<()> {
        let apart = self.apart.as_deref();
        self.process =
            launch(&self.binary, &self.name, &self.config, self.addr(), apart, &self.folder).await?;
        Ok(())
    }

    /// SIGSTOP: it stands still, and its connections stay open.
    pub fn freeze(&self) -> Result<()> {
        self.process.signal("STOP")
    }

    /// SIGCONT.
    pub fn thaw(&self) -> Result<()> {
        self.process.signal("CONT")
    }

    /// SIGTERM.
    pub fn terminate(&self) -> Result<()> {
        self.process.signal("TERM")
    }

    /// Its exit code, once it has ended; fails when that takes longer than `time`.
    pub async fn exit_within(&mut self, time: Duration) -> Result<Option<i32>> {
        Ok(self.process.end_within(time).await?.code())
    }

    /// The last lines of its log.
    pub fn tail(&self) -> String {
        self.process.tail()
    }
}

async fn launch(
    binary: &Binary,
    name: &str,
    config: &Path,
    listen: SocketAddr,
    apart: Option<&Apart>,
    folder: &Path,
) -> Result<Process> {
    let mut command = apart.map_or_else(|| Command::new(&binary.path), |apart| apart.command(&binary.path));
    command.arg("serve").arg("--config").arg(config);
    command.env_remove("WEIR_CONTROL").envs(binary.control.map(|control| ("WEIR_CONTROL", control)));
    let mut process = Process::start(name, &mut command, folder)?;
    process.wait_until(async || says_200(listen, "/readyz").await).await?;
    Ok(process)
}
