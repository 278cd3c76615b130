//! A replica: one `weir serve`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::apart::Apart;
use crate::client::{Client, get, says_200};
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
    environment: Vec<(String, String)>,
    apart: Option<Arc<Apart>>,
    folder: PathBuf,
    process: Process,
}

impl Replica {
    /// Starts replica number `at` with `[server]` and what is below, inside `apart` if given. Nobody outside of a
    /// namespace reaches the admin listener of a replica inside. All have one text: their addresses are in the environment.
    pub async fn start(
        binary: &Binary,
        at: usize,
        (server, settings): (&str, &str),
        environment: &[(String, String)],
        apart: Option<Arc<Apart>>,
        folder: &Path,
    ) -> Result<Replica> {
        let host = apart.as_ref().map_or(Ipv4Addr::LOCALHOST, |apart| apart.inside());
        let (listen, admin) = (SocketAddr::from((host, free_port()?)), local(free_port()?));
        let name = format!("replica-{at}");
        let config = folder.join(format!("{name}.toml"));
        let text = format!(
            "version = 1\n\n[server]\nlisten = \"${{LISTEN}}\"\nanonymous = true\nadmin_listen = \"${{ADMIN_LISTEN}}\"\n{server}\n{settings}"
        );
        std::fs::write(&config, text)?;
        let mut environment = environment.to_vec();
        environment.push(("LISTEN".to_owned(), listen.to_string()));
        environment.push(("ADMIN_LISTEN".to_owned(), admin.to_string()));
        let client = Client::new(listen);
        let (binary, folder) = (binary.clone(), folder.to_owned());
        let command = command(&binary, &config, &environment, apart.as_deref());
        let process = launch(&name, command, asked(apart.is_some(), listen, admin), &folder).await?;
        Ok(Replica { client, admin, name, binary, config, environment, apart, folder, process })
    }

    /// Where clients connect.
    pub fn addr(&self) -> SocketAddr {
        self.client.addr()
    }

    /// Talks to it alone.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Its configuration.
    pub fn config(&self) -> &Path {
        &self.config
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
        let command = command(&self.binary, &self.config, &self.environment, apart);
        let asked = asked(apart.is_some(), self.addr(), self.admin);
        self.process = launch(&self.name, command, asked, &self.folder).await?;
        Ok(())
    }

    /// The same by another executable, such as another version's.
    pub async fn replace_by(&mut self, binary: &Binary) -> Result<()> {
        self.binary = binary.clone();
        self.replace().await
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

    /// A signal by name, such as `HUP`.
    pub fn signal(&self, name: &str) -> Result<()> {
        self.process.signal(name)
    }

    /// Replaces its configuration by what `change` makes of it, all at once, as orchestrators do.
    pub fn rewrite(&self, change: impl FnOnce(&str) -> String) -> Result<()> {
        let next = self.config.with_extension("next");
        std::fs::write(&next, change(&std::fs::read_to_string(&self.config)?))?;
        Ok(std::fs::rename(next, &self.config)?)
    }

    /// What its admin pages say of the cluster.
    pub async fn state(&self) -> Result<serde_json::Value> {
        let (status, body) = get(self.admin, "/admin/v1/state").await?;
        anyhow::ensure!(status == 200, "the admin page says {status}");
        Ok(serde_json::from_slice(&body)?)
    }

    /// The value of one of its metrics, summed over those series that hold all of `labels`.
    pub async fn metric(&self, name: &str, labels: &str) -> Result<f64> {
        let (_, body) = get(self.admin, "/metrics").await?;
        let text = String::from_utf8_lossy(&body).into_owned();
        let of_it = |line: &&str| line.split(['{', ' ']).next() == Some(name) && line.contains(labels);
        let values =
            text.lines().filter(of_it).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        Ok(values.sum())
    }

    /// Memory in use, bytes.
    pub fn memory(&self) -> Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.process.pid()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.map(|kib| kib << 10).context("no VmRSS")
    }

    /// Its whole log.
    pub fn log(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.folder.join(format!("{}.log", self.name)))?)
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

/// Whom to ask whether it is ready: operators, for what clients must say first differs.
fn asked(is_apart: bool, listen: SocketAddr, admin: SocketAddr) -> SocketAddr {
    if is_apart { listen } else { admin }
}

fn command(
    binary: &Binary,
    config: &Path,
    environment: &[(String, String)],
    apart: Option<&Apart>,
) -> Command {
    let mut command = apart.map_or_else(|| Command::new(&binary.path), |apart| apart.command(&binary.path));
    command.arg("serve").arg("--config").arg(config);
    command.env_remove("WEIR_CONTROL").envs(binary.control.map(|control| ("WEIR_CONTROL", control)));
    command.envs(environment.iter().cloned());
    command
}

async fn launch(name: &str, mut command: Command, asked: SocketAddr, folder: &Path) -> Result<Process> {
    let mut process = Process::start(name, &mut command, folder)?;
    process.wait_until(async || says_200(asked, "/readyz").await).await?;
    Ok(process)
}
