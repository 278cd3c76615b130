//! Which configuration a replica works by, told to all: a key of its own in the shared state, for a while each time, so
//! that it goes with the replica. No decision rests on it.

use std::sync::Arc;
use std::time::Duration;

use super::Away;
use super::client::Client;
use super::port::Port;

/// How often it is told.
const PERIOD: Duration = Duration::from_secs(5);
/// The same after a failure.
const AGAIN: Duration = Duration::from_secs(1);
/// How long what was told counts.
pub(super) const TOLD_FOR: Duration = Duration::from_secs(15);

impl Client {
    /// Tells it again and again, and at once when it changes, until told to stop.
    pub async fn announce(self: Arc<Self>, port: Port, mut stop: tokio::sync::watch::Receiver<bool>) {
        let mut config = self.config.subscribe();
        while !*stop.borrow() {
            let hash = config.borrow_and_update().clone();
            let told = port.announce(self.name(), &hash).await;
            // The keeper tells of an outage; here it only means to try again.
            let wait = if told.is_ok() { PERIOD } else { AGAIN };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = config.changed() => {}
                _ = stop.changed() => {}
            }
        }
    }
}

impl Port {
    async fn announce(&self, replica: &str, config: &str) -> Result<(), Away> {
        match self {
            Port::Redis(lane) => lane.announce(replica, config, TOLD_FOR).await,
            Port::Local(local) => {
                local.announce(replica, config);
                Ok(())
            }
        }
    }

    /// Which configuration each of `replicas` works by; none for one that has not told lately.
    pub async fn configs(&self, replicas: &[&str]) -> Result<Vec<Option<String>>, Away> {
        match self {
            Port::Redis(lane) => lane.configs(replicas).await,
            Port::Local(local) => Ok(local.configs(replicas)),
        }
    }
}
