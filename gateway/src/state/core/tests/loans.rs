//! Worlds whose replicas are lent room, and what a loan is, by hand.

use std::sync::Arc;

use super::call::{Fate, ask};
use super::judge::{Breach, breach};
use super::plan::Plan;
use super::world::{Tally, World};
use crate::state::Deadlines;
use crate::state::core::{
    Caller, Candidate, Command, Declared, Draw, Incarnation, Join, Mode, Ms, PoolDecl, PoolReport, Reply,
    Reserve, Reserved, Shape, Stage, State, Sync, Tell, Want,
};
use crate::state::lease::POLICY;
use crate::state::ledger::Drawn;
use crate::state::side::{Borrowed, Side};

pub(super) const BORN: Ms = 1_000_000;

pub(super) fn window(cap: u64) -> PoolDecl {
    let declared = Declared { shape: Shape::window(60_000, Stage::Head), cap, pace: 0 };
    PoolDecl { key: "w".into(), meters: [declared].into(), slow_start: None }
}

/// The data set, and replicas that ask it by hand.
struct Hands {
    state: State,
    decl: PoolDecl,
}

impl Hands {
    fn new(cap: u64, replicas: usize) -> Hands {
        let mut hands = Hands { state: State::new(1, BORN), decl: window(cap) };
        for who in 0..replicas {
            let inc = hands.caller(who).inc;
            let join = Join { inc, d_head: 2_000, d_end: 600_000, ..Join::default() };
            hands.state.step(&Command::Join(join), BORN);
        }
        hands
    }

    fn caller(&self, who: usize) -> Caller {
        Caller { epoch: 1, inc: Incarnation { name: format!("r{who}"), k: 1 }, l_ack: self.state.now(), x: 0 }
    }

    fn draws(&mut self, who: usize, amount: u64) -> bool {
        let draws = vec![Draw { pool: 0, amounts: [amount].into_iter().collect() }];
        let candidate = Candidate { tag: 1, tier: 0, threshold: 1_000_000, circuit: None, account: 0, draws };
        let ask = Reserve {
            caller: self.caller(who),
            pools: vec![self.decl.clone()],
            common: vec![],
            candidates: vec![candidate],
            session: None,
            tell: Tell::default(),
            luck: 0,
            most: crate::state::core::meter::WHOLE,
            turn: None,
        };
        let now = self.state.now();
        matches!(self.state.step(&Command::Reserve(ask.into()), now), Reply::Reserved(Reserved::Granted(_)))
    }

    /// Wants so much; what was ever granted then.
    fn wants(&mut self, who: usize, level: u64, cap: u64, count: bool) -> u64 {
        let report = PoolReport {
            key: self.decl.key.clone(),
            returned: vec![0],
            posted: vec![0],
            look: false,
            said: vec![],
            wants: vec![Want { level, cap }],
        };
        let (caller, now) = (self.caller(who), self.state.now());
        let sync =
            Sync { caller, reports: vec![report], rests: vec![], outcomes: vec![], telling: None, count };
        let Reply::Synced(synced) = self.state.step(&Command::Sync(sync), now) else { panic!("not synced") };
        synced.pools[0].granted[0]
    }
}

/// A report that comes twice, or in which nothing new is wanted, lends nothing more.
pub(super) fn a_loan_is_made_once() -> Result<(), Breach> {
    let mut hands = Hands::new(10_000, 1);
    hands.draws(0, 1);
    let levels: Vec<u64> = (0..3).map(|_| hands.wants(0, 100, 10_000, true)).collect();
    if levels == [100; 3] { Ok(()) } else { Err(breach("a loan is made once", format!("{levels:?}"))) }
}

/// Of what is left below 95 % half is lent with a report of each, and calls have the rest.
pub(super) fn loans_leave_room() -> Result<(), Breach> {
    let mut hands = Hands::new(1_000, 2);
    assert!(hands.draws(0, 1) && hands.draws(1, 1));
    let mut ever = [1, 1];
    for _ in 0..60 {
        for (who, ever) in ever.iter_mut().enumerate() {
            *ever = hands.wants(who, 1_000, 1_000, true);
        }
    }
    let held = ever.iter().sum::<u64>();
    let left = (0..200).filter(|_| hands.draws(0, 1)).count() as u64;
    let sound = (940..=950).contains(&held) && held + left == 1_000;
    if sound { Ok(()) } else { Err(breach("loans leave room", format!("{held} held, {left} left"))) }
}

#[test]
fn what_is_wanted_is_lent_up_to_a_part_of_what_is_left() {
    a_loan_is_made_once().unwrap();
    loans_leave_room().unwrap();
    let mut hands = Hands::new(1_000, 2);
    hands.draws(0, 1);
    assert_eq!(
        hands.wants(0, 900, 1_000, true),
        239,
        "949 are left below 95 %, a quarter of them for one of two"
    );
    assert_eq!(hands.wants(0, 900, 1_000, false), 239, "with what is told in between nothing is lent");
    assert_eq!(hands.wants(1, 900, 1_000, true), 0, "who never drew on it has no books there");
    hands.draws(1, 1);
    assert_eq!(hands.wants(1, 900, 100, true), 1, "the lower limit counts, and is used up");
}

/// A replica that does as [`crate::state::client`] does: it says what is due, and draws on loans or asks.
pub(super) struct Hand {
    pub side: Side,
    pub decl: PoolDecl,
}

impl Hand {
    pub(super) fn new(name: &str, decl: PoolDecl) -> Hand {
        let deadlines = Deadlines { head: 2_000, end: 60_000 };
        Hand { side: Side::new(name.into(), deadlines, 0, 0, BORN).borrowing(POLICY), decl }
    }

    pub(super) fn sync(&mut self, state: &mut State, now: Ms) {
        while let Some(join) = self.side.due(now) {
            let reply = state.step(&Command::Join(join.clone()), now);
            self.side.joined(&join, &reply, now);
        }
        let Some((sync, told)) = self.side.sync(now, true) else { return };
        let reply = state.step(&Command::Sync(sync), now);
        self.side.synced(told, reply, now);
    }

    pub(super) fn wish(&self) -> Reserve {
        let plan = Plan { knobs: Default::default(), ops: Vec::new() };
        let nobody = Caller { epoch: 0, inc: Incarnation { name: String::new(), k: 0 }, l_ack: 0, x: 0 };
        let mut wish = ask(7, &Fate::of(7, &plan), &plan.pools(0), nobody);
        let draws = vec![Draw { pool: 0, amounts: [1].into_iter().collect() }];
        let candidate = Candidate { tag: 1, tier: 0, threshold: 1_000_000, circuit: None, account: 0, draws };
        (wish.pools, wish.common, wish.candidates) = (vec![self.decl.clone()], vec![], vec![candidate]);
        wish.session = None;
        wish
    }

    /// Asks the state; for want of loans, or not.
    fn asks(&mut self, state: &mut State, wish: Reserve, lacks: bool, now: Ms) -> Option<Vec<Drawn>> {
        let ledger = self.side.ledger()?.clone();
        let ask = Arc::new(Reserve { caller: self.side.caller(&ledger, now), ..wish });
        if lacks {
            ledger.follow(&ask, None, now);
        }
        let outstanding = ledger.sending(ask.clone()).lacking(lacks);
        match state.step(&Command::Reserve(ask), now) {
            Reply::Reserved(Reserved::Granted(granted)) => outstanding.granted(granted.index, granted.share),
            _ => {
                outstanding.refused();
                None
            }
        }
    }

    fn borrows(&self, now: Ms) -> Option<Vec<Drawn>> {
        match self.side.borrow(&self.wish(), None, now) {
            Borrowed::Granted(_, _, drawn) => Some(drawn),
            Borrowed::Lacks | Borrowed::Asks => None,
        }
    }

    /// A call, on loans if it can be; whether it asked, which candidate it got, and what it drew.
    pub(super) fn calls(
        &mut self,
        state: &mut State,
        wish: &Reserve,
        now: Ms,
    ) -> (bool, Option<(usize, Vec<Drawn>)>) {
        let lacks = match self.side.borrow(wish, None, now) {
            Borrowed::Granted(_, granted, drawn) => return (false, Some((granted.index, drawn))),
            Borrowed::Lacks => true,
            Borrowed::Asks => false,
        };
        let drawn = self.asks(state, wish.clone(), lacks, now);
        let of = |drawn: &[Drawn]| {
            let key = |draw: &Draw| drawn.iter().any(|(pool, ..)| *pool == draw.pool);
            wish.candidates.iter().position(|candidate| candidate.draws.iter().all(key)).unwrap_or(0)
        };
        (true, drawn.map(|drawn| (of(&drawn), drawn)))
    }

    pub(super) fn settle(&self, drawn: &[Drawn]) {
        let ledger = self.side.ledger().unwrap();
        for (_, books, amounts) in drawn {
            for (meter, amount) in amounts.iter().enumerate() {
                let is_over = books.decl.meters[meter].shape.mode == Mode::Gauge;
                ledger.settle(books, meter, *amount, if is_over { 0 } else { *amount });
            }
        }
    }
}

/// So many calls every 10 ms for so long; how many of them asked.
fn traffic(hand: &mut Hand, state: &mut State, from: Ms, time: Ms, calls: usize) -> (usize, usize) {
    let (mut asked, mut granted) = (0, 0);
    for now in (from..from + time).step_by(10) {
        if now.is_multiple_of(200) {
            hand.sync(state, now);
        }
        for _ in 0..calls {
            let wish = hand.wish();
            let (question, drawn) = hand.calls(state, &wish, now);
            asked += usize::from(question);
            let Some((_, drawn)) = drawn else { continue };
            granted += 1;
            hand.settle(&drawn);
        }
    }
    (asked, granted)
}

fn pair(cap: u64) -> (Hand, State) {
    (Hand::new("r", window(cap)), State::new(1, BORN))
}

#[test]
fn a_busy_replica_hardly_asks_and_an_idle_one_keeps_nothing() {
    let (mut hand, mut state) = pair(60_000);
    hand.sync(&mut state, BORN);
    let (asked, _) = traffic(&mut hand, &mut state, BORN, 1_000, 5);
    println!("{asked} of 500 asked in the first second");
    let (asked, granted) = traffic(&mut hand, &mut state, BORN + 1_000, 10_000, 5);
    assert!(asked <= 5 && granted == 5_000, "{asked} of {granted} asked");
    for after in (0..8_000).step_by(200) {
        hand.sync(&mut state, BORN + 11_000 + after);
    }
    assert_eq!(state.pools[&hand.decl.key].meters[0].hold, 0, "given back");
    assert_eq!(state.pools[&hand.decl.key].meters[0].posted, 5_500);
}

#[test]
fn a_full_pool_lends_nothing_and_is_used_to_the_end() {
    let (mut hand, mut state) = pair(6_000);
    hand.sync(&mut state, BORN);
    let (asked, granted) = traffic(&mut hand, &mut state, BORN, 30_000, 3);
    assert_eq!(granted, 6_000, "{asked} asked");
    let refused = 9_000 - granted;
    assert!((200..1_500).contains(&(asked - refused)), "of the last part each asks: {asked}");
}

/// Fewer calls than a loan is worth.
#[test]
fn who_calls_seldom_asks_for_each() {
    let (mut hand, mut state) = pair(60_000);
    hand.sync(&mut state, BORN);
    for now in (BORN..BORN + 20_000).step_by(100) {
        hand.sync(&mut state, now);
        let wish = hand.wish();
        let (asked, drawn) = hand.calls(&mut state, &wish, now);
        assert!(asked, "at {now}");
        hand.settle(&drawn.unwrap().1);
    }
}

/// The last SYNC was sent at 1.8 s, and was heard: so long, and a second more, the life lasts at least.
pub(super) fn a_loan_ends_with_its_life() -> Result<(), Breach> {
    let (mut hand, mut state) = pair(60_000);
    hand.sync(&mut state, BORN);
    traffic(&mut hand, &mut state, BORN, 2_000, 5);
    let used = [2_700, 2_760].map(|after| hand.borrows(BORN + after).is_some());
    if used == [true, false] { Ok(()) } else { Err(breach("a loan ends with its life", format!("{used:?}"))) }
}

#[test]
fn a_loan_is_not_used_when_the_life_may_be_over() {
    a_loan_ends_with_its_life().unwrap();
}

/// Two kinds of calls that borrow from the same pools, all or nothing.
#[test]
fn a_call_takes_from_all_its_pools_or_from_none() {
    let (mut hand, mut state) = pair(60_000);
    hand.sync(&mut state, BORN);
    traffic(&mut hand, &mut state, BORN, 2_000, 5);
    let lent = |hand: &Hand| hand.side.ledger().unwrap().find(&hand.decl.key).unwrap().left();
    let before = lent(&hand);
    let mut both = hand.wish();
    both.pools.push(PoolDecl { key: "other".into(), ..window(5) });
    both.candidates[0].draws.push(Draw { pool: 1, amounts: [1].into_iter().collect() });
    hand.side.ledger().unwrap().follow(&both, None, BORN + 2_000);
    hand.sync(&mut state, BORN + 2_000); // what is left of the other is known now, and nothing of it is lent
    assert!(matches!(hand.side.borrow(&both, None, BORN + 2_000), Borrowed::Lacks));
    assert_eq!(lent(&hand), before);
    assert!(hand.borrows(BORN + 2_000).is_some());
    assert_ne!(lent(&hand), before);
}

/// As many as `WEIR_WORLDS` says, or 400.
#[test]
fn no_world_with_loans_breaks_a_rule() {
    let many = std::env::var("WEIR_WORLDS").ok().and_then(|n| n.parse().ok()).unwrap_or(400);
    let mut all = Tally::default();
    for seed in 0..many {
        match World::run(&Plan::borrowing(seed)) {
            Ok(tally) => all.add(tally),
            Err(breach) => panic!("Plan::borrowing({seed}): {breach:?}"),
        }
    }
    println!("{all:?}");
    assert!(all.borrowed * 50 > all.sent, "void: few are on a loan");
}
