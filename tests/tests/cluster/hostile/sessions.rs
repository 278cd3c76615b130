//! Sessions of the same name: mallory neither meets acme's nor moves them.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use weir_tests::client::{Answer, Ask};
use weir_tests::provider::Upstream;
use weir_tests::site::Site;

use super::{ACME, MALLORY, QUICK, arrived, start, tenants};
use crate::in_turn;

const SESSIONS: usize = 30;

#[test]
fn sessions_of_one_name_are_not_shared_between_tenants() -> Result<()> {
    in_turn(async {
        let tagged = |name: &'static str| Upstream {
            deployment: format!("tags = [\"{name}\"]\n"),
            rpm: Some(1_000_000),
            ..Upstream::new(name).behaving(QUICK)
        };
        let models = "[[models]]\nname = \"m\"\ndeployments = [\"left\", \"right\"]\n";
        let site = start(
            "hostile-sessions",
            vec![tagged("left"), tagged("right")],
            format!("{models}{}", tenants("", "")),
        )
        .await?;
        let mut homes = BTreeMap::new();
        for at in 0..SESSIONS {
            let answer = call(&site, at, 0, |ask| ask.key(ACME).session(name(at))).await?;
            ensure!(answer.session == "new", "{answer:?}");
            homes.insert(at, answer.deployment);
        }
        let sides: Vec<usize> =
            ["left", "right"].map(|side| homes.values().filter(|home| *home == side).count()).to_vec();
        ensure!(sides.iter().all(|side| *side > 0), "void: all sessions began on one side: {sides:?}");
        for (round, (way, pretends)) in tries().into_iter().enumerate() {
            for (at, home) in &homes {
                // To where acme's session is not: if it were the same one, it would move.
                let other = if home == "left" { "right" } else { "left" };
                let answer =
                    call(&site, *at, round, |ask| pretends(ask, *at).header("x-weir-tags", other)).await?;
                ensure!(answer.deployment == other, "void: {answer:?}");
                ensure!(
                    answer.session != "moved" && (round > 0 || answer.session == "new"),
                    "{way:?}: the session of acme was met: {}",
                    answer.session
                );
            }
            must_stay(&site, &homes, round + 1).await.with_context(|| format!("after {way:?}"))?;
        }
        Ok(())
    })
}

/// Each call of session `at` goes to another replica with each round.
async fn call(site: &Site, at: usize, round: usize, change: impl Fn(Ask) -> Ask) -> Result<Answer> {
    let client = site.replicas[(at + round) % site.replicas.len()].client();
    let answer = client.call(&change(Ask::new("m").max_tokens(4))).await;
    ensure!(answer.is_good(false), "{answer:?}");
    Ok(answer)
}

fn name(at: usize) -> String {
    format!("session-{at}")
}

type Try = (&'static str, fn(Ask, usize) -> Ask);

fn tries() -> [Try; 5] {
    [
        ("the same header", |ask, at| ask.key(MALLORY).session(name(at))),
        ("the same header, as if it were acme", |ask, at| {
            ask.key(MALLORY).session(name(at)).header("x-weir-tenant", "acme")
        }),
        ("the same header twice", |ask, at| ask.key(MALLORY).session(name(at)).session(name(at))),
        ("the name as the request's own", |ask, at| {
            ask.key(MALLORY).member("prompt_cache_key", name(at).into())
        }),
        ("the name with the tenant's before it", |ask, at| {
            ask.key(MALLORY).session(format!("acme{}", name(at)))
        }),
    ]
}

/// acme's sessions are where they were, by what it is told and by what the providers saw.
async fn must_stay(site: &Site, homes: &BTreeMap<usize, String>, round: usize) -> Result<()> {
    let before = arrived(&site.providers).await?;
    for (at, home) in homes {
        let answer = call(site, *at, round, |ask| ask.key(ACME).session(name(*at))).await?;
        ensure!(
            answer.session == "hit" && answer.deployment == *home,
            "session {at} was at {home} and is {} at {}",
            answer.session,
            answer.deployment
        );
    }
    let after = arrived(&site.providers).await?;
    for (at, provider) in site.providers.iter().enumerate() {
        let expected = homes.values().filter(|home| **home == provider.upstream.name).count();
        ensure!(
            after[at] - before[at] == expected,
            "{} saw {} calls, not {expected}",
            provider.upstream.name,
            after[at] - before[at]
        );
    }
    Ok(())
}
