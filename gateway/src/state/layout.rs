//! Bytes of the shared state: the messages to the scripts, their replies, and the packed records. The only place
//! that knows them on this side; `lua/common.lua` describes the records.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use redis::Value;

use super::core::{
    Caller, Clock, Counters, Denied, Draw, Granted, Incarnation, Join, Joined, Life, Meter, Mode, Ms,
    Pending, Pin, Pool, PoolView, Reply, Reserve, Reserved, SessionOutcome, Shape, Stage, State, Sync,
    Synced,
};

/// The version of the records; a script refuses records of another.
pub const LAYOUT: u64 = 1;
/// Doubles per meter in the hot and in the cold part of a pool's record.
const HOT: usize = 5;
const COLD: usize = 8;

/// A reply or a record that does not have the expected form.
#[derive(Debug, thiserror::Error)]
#[error("unexpected {what} from the shared state")]
pub struct Malformed {
    /// What was being read.
    pub what: &'static str,
}

fn malformed(what: &'static str) -> Malformed {
    Malformed { what }
}

/// The key of a pool: its name and the shape of its meters, so that a pool of another shape is another record.
/// Example: `account/a/gpt-4o|r60000.t60000e`.
pub fn pool_key(name: &str, meters: impl IntoIterator<Item = (char, Shape)>) -> Arc<str> {
    let mut key = String::from(name);
    for (at, (letter, shape)) in meters.into_iter().enumerate() {
        key.push(if at == 0 { '|' } else { '.' });
        let stage = if shape.stage == Stage::End { "e" } else { "" };
        // Writing to a String cannot fail.
        let _ = match shape.mode {
            Mode::Window => write!(key, "{letter}{}{stage}", shape.span()),
            Mode::Gauge => write!(key, "{letter}"),
        };
    }
    key.into()
}

/// A writer of MessagePack: arrays, unsigned integers, strings; all that the scripts need.
#[derive(Default)]
struct Pack(Vec<u8>);

impl Pack {
    fn array(&mut self, len: usize) -> &mut Pack {
        match len {
            0..=15 => self.0.push(0x90 | len as u8),
            16..=0xffff => {
                self.0.push(0xdc);
                self.0.extend((len as u16).to_be_bytes());
            }
            _ => {
                self.0.push(0xdd);
                self.0.extend((len as u32).to_be_bytes());
            }
        }
        self
    }

    fn uint(&mut self, n: u64) -> &mut Pack {
        match n {
            0..=0x7f => self.0.push(n as u8),
            0x80..=0xffff => {
                self.0.push(0xcd);
                self.0.extend((n as u16).to_be_bytes());
            }
            0x1_0000..=0xffff_ffff => {
                self.0.push(0xce);
                self.0.extend((n as u32).to_be_bytes());
            }
            _ => {
                self.0.push(0xcf);
                self.0.extend(n.to_be_bytes());
            }
        }
        self
    }

    fn text(&mut self, s: &str) -> &mut Pack {
        match s.len() {
            0..=31 => self.0.push(0xa0 | s.len() as u8),
            32..=0xffff => {
                self.0.push(0xda);
                self.0.extend((s.len() as u16).to_be_bytes());
            }
            _ => {
                self.0.push(0xdb);
                self.0.extend((s.len() as u32).to_be_bytes());
            }
        }
        self.0.extend(s.as_bytes());
        self
    }

    fn uints(&mut self, numbers: &[u64]) -> &mut Pack {
        self.array(numbers.len());
        numbers.iter().for_each(|n| {
            self.uint(*n);
        });
        self
    }

    fn draws(&mut self, draws: &[Draw]) -> &mut Pack {
        self.array(draws.len());
        for draw in draws {
            self.array(1 + draw.amounts.len()).uint(draw.pool as u64);
            draw.amounts.iter().for_each(|n| {
                self.uint(*n);
            });
        }
        self
    }
}

/// ARGV[1] of every script. `now` 0 means the server's own time; `nonce` names a new data set if there is none.
pub fn head(caller: &Caller, now: Ms, nonce: u64) -> Vec<u8> {
    let mut pack = Pack(Vec::with_capacity(64));
    pack.array(8)
        .uint(now)
        .uint(nonce)
        .uint(caller.epoch)
        .text(&caller.inc.to_string())
        .text(&caller.inc.name);
    pack.uint(caller.inc.k).uint(caller.l_ack).uint(caller.x);
    pack.0
}

/// ARGV[2] of `reserve.lua`.
pub fn reserve(ask: &Reserve) -> Vec<u8> {
    let mut pack = Pack(Vec::with_capacity(256 + 64 * ask.pools.len()));
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
    pack.draws(&ask.common).array(ask.candidates.len());
    for candidate in &ask.candidates {
        pack.array(4).uint(candidate.tag).uint(candidate.tier).uint(candidate.threshold);
        pack.draws(&candidate.draws);
    }
    pack.uint(ask.session.as_ref().map_or(0, |session| session.ttl));
    pack.0
}

/// ARGV[2] of `join.lua`.
pub fn join(join: &Join) -> Vec<u8> {
    let mut pack = Pack::default();
    pack.uints(&[join.d_head, join.d_end]);
    pack.0
}

/// ARGV[2] and ARGV[3] of `sync.lua`.
pub fn sync(sync: &Sync) -> (Vec<u8>, Vec<u8>) {
    let mut reports = Pack(Vec::with_capacity(16 + 96 * sync.reports.len()));
    reports.array(sync.reports.len());
    for report in &sync.reports {
        reports.array(3).text(&report.key).uints(&report.returned).uints(&report.posted);
    }
    let mut rests = Pack::default();
    rests.array(sync.rests.len());
    for rest in &sync.rests {
        rests.array(2).text(&rest.key).uint(rest.for_ms);
    }
    (reports.0, rests.0)
}

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
    let items = array(value)?;
    let n = |at: usize| items.get(at).and_then(int).ok_or(malformed("reply"));
    Ok(match (n(0)?, asked) {
        (0, Asked::Join) => Reply::Joined(Joined { epoch: n(1)?, l: n(2)?, live: n(3)? as usize }),
        (0, Asked::Bye) => Reply::Left(n(1)? == 1),
        (0, Asked::Reserve) => Reply::Reserved(Reserved::Granted(Granted {
            index: n(1)? as usize,
            session: session(n(2)?)?,
            share: n(3)?,
            l: n(4)?,
        })),
        (0, Asked::Sync) => Reply::Synced(synced(items)?),
        (1, Asked::Reserve) => Reply::Reserved(Reserved::Denied(Denied {
            retry_in: n(1)?,
            exact: n(2)? == 1,
            pool: n(3)? as usize,
            common: n(4)? == 1,
        })),
        (2, Asked::Reserve) => {
            Reply::Reserved(Reserved::TooBig { pool: n(1)? as usize, meter: n(2)? as usize })
        }
        (3, _) => Reply::Gone(n(1)?),
        (4, _) => Reply::Epoch(n(1)?),
        (5, _) => return Err(malformed("records of another layout")),
        _ => return Err(malformed("reply")),
    })
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

fn synced(items: &[Value]) -> Result<Synced, Malformed> {
    let n = |at: usize| items.get(at).and_then(int).ok_or(malformed("sync reply"));
    let numbers = |value: &Value| -> Result<Vec<u64>, Malformed> {
        array(value)?.iter().map(|v| int(v).ok_or(malformed("sync reply"))).collect()
    };
    let mut pools = Vec::with_capacity(items.len() / 4);
    for view in items.get(5..).unwrap_or_default().chunks_exact(4) {
        pools.push(PoolView {
            granted: numbers(&view[0])?,
            used: numbers(&view[1])?,
            cap: numbers(&view[2])?,
            rest: int(&view[3]).ok_or(malformed("sync reply"))?,
        });
    }
    Ok(Synced { l: n(1)?, lease: n(2)? == 1, live: n(3)? as usize, rejected: n(4)?, pools })
}

fn array(value: &Value) -> Result<&[Value], Malformed> {
    match value {
        Value::Array(items) => Ok(items),
        _ => Err(malformed("reply")),
    }
}

fn int(value: &Value) -> Option<u64> {
    match value {
        Value::Int(n) => u64::try_from(*n).ok(),
        _ => None,
    }
}

/// Reads a whole state back from the fields of its hash, without the pins. For tests, tools and the audit of holds.
pub fn decode(fields: &BTreeMap<Vec<u8>, Vec<u8>>) -> Result<Option<State>, Malformed> {
    let Some(head) = fields.get(b"e".as_slice()) else { return Ok(None) };
    let head = doubles(head)?;
    let [layout, epoch, l, wall, _due] = head[..] else { return Err(malformed("header")) };
    if layout != LAYOUT {
        return Err(malformed("records of another layout"));
    }
    let mut state = State::new(epoch, l);
    state.clock = Clock { l, wall };
    for (field, value) in fields {
        let field = std::str::from_utf8(field).map_err(|_| malformed("field name"))?;
        match field.split_once(':') {
            Some(("p", pool)) => {
                let ring = fields.get(format!("r:{pool}").as_bytes());
                state.pools.insert(pool.into(), decode_pool(value, ring)?);
            }
            Some(("i", id)) => {
                let inc = incarnation(id)?;
                let counters = decode_counters(fields, id)?;
                let [exp, d_head, d_end] = doubles(value)?[..] else { return Err(malformed("life")) };
                state.lives.insert(inc, Life { exp, d_head, d_end, counters });
            }
            Some(("n", name)) => {
                let [k, forget] = doubles(value)?[..] else { return Err(malformed("name")) };
                state.names.insert(name.to_owned(), (k, forget));
            }
            _ if field == "d" => state.pending = decode_pending(value)?,
            _ => {}
        }
    }
    Ok(Some(state))
}

/// Reads a pin.
pub fn decode_pin(bytes: &[u8]) -> Result<Pin, Malformed> {
    match doubles(bytes)?[..] {
        [tag, version, expires] => Ok(Pin { tag, version, expires }),
        _ => Err(malformed("pin")),
    }
}

fn incarnation(id: &str) -> Result<Incarnation, Malformed> {
    let (name, k) = id.rsplit_once('.').ok_or(malformed("incarnation"))?;
    Ok(Incarnation { name: name.to_owned(), k: k.parse().map_err(|_| malformed("incarnation"))? })
}

fn decode_counters(
    fields: &BTreeMap<Vec<u8>, Vec<u8>>,
    id: &str,
) -> Result<BTreeMap<Arc<str>, Vec<Counters>>, Malformed> {
    let prefix = format!("c:{id}:");
    let mut all = BTreeMap::new();
    for (field, value) in fields {
        let Some(pool) = field.strip_prefix(prefix.as_bytes()) else { continue };
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

fn decode_pool(record: &[u8], ring: Option<&Vec<u8>>) -> Result<Pool, Malformed> {
    let v = doubles(record)?;
    let mut ring = match ring {
        Some(bytes) => doubles(bytes)?,
        None => Vec::new(),
    };
    let mut pool = Pool { rest_until: *v.first().ok_or(malformed("pool"))?, meters: Vec::new() };
    let (hot, cold) = v[1..].split_at((v.len() - 1) / (HOT + COLD) * HOT);
    for (h, c) in hot.chunks_exact(HOT).zip(cold.chunks_exact(COLD)) {
        let stage = if c[0] == 1 { Stage::End } else { Stage::Head };
        let mode = if c[2] == 0 { Mode::Gauge } else { Mode::Window };
        let shape = Shape { mode, stage, width: c[1], buckets: c[2] };
        let rest = ring.split_off((shape.slots() as usize).min(ring.len()));
        let mut own = std::mem::replace(&mut ring, rest);
        own.resize(shape.slots() as usize, 0);
        pool.meters.push(Meter {
            shape,
            cap: h[0],
            cap_until: h[1],
            last: h[2],
            sum: h[3],
            cur: c[3],
            hold: h[4],
            posted: c[4],
            level: c[5],
            level_at: c[6],
            ring: own,
        });
    }
    Ok(pool)
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
    let mut at = bytes;
    let mut pending = Vec::new();
    for _ in 0..unpack_array(&mut at)? {
        unpack_array(&mut at)?;
        let due = unpack_uint(&mut at)?;
        let pool = unpack_text(&mut at)?;
        let meter = unpack_uint(&mut at)? as usize;
        pending.push(Pending { due, pool: pool.into(), meter, amount: unpack_uint(&mut at)? });
    }
    Ok(pending)
}

fn take<'a>(at: &mut &'a [u8], n: usize) -> Result<&'a [u8], Malformed> {
    let (head, rest) = at.split_at_checked(n).ok_or(malformed("msgpack"))?;
    *at = rest;
    Ok(head)
}

fn unpack_be(at: &mut &[u8], n: usize) -> Result<u64, Malformed> {
    Ok(take(at, n)?.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

fn unpack_array(at: &mut &[u8]) -> Result<u64, Malformed> {
    match unpack_be(at, 1)? {
        tag @ 0x90..=0x9f => Ok(tag & 0x0f),
        0x80 => Ok(0), // an empty Lua table is packed as an empty map
        0xdc => unpack_be(at, 2),
        0xdd => unpack_be(at, 4),
        _ => Err(malformed("msgpack")),
    }
}

fn unpack_uint(at: &mut &[u8]) -> Result<u64, Malformed> {
    match unpack_be(at, 1)? {
        tag @ 0..=0x7f => Ok(tag),
        0xcc => unpack_be(at, 1),
        0xcd => unpack_be(at, 2),
        0xce => unpack_be(at, 4),
        0xcf => unpack_be(at, 8),
        0xcb => Ok(f64::from_bits(unpack_be(at, 8)?) as u64),
        _ => Err(malformed("msgpack")),
    }
}

fn unpack_text<'a>(at: &mut &'a [u8]) -> Result<&'a str, Malformed> {
    let len = match unpack_be(at, 1)? {
        tag @ 0xa0..=0xbf => tag & 0x1f,
        0xd9 => unpack_be(at, 1)?,
        0xda => unpack_be(at, 2)?,
        _ => return Err(malformed("msgpack")),
    };
    std::str::from_utf8(take(at, len as usize)?).map_err(|_| malformed("msgpack"))
}
