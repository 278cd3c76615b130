//! One state of the model: the shared state, two replicas, what is under way between them, and the judge's notes. An
//! [`Action`] leads to the next.

use std::sync::Arc;

use super::check;
use super::replica::{Ask, Call, Grants, Replica};
use super::setting::Rules;
use crate::state::core::learn::LEARN;
use crate::state::core::mutant::{Mutant, on};
use crate::state::core::tests::judge::Breach;
use crate::state::core::{Caller, Command, Incarnation, Memory, Ms, Reply, Reserved, Stamp, State};

const BORN: Ms = 100_000_000;
const NAMES: [&str; 2] = ["a", "b"];

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
    fn k(&self) -> u64 {
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
            left: Left {
                calls: setting.calls.len() as u8,
                crashes: setting.crashes,
                doubles: setting.doubles,
                flushes: setting.flushes,
                failovers: setting.failovers,
                steps: setting.steps,
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

    /// May data be lost any more?
    pub(super) fn may_lose(&self) -> bool {
        self.flushed || self.left.flushes + self.left.failovers > 0
    }

    /// Does it matter what a replica saw, because it may have to tell?
    pub(super) fn may_tell(&self, replica: &Replica) -> bool {
        let tells = match &replica.life {
            Some(life) => life.epoch != self.server.epoch || replica.to_tell.is_some(),
            None => false,
        };
        self.may_lose() || tells || replica.joining.is_some()
    }

    /// Does it matter what was posted ever?
    pub(super) fn may_learn(&self) -> bool {
        self.server.learn.is_some() || self.replicas.iter().any(|replica| self.may_tell(replica))
    }

    /// Everything that may happen next.
    pub(super) fn actions(&self) -> Vec<Action> {
        if self.is_over() {
            return vec![];
        }
        let mut actions = vec![Action::Tick];
        (0..2).for_each(|who| self.of_replica(who, &mut actions));
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
        actions
    }

    /// Is nothing held, charged or remembered, and can nothing be any more? Lives may still come and go.
    fn is_over(&self) -> bool {
        let asked = |letter: &Letter| letter.about == About::Reserve;
        let asks =
            self.replicas.iter().any(|replica| replica.asking.is_some()) || self.wire.iter().any(asked);
        let mut meters = self.server.pools.values().flat_map(|pool| &pool.meters);
        let empty = meters.all(|meter| meter.hold + meter.sum + meter.image_sum == 0);
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

    /// What the action leads to; a rule may break.
    pub(super) fn act(&mut self, action: Action) -> Result<(), Breach> {
        let left = &mut self.left;
        match action {
            Action::Tick => self.tick()?,
            Action::Join(who, ended) => {
                self.end(who, ended);
                self.give_up(who, About::Join);
                let join = self.replicas[who as usize].join(&self.rules, self.t);
                self.send(who, About::Join, join)?;
            }
            Action::Reserve(who) => {
                left.calls -= 1;
                let units = self.rules.setting.calls[left.calls as usize];
                let ask = self.replicas[who as usize].reserve(&self.rules, self.t, units);
                self.send(who, About::Reserve, ask)?;
            }
            Action::Sync(who, ended) => {
                self.end(who, ended);
                self.give_up(who, About::Sync);
                let look = self.may_lose();
                let sync = self.replicas[who as usize].sync(&self.rules, self.t, look);
                self.send(who, About::Sync, sync)?;
            }
            Action::GiveUp(who) => self.give_up(who, About::Reserve),
            Action::Crash(who) => {
                left.crashes -= 1;
                self.replace(who);
            }
            Action::Leave(who) => {
                left.crashes -= 1;
                let replica = &self.replicas[who as usize];
                let bye = replica.books().map(|books| Command::Bye(replica.caller(books, self.t)));
                self.send(who, About::Bye, bye)?;
                self.replace(who);
            }
            Action::Arrive(at) => {
                let letter = self.wire.remove(at as usize);
                self.arrive(letter)?;
            }
            Action::ArriveTwice(at) => {
                left.doubles -= 1;
                let letter = self.wire[at as usize].clone();
                self.wire[at as usize].again = true;
                self.arrive(letter)?;
            }
            Action::Lose(at) => self.lose(at),
            Action::Flush => {
                left.flushes -= 1;
                (self.flushed, self.known) = (true, 0);
            }
            Action::Copy => self.copy = Some((self.server.clone(), self.known)),
            Action::FailOver => {
                left.failovers -= 1;
                self.fail_over();
            }
            Action::StepClock => {
                left.steps -= 1;
                self.ahead += self.rules.setting.step;
            }
        }
        Ok(())
    }

    fn tick(&mut self) -> Result<(), Breach> {
        self.t += self.rules.setting.tick;
        let from = self.t - self.rules.setting.span();
        self.charges.retain(|charge| charge.until >= from); // no window of now or later meets the others
        if self.t >= BORN + self.rules.setting.lost_within {
            (self.left.flushes, self.left.failovers, self.copy) = (0, 0, None);
        }
        if self.rules.setting.idle {
            return Ok(());
        }
        let caller = Caller { epoch: 0, inc: Incarnation::default(), l_ack: 0, x: 0 };
        self.step(&Command::Bye(caller)).map(|_| ()) // of somebody unknown: it moves the clock, and that is all
    }

    fn send(&mut self, who: u8, about: About, command: Option<Command>) -> Result<(), Breach> {
        let Some(command) = command else { return Ok(()) };
        let (covers, own) = match about {
            About::Join => self.replicas[who as usize].knows(),
            _ => (0, 0),
        };
        let body = Body::Command(Arc::new(command));
        let letter = Letter { who, about, awaited: true, again: false, body, covers, own, grant: 0 };
        if self.rules.setting.wire > 0 {
            self.wire.push(letter);
            return Ok(());
        }
        self.arrive(letter)?;
        self.wire.pop().map_or(Ok(()), |answer| self.arrive(answer))
    }

    fn give_up(&mut self, who: u8, about: About) {
        let replica = &mut self.replicas[who as usize];
        match about {
            About::Join => replica.joining = None,
            About::Reserve => replica.asking = None,
            About::Sync => replica.syncing = None,
            About::Bye => {}
        }
        self.unawaited(who, |of| of == about);
    }

    /// A message is lost. Who waits for it in vain does nothing else meanwhile, so that it may as well know; but an
    /// unanswered RESERVE counts as long as it is waited for.
    fn lose(&mut self, at: u8) {
        let letter = self.wire.remove(at as usize);
        let again = self.wire.iter().any(|l| l.awaited && (l.who, l.about) == (letter.who, letter.about));
        if letter.awaited && letter.about != About::Reserve && !again {
            self.give_up(letter.who, letter.about);
        }
    }

    /// Nobody waits for these any more: commands may still arrive, replies are of no use.
    fn unawaited(&mut self, who: u8, which: impl Fn(About) -> bool) {
        let concerned = |letter: &Letter| letter.who == who && letter.awaited && which(letter.about);
        self.wire.retain(|letter| !(concerned(letter) && matches!(letter.body, Body::Reply(_))));
        self.wire.iter_mut().filter(|letter| concerned(letter)).for_each(|letter| letter.awaited = false);
    }

    /// The process ends, and another begins. What its calls are charged is charged all the same.
    pub(super) fn replace(&mut self, who: u8) {
        let replica = &mut self.replicas[who as usize];
        let again = u64::from(on(Mutant::IncarnationReused) && replica.last_k > 0);
        *replica = Replica::new(replica.name, replica.last_k - again);
        self.unawaited(who, |_| true);
    }

    /// Calls of a replica end, the nth if the nth bit says so.
    fn end(&mut self, who: u8, ended: u8) {
        let replica = &mut self.replicas[who as usize];
        for at in (0..replica.calls.len()).rev().filter(|at| ended >> at & 1 == 1) {
            let call = replica.calls.remove(at);
            let posted = if on(Mutant::ReleasedAfterBytes) { 0 } else { call.units };
            if !on(Mutant::PostedBeforeHead) {
                replica.settle(call.k, call.units, posted);
            }
            for charge in self.charges.iter_mut().filter(|charge| charge.grant == call.grant) {
                charge.until = charge.until.min(self.t);
            }
        }
    }

    /// Another server takes over; connections break.
    fn fail_over(&mut self) {
        let Some((state, known)) = self.copy.take() else { return };
        (self.server, self.known, self.flushed) = (state, known, false);
        self.run += 1;
        self.wire.retain(|letter| matches!(letter.body, Body::Reply(_)));
    }

    fn arrive(&mut self, letter: Letter) -> Result<(), Breach> {
        match &letter.body {
            Body::Command(command) => self.serve(&letter, command),
            Body::Reply(reply) => self.answer(&letter, reply),
        }
    }

    /// One step of the shared state.
    fn step(&mut self, command: &Command) -> Result<(bool, Reply), Breach> {
        let now = self.t.saturating_add_signed(self.ahead);
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

    fn serve(&mut self, letter: &Letter, command: &Command) -> Result<(), Breach> {
        let (learnt, reply) = self.step(command)?;
        check::deaf(&self.server, &self.replicas[letter.who as usize])?;
        let (covers, grant) = self.note(letter, learnt, &reply);
        let body = Body::Reply(Arc::new(reply));
        let reply = Letter { body, covers, grant, own: 0, again: false, ..*letter };
        match &reply.body {
            _ if !letter.awaited || letter.about == About::Bye => Ok(()),
            // It changes nothing but that the call may be tried again; if it is lost, the question may have been.
            Body::Reply(refusal) if is_refusal(refusal) => self.answer(&reply, refusal),
            _ => {
                self.wire.push(reply);
                Ok(())
            }
        }
    }

    /// Judge: what the shared state has come to know; what its reply shows, and the grant in it.
    fn note(&mut self, letter: &Letter, learnt: bool, reply: &Reply) -> (Grants, u8) {
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

    fn answer(&mut self, letter: &Letter, reply: &Reply) -> Result<(), Breach> {
        let (who, t) = (letter.who as usize, self.t);
        self.unawaited(letter.who, |about| about == letter.about); // what came twice is answered
        match letter.about {
            About::Join => self.replicas[who].joined(reply, t),
            About::Sync => self.replicas[who].synced(reply, letter.covers, t),
            About::Bye => {}
            About::Reserve => match self.replicas[who].reserved(reply, t) {
                Some(ask) => return self.dispatch(who, ask, letter.grant),
                None if matches!(reply, Reply::Reserved(Reserved::Granted(_))) => {}
                None => self.left.calls += 1,
            },
        }
        Ok(())
    }

    /// Sends a call to its provider, if there is time.
    fn dispatch(&mut self, who: usize, ask: Ask, grant: u8) -> Result<(), Breach> {
        let setting = &self.rules.setting;
        let from = if on(Mutant::DeadlineFromReceipt) { self.t } else { ask.at };
        let replica = &mut self.replicas[who];
        if self.t >= from + setting.d_head && !on(Mutant::SentAfterDeadline) {
            replica.settle(ask.k, ask.units, 0);
            return Ok(());
        }
        let until = (from + setting.charged_within()).max(self.t);
        replica.of(ask.k).for_each(|books| books.own |= 1 << grant);
        if on(Mutant::PostedBeforeHead) {
            replica.settle(ask.k, ask.units, ask.units);
        }
        replica.calls.push(Call { k: ask.k, units: ask.units, grant });
        self.charges.push(Charge { grant, units: ask.units, until });
        check::window(self)
    }
}

fn is_refusal(reply: &Reply) -> bool {
    match reply {
        Reply::Reserved(reserved) => !matches!(reserved, Reserved::Granted(_)),
        Reply::Learning(_) => true,
        _ => false,
    }
}
