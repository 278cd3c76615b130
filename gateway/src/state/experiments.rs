//! What replicas tell each other of what they measured of experiments, through keys of its own. No decision about a limit rests on
//! it, so no script of the limits knows of it.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use redis::Pipeline;

use super::Away;
use super::lanes::Lane;
use super::port::Port;

const TALLY: &str = include_str!("../../../lua/tally.lua");

/// How long what was measured is kept after the last replica told of it.
const KEPT: Duration = Duration::from_secs(31 * 24 * 3600);

/// What one book of a replica says.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// Of which experiment, and which count of it.
    pub key: &'a str,
    /// Which book.
    pub id: &'a str,
    /// All of it, JSON whose leaves are numbers.
    pub text: &'a str,
    /// Nothing comes after it.
    pub over: bool,
}

impl Port {
    /// Tells what a book says.
    pub async fn tell_measured(&self, told: Told<'_>) -> Result<(), Away> {
        match self {
            Port::Redis(lane) => {
                let Told { key, id, text, over } = told;
                let mut tell = redis::pipe();
                tell.cmd("EVAL").arg(TALLY).arg(1).arg(lane.keys().measured(key));
                tell.arg(id).arg(text).arg(KEPT.as_millis() as u64).arg(u8::from(over));
                only::<u64>(lane, &tell).await.map(|_| ())
            }
            Port::Local(local) => {
                local.experiments.tell(told);
                Ok(())
            }
        }
    }

    /// What all books of a key say, by `life:` and their ids; `sum`: those that are over. Others' may be a second old.
    pub async fn measured(&self, key: &str) -> Result<BTreeMap<String, String>, Away> {
        match self {
            Port::Redis(lane) => {
                let mut get = redis::pipe();
                get.cmd("HGETALL").arg(lane.keys().measured(key));
                only(lane, &get).await
            }
            Port::Local(local) => Ok(local.experiments.measured(key)),
        }
    }
}

/// The answer to the only command of a pipe.
pub(super) async fn only<T: redis::FromRedisValue>(lane: &Lane, pipe: &Pipeline) -> Result<T, Away> {
    lane.plain::<(T,)>(pipe).await.map(|(answer,)| answer)
}

/// The same in this process.
#[derive(Debug, Default)]
pub(super) struct Tallies {
    told: Mutex<BTreeMap<String, BTreeMap<String, String>>>, // short sections
}

impl Tallies {
    /// (It ends with the process, so books that are over need not be summed up.)
    fn tell(&self, told: Told<'_>) {
        let mut books = self.told.lock();
        books
            .entry(told.key.to_owned())
            .or_default()
            .insert(format!("life:{}", told.id), told.text.to_owned());
    }

    fn measured(&self, key: &str) -> BTreeMap<String, String> {
        self.told.lock().get(key).cloned().unwrap_or_default()
    }
}
