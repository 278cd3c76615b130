//! The command line of Weir.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::{Parser, Subcommand};
use weir::command::{keys, ready};
use weir::config::Config;
use weir::import::Sort;
use weir::shared::Snapshot;
use weir::{clock, life, plan, prices, sim};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EXIT_CODES: &str = "\
Exit codes: 0 all went well; 1 it did not (a mistake in the configuration, a port that is taken, ...); \
2 the command line is wrong; 3 `serve` was told to end and had to cut calls, for `drain_timeout` was over or it was told twice.";

/// An LLM gateway cluster: choosing the target and reserving every limit it touches are one atomic step.
#[derive(Parser)]
#[command(name = "weir", version, about, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Cmd,
}

#[derive(Subcommand)]
enum Cmd {
    /// Serve calls. SIGHUP, or a change of a file, reloads the configuration; SIGTERM drains, twice cuts.
    #[command(after_help = EXIT_CODES)]
    Serve {
        /// The configuration.
        #[arg(long, env = "WEIR_CONFIG")]
        config: PathBuf,
        /// Name of this replica; the host's name and a random part if absent.
        #[arg(long, env = "WEIR_REPLICA")]
        replica: Option<String>,
    },
    /// Ask a replica whether it takes calls: exit code 0 if it does.
    Ready(ready::Options),
    /// Check a configuration: every problem with its place; exit code 1 if there is any.
    Check {
        /// The configuration.
        #[arg(long, env = "WEIR_CONFIG")]
        config: PathBuf,
    },
    /// Translate another gateway's configuration; what cannot be translated is listed on standard error.
    Import {
        #[command(subcommand)]
        command: ImportCmd,
    },
    /// Print the JSON Schema of configurations, for editors that complete and check TOML.
    Schema,
    /// Keys of tenants: make, list, rotate and revoke them while replicas run.
    Keys {
        #[command(subcommand)]
        command: keys::Command,
    },
    /// What deployments cost.
    Prices {
        #[command(subcommand)]
        command: PricesCmd,
    },
    /// Simulate the cluster: what a configuration does with a load, and which limits to enlarge.
    Simulate(Box<plan::command::Options>),
    /// Everything in one process, to look at: fake providers, replicas, load and a live view. Needs nothing.
    Demo(sim::demo::Options),
    /// One strict fake provider, for tests and trials.
    Provider(Box<sim::provider::Options>),
}

#[derive(Subcommand)]
enum PricesCmd {
    /// Print the price of every deployment: what it is, where it is from, and when it changes.
    Show {
        /// The configuration.
        #[arg(long, env = "WEIR_CONFIG")]
        config: PathBuf,
    },
    /// Take a table of prices (of the form of config/prices.toml, or LiteLLM's JSON), print what is other in it, and write it.
    Update {
        /// Where it is: a file, or an https URL.
        #[arg(long, value_name = "FILE|URL")]
        from: String,
        /// The file to be written, which is the one that the configuration names as `prices`; without it nothing is written.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// A configuration: nothing is written if one of its deployments would lose its price.
        #[arg(long)]
        config: Option<PathBuf>,
    },
}

#[derive(Subcommand)]
enum ImportCmd {
    /// A LiteLLM proxy's `config.yaml`. Exit code 1 only if it cannot be read.
    Litellm {
        /// The file; `-` for standard input.
        file: PathBuf,
        /// Where Weir's configuration goes; standard output if absent.
        #[arg(long)]
        out: Option<PathBuf>,
        /// Write over a file that is there already.
        #[arg(long, requires = "out")]
        force: bool,
    },
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
        Cmd::Ready(options) => {
            runtime()?.block_on(ready::run(options))?;
            Ok(ExitCode::SUCCESS)
        }
        Cmd::Keys { command } => {
            runtime()?.block_on(keys::run(command))?;
            Ok(ExitCode::SUCCESS)
        }
        Cmd::Prices { command } => prices_cmd(command),
        Cmd::Schema => {
            println!("{:#}", weir::config::schema::schema());
            Ok(ExitCode::SUCCESS)
        }
        Cmd::Import { command } => import(&command),
        Cmd::Simulate(options) => {
            let went_well = plan::command::run(&options)?;
            Ok(if went_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Cmd::Demo(options) => {
            let held = runtime()?.block_on(sim::demo::run(options))?;
            Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Cmd::Provider(options) => {
            runtime()?.block_on(sim::provider::serve(*options))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// A single-threaded runtime: calls are served by the workers' own.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

fn check(path: &Path) -> ExitCode {
    let config = match Config::load(path) {
        Ok(config) => config,
        Err(report) => {
            eprintln!("{report}");
            return ExitCode::FAILURE;
        }
    };
    // What the environment says, not the file: credentials that are found there.
    match Snapshot::new(config, "", None) {
        Ok(Snapshot { config, .. }) => {
            for caution in config.cautions() {
                eprintln!("{}: warning: {caution}", path.display());
            }
            println!(
                "{}: no problems; {} models, {} deployments",
                path.display(),
                config.models.len(),
                config.deployments.len()
            );
            ExitCode::SUCCESS
        }
        Err(err) => {
            eprintln!("{}: {err:#}", path.display());
            ExitCode::FAILURE
        }
    }
}

fn import(command: &ImportCmd) -> anyhow::Result<ExitCode> {
    let ImportCmd::Litellm { file, out, force } = command;
    let (name, text) = match file == Path::new("-") {
        true => ("standard input".to_owned(), std::io::read_to_string(std::io::stdin())),
        false => (file.display().to_string(), std::fs::read_to_string(file)),
    };
    let text = text.with_context(|| format!("{name} cannot be read"))?;
    let imported = weir::import::litellm(&name, &text).map_err(|err| match err.line {
        Some(_) => anyhow!("{name}:{err}"),
        None => anyhow!("{name}: {err}"),
    })?;
    match out {
        Some(out) => write_new(out, &imported.toml, *force)?,
        None => print!("{}", imported.toml),
    }
    for note in &imported.notes {
        eprintln!("{name}:{note}");
    }
    let count = |sort| imported.notes.iter().filter(|note| note.sort == sort).count();
    let (left, differs, todo) = (count(Sort::Left), count(Sort::Differs), count(Sort::ToDo));
    eprintln!(
        "{name}: {left} not translated, {differs} differ, {todo} to do; the list stands at the end of the file as well"
    );
    Ok(ExitCode::SUCCESS)
}

fn prices_cmd(command: PricesCmd) -> anyhow::Result<ExitCode> {
    let load = |path: &Path| Config::load(path).map_err(|report| eprintln!("{report}"));
    match command {
        PricesCmd::Show { config } => {
            let Ok(config) = load(&config) else { return Ok(ExitCode::FAILURE) };
            println!("{}", prices::show(&config, clock::unix_now()));
        }
        PricesCmd::Update { from, out, config } => {
            let config = config.as_deref().map(load).transpose();
            let Ok(config) = config else { return Ok(ExitCode::FAILURE) };
            rustls::crypto::ring::default_provider().install_default().ok(); // a second call keeps the first
            let update = prices::update(&from, out.as_deref(), config.as_ref(), clock::unix_now());
            println!("{}", runtime()?.block_on(update)?);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A file that may not be there yet, for it may be edited by hand, or be the one that was read.
fn write_new(path: &Path, text: &str, force: bool) -> anyhow::Result<()> {
    use std::io::Write as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(force).create_new(!force);
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|err| match err.kind() {
        std::io::ErrorKind::AlreadyExists => {
            anyhow!("{} is there already: --force writes over it", path.display())
        }
        _ => anyhow!("{} cannot be written: {err}", path.display()),
    })
}

fn serve(path: PathBuf, replica: Option<String>) -> anyhow::Result<ExitCode> {
    rustls::crypto::ring::default_provider().install_default().ok(); // a second call keeps the first
    let runtime = runtime()?;
    let code = runtime.block_on(life::serve(path, replica.unwrap_or_else(replica_name)));
    runtime.shutdown_background(); // a file that hangs does not hold the end
    code
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
