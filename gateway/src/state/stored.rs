//! The state as it stands in Redis, for people and metrics.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Away;
use super::core::{Ms, State};
use super::lanes::Lane;
use super::layout;

type Fields = BTreeMap<Vec<u8>, Vec<u8>>;

/// So many pools are read at once.
const STEP: usize = 16;

impl Lane {
    /// All of it, its clock brought to the server's time. The server does nothing else meanwhile.
    pub async fn snapshot(&self) -> Result<State, Away> {
        let mut read = redis::pipe();
        read.cmd("HGETALL").arg(self.keys().state());
        let (fields,): (Fields,) = self.read(&read).await?;
        decode(&fields, self.time().await?)
    }

    /// The same of these pools, of the circuits and of who lives, without what was granted to whom. In small steps between which
    /// the server does other things: there may be tens of thousands of pools, and calls wait for its answers meanwhile.
    pub async fn overview(&self, pools: &[Arc<str>]) -> Result<State, Away> {
        let mut fields = self.fields(&["e", "b", "a", "d", "lives"].map(str::to_owned)).await?;
        let ids = fields.get(b"lives".as_slice()).map_or(Ok(Vec::new()), |lives| layout::decode_lives(lives));
        let ids = ids.map_err(|err| Away::Broken(err.to_string()))?;
        fields.append(&mut self.fields(&ids.iter().map(|id| format!("i:{id}")).collect::<Vec<_>>()).await?);
        for some in pools.chunks(STEP) {
            let of = |pool: &Arc<str>| ["p", "r", "h", "a"].map(|kind| format!("{kind}:{pool}"));
            fields.append(&mut self.fields(&some.iter().flat_map(of).collect::<Vec<_>>()).await?);
        }
        decode(&fields, self.time().await?)
    }

    /// Of these fields such as are there.
    async fn fields(&self, names: &[String]) -> Result<Fields, Away> {
        if names.is_empty() {
            return Ok(Fields::new());
        }
        let mut read = redis::pipe();
        read.cmd("HMGET").arg(self.keys().state()).arg(names);
        let (values,): (Vec<Option<Vec<u8>>>,) = self.read(&read).await?;
        let names = names.iter().map(|name| name.clone().into_bytes());
        Ok(names.zip(values).filter_map(|(name, value)| Some((name, value?))).collect())
    }

    async fn time(&self) -> Result<Ms, Away> {
        let mut read = redis::pipe();
        read.cmd("TIME");
        let ((seconds, micros),): ((u64, u64),) = self.read(&read).await?;
        Ok(seconds * 1_000 + micros / 1_000)
    }
}

fn decode(fields: &Fields, now: Ms) -> Result<State, Away> {
    let decoded = layout::decode(fields).map_err(|err| Away::Broken(err.to_string()))?;
    let mut state = decoded.unwrap_or_else(|| State::new(0, now));
    state.clock.advance(now, 0, 0);
    Ok(state)
}
