//! Calls that wait for room, at three replicas in front of one provider: who goes first, for how long, and how many.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use weir_tests::client::{Answer, Ask};
use weir_tests::judge::Verdict;
use weir_tests::load::{Load, Phase, load_ended};
use weir_tests::provider::Upstream;
use weir_tests::scale::Scale;
use weir_tests::site::{Plan, Site};

use crate::in_turn;

/// The provider's limit, calls per second, in windows of [`WINDOW`].
const RATE: f64 = 100.0;
const WINDOW: Duration = Duration::from_secs(2);

/// What an answer itself may take, and a busy machine.
const SLACK: Duration = Duration::from_millis(250);

/// So many calls may wait at each replica, for so long.
#[derive(Clone, Copy)]
struct Queue {
    max: usize,
    wait: Duration,
}

impl Queue {
    fn of(max: usize, seconds: u64) -> Queue {
        Queue { max, wait: Duration::from_secs(seconds) }
    }

    fn written(self) -> String {
        format!("{{ max = {}, wait = \"{}s\" }}", self.max, self.wait.as_secs())
    }
}

/// A tenant: its name, which is its key as well, and further settings.
struct Tenant(&'static str, &'static str);

fn written(tenants: &[Tenant]) -> String {
    tenants
        .iter()
        .map(|Tenant(name, more)| {
            let key = hex::encode(Sha256::digest(name));
            format!("[[tenants]]\nname = \"{name}\"\nkeys = [\"sha256:{key}\"]\n{more}\n")
        })
        .collect()
}

async fn site(name: &str, tenants: &[Tenant], queue: Queue) -> Result<Site> {
    let tenants = written(tenants);
    let models = Some(format!("[[models]]\nname = \"m\"\ndeployments = [\"p\"]\n{tenants}"));
    let scale = Scale::of(WINDOW);
    let provider = Upstream {
        rpm: Some((RATE * WINDOW.as_secs_f64()) as u64),
        ..Upstream::new("p").behaving("--output 8 --latency 10ms --pace 0ms")
    };
    Site::start(Plan { models, queue: queue.written(), scale, ..Plan::new(name, vec![provider]) }).await
}

fn ask(tenant: &str) -> Ask {
    Ask::new("m").max_tokens(8).header("authorization", format!("Bearer {tenant}"))
}

/// What a tenant's calls of an overload came to.
struct Came {
    tenant: &'static str,
    answers: Vec<Answer>,
    /// So many were served while the load went on, whenever they were sent: who waits at its end is of no account.
    meanwhile: usize,
}

impl Came {
    fn served(&self) -> usize {
        self.answers.iter().filter(|answer| answer.status == 200).count()
    }

    /// The 95th percentile of how long answers took, seconds.
    fn p95(&self) -> f64 {
        let mut times: Vec<f64> = self.answers.iter().map(|answer| answer.took.as_secs_f64()).collect();
        times.sort_by(f64::total_cmp);
        times.get(times.len() * 95 / 100).copied().unwrap_or(0.0)
    }
}

/// A window at the limit, then for `seconds` so many calls per second of each tenant; what came of those of the latter that
/// were sent after the first `warm` seconds.
async fn overload(
    site: &Site,
    queue: Queue,
    rates: &[(&'static str, f64)],
    seconds: f64,
    warm: f64,
) -> Result<Vec<Came>> {
    let all: f64 = rates.iter().map(|(_, rate)| rate).sum();
    let loads: Vec<Load> = rates
        .iter()
        .map(|(tenant, rate)| {
            let even = Phase { time: WINDOW, rate: RATE * rate / all };
            let over = Phase { time: Duration::from_secs_f64(seconds), rate: *rate };
            Load::start(site.client.clone(), 0, &[even, over], |_| ask(tenant))
        })
        .collect();
    let mut came = Vec::new();
    for ((tenant, _), load) in rates.iter().zip(loads) {
        came.push(Came { tenant, answers: load.finish().await, meanwhile: 0 });
    }
    let ended = came.iter().map(|came| load_ended(&came.answers)).max().unwrap_or(0);
    Verdict::on(&site.providers, WINDOW, ended + 4_000_000).await?.must_be_clean()?;
    let began = ended - ((seconds - warm) * 1e6) as u64;
    for came in &mut came {
        let odd = came.answers.iter().find(|answer| ![200, 429].contains(&answer.status));
        ensure!(odd.is_none(), "{}: {odd:?}", came.tenant);
        let last = came.answers.iter().map(|answer| answer.sent_us).max().unwrap_or(0);
        let served = came.answers.iter().filter(|answer| answer.status == 200);
        let times = served.map(|answer| answer.sent_us + answer.took.as_micros() as u64);
        came.meanwhile = times.filter(|done| (began..last).contains(done)).count();
    }
    within_bounds(&came, queue)?;
    for came in &mut came {
        came.answers.retain(|answer| answer.sent_us >= began);
    }
    Ok(came)
}

/// Nobody waits for longer than may be, and no more at once, by the clients' clocks.
fn within_bounds(came: &[Came], queue: Queue) -> Result<()> {
    let mut turns: Vec<(u64, i64)> = Vec::new();
    for answer in came.iter().flat_map(|came| &came.answers) {
        let took = answer.took;
        ensure!(took < queue.wait + SLACK, "{took:?}: {answer:?}");
        if took > SLACK {
            // It has waited for this long at least; what the answer itself took is not counted.
            let waits = (took - SLACK).as_micros() as u64;
            turns.extend([(answer.sent_us, 1), (answer.sent_us + waits, -1)]);
        }
    }
    turns.sort_unstable();
    let (mut now, mut most) = (0, 0);
    turns.iter().for_each(|(_, turn)| (now, most) = (now + turn, most.max(now + turn)));
    println!("{most} waited at once");
    ensure!(most > 0 && most <= 3 * queue.max as i64, "{most} waited at once");
    Ok(())
}

/// Broken on purpose to see it fail: nobody yields; every call of weight 1; a queue thirty times as long.
#[test]
fn at_twice_the_limit_tenants_are_served_by_their_weights() -> Result<()> {
    in_turn(async {
        let tenants =
            [Tenant("one", "weight = 1"), Tenant("two", "weight = 2"), Tenant("four", "weight = 4")];
        let queue = Queue::of(40, 2);
        let site = site("queue-weights", &tenants, queue).await?;
        let each = 2.0 * RATE / 3.0;
        let came = overload(&site, queue, &[("one", each), ("two", each), ("four", each)], 11.0, 1.0).await?;
        let counts: Vec<usize> = came.iter().map(|came| came.meanwhile).collect();
        println!("queue-weights: {counts:?}");
        let all: usize = counts.iter().sum();
        ensure!(all as f64 > 0.9 * RATE * 9.0, "{counts:?}: room was left");
        for (count, weight) in counts.iter().zip([1.0, 2.0, 4.0]) {
            let due = all as f64 * weight / 7.0;
            ensure!((*count as f64 - due).abs() < due * 0.05, "{counts:?}: {count} where {due:.0} are due");
        }
        Ok(())
    })
}

/// Broken on purpose to see it fail: all of a limit left to calls of low priority.
#[test]
fn what_can_wait_uses_a_part_of_a_limit_though_nobody_else_calls() -> Result<()> {
    in_turn(async {
        let queue = Queue::of(100, 1);
        let site = site("queue-low", &[Tenant("low", "priority = \"low\"")], queue).await?;
        let came = overload(&site, queue, &[("low", 2.0 * RATE)], 6.0, 2.0).await?;
        let part = came[0].served() as f64 / (RATE * 4.0);
        println!("queue-low: {:.1} % of the limit", 100.0 * part);
        ensure!((0.60..0.72).contains(&part), "{part} of the limit where 0.7 are its");
        Ok(())
    })
}

/// Broken on purpose to see it fail: all of one rank.
#[test]
fn the_urgent_hardly_wait_and_what_can_wait_leaves_them_room() -> Result<()> {
    in_turn(async {
        let tenants = [
            Tenant("high", "priority = \"high\""),
            Tenant("normal", ""),
            Tenant("low", "priority = \"low\""),
        ];
        let queue = Queue::of(100, 3);
        let site = site("queue-priorities", &tenants, queue).await?;
        let rates = [("high", 0.6 * RATE), ("normal", RATE), ("low", 0.4 * RATE)];
        let came = overload(&site, queue, &rates, 5.0, 0.0).await?;
        let counts: Vec<usize> = came.iter().map(Came::served).collect();
        let waits: Vec<f64> = came.iter().map(Came::p95).collect();
        println!("queue-priorities: {counts:?}, p95 {waits:.3?} s");
        let urgent = came[0].answers.len();
        ensure!(counts[0] == urgent, "{} of {urgent} urgent calls were served", counts[0]);
        ensure!(waits[0] < waits[1] / 5.0 && waits[0] < waits[2] / 5.0, "{waits:?}");
        ensure!(counts[2] < counts[1] / 4, "{counts:?}: above 70 % of a limit what can wait does");
        let lowered = ask("normal").header("x-weir-priority", "low".to_owned());
        ensure!(site.client.call(&lowered).await.status == 200, "there is room again");
        let wrong = ask("normal").header("x-weir-priority", "urgent".to_owned());
        ensure!(site.client.call(&wrong).await.status == 400);
        Ok(())
    })
}

/// Broken on purpose to see it fail: a bound of one more; calls that wait although room comes too late for them.
#[test]
fn as_many_wait_as_may_and_nobody_for_longer_than_it_has() -> Result<()> {
    in_turn(async {
        let site = site("queue-bounds", &[Tenant("one", "")], Queue::of(10, 4)).await?;
        let room = (RATE * WINDOW.as_secs_f64()) as usize;
        let (patient, hurried) = (ask("one"), ask("one").header("x-weir-timeout-ms", "900".to_owned()));
        let all_at_once =
            |ask: Ask, count| Load::start(site.client.clone(), count, &[], move |_| ask.clone());
        let filled = all_at_once(patient.clone(), room).finish().await;
        let served = |answers: &[Answer]| answers.iter().filter(|answer| answer.status == 200).count();
        ensure!(served(&filled) == room, "{} of {room}", served(&filled));
        let (late, early) = (all_at_once(patient, 100), all_at_once(hurried, 100));
        let (late, early) = (late.finish().await, early.finish().await);
        println!("queue-bounds: {} and {} served late", served(&late), served(&early));
        // Ten at each replica, whose room comes when the window has passed.
        ensure!((15..=30).contains(&served(&late)), "{}", served(&late));
        let mut hurried: Vec<Duration> = early.iter().map(|answer| answer.took).collect();
        hurried.sort();
        ensure!(hurried[99] < Duration::from_millis(900) + SLACK, "longer than it had: {:?}", hurried[99]);
        ensure!(served(&early) == 0 && hurried[90] < Duration::from_millis(700), "{:?}", &hurried[80..]);
        let refused: Vec<&Answer> = late.iter().chain(&early).filter(|answer| answer.status != 200).collect();
        let odd = refused
            .iter()
            .find(|answer| answer.status != 429 || answer.retry_after_ms.is_none_or(|ms| ms == 0));
        ensure!(odd.is_none(), "{odd:?}");
        let waited = refused.iter().map(|answer| answer.took).max().context("nobody was refused")?;
        ensure!(waited < Duration::from_millis(1_500), "{waited:?}");
        Ok(())
    })
}

/// Broken on purpose to see it fail: calls that wait although a fallback is left; that wait for their tenant's own limit.
#[test]
fn nobody_waits_where_something_else_is_left_or_for_its_own_limit() -> Result<()> {
    in_turn(async {
        let quick = |name| Upstream::new(name).behaving("--output 8 --latency 10ms --pace 0ms");
        let upstreams = vec![Upstream { rpm: Some(5), ..quick("p") }, quick("q")];
        let tenants = written(&[
            Tenant("one", ""),
            Tenant("two", "meters = [{ kind = \"requests\", limit = 1, per = \"2s\" }]"),
        ]);
        let models = Some(format!(
            "[[models]]\nname = \"m\"\ndeployments = [\"p\"]\nfallbacks = [\"n\"]\n\
             [[models]]\nname = \"n\"\ndeployments = [\"q\"]\n{tenants}"
        ));
        let (queue, scale) = (Queue::of(10, 4).written(), Scale::of(WINDOW));
        let site = Site::start(Plan { models, queue, scale, ..Plan::new("queue-else", upstreams) }).await?;
        let filled = Load::start(site.client.clone(), 5, &[], |_| ask("one")).finish().await;
        ensure!(filled.iter().all(|answer| answer.deployment == "p"), "{filled:?}");
        let other = site.client.call(&ask("one")).await;
        ensure!(other.deployment == "q" && other.took < Duration::from_millis(1_000), "{other:?}");
        let first = site.client.call(&ask("two")).await;
        let refused = site.client.call(&ask("two")).await;
        ensure!(first.status == 200 && refused.status == 429, "{first:?} {refused:?}");
        ensure!(refused.took < Duration::from_millis(1_000), "{refused:?}");
        Ok(())
    })
}
