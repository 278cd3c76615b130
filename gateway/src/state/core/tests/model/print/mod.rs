//! What tells one state of the model from another, as a number. Times count from now, epochs and lives by rank; the
//! order of messages and calls does not matter, nor which replica is which.
//!
//! A state is written down as groups of tokens, each hashed by itself; the sum does not depend on their order.

mod letter;
mod replica;
mod state;

use super::cluster::{BORN, Body, Cluster};
use super::replica::{Grants, Replica};
use crate::state::core::{Incarnation, Ms, Reply, Reserved, TTL};

#[derive(Clone, Copy)]
enum Token {
    Number(u64),
    Epoch(u64),
    Who(u8),
    Life(u8, u64),
    /// So many lives follow, whose order does not matter.
    Lives(usize),
}

/// What a group is about.
#[derive(Clone, Copy)]
enum Group {
    Whole,
    State,
    Lives,
    Name,
    Pending,
    Learn,
    Kept,
    Awaited,
    Left,
    Replica,
    Roster,
    Call,
    Charge,
    Letter,
}

/// A state written down.
struct Print<'a> {
    of: &'a Cluster,
    tokens: Vec<Token>,
    /// Where each group begins.
    groups: Vec<usize>,
    /// Grants that matter, oldest first; all of them only where data may be lost.
    grants: Vec<u8>,
    /// Logical now.
    l: Ms,
    loses: bool,
    /// Whether time may jump, so that it matters who can witness that it passed.
    jumps: bool,
}

/// The same for states from which the same can happen. (Tested: [`super::search`].)
pub(super) fn print(cluster: &Cluster) -> u64 {
    let mut print = Print::new(cluster);
    print.cluster();
    print.sum()
}

impl<'a> Print<'a> {
    fn new(of: &'a Cluster) -> Print<'a> {
        let l = if of.flushed { of.now() } else { of.server.clock.l };
        let granted = of.wire.iter().filter(|l| matches!(&l.body, Body::Reply(reply) if is_grant(reply)));
        let mut grants: Vec<u8> =
            of.charges.iter().map(|charge| charge.grant).chain(granted.map(|letter| letter.grant)).collect();
        grants.sort_unstable();
        let (tokens, groups) = (Vec::with_capacity(128), Vec::with_capacity(16));
        Print { of, tokens, groups, grants, l, loses: of.may_learn(), jumps: of.may_jump() }
    }

    /// The lower one of the sums with the replicas in one order and in the other.
    fn sum(&self) -> u64 {
        let (mut epochs, mut lives) = (Vec::with_capacity(16), Vec::with_capacity(32));
        for token in &self.tokens {
            match token {
                Token::Number(_) | Token::Who(_) | Token::Lives(_) => {}
                Token::Epoch(epoch) => epochs.push(*epoch),
                Token::Life(who, k) => lives.push((*who, *k)),
            }
        }
        epochs.sort_unstable();
        epochs.dedup();
        lives.sort_unstable();
        lives.dedup();
        let ranks = Ranks { epochs, lives };
        self.sum_of(&ranks, 0).min(self.sum_of(&ranks, 1))
    }

    /// Adds up the groups; `swap`: 1 if the second replica comes first.
    fn sum_of(&self, ranks: &Ranks, swap: u8) -> u64 {
        let ends = self.groups.iter().skip(1).copied().chain([self.tokens.len()]);
        let hashes = self.groups.iter().zip(ends).map(|(from, to)| ranks.hash(&self.tokens[*from..to], swap));
        hashes.fold(0, u64::wrapping_add)
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

    fn who(&mut self, who: u8) {
        self.tokens.push(Token::Who(who));
    }

    fn life(&mut self, who: u8, k: u64) {
        self.tokens.push(Token::Life(who, k));
    }

    fn inc(&mut self, inc: &Incarnation) {
        self.life(u8::from(inc.name == "b"), inc.k);
    }

    /// A list of lives inside a group, in any order.
    fn together(&mut self, lives: &[Incarnation]) {
        self.tokens.push(Token::Lives(lives.len()));
        lives.iter().for_each(|inc| self.inc(inc));
    }

    /// How long before `now`; also in the future.
    fn ago(&mut self, now: Ms, at: Ms) {
        let old = self.of.rules.setting.old() as i64;
        self.number((now as i64 - at as i64).clamp(-old, old) as u64);
    }

    /// Logical time that somebody heard: fresh enough for a life to be renewed, or not.
    fn heard(&mut self, l: Ms) {
        let old = self.of.rules.setting.old() as i64; // an older copy of the data set may be behind what was heard
        self.number((self.l as i64 - l as i64).clamp(-old, TTL as i64 / 2 + 1) as u64);
    }

    /// Where the counters of a life may be counted from: what the shared state has got of them. After a loss only
    /// from their beginning; none if the life is over, so that nobody will ever listen.
    fn base(&self, inc: &Incarnation) -> Option<(u64, u64)> {
        if self.loses {
            return Some((0, 0));
        }
        let life = self.of.server.lives.get(inc)?;
        let counters = life.counters.values().flatten().next();
        Some(counters.map_or((0, 0), |c| (c.returned, c.posted)))
    }

    /// Grants and returns, then posts.
    fn counters(&mut self, inc: &Incarnation, held: &[u64], posted: &[u64]) {
        let Some(base) = self.base(inc) else { return };
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
        let left =
            [left.calls, left.crashes, left.doubles, left.flushes, left.failovers, left.steps, left.late];
        left.iter().for_each(|n| self.number(u64::from(*n)));
        self.number(of.slow as u64);
        if left[3] + left[4] + left[5] > 0 {
            self.number(of.t - BORN);
        }
        self.number(u64::from(of.flushed));
        self.number(of.t % of.rules.setting.width);
        self.mask(of.known); // the next grant does not know of the others
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
}

fn is_grant(reply: &Reply) -> bool {
    matches!(reply, Reply::Reserved(Reserved::Granted(_)))
}

/// Epochs and lives that a state speaks of, in order.
struct Ranks {
    epochs: Vec<u64>,
    lives: Vec<(u8, u64)>,
}

impl Ranks {
    /// A group's hash.
    fn hash(&self, group: &[Token], swap: u8) -> u64 {
        let (mut hash, mut set, mut left) = (0, 0_u64, 0);
        for token in group {
            let word = self.word(token, swap);
            match token {
                Token::Life(..) if left > 0 => (set, left) = (set.wrapping_add(mixed(word, 1)), left - 1),
                Token::Lives(n) => (hash, set, left) = (mixed(hash, word), 0, *n),
                _ => hash = mixed(mixed(hash, std::mem::take(&mut set)), word),
            }
        }
        mixed(hash, set)
    }

    /// A token in a number, its kind in the lowest bits.
    fn word(&self, token: &Token, swap: u8) -> u64 {
        let at = |life: (u8, u64)| self.lives.partition_point(|other| *other < life) as u64;
        match token {
            Token::Number(n) => n << 3,
            Token::Epoch(epoch) => (self.epochs.partition_point(|other| other < epoch) as u64) << 3 | 1,
            Token::Who(who) => u64::from(who ^ swap) << 3 | 2,
            Token::Life(who, k) => (at((*who, *k)) - at((*who, 0))) << 4 | u64::from(who ^ swap) << 3 | 3,
            Token::Lives(n) => (*n as u64) << 3 | 4,
        }
    }
}

/// A hash of a hash and a word.
fn mixed(hash: u64, word: u64) -> u64 {
    let product = u128::from(hash ^ 0x9e37_79b9_7f4a_7c15) * u128::from(word ^ 0xd6e8_feb8_6659_fd93);
    (product as u64 ^ (product >> 64) as u64).wrapping_add(word.rotate_left(32))
}
