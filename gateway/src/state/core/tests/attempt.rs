//! Calls of the world, from RESERVE to settlement, with their providers.

use std::sync::Arc;
use std::time::Instant;

use super::call::{Call, Ending, Fate, Point, ask};
use super::judge::Charge;
use super::world::{About, Event, World};
use crate::config::{Charge as Charging, MeterKind, Side};
use crate::dialect::openai::answer::Usage;
use crate::state::core::mutant::{Mutant, on};
use crate::state::core::{Command, Granted, Ms, Reply, Reserved, Stage};
use crate::state::ledger::Drawn;
use crate::state::reservation::Part;
use crate::state::side::Borrowed;
use crate::state::{Actual, Reservation};

/// Kept between an attempt's last moment and the end of its hold.
const MARGIN: Ms = 5;

impl World {
    pub(super) fn begin_call(&mut self, who: usize, n: u64, times: u8) {
        let replica = &self.replicas[who];
        if !replica.up || replica.leaving || replica.stalled_until > self.t {
            return;
        }
        if self.begin_alone(who, n, times) {
            return;
        }
        let Some(ledger) = self.live(who) else { return };
        let replica = &self.replicas[who];
        let mut fate = Fate::of(n, &self.plan);
        fate.insist = fate.insist.saturating_sub(times);
        let wish = Arc::new(ask(n, &fate, &replica.infos, replica.caller(self.t)));
        let (of, id, t) = (replica.process(), self.calls.len(), self.t);
        let call = Call {
            of,
            n,
            fate,
            ask: wish.clone(),
            infos: replica.infos.clone(),
            asked: t,
            granted: 0,
            grants: Vec::new(),
            outstanding: None,
            ledger: ledger.clone(),
            reservation: None,
            charges: Vec::new(),
            owed: Vec::new(),
            index: 0,
            headed: false,
            times,
        };
        let lacks = match replica.side.borrow(&wish, None, t) {
            Borrowed::Granted(_, granted, drawn) => {
                let heard = t - replica.caller(t).x; // what it was lent was granted by then
                self.calls.push(Call { granted: heard, ..call });
                self.tally.borrowed += 1;
                self.book(id, &granted, drawn);
                if !self.may_die(id, Point::Booked) {
                    self.dispatch(id);
                }
                return;
            }
            Borrowed::Lacks => true,
            Borrowed::Asks => false,
        };
        if lacks {
            ledger.follow(&wish, None, t);
        }
        let outstanding = ledger.sending(wish.clone()).lacking(lacks);
        self.calls.push(Call { outstanding: Some(outstanding), ..call });
        self.send(of, About::Reserve(id), Command::Reserve(wish));
        self.may_die(id, Point::Asked);
    }

    fn may_die(&mut self, call: usize, point: Point) -> bool {
        let dies = self.calls[call].fate.deadly == Some(point) && self.end.is_none();
        if dies {
            self.crash(self.calls[call].of.who);
        }
        dies
    }

    pub(super) fn reserved(&mut self, who: usize, id: usize, reply: Reply) {
        if self.calls[id].outstanding.is_none() || self.may_die(id, Point::Answered) {
            return;
        }
        let Some(outstanding) = self.calls[id].outstanding.take() else { return };
        match reply {
            Reply::Reserved(Reserved::Granted(granted)) => {
                let epoch = self.calls[id].ask.caller.epoch;
                let Some(drawn) = outstanding.granted(granted.index, granted.share) else { return };
                self.replicas[who].side.saw(epoch, granted.l, self.t);
                self.book(id, &granted, drawn);
                if !self.may_die(id, Point::Booked) {
                    self.dispatch(id);
                }
            }
            Reply::Reserved(Reserved::Denied(denied)) => {
                outstanding.refused();
                let call = &self.calls[id];
                if call.fate.insist > 0 && self.end.is_none() {
                    let again = Event::Again(call.of, call.n, call.times + 1);
                    self.schedule(self.t + denied.retry_in, again);
                }
            }
            Reply::Reserved(Reserved::TooBig { .. }) => outstanding.refused(),
            reply => {
                outstanding.refused();
                self.replicas[who].side.refused(&self.calls[id].ask.caller.inc, &reply, self.t);
            }
        }
    }

    /// Makes the reservation, as the client does.
    pub(super) fn book(&mut self, id: usize, granted: &Granted, drawn: Vec<Drawn>) {
        let call = &mut self.calls[id];
        let replica = &self.replicas[call.of.who];
        let part = |(pool, books, amounts): Drawn| Part {
            info: call.infos[pool].clone(),
            books,
            amounts,
            used: Default::default(),
        };
        let now = Instant::now(); // the world keeps its own deadlines
        call.index = granted.index;
        call.granted = call.grants.iter().find(|(l, _)| *l == granted.l).map_or(call.granted, |(_, t)| *t);
        call.reservation = Some(Reservation {
            price: None,
            permit: 0,
            leased: false,
            index: granted.index,
            session: granted.session,
            share: granted.share,
            send_by: 0,
            granted_at: granted.l,
            head_by: now,
            end_by: now,
            parts: drawn.into_iter().map(part).collect(),
            home: Some((call.ledger.attempt(), replica.bell.clone())),
            head_settled: false,
        });
    }

    /// Sends the call to its provider, if there is time, and notes what that will charge.
    pub(super) fn dispatch(&mut self, id: usize) {
        let (d_head, d_end) = self.plan.deadlines();
        let t = self.t;
        let call = &mut self.calls[id];
        let from = if on(Mutant::DeadlineFromReceipt) { t } else { call.asked };
        let late = t >= from + d_head - MARGIN && !on(Mutant::SentAfterDeadline);
        if late || call.fate.ending == Ending::NotSent {
            if let Some(reservation) = call.reservation.take() {
                reservation.cancel();
            }
            self.settled(id);
            return;
        }
        let (head_by, end_by) = (from + d_head, from + d_end);
        let head = t + call.fate.head_after;
        let end = if call.fate.ending == Ending::Error { head } else { head + call.fate.end_after };
        self.charge(id, head.min(head_by.max(t)), end.min(end_by.max(t)));
        self.tally.sent += 1;
        if on(Mutant::PostedBeforeHead)
            && let Some(reservation) = &mut self.calls[id].reservation
        {
            reservation.head();
        }
        if self.knock(id) {
            self.schedule(head, Event::Head(id));
        }
        self.schedule(head_by.max(t + MARGIN) - MARGIN, Event::HeadBy(id));
        self.schedule(end_by.max(t + MARGIN) - MARGIN, Event::EndBy(id));
        self.may_die(id, Point::Sent);
    }

    /// What the provider charges: on head meters until `head`, on the others until `end`.
    fn charge(&mut self, id: usize, head: Ms, end: Ms) {
        let call = &mut self.calls[id];
        let draws = call.ask.common.iter().chain(&call.ask.candidates[call.index].draws);
        for draw in draws.cloned().collect::<Vec<_>>() {
            let info = &call.infos[draw.pool];
            for (meter, held) in draw.amounts.iter().enumerate() {
                let amount = match (info.kinds[meter], info.side) {
                    (MeterKind::Requests | MeterKind::Concurrency, _) => 1,
                    (_, Side::Provider(Charging::AdmissionMax)) => {
                        call.fate.actual().max(call.fate.estimate())
                    }
                    _ => call.fate.actual(),
                };
                let shape = info.decl.meters[meter].shape;
                let hi = match (shape.stage, shape.buckets) {
                    (Stage::Head, _) => head,
                    (Stage::End, 0) => end.max(self.t + 1) - 1,
                    (Stage::End, _) => end,
                };
                let charge = Charge {
                    lo: self.t,
                    hi,
                    amount,
                    excess: amount.saturating_sub(*held),
                    call: id,
                    granted: call.granted,
                    known: None,
                };
                let charges = self.judge.charges.entry((draw.pool, meter)).or_default();
                call.charges.push((draw.pool, meter, charges.len()));
                charges.push(charge);
            }
        }
    }

    pub(super) fn head(&mut self, id: usize) {
        if self.calls[id].reservation.is_none() || self.may_die(id, Point::AtHead) {
            return;
        }
        let call = &mut self.calls[id];
        if call.fate.ending == Ending::Error {
            call.reservation = None;
            self.settled(id);
            return;
        }
        call.headed = true;
        let end = self.t + call.fate.end_after;
        if let Some(reservation) = &mut call.reservation {
            reservation.head();
        }
        self.schedule(end, Event::End(id));
        self.settled(id);
        self.may_die(id, Point::HeadPosted);
    }

    pub(super) fn end(&mut self, id: usize) {
        if self.calls[id].reservation.is_none() || self.may_die(id, Point::AtEnd) {
            return;
        }
        let call = &mut self.calls[id];
        let Some(reservation) = call.reservation.take() else { return };
        let (input, output) = (call.fate.input, call.fate.output);
        if call.fate.ending == Ending::Told {
            reservation.settle(Actual::Used(Usage { input, output, ..Usage::default() }));
            self.watch_excess(id);
        } else {
            reservation.settle(Actual::Partial(Usage { input, output, ..Usage::default() }));
        }
        self.settled(id);
        self.may_die(id, Point::Settled);
    }

    pub(super) fn head_by(&mut self, id: usize) {
        if !self.calls[id].headed {
            self.kill(id);
        }
    }

    pub(super) fn end_by(&mut self, id: usize) {
        self.kill(id);
    }

    /// Gives a call up: the connection is closed, and the provider charges nothing after that.
    fn kill(&mut self, id: usize) {
        let Some(reservation) = self.calls[id].reservation.take() else { return };
        if on(Mutant::ReleasedAfterBytes) {
            reservation.cancel()
        } else {
            drop(reservation)
        }
        for (pool, meter, at) in &self.calls[id].charges {
            if let Some(charges) = self.judge.charges.get_mut(&(*pool, *meter)) {
                charges[*at].hi = charges[*at].hi.min(self.t);
            }
        }
        self.hung_up(id);
        self.settled(id);
    }

    /// Remembers which counter will tell the state of a call's excess.
    fn watch_excess(&mut self, id: usize) {
        let call = &self.calls[id];
        let ledger = &call.ledger; // if that life is over nobody will hear of it
        for (pool, meter, at) in &call.charges {
            let info = &call.infos[*pool];
            let excess = self.judge.charges.get(&(*pool, *meter)).map_or(0, |charges| charges[*at].excess);
            if excess > 0 {
                let books = ledger.pool(&info.decl);
                let target = books.report(false, Vec::new()).posted[*meter];
                self.unheard.push((ledger.inc(), *pool, *meter, target, *at));
            }
        }
    }

    /// Something was given back: a SYNC goes out soon.
    fn settled(&mut self, id: usize) {
        let who = self.calls[id].of.who;
        let replica = &mut self.replicas[who];
        if replica.up && !replica.flushing && !id.is_multiple_of(3) {
            replica.flushing = true;
            let process = replica.process();
            self.schedule(self.t + 3, Event::Flush(process));
        }
    }
}
