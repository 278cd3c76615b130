//! `weir simulate`: reads, simulates, prints.

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use clap::Args;

use super::advice::{self, Factors};
use super::draws::{Pattern, Size};
use super::load::{Load, Source};
use super::mix::{self, Mix};
use super::record::Record;
use super::report::{Report, report};
use super::service::{Service, Us};
use super::world::{Setting, World};
use super::{page, text};
use crate::clock::unix_now;
use crate::config::Config;

/// What is simulated.
#[derive(Args, Debug)]
pub struct Options {
    /// The configuration; secrets in it need not be at hand.
    #[arg(long, env = "WEIR_CONFIG")]
    pub config: PathBuf,
    /// The load: a mix described in TOML (FILE ends in .toml), or a log of Weir's, of which the lines of calls are played again.
    #[arg(long, value_name = "FILE", required_unless_present = "rps")]
    pub load: Option<PathBuf>,
    /// So many times the load.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = positive)]
    pub times: f64,
    /// A mix in a few words: so many calls a second,
    #[arg(long, value_name = "N", conflicts_with = "load", requires = "model", value_parser = positive)]
    pub rps: Option<f64>,
    /// for this model; several are asked for in turn,
    #[arg(long, value_name = "NAME", requires = "rps")]
    pub model: Vec<String>,
    /// each of so many tokens of input,
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..1_000_000_000))]
    pub input_tokens: u64,
    /// and so many of output,
    #[arg(long, value_name = "N", default_value_t = 250, value_parser = clap::value_parser!(u64).range(1..1_000_000_000))]
    pub output_tokens: u64,
    /// which asks for so many at most (if it says so),
    #[arg(long, value_name = "N")]
    pub max_tokens: Option<u64>,
    /// takes so long whatever its size (else half a second to the first token, and a second for 50),
    #[arg(long, value_name = "SECONDS", value_parser = positive)]
    pub seconds: Option<f64>,
    /// and streams by so many.
    #[arg(long, value_name = "SHARE", default_value_t = 0.5, value_parser = share)]
    pub stream_share: f64,
    /// How many replicas; as `expected_replicas` says if absent, else 3.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub replicas: Option<u32>,
    /// Replicas are lent room for calls to come.
    #[arg(long)]
    pub leases: bool,
    /// For how long the load comes that is counted (of a log: all of it); 10 minutes if nothing says.
    #[arg(long = "for", value_name = "TIME", value_parser = some_time)]
    pub time: Option<Duration>,
    /// How long it comes before that; a minute and a half if nothing says, but not more than half of the time.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub warm_up: Option<Duration>,
    /// What chance begins with: the same seed, the same numbers.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// The share of the load that is to be served, in percent: what to enlarge for that is said.
    #[arg(long, value_name = "PERCENT", default_value_t = 99.9, value_parser = percent)]
    pub target: f64,
    /// How often it may be simulated anew to find what to enlarge; with 0 that is reckoned.
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub runs: u32,
    /// Write the report as a page with plots.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,
}

fn number(text: &str, is: impl Fn(f64) -> bool, due: &str) -> Result<f64, String> {
    text.parse().ok().filter(|n: &f64| n.is_finite() && is(*n)).ok_or_else(|| format!("expected {due}"))
}

fn positive(text: &str) -> Result<f64, String> {
    number(text, |n| n > 0.0 && n <= 1e9, "a number above 0")
}

fn some_time(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|err| err.to_string())?;
    if time.is_zero() { Err("expected a time above 0s".to_owned()) } else { Ok(time) }
}

fn share(text: &str) -> Result<f64, String> {
    number(text, |n| (0.0..=1.0).contains(&n), "a number from 0 to 1")
}

fn percent(text: &str) -> Result<f64, String> {
    number(text, |n| n > 0.0 && n <= 100.0, "a number above 0, 100 at most")
}

/// What is played: how, how long, and what is to be said of it.
struct Plan {
    load: Load,
    services: Vec<Service>,
    warm_up: Us,
    replicas: Option<usize>,
    seed: Option<u64>,
}

/// Simulates; false if the configuration or the load has mistakes, which are printed.
pub fn run(options: &Options) -> anyhow::Result<bool> {
    let Ok(config) = Config::load_to_plan(&options.config).map_err(|report| eprintln!("{report}")) else {
        return Ok(false);
    };
    let Some(plan) = plan(options, &config)? else { return Ok(false) };
    let expected = config.state.as_ref().map(|state| state.expected_replicas as usize);
    let set = Setting {
        replicas: options
            .replicas
            .map(|count| count as usize)
            .or(plan.replicas)
            .unwrap_or_else(|| expected.filter(|count| *count > 0).unwrap_or(3)),
        leases: options.leases || config.state.as_ref().is_some_and(|state| state.leases),
        services: plan.services,
        unix: unix_now(),
        seed: options.seed.or(plan.seed).unwrap_or(1),
        warm_up: plan.warm_up,
        config: Arc::new(config),
    };
    let wrong = |path: &PathBuf| format!("{} cannot be written", path.display());
    // Before what may take long.
    let html =
        options.html.as_ref().map(|path| File::create(path).with_context(|| wrong(path))).transpose()?;
    let report = simulate(&set, &plan.load, options)?;
    if let (Some(mut file), Some(path)) = (html, &options.html) {
        let page = page::page(&report, &options.config.display().to_string());
        file.write_all(page.as_bytes()).with_context(|| wrong(path))?;
    }
    let out = if options.json {
        format!("{}\n", serde_json::to_string_pretty(&report)?)
    } else {
        text::text(&report)
    };
    std::io::stdout().write_all(out.as_bytes()).context("standard output")?;
    Ok(true)
}

/// What the options ask to play; none if there are mistakes, which are printed.
fn plan(options: &Options, config: &Config) -> anyhow::Result<Option<Plan>> {
    let usual = vec![Service::default(); config.deployments.len()];
    let mix = match &options.load {
        None => Some(quick(options, config)?),
        Some(path) if path.extension().is_some_and(|end| end == "toml") => {
            let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
            let Ok(mix) = mix::read(path, &text, config).map_err(|report| eprintln!("{report}")) else {
                return Ok(None);
            };
            Some(mix)
        }
        Some(_) => None,
    };
    if let Some(mix) = mix {
        let time = options.time.or(mix.time).unwrap_or(Duration::from_secs(600));
        let warm_up = options.warm_up.or(mix.warm_up).unwrap_or_else(|| usual_warm_up(time));
        let rate = |source: Source| Source { rate: source.rate * options.times, ..source };
        let load = Load::mix(mix.sources.into_iter().map(rate).collect(), us(time + warm_up));
        let (services, replicas, seed) = (mix.services, mix.replicas, mix.seed);
        return Ok(Some(Plan { load, services, warm_up: us(warm_up), replicas, seed }));
    }
    let load = recorded(options.load.as_deref().unwrap_or(Path::new("")), options, config)?;
    let time = Duration::from_micros(load.until());
    let warm_up = options.warm_up.unwrap_or_else(|| usual_warm_up(time).min(time / 3));
    Ok(Some(Plan { load, services: usual, warm_up: us(warm_up), replicas: None, seed: None }))
}

/// Windows of a minute are full by then.
fn usual_warm_up(time: Duration) -> Duration {
    Duration::from_secs(90).min(time / 2)
}

fn us(time: Duration) -> Us {
    time.as_micros() as Us
}

/// The mix of the command line.
fn quick(options: &Options, config: &Config) -> anyhow::Result<Mix> {
    let rate = options.rps.unwrap_or(0.0) / options.model.len().max(1) as f64;
    let mut sources = Vec::new();
    for model in &options.model {
        anyhow::ensure!(
            config.find_model(model).is_some() || config.is_rule_name(model),
            "{} has no model `{model}`",
            options.config.display()
        );
        let tenants = mix::all_tenants(config, model);
        anyhow::ensure!(config.tenants.is_empty() || !tenants.is_empty(), "no tenant may use `{model}`");
        sources.push(Source {
            model: model.clone(),
            rate,
            pattern: Pattern::Constant,
            even: false,
            tenants,
            input: Size::Fixed(options.input_tokens),
            output: Size::Fixed(options.output_tokens),
            max_tokens: options.max_tokens,
            weighs: 1.0,
            stream_share: options.stream_share,
        });
    }
    let service = match options.seconds {
        Some(first) => Service { first, per_input: 0.0, per_output: 0.0, ..Service::default() },
        None => Service::default(),
    };
    let services = vec![service; config.deployments.len()];
    Ok(Mix { sources, services, time: None, warm_up: None, replicas: None, seed: None })
}

/// The calls of a log, as often as is asked for.
fn recorded(path: &Path, options: &Options, config: &Config) -> anyhow::Result<Load> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let mut record = Record::default();
    for line in BufReader::new(file).lines() {
        record.read(&line.with_context(|| path.display().to_string())?, config);
    }
    record.complete();
    let shown = path.display();
    if let Some((count, first)) = record.broken {
        eprintln!("{shown}:{first}: warning: no line of a log ({count} such lines are left out)");
    }
    for (what, count) in record.left_out() {
        eprintln!("{shown}: warning: left out: {count} calls of {what}");
    }
    if record.is_empty() {
        return Err(anyhow!("{shown}: no calls of models that {} has", options.config.display()));
    }
    Ok(record.load(options.times, options.seed.unwrap_or(1)))
}

/// Simulates, and again with larger pools until what is asked for is served, or as often as it may be.
fn simulate(set: &Setting, load: &Load, options: &Options) -> anyhow::Result<Report> {
    let (config, target) = (&*set.config, options.target / 100.0);
    let first = world(set.clone(), load, "")?;
    let mut told = report(set, &load.names, &first.tally, load.until());
    let (mut factors, mut runs, mut then) = (Factors::new(), 0, None);
    let mut tally = first.tally.clone();
    while advice::served(&tally) < target {
        let larger = advice::grown(config, &tally, &factors);
        if larger == factors || runs >= options.runs {
            // Reckoned, or what the last run had.
            factors = if runs == 0 { larger } else { factors };
            break;
        }
        runs += 1;
        let enlarged = Setting { config: Arc::new(advice::enlarged(config, &larger)), ..set.clone() };
        tally = world(enlarged, load, &format!(" with larger pools, {runs}"))?.tally;
        (factors, then) = (larger, Some(advice::served(&tally)));
    }
    told.advice = Some(advice::advice(config, (&told, &first.tally), target, (&factors, runs, then)));
    Ok(told)
}

/// One run, told of on a terminal.
fn world(set: Setting, load: &Load, what: &str) -> anyhow::Result<World> {
    let mut world = World::new(set, load.clone())?;
    let (begun, is_terminal) = (Instant::now(), std::io::stderr().is_terminal());
    let mut told = begun;
    world.run(&mut |world| {
        if is_terminal && told.elapsed() > Duration::from_millis(250) {
            told = Instant::now();
            let (now, until) = world.time();
            let per_second = world.tally.simulated as f64 / begun.elapsed().as_secs_f64();
            let done = 100.0 * now as f64 / until.max(1) as f64;
            eprint!(
                "\rsimulating{what}: {:.0} % ({} calls, {per_second:.0} a second) ",
                done.min(100.0),
                world.tally.simulated
            );
        }
        true
    });
    if is_terminal && told > begun {
        eprint!("\r\x1b[K");
    }
    Ok(world)
}
