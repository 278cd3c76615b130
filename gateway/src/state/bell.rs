//! When settlements should be told before their time.

use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::sync::Notify;

use super::books::PoolBooks;

/// How long settlements gather before an early SYNC.
const SOON: Duration = Duration::from_millis(3);
/// The same when no pool is crowded, and a gauge was given back to: somebody elsewhere may want it soon.
const LATER: Duration = Duration::from_millis(25);

/// Rung by settlements, heard by the loop that sends SYNC.
#[derive(Debug, Default)]
pub struct Bell {
    crowded: Notify,
    freed: Notify,
}

impl Bell {
    /// Something was given back to these pools; `freed`: to a gauge, or all of it.
    pub fn ring<'a>(&self, mut pools: impl Iterator<Item = &'a PoolBooks>, freed: bool) {
        if pools.any(PoolBooks::is_hot) {
            self.crowded.notify_one();
        } else if freed {
            self.freed.notify_one();
        }
    }

    /// There is something that other replicas should know.
    pub fn ring_loud(&self) {
        self.crowded.notify_one();
    }

    /// Returns when a SYNC is due early.
    pub async fn rung(&self) {
        tokio::select! {
            () = self.crowded.notified() => tokio::time::sleep(SOON).await,
            () = self.freed.notified() => tokio::select! {
                () = tokio::time::sleep(LATER) => {}
                () = self.crowded.notified() => tokio::time::sleep(SOON).await,
            },
        }
    }

    /// In how long a SYNC is due, if it was rung since this was asked last: for a world in simulated time.
    pub fn due(&self) -> Option<Duration> {
        let was_rung = |notify: &Notify| {
            pin!(notify.notified()).as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
        };
        let (crowded, freed) = (was_rung(&self.crowded), was_rung(&self.freed));
        if crowded { Some(SOON) } else { freed.then_some(LATER) }
    }
}
