//! A child process with a log, ended by its own pid and killed when dropped.

use std::collections::BTreeSet;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Time for a process to begin to answer.
const READY_WITHIN: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(20);

/// A running process.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    child: Child,
}

impl Process {
    /// Starts `command` with its output in `folder/NAME.log` (appended to: a name may be started again).
    pub fn start(name: &str, command: &mut Command, folder: &Path) -> Result<Process> {
        let log = folder.join(format!("{name}.log"));
        let out = File::options().create(true).append(true).open(&log)?;
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().with_context(|| format!("{program} cannot be started"))?;
        Ok(Process { name: name.to_owned(), log, child })
    }

    /// Waits until `answers` says yes; fails when the process ends before or the time is over.
    pub async fn wait_until(&mut self, mut answers: impl AsyncFnMut() -> bool) -> Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended at once with {status}:\n{}", self.name, self.tail());
            }
            if answers().await {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("{} did not answer within {READY_WITHIN:?}:\n{}", self.name, self.tail());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Sends a signal by name, such as `TERM`, `STOP`, `CONT`.
    pub fn signal(&self, name: &str) -> Result<()> {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status()?;
        if !status.success() {
            bail!("kill -{name} {} failed", self.name);
        }
        Ok(())
    }

    /// Its end, if that comes in time.
    pub async fn end_within(&mut self, time: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + time;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("{} has not ended within {time:?}:\n{}", self.name, self.tail());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The last lines of its log, indented.
    pub fn tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let last = &lines[lines.len().saturating_sub(30)..];
        last.iter().map(|line| format!("    | {line}\n")).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // An error means that it has ended already.
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Waits until `check` says yes; fails when that takes too long, with the last reason. An error is taken for "not yet": what must
/// hold all the time does not belong in here.
pub async fn eventually(what: &str, mut check: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        let answer = check().await;
        match answer {
            Ok(true) => return Ok(()),
            Err(error) if Instant::now() > deadline => {
                return Err(error).with_context(|| format!("no {what} within {READY_WITHIN:?}"));
            }
            Ok(false) if Instant::now() > deadline => bail!("no {what} within {READY_WITHIN:?}"),
            Ok(false) | Err(_) => tokio::time::sleep(POLL).await,
        }
    }
}

/// A loopback port that nobody listens on and that was not given out before, below the range from which the kernel
/// draws ports of outgoing connections.
pub fn free_port() -> Result<u16> {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..1_000 {
        let port = fastrand::u16(20_000..32_000);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() && given.insert(port) {
            return Ok(port);
        }
    }
    bail!("no free port")
}

/// `127.0.0.1:port`.
pub fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Does something listen there?
pub fn accepts(addr: SocketAddr) -> bool {
    TcpStream::connect_timeout(&addr, Duration::from_millis(300)).is_ok()
}
