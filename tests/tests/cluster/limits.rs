//! Limits under twice the load that they allow, with a replica killed and replaced meanwhile.
//!
//! The load begins with one window at just the limits, so that their use is even from the start and a share of it
//! can be measured fairly; then come the windows that are judged, at twice the limits and more.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use weir_tests::client::{Answer, Ask, Client, unix_us};
use weir_tests::judge::{Unit, Verdict};
use weir_tests::load::{Load, Phase, load_ended};
use weir_tests::meters;
use weir_tests::provider::Upstream;
use weir_tests::scale::Scale;
use weir_tests::site::{Plan, Site};
use weir_tests::topology::Topology;

use crate::{MOST_CLOSED, in_turn};

/// Largest output that calls ask for where tokens are the limit.
const MAX_TOKENS: u64 = 128;
/// Times the summed limits that are offered: more than is demanded, for some calls die with their replica.
const OVERLOAD: f64 = 2.15;

/// One run.
pub(crate) struct Run {
    pub(crate) name: String,
    pub(crate) upstreams: Vec<Upstream>,
    /// What a call counts on that unit, about.
    pub(crate) weight: f64,
    /// Every n-th call is streamed.
    pub(crate) stream_every: usize,
    pub(crate) max_tokens: Option<u64>,
}

/// What came of it.
pub(crate) struct Outcome {
    pub(crate) site: Site,
    pub(crate) answers: Vec<Answer>,
    pub(crate) verdict: Verdict,
    /// A call like those of the load, and how many of them overfill what becomes free in a second.
    probe: (Ask, usize),
}

/// Broken on purpose to see it fail: every limit told to Weir at twice what the provider keeps. The three controls
/// break the storm over requests (`controls`).
#[test]
fn request_limits_hold_and_are_used_through_a_kill() -> Result<()> {
    in_turn(async {
        let scale = Scale::from_env();
        let upstream = |name, limit| Upstream {
            rpm: Some(scale.limit(limit)),
            ..Upstream::new(name).behaving("--output 4..8 --latency 20ms --pace 2ms --jitter 0.5")
        };
        let upstreams = vec![upstream("a", 240), upstream("b", 360), upstream("c", 600)];
        let name = "limits-requests".to_owned();
        let run = Run { name, upstreams, weight: 1.0, stream_every: 2, max_tokens: None };
        let outcome = overload(run, scale).await?;
        outcome.verdict.must_be_clean()?;
        must_use(&outcome.verdict, Unit::Requests, 0.93)?;
        finish(outcome).await
    })
}

/// Broken on purpose to see it fail: the account's `charge` told to Weir as `end-actual`, so that it posts less than
/// the provider charges.
#[test]
fn token_limits_hold_where_the_provider_charges_max_tokens_on_arrival() -> Result<()> {
    in_turn(tokens("admission-max", 0.90))
}

/// Broken on purpose to see it fail: every limit told to Weir at twice what the provider keeps.
#[test]
fn token_limits_hold_where_the_provider_charges_real_use_on_arrival() -> Result<()> {
    in_turn(tokens("admission-actual", 0.75))
}

/// Broken on purpose to see it fail: as for real use on arrival.
#[test]
fn token_limits_hold_where_the_provider_charges_real_use_at_the_end() -> Result<()> {
    in_turn(tokens("end-actual", 0.75))
}

async fn tokens(charge: &'static str, least_used: f64) -> Result<()> {
    let scale = Scale::from_env();
    let upstream = |name, limit| Upstream {
        tpm: Some(scale.limit(limit)),
        charge,
        ..Upstream::new(name).behaving("--output 60..120 --latency 20ms --pace 2ms --jitter 0.5")
    };
    let upstreams = vec![upstream("a", 12_000), upstream("b", 18_000), upstream("c", 30_000)];
    // 17 of input; output is charged at its bound or, on average, at 90.
    let weight = 17.0 + if charge == "admission-max" { MAX_TOKENS as f64 } else { 90.0 };
    let name = format!("limits-tokens-{charge}");
    let max_tokens = Some(MAX_TOKENS);
    let run = Run { name, upstreams, weight, stream_every: 5, max_tokens };
    let outcome = overload(run, scale).await?;
    outcome.verdict.must_be_clean()?;
    must_use(&outcome.verdict, Unit::Tokens, least_used)?;
    finish(outcome).await
}

/// In the middle of a run a replica is killed and replaced.
pub(crate) async fn kill_and_replace(site: &mut Site, scale: Scale) -> Result<()> {
    site.replicas[1].kill()?;
    tokio::time::sleep(scale.window / 6).await;
    site.replicas[1].replace().await
}

/// Offers too much, makes trouble meanwhile, and has the providers' logs judged.
pub(crate) async fn overload(run: Run, scale: Scale) -> Result<Outcome> {
    overload_on(Topology::Single, run, scale, async |site| kill_and_replace(site, scale).await).await
}

/// The same with Redis set up in some way.
pub(crate) async fn overload_on(
    topology: Topology,
    run: Run,
    scale: Scale,
    trouble: impl AsyncFnOnce(&mut Site) -> Result<()>,
) -> Result<Outcome> {
    let limit = |upstream: &Upstream| upstream.rpm.or(upstream.tpm).unwrap_or(0);
    let summed = run.upstreams.iter().map(limit).sum::<u64>() as f64;
    let fitting = summed / run.weight / scale.window.as_secs_f64();
    let plan = Plan { scale, topology, ..Plan::new(&run.name, run.upstreams) };
    let mut site = Site::start(plan).await?;
    let phases =
        [Phase { time: scale.window, rate: fitting }, Phase { time: scale.steady, rate: OVERLOAD * fitting }];
    let (every, max_tokens) = (run.stream_every, run.max_tokens);
    let ask = move |at: usize| {
        let ask = Ask::new("m").streamed(at.is_multiple_of(every));
        max_tokens.map_or(ask.clone(), |most| ask.max_tokens(most))
    };
    let load = Load::start(site.client.clone(), 0, &phases, ask);
    tokio::time::sleep(scale.window + scale.steady / 3).await;
    trouble(&mut site).await?;
    let answers = load.finish().await;
    must_be_overload(&answers, scale, run.weight, summed)?;
    let verdict = Verdict::on(&site.providers, scale.window, load_ended(&answers)).await?;
    Ok(Outcome { site, answers, verdict, probe: (ask(1), (1.5 * fitting) as usize) })
}

/// Fails unless the answered calls of the steady part add up to 1.9 times the limits: else nothing was shown.
fn must_be_overload(answers: &[Answer], scale: Scale, weight: f64, summed: f64) -> Result<()> {
    let first = answers.first().map_or(0, |answer| answer.sent_us) + scale.window.as_micros() as u64;
    let offered = answers.iter().filter(|answer| answer.sent_us >= first && answer.status != 0).count();
    let windows = scale.steady.as_secs_f64() / scale.window.as_secs_f64();
    let times = offered as f64 * weight / (summed * windows);
    println!("offered {times:.2} times the summed limits");
    ensure!(times >= 1.9, "void: only {times:.2} times the summed limits were offered; 1.9 are needed");
    Ok(())
}

pub(crate) fn must_use(verdict: &Verdict, unit: Unit, least: f64) -> Result<()> {
    let used = verdict.used(unit);
    println!("used {:.1} % of the summed limits", 100.0 * used);
    ensure!(used >= least, "only {used:.3} of the summed limits was used, not {least}");
    Ok(())
}

/// What every run shares: refusals say when to come back, nothing hangs, few calls die with the killed replica, and
/// nothing is left in Redis when window and holds are over.
pub(crate) async fn finish(Outcome { site, answers, probe, .. }: Outcome) -> Result<()> {
    let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    println!("{} calls: {} served, {} refused, {} lost", answers.len(), count(200), count(429), count(0));
    let closed = answers.iter().filter(|answer| answer.status == 503).count();
    ensure!(closed as f64 <= MOST_CLOSED * answers.len() as f64, "{closed} calls got 503");
    for answer in &answers {
        let said = String::from_utf8_lossy(&answer.body);
        let expected = matches!(answer.status, 0 | 200 | 429)
            || answer.status == 503 && said.contains("\"state_unavailable\"");
        ensure!(expected, "status {}: {said}", answer.status);
        ensure!(answer.took < Duration::from_secs(6), "a call took {:?}: {:?}", answer.took, answer.broken);
        if answer.status == 429 {
            let (whole, ms) = (answer.retry_after, answer.retry_after_ms);
            let agree =
                whole.zip(ms).is_some_and(|(s, ms)| ms > 0 && s * 1_000 >= ms && s * 1_000 < ms + 1_000);
            ensure!(agree, "a refusal says retry-after {whole:?} and retry-after-ms {ms:?}");
        }
    }
    let lost = answers.iter().filter(|answer| answer.broken.is_some()).count();
    ensure!(lost * 50 <= answers.len(), "{lost} of {} calls were lost", answers.len());
    refusals_are_honest(&site.client, &probe.0, probe.1).await?;
    let bound = site.plan.scale.window * 61 / 60 + site.plan.timeouts.total;
    meters::zero_within(&site.redis.url(), bound).await
}

/// After the load nobody else calls: whoever comes back when a refusal says so must be served. `burst` is how many
/// calls fill what has become free meanwhile.
async fn refusals_are_honest(client: &Arc<Client>, ask: &Ask, burst: usize) -> Result<()> {
    let mut checked = 0;
    for _ in 0..40 {
        tokio::time::sleep(Duration::from_millis(200)).await; // calls in flight settle: then refusals are exact
        let again = ask.clone();
        let answers = Load::start(client.clone(), burst, &[], move |_| again.clone()).finish().await;
        // A call that Redis did not answer in time may have been granted all the same, until a SYNC gives it back.
        if answers.iter().any(|answer| !matches!(answer.status, 200 | 429)) {
            continue;
        }
        // What was named for a time before the burst was over, others of the burst may have taken.
        let over = answers.iter().map(Answer::ended_us).max().unwrap_or_default();
        // (The state computed it after the call was sent, perhaps long before its answer came.)
        let of_use = |answer: &&Answer| {
            answer.status == 429 && answer.sent_us + 1_000 * answer.retry_after_ms.unwrap_or(0) > over
        };
        let named = |answer: &Answer| {
            (answer.ended_us() + 1_000 * answer.retry_after_ms.unwrap_or(0), answer.retry_after_ms)
        };
        let refused = answers.iter().filter(of_use).map(named);
        let Some((due, Some(ms))) = refused.min() else { continue };
        tokio::time::sleep(Duration::from_micros(due.saturating_sub(unix_us()))).await;
        let answer = client.call(ask).await;
        let late = answer.retry_after_ms;
        ensure!(
            answer.status == 200,
            "after the {ms} ms that a refusal named: {}, come back in {late:?} ms; of the burst {} were served",
            answer.status,
            answers.iter().filter(|answer| answer.status == 200).count()
        );
        checked += 1;
        if checked == 5 {
            break;
        }
    }
    println!("{checked} refusals kept their word");
    ensure!(checked > 0, "void: no refusal to check");
    Ok(())
}
