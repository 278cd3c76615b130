//! How calls wait where there is no room, and who goes first.

use std::time::Duration;

/// `queue`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// So many calls of a model wait at a replica at most; 0: none.
    pub max: usize,
    /// None waits for longer.
    pub wait: Duration,
}

/// `priority`. The more urgent first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Before the others.
    High,
    /// As most.
    #[default]
    Normal,
    /// Behind the others, and in a part of the room only.
    Low,
}

impl Priority {
    /// Its words, as users write them.
    pub const WORDS: [(&'static str, Priority); 3] =
        [("high", Priority::High), ("normal", Priority::Normal), ("low", Priority::Low)];

    /// Lower goes first.
    pub fn rank(self) -> u64 {
        match self {
            Priority::High => 0,
            Priority::Normal => 1,
            Priority::Low => 2,
        }
    }

    /// How much of a limit such calls may use, millionths.
    pub fn most(self) -> u64 {
        match self {
            Priority::High | Priority::Normal => 1_000_000,
            Priority::Low => 700_000,
        }
    }
}
