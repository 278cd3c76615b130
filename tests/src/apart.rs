//! A network namespace for one process: it reaches this machine over a veth pair, and the test can drop what goes
//! to a port here, what comes back from it, or both. Needs root.

use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

use anyhow::{Context, Result, bail};

/// What of a connection is dropped on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Both directions.
    Both,
    /// What the process says: nothing arrives, so nothing is answered either.
    Requests,
    /// What it would hear: its commands are carried out, and it never learns of it.
    Replies,
}

/// A namespace; removed with its rules and its link when dropped.
#[derive(Debug)]
pub struct Apart {
    name: String,
    link: String,
    host: Ipv4Addr,
    inside: Ipv4Addr,
}

impl Apart {
    /// Makes one with addresses that no other of this process, and hardly another process, has.
    pub fn make() -> Result<Apart> {
        static COUNT: AtomicU8 = AtomicU8::new(0);
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let count = COUNT.fetch_add(1, Ordering::Relaxed) % 64;
        let address = |last| Ipv4Addr::new(10, 192 | (high & 63), low, 4 * count + last);
        let id = format!("{}-{count}", std::process::id());
        let (name, link) = (format!("weir-{id}"), format!("w{id}"));
        let apart = Apart { name, link, host: address(1), inside: address(2) };
        apart.build().context("a network namespace needs root, iproute2 and iptables")?;
        Ok(apart)
    }

    fn build(&self) -> Result<()> {
        let Apart { name, link, host, inside } = self;
        ip(&format!("netns add {name}"))?;
        ip(&format!("link add {link} type veth peer name weir0 netns {name}"))?;
        ip(&format!("addr add {host}/30 dev {link}"))?;
        ip(&format!("link set {link} up"))?;
        ip(&format!("-n {name} addr add {inside}/30 dev weir0"))?;
        ip(&format!("-n {name} link set weir0 up"))?;
        ip(&format!("-n {name} link set lo up"))?;
        self.mend() // shows that iptables works here
    }

    /// This machine as seen from inside, and from outside as well.
    pub fn host(&self) -> Ipv4Addr {
        self.host
    }

    /// Where a process inside can listen.
    pub fn inside(&self) -> Ipv4Addr {
        self.inside
    }

    /// A command that will run inside.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("ip"); // it becomes `program`: the process number is the program's
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Drops what goes between inside and `port` of this machine, without a word to either.
    pub fn cut(&self, port: u16, cut: Cut) -> Result<()> {
        if cut != Cut::Replies {
            self.iptables(&format!("-A OUTPUT -p tcp --dport {port} -j DROP"))?;
        }
        if cut != Cut::Requests {
            self.iptables(&format!("-A INPUT -p tcp --sport {port} -j DROP"))?;
        }
        Ok(())
    }

    /// Ends every cut.
    pub fn mend(&self) -> Result<()> {
        self.iptables("-F")
    }

    fn iptables(&self, rule: &str) -> Result<()> {
        ip(&format!("netns exec {} iptables -w {rule}", self.name))
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        // What was not made cannot be removed, and a namespace in use goes with its last process.
        let _ = ip(&format!("link del {}", self.link));
        let _ = ip(&format!("netns del {}", self.name));
    }
}

/// May this process make namespaces?
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

fn ip(arguments: &str) -> Result<()> {
    let output =
        Command::new("ip").args(arguments.split_whitespace()).output().context("is iproute2 installed?")?;
    if !output.status.success() {
        bail!("ip {arguments}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
