//! Further attempts: how many, where, how long each is waited for, and what ends a call. The providers' logs are the
//! judge.

use std::time::Duration;

use anyhow::{Result, ensure};
use weir_tests::client::{Answer, Ask};
use weir_tests::provider::{Arrival, Upstream};
use weir_tests::site::{Plan, Site, Timeouts};

use crate::in_turn;

const QUICK: &str = "--output 20 --latency 5ms --pace 1ms";

/// Every attempt is made as if it were the first.
const NO_CIRCUITS: &str = "circuit = { enabled = false }\n";

/// A site with these models.
async fn site(name: &str, replicas: usize, upstreams: Vec<Upstream>, models: &str) -> Result<Site> {
    let ms = Duration::from_millis;
    Site::start(Plan {
        replicas,
        models: Some(models.to_owned()),
        timeouts: Timeouts { connect: ms(200), first_token: ms(400), total: ms(5_000) },
        defaults: NO_CIRCUITS.to_owned(),
        ..Plan::new(name, upstreams)
    })
    .await
}

fn quick<const N: usize>(names: [&'static str; N]) -> Vec<Upstream> {
    names.map(|name| Upstream::new(name).behaving(QUICK)).to_vec()
}

/// The attempts that a provider has seen, in order.
async fn arrivals(site: &Site, at: usize) -> Result<Vec<Arrival>> {
    let mut arrivals = site.providers[at].arrivals().await?;
    arrivals.sort_by_key(|arrival| arrival.arrival_us);
    Ok(arrivals)
}

/// How long an attempt lasted at the provider.
fn lasted(arrival: &Arrival) -> Duration {
    Duration::from_micros(arrival.end_us.unwrap_or(u64::MAX).saturating_sub(arrival.arrival_us))
}

fn is_final(answer: &Answer, status: u16) -> bool {
    answer.status == status && answer.header("x-should-retry") == "false" && answer.retry_after.is_none()
}

const THREE_THEN_ONE: &str = "deployments = [\"a\", \"b\", \"c\", { name = \"d\", priority = 1 }, \
                              { name = \"e\", priority = 2 }]\n";

/// Broken on purpose to see it fail: attempts not counted in tiers.
#[test]
fn a_tier_has_the_attempts_that_it_is_given_and_the_next_one_goes_on() -> Result<()> {
    in_turn(async {
        let tiers = "tiers = [{ priority = 0, attempts = 2 }, { priority = 1, attempts = 1 }]\n";
        let models = format!(
            "[[models]]\nname = \"m\"\n{THREE_THEN_ONE}{tiers}retry = {{ attempts = 5 }}\n\n\
             [[models]]\nname = \"few\"\n{THREE_THEN_ONE}{tiers}retry = {{ attempts = 2 }}\n"
        );
        let site = site("retries-tiers", 3, quick(["a", "b", "c", "d", "e"]), &models).await?;
        for at in 0..3 {
            site.providers[at].fail(&["status=500"]).await?;
        }
        for at in 0..12 {
            let answer = site.client.call(&Ask::new("m").streamed(at % 2 == 0)).await;
            ensure!(answer.is_good(at % 2 == 0) && answer.deployment == "d", "{answer:?}");
            ensure!(answer.attempts == 3, "two of the first tier, one of the next: {answer:?}");
        }
        let counts = site.seen().await?;
        ensure!(counts[..3].iter().sum::<usize>() == 24 && counts[3..] == [12, 0], "{counts:?}");

        // What the second tier cannot do, the third does: three attempts are behind it then.
        site.providers[3].fail(&["status=500"]).await?;
        let answer = site.client.call(&Ask::new("m")).await;
        ensure!(answer.is_good(false) && answer.deployment == "e" && answer.attempts == 4, "{answer:?}");

        // The whole is bounded by the model's.
        let answer = site.client.call(&Ask::new("few")).await;
        ensure!(is_final(&answer, 502) && answer.attempts == 2, "{answer:?}");
        let counts = site.seen().await?;
        ensure!(counts[..3].iter().sum::<usize>() == 28 && counts[3..] == [13, 1], "{counts:?}");
        Ok(())
    })
}

/// Broken on purpose to see it fail: the time-outs of tiers not used.
#[test]
fn a_tier_has_the_time_outs_that_it_is_given() -> Result<()> {
    in_turn(async {
        let models = "[[models]]\nname = \"m\"\ndeployments = [{ name = \"a\", priority = 0 }, \
                      { name = \"b\", priority = 1 }, { name = \"c\", priority = 2 }]\n\
                      tiers = [{ priority = 0, timeouts = { first_token = \"300ms\" } }, \
                      { priority = 1, timeouts = { first_token = \"3s\" } }]\n";
        let site = site("retries-tier-times", 1, quick(["a", "b", "c"]), models).await?;
        site.providers[0].fail(&["slow=1500ms"]).await?;
        site.providers[1].fail(&["slow=1500ms"]).await?;
        let answer = site.client.call(&Ask::new("m").streamed(true)).await;
        ensure!(answer.is_good(true) && answer.deployment == "b" && answer.attempts == 2, "{answer:?}");
        let first = &arrivals(&site, 0).await?[0];
        ensure!(first.aborted && lasted(first) < Duration::from_millis(1_000), "{first:?}");
        let second = &arrivals(&site, 1).await?[0];
        ensure!(!second.aborted && lasted(second) > Duration::from_millis(1_400), "{second:?}");
        ensure!(site.seen().await? == [1, 1, 0], "one that was in time was left");
        Ok(())
    })
}

/// Broken on purpose to see it fail: `slow_after` not looked at; fallbacks tried all the same.
#[test]
fn a_slow_failure_is_tried_nowhere_else_and_a_quick_one_is() -> Result<()> {
    in_turn(async {
        let models = "[[models]]\nname = \"m\"\ndeployments = [{ name = \"bad\", priority = 0 }, \
                      { name = \"good\", priority = 1 }]\nfallbacks = [\"other\"]\n\
                      retry = { slow_after = \"300ms\" }\n\n\
                      [[models]]\nname = \"other\"\ndeployments = [\"last\"]\n";
        let site = site("retries-slow", 3, quick(["bad", "good", "last"]), models).await?;
        site.providers[0].fail(&["status=500"]).await?;
        let answer = site.client.call(&Ask::new("m")).await;
        ensure!(answer.is_good(false) && answer.deployment == "good" && answer.attempts == 2, "{answer:?}");

        site.providers[0].control(serde_json::json!({ "latency": "600ms" })).await?;
        for streamed in [false, true] {
            let answer =
                site.client.call(&Ask::new("m").streamed(streamed).header("x-weir-explain", "1")).await;
            ensure!(is_final(&answer, 502) && answer.attempts == 1, "{answer:?}");
            let told = answer.header("x-weir-explain");
            ensure!(told.ends_with("bad: taken, failed; good: not tried after so slow a failure"), "{told}");
        }
        ensure!(site.seen().await? == [3, 1, 0], "{:?}", site.seen().await?);
        Ok(())
    })
}

/// Broken on purpose to see it fail: its `false` not kept; its `true` not heard.
#[test]
fn an_account_that_asks_not_to_be_tried_again_is_left_alone_for_the_call() -> Result<()> {
    in_turn(async {
        let also = |name| {
            format!("[[deployments]]\nname = \"{name}\"\naccount = \"bad\"\nmodel = \"up-{name}\"\n\n")
        };
        let models = format!(
            "{}{}[[models]]\nname = \"m\"\ndeployments = [{{ name = \"bad\", priority = 0 }}, \
             {{ name = \"same\", priority = 1 }}, {{ name = \"good\", priority = 2 }}]\n\n\
             [[models]]\nname = \"alone\"\ndeployments = [\"bad\", \"same\"]\nfallbacks = [\"other\"]\n\n\
             [[models]]\nname = \"other\"\ndeployments = [\"too\"]\n",
            also("same"),
            also("too")
        );
        let site = site("retries-said", 3, quick(["bad", "good"]), &models).await?;
        site.providers[0].fail(&["status=500"]).await?;
        let answer = site.client.call(&Ask::new("m")).await;
        ensure!(
            answer.is_good(false) && answer.attempts == 3,
            "without a word it is tried again: {answer:?}"
        );
        ensure!(site.seen().await? == [2, 1]);

        site.providers[0].fail(&["status=500,should-retry=false"]).await?;
        let answer = site.client.call(&Ask::new("m")).await;
        ensure!(answer.is_good(false) && answer.deployment == "good" && answer.attempts == 2, "{answer:?}");
        ensure!(site.seen().await? == [3, 2], "the account was asked again");
        let answer = site.client.call(&Ask::new("alone").header("x-weir-explain", "1")).await;
        ensure!(is_final(&answer, 502) && answer.attempts == 1, "{answer:?}");
        let told = answer.header("x-weir-explain");
        ensure!(told.ends_with("too: its account asks not to be tried again"), "{told}");
        ensure!(site.seen().await? == [4, 2], "the account was asked again by another of its models");

        // The other word: a refusal for no known reason is not the request's fault.
        site.providers[0].fail(&["status=400,should-retry=true"]).await?;
        let answer = site.client.call(&Ask::new("m")).await;
        ensure!(answer.is_good(false) && answer.deployment == "good" && answer.attempts == 3, "{answer:?}");
        site.providers[0].fail(&["status=400"]).await?;
        let answer = site.client.call(&Ask::new("m")).await;
        ensure!(is_final(&answer, 400) && answer.attempts == 1, "{answer:?}");
        Ok(())
    })
}

/// Broken on purpose to see it fail: every stream bounded by `first_token`; fallbacks not looked at; one that had its turn
/// taken for a fallback.
#[test]
fn a_late_stream_is_waited_for_where_nothing_else_is_left_to_try() -> Result<()> {
    in_turn(async {
        let two = "deployments = [{ name = \"a\", priority = 0 }, { name = \"b\", priority = 1 }]\n";
        let models = format!(
            "[[models]]\nname = \"alone\"\ndeployments = [\"a\"]\n\n\
             [[models]]\nname = \"two\"\n{two}\n\
             [[models]]\nname = \"once\"\n{two}retry = {{ attempts = 1 }}\n\n\
             [[models]]\nname = \"patient\"\n{two}retry = {{ slow_after = \"200ms\" }}\n\n\
             [[models]]\nname = \"falls\"\ndeployments = [\"a\"]\nfallbacks = [\"b-alone\"]\n\n\
             [[models]]\nname = \"b-alone\"\ndeployments = [\"b\"]\n\n\
             [[models]]\nname = \"back\"\ndeployments = [\"a\"]\nfallbacks = [\"a-again\"]\n\n\
             [[models]]\nname = \"a-again\"\ndeployments = [\"a\"]\n\n\
             [[models]]\nname = \"hung\"\ndeployments = [\"c\"]\ntimeouts = {{ total = \"1500ms\" }}\n"
        );
        let site = site("retries-grace", 1, quick(["a", "b", "c"]), &models).await?;
        for at in 0..2 {
            site.providers[at].fail(&["slow=1200ms"]).await?; // twice what `connect` and `first_token` allow
        }
        site.providers[2].fail(&["stall=before-content"]).await?;
        for (model, by, attempts) in [
            ("alone", "a", 1),
            ("two", "b", 2),
            ("once", "a", 1),
            ("patient", "a", 1),
            ("falls", "b", 2),
            ("back", "a", 1),
        ] {
            let answer = site.client.call(&Ask::new(model).streamed(true)).await;
            ensure!(answer.is_good(true) && answer.deployment == by, "{model}: {answer:?}");
            ensure!(answer.attempts == attempts, "{model}: {answer:?}");
        }
        // Until its time is over, and no longer.
        let answer = site.client.call(&Ask::new("hung").streamed(true)).await;
        ensure!(is_final(&answer, 504), "{answer:?}");
        let took = answer.took.as_millis();
        ensure!((1_450..2_200).contains(&took), "{took} ms");
        let answer =
            site.client.call(&Ask::new("hung").streamed(true).header("x-weir-timeout-ms", "700")).await;
        ensure!(is_final(&answer, 504) && answer.took < Duration::from_millis(1_400), "{answer:?}");
        Ok(())
    })
}

/// Broken on purpose to see it fail: pauses that do not look at the deadline; attempts bounded by their own total alone.
#[test]
fn the_total_bounds_all_attempts_and_the_pauses_between_them() -> Result<()> {
    in_turn(async {
        let names = ["a", "b", "c", "d"];
        let ladder = |names: &[&str]| {
            let entry = |(at, name): (usize, &&str)| format!("{{ name = \"{name}\", priority = {at} }}");
            names.iter().enumerate().map(entry).collect::<Vec<_>>().join(", ")
        };
        let total = Duration::from_millis(1_000);
        let settings = "timeouts = { total = \"1s\" }\n";
        let models = format!(
            "[[models]]\nname = \"m\"\ndeployments = [{}]\nfallbacks = [\"more\"]\n{settings}\
             retry = {{ attempts = 2, base = \"100ms\", max = \"100ms\" }}\n\n\
             [[models]]\nname = \"more\"\ndeployments = [{}]\n\
             retry = {{ attempts = 2, base = \"100ms\", max = \"100ms\" }}\n\n\
             [[models]]\nname = \"pauses\"\ndeployments = [{}]\n{settings}\
             retry = {{ attempts = 4, base = \"10s\", max = \"10s\" }}\n",
            ladder(&names[..2]),
            ladder(&names[2..]),
            ladder(&names)
        );
        let upstreams =
            names.map(|name| Upstream::new(name).behaving("--output 4 --latency 250ms --fail status=500"));
        let site = site("retries-total", 1, upstreams.to_vec(), &models).await?;
        // A fallback's own total is 5 s; the last of its deployments hangs.
        site.providers[3].fail(&["stall=before"]).await?;
        for streamed in [false, true] {
            let answer = site.client.call(&Ask::new("m").streamed(streamed)).await;
            ensure!(is_final(&answer, 504) && answer.attempts >= 3, "{answer:?}");
            ensure!(answer.took < total + Duration::from_millis(400), "{answer:?}");
            let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
            let end = answer.sent_us + us(total + Duration::from_millis(400));
            for at in 0..names.len() {
                for arrival in arrivals(&site, at).await? {
                    let ended = arrival.end_us.is_some_and(|ended| ended < end);
                    ensure!(ended && arrival.arrival_us < answer.sent_us + us(total), "{at}: {arrival:?}");
                }
            }
        }
        // A pause that does not fit is not begun.
        for _ in 0..6 {
            let answer = site.client.call(&Ask::new("pauses")).await;
            ensure!(answer.status >= 502 && answer.took < total + Duration::from_millis(400), "{answer:?}");
        }
        Ok(())
    })
}
