//! One state of the model: the shared state, two replicas, what is under way between them, and the judge's notes. An
//! [`Action`] leads to the next.

use std::sync::Arc;

use super::replica::{Grants, Replica};
use super::setting::Rules;
use crate::state::core::tests::judge::Breach;
use crate::state::core::{Command, Ms, Reply, State};

pub(super) const BORN: Ms = 100_000_000;
const NAMES: [&str; 2] = ["a", "b"];

/// Whether the next message is late where all others are prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Slow {
    #[default]
    No,
    Command,
    Answer,
}

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum About {
    Join,
    Reserve,
    Sync,
    Bye,
}

/// Something that happens. Replicas and letters by index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Tick,
    /// A replica gives up the JOIN before, if it still waits; these of its calls have ended (a set); it joins.
    Join(u8, u8),
    /// The same, and a SYNC.
    Sync(u8, u8),
    Reserve(u8),
    /// What is said next is not heard at once, or not answered.
    Slow(Slow),
    /// It waits no longer for the answer to its RESERVE.
    GiveUp(u8),
    Crash(u8),
    /// It says BYE, and its process ends.
    Leave(u8),
    Arrive(u8),
    ArriveTwice(u8),
    Lose(u8),
    Flush,
    /// The server that takes over one day has got everything up to now.
    Copy,
    FailOver,
    StepClock,
}

impl Action {
    /// Who says something.
    pub(super) fn speaker(self) -> Option<usize> {
        match self {
            Action::Join(who, _) | Action::Sync(who, _) | Action::Reserve(who) | Action::Leave(who) => {
                Some(who.into())
            }
            _ => None,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) enum Body {
    Command(Arc<Command>),
    Reply(Arc<Reply>),
}

/// A message under way.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub who: u8,
    pub about: About,
    /// Whether its replica still waits for the answer.
    pub awaited: bool,
    /// Whether it came already.
    pub again: bool,
    pub body: Body,
    /// Judge: the grants that images in it include.
    pub covers: Grants,
    /// Judge: the sender's own.
    pub own: Grants,
    /// Judge: the number of the grant in it.
    pub grant: u8,
}

/// Judge: what a sent call may still be charged, and until when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Charge {
    pub grant: u8,
    pub units: u64,
    pub until: Ms,
}

/// What may still happen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Left {
    pub calls: u8,
    pub crashes: u8,
    pub doubles: u8,
    pub flushes: u8,
    pub failovers: u8,
    pub steps: u8,
    pub late: u8,
}

#[derive(Clone, Debug)]
pub(super) struct Cluster {
    pub rules: Arc<Rules>,
    pub t: Ms,
    pub ahead: i64,
    pub server: Arc<State>,
    pub flushed: bool,
    /// What another server has got, and what that includes.
    pub copy: Option<(Arc<State>, Grants)>,
    pub run: u64,
    /// Name of the next epoch.
    pub next: u64,
    pub replicas: [Replica; 2],
    pub wire: Vec<Letter>,
    pub slow: Slow,
    pub left: Left,
    pub charges: Vec<Charge>,
    /// Judge: number of the next grant.
    pub grants: u8,
    /// Judge: the grants that the shared state knows of, or was told.
    pub known: Grants,
    /// Judge: by grant, those that the shared state did not know of when it made it.
    pub unknown: [Grants; 16],
    /// Judge: by grant, whose it is.
    pub holders: [(u8, u64); 16],
}

impl Letter {
    /// The life that speaks in a command.
    pub(super) fn k(&self) -> u64 {
        match &self.body {
            Body::Command(command) => command.caller().map_or(0, |caller| caller.inc.k),
            Body::Reply(_) => 0,
        }
    }
}

impl Cluster {
    /// Both replicas have joined, and know of each other and of the pool.
    pub(super) fn new(rules: &Arc<Rules>) -> Result<Cluster, Breach> {
        let mut cluster = Cluster::unborn(rules);
        (0..2).try_for_each(|who| cluster.converse(Action::Join(who, 0)))?;
        (0..2).try_for_each(|who| cluster.declare(who))?;
        (0..2).try_for_each(|who| cluster.converse(Action::Sync(who, 0)))?;
        Ok(cluster)
    }

    pub(super) fn unborn(rules: &Arc<Rules>) -> Cluster {
        let setting = &rules.setting;
        Cluster {
            rules: rules.clone(),
            t: BORN,
            ahead: 0,
            server: Arc::new(State { run: 1, ..State::new(1, BORN) }),
            flushed: false,
            copy: None,
            run: 1,
            next: 2,
            replicas: NAMES.map(|name| Replica::new(name, 0)),
            wire: Vec::new(),
            slow: Slow::No,
            left: Left {
                calls: setting.calls.len() as u8,
                crashes: setting.crashes,
                doubles: setting.doubles,
                flushes: setting.flushes,
                failovers: setting.failovers,
                steps: setting.steps,
                late: setting.late,
            },
            charges: Vec::new(),
            grants: 0,
            known: 0,
            unknown: [0; 16],
            holders: [(0, 0); 16],
        }
    }

    /// A message and its answer, at once.
    pub(super) fn converse(&mut self, send: Action) -> Result<(), Breach> {
        self.act(send)?;
        while !self.wire.is_empty() {
            self.act(Action::Arrive(0))?;
        }
        Ok(())
    }

    /// A RESERVE of nothing, so that the pool exists.
    pub(super) fn declare(&mut self, who: usize) -> Result<(), Breach> {
        let ask = self.replicas[who].reserve(&self.rules, self.t, 0);
        self.replicas[who].asking = None;
        ask.iter().try_for_each(|ask| self.step(ask).map(|_| ()))
    }

    /// The server's clock.
    pub(super) fn now(&self) -> Ms {
        self.t.saturating_add_signed(self.ahead)
    }

    /// May the shared state be away, or seem so, or step its clock any more?
    pub(super) fn may_jump(&self) -> bool {
        let moved = self.server.run != self.run || self.now() > self.server.clock.wall;
        self.rules.setting.idle || (moved && !self.flushed) || self.left.failovers + self.left.steps > 0
    }

    /// May data be lost any more, or seem so?
    pub(super) fn may_lose(&self) -> bool {
        self.flushed || self.left.flushes > 0 || self.may_jump()
    }

    /// Does it matter what a replica saw, because it may have to tell? (A JOIN tells only while the state learns.)
    pub(super) fn may_tell(&self, replica: &Replica) -> bool {
        let tells = replica.life.as_ref().is_some_and(|life| match replica.to_tell {
            Some(epoch) => epoch > 0,
            None => life.epoch != self.server.epoch,
        });
        self.may_lose() || self.server.learn.is_some() || tells
    }

    /// Does it matter what was posted ever? If not now, never again.
    pub(super) fn may_learn(&self) -> bool {
        let hello = |letter: &Letter| match &letter.body {
            Body::Command(command) => matches!(&**command, Command::Join(join) if join.epoch > 0),
            Body::Reply(_) => false,
        };
        self.replicas.iter().any(|replica| self.may_tell(replica)) || self.wire.iter().any(hello)
    }

    /// Everything that may happen next.
    pub(super) fn actions(&self) -> Vec<Action> {
        if self.is_over() {
            return vec![];
        }
        let mut actions = vec![Action::Tick];
        (0..2).for_each(|who| self.of_replica(who, &mut actions));
        if self.slow != Slow::No {
            actions.retain(|action| action.speaker().is_some());
            return actions;
        }
        for (at, letter) in self.wire.iter().enumerate() {
            let at = at as u8;
            actions.extend([Action::Arrive(at), Action::Lose(at)]);
            let again = matches!(letter.body, Body::Command(_)) && self.left.doubles > 0;
            actions.extend(again.then_some(Action::ArriveTwice(at)));
        }
        let left = &self.left;
        actions.extend((left.flushes > 0 && !self.flushed).then_some(Action::Flush));
        actions.extend((left.failovers > 0 && self.copy.is_none() && !self.flushed).then_some(Action::Copy));
        actions.extend((left.failovers > 0 && self.copy.is_some()).then_some(Action::FailOver));
        actions.extend((left.steps > 0).then_some(Action::StepClock));
        if left.late > 0 {
            actions.extend([Action::Slow(Slow::Command), Action::Slow(Slow::Answer)]);
        }
        actions
    }

    /// Is nothing held, charged or remembered, and can nothing be any more? Lives may still come and go.
    fn is_over(&self) -> bool {
        let asked = |letter: &Letter| letter.about == About::Reserve;
        let asks =
            self.replicas.iter().any(|replica| replica.asking.is_some()) || self.wire.iter().any(asked);
        let mut meters = self.server.pools.values().flat_map(|pool| pool.meters.clone());
        let empty = meters.all(|mut meter| {
            meter.advance(self.server.clock.l);
            meter.hold + meter.sum + meter.image_sum == 0
        });
        let left = asks || self.may_learn() || !self.charges.is_empty() || !self.server.pending.is_empty();
        self.left.calls == 0 && empty && !left
    }

    fn has_room(&self) -> bool {
        let most = self.rules.setting.wire;
        most == 0 || self.wire.iter().filter(|letter| !letter.again).count() < most
    }

    /// A call may end, and a message be given up, long before anybody can see it. It is enough to let that happen just
    /// before: until then nothing depends on it, and a call that lasts longer is charged for longer.
    fn of_replica(&self, at: usize, actions: &mut Vec<Action>) {
        let (who, replica) = (at as u8, &self.replicas[at]);
        let lives = replica.books().is_some();
        let ended = 0..1u8 << replica.calls.len();
        if self.has_room() {
            let ask = lives && self.left.calls > 0 && replica.asking.is_none();
            actions.extend(ask.then_some(Action::Reserve(who)));
            if lives {
                actions.extend(ended.map(|ended| Action::Sync(who, ended)));
            } else if replica.next_life() <= self.rules.setting.lives {
                actions.extend(ended.map(|ended| Action::Join(who, ended)));
            }
        }
        actions.extend(replica.asking.is_some().then_some(Action::GiveUp(who)));
        if self.left.crashes > 0 {
            actions.push(Action::Crash(who));
            let leaves = lives && self.has_room() && replica.calls.is_empty();
            actions.extend(leaves.then_some(Action::Leave(who)));
        }
    }
}
