//! A message's part.

use super::super::cluster::{Body, Letter};
use super::{Group, Print};
use crate::state::core::{Caller, Command, GAP, Join, PoolMemory, Reply, Reserved};

impl Print<'_> {
    pub(super) fn letter(&mut self, letter: &Letter) {
        self.begin(Group::Letter);
        self.who(letter.who);
        self.numbers(&[letter.about as u64, u64::from(letter.awaited) << 1 | u64::from(letter.again)]);
        match &letter.body {
            Body::Command(command) => self.command(command),
            Body::Reply(reply) => self.reply(letter, reply),
        }
        self.grants(letter.covers);
        self.grants(letter.own);
    }

    fn command(&mut self, command: &Command) {
        self.number(0);
        match command {
            Command::Join(join) => self.join(join),
            Command::Reserve(ask) => {
                self.caller(&ask.caller);
                self.numbers(&ask.candidates[0].draws[0].amounts);
            }
            Command::Sync(sync) => {
                self.caller(&sync.caller);
                self.number(u64::from(sync.count));
                for report in &sync.reports {
                    self.counters(&sync.caller.inc, &report.returned, &report.posted);
                }
            }
            Command::Bye(caller) => self.caller(caller),
        }
    }

    fn caller(&mut self, caller: &Caller) {
        self.epoch(caller.epoch);
        self.inc(&caller.inc);
        self.heard(caller.l_ack);
        if self.jumps {
            let witnessed = (caller.l_ack + caller.x).saturating_sub(self.l);
            self.number(witnessed.clamp(GAP, self.of.rules.setting.old()));
        }
    }

    fn join(&mut self, join: &Join) {
        self.inc(&join.inc);
        self.epoch(join.epoch);
        if !self.loses {
            return; // nobody listens
        }
        self.number(join.memory.age.min(self.of.rules.setting.old()));
        self.together(&join.memory.roster);
        join.memory.pools.iter().for_each(|pool| self.memory(pool));
    }

    fn memory(&mut self, pool: &PoolMemory) {
        for c in &pool.counters {
            self.numbers(&[c.granted, c.returned, c.posted]);
        }
        self.number(self.kept(pool.age));
        self.numbers(&pool.seen);
        self.numbers(&pool.posted);
        self.numbers(&pool.others);
        self.numbers(&pool.kept);
        self.windows(&pool.window);
    }

    fn reply(&mut self, letter: &Letter, reply: &Reply) {
        self.number(1);
        match reply {
            Reply::Joined(joined) => {
                self.epoch(joined.epoch);
                self.heard(joined.l);
            }
            Reply::Reserved(Reserved::Granted(granted)) => {
                self.heard(granted.l);
                self.grant(letter.grant);
            }
            Reply::Synced(synced) => {
                self.heard(synced.l);
                let replica = &self.of.replicas[letter.who as usize];
                let inc = replica.inc(replica.syncing.map_or(0, |told| told.k));
                for view in &synced.pools {
                    self.counters(&inc, &view.granted, &[]);
                    let image = view.image.as_ref().filter(|_| self.loses);
                    image.iter().for_each(|image| self.image(image));
                }
                if self.loses {
                    self.together(&synced.live);
                }
            }
            Reply::Gone(highest) => self.life(letter.who, *highest),
            Reply::Epoch(epoch) => self.epoch(*epoch),
            Reply::Reserved(_) | Reply::Left(_) | Reply::Learning(_) => self.number(letter.about as u64),
        }
    }
}
