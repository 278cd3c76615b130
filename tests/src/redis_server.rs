//! A `redis-server` of the test's own, without persistence unless a test wants it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use redis::FromRedisValue;

use crate::client::unix_us;
use crate::clock::Clock;
use crate::process::{Process, accepts, free_port, local};

/// A Redis that can be killed, frozen and started again at the same address.
#[derive(Debug)]
pub struct Redis {
    addr: SocketAddr,
    /// Where replicas connect.
    pub front: SocketAddr,
    name: String,
    arguments: Vec<String>,
    folder: PathBuf,
    clock: Option<Clock>,
    process: Process,
}

impl Redis {
    /// Starts one on a free port of `host`, by the machine's clock or by one of its own.
    pub async fn start(host: Ipv4Addr, clock: Option<Clock>, folder: &Path) -> Result<Redis> {
        let addr = SocketAddr::from((host, free_port()?));
        Redis::start_at(addr, addr, "redis", &[], clock, folder).await
    }

    /// Starts one called `name` with further arguments; its files are in a folder of that name.
    pub async fn start_as(name: &str, arguments: &[String], folder: &Path) -> Result<Redis> {
        let addr = local(free_port()?);
        Redis::start_at(addr, addr, name, arguments, None, folder).await
    }

    /// Starts one that replicas reach with TLS at `front`, as `arguments` say.
    pub async fn start_secure(
        front: SocketAddr,
        arguments: &[String],
        clock: Option<Clock>,
        folder: &Path,
    ) -> Result<Redis> {
        let addr = SocketAddr::from((front.ip(), free_port()?));
        Redis::start_at(addr, front, "redis", arguments, clock, folder).await
    }

    async fn start_at(
        addr: SocketAddr,
        front: SocketAddr,
        name: &str,
        arguments: &[String],
        clock: Option<Clock>,
        folder: &Path,
    ) -> Result<Redis> {
        std::fs::create_dir_all(folder.join(name))?;
        let process = launch(addr, name, arguments, clock.as_ref(), folder).await?;
        let (name, arguments) = (name.to_owned(), arguments.to_vec());
        Ok(Redis { addr, front, name, arguments, folder: folder.to_owned(), clock, process })
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

    /// SIGKILL: everything is lost that is on no disk.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Starts it again at the same address: empty, or with what it has written down.
    pub async fn restart(&mut self) -> Result<()> {
        self.process =
            launch(self.addr, &self.name, &self.arguments, self.clock.as_ref(), &self.folder).await?;
        Ok(())
    }

    /// From now on it writes down what it is told, once a second, as one does that shall remember.
    pub fn remember(&mut self) -> Result<()> {
        self.ask::<()>(&["CONFIG", "SET", "appendonly", "yes"])?;
        self.arguments.extend(["--appendonly", "yes"].map(str::to_owned));
        Ok(())
    }

    /// From now on it writes nothing down, and what it wrote is not read again.
    pub fn remember_nothing(&mut self) -> Result<()> {
        self.ask::<()>(&["CONFIG", "SET", "appendonly", "no"])?;
        if let Some(at) = self.arguments.iter().position(|argument| argument == "--appendonly") {
            self.arguments.drain(at..at + 2); // with its value, which others have as well
        }
        Ok(())
    }

    /// FLUSHALL: everything is lost, and connections stay.
    pub fn flush(&self) -> Result<()> {
        self.ask(&["FLUSHALL"])
    }

    /// SCRIPT FLUSH: the data stay, and no script is known by its hash.
    pub fn forget_scripts(&self) -> Result<()> {
        self.ask(&["SCRIPT", "FLUSH"])
    }

    /// Steps its clock, which must be its own.
    pub fn step_clock(&mut self, ms: i64) -> Result<()> {
        let clock = self.clock.as_mut().context("this Redis goes by the machine's clock")?;
        clock.step(ms)?;
        let (told_ms, offset_ms) = (self.time_ms()?, self.clock.as_ref().map_or(0, Clock::offset_ms));
        let off = told_ms - (unix_us() / 1_000) as i64 - offset_ms;
        ensure!(
            off.abs() < 500,
            "void: a step of {ms} ms left Redis {off} ms from where its clock should be"
        );
        Ok(())
    }

    fn time_ms(&self) -> Result<i64> {
        let (seconds, micros): (i64, i64) = self.ask(&["TIME"])?;
        Ok(seconds * 1_000 + micros / 1_000)
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

async fn launch(
    addr: SocketAddr,
    name: &str,
    arguments: &[String],
    clock: Option<&Clock>,
    folder: &Path,
) -> Result<Process> {
    let mut command = Command::new("redis-server");
    command.args(["--bind", &addr.ip().to_string(), "--port", &addr.port().to_string()]);
    if !addr.ip().is_loopback() {
        command.args(["--protected-mode", "no"]); // it listens where a namespace of this machine reaches it
    }
    clock.into_iter().for_each(|clock| clock.rule(&mut command));
    command.args(["--save", "", "--appendonly", "no", "--dir"]).arg(folder.join(name));
    command.args(arguments);
    let mut process = Process::start(name, &mut command, folder).context("is redis-server installed?")?;
    process.wait_until(async || accepts(addr)).await?;
    Ok(process)
}
