//! What came of it: by the clients' answers, and by what providers saw.

use std::collections::{BTreeMap, BTreeSet};
use std::slice;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use weir_tests::client::Answer;
use weir_tests::judge::{Unit, Verdict};
use weir_tests::provider::{Arrival, Provider};
use weir_tests::site::Site;

use super::traffic::{Call, Kind, SESSIONS, session};

/// Calls of the tenant `held` in six seconds.
pub(super) const HELD: usize = 60;
const HELD_PER: Duration = Duration::from_secs(6);
/// Of the tenant `spender`, US dollars: it is spent when a part of the replicas is new.
pub(super) const BUDGET: f64 = 0.2;
/// US dollars per million tokens.
pub(super) const PRICE: (f64, f64) = (10.0, 30.0);
/// More than any call of that tenant costs, US dollars.
const ONE_CALL: f64 = 0.002;
/// Attempts at once at the provider of long streams.
pub(super) const AT_ONCE: u64 = 6;

/// Each call was served, or told that a limit is reached where there is one; every life served; sessions stayed.
pub(super) fn calls(calls: &[Call]) -> Result<()> {
    let mut counts: BTreeMap<(Kind, u16), usize> = BTreeMap::new();
    for Call { kind, answer, .. } in calls {
        *counts.entry((*kind, answer.status)).or_default() += 1;
    }
    let again = calls.iter().filter(|call| call.tries > 1).count();
    println!("{} calls, {again} of them made again for want of an answer: {counts:?}", calls.len());
    let failed: Vec<&Call> = calls.iter().filter(|call| !went_well(call)).collect();
    ensure!(failed.is_empty(), "{} calls failed, such as {:?}", failed.len(), failed[0]);
    let by: BTreeSet<&str> = calls.iter().map(|call| call.answer.replica.as_str()).collect();
    ensure!(by.len() == 9, "void: served by {by:?} alone"); // three of the release before, three present ones, three again
    sessions(calls)
}

fn went_well(Call { kind, answer, .. }: &Call) -> bool {
    answer.is_good(answer.streamed) || (answer.status == 429 && *kind != Kind::Session)
}

fn sessions(calls: &[Call]) -> Result<()> {
    let mut of: BTreeMap<String, Vec<&Answer>> = BTreeMap::new();
    for call in calls.iter().filter(|call| call.kind == Kind::Session) {
        of.entry(session(call.at)).or_default().push(&call.answer);
    }
    ensure!(of.len() == SESSIONS, "void: {} sessions", of.len());
    let mut homes = BTreeSet::new();
    for (name, mut turns) in of {
        turns.sort_by_key(|answer| answer.sent_us);
        let strayed = turns.iter().find(|answer| answer.deployment != turns[0].deployment);
        ensure!(strayed.is_none(), "{name} left {}: {strayed:?}", turns[0].deployment);
        let cold = turns[1..].iter().find(|answer| answer.session != "hit");
        ensure!(cold.is_none(), "{name} was not known: {cold:?}");
        homes.insert(turns[0].deployment.as_str());
    }
    ensure!(homes.len() == 2, "void: all sessions began at {homes:?}");
    Ok(())
}

/// No provider saw more than the limit that it is there for, and each limit was met.
pub(super) async fn limits(site: &Site, calls: &[Call]) -> Result<()> {
    let until = calls.iter().map(|call| call.answer.sent_us).max().unwrap_or(0);
    for provider in &site.providers {
        let upstream = &provider.upstream;
        match upstream.name {
            "a" | "b" | "c" => of_provider(site, provider, until).await?,
            "own" => of_tenant(&provider.arrivals().await?)?,
            "paid" => of_budget(&provider.arrivals().await?)?,
            "wide" => at_once(&provider.arrivals().await?)?,
            "talk-a" | "talk-b" => {}
            other => bail!("nobody judges {other}"),
        }
    }
    Ok(())
}

async fn of_provider(site: &Site, provider: &Provider, until: u64) -> Result<()> {
    let verdict = Verdict::on(slice::from_ref(provider), site.plan.scale.window, until).await?;
    verdict.must_be_clean()?;
    let unit = if provider.upstream.rpm.is_some() { Unit::Requests } else { Unit::Tokens };
    let (worst, limit) = verdict.worst(unit).first().copied().context("nothing was judged")?;
    let most = verdict.worst_at_any_instant().into_iter().fold(worst, u64::max);
    println!("{}: at most {most} of {limit} in a window", provider.upstream.name);
    ensure!(most <= limit, "{}: {most} of {limit}", provider.upstream.name);
    ensure!(most * 4 >= limit * 3, "void: {most} of {limit} at {}", provider.upstream.name);
    Ok(())
}

/// The fullest six seconds, wherever they begin.
fn of_tenant(arrivals: &[Arrival]) -> Result<()> {
    let mut times: Vec<u64> = arrivals.iter().map(|one| one.arrival_us).collect();
    times.sort_unstable();
    let within = |(at, begins): (usize, &u64)| {
        times[at..].iter().take_while(|time| **time - begins < HELD_PER.as_micros() as u64).count()
    };
    let most = times.iter().enumerate().map(within).max().unwrap_or(0);
    println!("own: at most {most} of {HELD} in a window of their tenant");
    ensure!(most <= HELD, "{most} calls of a tenant that may make {HELD}");
    ensure!(most * 10 >= HELD * 9, "void: its limit was not met: {most} of {HELD}");
    Ok(())
}

fn of_budget(arrivals: &[Arrival]) -> Result<()> {
    let cost =
        |one: &Arrival| (one.prompt_tokens as f64 * PRICE.0 + one.output_tokens as f64 * PRICE.1) / 1e6;
    let billed: f64 = arrivals.iter().filter(|one| one.status == 200).map(cost).sum();
    println!("paid: {billed:.6} of {BUDGET} US dollars");
    ensure!(billed <= BUDGET + ONE_CALL, "{billed} of {BUDGET} US dollars");
    ensure!(billed > BUDGET - 2.0 * ONE_CALL, "void: much is left: {billed} of {BUDGET} US dollars");
    Ok(())
}

/// The most attempts that were open at one moment.
fn at_once(arrivals: &[Arrival]) -> Result<()> {
    let ends = arrivals.iter().map(|one| one.end_us.map(|end| (end, -1_i64)));
    let ends: Vec<(u64, i64)> = ends.collect::<Option<_>>().context("an attempt has not ended")?;
    let mut changes: Vec<(u64, i64)> = arrivals.iter().map(|one| (one.arrival_us, 1)).chain(ends).collect();
    changes.sort_unstable(); // of one moment, ends first
    let (mut open, mut most) = (0, 0);
    for (_, change) in changes {
        open += change;
        most = most.max(open);
    }
    println!("wide: at most {most} of {AT_ONCE} at once");
    ensure!(most <= AT_ONCE as i64, "{most} at once where there may be {AT_ONCE}");
    ensure!(most == AT_ONCE as i64, "void: never as many at once as there may be: {most}");
    Ok(())
}
