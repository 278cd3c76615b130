//! A provider whose key is used by somebody else as well, and which says in its headers what is left.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use weir_tests::client::Ask;
use weir_tests::load::{Load, Phase, load_ended};
use weir_tests::provider::{Arrival, Upstream};
use weir_tests::scale::Scale;
use weir_tests::site::{Plan, Site};

use crate::{MOST_CLOSED, in_turn};

/// What somebody else takes of the limit, a share.
const BURNT: f64 = 0.4;
/// Bound of each call's output.
const MAX_TOKENS: u64 = 64;
/// What the provider charges for a call: 17 tokens of input, and that bound.
const TOKENS: u64 = 17 + MAX_TOKENS;

/// Three replicas offer what the whole limits would allow to two providers, of which 40 % are used by somebody else: one limits
/// requests, one tokens. Their logs show fewer than 0.5 % refused, and 90 % or more of what is left for us used.
///
/// Broken on purpose to see it fail: what a provider says not heard (1 % refused, and each refusal rests the provider: 87 % used).
#[test]
fn what_somebody_else_uses_of_a_limit_is_left_to_them() -> Result<()> {
    in_turn(async {
        let mut scale = Scale::from_env();
        if !scale.is_full() {
            scale.window = Duration::from_secs(3); // three of them are enough
        }
        let calls = scale.limit(150);
        // A thirtieth of the window until an answer begins, as 2 s are of a minute.
        let latency = scale.window.as_millis() / 30;
        let arguments = format!("--burn {BURNT} --output 4..8 --latency {latency}ms --pace 2ms --jitter 0.5");
        let upstream = |name| Upstream::new(name).behaving(&arguments);
        let requests = Upstream { rpm: Some(calls), ..upstream("a") };
        let tokens = Upstream { tpm: Some(calls * TOKENS), ..upstream("b") };
        let site = Site::start(Plan { scale, ..Plan::new("learned", vec![requests, tokens]) }).await?;
        let phase = Phase { time: scale.window * 3, rate: 2.0 * calls as f64 / scale.window.as_secs_f64() };
        let ask = |at: usize| Ask::new("m").streamed(at.is_multiple_of(3)).max_tokens(MAX_TOKENS);
        let answers = Load::start(site.client.clone(), 0, &[phase], ask).finish().await;
        let odd: Vec<_> = answers.iter().filter(|answer| !matches!(answer.status, 200 | 429)).collect();
        let closed = odd.iter().filter(|answer| answer.status == 503).count();
        ensure!(
            closed == odd.len() && closed as f64 <= MOST_CLOSED * answers.len() as f64,
            "{:?}",
            odd.first()
        );
        let left = 1.0 - BURNT;
        for provider in &site.providers {
            let arrivals = provider.arrivals().await?;
            let refused = arrivals.iter().filter(|arrival| arrival.status == 429).count();
            let (all, used) = (arrivals.len(), used(&arrivals, scale, load_ended(&answers)) / calls as f64);
            let name = provider.upstream.name;
            println!("{name}: {refused} of {all} refused; {used:.3} of the limit used, {left:.2} was left");
            ensure!(refused * 200 < all, "{name}: {refused} of {all} calls were refused");
            ensure!(used >= 0.9 * left, "{name}: {used:.3} of the limit was used where {left:.2} was left");
        }
        Ok(())
    })
}

/// A provider refuses a call though hardly anything is used: its limit is lower than we think, for every replica.
///
/// Broken on purpose to see it fail: refusals not told apart from other rests.
#[test]
fn a_refusal_without_a_reason_lowers_the_limit_for_every_replica() -> Result<()> {
    in_turn(async {
        let upstream = Upstream { rpm: Some(100), ..Upstream::new("a").behaving("--output 4 --latency 5ms") };
        let site = Site::start(Plan::new("learned-refusal", vec![upstream])).await?;
        ensure!(site.client.call(&Ask::new("m")).await.status == 200);
        site.providers[0].fail(&["status=429,times=1,retry-after=1"]).await?;
        let refused = site.client.call(&Ask::new("m")).await;
        ensure!(refused.status == 429, "{refused:?}");
        let pool = "pool=\"account/a/all\"";
        for replica in &site.replicas {
            let told_by = Instant::now() + Duration::from_secs(1); // it goes with the next SYNC
            let share = loop {
                let share = replica.metric("weir_pool_learned_ratio", pool).await?;
                if share < 1.0 || Instant::now() > told_by {
                    break share;
                }
            };
            ensure!((0.9..0.92).contains(&share), "{share} of the limit is left");
            let page = replica.state().await?;
            let pools = page["pools"].as_array().cloned().unwrap_or_default();
            let caps: Vec<_> =
                pools.iter().filter_map(|pool| pool["meters"][0]["learned_cap"].as_u64()).collect();
            ensure!(caps.contains(&90) || caps.contains(&91), "{caps:?}");
        }
        let answer = site.client.call(&Ask::new("m")).await;
        ensure!(matches!(answer.status, 200 | 429), "{answer:?}");
        Ok(())
    })
}

/// Calls in a window, on average, from one window after the first on to the end of the load: until then there was room for a
/// burst.
fn used(arrivals: &[Arrival], scale: Scale, to: u64) -> f64 {
    let times = || arrivals.iter().filter(|arrival| arrival.status == 200).map(|arrival| arrival.arrival_us);
    let window = scale.window.as_micros() as u64;
    let from = times().min().unwrap_or(0) + window;
    let within = times().filter(|at| (from..=to).contains(at)).count();
    within as f64 * window as f64 / to.saturating_sub(from).max(1) as f64
}
