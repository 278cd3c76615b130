//! What stands in Redis, read back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::msgpack::Unpack;
use super::{LAYOUT, Malformed, malformed};
use crate::state::core::behaviour::Demand;
use crate::state::core::circuit::Counts;
use crate::state::core::{
    Behaviour, Circuit, Clock, Counters, Flow, Incarnation, Learn, Learned, Life, Line, Meter, Mode, Moves,
    Pending, Pin, Pool, Said, Shape, Stage, Start, State, Unsettled,
};

/// Doubles per meter in a pool's record.
const METER: usize = 14;

/// Reads a whole state back from the fields of its hash, without the pins. For tests, tools and the audit of holds.
pub fn decode(fields: &BTreeMap<Vec<u8>, Vec<u8>>) -> Result<Option<State>, Malformed> {
    let Some(head) = fields.get(b"e".as_slice()) else { return Ok(None) };
    let head = doubles(head)?;
    if head.first() != Some(&LAYOUT) {
        return Err(malformed("records of another layout"));
    }
    let [_layout, epoch, l, wall, _due, run, _learning] = head[..] else { return Err(malformed("header")) };
    let mut state = State::new(epoch, l);
    state.clock = Clock { l, wall };
    state.run = run;
    for (field, value) in fields {
        let field = std::str::from_utf8(field).map_err(|_| malformed("field name"))?;
        match field.split_once(':') {
            Some(("p", pool)) => {
                let ring = fields.get(format!("r:{pool}").as_bytes());
                let before = fields.get(format!("h:{pool}").as_bytes());
                let rings = [ring, before].map(|ring| ring.map(Vec::as_slice));
                state.pools.insert(pool.into(), self::pool(value, rings)?);
            }
            Some(("i", id)) => {
                let inc = incarnation(id)?;
                let counters = decode_counters(fields, id)?;
                let [exp, d_head, d_end, told] = doubles(value)?[..] else { return Err(malformed("life")) };
                let told = told.checked_sub(1); // 0: nothing was told
                state.lives.insert(inc, Life { exp, d_head, d_end, told, counters });
            }
            Some(("n", name)) => {
                let [k, forget] = doubles(value)?[..] else { return Err(malformed("name")) };
                state.names.insert(name.to_owned(), (k, forget));
            }
            Some(("w", tag)) => {
                let tag = tag.parse().map_err(|_| malformed("tag"))?;
                state.circuits.counts.insert(tag, counts(value)?);
            }
            Some(("v", tag)) => {
                let tag = tag.parse().map_err(|_| malformed("tag"))?;
                state.behaviours.known.insert(tag, behaviour(value)?);
            }
            Some(("a", pool)) => {
                state.learned.pools.insert(pool.into(), learned(value)?);
            }
            Some(("s", pool)) => {
                state.starts.insert(pool.into(), start(value)?);
            }
            _ if field == "a" => {
                let [until] = doubles(value)?[..] else { return Err(malformed("learned")) };
                state.learned.until = until;
            }
            _ if field == "d" => state.pending = decode_pending(value)?,
            _ if field == "b" => state.circuits.known = circuits(value)?,
            _ if field == "z" => state.moves = moves(value)?,
            _ => {}
        }
    }
    if let Some(value) = fields.get(b"learn".as_slice()) {
        let (learn, were_whole) = decode_learn(value)?;
        state.learn = Some(all_told(fields, epoch, learn, &were_whole)?);
    }
    Ok(Some(state))
}

/// Sessions that moved.
fn moves(value: &[u8]) -> Result<Moves, Malformed> {
    let mut at = Unpack::new(value);
    let len = at.array()?;
    let dropped = at.uint()?;
    let one = |at: &mut Unpack<'_>| Ok((at.uint()?, at.text()?.to_owned(), at.uint()?));
    Ok(Moves { dropped, latest: (0..len / 3).map(|_| one(&mut at)).collect::<Result<_, _>>()? })
}

/// With what was told of each pool.
fn all_told(
    fields: &BTreeMap<Vec<u8>, Vec<u8>>,
    epoch: u64,
    mut learn: Learn,
    were_whole: &BTreeSet<u64>,
) -> Result<Learn, Malformed> {
    for (field, value) in fields {
        let Some(pool) = field.strip_prefix(b"o:") else { continue };
        let pool = std::str::from_utf8(pool).map_err(|_| malformed("field name"))?.into();
        let (of, mut told) = decode_told(&pool, value, epoch, were_whole)?;
        if of != epoch && !learn.cut.contains(&of) {
            continue; // left behind by a script of the version before
        }
        learn.others.append(&mut told.others);
        learn.looked.append(&mut told.looked);
        learn.kept.append(&mut told.kept);
        learn.unsettled.append(&mut told.unsettled);
    }
    Ok(learn)
}

/// Reads the list of lives: `NAME.K` of each that lives.
pub fn decode_lives(bytes: &[u8]) -> Result<Vec<String>, Malformed> {
    let mut at = Unpack::new(bytes);
    let mut ids = Vec::new();
    for _ in 0..at.array()? {
        at.array()?;
        let (name, k, alive) = (at.text()?, at.uint()?, at.uint()?);
        ids.extend((alive == 1).then(|| format!("{name}.{k}")));
    }
    Ok(ids)
}

/// Reads a pin.
pub fn decode_pin(bytes: &[u8]) -> Result<Pin, Malformed> {
    match doubles(bytes)?[..] {
        [tag, version, expires] => Ok(Pin { tag, version, expires }),
        _ => Err(malformed("pin")),
    }
}

/// Reads a line.
pub fn decode_line(bytes: &[u8]) -> Result<Line, Malformed> {
    let numbers = doubles(bytes)?;
    let Some(([served, until], flows)) = numbers.split_first_chunk() else { return Err(malformed("line")) };
    let (flows, []) = flows.as_chunks() else { return Err(malformed("line")) };
    let flow = |[tag, rank, start, waits_until, asks_at, seen]: &[u64; 6]| Flow {
        tag: *tag,
        rank: *rank,
        start: *start,
        waits_until: *waits_until,
        asks_at: *asks_at,
        seen: *seen,
    };
    Ok(Line { served: *served, until: *until, flows: flows.iter().map(flow).collect() })
}

pub(super) fn incarnation(id: &str) -> Result<Incarnation, Malformed> {
    let (name, k) = id.rsplit_once('.').ok_or(malformed("incarnation"))?;
    Ok(Incarnation { name: name.to_owned(), k: k.parse().map_err(|_| malformed("incarnation"))? })
}

fn decode_counters(
    fields: &BTreeMap<Vec<u8>, Vec<u8>>,
    id: &str,
) -> Result<BTreeMap<Arc<str>, Vec<Counters>>, Malformed> {
    let prefix = format!("c:{id}:");
    let mut all = BTreeMap::new();
    for (field, value) in fields.range(prefix.clone().into_bytes()..) {
        let Some(pool) = field.strip_prefix(prefix.as_bytes()) else { break };
        let pool = std::str::from_utf8(pool).map_err(|_| malformed("field name"))?;
        let v = doubles(value)?;
        let n = v.len() / 3;
        let counters = (0..n)
            .map(|at| Counters { granted: v[at], returned: v[n + at], posted: v[2 * n + at] })
            .collect();
        all.insert(pool.into(), counters);
    }
    Ok(all)
}

/// A pool from its record and its rings: closed buckets, and those of before data were lost.
pub(super) fn pool(record: &[u8], rings: [Option<&[u8]>; 2]) -> Result<Pool, Malformed> {
    let v = doubles(record)?;
    let [ring, before] = rings.map(|bytes| bytes.map_or(Ok(Vec::new()), doubles));
    let (mut ring, mut before) = (ring?, before?);
    let own = |all: &mut Vec<u64>, slots: u64| {
        let rest = all.split_off((slots as usize).min(all.len()));
        std::mem::replace(all, rest)
    };
    let [rest_until, epoch, ..] = v[..] else { return Err(malformed("pool")) };
    let mut pool = Pool { epoch, rest_until, meters: Vec::new() };
    if v.len() % METER != 2 {
        return Err(malformed("pool"));
    }
    for m in v[2..].chunks_exact(METER) {
        let [cap, cap_until, last, sum, hold, cur, posted, level, level_at, stage, width, buckets, ..] = *m
        else {
            return Err(malformed("pool"));
        };
        let (image_sum, image_posted) = (m[METER - 2], m[METER - 1]);
        let stage = if stage == 1 { Stage::End } else { Stage::Head };
        let mode = if buckets == 0 { Mode::Gauge } else { Mode::Window };
        let shape = Shape { mode, stage, width, buckets };
        let mut closed = own(&mut ring, shape.slots());
        closed.resize(shape.slots() as usize, 0);
        let mut image = own(&mut before, shape.slots());
        if image_sum == 0 {
            image.clear();
        }
        pool.meters.push(Meter {
            shape,
            cap,
            cap_until,
            last,
            sum,
            cur,
            hold,
            posted,
            level,
            level_at,
            ring: closed,
            image,
            image_sum,
            image_posted,
        });
    }
    Ok(pool)
}

/// How far a pool has come that starts slowly: since when, then the top of each meter.
fn start(record: &[u8]) -> Result<Start, Malformed> {
    let numbers = doubles(record)?;
    let Some((since, tops)) = numbers.split_first() else { return Err(malformed("start")) };
    Ok(Start { since: *since, tops: tops.to_vec() })
}

/// What was learned of a pool's limits: share, since; then what was said, when, for how long, of each meter.
fn learned(record: &[u8]) -> Result<Learned, Malformed> {
    let v = doubles(record)?;
    let [share, share_at, ref said @ ..] = v[..] else { return Err(malformed("learned")) };
    let said =
        said.as_chunks().0.iter().map(|[cap, at, for_ms]| Said { cap: *cap, at: *at, for_ms: *for_ms });
    Ok(Learned { share, share_at, said: said.collect() })
}

/// Seven doubles each: the tag, then 1, next, lone, permit, good, since of an open one, or 2, since, whole of one that was.
pub(super) fn circuits(record: &[u8]) -> Result<BTreeMap<u64, Circuit>, Malformed> {
    let read = |of: &[u64]| match *of {
        [tag, 1, next, lone, permit, good, since] => {
            Ok((tag, Circuit::Open { next, lone, permit, good, since }))
        }
        [tag, 2, since, whole, ..] => Ok((tag, Circuit::Ramp { since, whole })),
        _ => Err(malformed("circuit")),
    };
    doubles(record)?.chunks(7).map(read).collect()
}

/// Reads the MessagePack of a field `v:TAG`: `{minute, changed, {sum, ...}, {calls, input, output, ...}, {NAME, k, busy, ...}}`, of
/// the current minute first.
pub(super) fn behaviour(record: &[u8]) -> Result<Behaviour, Malformed> {
    let mut at = Unpack::new(record);
    at.array()?;
    let (minute, changed) = (at.uint()?, at.uint()?);
    let sums = at.uints()?.try_into().map_err(|_| malformed("sums"))?;
    let past: Vec<Demand> = at.uints()?.as_chunks().0.to_vec();
    let past = past.try_into().map_err(|_| malformed("minutes"))?;
    let teller = |at: &mut Unpack<'_>| Ok((at.text()?.to_owned(), (at.uint()?, at.uint()?)));
    let busy = (0..at.array()? / 3).map(|_| teller(&mut at)).collect::<Result<_, Malformed>>()?;
    Ok(Behaviour { minute, changed, sums, past, busy })
}

/// The slot, its width, how many failed in a row, when something went well; then what went well and what failed of each slot.
fn counts(record: &[u8]) -> Result<Counts, Malformed> {
    let v = doubles(record)?;
    let [slot, width, run, well, ref rest @ ..] = v[..] else { return Err(malformed("counts")) };
    let pairs: Vec<(u64, u64)> = rest.as_chunks().0.iter().map(|[ok, failed]| (*ok, *failed)).collect();
    Ok(Counts { slot, width, run, well, slots: pairs.try_into().map_err(|_| malformed("counts"))? })
}

fn doubles(bytes: &[u8]) -> Result<Vec<u64>, Malformed> {
    let mut numbers = Vec::with_capacity(bytes.len() / 8);
    for chunk in bytes.chunks(8) {
        let number = f64::from_le_bytes(chunk.try_into().map_err(|_| malformed("record"))?);
        if number < 0.0 || number.fract() != 0.0 {
            return Err(malformed("record: a number that is negative or not whole"));
        }
        numbers.push(number as u64);
    }
    Ok(numbers)
}

/// Reads the MessagePack of field `d`: `{{due, pool, meter, amount}, ...}`.
fn decode_pending(bytes: &[u8]) -> Result<Vec<Pending>, Malformed> {
    let mut at = Unpack::new(bytes);
    let mut pending = Vec::new();
    for _ in 0..at.array()? {
        at.array()?;
        let (due, pool) = (at.uint()?, at.text()?.into());
        pending.push(Pending { due, pool, meter: at.uint()? as usize, amount: at.uint()? });
    }
    Ok(pending)
}

/// Later than anything: how far a data set knows that does not say.
const UNKNOWN: u64 = 1 << 52;

/// Reads the MessagePack of field `learn`, but for what was told of pools: `{since, told, fresh, {inc, ...}, {}, {}, whole,
/// {from, to}, {}, chunks, {cut epoch, ...}, {such as were whole, ...}, {inc, ...}}`. (Fewer parts: begun by a script of a version
/// before.) And the epochs cut short in which the data set was whole.
fn decode_learn(bytes: &[u8]) -> Result<(Learn, BTreeSet<u64>), Malformed> {
    let mut at = Unpack::new(bytes);
    let parts = at.array()?;
    let (since, told, fresh) = (at.uint()?, at.uint()? == 1, at.uint()? == 1);
    let roster = incarnations(&mut at)?;
    let mut learn = Learn { since, told, fresh, roster, known: (0, UNKNOWN), ..Learn::default() };
    let mut were_whole = BTreeSet::new();
    if parts > 6 {
        at.array()?;
        at.array()?;
        learn.whole = at.uint()? == 1;
    }
    if parts > 11 {
        at.array()?;
        learn.known = (at.uint()?, at.uint()?);
        at.array()?;
        at.uint()?;
        learn.cut = at.uints()?.into_iter().collect();
        were_whole = at.uints()?.into_iter().collect();
    }
    if parts > 12 {
        learn.left = incarnations(&mut at)?;
    }
    Ok((learn, were_whole))
}

/// Reads the MessagePack of a field `o:POOL` into what was learnt: `{epoch, seen, inc, {held ...}, {looked}, {{inc,
/// {kept ...}, heard}, ...}, {{{inc, ...}, {held ...}, seen}, ...}}`. Of an epoch that was cut short what it left.
fn decode_told(
    pool: &Arc<str>,
    bytes: &[u8],
    epoch: u64,
    were_whole: &BTreeSet<u64>,
) -> Result<(u64, Learn), Malformed> {
    let mut at = Unpack::new(bytes);
    at.array()?;
    let (of, mut learn) = (at.uint()?, Learn::default());
    let (seen, bearer, held) = (at.uint()?, at.text()?, at.uints()?);
    if !bearer.is_empty() {
        learn.others.insert(pool.clone(), (seen, incarnation(bearer)?, held));
    }
    learn.looked.extend(at.uints()?.first().map(|looked| (pool.clone(), *looked)));
    let kept = learn.kept.entry(pool.clone()).or_default();
    for _ in 0..at.array()? {
        at.array()?;
        let (inc, held) = (incarnation(at.text()?)?, at.uints()?);
        kept.insert(inc, (at.uint()?, held));
    }
    for _ in 0..at.array()? {
        at.array()?;
        let (settled, held) = (incarnations(&mut at)?, at.uints()?);
        learn.unsettled.insert(Unsettled { pool: pool.clone(), settled, held, seen: at.uint()? });
    }
    if of != epoch {
        learn.whole = were_whole.contains(&of);
        learn.unsettled = learn.unsettled();
        learn.others.clear();
    }
    Ok((of, learn))
}

fn incarnations(at: &mut Unpack) -> Result<BTreeSet<Incarnation>, Malformed> {
    (0..at.array()?).map(|_| incarnation(at.text()?)).collect()
}
