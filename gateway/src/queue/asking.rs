//! How a call asks the state for room where that is scarce: what it says of itself, and when it asks again. Pure.

use super::Flow;
use crate::config::Deployment;
use crate::state::core::fair::ASKS;
use crate::state::core::{Denied, Ms, Turn};

/// What a call counts for beside others: thousandths of a token at weight 1, below this.
const DEAREST: f64 = (1u64 << 40) as f64;

impl Flow {
    /// What the state is told of a call of it where room is scarce: that asks for so many tokens, may wait or not, and has others of
    /// its flow behind it or not.
    pub fn turn(&self, model: &str, tokens: u64, waits: bool, more: bool) -> Turn {
        let cost = 1_000.0 * tokens.max(1) as f64 / self.weight;
        Turn {
            line: model.to_owned(),
            flow: Deployment::tag_of(&self.tenant),
            rank: self.rank,
            cost: cost.min(DEAREST) as u64,
            waits,
            more,
        }
    }
}

/// How a call that waits asks again.
#[derive(Debug, Default)]
pub struct Asking {
    /// How often it asked in vain though nobody knew when there would be room.
    guesses: u32,
}

impl Asking {
    /// In how long it asks again, if nobody calls it before. Where the time it was told is a guess, each is to be longer: who waits
    /// for long must not ask all the time.
    pub fn again_in(&mut self, denied: &Denied) -> Ms {
        self.guesses = if denied.exact { 0 } else { self.guesses + 1 };
        (denied.retry_in.max(1) << (self.guesses / 4).min(5)).min(ASKS)
    }
}
