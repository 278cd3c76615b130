//! Failures of providers, seen from both ends: what the client gets, and what the providers' logs say.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use weir_tests::client::{Ask, get, post};
use weir_tests::meters;
use weir_tests::process::eventually;
use weir_tests::provider::Upstream;
use weir_tests::site::{Plan, Site, Timeouts};

use crate::in_turn;

const BAD_FIRST: &str = "[[models]]\nname = \"m\"\n\
    deployments = [{ name = \"bad\", priority = 0 }, { name = \"good\", priority = 1 }]\n";

/// Every failure is looked at by itself.
const NO_CIRCUITS: &str = "circuit = { enabled = false }\n";

fn bad_and_good(name: &str) -> Plan {
    let fast = |name| Upstream::new(name).behaving("--output 20 --latency 5ms --pace 2ms");
    let ms = Duration::from_millis;
    Plan {
        replicas: 1,
        models: Some(BAD_FIRST.to_owned()),
        defaults: NO_CIRCUITS.to_owned(),
        timeouts: Timeouts { connect: ms(300), first_token: ms(700), total: ms(5_000) },
        ..Plan::new(name, vec![fast("bad"), fast("good")])
    }
}

/// Broken on purpose to see it fail: `steady` waited for on the last candidate as well; not waited for at all.
#[test]
fn a_stream_that_begins_and_then_trickles_is_left_unseen_while_there_is_another() -> Result<()> {
    in_turn(async {
        let slow = Upstream::new("bad").behaving("--output 40 --latency 5ms --pace 60ms");
        let quick = Upstream::new("good").behaving("--output 40 --latency 5ms --pace 2ms");
        let plan = bad_and_good("failures-trickle");
        let models = format!(
            "{BAD_FIRST}timeouts = {{ steady = \"300ms\" }}\n\
             [[models]]\nname = \"alone\"\ndeployments = [\"bad\"]\ntimeouts = {{ steady = \"300ms\" }}\n"
        );
        let site = Site::start(Plan { upstreams: vec![slow, quick], models: Some(models), ..plan }).await?;
        let answer = site.client.call(&Ask::new("m").streamed(true)).await;
        ensure!(answer.is_good(true) && answer.deployment == "good" && answer.attempts == 2, "{answer:?}");
        let answer = site.client.call(&Ask::new("alone").streamed(true)).await;
        ensure!(answer.is_good(true) && answer.deployment == "bad" && answer.attempts == 1, "{answer:?}");
        Ok(())
    })
}

/// Broken on purpose to see it fail: `retry.attempts` = 1.
#[test]
fn a_failure_before_content_moves_to_the_next_candidate_unseen() -> Result<()> {
    in_turn(async {
        let site = Site::start(bad_and_good("failures-before")).await?;
        let faults = [
            "status=500",
            "status=503",
            "stall=before",
            "stall=before-content",
            "cut=before-headers",
            "cut=before-content",
            "error-chunk=before",
        ];
        for fault in faults {
            site.providers[0].fail(&[fault]).await?;
            for streamed in [false, true] {
                if fault == "stall=before" && !streamed {
                    continue; // a plain answer begins when it is complete: only the total bounds that
                }
                let answer = site.client.call(&Ask::new("m").streamed(streamed)).await;
                ensure!(answer.is_good(streamed), "{fault}, streamed {streamed}: {answer:?}");
                ensure!(answer.deployment == "good", "{fault}, streamed {streamed}: {answer:?}");
                ensure!(answer.attempts == 2, "{fault}, streamed {streamed}: {} attempts", answer.attempts);
                ensure!(answer.took < Duration::from_secs(3), "{fault}: {:?}", answer.took);
            }
        }
        let tries = site.providers[0].arrivals().await?.len();
        ensure!(tries == 2 * faults.len() - 1, "the failing provider saw {tries} attempts");
        Ok(())
    })
}

/// Broken on purpose to see it fail: no failure injected.
#[test]
fn a_stream_cut_after_content_ends_with_an_error_and_never_as_if_complete() -> Result<()> {
    in_turn(async {
        let site = Site::start(bad_and_good("failures-mid")).await?;
        for fault in ["cut=mid", "error-chunk=mid", "stall=mid"] {
            site.providers[0].fail(&[fault]).await?;
            let answer = site.client.call(&Ask::new("m").streamed(true)).await;
            ensure!(answer.status == 200 && answer.deployment == "bad", "{fault}: {answer:?}");
            ensure!(answer.error_event && !answer.done, "{fault}: {answer:?}");
            ensure!(answer.broken.is_none(), "{fault}: the stream is not ended properly: {answer:?}");
        }
        ensure!(site.providers[1].arrivals().await?.is_empty(), "a stream that had begun was tried again");
        Ok(())
    })
}

/// Broken on purpose to see it fail: the client reads to the end before it goes.
#[test]
fn a_client_that_goes_away_ends_the_call_upstream_and_frees_its_place() -> Result<()> {
    in_turn(async {
        let slow = Upstream::new("a").behaving("--output 400 --latency 5ms --pace 10ms");
        let site = Site::start(Plan {
            replicas: 1,
            ..Plan::new("failures-abort", vec![Upstream { concurrency: Some(1), ..slow }])
        })
        .await?;
        let direct = &site.replicas[0].client;
        let stream = Ask::new("m").max_tokens(400).streamed(true);
        let status = direct.call_and_leave(&stream, 5).await?;
        ensure!(status == 200, "status {status}");
        let left = Instant::now();
        loop {
            let answer = direct.call(&Ask::new("m").max_tokens(2)).await;
            if answer.is_good(false) {
                break;
            }
            ensure!(answer.status == 429, "while the place is taken: {answer:?}");
            ensure!(
                left.elapsed() < Duration::from_secs(1),
                "the place is still taken {:?} later",
                left.elapsed()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let arrivals = site.providers[0].arrivals().await?;
        let first = &arrivals[0];
        ensure!(first.aborted && first.output_tokens < 200, "the provider went on: {first:?}");
        Ok(())
    })
}

/// Broken on purpose to see it fail: the refusal taken at its word, as it was before (429 to the first call).
#[test]
fn a_call_is_not_refused_for_what_its_own_failed_attempt_held() -> Result<()> {
    in_turn(async {
        let mut plan = bad_and_good("failures-own");
        plan.models = Some(format!("[limits]\nconcurrency = 1\n\n{BAD_FIRST}"));
        let site = Site::start(plan).await?;
        site.providers[0].fail(&["status=403"]).await?; // no pause before the next attempt
        for at in 0..20 {
            let answer = site.replicas[0].client.call(&Ask::new("m")).await;
            ensure!(answer.is_good(false) && answer.attempts == 2, "call {at}: {answer:?}");
            // What the call before held may be told of a moment later.
            let begun = Instant::now();
            while meters::read(&site.redis.url())?.is_some_and(|state| !meters::held(&state).is_empty()) {
                ensure!(begun.elapsed() < Duration::from_secs(1), "call {at} still holds something");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        Ok(())
    })
}

/// Broken on purpose to see it fail: what was tried forgotten with each model, as it was before.
#[test]
fn a_fallback_does_not_ask_a_deployment_that_failed_the_call_already() -> Result<()> {
    in_turn(async {
        let mut plan = bad_and_good("failures-again");
        let models = "[[models]]\nname = \"m\"\ndeployments = [\"bad\"]\nfallbacks = [\"other\"]\n\n\
                      [[models]]\nname = \"other\"\ndeployments = [{ name = \"bad\", priority = 0 }, \
                      { name = \"good\", priority = 1 }]\n";
        plan.models = Some(models.to_owned());
        let site = Site::start(plan).await?;
        site.providers[0].fail(&["status=500"]).await?;
        let answer = site.replicas[0].client.call(&Ask::new("m")).await;
        ensure!(answer.is_good(false) && answer.deployment == "good", "{answer:?}");
        let tries = site.providers[0].arrivals().await?.len();
        ensure!(tries == 1, "the failing deployment was asked {tries} times");
        Ok(())
    })
}

/// Broken on purpose to see it fail: what the last candidate said, as it was before.
#[test]
fn a_client_is_told_of_the_first_candidate_that_is_free_again() -> Result<()> {
    in_turn(async {
        let site = Site::start(bad_and_good("failures-soonest")).await?;
        site.providers[0].fail(&["status=429,retry-after=2"]).await?;
        site.providers[1].fail(&["status=429,retry-after=60"]).await?;
        let answer = site.replicas[0].client.call(&Ask::new("m")).await;
        ensure!(answer.status == 429 && answer.attempts == 2, "{answer:?}");
        ensure!(answer.retry_after.is_some_and(|seconds| seconds <= 2), "{answer:?}");
        Ok(())
    })
}

/// Broken on purpose to see it fail: `fallbacks` removed from the model.
#[test]
fn a_model_without_capacity_falls_back_to_the_next_model() -> Result<()> {
    in_turn(async {
        let fast = |name| Upstream::new(name).behaving("--output 2 --latency 2ms");
        let models = "[[models]]\nname = \"m\"\ndeployments = [\"small\"]\nfallbacks = [\"other\"]\n\n\
                      [[models]]\nname = \"other\"\ndeployments = [\"large\"]\n";
        let upstreams = vec![Upstream { rpm: Some(3), ..fast("small") }, fast("large")];
        let site = Site::start(Plan {
            replicas: 2,
            models: Some(models.to_owned()),
            ..Plan::new("failures-fallback", upstreams)
        })
        .await?;
        let mut served = Vec::new();
        for at in 0..8 {
            let answer = site.replicas[at % 2].client.call(&Ask::new("m")).await;
            ensure!(answer.is_good(false), "call {at}: {answer:?}");
            served.push(answer.deployment);
        }
        let small = served.iter().filter(|name| *name == "small").count();
        ensure!(small == 3, "served by {served:?}");
        ensure!(site.providers[0].arrivals().await?.len() == 3, "the small one was asked beyond its limit");
        Ok(())
    })
}

/// Broken on purpose to see it fail: what the fallback says given to the client, as it was before.
#[test]
fn a_fallback_that_cannot_take_a_call_does_not_hide_that_there_is_no_room() -> Result<()> {
    in_turn(async {
        let fast = |name| Upstream::new(name).behaving("--output 2 --latency 2ms");
        let models = "[[models]]\nname = \"m\"\ndeployments = [\"small\"]\nfallbacks = [\"short\"]\n\n\
                      [[models]]\nname = \"short\"\ndeployments = [\"narrow\"]\n";
        let narrow = Upstream { context_window: Some(16), max_output: 8, ..fast("narrow") };
        let upstreams = vec![Upstream { rpm: Some(1), ..fast("small") }, narrow];
        let models = Some(models.to_owned());
        let site =
            Site::start(Plan { replicas: 1, models, ..Plan::new("failures-narrow", upstreams) }).await?;
        let client = &site.replicas[0].client;
        let long = || Ask::new("m").max_tokens(64);
        let first = client.call(&long()).await;
        ensure!(first.is_good(false) && first.deployment == "small", "{first:?}");
        let second = client.call(&long()).await;
        ensure!(second.status == 429 && second.retry_after.is_some(), "{second:?}");
        let alone = client.call(&Ask::new("short").max_tokens(64)).await;
        ensure!(alone.status == 400, "{alone:?}");
        Ok(())
    })
}

/// Broken on purpose to see it fail: each replica with a Redis namespace of its own.
#[test]
fn one_refusal_by_a_provider_rests_it_for_every_replica() -> Result<()> {
    in_turn(async {
        let mut plan = bad_and_good("failures-429");
        plan.replicas = 3;
        let site = Site::start(plan).await?;
        site.providers[0].fail(&["status=429,retry-after=3"]).await?;
        let first = site.replicas[0].client.call(&Ask::new("m")).await;
        ensure!(first.is_good(false) && first.deployment == "good", "{first:?}");
        let refused = Instant::now();
        tokio::time::sleep(Duration::from_millis(100)).await; // the rest is told at once, not in the answer's way
        for at in 0..30 {
            let answer = site.replicas[at % 3].client.call(&Ask::new("m")).await;
            ensure!(answer.is_good(false) && answer.deployment == "good", "{answer:?}");
            ensure!(answer.attempts == 1, "replica {}: {} attempts", at % 3, answer.attempts);
        }
        ensure!(site.providers[0].arrivals().await?.len() == 1, "a resting provider was called");

        site.providers[0].fail(&[]).await?;
        tokio::time::sleep(Duration::from_millis(3_300).saturating_sub(refused.elapsed())).await;
        let after = site.replicas[2].client.call(&Ask::new("m")).await;
        ensure!(after.deployment == "bad", "after the rest: {after:?}");
        Ok(())
    })
}

/// Broken on purpose to see it fail: a request that is refused tried elsewhere.
#[test]
fn what_the_provider_itself_refuses_is_passed_on_and_not_tried_elsewhere() -> Result<()> {
    in_turn(async {
        let site = Site::start(bad_and_good("failures-400")).await?;
        let body = r#"{"model":"m","max_tokens":0,"messages":[{"role":"user","content":"x"}]}"#;
        let (status, text) = post(site.replicas[0].addr(), "/v1/chat/completions", body.to_owned()).await?;
        let text = String::from_utf8_lossy(&text);
        ensure!(status == 400 && text.contains("invalid_request_error"), "{status}: {text}");
        let asked = [site.providers[0].arrivals().await?.len(), site.providers[1].arrivals().await?.len()];
        ensure!(asked == [1, 0], "the providers were asked {asked:?} times");
        Ok(())
    })
}

/// An answer that begins well, and then is a refusal that tells of the account.
const BEGUN_AND_REFUSED: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n\
    data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Yes\"},\"finish_reason\":null}]}\n\n\
    data: {\"error\":{\"message\":\"Rate limit reached in organization org-secret\",\"type\":\"tokens\",\"param\":null,\"code\":\"rate_limit_exceeded\"}}\n\n";

/// A provider that gives these answers, one to a connection, and then the last one again and again.
async fn answering(answers: &'static [&'static str]) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    tokio::spawn(async move {
        for at in 0.. {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let answer = answers[at.min(answers.len() - 1)];
            tokio::spawn(async move {
                let mut request = Vec::new();
                let whole = |request: &[u8]| match request.starts_with(b"GET") {
                    true => request.ends_with(b"\r\n\r\n"),
                    false => request.ends_with(b"}"),
                };
                while !whole(&request) && stream.read_buf(&mut request).await.is_ok_and(|read| read > 0) {}
                // In two pieces: what fails with its first content is tried elsewhere.
                let at = answer.rfind("data: ").unwrap_or_default();
                for piece in [&answer[..at], &answer[at..]] {
                    let _ = stream.write_all(piece.as_bytes()).await; // a gateway that left says so itself
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            });
        }
    });
    Ok(addr)
}

/// The account and the deployment `bad`, at this address.
fn account_at(addr: SocketAddr) -> String {
    format!(
        "[[accounts]]\nname = \"bad\"\nprovider = \"openai-compatible\"\nbase_url = \"http://{addr}/v1\"\n\n\
         [[deployments]]\nname = \"bad\"\naccount = \"bad\"\nmodel = \"x\"\nlimits = {{ rpm = 1000 }}\n\n"
    )
}

const FAILED: &str = "HTTP/1.1 500 Internal Server Error\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
const FAILED_FOR_GOOD: &str = "HTTP/1.1 500 Internal Server Error\r\nx-should-retry: false\r\nconnection: close\r\n\
    content-length: 0\r\n\r\n";
const KEPT: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: 15\r\n\r\n\
    {\"id\":\"resp_1\"}";

/// Broken on purpose to see it fail: `ATTEMPTS` of 1.
#[test]
fn a_request_for_what_is_kept_is_made_again_after_a_failure_that_may_pass() -> Result<()> {
    in_turn(async {
        let bad = account_at(answering(&[FAILED, FAILED, KEPT]).await?);
        let models = format!("{bad}[[models]]\nname = \"m\"\ndeployments = [\"bad\"]\n");
        let plan = Plan { models: Some(models), ..Plan::new("failures-kept", Vec::new()) };
        let site = Site::start(Plan { replicas: 1, ..plan }).await?;
        let (status, body) = get(site.replicas[0].addr(), "/v1/responses/resp_1").await?;
        ensure!(status == 200 && body == r#"{"id":"resp_1"}"#, "{status}: {body:?}");
        Ok(())
    })
}

/// Broken on purpose to see it fail: the provider's word not heard.
#[test]
fn a_request_for_what_is_kept_is_not_made_again_against_the_providers_word() -> Result<()> {
    in_turn(async {
        let bad = account_at(answering(&[FAILED_FOR_GOOD, KEPT]).await?);
        let models = format!("{bad}[[models]]\nname = \"m\"\ndeployments = [\"bad\"]\n");
        let plan = Plan { models: Some(models), ..Plan::new("failures-kept-said", Vec::new()) };
        let site = Site::start(Plan { replicas: 1, ..plan }).await?;
        let (status, body) = get(site.replicas[0].addr(), "/v1/responses/resp_1").await?;
        ensure!(status == 502, "{status}: {body:?}");
        Ok(())
    })
}

/// Broken on purpose to see it fail: nothing rested; the provider's words passed on.
#[test]
fn a_refusal_inside_a_stream_rests_the_pool_and_tells_nothing_of_the_account() -> Result<()> {
    in_turn(async {
        let mut plan = Plan { replicas: 2, ..Plan::new("failures-rest", vec![Upstream::new("good")]) };
        let bad = account_at(answering(&[BEGUN_AND_REFUSED]).await?);
        plan.models = Some(format!("{bad}{BAD_FIRST}"));
        let site = Site::start(plan).await?;
        let body = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"word"}]}"#;
        let (status, text) = post(site.replicas[0].addr(), "/v1/chat/completions", body.to_owned()).await?;
        let text = String::from_utf8(text.to_vec())?;
        ensure!(status == 200 && text.contains("Yes") && text.contains("\"error\""), "{status}: {text}");
        ensure!(!text.contains("org-secret") && !text.contains("[DONE]"), "{text}");
        // Told to the other replica within a SYNC.
        eventually("a rest that both keep", async || {
            let mut by = Vec::new();
            for replica in &site.replicas {
                by.push(replica.client.call(&Ask::new("m").streamed(true)).await.deployment);
            }
            Ok(by == ["good", "good"])
        })
        .await
    })
}
