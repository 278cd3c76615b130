//! What `weir simulate` says of a cluster beside what the cluster does: a replica's own file is simulated with the load that the real
//! replicas get, first as it is described, then as their logs have it.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_tests::client::{Answer, Ask};
use weir_tests::load::{Load, Phase};
use weir_tests::place;
use weir_tests::process::eventually;
use weir_tests::provider::Upstream;
use weir_tests::scale::Scale;
use weir_tests::site::{Plan, Site};

use crate::in_turn;

/// The provider's limit, calls per second.
const RATE: f64 = 50.0;
/// Windows of so many seconds.
const WINDOW: u64 = 4;
/// What a call takes at the provider: long beside what the way there takes.
const SERVICE: Duration = Duration::from_millis(400);
const QUEUE: &str = "{ max = 20, wait = \"3s\" }";

/// How far the simulated may be from the real: of the share that is served, and of the wait that 95 in 100 stay within.
const SHARE: f64 = 0.03;
const WAIT: f64 = 0.15;
/// Waits are not told apart below this: the real clock has the state's answers and the scheduler in it.
const DUST: Duration = Duration::from_millis(20);

/// Calls as far apart as the rate says, of which the first seconds are not counted.
#[derive(Clone, Copy)]
struct Offered {
    rate: f64,
    warm_up: u64,
    counted: u64,
}

impl Offered {
    /// The load as `weir simulate` reads it.
    fn described(self) -> String {
        let Offered { rate, warm_up, counted } = self;
        format!(
            "duration = \"{counted}s\"\nwarm_up = \"{warm_up}s\"\nreplicas = 3\n[service]\nseconds = {}\n\
             [[calls]]\nmodel = \"m\"\nrps = {rate:?}\neven = true\nmax_tokens = 8\noutput_tokens = 8\n",
            SERVICE.as_secs_f64()
        )
    }
}

/// What came of the calls that are counted.
#[derive(Debug)]
struct Came {
    /// Of them all, the share that was served.
    share: f64,
    /// What 95 in 100 of those waited for room at most.
    wait: Duration,
}

impl Came {
    fn like(&self, real: &Came) -> bool {
        let wait = self.wait.abs_diff(real.wait);
        (self.share / real.share - 1.0).abs() <= SHARE && wait <= real.wait.mul_f64(WAIT).max(DUST)
    }
}

async fn compare(name: &str, limit: impl FnOnce(&mut Upstream), offered: Offered) -> Result<Came> {
    let mut provider = Upstream::new("p").behaving(&format!("--output 8 --latency {SERVICE:?} --pace 0ms"));
    limit(&mut provider);
    let scale = Scale::of(Duration::from_secs(WINDOW));
    let site = Site::start(Plan { queue: QUEUE.into(), scale, ..Plan::new(name, vec![provider]) }).await?;
    let time = Duration::from_secs(offered.warm_up + offered.counted);
    let phase = Phase { time, rate: offered.rate };
    let load = Load::start(site.client.clone(), 0, &[phase], |_| Ask::new("m").max_tokens(8));
    let answers = load.finish().await;
    let log = calls(&site, answers.len()).await?;
    let real = came(&answers, offered, &log)?;

    let folder = place::folder(&format!("{name}-load"))?;
    let (mix, played) = (folder.join("mix.toml"), folder.join("calls.log"));
    std::fs::write(&mix, offered.described())?;
    std::fs::write(&played, log.join("\n"))?;
    for load in [&mix, &played] {
        let simulated = simulate(site.replicas[0].config(), load, offered)?;
        println!("{name}: {real:?}; simulated: {simulated:?}");
        ensure!(simulated.like(&real), "{}: {simulated:?}, but it came to {real:?}", load.display());
    }
    Ok(real)
}

/// The lines of so many calls in the replicas' logs; they are written a moment after the answers.
async fn calls(site: &Site, count: usize) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    eventually("every call's line in a log", async || {
        lines.clear();
        for replica in &site.replicas {
            let log = replica.log()?;
            lines.extend(log.lines().filter(|line| line.contains("\"weir::call\"")).map(str::to_owned));
        }
        Ok(lines.len() == count)
    })
    .await?;
    Ok(lines)
}

/// What the clients saw, and how long calls waited by the logs.
fn came(answers: &[Answer], offered: Offered, log: &[String]) -> Result<Came> {
    let mut waited: HashMap<String, f64> = HashMap::new();
    for line in log {
        let line: Value = serde_json::from_str(line)?;
        let id = line["request_id"].as_str().context("a call without a name")?;
        waited.insert(id.to_owned(), line["waited_ms"].as_f64().unwrap_or(0.0));
    }
    let begun = answers.first().context("no answers")?.sent_us + offered.warm_up * 1_000_000;
    let counted: Vec<&Answer> = answers.iter().filter(|answer| answer.sent_us >= begun).collect();
    let odd = counted.iter().find(|answer| ![200, 429].contains(&answer.status));
    ensure!(odd.is_none(), "{odd:?}");
    let served = counted.iter().filter(|answer| answer.status == 200);
    let wait = |answer: &&Answer| waited.get(answer.header("x-request-id")).copied().context("no line");
    let mut waits = served.map(wait).collect::<Result<Vec<f64>>>()?;
    waits.sort_by(f64::total_cmp);
    let p95 = waits.get(waits.len() * 95 / 100).context("nothing was served")?;
    Ok(Came { share: waits.len() as f64 / counted.len() as f64, wait: Duration::from_secs_f64(p95 / 1e3) })
}

fn simulate(config: &Path, load: &Path, offered: Offered) -> Result<Came> {
    let mut command = Command::new(place::weir()?);
    command.args(["simulate", "--json", "--runs", "0", "--replicas", "3"]);
    command.arg("--config").arg(config).arg("--load").arg(load);
    command.arg("--warm-up").arg(format!("{}s", offered.warm_up));
    command.env("LISTEN", "127.0.0.1:1").env("ADMIN_LISTEN", "127.0.0.1:2"); // what replicas have there
    let told = command.output()?;
    ensure!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let told: Value = serde_json::from_slice(&told.stdout)?;
    let number = |value: &Value| value.as_f64().context("not a number");
    let (share, wait) = (number(&told["total"]["share"])?, number(&told["total"]["wait_ms"][2])?);
    Ok(Came { share, wait: Duration::from_secs_f64(wait / 1e3) })
}

fn requests(provider: &mut Upstream) {
    provider.rpm = Some(RATE as u64 * WINDOW);
}

/// Broken on purpose to see it fail: the time of a window taken for ten times as long (`State::step`'s time in `World::ms`).
#[test]
fn within_limits_everything_is_served_at_once_as_simulated() -> Result<()> {
    in_turn(async {
        let offered = Offered { rate: 0.8 * RATE, warm_up: 4, counted: 5 };
        let real = compare("simulated-within", requests, offered).await?;
        ensure!(real.share == 1.0 && real.wait < DUST, "{real:?}");
        Ok(())
    })
}

/// Broken on purpose to see it fail: a queue of half as many simulated; a served call's wait counted from when it asked last.
#[test]
fn at_twice_a_limit_calls_wait_and_are_refused_as_simulated() -> Result<()> {
    in_turn(async {
        let offered = Offered { rate: 2.0 * RATE, warm_up: 8, counted: 16 };
        let real = compare("simulated-twice", requests, offered).await?;
        ensure!(real.share < 0.6 && real.wait > 10 * DUST, "void: {real:?}");
        Ok(())
    })
}

/// Broken on purpose to see it fail: what is given back told with the next SYNC in its time, not early (`World::ring`).
#[test]
fn at_twice_what_may_be_in_flight_calls_wait_and_are_refused_as_simulated() -> Result<()> {
    in_turn(async {
        let at_once = |provider: &mut Upstream| {
            provider.concurrency = Some((RATE * SERVICE.as_secs_f64()) as u64);
        };
        let offered = Offered { rate: 2.0 * RATE, warm_up: 6, counted: 12 };
        let real = compare("simulated-in-flight", at_once, offered).await?;
        ensure!(real.share < 0.6 && real.wait > 10 * DUST, "void: {real:?}");
        Ok(())
    })
}
