//! A call is sent, its answer begins and ends: what is held is settled, and what it shows is learnt.

use std::sync::Arc;
use std::time::Duration;

use super::call::{Call, tenant};
use super::draws::normal;
use super::service::Us;
use super::tally::Served;
use super::world::World;
use crate::config::ModelId;
use crate::dialect::openai::answer::Usage;
use crate::queue::SCARCE;
use crate::route::behaviour::Answered;
use crate::route::predict::Size;
use crate::state::core::Granted;
use crate::state::ledger::{Drawn, Ledger};
use crate::state::{Actual, Reservation};

/// A call at a deployment.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) reservation: Reservation,
    pub(super) model: ModelId,
    pub(super) load: u64,
    pub(super) since: Us,
    pub(super) first: Option<Us>,
}

impl World {
    /// There was room: it is sent.
    pub(super) fn granted(
        &mut self,
        slot: usize,
        ledger: &Arc<Ledger>,
        granted: &Granted,
        drawn: Vec<Drawn>,
    ) {
        let (now, ms) = (self.instant(), self.ms());
        let Some(call) = self.calls[slot].as_mut() else { return };
        let Some(mut stay) = call.stay.take() else { return };
        let replica = &self.replicas[call.replica];
        let plenty = granted.share < SCARCE;
        if !plenty {
            replica.queues[stay.model.0].note_scarce(now);
        }
        if let Some(ticket) = stay.ticket.take() {
            self.waiting -= 1;
            ticket.served_at(plenty, now);
        }
        let reservation = Reservation::simulated(ledger, &replica.bell, &stay.wish, granted, drawn);
        let to = stay.targets[granted.index].0;
        let load = replica.standings[to].begin(ms);
        call.running = Some(Running { reservation, model: stay.model, load, since: self.now, first: None });
        let service = self.set.services[to];
        let chance = if service.spread > 0.0 { normal(&mut self.rng) } else { 0.0 };
        let times = service.times(call.coming.input, call.coming.output, chance);
        let (first, whole) = call.coming.took.unwrap_or(times);
        let first = call.coming.stream.then_some(first);
        self.send(to, slot, (first, whole));
    }

    /// Its first token has come: what its provider has charged by then is posted.
    pub(super) fn began(&mut self, slot: usize) {
        let now = self.now;
        let Some(call) = self.calls[slot].as_mut() else { return };
        if let Some(running) = call.running.as_mut() {
            running.first = Some(now);
            running.reservation.head();
        }
        let at = call.replica;
        self.ring(at);
    }

    /// It is over.
    pub(super) fn ended(&mut self, slot: usize, deployment: usize) {
        let (now, ms) = (self.now, self.ms());
        let Some(Call { coming, replica: at, running, .. }) = self.forget(slot) else { return };
        let Some(mut running) = running else { return };
        let usage = Usage { input: coming.input, output: coming.output, ..Usage::default() };
        running.reservation.head();
        running.reservation.settle(Actual::Used(usage));
        let since = |at: Us| Duration::from_micros(at - running.since);
        let replica = &mut self.replicas[at];
        let size = Size { input: coming.weighs, output: coming.output, load: running.load as f64 };
        let answered =
            Answered { first: running.first.map(since), whole: since(now), output: Some(coming.output) };
        replica.standings[deployment].answered(size, answered, ms);
        replica.standings[deployment].end();
        replica.learn(running.model.0, tenant(&coming), coming.output);
        let price = self.set.config.deployments[deployment].pricing.at(self.set.unix);
        let served = Served {
            waited: running.since - coming.at,
            took: now - coming.at,
            first: running.first.map(|first| first - coming.at),
            tokens: (coming.input, coming.output),
            cost: price.map(|price| price.about(&usage)),
        };
        let of = self.of(&coming);
        self.tally.served(of, deployment, &served);
        self.ring(at);
    }
}
