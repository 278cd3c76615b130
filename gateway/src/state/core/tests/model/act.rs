//! What an action leads to.

use std::sync::Arc;

use super::check;
use super::cluster::{About, Action, BORN, Body, Charge, Cluster, Letter, Slow};
use super::replica::{Ask, Call, Replica};
use crate::state::core::mutant::{Mutant, on};
use crate::state::core::tests::judge::Breach;
use crate::state::core::{Caller, Command, Incarnation, Reply, Reserved};

impl Cluster {
    /// What the action leads to; a rule may break.
    pub(super) fn act(&mut self, action: Action) -> Result<(), Breach> {
        let left = &mut self.left;
        match action {
            Action::Tick => self.tick()?,
            Action::Join(who, ended) => self.join(who, ended)?,
            Action::Reserve(who) => self.reserve(who)?,
            Action::Sync(who, ended) => self.sync(who, ended)?,
            Action::Leave(who) => self.leave(who)?,
            Action::GiveUp(who) => self.give_up(who, About::Reserve),
            Action::Crash(who) => {
                left.crashes -= 1;
                self.replace(who);
            }
            Action::Arrive(at) => {
                let letter = self.wire.remove(at as usize);
                self.deliver(letter)?;
            }
            Action::ArriveTwice(at) => {
                left.doubles -= 1;
                let letter = self.wire[at as usize].clone();
                self.wire[at as usize].again = true;
                self.deliver(letter)?;
            }
            Action::Lose(at) => self.lose(at),
            Action::Slow(slow) => (left.late, self.slow) = (left.late - 1, slow),
            Action::Flush => {
                left.flushes -= 1;
                (self.flushed, self.known) = (true, 0);
            }
            Action::Copy => self.copy = Some((self.server.clone(), self.known)),
            Action::FailOver => self.fail_over(),
            Action::StepClock => {
                left.steps -= 1;
                self.ahead += self.rules.setting.step;
            }
        }
        Ok(())
    }

    fn join(&mut self, who: u8, ended: u8) -> Result<(), Breach> {
        self.end(who, ended);
        self.give_up(who, About::Join);
        let join = self.replicas[who as usize].join(&self.rules, self.t);
        self.send(who, About::Join, join)
    }

    fn reserve(&mut self, who: u8) -> Result<(), Breach> {
        self.left.calls -= 1;
        let units = self.rules.setting.calls[self.left.calls as usize];
        let ask = self.replicas[who as usize].reserve(&self.rules, self.t, units);
        self.send(who, About::Reserve, ask)
    }

    fn sync(&mut self, who: u8, ended: u8) -> Result<(), Breach> {
        self.end(who, ended);
        self.give_up(who, About::Sync);
        let look = self.may_lose();
        let sync = self.replicas[who as usize].sync(&self.rules, self.t, look);
        self.send(who, About::Sync, sync)
    }

    fn leave(&mut self, who: u8) -> Result<(), Breach> {
        self.left.crashes -= 1;
        let replica = &self.replicas[who as usize];
        let bye = replica.books().map(|books| Command::Bye(replica.caller(books, self.t)));
        self.send(who, About::Bye, bye)?;
        self.replace(who);
        Ok(())
    }

    fn tick(&mut self) -> Result<(), Breach> {
        self.t += self.rules.setting.tick;
        let from = self.t - self.rules.setting.span();
        self.charges.retain(|charge| charge.until >= from); // no window of now or later meets the others
        if self.t >= BORN + self.rules.setting.faults_within {
            (self.left.flushes, self.left.failovers, self.left.steps, self.copy) = (0, 0, 0, None);
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
        if self.rules.setting.wire > 0 || self.slow == Slow::Command {
            self.slow = Slow::No;
            self.wire.push(letter);
            return Ok(());
        }
        self.deliver(letter)
    }

    /// A message comes; where all are prompt, its answer as well.
    fn deliver(&mut self, letter: Letter) -> Result<(), Breach> {
        let slow = std::mem::take(&mut self.slow);
        let before = self.wire.len();
        self.arrive(letter)?;
        if self.rules.setting.wire > 0 || slow == Slow::Answer || self.wire.len() <= before {
            return Ok(());
        }
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
        self.left.failovers -= 1;
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
