//! A replica of the world: what `client.rs` does, with the real books and reservations, in the world's time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::call::{Call, Ending, Fate, Point, ask};
use super::judge::Charge;
use super::plan::Plan;
use super::world::{About, Event, Process, World};
use crate::config::{Charge as Charging, MeterKind, Side};
use crate::state::core::mutant::{Mutant, on};
use crate::state::core::{
    Caller, Command, Draw, Granted, Incarnation, Join, Ms, Reply, Reserve, Reserved, Rest, Stage, Sync,
};
use crate::state::ledger::{Account, Ledger};
use crate::state::reservation::Part;
use crate::state::{Actual, Client, Deadlines, PoolInfo, Reservation};

/// Kept between an attempt's last moment and the end of its hold.
const MARGIN: Ms = 5;

pub(super) struct Replica {
    pub name: String,
    pub run: u32,
    pub up: bool,
    /// The number of its latest life.
    pub k: u64,
    joining: bool,
    deadlines: (Ms, Ms),
    pub infos: Vec<Arc<PoolInfo>>,
    client: Arc<Client>,
    pub ledger: Option<Arc<Ledger>>,
    /// Logical time of the newest reply, and when it came.
    pub ack: (Ms, Ms),
    syncing: Option<(u64, Vec<Arc<Account>>, Vec<Rest>)>,
    syncs: u64,
    flushing: bool,
    pub rests: Vec<Rest>,
    pub leaving: bool,
    pub stalled_until: Ms,
    pub muted_until: Ms,
    pub deaf_until: Ms,
    who: usize,
}

impl Replica {
    pub(super) fn new(who: usize, plan: &Plan) -> Replica {
        let deadlines = Deadlines { head: Duration::from_secs(1), end: Duration::from_secs(1) };
        Replica {
            name: format!("r{who}"),
            run: 0,
            up: false,
            k: 0,
            joining: false,
            deadlines: plan.deadlines(),
            infos: plan.pools(who),
            client: Client::new(format!("r{who}"), deadlines),
            ledger: None,
            ack: (0, 0),
            syncing: None,
            syncs: 0,
            flushing: false,
            rests: Vec::new(),
            leaving: false,
            stalled_until: 0,
            muted_until: 0,
            deaf_until: 0,
            who,
        }
    }

    pub(super) fn process(&self) -> Process {
        Process { who: self.who, run: self.run }
    }

    pub(super) fn caller(&self, t: Ms) -> Caller {
        let ledger = self.ledger.as_ref();
        Caller {
            epoch: ledger.map_or(0, |ledger| ledger.epoch),
            inc: ledger.map_or(Incarnation { name: self.name.clone(), k: 0 }, |ledger| ledger.inc.clone()),
            l_ack: self.ack.0,
            x: if self.ack.0 == 0 { 0 } else { t - self.ack.1 },
        }
    }

    fn saw(&mut self, l: Ms, t: Ms) {
        if l > self.ack.0 {
            self.ack = (l, t);
        }
    }

    /// The next process of this replica. Numbers of lives go on (they come from the time).
    pub(super) fn restarted(&self, plan: &Plan) -> Replica {
        let again = u64::from(on(Mutant::IncarnationReused) && self.k > 0);
        Replica { k: self.k - again, run: self.run + 1, up: true, ..Replica::new(self.who, plan) }
    }

    /// A JOIN, unless one is under way.
    pub(super) fn join(&mut self) -> Option<Command> {
        if self.joining || self.leaving {
            return None;
        }
        self.joining = true;
        self.k += 1;
        let inc = Incarnation { name: self.name.clone(), k: self.k };
        Some(Command::Join(Join { inc, d_head: self.deadlines.0, d_end: self.deadlines.1 }))
    }

    pub(super) fn joined(&mut self, reply: &Reply, t: Ms) {
        self.joining = false;
        match reply {
            Reply::Joined(joined) => {
                let inc = Incarnation { name: self.name.clone(), k: self.k };
                self.ledger = Some(Arc::new(Ledger::new(inc, joined.epoch)));
                self.ack = (0, 0);
                self.saw(joined.l, t);
            }
            Reply::Gone(highest) => self.k = self.k.max(*highest),
            _ => {}
        }
    }

    fn lost_life(&mut self, inc: &Incarnation, highest: u64) {
        self.k = self.k.max(highest);
        if self.ledger.as_ref().is_some_and(|ledger| ledger.inc == *inc) {
            self.ledger = None;
            self.syncing = None;
        }
    }

    /// A RESERVE that draws nothing and names every pool.
    pub(super) fn declaration(&self, plan: &Plan, t: Ms) -> Reserve {
        let infos = plan.pools(self.who);
        let nothing = |pool: usize| Draw { pool, amounts: infos[pool].kinds.iter().map(|_| 0).collect() };
        let candidate =
            crate::state::core::Candidate { tag: 9, tier: 0, threshold: 1_000_000, draws: vec![] };
        Reserve {
            caller: self.caller(t),
            pools: infos.iter().map(|info| info.decl.clone()).collect(),
            common: (0..infos.len()).map(nothing).collect(),
            candidates: vec![candidate],
            session: None,
        }
    }
}

/// A replica's doings.
impl World {
    fn live(&mut self, who: usize) -> Option<Arc<Ledger>> {
        let replica = &mut self.replicas[who];
        if replica.ledger.is_none() && replica.up {
            let process = replica.process();
            if let Some(join) = replica.join() {
                let k = replica.k;
                self.send(process, About::Join(k), join);
            }
        }
        self.replicas[who].ledger.clone()
    }

    pub(super) fn sync(&mut self, who: usize) {
        self.replicas[who].flushing = false;
        let replica = &self.replicas[who];
        if !replica.up || replica.syncing.is_some() || replica.stalled_until > self.t {
            return;
        }
        if replica.leaving && replica.ledger.is_none() {
            return self.left(who);
        }
        let Some(ledger) = self.live(who) else { return };
        let replica = &mut self.replicas[who];
        let rests = std::mem::take(&mut replica.rests);
        let (accounts, reports) = ledger.report();
        let sync = Sync { caller: replica.caller(self.t), reports, rests: rests.clone(), count: true };
        replica.syncs += 1;
        replica.syncing = Some((replica.syncs, accounts, rests));
        let (process, about) = (replica.process(), About::Sync(replica.syncs));
        self.send(process, about, Command::Sync(sync));
    }

    pub(super) fn begin_call(&mut self, who: usize, n: u64, times: u8) {
        let replica = &self.replicas[who];
        if !replica.up || replica.leaving || replica.stalled_until > self.t {
            return;
        }
        let Some(ledger) = self.live(who) else { return };
        let replica = &self.replicas[who];
        let mut fate = Fate::of(n, &self.plan);
        fate.insist = fate.insist.saturating_sub(times);
        let wish = Arc::new(ask(n, &fate, &replica.infos, replica.caller(self.t)));
        let (of, id) = (replica.process(), self.calls.len());
        self.calls.push(Call {
            of,
            n,
            fate,
            ask: wish.clone(),
            infos: replica.infos.clone(),
            asked: self.t,
            granted: 0,
            outstanding: Some(ledger.sending(wish.clone())),
            ledger,
            reservation: None,
            charges: Vec::new(),
            index: 0,
            headed: false,
            times,
        });
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

    pub(super) fn answer(&mut self, who: usize, about: About, reply: Reply) {
        match about {
            About::Join(k) if self.replicas[who].joining && self.replicas[who].k == k => {
                self.replicas[who].joined(&reply, self.t);
            }
            About::Reserve(call) => self.reserved(who, call, reply),
            About::Sync(n) => self.synced(who, n, reply),
            About::Bye => self.left(who),
            About::Join(_) | About::Lie => {}
        }
    }

    pub(super) fn give_up(&mut self, who: usize, about: About) {
        let replica = &mut self.replicas[who];
        match about {
            About::Join(k) if replica.joining && replica.k == k => replica.joining = false,
            About::Reserve(call) => drop(self.calls[call].outstanding.take()),
            About::Sync(n) if replica.syncing.as_ref().is_some_and(|(at, ..)| *at == n) => {
                if let (Some((_, accounts, rests)), Some(ledger)) = (replica.syncing.take(), &replica.ledger)
                {
                    ledger.unheard(&accounts);
                    replica.rests.extend(rests);
                }
                if replica.leaving {
                    self.left(who);
                }
            }
            About::Bye => self.left(who),
            About::Join(_) | About::Sync(_) | About::Lie => {}
        }
    }

    /// The process is over, whatever it still had under way.
    fn left(&mut self, who: usize) {
        if self.replicas[who].leaving {
            self.crash(who);
        }
    }

    fn synced(&mut self, who: usize, n: u64, reply: Reply) {
        let t = self.t;
        let replica = &mut self.replicas[who];
        if replica.syncing.as_ref().is_none_or(|(at, ..)| *at != n) {
            return;
        }
        let (Some((_, accounts, rests)), Some(ledger)) = (replica.syncing.take(), replica.ledger.clone())
        else {
            return;
        };
        match reply {
            Reply::Synced(synced) => {
                replica.saw(synced.l, t);
                ledger.heard(&accounts, synced.pools);
            }
            Reply::Gone(k) => {
                replica.rests.extend(rests);
                replica.lost_life(&ledger.inc, k);
            }
            _ => replica.lost_life(&ledger.inc, 0),
        }
        if replica.leaving {
            let (process, caller) = (replica.process(), replica.caller(t));
            self.send(process, About::Bye, Command::Bye(caller));
        }
    }

    fn reserved(&mut self, who: usize, id: usize, reply: Reply) {
        if self.calls[id].outstanding.is_none() || self.may_die(id, Point::Answered) {
            return;
        }
        let Some(outstanding) = self.calls[id].outstanding.take() else { return };
        match reply {
            Reply::Reserved(Reserved::Granted(granted)) => {
                self.replicas[who].saw(granted.l, self.t);
                let drawn = outstanding.granted(granted.index, granted.share);
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
            Reply::Gone(k) => self.replicas[who].lost_life(&self.calls[id].ask.caller.inc, k),
            _ => self.replicas[who].lost_life(&self.calls[id].ask.caller.inc, 0),
        }
    }

    /// Makes the reservation, as the client does.
    fn book(
        &mut self,
        id: usize,
        granted: &Granted,
        drawn: Vec<(usize, Arc<Account>, crate::state::core::Amounts)>,
    ) {
        let call = &mut self.calls[id];
        let replica = &self.replicas[call.of.who];
        let part = |(pool, account, amounts): (usize, Arc<Account>, _)| Part {
            info: call.infos[pool].clone(),
            account,
            amounts,
        };
        let now = Instant::now(); // the world keeps its own deadlines
        call.index = granted.index;
        call.reservation = Some(Reservation {
            index: granted.index,
            session: granted.session,
            share: granted.share,
            head_by: now,
            end_by: now,
            parts: drawn.into_iter().map(part).collect(),
            books: Some((call.ledger.clone(), replica.client.clone())),
            head_settled: false,
        });
    }

    /// Sends the call to its provider, if there is time, and notes what that will charge.
    fn dispatch(&mut self, id: usize) {
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
        self.schedule(head, Event::Head(id));
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
            reservation.settle(Actual::Used { input, output });
            self.watch_excess(id);
        } else {
            reservation.settle(Actual::Partial { input, delivered: output });
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
                let account = ledger.account(&info.decl.key, info.kinds.len());
                let target = account.report().posted[*meter];
                self.unheard.push((ledger.inc.clone(), *pool, *meter, target, *at));
            }
        }
    }

    /// Something was given back: a SYNC goes out soon.
    fn settled(&mut self, id: usize) {
        let who = self.calls[id].of.who;
        let replica = &mut self.replicas[who];
        if replica.up && !replica.flushing && id % 3 > 0 {
            replica.flushing = true;
            let process = replica.process();
            self.schedule(self.t + 3, Event::Flush(process));
        }
    }
}
