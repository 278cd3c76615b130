//! What the scripts are told: their ARGV.

use super::msgpack::Pack;
use crate::state::core::{
    Caller, Draw, Ending, Join, Kin, Outcome, PoolDecl, PoolMemory, Reserve, Shown, SlowStart, Stage, Stamp,
    Sync, Tell, Telling, Trip, Turn,
};

/// ARGV[1] of every script. A stamp's time of 0 means the server's own.
pub fn head(caller: &Caller, stamp: Stamp) -> Vec<u8> {
    let mut pack = Pack::with_capacity(80);
    pack.array(9).uint(stamp.now).uint(stamp.nonce).uint(stamp.run).uint(caller.epoch);
    pack.text(&caller.inc.id()).text(&caller.inc.name);
    pack.uint(caller.inc.k).uint(caller.l_ack).uint(caller.x);
    pack.into_bytes()
}

/// ARGV[2] of `reserve.lua`.
pub fn reserve(ask: &Reserve) -> Vec<u8> {
    let mut pack = Pack::with_capacity(256 + 64 * ask.pools.len());
    let kin = ask.session.as_ref().map(|session| &session.kin);
    let kin = kin.filter(|kin| kin.of.len() == ask.candidates.len() && !kin.of.is_empty());
    pack.array(if kin.is_some() { 12 } else { 11 }).array(ask.pools.len());
    ask.pools.iter().for_each(|pool| decl(&mut pack, pool));
    draws(&mut pack, &ask.common);
    pack.array(ask.candidates.len());
    for candidate in &ask.candidates {
        pack.array(6).uint(candidate.tag).uint(candidate.tier).uint(candidate.threshold);
        draws(&mut pack, &candidate.draws);
        pack.uint(u64::from(candidate.circuit.is_some())).uint(candidate.account);
    }
    pack.uint(ask.session.as_ref().map_or(0, |session| session.ttl));
    let Tell { left, why, used } = ask.tell;
    pack.uint(left.map_or(0, |pool| pool as u64 + 1)).uint(u64::from(why)).uint(ask.luck);
    pack.uint(u64::from(used)).uint(ask.most);
    match &ask.turn {
        Some(Turn { flow, rank, cost, waits, more, .. }) => {
            pack.uints(&[*flow, *rank, *cost, u64::from(*waits), u64::from(*more)]);
        }
        None => drop(pack.array(0)),
    }
    slow_starts(&mut pack, &ask.pools);
    if let Some(Kin { of, lost, within, spare }) = kin {
        let lost = lost.unwrap_or_default();
        pack.array(4 + 5 * of.len()).uint(*within).uint(*spare).uint(lost.model).uint(lost.provider);
        of.iter().for_each(|like| {
            pack.uint(like.model).uint(like.provider).uint(like.set).uint(like.cold).uint(like.worth);
        });
    }
    pack.into_bytes()
}

/// Of pools that start slowly: index from 1, share of the caps, factor, period.
fn slow_starts(pack: &mut Pack, pools: &[PoolDecl]) {
    let slow = |(at, pool): (usize, &PoolDecl)| Some((at as u64 + 1, pool.slow_start?));
    let slow = pools.iter().enumerate().filter_map(slow);
    pack.array(4 * slow.clone().count());
    slow.for_each(|(at, SlowStart { from, factor, per })| {
        pack.uint(at).uint(from).uint(factor).uint(per);
    });
}

fn draws(pack: &mut Pack, draws: &[Draw]) {
    pack.array(draws.len());
    for draw in draws {
        pack.array(1 + draw.amounts.len()).uint(draw.pool as u64);
        draw.amounts.iter().for_each(|n| {
            pack.uint(*n);
        });
    }
}

/// ARGV[2] of `join.lua`.
pub fn join(join: &Join) -> Vec<u8> {
    let mut pack = Pack::default();
    pack.array(7).uint(join.d_head).uint(join.d_end).uint(join.epoch).uint(join.memory.age);
    pack.array(join.memory.roster.len());
    join.memory.roster.iter().for_each(|inc| {
        pack.text(&inc.id());
    });
    pack.array(join.memory.pools.len());
    join.memory.pools.iter().for_each(|pool| memory(&mut pack, pool));
    pack.uint(u64::from(join.more));
    pack.into_bytes()
}

fn memory(pack: &mut Pack, told: &PoolMemory) {
    pack.array(9);
    decl(pack, &told.decl);
    let counters = told.counters.iter().flat_map(|c| [c.granted, c.returned, c.posted]);
    pack.uints(&counters.collect::<Vec<_>>()).uint(told.age);
    pack.uints(&told.seen).uints(&told.posted).uints(&told.others);
    pack.array(told.window.len());
    for window in &told.window {
        pack.uints(&window.iter().flat_map(|(ended, amount)| [*ended, *amount]).collect::<Vec<_>>());
    }
    pack.uint(told.rest).uints(&told.kept);
}

/// A pool's key, then stage, width, buckets, cap, pace of each meter.
fn decl(pack: &mut Pack, decl: &PoolDecl) {
    pack.array(1 + 5 * decl.meters.len()).text(&decl.key);
    for meter in decl.meters.iter() {
        let stage = u64::from(meter.shape.stage == Stage::End);
        for n in [stage, meter.shape.width, meter.shape.buckets, meter.cap, meter.pace] {
            pack.uint(n);
        }
    }
}

/// ARGV[2], ARGV[3], ARGV[5] and ARGV[6] of `sync.lua`.
pub fn sync(sync: &Sync) -> [Vec<u8>; 4] {
    let mut reports = Pack::with_capacity(16 + 96 * sync.reports.len());
    reports.array(sync.reports.len());
    for report in &sync.reports {
        let parts = if report.wants.is_empty() { 5 } else { 6 };
        reports.array(parts).text(&report.key).uints(&report.returned).uints(&report.posted);
        reports.uint(u64::from(report.look));
        let said = report.said.iter().flat_map(|said| [said.cap, said.at, said.for_ms]);
        reports.uints(&said.collect::<Vec<_>>());
        if parts == 6 {
            reports.uints(&report.wants.iter().flat_map(|want| [want.level, want.cap]).collect::<Vec<_>>());
        }
    }
    let mut rests = Pack::default();
    rests.array(sync.rests.len());
    for rest in &sync.rests {
        rests.array(3).text(&rest.key).uint(rest.for_ms).uint(u64::from(rest.refused));
    }
    let telling = sync.telling.as_ref().map_or(Vec::new(), telling);
    [reports.into_bytes(), rests.into_bytes(), outcomes(&sync.outcomes), telling]
}

fn telling(telling: &Telling) -> Vec<u8> {
    let mut pack = Pack::with_capacity(16 + 96 * telling.shown.len());
    pack.array(2).uint(telling.since).array(telling.shown.len());
    for Shown { tag, busy, sums, demand } in &telling.shown {
        pack.array(4).uint(*tag).uint(*busy).uints(sums).uints(demand);
    }
    pack.into_bytes()
}

fn outcomes(outcomes: &[Outcome]) -> Vec<u8> {
    let mut pack = Pack::default();
    pack.array(outcomes.len());
    for Outcome { tag, ok, failed, run, probes, trip } in outcomes {
        let Trip { failures, ratio, min_calls, window, open, successes, ramp, most } = *trip;
        pack.array(6).uint(*tag).uint(*ok).uint(*failed).uint(*run);
        pack.uints(&[failures, ratio, min_calls, window, open, successes, ramp, most]);
        let said = |ending: &Ending| match ending {
            Ending::Unknown => 0,
            Ending::Well => 1,
            Ending::Wrong => 2,
        };
        pack.uints(&probes.iter().flat_map(|(permit, ending)| [*permit, said(ending)]).collect::<Vec<_>>());
    }
    pack.into_bytes()
}
