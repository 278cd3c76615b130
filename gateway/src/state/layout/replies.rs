//! What the scripts answer: MessagePack in one string, which is cheaper to write and to read than an array of the
//! Redis protocol. The heads of the scripts list the replies.

use std::collections::{BTreeMap, BTreeSet};

use redis::Value;

use super::msgpack::Unpack;
use super::records::incarnation;
use super::{Malformed, malformed};
use crate::state::core::{
    Amounts, Behaviour, Cause, Denied, Granted, Image, Joined, Moved, PoolView, Reply, Reserved,
    SessionOutcome, Synced, Told, Verdict,
};

/// Which command a reply answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// `join.lua`
    Join,
    /// `reserve.lua`
    Reserve,
    /// `sync.lua`
    Sync,
    /// `bye.lua`
    Bye,
}

/// Reads a script's reply.
pub fn reply(asked: Asked, value: &Value) -> Result<Reply, Malformed> {
    let Value::BulkString(bytes) = value else { return Err(malformed("reply")) };
    let mut at = Unpack::new(bytes);
    let len = at.array()?;
    Ok(match (at.uint()?, asked) {
        (0, Asked::Join) => {
            Reply::Joined(Joined { epoch: at.uint()?, l: at.uint()?, live: at.uint()? as usize })
        }
        (0, Asked::Bye) => Reply::Left(at.uint()? == 1),
        (0, Asked::Reserve) => Reply::Reserved(Reserved::Granted(Granted {
            index: at.uint()? as usize,
            session: session(at.uint()?)?,
            share: at.uint()?,
            l: at.uint()?,
            told: told(&mut at, len)?,
            permit: if len > 7 { at.uint()? } else { 0 },
            used: if len > 8 { at.uints()?.into_iter().collect() } else { Amounts::new() },
        })),
        (0, Asked::Sync) => Reply::Synced(synced(&mut at, len)?),
        (1, Asked::Reserve) => {
            let (retry_in, exact, pool) = (at.uint()?, at.uint()? == 1, at.uint()? as usize);
            let whose = at.uint()?;
            let (common, open, told) = (whose == 1, whose == 2, told(&mut at, len)?);
            Reply::Reserved(Reserved::Denied(Denied { retry_in, exact, pool, common, open, told }))
        }
        (2, Asked::Reserve) => {
            Reply::Reserved(Reserved::TooBig { pool: at.uint()? as usize, meter: at.uint()? as usize })
        }
        (3, _) => Reply::Gone(at.uint()?),
        (4, _) => Reply::Epoch(at.uint()?),
        (6, Asked::Reserve) => Reply::Learning(at.uint()?),
        (5, _) => return Err(Malformed::OtherLayout),
        _ => return Err(malformed("reply")),
    })
}

/// What follows the five items of every reply to a RESERVE of `len`; a script of before tells nothing.
fn told(at: &mut Unpack<'_>, len: usize) -> Result<Told, Malformed> {
    if len < 7 {
        return Ok(Told::default());
    }
    let left = at.uints()?.into_iter().collect();
    let verdict = |parts: &[u64]| match *parts {
        [0, _, _] => Ok(Verdict::NotLooked),
        [1, share, _] => Ok(Verdict::Fits(share)),
        [2, ms, pool] => Ok(Verdict::Waits(ms, pool as usize)),
        [3, _, pool] => Ok(Verdict::Never(pool as usize)),
        [4, ms, 0] => Ok(Verdict::Open(ms, Cause::Faults)),
        [4, ms, 1] => Ok(Verdict::Open(ms, Cause::Key)),
        [4, ms, 2] => Ok(Verdict::Open(ms, Cause::Quota)),
        [5, share, _] => Ok(Verdict::Recovers(share)),
        _ => Err(malformed("verdict")),
    };
    Ok(Told { left, why: at.uints()?.chunks(3).map(verdict).collect::<Result<_, _>>()? })
}

fn session(code: u64) -> Result<SessionOutcome, Malformed> {
    match code {
        0 => Ok(SessionOutcome::None),
        1 => Ok(SessionOutcome::Hit),
        2 => Ok(SessionOutcome::New),
        3 => Ok(SessionOutcome::Moved),
        _ => Err(malformed("session outcome")),
    }
}

/// What follows the code in the reply to a SYNC of `len` items.
fn synced(at: &mut Unpack<'_>, len: usize) -> Result<Synced, Malformed> {
    let (l, lease) = (at.uint()?, at.uint()? == 1);
    let live: Result<BTreeSet<_>, _> = (0..at.array()?).map(|_| incarnation(at.text()?)).collect();
    let live = live?.into_iter().collect();
    let learning = at.uint()? == 1;
    let mut pools = Vec::with_capacity(len / 5);
    for _ in 0..len.saturating_sub(5) / 5 {
        let (granted, used, cap, rest) = (at.uints()?, at.uints()?, at.uints()?, at.uint()?);
        pools.push(PoolView { granted, used, cap, rest, bounds: Vec::new(), image: image(at, l)? });
    }
    // Told behind them if there are any.
    let circuits =
        if len.is_multiple_of(5) { BTreeMap::new() } else { super::records::circuits(at.bytes()?)? };
    let circuits = circuits.into_iter().collect();
    let bounded = if len % 5 > 1 { at.array()? } else { 0 };
    for view in pools.iter_mut().take(bounded) {
        view.bounds = at.uints()?;
    }
    let behaviours = if len % 5 > 2 { behaviours(at)? } else { Vec::new() };
    let moved = if len % 5 > 3 { moved(at)? } else { Moved::default() };
    Ok(Synced { l, lease, live, learning, pools, circuits, behaviours, moved })
}

/// Whether more moved; then a session and a tag, of each.
fn moved(at: &mut Unpack<'_>) -> Result<Moved, Malformed> {
    let len = at.array()?;
    let more = at.uint()? == 1;
    let one = |at: &mut Unpack<'_>| Ok((at.text()?.to_owned(), at.uint()?));
    Ok(Moved { more, to: (0..len / 2).map(|_| one(at)).collect::<Result<_, _>>()? })
}

/// A tag and the record as stored, of each.
fn behaviours(at: &mut Unpack<'_>) -> Result<Vec<(u64, Behaviour)>, Malformed> {
    let of = |at: &mut Unpack<'_>| Ok((at.uint()?, super::records::behaviour(at.bytes()?)?));
    let mut told = (0..at.array()? / 2).map(|_| of(at)).collect::<Result<Vec<_>, _>>()?;
    told.sort_unstable_by_key(|(tag, _)| *tag);
    Ok(told)
}

/// A pool's record and rings as stored, if an image was asked for.
fn image(at: &mut Unpack<'_>, l: u64) -> Result<Option<Image>, Malformed> {
    let parts = (0..at.array()?).map(|_| at.bytes()).collect::<Result<Vec<_>, _>>()?;
    let [record, ring, before] = parts[..] else { return Ok(None) };
    let rings = [ring, before].map(|ring| (!ring.is_empty()).then_some(ring));
    let pool = super::records::pool(record, rings)?;
    Ok(Some(Image {
        posted: pool.meters.iter().map(|meter| meter.posted).collect(),
        held: pool.meters.iter().map(|meter| meter.hold).collect(),
        window: pool.meters.iter().map(|meter| meter.window(l)).collect(),
    }))
}
