//! The end of a day or a month: budgets begin anew.
//!
//! A budget's pool has the end of its period in its key. So at that moment a replica serves by the same configuration with other
//! keys: nothing is counted over, calls that run are paid from the period in which they began, and no replica need agree with
//! another on the moment. Two whose clocks differ spend for as long from different periods.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::clock::unix_ms;
use crate::shared::Shared;

/// How often the time of day is looked at, which may be set.
const LOOK: Duration = Duration::from_secs(1);
/// So long after the end of a period replicas leave it behind in their books, when no clock may be before it any more; not all
/// at once.
const LEAVE: [u64; 2] = [60_000, 120_000];

/// Looks after the periods of a replica's budgets until it ends.
pub async fn keep(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let mut leave_at = None;
    while !*stop.borrow() {
        let next = shared.snapshot.load().pools.iter().filter_map(|pool| pool.until).min();
        let left = next.map(|until| Duration::from_millis(until.saturating_sub(unix_ms())));
        if left.is_some_and(|left| left.is_zero()) {
            begin_anew(&shared).await;
            leave_at = Some(Instant::now() + Duration::from_millis(fastrand::u64(LEAVE[0]..LEAVE[1])));
        }
        if leave_at.is_some_and(|at| Instant::now() >= at) {
            shared.client.leave_periods();
            leave_at = None;
        }
        tokio::select! {
            () = tokio::time::sleep(left.filter(|left| !left.is_zero()).map_or(LOOK, |left| left.min(LOOK))) => {}
            _ = stop.changed() => {}
        }
    }
}

async fn begin_anew(shared: &Arc<Shared>) {
    let work = shared.clone();
    match tokio::task::spawn_blocking(move || work.renew()).await {
        Ok(Ok(())) => tracing::info!(target: "weir::budgets", "a period has ended: its budgets begin anew"),
        Ok(Err(err)) => {
            tracing::error!(target: "weir::budgets", error = format!("{err:#}"), "budgets stay as they were")
        }
        Err(err) => tracing::error!(target: "weir::budgets", error = %err, "budgets stay as they were"),
    }
}
