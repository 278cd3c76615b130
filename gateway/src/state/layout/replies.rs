//! What the scripts answer: MessagePack in one string, which is cheaper to write and to read than an array of the
//! Redis protocol. The heads of the scripts list the replies.

use redis::Value;

use super::msgpack::Unpack;
use super::{Malformed, malformed};
use crate::state::core::{Denied, Granted, Joined, PoolView, Reply, Reserved, SessionOutcome, Synced};

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
        })),
        (0, Asked::Sync) => Reply::Synced(synced(&mut at, len)?),
        (1, Asked::Reserve) => Reply::Reserved(Reserved::Denied(Denied {
            retry_in: at.uint()?,
            exact: at.uint()? == 1,
            pool: at.uint()? as usize,
            common: at.uint()? == 1,
        })),
        (2, Asked::Reserve) => {
            Reply::Reserved(Reserved::TooBig { pool: at.uint()? as usize, meter: at.uint()? as usize })
        }
        (3, _) => Reply::Gone(at.uint()?),
        (4, _) => Reply::Epoch(at.uint()?),
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

/// What follows the code in the reply to a SYNC of `len` items.
fn synced(at: &mut Unpack<'_>, len: usize) -> Result<Synced, Malformed> {
    let (l, lease, live, rejected) = (at.uint()?, at.uint()? == 1, at.uint()? as usize, at.uint()?);
    let mut pools = Vec::with_capacity(len / 4);
    for _ in 0..len.saturating_sub(5) / 4 {
        pools.push(PoolView { granted: at.uints()?, used: at.uints()?, cap: at.uints()?, rest: at.uint()? });
    }
    Ok(Synced { l, lease, live, rejected, pools })
}
