//! The judge's notes: which grants the shared state knows of. After a loss it knows what it was told, and nothing else.

use std::sync::Arc;

use super::check;
use super::cluster::{Cluster, Letter};
use super::replica::Grants;
use crate::state::core::learn::LEARN;
use crate::state::core::tests::judge::Breach;
use crate::state::core::{Command, Incarnation, Memory, Reply, Reserved, Stamp, State};

impl Cluster {
    /// One step of the shared state.
    pub(super) fn step(&mut self, command: &Command) -> Result<(bool, Reply), Breach> {
        let now = self.now();
        let stamp = Stamp { now, nonce: self.next, run: self.run };
        self.next += 1;
        if std::mem::take(&mut self.flushed) {
            self.server = Arc::new(State::lost(stamp));
        }
        let before = self.server.clone();
        let state = Arc::make_mut(&mut self.server);
        let reply = state.step(command, stamp);
        check::step(&before, &self.server, command, &reply)?;
        let learns = before.learn.is_some() || before.epoch != self.server.epoch;
        if learns && self.server.learn.is_none() {
            self.known |= self.owed(&before, command);
        }
        Ok((learns, reply))
    }

    /// Judge: learning has ended. The grants that the shared state must know of now: where learning ended because all
    /// had told, those whose holders live and were known to live. If nobody had told it should not have ended.
    fn owed(&self, before: &State, command: &Command) -> Grants {
        let memory = match command {
            Command::Join(join) => Some((join.epoch, &join.memory)),
            _ => None,
        };
        let tells =
            |(epoch, m): (u64, &Memory)| epoch > 0 || m.pools.iter().any(|pool| !pool.window.is_empty());
        let told = before.learn.as_ref().is_some_and(|learn| learn.told) || memory.is_some_and(tells);
        let since = before.learn.as_ref().map_or(self.server.clock.l, |learn| learn.since);
        let roster = |inc: &Incarnation| {
            let awaited = before.learn.as_ref().is_some_and(|learn| learn.roster.contains(inc));
            awaited || memory.is_some_and(|(_, memory)| memory.roster.contains(inc))
        };
        if self.server.clock.l > since + LEARN {
            return 0;
        }
        let owed = |grant: &u8| {
            let (who, k) = self.holders[*grant as usize];
            let replica = &self.replicas[who as usize];
            let lives = replica.life.as_ref().is_some_and(|life| life.k == k);
            let inc = replica.inc(k);
            let expired = before.lives.contains_key(&inc) && !self.server.lives.contains_key(&inc);
            lives && !expired && (!told || roster(&inc))
        };
        (0..self.grants).filter(owed).fold(0, |owed, grant| owed | 1 << grant)
    }

    /// Judge: what the shared state has come to know; what its reply shows, and the grant in it.
    pub(super) fn note(&mut self, letter: &Letter, learnt: bool, reply: &Reply) -> (Grants, u8) {
        match reply {
            Reply::Joined(_) if learnt => self.known |= letter.covers | letter.own,
            Reply::Joined(_) => self.known |= letter.own, // of what others held then nobody asks any more
            Reply::Reserved(Reserved::Granted(_)) => {
                self.unknown[self.grants as usize] = !self.known;
                self.known |= 1 << self.grants;
                self.holders[self.grants as usize] = (letter.who, letter.k());
                self.grants += 1;
                return (0, self.grants - 1);
            }
            Reply::Synced(synced) if synced.pools.iter().any(|view| view.image.is_some()) => {
                return (self.known, 0);
            }
            _ => {}
        }
        (0, 0)
    }
}
