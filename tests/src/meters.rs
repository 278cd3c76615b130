//! What stands in the shared state, read from Redis itself.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use weir::state::core::State;
use weir::state::layout;
use weir::state::scripts::Keys;

/// Reads the state of the namespace `weir` and brings its windows to logical now; none before the first call.
pub fn read(url: &str) -> Result<Option<State>> {
    let mut connection = redis::Client::open(url)?.get_connection()?;
    let fields: BTreeMap<Vec<u8>, Vec<u8>> =
        redis::cmd("HGETALL").arg(Keys::new("weir").state()).query(&mut connection)?;
    let Some(mut state) = layout::decode(&fields).context("the records of the state")? else {
        return Ok(None);
    };
    let now = state.now();
    state.pools.values_mut().flat_map(|pool| &mut pool.meters).for_each(|meter| meter.advance(now));
    Ok(Some(state))
}

/// What is still held or used, in words; empty when every meter is at zero.
pub fn left(state: &State) -> Vec<String> {
    let mut left = Vec::new();
    for (key, pool) in &state.pools {
        for (at, meter) in pool.meters.iter().enumerate() {
            if meter.sum + meter.image_sum + meter.hold > 0 {
                left.push(format!(
                    "{key} meter {at}: used {}, held {}",
                    meter.sum + meter.image_sum,
                    meter.hold
                ));
            }
        }
    }
    left.extend(
        state.pending.iter().map(|p| format!("{} meter {}: {} of the dead", p.pool, p.meter, p.amount)),
    );
    left
}

/// What is still held, in words: on meters, by lives, by the dead.
pub fn held(state: &State) -> Vec<String> {
    let mut held: Vec<String> = Vec::new();
    for (key, pool) in &state.pools {
        let meters = pool.meters.iter().enumerate().filter(|(_, meter)| meter.hold > 0);
        held.extend(meters.map(|(at, meter)| format!("{key} meter {at}: held {}", meter.hold)));
    }
    held.extend(state.pending.iter().map(|p| format!("{}: {} of the dead", p.pool, p.amount)));
    held
}

/// Waits until every meter is at zero; fails when that takes longer than `time`.
pub async fn zero_within(url: &str, time: std::time::Duration) -> Result<()> {
    let begun = tokio::time::Instant::now();
    loop {
        let left = match read(url)? {
            Some(state) => left(&state),
            None => bail!("there is no state in Redis"),
        };
        if left.is_empty() {
            println!("meters at zero {:.1} s after the load", begun.elapsed().as_secs_f64());
            return Ok(());
        }
        if begun.elapsed() > time {
            bail!("{time:?} after the load:\n  {}", left.join("\n  "));
        }
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    }
}
