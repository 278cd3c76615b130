//! The loop that keeps a replica's lives: one SYNC on its way at a time, every 200 ms, and sooner when the
//! [`super::bell::Bell`] rings or when there is something to wait for.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Away;
use super::client::{Client, Contact};
use super::core::{Command, Reply, Sync};
use super::port::Port;
use super::side::{Heard, Told};
use crate::clock::boot_ms;

/// Time between SYNCs.
const PERIOD: Duration = Duration::from_millis(200);
/// The same while calls wait for the state.
const IMPATIENT: Duration = Duration::from_millis(40);
/// How long a replica that leaves tries to leave nothing behind.
const LEAVING: Duration = Duration::from_secs(2);
/// The time between two of these tries.
const AGAIN: Duration = Duration::from_millis(10);

impl Client {
    /// The loop; returns when told to stop, after the last SYNCs and BYE.
    pub async fn keep(self: Arc<Self>, port: Port, mut stop: tokio::sync::watch::Receiver<bool>) {
        let mut counted = Instant::now() - PERIOD;
        while !*stop.borrow() {
            let due = counted.elapsed() >= PERIOD;
            if due {
                counted = Instant::now();
            }
            // An outage is noted; calls then follow `on_outage`.
            let _ = self.sync(&port, due).await;
            let wait = if self.is_away() { IMPATIENT } else { PERIOD.saturating_sub(counted.elapsed()) };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.bell.rung() => {}
                _ = stop.changed() => {}
            }
        }
        self.leave(&port).await;
    }

    /// Says what is due and takes note of whether the state grants.
    pub async fn sync(self: &Arc<Self>, port: &Port, count: bool) -> Result<(), Away> {
        let answer = self.say_due(port, count).await;
        if let Err(away) = &answer {
            self.failures.note(away);
        }
        self.note_contact(answer.as_ref().err());
        answer
    }

    /// One SYNC of the current life, after the JOINs that are due before it; if one that counts the living, older
    /// lives report as well.
    pub(super) async fn say_due(self: &Arc<Self>, port: &Port, count: bool) -> Result<(), Away> {
        for _ in 0..3 {
            self.join(port).await?;
            if !port.is_open() {
                return Err(Away::NotConnected); // what goes into a message counts as told
            }
            let Some((sync, told)) = self.side.lock().sync(boot_ms(), count) else { continue };
            let heard = self.say(port, sync, told).await?;
            if let Heard::Taken { counted, learning } = heard {
                if let Some((live, moved, sent)) = counted {
                    self.live.store(live, Ordering::Relaxed);
                    self.pins.moved(&moved, sent);
                }
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
        let mut older = self.side.lock().older(boot_ms()).into_iter();
        while let Some((sync, told)) = older.next() {
            let said = self.say(port, sync, told).await;
            if said.is_err() {
                let mut side = self.side.lock();
                older.by_ref().for_each(|(_, unsent)| side.unanswered(unsent, boot_ms()));
            }
            said?;
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
            Ok(reply) => {
                let heard = self.side.lock().synced(told, reply, boot_ms());
                self.tell_news();
                Ok(heard)
            }
            Err(away) => {
                self.side.lock().unanswered(told, boot_ms());
                self.tell_news();
                Err(away)
            }
        }
    }

    /// Tells when the state goes away and when it is back; not every failure in between.
    fn note_contact(&self, failure: Option<&Away>) {
        if failure == Some(&Away::Learning) && !self.is_settled() {
            return; // it has only begun; soon it grants
        }
        let now = match failure {
            None => Contact::Granting,
            Some(Away::Learning) => Contact::Learning,
            Some(_) => Contact::Away,
        };
        let before = *self.contact.borrow();
        self.contact.send_if_modified(|contact| std::mem::replace(contact, now) != now);
        match (now, failure) {
            (_, Some(Away::OtherLayout)) => self.side.lock().is_others(boot_ms()),
            (Contact::Away, _) => self.side.lock().failed(boot_ms()),
            _ => {}
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

    /// Tells everything and ends all lives. One SYNC and one BYE may not be enough: a SYNC tells of so many pools only, a
    /// grant that nobody waits for is given back by the one after it was seen, and an older life ends first.
    async fn leave(self: &Arc<Self>, port: &Port) {
        let begun = Instant::now();
        self.side.lock().leave();
        loop {
            let left = self.try_leaving(port).await;
            let failure = match &left {
                Ok(true) => return,
                Ok(false) => "something is still held".to_owned(),
                Err(err) => err.to_string(),
            };
            if begun.elapsed() >= LEAVING || left == Err(Away::OtherLayout) {
                tracing::warn!(
                    target: "weir::state", error = failure,
                    "could not leave in time; what is held stays so until it expires"
                );
                return;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Whether no life is left.
    async fn try_leaving(self: &Arc<Self>, port: &Port) -> Result<bool, Away> {
        self.say_due(port, true).await?;
        let Some(ledger) = self.ledger() else { return Ok(false) };
        if !ledger.is_told() || self.side.lock().ledgers().count() > 1 {
            return Ok(false);
        }
        let bye = Command::Bye(self.side.lock().caller(&ledger, boot_ms()));
        match port.run(&bye).await? {
            Reply::Left(left) => Ok(left),
            Reply::Gone(_) => Ok(true),
            reply => {
                let heard = self.side.lock().refused(&ledger.inc(), &reply, boot_ms());
                self.tell(heard).map(|()| false)
            }
        }
    }
}
