//! A replica's part.

use super::super::replica::{Books, Replica, Seen};
use super::{Group, Print};
use crate::state::core::mutant::{Mutant, on};
use crate::state::core::{Command, Image, Incarnation, Ms};

impl Print<'_> {
    pub(super) fn replica(&mut self, who: u8, replica: &Replica) {
        let t = self.of.t;
        let tells = self.of.may_tell(replica);
        if tells {
            self.roster(who, &replica.roster);
        }
        for call in &replica.calls {
            self.begin(Group::Call);
            self.life(who, call.k);
            self.number(call.units);
            let charge = self.of.charges.iter().find(|charge| charge.grant == call.grant);
            self.ago(t, charge.map_or(0, |charge| charge.until));
            charge.iter().for_each(|charge| self.grant(charge.grant));
        }
        self.begin(Group::Replica);
        self.lives_of(who, replica);
        self.seen(replica.life.as_ref().and_then(|books| books.seen.as_deref()).filter(|_| tells));
        if tells {
            self.number(replica.life.as_ref().map_or(0, |books| books.said_back));
            self.number((t - replica.roster_at).min(self.of.rules.setting.old()));
        }
        if let Some((l, at)) = replica.ack {
            self.heard(l);
            if self.jumps {
                // The passed time that it can witness, and the time that has passed.
                self.ago(l + (t - at) + self.of.server.clock.wall, self.l + self.of.now());
            }
        }
        self.waits(who, replica);
    }

    fn lives_of(&mut self, who: u8, replica: &Replica) {
        self.life(who, replica.last_k);
        let lives = self.of.rules.setting.lives + 1;
        self.number(lives.saturating_sub(replica.last_k));
        self.number(lives.saturating_sub(replica.next_life()));
        let waits = [replica.joining.is_some(), replica.asking.is_some(), replica.syncing.is_some()];
        let knows = [replica.life.is_some(), replica.to_tell.is_some(), replica.ack.is_some()];
        waits.iter().chain(&knows).for_each(|is| self.number(u64::from(*is)));
        replica.life.iter().for_each(|books| self.books(&replica.inc(books.k), books));
        replica.to_tell.iter().for_each(|epoch| self.epoch(*epoch));
    }

    /// What it waits for.
    fn waits(&mut self, who: u8, replica: &Replica) {
        if let Some(Command::Join(join)) = replica.joining.as_deref() {
            self.inc(&join.inc);
            self.epoch(join.epoch);
        }
        if let Some(ask) = &replica.asking {
            self.life(who, ask.k);
            self.epoch(ask.epoch);
            self.number((self.of.t - ask.at).min(self.of.rules.setting.d_head));
            self.numbers(&[ask.units, u64::from(ask.void)]);
        }
        if let Some(told) = &replica.syncing {
            self.life(who, told.k);
            self.epoch(told.epoch);
            if self.loses {
                self.numbers(&[told.returned, told.posted, u64::from(told.look)]);
                self.numbers(&[u64::from(told.before.is_some()), told.before.unwrap_or(0)]);
            }
        }
    }

    fn roster(&mut self, who: u8, roster: &[Incarnation]) {
        for inc in roster {
            self.begin(Group::Roster);
            self.who(who);
            self.inc(inc);
        }
    }

    fn books(&mut self, inc: &Incarnation, books: &Books) {
        self.inc(inc);
        self.epoch(books.epoch);
        self.number(u64::from(books.opened));
        let said = if on(Mutant::ReturnedBeforePosted) { books.said } else { books.posted };
        self.counters(inc, &[books.consumed, books.returned], &[books.posted, said]);
        self.grants(books.own);
    }

    fn seen(&mut self, seen: Option<&Seen>) {
        self.number(u64::from(seen.is_some()));
        if let Some(seen) = seen {
            self.image(&seen.image);
            self.number(self.kept(self.of.t - seen.at));
            self.numbers(&[seen.own, seen.held, seen.granted]);
            self.grants(seen.covers);
        }
    }

    /// The age of an image: of older ones nothing is left.
    pub(super) fn kept(&self, age: Ms) -> Ms {
        let setting = &self.of.rules.setting;
        age.min((setting.buckets + 2) * setting.width)
    }

    pub(super) fn image(&mut self, image: &Image) {
        self.numbers(&image.posted);
        self.numbers(&image.held);
        self.windows(&image.window);
    }

    pub(super) fn windows(&mut self, windows: &[Vec<(Ms, u64)>]) {
        for (ended, amount) in windows.iter().flatten() {
            self.numbers(&[*ended, *amount]);
        }
    }
}
