//! What tells one state of the model from another, as a number. Times count from now, epochs and lives by rank; the
//! order of messages and calls does not matter, nor which replica is which.
//!
//! A state is written down as groups of tokens, each hashed by itself; the sum does not depend on their order.

use std::hash::{BuildHasher, Hash, Hasher};

use super::cluster::{Body, Cluster, Letter};
use super::replica::{Books, Grants, Replica, Seen};
use crate::state::core::mutant::{Mutant, on};
use crate::state::core::{
    Caller, Command, GAP, Image, Incarnation, Join, Learn, Life, Meter, Ms, PoolMemory, Reply, Reserved,
    State, TTL,
};

#[derive(Clone, Copy, Hash)]
enum Token {
    Number(u64),
    Epoch(u64),
    Life(u8, u64),
}

/// What a group is about.
#[derive(Clone, Copy, Hash)]
enum Group {
    Whole,
    State,
    Lives,
    Name,
    Pending,
    Learn,
    Kept,
    Awaited,
    Replica,
    Roster,
    Call,
    Charge,
    Letter,
}

/// A state written down, its replicas in one order or the other.
struct Print<'a> {
    of: &'a Cluster,
    swapped: bool,
    tokens: Vec<Token>,
    /// Where each group begins.
    groups: Vec<usize>,
    /// Grants that matter, oldest first; all of them only where data may be lost.
    grants: Vec<u8>,
    /// Logical now.
    l: Ms,
    loses: bool,
}

pub(super) fn print(cluster: &Cluster) -> u64 {
    let of = |swapped| {
        let mut print = Print::new(cluster, swapped);
        print.cluster();
        print.sum()
    };
    of(false).min(of(true))
}

impl<'a> Print<'a> {
    fn new(of: &'a Cluster, swapped: bool) -> Print<'a> {
        let l = if of.flushed { of.t.saturating_add_signed(of.ahead) } else { of.server.clock.l };
        let granted = of.wire.iter().filter(|l| matches!(&l.body, Body::Reply(reply) if is_grant(reply)));
        let mut grants: Vec<u8> =
            of.charges.iter().map(|charge| charge.grant).chain(granted.map(|letter| letter.grant)).collect();
        grants.sort_unstable();
        let (tokens, groups) = (Vec::with_capacity(128), Vec::with_capacity(16));
        Print { of, swapped, tokens, groups, grants, l, loses: of.may_learn() }
    }

    /// Ranks epochs and lives, and adds up the groups.
    fn sum(&self) -> u64 {
        let (mut epochs, mut lives) = (Vec::new(), Vec::new());
        for token in &self.tokens {
            match token {
                Token::Number(_) => {}
                Token::Epoch(epoch) => epochs.push(*epoch),
                Token::Life(who, k) => lives.push((*who, *k)),
            }
        }
        epochs.sort_unstable();
        epochs.dedup();
        lives.sort_unstable();
        lives.dedup();
        let rank = |token: &Token| match token {
            Token::Epoch(epoch) => Token::Epoch(epochs.partition_point(|other| other < epoch) as u64),
            Token::Life(who, k) => {
                let at = |life: (u8, u64)| lives.partition_point(|other| *other < life);
                Token::Life(*who, (at((*who, *k)) - at((*who, 0))) as u64)
            }
            Token::Number(_) => *token,
        };
        let seeds = ahash::RandomState::with_seeds(11, 12, 13, 14);
        let ends = self.groups.iter().skip(1).copied().chain([self.tokens.len()]);
        let hash = |(from, to): (&usize, usize)| {
            let mut hasher = seeds.build_hasher();
            self.tokens[*from..to].iter().for_each(|token| rank(token).hash(&mut hasher));
            hasher.finish()
        };
        self.groups.iter().zip(ends).map(hash).fold(0, u64::wrapping_add)
    }

    fn begin(&mut self, group: Group) {
        self.groups.push(self.tokens.len());
        self.number(group as u64);
    }

    fn number(&mut self, n: u64) {
        self.tokens.push(Token::Number(n));
    }

    fn numbers(&mut self, numbers: &[u64]) {
        self.number(numbers.len() as u64);
        numbers.iter().for_each(|n| self.number(*n));
    }

    fn epoch(&mut self, epoch: u64) {
        self.tokens.push(Token::Epoch(epoch));
    }

    fn who(&self, who: u8) -> u8 {
        who ^ u8::from(self.swapped)
    }

    fn life(&mut self, who: u8, k: u64) {
        self.tokens.push(Token::Life(self.who(who), k));
    }

    fn inc(&mut self, inc: &Incarnation) {
        self.life(u8::from(inc.name == "b"), inc.k);
    }

    /// How long before `now`; also in the future.
    fn ago(&mut self, now: Ms, at: Ms) {
        let old = self.of.rules.setting.old() as i64;
        self.number((now as i64 - at as i64).clamp(-old, old) as u64);
    }

    /// Logical time that somebody heard: fresh enough for a life to be renewed, or not.
    fn heard(&mut self, l: Ms) {
        self.number(self.l.saturating_sub(l).min(TTL / 2 + 1));
    }

    /// Where the counters of a life may be counted from: what the shared state has got of them. After a loss only
    /// from their beginning.
    fn base(&self, inc: &Incarnation) -> (u64, u64) {
        let life = self.of.server.lives.get(inc).filter(|_| !self.loses);
        let counters = life.and_then(|life| life.counters.values().flatten().next());
        counters.map_or((0, 0), |c| (c.returned, c.posted))
    }

    /// Grants and returns, then posts.
    fn counters(&mut self, inc: &Incarnation, held: &[u64], posted: &[u64]) {
        let base = self.base(inc);
        held.iter().for_each(|n| self.number(n.wrapping_sub(base.0)));
        posted.iter().for_each(|n| self.number(n.wrapping_sub(base.1)));
    }

    fn mask(&mut self, mask: Grants) {
        let known = |bits: u64, grant: &u8| bits << 1 | u64::from(mask >> grant & 1);
        self.number(self.grants.iter().fold(0, known));
    }

    fn grants(&mut self, mask: Grants) {
        if self.loses {
            self.mask(mask);
        }
    }

    /// Which one it is, if some were made without knowing of others.
    fn grant(&mut self, grant: u8) {
        let unknown = |of: &u8, other: &u8| self.of.unknown[*of as usize] >> other & 1 == 1 && other < of;
        let blind = self.grants.iter().any(|of| self.grants.iter().any(|other| unknown(of, other)));
        if blind || self.loses {
            let rank = self.grants.partition_point(|other| *other < grant);
            self.number(rank as u64);
            self.mask(self.of.unknown[grant as usize]);
        }
    }

    fn cluster(&mut self) {
        let of = self.of;
        self.begin(Group::Whole);
        let left = &of.left;
        let left = [left.calls, left.crashes, left.doubles, left.flushes, left.failovers, left.steps];
        left.iter().for_each(|n| self.number(u64::from(*n)));
        self.number(u64::from(of.flushed));
        self.number(of.t % of.rules.setting.width);
        self.grants(of.known);
        if !of.flushed {
            self.state(&of.server, 0);
        }
        if let Some((copy, known)) = &of.copy {
            self.state(copy, 1);
            self.grants(*known);
        }
        (0..2).for_each(|who| self.replica(who, &of.replicas[who as usize]));
        for charge in &of.charges {
            let open = |replica: &Replica| replica.calls.iter().any(|call| call.grant == charge.grant);
            if !of.replicas.iter().any(open) {
                self.begin(Group::Charge);
                self.number(charge.units);
                self.ago(of.t, charge.until);
                self.grant(charge.grant);
                if self.loses {
                    let (who, k) = of.holders[charge.grant as usize];
                    self.life(who, k);
                }
            }
        }
        of.wire.iter().for_each(|letter| self.letter(letter));
    }

    fn state(&mut self, state: &State, which: u64) {
        let l = state.clock.l;
        for (inc, life) in &state.lives {
            self.lives(inc, life, l, which);
        }
        for (name, (k, _)) in &state.names {
            self.begin(Group::Name);
            self.number(which);
            self.life(u8::from(name == "b"), *k);
        }
        for pending in &state.pending {
            self.begin(Group::Pending);
            self.number(which);
            self.ago(l, pending.due);
            self.number(pending.amount);
        }
        state.learn.iter().for_each(|learn| self.learn(learn, l, which));
        self.begin(Group::State);
        self.number(which);
        self.epoch(state.epoch);
        self.number(u64::from(state.run == self.of.run));
        self.ago(self.l, l);
        self.number(l % self.of.rules.setting.width);
        self.ago(self.of.t.saturating_add_signed(self.of.ahead), state.clock.wall);
        for pool in state.pools.values() {
            self.epoch(pool.epoch);
            pool.meters.iter().for_each(|meter| self.meter(meter, l));
        }
    }

    fn lives(&mut self, inc: &Incarnation, life: &Life, l: Ms, which: u64) {
        self.begin(Group::Lives);
        self.number(which);
        self.inc(inc);
        self.ago(l, life.exp);
        match life.told {
            Some(epoch) if epoch > 0 => self.epoch(epoch),
            other => self.number(u64::from(other.is_some())),
        }
        for c in life.counters.values().flatten() {
            self.counters(inc, &[c.granted, c.returned], &[c.posted]);
        }
    }

    fn learn(&mut self, learn: &Learn, l: Ms, which: u64) {
        for inc in &learn.roster {
            self.begin(Group::Awaited);
            self.number(which);
            self.inc(inc);
        }
        self.begin(Group::Learn);
        self.number(which);
        self.ago(l, learn.since);
        self.number(u64::from(learn.told));
        self.number(u64::from(learn.fresh));
        for (seen, bearer, held) in learn.others.values() {
            self.ago(l, *seen);
            self.inc(bearer);
            self.numbers(held);
        }
        for (inc, kept) in learn.kept.values().flatten() {
            self.begin(Group::Kept);
            self.number(which);
            self.inc(inc);
            self.numbers(kept);
        }
    }

    fn meter(&mut self, meter: &Meter, l: Ms) {
        self.number(meter.hold);
        if self.loses {
            self.numbers(&[meter.posted, meter.image_posted]);
        }
        let (now, slots) = (l / meter.shape.width, meter.shape.slots());
        for age in 0..slots {
            let bucket = now - age;
            let at = (bucket % slots) as usize;
            let kept = bucket + slots > meter.last;
            let own = match bucket.cmp(&meter.last) {
                std::cmp::Ordering::Equal => meter.cur,
                std::cmp::Ordering::Less if kept => meter.ring[at],
                _ => 0,
            };
            let image = meter.image.get(at).filter(|_| kept && bucket <= meter.last).copied();
            self.numbers(&[own, image.unwrap_or(0)]);
        }
    }

    fn replica(&mut self, who: u8, replica: &Replica) {
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
        self.life(who, replica.last_k);
        let waits = [replica.joining.is_some(), replica.asking.is_some(), replica.syncing.is_some()];
        let knows = [replica.life.is_some(), replica.to_tell.is_some(), replica.ack.is_some()];
        waits.iter().chain(&knows).for_each(|is| self.number(u64::from(*is)));
        replica.life.iter().for_each(|books| self.books(&replica.inc(books.k), books));
        replica.to_tell.iter().for_each(|epoch| self.epoch(*epoch));
        self.seen(replica.life.as_ref().and_then(|books| books.seen.as_deref()).filter(|_| tells));
        if tells {
            self.number((t - replica.roster_at).min(TTL + 1));
        }
        if let Some((l, at)) = replica.ack {
            self.heard(l);
            // The passed time that it can witness, and the time that has passed.
            self.ago(
                l + (t - at) + self.of.server.clock.wall,
                self.l + t.saturating_add_signed(self.of.ahead),
            );
        }
        if let Some(Command::Join(join)) = replica.joining.as_deref() {
            self.inc(&join.inc);
            self.epoch(join.epoch);
        }
        if let Some(ask) = &replica.asking {
            self.life(who, ask.k);
            self.epoch(ask.epoch);
            self.number((t - ask.at).min(self.of.rules.setting.d_head));
            self.numbers(&[ask.units, u64::from(ask.void)]);
        }
        if let Some(told) = &replica.syncing {
            self.life(who, told.k);
            self.epoch(told.epoch);
            if self.loses {
                self.numbers(&[told.returned, told.posted, u64::from(told.look)]);
            }
        }
    }

    fn roster(&mut self, who: u8, roster: &[Incarnation]) {
        for inc in roster {
            self.begin(Group::Roster);
            self.number(u64::from(self.who(who)));
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
    fn kept(&self, age: Ms) -> Ms {
        let setting = &self.of.rules.setting;
        age.min((setting.buckets + 2) * setting.width)
    }

    fn image(&mut self, image: &Image) {
        self.numbers(&image.posted);
        self.numbers(&image.held);
        self.windows(&image.window);
    }

    fn windows(&mut self, windows: &[Vec<(Ms, u64)>]) {
        for (ended, amount) in windows.iter().flatten() {
            self.numbers(&[*ended, *amount]);
        }
    }

    fn letter(&mut self, letter: &Letter) {
        self.begin(Group::Letter);
        let who = self.who(letter.who);
        self.numbers(&[
            u64::from(who),
            letter.about as u64,
            u64::from(letter.awaited) << 1 | u64::from(letter.again),
        ]);
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
        let witnessed = (caller.l_ack + caller.x).saturating_sub(self.l);
        self.number(witnessed.clamp(GAP, self.of.rules.setting.old()));
    }

    fn join(&mut self, join: &Join) {
        self.inc(&join.inc);
        self.epoch(join.epoch);
        if !self.loses {
            return; // nobody listens
        }
        self.number(join.memory.age.min(TTL + 1));
        self.sorted(&join.memory.roster);
        join.memory.pools.iter().for_each(|pool| self.memory(pool));
    }

    /// A list of lives inside a group.
    fn sorted(&mut self, lives: &[Incarnation]) {
        self.number(lives.len() as u64);
        let mut lives: Vec<&Incarnation> = lives.iter().collect();
        lives.sort_by_key(|inc| (self.who(u8::from(inc.name == "b")), inc.k));
        lives.into_iter().for_each(|inc| self.inc(inc));
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
                    self.sorted(&synced.live);
                }
            }
            Reply::Gone(highest) => self.life(letter.who, *highest),
            Reply::Epoch(epoch) => self.epoch(*epoch),
            Reply::Reserved(_) | Reply::Left(_) | Reply::Learning(_) => self.number(letter.about as u64),
        }
    }
}

fn is_grant(reply: &Reply) -> bool {
    matches!(reply, Reply::Reserved(Reserved::Granted(_)))
}
