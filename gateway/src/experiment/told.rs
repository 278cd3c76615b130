//! The loop that tells others what was measured here, and hears what was set at run time: shares, and in the same round trip
//! drains and weights ([`crate::duty`]).
//!
//! What a replica measured is told as a level, all of it each time: a lost answer makes nothing count twice, and a data set that
//! has lost it hears it again. What was set is asked for every 50 ms instead of subscribed to: a subscription that has died silently
//! looks like one that has nothing to say.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};

use super::report::Page;
use super::trial::{Book, Told, Trial};
use crate::duty::told::Strangers;
use crate::shared::{Shared, Snapshot};
use crate::state::{Away, FIRST_CONTACT, Measured, Port, Post, Posted};

/// How often it is asked what was set.
const LOOK: Duration = Duration::from_millis(50);
/// How often what has changed is told.
const TELL: Duration = Duration::from_millis(500);
/// How often all is told, for the data set may have lost it.
const REPEAT: Duration = Duration::from_secs(5);
/// How long a replica that leaves tries to tell the last of it, and the time between two tries.
const LEAVING: (Duration, Duration) = (Duration::from_secs(2), Duration::from_millis(50));

/// What may fail, by its place in [`Teller::failing`].
const HEAR: usize = 0;
const SAY: usize = 1;

/// What one replica tells and hears.
#[derive(Debug)]
pub struct Teller {
    shared: Arc<Shared>,
    port: Port,
    books: Vec<Kept>,
    strangers: Strangers,
    failing: [bool; 2],
}

/// A book and what of it was told.
#[derive(Debug)]
struct Kept {
    book: Arc<Book>,
    told: String,
    at: Instant,
}

impl Teller {
    /// Of a replica, by a port of its own.
    pub fn new(shared: Arc<Shared>, port: Port) -> Teller {
        Teller { shared, port, books: Vec::new(), strangers: Strangers::default(), failing: [false; 2] }
    }

    /// The loop; returns when told to stop, after the last word. `heard` is told when the state has answered for the first time, or
    /// has not for as long as a start may wait: calls before that would go where none are to go.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>, heard: oneshot::Sender<()>) {
        let begun = Instant::now();
        self.port.opened(FIRST_CONTACT).await;
        let (mut told, mut heard) = (Instant::now(), Some(heard));
        while !*stop.borrow() {
            let snapshot = self.shared.snapshot.load_full();
            let heard_now = self.hear(&snapshot).await;
            let is_known = heard_now.is_ok() || begun.elapsed() >= FIRST_CONTACT;
            self.note(HEAR, heard_now);
            if let Some(heard) = heard.take_if(|_| is_known) {
                let _ = heard.send(()); // who started this may have given up
            }
            if told.elapsed() >= TELL {
                told = Instant::now();
                let said = self.tell(&snapshot.trials).await;
                self.note(SAY, said);
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = stop.changed() => {}
            }
        }
        self.leave().await;
    }

    /// Adopts what is newer in the state, and tells it what is newer here: it may have lost it.
    async fn hear(&mut self, snapshot: &Snapshot) -> Result<(), Away> {
        let (shares, posted) = self.port.boards().await?;
        // (Where the state can be read and not written, shares that cannot be told keep nobody from hearing of drains.)
        let shares = self.hear_shares(&snapshot.trials, &shares).await;
        let posted = Arc::new(posted);
        self.shared.heard.hear(&self.port, &snapshot.duties, posted.clone()).await?;
        shares?;
        self.strangers.forget(&self.port, &snapshot.duties, &posted, Instant::now()).await
    }

    async fn hear_shares(&self, trials: &[Arc<Trial>], set: &Posted) -> Result<(), Away> {
        for trial in trials {
            let stored = set.get(&*trial.name).and_then(|text| Told::read(text));
            let live = trial.live();
            let version = stored.as_ref().map_or(0, |stored| stored.version);
            if let Some(stored) = &stored
                && trial.adopt(stored)
            {
                tell_of(trial);
            } else if let Some(known) = live.told.as_ref().filter(|known| known.version > version) {
                self.port.offer(&trial.name, known).await?;
            }
        }
        Ok(())
    }

    /// Tells what has changed; of a book that nobody writes any more the last of it.
    async fn tell(&mut self, trials: &[Arc<Trial>]) -> Result<(), Away> {
        let current: Vec<Arc<Book>> = trials.iter().map(|trial| trial.live().book.clone()).collect();
        for book in current.iter().filter(|book| book.is_written()) {
            if !self.books.iter().any(|kept| Arc::ptr_eq(&kept.book, book)) {
                self.books.push(Kept { book: book.clone(), told: String::new(), at: Instant::now() });
            }
        }
        let is_current = |book: &Arc<Book>| current.iter().any(|other| Arc::ptr_eq(other, book));
        let mut over = Vec::new();
        for kept in &mut self.books {
            // Calls that began by it hold it until they end.
            let is_over = !is_current(&kept.book) && Arc::strong_count(&kept.book) == 1;
            let text = kept.book.text();
            if is_over || text != kept.told || kept.at.elapsed() >= REPEAT {
                let Book { key, id, .. } = &*kept.book;
                self.port.tell_measured(Measured { key, id, text: &text, over: is_over }).await?;
                (kept.told, kept.at) = (text, Instant::now());
            }
            if is_over {
                over.push(kept.book.id.clone());
            }
        }
        self.books.retain(|kept| !over.contains(&kept.book.id));
        Ok(())
    }

    /// The last word of a replica that ends, after its last call.
    async fn leave(&mut self) {
        let (begun, (longest, pause)) = (Instant::now(), LEAVING);
        let trials = self.shared.snapshot.load_full().trials.clone();
        // (What was measured since it was told last.)
        while let Err(away) = self.tell_last(&trials).await {
            if begun.elapsed() >= longest {
                tracing::warn!(target: "weir::experiment", error = %away, "the last that was measured could not be told");
                return;
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn tell_last(&mut self, trials: &[Arc<Trial>]) -> Result<(), Away> {
        self.tell(trials).await?;
        while let Some(Kept { book, .. }) = self.books.last() {
            let text = book.text();
            self.port
                .tell_measured(Measured { key: &book.key, id: &book.id, text: &text, over: true })
                .await?;
            self.books.pop();
        }
        Ok(())
    }

    /// Says once that nothing can be told, and once that it can again.
    fn note(&mut self, what: usize, done: Result<(), Away>) {
        let failing = done.is_err();
        if std::mem::replace(&mut self.failing[what], failing) != failing {
            match (what, done) {
                (HEAR, Err(error)) => tracing::warn!(
                    target: "weir::state", %error, "what is set at run time (shares, drains, weights) is not heard of for now"
                ),
                (HEAR, Ok(())) => {
                    tracing::info!(target: "weir::state", "what is set at run time is heard of again");
                }
                (_, Err(error)) => tracing::warn!(
                    target: "weir::experiment", %error, "what experiments measure is not told to others for now"
                ),
                (_, Ok(())) => {
                    tracing::info!(target: "weir::experiment", "what experiments measure is told again");
                }
            }
        }
    }
}

/// Shares changed: for the log.
pub(super) fn tell_of(trial: &Trial) {
    let live = trial.live();
    let shares: Vec<String> =
        trial.variants().iter().zip(&live.shares).map(|(name, share)| format!("{name} {share}")).collect();
    let version = live.told.as_ref().map_or(0, |told| told.version);
    tracing::info!(
        target: "weir::experiment", experiment = %trial.name, version, shares = shares.join(", "), "shares that hold now"
    );
}

/// Sets shares, or those of the file again (`None`), for all replicas; `anew`: what is measured begins anew. Who says which version
/// was `seen` changes no other one: false, and nothing is set.
pub async fn set(
    port: &Port,
    trial: &Trial,
    (shares, anew): (Option<Vec<f64>>, bool),
    seen: Option<u64>,
) -> Result<bool, Away> {
    let adopt = |told: &Told| {
        if trial.adopt(told) {
            tell_of(trial);
        }
    };
    port.set(&trial.name, || trial.after(shares.clone(), anew), adopt, seen).await
}

/// What all replicas measured of an experiment, by variant: what others told, and what is known here.
pub async fn measured(port: &Port, trial: &Trial) -> Result<Page, Away> {
    let live = trial.live();
    let told = port.measured(&live.book.key).await?;
    Ok(Page::of(&live, told))
}
