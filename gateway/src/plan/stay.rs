//! A call asks for room at a model, and waits for it where nothing else is left, as `pipeline/room.rs` has it; what that does in tasks
//! that wait is done here in steps.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::call::{expected, who};
use super::service::Us;
use super::tally::Why;
use super::world::World;
use crate::auth::Who;
use crate::config::{DeploymentId, ModelId};
use crate::queue::{Asking, Ended, Flow, Refusal, Ticket};
use crate::state::Wish;
use crate::state::core::{Command, Denied, Reply, Reserved};
use crate::state::ledger::Ledger;
use crate::state::side::Borrowed;

/// A call that asks for room, or waits to.
#[derive(Debug)]
pub(super) struct Stay {
    pub(super) model: ModelId,
    pub(super) wish: Wish,
    pub(super) targets: Vec<DeploymentId>, // in the order of the wish's candidates
    pub(super) flow: Flow,
    pub(super) until: Instant,
    pub(super) may_wait: bool,
    pub(super) ticket: Option<Ticket>,
    pub(super) asking: Asking,
    pub(super) wait: u32, // which one, so that the end of an earlier one says nothing
    pub(super) has_asked: bool,
}

impl World {
    /// Asks for room, behind those of its flow that wait for it.
    pub(super) fn begin(&mut self, slot: usize, id: ModelId, targets: Vec<DeploymentId>, wish: Wish) {
        let (config, now) = (self.set.config.clone(), self.instant());
        let Some(call) = self.calls[slot].as_mut() else { return };
        let model = &config.models[id.0];
        let so_far = Duration::from_micros(self.now - call.coming.at);
        let stay = Stay {
            model: id,
            flow: flow(&who(&config, &call.coming), &wish),
            wish,
            targets,
            until: now + model.queue.wait.min(model.total.saturating_sub(so_far)),
            may_wait: model.queue.max > 0 && !call.may_fall_back(&config),
            ticket: None,
            asking: Asking::default(),
            has_asked: false,
            wait: 0,
        };
        let is_behind = stay.may_wait && self.replicas[call.replica].queues[id.0].holds(&stay.flow);
        call.stay = Some(stay);
        if !is_behind {
            return self.ask(slot);
        }
        match self.enter(slot) {
            Ok(()) => self.wait(slot, None),
            Err(_) => self.denied(slot, Why::Queue, None),
        }
    }

    /// Takes a place in the queue.
    fn enter(&mut self, slot: usize) -> Result<(), Refusal> {
        let (now, list, config) = (self.instant(), self.called.clone(), self.set.config.clone());
        let Some(call) = self.calls[slot].as_mut() else { return Ok(()) };
        let queues = &self.replicas[call.replica].queues;
        let Some(stay) = call.stay.as_mut() else { return Ok(()) };
        let bounds = config.models[stay.model.0].queue;
        let entered = queues[stay.model.0].enter_listed(&stay.flow, bounds, (now, stay.until), (&list, slot));
        stay.ticket = Some(entered?);
        self.waiting += 1;
        Ok(())
    }

    /// Waits to be called up, until its time is over; with a time to ask `again`, until that at most.
    fn wait(&mut self, slot: usize, again: Option<Instant>) {
        let now = self.instant();
        let Some(call) = self.calls[slot].as_mut() else { return };
        let Some(stay) = call.stay.as_mut() else { return };
        stay.wait += 1;
        let until = again.unwrap_or(stay.until).min(stay.until);
        let (number, wait) = (call.number, stay.wait);
        let at = self.now + until.saturating_duration_since(now).as_micros() as Us;
        self.wake(at, (slot, number, wait));
    }

    /// The end of a wait that nobody ended before.
    pub(super) fn again(&mut self, slot: usize, number: u64, wait: u32) {
        let call = self.calls[slot].as_ref().filter(|call| call.number == number);
        if call.and_then(|call| call.stay.as_ref()).is_some_and(|stay| stay.wait == wait) {
            self.look_at_turn(slot);
        }
    }

    /// Those that were called up see why.
    pub(super) fn call_up(&mut self) {
        loop {
            let called = std::mem::take(&mut *self.called.lock());
            if called.is_empty() {
                return;
            }
            called.into_iter().for_each(|slot| self.look_at_turn(slot));
        }
    }

    /// A call that waits asks if it may, gives up if its time is over, and waits on if neither.
    fn look_at_turn(&mut self, slot: usize) {
        let now = self.instant();
        let Some(stay) = self.calls[slot].as_ref().and_then(|call| call.stay.as_ref()) else { return };
        let Some(ticket) = &stay.ticket else { return };
        match ticket.look() {
            Some(Ended::Out) => self.denied(slot, Why::Queue, None),
            _ if now >= stay.until => {
                let why = if stay.has_asked { Why::Room } else { Why::Queue };
                self.denied(slot, why, None);
            }
            Some(_) => self.ask(slot),
            None => self.wait(slot, None),
        }
    }

    /// Asks for room, on what its replica was lent or the state.
    fn ask(&mut self, slot: usize) {
        let now = self.ms();
        self.say_whose(slot);
        let Some(call) = self.calls[slot].as_mut() else { return };
        let side = &self.replicas[call.replica].side;
        let Some(stay) = call.stay.as_mut() else { return };
        let lacks = match side.borrow(&stay.wish.ask, None, now) {
            Borrowed::Granted(ledger, granted, drawn) => {
                self.tally.messages[1] += 1;
                return self.granted(slot, &ledger, &granted, drawn);
            }
            Borrowed::Lacks => true,
            Borrowed::Asks => false,
        };
        let Some(ledger) = side.ledger().cloned() else { return self.denied(slot, Why::Room, None) };
        Arc::make_mut(&mut stay.wish.ask).caller = side.caller(&ledger, now);
        if lacks {
            ledger.follow(&stay.wish.ask, None, now);
        }
        let outstanding = ledger.sending(stay.wish.ask.clone()).lacking(lacks);
        self.tally.messages[0] += 1;
        let reply = self.state.step(&Command::Reserve(stay.wish.ask.clone()), now);
        let Reply::Reserved(Reserved::Granted(granted)) = reply else {
            outstanding.refused();
            return match reply {
                Reply::Reserved(Reserved::Denied(denied)) => {
                    self.give_back(slot, &ledger, &denied);
                    self.in_vain(slot, &denied);
                }
                Reply::Reserved(Reserved::TooBig { pool, .. }) => self.denied(slot, Why::TooBig, Some(pool)),
                _ => self.denied(slot, Why::Room, None),
            };
        };
        match outstanding.granted(granted.index, granted.share) {
            Some(drawn) => self.granted(slot, &ledger, &granted, drawn),
            None => self.denied(slot, Why::Room, None),
        }
    }

    /// What of the pool that had no room lies idle at the replica is given back, and that is told soon.
    fn give_back(&mut self, slot: usize, ledger: &Ledger, denied: &Denied) {
        let Some(call) = self.calls[slot].as_ref() else { return };
        let Some(stay) = call.stay.as_ref().filter(|_| !denied.open) else { return };
        let at = call.replica;
        if ledger.ran_full(&stay.wish.ask.pools[denied.pool]) {
            self.replicas[at].bell.ring_loud();
            self.ring(at);
        }
    }

    /// Where room is scarce, the state is told whose the call is.
    fn say_whose(&mut self, slot: usize) {
        let now = self.instant();
        let Some(call) = self.calls[slot].as_mut() else { return };
        let replica = &self.replicas[call.replica];
        let Some(stay) = call.stay.as_mut() else { return };
        let competes = stay.ticket.is_some() || replica.queues[stay.model.0].competes(now);
        if !competes || self.set.config.models[stay.model.0].queue.max == 0 {
            return;
        }
        let more = stay.ticket.as_ref().is_some_and(Ticket::has_more_behind);
        let tokens = call.coming.weighs.saturating_add(expected(replica, stay.model, &call.coming));
        let turn = stay.flow.turn(&self.model_names[stay.model.0], tokens, stay.may_wait, more);
        Arc::make_mut(&mut stay.wish.ask).turn = Some(turn);
    }

    /// There was no room: waits to ask again, if it may and that is of use.
    fn in_vain(&mut self, slot: usize, denied: &Denied) {
        let now = self.instant();
        let Some(call) = self.calls[slot].as_mut() else { return };
        let replica = &mut self.replicas[call.replica];
        let Some(stay) = call.stay.as_mut() else { return };
        let patience = stay.asking.again_in(denied);
        stay.has_asked = true;
        let room_at = now + Duration::from_millis(denied.retry_in.max(1));
        if denied.may_be_waited_for() {
            replica.queues[stay.model.0].note_scarce(now);
            let pool = stay.wish.infos.get(denied.pool).and_then(|info| self.pool_of.get(&info.name));
            replica.scarce[stay.model.0] = pool.copied();
        }
        let own = !denied.may_be_waited_for();
        if own || !stay.may_wait || room_at >= stay.until {
            return self.denied(slot, if own { Why::Own } else { Why::Room }, Some(denied.pool));
        }
        if stay.ticket.is_none() && self.enter(slot).is_err() {
            return self.denied(slot, Why::Queue, Some(denied.pool));
        }
        let Some(stay) = self.calls[slot].as_ref().and_then(|call| call.stay.as_ref()) else { return };
        match stay.ticket.as_ref().and_then(|ticket| ticket.told(room_at)) {
            Some(Ended::Ours) => self.wait(slot, Some(now + Duration::from_millis(patience))),
            Some(Ended::Out) => self.denied(slot, Why::Queue, None),
            Some(Ended::Over) | None => self.wait(slot, None),
        }
    }

    /// This model does not serve it: the next one may. `pool`: the one that stands in the way, by its place in the request.
    pub(super) fn denied(&mut self, slot: usize, why: Why, pool: Option<usize>) {
        let config = self.set.config.clone();
        let Some(call) = self.calls[slot].as_mut() else { return };
        let Some(stay) = call.stay.take() else { return };
        self.waiting -= u64::from(stay.ticket.is_some());
        let name = pool.and_then(|at| stay.wish.infos.get(at)).map(|info| &info.name);
        let pool = name.and_then(|name| self.pool_of.get(name)).copied();
        let replica = &self.replicas[call.replica];
        // A queue is full because of the pool that had no room last.
        let pool = pool.or(replica.scarce[stay.model.0].filter(|_| why.is_room()));
        if why.is_room() {
            let output = call.coming.max_tokens.unwrap_or(call.coming.output);
            for target in &stay.targets {
                replica.standings[target.0].missed(call.coming.weighs, output);
                call.could.push(target.0);
            }
        }
        call.refused.get_or_insert((why, pool)); // what stood in the way of the model asked for
        if why == Why::Own {
            call.models.truncate(call.begun); // another model would draw on the same
        } else {
            call.further(&config.models[call.models[0].0].fallbacks, &config);
        }
        self.next_model(slot);
    }
}

/// Behind whom a call waits.
fn flow(who: &Who<'_>, wish: &Wish) -> Flow {
    Flow {
        set: wish.ask.candidates.iter().fold(0u64, |set, candidate| set.wrapping_add(candidate.tag)),
        tenant: who.name(),
        rank: who.priority().rank(),
        weight: who.tenant.map_or(1.0, |tenant| tenant.weight),
    }
}
