//! The bounds within which the model is searched.

use std::sync::Arc;

use crate::state::core::{Declared, Mode, Ms, PoolDecl, Shape, Stage, TTL};

/// One search: shapes and deadlines, and how much of everything may happen. Times are multiples of the tick.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    pub name: &'static str,
    pub tick: Ms,
    pub width: Ms,
    pub buckets: u64,
    pub stage: Stage,
    pub d_head: Ms,
    pub d_end: Ms,
    pub limit: u64,
    /// Units of each call, the last call first.
    pub calls: &'static [u64],
    /// Messages under way at once, besides those that came already and come again; 0: each is answered at once.
    pub wire: usize,
    /// Messages that are late all the same, or lost.
    pub late: u8,
    /// Lives of each replica, one after another.
    pub lives: u64,
    /// Processes that end, and are started again.
    pub crashes: u8,
    /// Commands that arrive twice.
    pub doubles: u8,
    /// Times that the data set is wiped.
    pub flushes: u8,
    /// Times that a copy from some moment before takes over.
    pub failovers: u8,
    /// Times that the server's clock steps by so much.
    pub steps: u8,
    pub step: i64,
    /// These three only in so much time from the beginning.
    pub faults_within: Ms,
    /// Whether nobody besides the two replicas calls the shared state: then its clock stands still as long as they are silent.
    pub idle: bool,
}

/// Nothing happens but that messages come late or not at all, and that calls take their time.
pub(super) const PLAIN: Setting = Setting {
    name: "plain",
    tick: 1_000,
    width: 1_000,
    buckets: 2,
    stage: Stage::Head,
    d_head: 1_000,
    d_end: 1_000,
    limit: 3,
    calls: &[2, 2],
    wire: 1,
    late: 0,
    lives: 2,
    crashes: 0,
    doubles: 0,
    flushes: 0,
    failovers: 0,
    steps: 0,
    step: 1_000,
    faults_within: 2_000,
    idle: false,
};

/// A setting and what follows from it.
#[derive(Debug)]
pub(super) struct Rules {
    pub setting: Setting,
    pub decl: PoolDecl,
}

impl Setting {
    pub(super) fn rules(self) -> Arc<Rules> {
        let shape = Shape { mode: Mode::Window, stage: self.stage, width: self.width, buckets: self.buckets };
        let meters = [Declared { shape, cap: self.limit, pace: 0 }];
        Arc::new(Rules {
            setting: self,
            decl: PoolDecl { key: "p".into(), meters: meters.into(), slow_start: None },
        })
    }

    pub(super) fn span(&self) -> Ms {
        self.width * self.buckets
    }

    /// How long after it was asked for a call may be charged.
    pub(super) fn charged_within(&self) -> Ms {
        if self.stage == Stage::Head { self.d_head } else { self.d_end }
    }

    /// After that long every life, hold and window of before is over.
    pub(super) fn old(&self) -> Ms {
        2 * TTL + self.d_end + self.span() + 3 * self.width
    }
}
