//! The loop that keeps a replica's lives: one SYNC on its way at a time, every 200 ms, and sooner when the
//! [`super::bell::Bell`] rings or when there is something to wait for.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Away;
use super::client::{Client, Contact, boot_ms};
use super::core::{Command, Sync};
use super::port::Port;
use super::side::{Heard, Told};

/// Time between SYNCs.
const PERIOD: Duration = Duration::from_millis(200);
/// The same while calls wait for the state.
const IMPATIENT: Duration = Duration::from_millis(40);

impl Client {
    /// The loop; returns when told to stop, after a last SYNC and BYE.
    pub async fn keep(self: Arc<Self>, port: Port, mut stop: tokio::sync::watch::Receiver<bool>) {
        let mut counted = Instant::now() - PERIOD;
        while !*stop.borrow() {
            let due = counted.elapsed() >= PERIOD;
            if due {
                counted = Instant::now();
            }
            let answer = self.sync(&port, due).await;
            self.note_contact(answer.err());
            let wait = if self.is_away() { IMPATIENT } else { PERIOD.saturating_sub(counted.elapsed()) };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.bell.rung() => {}
                _ = stop.changed() => {}
            }
        }
        self.leave(&port).await;
    }

    /// One SYNC of the current life, after the JOINs that are due before it; if one that counts the living, older
    /// lives report as well.
    pub async fn sync(self: &Arc<Self>, port: &Port, count: bool) -> Result<(), Away> {
        for _ in 0..3 {
            self.join(port).await?;
            let Some((sync, told)) = self.side.lock().sync(boot_ms(), count) else { continue };
            let heard = self.say(port, sync, told).await?;
            if let Heard::Taken { live, learning } = heard {
                live.into_iter().for_each(|live| self.live.store(live, Ordering::Relaxed));
                if count {
                    self.sync_older(port, learning).await?;
                }
                return if learning { Err(Away::Learning) } else { Ok(()) };
            }
            self.tell(heard)?;
        }
        Err(Away::unexpected())
    }

    async fn sync_older(&self, port: &Port, learning: bool) -> Result<(), Away> {
        let older = self.side.lock().older(boot_ms());
        for (sync, told) in older {
            self.say(port, sync, told).await?;
        }
        if learning {
            return Ok(()); // nobody has seen yet what was used in them
        }
        let over = self.side.lock().over(boot_ms());
        for caller in over {
            let reply = port.run(&Command::Bye(caller.clone())).await?;
            self.side.lock().left(&caller.inc, &reply, boot_ms());
        }
        Ok(())
    }

    async fn say(&self, port: &Port, sync: Sync, told: Told) -> Result<Heard, Away> {
        match port.run(&Command::Sync(sync)).await {
            Ok(reply) => Ok(self.side.lock().synced(told, reply, boot_ms())),
            Err(away) => {
                self.side.lock().unanswered(told, boot_ms());
                Err(away)
            }
        }
    }

    /// Tells when the state goes away and when it is back; not every failure in between.
    fn note_contact(&self, failure: Option<Away>) {
        if failure == Some(Away::Learning) && !self.is_settled() {
            return; // it has only begun; soon it grants
        }
        let now = match failure {
            None => Contact::Granting,
            Some(Away::Learning) => Contact::Learning,
            Some(_) => Contact::Away,
        };
        let before = *self.contact.borrow();
        self.contact.send_if_modified(|contact| std::mem::replace(contact, now) != now);
        if now == Contact::Away {
            self.side.lock().failed(boot_ms());
        }
        match failure {
            Some(err) if before != now => {
                tracing::warn!(target: "weir::state", error = %err, "shared state does not grant");
            }
            None if before != now && before != Contact::Untried => {
                tracing::info!(target: "weir::state", "shared state grants again");
            }
            _ => {}
        }
    }

    async fn leave(self: &Arc<Self>, port: &Port) {
        if let Err(err) = self.sync(port, true).await {
            tracing::warn!(target: "weir::state", error = %err, "last SYNC failed; holds are left to expire");
            return;
        }
        let Some(ledger) = self.ledger() else { return };
        let bye = Command::Bye(self.side.lock().caller(&ledger, boot_ms()));
        if let Err(err) = port.run(&bye).await {
            tracing::warn!(target: "weir::state", error = %err, "BYE failed; the life is left to expire");
        }
    }
}
