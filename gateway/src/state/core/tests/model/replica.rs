//! A replica as the model has it: what `Side` and `Ledger` do about one pool with one meter, as plain values that can be
//! copied and compared. It speaks in real commands and understands real replies; [`super::twin`] holds it to the
//! real ones.

use std::sync::Arc;

use super::setting::Rules;
use crate::state::core::mutant::{Mutant, on};
use crate::state::core::{
    Caller, Candidate, Command, Counters, Draw, Image, Incarnation, Join, Memory, Ms, PoolMemory, PoolReport,
    PoolView, Reply, Reserve, Reserved, Sync,
};

/// A set of grants, by number.
pub(super) type Grants = u16;

/// What the window held when it was last seen.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub image: Image,
    pub at: Ms,
    pub own: u64,
    pub held: u64,
    pub granted: u64,
    /// Nobody's knowledge, but the judge's: the grants that it includes.
    pub covers: Grants,
}

/// The books of one life.
#[derive(Clone, Debug)]
pub(super) struct Books {
    pub k: u64,
    pub epoch: u64,
    /// Whether a call was asked for.
    pub opened: bool,
    pub consumed: u64,
    pub returned: u64,
    pub posted: u64,
    pub seen: Option<Arc<Seen>>,
    /// The judge's: its grants that were used.
    pub own: Grants,
    /// What the last report said was posted; for a broken variant.
    pub said: u64,
    /// The most that messages said to be given back.
    pub said_back: u64,
}

/// A RESERVE that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub k: u64,
    pub epoch: u64,
    pub at: Ms,
    pub units: u64,
    /// The life has gone over to another data set meanwhile.
    pub void: bool,
}

/// A SYNC that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub k: u64,
    pub epoch: u64,
    pub returned: u64,
    pub posted: u64,
    pub look: bool,
    /// What had been said to be given back before, if nothing was said since.
    pub before: Option<u64>,
}

/// A call at its provider.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub k: u64,
    pub units: u64,
    pub grant: u8,
}

#[derive(Clone, Debug)]
pub(super) struct Replica {
    pub name: &'static str,
    pub last_k: u64,
    /// None before the first.
    pub life: Option<Books>,
    /// The data set that must be told of it before anything else; 0: any.
    pub to_tell: Option<u64>,
    pub roster: Arc<[Incarnation]>,
    pub roster_at: Ms,
    pub ack: Option<(Ms, Ms)>,
    pub joining: Option<Arc<Command>>,
    pub asking: Option<Ask>,
    pub syncing: Option<Told>,
    pub calls: Vec<Call>,
}

impl Replica {
    /// A process without a life.
    pub(super) fn new(name: &'static str, last_k: u64) -> Replica {
        Replica {
            name,
            last_k,
            life: None,
            to_tell: None,
            roster: Arc::new([]),
            roster_at: 0,
            ack: None,
            joining: None,
            asking: None,
            syncing: None,
            calls: Vec::new(),
        }
    }

    /// The current life's books, if the data set knows of it.
    pub(super) fn books(&self) -> Option<&Books> {
        self.life.as_ref().filter(|_| self.to_tell.is_none())
    }

    /// The number of the life that it would speak of in a JOIN.
    pub(super) fn next_life(&self) -> u64 {
        self.life.as_ref().map_or(self.last_k + 1, |life| life.k)
    }

    pub(super) fn heard_at(&self) -> Ms {
        self.ack.map_or(0, |(l, _)| l)
    }

    pub(super) fn inc(&self, k: u64) -> Incarnation {
        Incarnation { name: self.name.into(), k }
    }

    pub(super) fn caller(&self, books: &Books, now: Ms) -> Caller {
        let (l_ack, x) = self.ack.map_or((0, 0), |(l, at)| (l, now.saturating_sub(at)));
        Caller { epoch: books.epoch, inc: self.inc(books.k), l_ack, x }
    }

    fn saw(&mut self, epoch: u64, l: Ms, now: Ms) {
        if self.books().is_some_and(|books| books.epoch == epoch) && l > self.heard_at() {
            self.ack = Some((l, now));
        }
    }

    /// The JOIN of a life that is not known, or the HELLO of one that goes on in another data set.
    pub(super) fn join(&mut self, rules: &Rules, now: Ms) -> Option<Command> {
        if self.life.is_none() {
            self.begin();
        }
        let (life, epoch) = (self.life.as_mut()?, self.to_tell?);
        life.epoch = epoch;
        let (k, pools) = (life.k, life.memory(rules, now).into_iter().collect());
        if life.opened || life.seen.is_some() {
            life.said_back = life.said_back.max(life.returned);
            self.syncing.iter_mut().filter(|told| told.k == k).for_each(|told| told.before = None);
        }
        if let Some(ask) = self.asking.as_mut().filter(|ask| ask.k == k) {
            ask.void |= ask.epoch != epoch;
        }
        let age = now.saturating_sub(self.roster_at);
        let own = (epoch != 0).then(|| self.inc(k)); // it has no older lives
        let others = self.roster.iter().filter(|inc| inc.name != self.name).cloned();
        let memory = Memory { age, roster: others.chain(own).collect(), pools };
        let (d_head, d_end) = (rules.setting.d_head, rules.setting.d_end);
        let command = Command::Join(Join { inc: self.inc(k), d_head, d_end, epoch, memory, more: false });
        self.joining = Some(Arc::new(command.clone()));
        Some(command)
    }

    /// The next life: nothing counted yet, and what was seen.
    fn begin(&mut self) {
        self.last_k += 1;
        let before = self.life.take();
        let heir = |seen: Arc<Seen>| Arc::new(Seen { own: 0, held: 0, granted: 0, ..(*seen).clone() });
        let opened = before.as_ref().is_some_and(|life| life.opened);
        let seen = before.and_then(|life| life.seen).map(heir);
        self.life = Some(Books { opened, seen, ..Books::new(self.last_k) });
        self.to_tell = Some(0);
    }

    pub(super) fn joined(&mut self, reply: &Reply, now: Ms) {
        let Some(command) = self.joining.take() else { return };
        let Command::Join(join) = &*command else { return };
        match reply {
            Reply::Joined(joined) => {
                let told = self.to_tell == Some(join.epoch);
                let Some(life) = self.life.as_mut().filter(|life| life.k == join.inc.k && told) else {
                    return;
                };
                life.epoch = joined.epoch;
                (self.to_tell, self.ack) = (None, None);
                self.saw(joined.epoch, joined.l, now);
            }
            reply => self.refused(join.inc.k, reply),
        }
    }

    /// Asks for a call, if there is a life to ask in.
    pub(super) fn reserve(&mut self, rules: &Rules, now: Ms, units: u64) -> Option<Command> {
        let books = self.books()?;
        let caller = self.caller(books, now);
        self.asking = Some(Ask { k: books.k, epoch: books.epoch, at: now, units, void: false });
        self.life.iter_mut().for_each(|life| life.opened = true);
        Some(Command::Reserve(Arc::new(reserve(rules, caller, units))))
    }

    /// The answer to it: the question, if a call may now be sent.
    pub(super) fn reserved(&mut self, reply: &Reply, now: Ms) -> Option<Ask> {
        let ask = self.asking.take()?;
        match reply {
            Reply::Reserved(Reserved::Granted(granted)) => {
                if ask.void && !on(Mutant::OldEpochGrantUsed) {
                    return None;
                }
                self.of(ask.k).for_each(|books| books.consumed += ask.units);
                self.saw(ask.epoch, granted.l, now);
                return Some(ask);
            }
            Reply::Reserved(_) => {}
            reply => self.refused(ask.k, reply),
        }
        None
    }

    pub(super) fn sync(&mut self, rules: &Rules, now: Ms, look: bool) -> Option<Command> {
        let books = self.books()?;
        let caller = self.caller(books, now);
        let (k, epoch, returned, posted) = (books.k, books.epoch, books.returned, books.posted);
        let late = on(Mutant::ReturnedBeforePosted);
        let says = if late { books.said } else { posted };
        let key = rules.decl.key.clone();
        let report = PoolReport {
            key,
            returned: vec![returned],
            posted: vec![says],
            look,
            said: vec![],
            wants: vec![],
        };
        let reports = if books.opened { vec![report] } else { vec![] };
        let before = Some(books.said_back);
        self.life.iter_mut().for_each(|life| life.said = posted);
        self.life
            .iter_mut()
            .filter(|life| life.opened)
            .for_each(|life| life.said_back = before.max(Some(returned)).unwrap_or(0));
        self.syncing = Some(Told { k, epoch, returned, posted: says, look, before });
        Some(Command::Sync(Sync {
            caller,
            reports,
            rests: vec![],
            outcomes: vec![],
            telling: None,
            count: look,
        }))
    }

    /// The answer to it; `covers`: the grants that an image in it includes.
    pub(super) fn synced(&mut self, reply: &Reply, covers: Grants, now: Ms) {
        let Some(told) = self.syncing.take() else { return };
        let current = self.books().is_some_and(|books| books.k == told.k && books.epoch == told.epoch);
        match reply {
            Reply::Synced(synced) if current => {
                self.saw(told.epoch, synced.l, now);
                synced.pools.iter().for_each(|view| self.heard(view, told, covers, now));
                if told.look && !synced.learning {
                    (self.roster, self.roster_at) = (synced.live.clone().into(), now);
                }
            }
            reply => {
                if let (Reply::Epoch(_), Some(before)) = (reply, told.before) {
                    self.of(told.k).for_each(|books| books.said_back = before);
                }
                self.refused(told.k, reply);
            }
        }
    }

    fn heard(&mut self, view: &PoolView, told: Told, covers: Grants, now: Ms) {
        let granted = view.granted.first().copied().unwrap_or(0);
        let asking = self.asking.filter(|ask| ask.k == told.k);
        let awaited = if on(Mutant::BalanceTakenTwice) { 0 } else { asking.map_or(0, |ask| ask.units) };
        for books in self.of(told.k) {
            let balance = granted.saturating_sub(books.consumed + awaited);
            if balance > 0 && !on(Mutant::LostGrantKept) {
                books.consumed += balance;
                books.returned += balance;
            }
            if let Some(image) = &view.image {
                let held = granted.saturating_sub(told.returned);
                let seen = Seen { image: image.clone(), at: now, own: told.posted, held, granted, covers };
                books.seen = Some(Arc::new(seen));
            }
        }
    }

    /// The end of a call: everything back, all of it posted; or nothing, if it was not sent.
    pub(super) fn settle(&mut self, k: u64, units: u64, posted: u64) {
        let times = if on(Mutant::SettledTwice) { 2 } else { 1 };
        for books in self.of(k) {
            books.returned += units * times;
            books.posted += posted * times;
        }
    }

    /// The judge's: grants that its next JOIN tells of, by images and as its own.
    pub(super) fn knows(&self) -> (Grants, Grants) {
        let covers = |seen: &Option<Arc<Seen>>| seen.as_ref().map_or(0, |seen| seen.covers);
        let life = self.life.as_ref();
        (life.map_or(0, |life| covers(&life.seen)), life.map_or(0, |life| life.own))
    }

    /// The current books, if they are those of life `k`: nobody reads others any more.
    pub(super) fn of(&mut self, k: u64) -> impl Iterator<Item = &mut Books> {
        self.life.iter_mut().filter(move |life| life.k == k)
    }

    fn refused(&mut self, k: u64, reply: &Reply) {
        match reply {
            Reply::Gone(highest) => self.lost(k, *highest),
            Reply::Epoch(epoch) => {
                let moved = self.life.as_ref().is_some_and(|life| life.k == k && life.epoch != *epoch);
                if moved && self.to_tell != Some(0) {
                    self.to_tell = Some(*epoch);
                }
            }
            _ => {}
        }
    }

    fn lost(&mut self, k: u64, highest: u64) {
        self.last_k = self.last_k.max(highest);
        let Some(life) = self.life.as_mut().filter(|life| life.k == k) else { return };
        if self.to_tell == Some(0) {
            self.last_k += 1;
            life.k = self.last_k;
        } else {
            self.begin();
        }
    }
}

impl Books {
    fn new(k: u64) -> Books {
        let (consumed, returned, posted) = (0, 0, 0);
        Books {
            k,
            epoch: 0,
            opened: false,
            consumed,
            returned,
            posted,
            seen: None,
            own: 0,
            said: 0,
            said_back: 0,
        }
    }

    /// What is known of the pool; none if that is nothing.
    fn memory(&self, rules: &Rules, now: Ms) -> Option<PoolMemory> {
        let counters = Counters { granted: self.consumed, returned: self.returned, posted: self.posted };
        let counters = if counters == Counters::default() { vec![] } else { vec![counters] };
        let told = PoolMemory { decl: rules.decl.clone(), counters, ..PoolMemory::default() };
        let Some(seen) = &self.seen else { return Some(told).filter(|told| !told.counters.is_empty()) };
        Some(PoolMemory {
            age: now.saturating_sub(seen.at),
            seen: vec![seen.own],
            posted: seen.image.posted.clone(),
            others: seen.image.held.iter().map(|all| all.saturating_sub(seen.held)).collect(),
            kept: vec![seen.granted.saturating_sub(self.said_back)],
            window: seen.image.window.clone(),
            ..told
        })
    }
}

/// A RESERVE of one call.
pub(super) fn reserve(rules: &Rules, caller: Caller, units: u64) -> Reserve {
    let draw = Draw { pool: 0, amounts: [units].into_iter().collect() };
    let candidate =
        Candidate { tag: 1, tier: 0, threshold: 1_000_000, circuit: None, account: 0, draws: vec![draw] };
    let pools = vec![rules.decl.clone()];
    Reserve {
        caller,
        pools,
        common: vec![],
        candidates: vec![candidate],
        session: None,
        tell: Default::default(),
        luck: 0,
        most: crate::state::core::meter::WHOLE,
        turn: None,
    }
}
