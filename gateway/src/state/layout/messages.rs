//! What the scripts are told: their ARGV.

use super::msgpack::Pack;
use crate::state::core::{Caller, Draw, Join, Ms, Reserve, Stage, Sync};

/// ARGV[1] of every script. `now` 0 means the server's own time; `nonce` names a new data set if there is none.
pub fn head(caller: &Caller, now: Ms, nonce: u64) -> Vec<u8> {
    let mut pack = Pack::with_capacity(64);
    pack.array(8).uint(now).uint(nonce).uint(caller.epoch).text(&caller.inc.id()).text(&caller.inc.name);
    pack.uint(caller.inc.k).uint(caller.l_ack).uint(caller.x);
    pack.into_bytes()
}

/// ARGV[2] of `reserve.lua`.
pub fn reserve(ask: &Reserve) -> Vec<u8> {
    let mut pack = Pack::with_capacity(256 + 64 * ask.pools.len());
    pack.array(4).array(ask.pools.len());
    for pool in &ask.pools {
        pack.array(1 + 5 * pool.meters.len()).text(&pool.key);
        for meter in pool.meters.iter() {
            let stage = u64::from(meter.shape.stage == Stage::End);
            for n in [stage, meter.shape.width, meter.shape.buckets, meter.cap, meter.pace] {
                pack.uint(n);
            }
        }
    }
    draws(&mut pack, &ask.common);
    pack.array(ask.candidates.len());
    for candidate in &ask.candidates {
        pack.array(4).uint(candidate.tag).uint(candidate.tier).uint(candidate.threshold);
        draws(&mut pack, &candidate.draws);
    }
    pack.uint(ask.session.as_ref().map_or(0, |session| session.ttl));
    pack.into_bytes()
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
    pack.uints(&[join.d_head, join.d_end]);
    pack.into_bytes()
}

/// ARGV[2] and ARGV[3] of `sync.lua`.
pub fn sync(sync: &Sync) -> (Vec<u8>, Vec<u8>) {
    let mut reports = Pack::with_capacity(16 + 96 * sync.reports.len());
    reports.array(sync.reports.len());
    for report in &sync.reports {
        reports.array(3).text(&report.key).uints(&report.returned).uints(&report.posted);
    }
    let mut rests = Pack::default();
    rests.array(sync.rests.len());
    for rest in &sync.rests {
        rests.array(2).text(&rest.key).uint(rest.for_ms);
    }
    (reports.into_bytes(), rests.into_bytes())
}
