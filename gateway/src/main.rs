//! The command line of Weir.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use weir::app::{self, Backend};
use weir::config::Config;
use weir::{auth, sim, telemetry};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// An LLM gateway cluster: choosing the target and reserving every limit it touches are one atomic step.
#[derive(Parser)]
#[command(name = "weir", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Cmd,
}

#[derive(Subcommand)]
enum Cmd {
    /// Serve calls.
    Serve {
        /// The configuration.
        #[arg(long, env = "WEIR_CONFIG")]
        config: PathBuf,
        /// Name of this replica; the host's name and a random part if absent.
        #[arg(long, env = "WEIR_REPLICA")]
        replica: Option<String>,
    },
    /// Check a configuration: every problem with its place; exit code 1 if there is any.
    Check {
        /// The configuration.
        #[arg(long, env = "WEIR_CONFIG")]
        config: PathBuf,
    },
    /// Keys of tenants.
    Keys {
        #[command(subcommand)]
        command: KeysCmd,
    },
    /// Everything in one process, to look at: fake providers, replicas, load and a live view. Needs nothing.
    Demo(sim::demo::Options),
    /// One strict fake provider, for tests and trials.
    Provider(sim::provider::Options),
}

#[derive(Subcommand)]
enum KeysCmd {
    /// Print the hash of a key for `tenants.keys`; the key is read from standard input.
    Hash,
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(err) => {
            eprintln!("weir: error: {err:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Cmd::Serve { config, replica } => serve(config, replica),
        Cmd::Check { config } => Ok(check(&config)),
        Cmd::Keys { command: KeysCmd::Hash } => {
            let mut key = String::new();
            std::io::stdin().read_line(&mut key)?;
            println!("{}", auth::hash(key.trim_end_matches(['\r', '\n'])));
            Ok(ExitCode::SUCCESS)
        }
        Cmd::Demo(options) => {
            let held = runtime()?.block_on(sim::demo::run(options))?;
            Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Cmd::Provider(options) => {
            runtime()?.block_on(sim::provider::serve(options))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// A single-threaded runtime: calls are served by the workers' own.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

fn check(path: &std::path::Path) -> ExitCode {
    match Config::load(path) {
        Ok(config) => {
            println!(
                "{}: no problems; {} models, {} deployments",
                path.display(),
                config.models.len(),
                config.deployments.len()
            );
            ExitCode::SUCCESS
        }
        Err(report) => {
            eprintln!("{report}");
            ExitCode::FAILURE
        }
    }
}

/// As many file descriptors as the system lets a process have: a connection takes one, a stream two, and the usual soft
/// limit of 1024 is meant for programs that use `select`.
fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let all = Rlimit { current: limit.maximum, ..limit };
    if let Err(err) = setrlimit(Resource::Nofile, all) {
        tracing::warn!(target: "weir::app", error = %err, "the limit of file descriptors stays as it is");
    }
}

fn serve(path: PathBuf, replica: Option<String>) -> anyhow::Result<ExitCode> {
    let config = match Config::load(&path) {
        Ok(config) => config,
        Err(report) => {
            eprintln!("{report}");
            return Ok(ExitCode::FAILURE);
        }
    };
    let _log = telemetry::log::install();
    raise_descriptors();
    rustls::crypto::ring::default_provider().install_default().ok(); // a second call keeps the first
    runtime()?.block_on(async {
        let replica = replica.unwrap_or_else(replica_name);
        let running = app::start(config, replica, Backend::Configured, 0).await?;
        tracing::info!(target: "weir::app", listen = %running.listen, admin = %running.admin, "serving");
        until_told().await?;
        tracing::info!(target: "weir::app", "draining");
        running.shutdown().await?;
        tracing::info!(target: "weir::app", "ended");
        Ok(ExitCode::SUCCESS)
    })
}

/// SIGTERM or SIGINT.
async fn until_told() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
    Ok(())
}

/// Unique per process: a replica that restarts is another one, and the old one's holds expire.
fn replica_name() -> String {
    let host = std::env::var("HOSTNAME").ok().or_else(|| std::fs::read_to_string("/etc/hostname").ok());
    let host: String = host
        .unwrap_or_default()
        .trim()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' })
        .take(40)
        .collect();
    let host = if host.is_empty() { "weir".to_owned() } else { host };
    format!("{host}-{:06x}", fastrand::u32(..1 << 24))
}
