//! What stands in Redis, read back.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::msgpack::Unpack;
use super::{LAYOUT, Malformed, malformed};
use crate::state::core::{
    Clock, Counters, Incarnation, Life, Meter, Mode, Pending, Pin, Pool, Shape, Stage, State,
};

/// Doubles per meter in a pool's record.
const METER: usize = 12;

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
    if v.len() % METER != 1 {
        return Err(malformed("pool"));
    }
    for m in v[1..].chunks_exact(METER) {
        let [cap, cap_until, last, sum, hold, cur, posted, level, level_at, stage, width, buckets] = *m
        else {
            return Err(malformed("pool"));
        };
        let stage = if stage == 1 { Stage::End } else { Stage::Head };
        let mode = if buckets == 0 { Mode::Gauge } else { Mode::Window };
        let shape = Shape { mode, stage, width, buckets };
        let rest = ring.split_off((shape.slots() as usize).min(ring.len()));
        let mut own = std::mem::replace(&mut ring, rest);
        own.resize(shape.slots() as usize, 0);
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
    let mut at = Unpack::new(bytes);
    let mut pending = Vec::new();
    for _ in 0..at.array()? {
        at.array()?;
        let (due, pool) = (at.uint()?, at.text()?.into());
        pending.push(Pending { due, pool, meter: at.uint()? as usize, amount: at.uint()? });
    }
    Ok(pending)
}
