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

/// A tenant: its name, which is its key as well, and further settings.
struct Tenant(&'static str, &'static str);

async fn site(name: &str, tenants: &[Tenant], queue: &'static str) -> Result<Site> {
    let tenants: String = tenants
        .iter()
        .map(|Tenant(name, more)| {
            let key = hex::encode(Sha256::digest(name));
            format!("[[tenants]]\nname = \"{name}\"\nkeys = [\"sha256:{key}\"]\n{more}\n")
        })
        .collect();
    let models = Some(format!("[[models]]\nname = \"m\"\ndeployments = [\"p\"]\n{tenants}"));
    let scale = Scale::of(WINDOW);
    let provider = Upstream {
        rpm: Some((RATE * WINDOW.as_secs_f64()) as u64),
        ..Upstream::new("p").behaving("--output 8 --latency 10ms --pace 0ms")
    };
    Site::start(Plan { models, queue, scale, ..Plan::new(name, vec![provider]) }).await
}

fn ask(tenant: &str) -> Ask {
    Ask::new("m").max_tokens(8).header("authorization", format!("Bearer {tenant}"))
}

/// A window at the limit, then these calls in turn at `times` the limit for `seconds`: the answers to the latter, and
/// whose they are.
async fn overload(
    site: &Site,
    turns: &'static [&'static str],
    times: f64,
    seconds: f64,
) -> Result<Vec<(&'static str, Answer)>> {
    let whose = |at: usize| turns[at % turns.len()];
    let even = Phase { time: WINDOW, rate: RATE };
    let over = Phase { time: Duration::from_secs_f64(seconds), rate: times * RATE };
    let answers = Load::start(site.client.clone(), 0, &[even, over], move |at| ask(whose(at))).finish().await;
    Verdict::on(&site.providers, WINDOW, load_ended(&answers) + 4_000_000).await?.must_be_clean()?;
    let first = (RATE * WINDOW.as_secs_f64()) as usize;
    let odd = answers.iter().find(|answer| ![200, 429].contains(&answer.status));
    ensure!(odd.is_none(), "{odd:?}");
    Ok(answers.into_iter().enumerate().skip(first).map(|(at, answer)| (whose(at), answer)).collect())
}

fn served(answers: &[(&str, Answer)], tenant: &str) -> usize {
    answers.iter().filter(|(whose, answer)| *whose == tenant && answer.status == 200).count()
}

/// The 95th percentile of how long a tenant's answers took, seconds.
fn p95(answers: &[(&str, Answer)], tenant: &str) -> f64 {
    let mut times: Vec<f64> =
        answers.iter().filter(|(whose, _)| *whose == tenant).map(|(_, a)| a.took.as_secs_f64()).collect();
    times.sort_by(f64::total_cmp);
    times.get(times.len() * 95 / 100).copied().unwrap_or(0.0)
}

/// Broken on purpose to see it fail: nobody yields; every call of weight 1.
#[test]
fn at_twice_the_limit_tenants_are_served_by_their_weights() -> Result<()> {
    in_turn(async {
        let tenants =
            [Tenant("one", "weight = 1"), Tenant("two", "weight = 2"), Tenant("four", "weight = 4")];
        let site = site("queue-weights", &tenants, "{ max = 100, wait = \"2s\" }").await?;
        let answers = overload(&site, &["one", "two", "four"], 2.0, 7.0).await?;
        // The first second fills the queue.
        let steady = &answers[(2.0 * RATE) as usize..];
        let counts = ["one", "two", "four"].map(|tenant| served(steady, tenant));
        println!("queue-weights: {counts:?} of {}", steady.len());
        let all: usize = counts.iter().sum();
        ensure!(all as f64 > 0.9 * RATE * 6.0, "{counts:?}: room was left");
        for (count, weight) in counts.iter().zip([1.0, 2.0, 4.0]) {
            let due = all as f64 * weight / 7.0;
            ensure!((*count as f64 - due).abs() < due / 10.0, "{counts:?}: {count} where {due:.0} are due");
        }
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
        let site = site("queue-priorities", &tenants, "{ max = 100, wait = \"1500ms\" }").await?;
        let turns = &["high", "normal", "normal", "normal", "low"];
        let answers = overload(&site, turns, 2.0, 5.0).await?;
        let counts = ["high", "normal", "low"].map(|tenant| served(&answers, tenant));
        let waits = ["high", "normal", "low"].map(|tenant| p95(&answers, tenant));
        println!("queue-priorities: {counts:?}, p95 {waits:.3?} s");
        let highs = answers.iter().filter(|(whose, _)| *whose == "high").count();
        ensure!(counts[0] == highs, "{} of {highs} urgent calls were served", counts[0]);
        ensure!(waits[0] < waits[1] / 5.0, "{waits:?}");
        ensure!(counts[2] < counts[1] / 4, "{counts:?}: above 70 % of a limit what can wait does");
        let lowered = ask("normal").header("x-weir-priority", "low".to_owned());
        ensure!(site.client.call(&lowered).await.status == 200, "there is room again");
        let wrong = ask("normal").header("x-weir-priority", "urgent".to_owned());
        ensure!(site.client.call(&wrong).await.status == 400);
        Ok(())
    })
}

/// Broken on purpose to see it fail: a bound of one more; a wait that the call's time does not end.
#[test]
fn as_many_wait_as_may_and_nobody_for_longer_than_it_has() -> Result<()> {
    in_turn(async {
        let site = site("queue-bounds", &[Tenant("one", "")], "{ max = 10, wait = \"1900ms\" }").await?;
        let room = (RATE * WINDOW.as_secs_f64()) as usize;
        let most = Duration::from_millis(600);
        let timely = move |at: usize| {
            let ask = ask("one");
            if at.is_multiple_of(2) {
                ask.header("x-weir-timeout-ms", most.as_millis().to_string())
            } else {
                ask
            }
        };
        let answers = Load::start(site.client.clone(), 2 * room, &[], timely).finish().await;
        let quick = answers.iter().filter(|a| a.status == 429 && a.took < Duration::from_millis(500)).count();
        println!("queue-bounds: {} served, {quick} refused at once", room);
        ensure!(quick >= room - 3 * 10, "{quick}: more than 30 waited");
        let odd = answers.iter().find(|answer| ![200, 429, 504].contains(&answer.status));
        ensure!(odd.is_none(), "{odd:?}");
        let again = answers.iter().find(|answer| answer.status == 429).context("nobody was refused")?;
        ensure!(again.retry_after_ms.is_some_and(|ms| ms > 0), "{again:?}");
        let longest = answers.iter().map(|answer| answer.took).max().context("no answers")?;
        ensure!(longest < Duration::from_millis(2_900), "{longest:?}");
        Ok(())
    })
}
