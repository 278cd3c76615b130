//! A collector that is not ours: Rotel, from PyPI. It takes what replicas tell, and tells it on to the judge.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::process::{Process, accepts, free_port, local};

/// A running Rotel.
#[derive(Debug)]
pub struct Rotel {
    /// Where gRPC is spoken.
    pub grpc: SocketAddr,
    /// Where HTTP is spoken.
    pub http: SocketAddr,
    executable: PathBuf,
    judge: SocketAddr,
    folder: PathBuf,
    process: Process,
}

impl Rotel {
    /// Its executable, if `tests/run` has installed it (`WEIR_ROTEL`).
    pub fn installed() -> Option<PathBuf> {
        std::env::var_os("WEIR_ROTEL").map(PathBuf::from)
    }

    /// Starts one that tells everything on to `judge`, over gRPC.
    pub async fn start(executable: &Path, judge: SocketAddr, folder: &Path) -> Result<Rotel> {
        let (grpc, http) = (local(free_port()?), local(free_port()?));
        let process = launch(executable, (grpc, http), judge, folder).await?;
        let (executable, folder) = (executable.to_owned(), folder.to_owned());
        Ok(Rotel { grpc, http, executable, judge, folder, process })
    }

    /// A new process in place of the one that was killed.
    pub async fn restart(&mut self) -> Result<()> {
        self.process = launch(&self.executable, (self.grpc, self.http), self.judge, &self.folder).await?;
        Ok(())
    }

    /// SIGKILL.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// SIGSTOP: it stands still, and its connections stay open.
    pub fn freeze(&self) -> Result<()> {
        self.process.signal("STOP")
    }

    /// SIGCONT.
    pub fn thaw(&self) -> Result<()> {
        self.process.signal("CONT")
    }
}

async fn launch(
    executable: &Path,
    (grpc, http): (SocketAddr, SocketAddr),
    judge: SocketAddr,
    folder: &Path,
) -> Result<Process> {
    let mut command = Command::new(executable);
    command.args(["start", "--otlp-grpc-endpoint", &grpc.to_string()]);
    command.args(["--otlp-http-endpoint", &http.to_string(), "--batch-timeout", "200ms"]);
    command.args(["--exporter", "otlp", "--otlp-exporter-protocol", "grpc"]);
    command.args(["--otlp-exporter-endpoint", &format!("http://{judge}")]);
    let mut process = Process::start("rotel", &mut command, folder)?;
    process.wait_until(async || accepts(grpc) && accepts(http)).await?;
    Ok(process)
}
