//! Circuits, as three replicas meet them: by hand, and in random order. What was broken on purpose to see them fail stands in
//! [`super::mutants`].

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::judge::Breach;
use crate::state::core::NEXT_SYNC;
use crate::state::core::circuit::LONE;
use crate::state::core::{
    Caller, Candidate, Cause, Circuit, Command, Declared, Denied, Draw, Ending, Granted, Incarnation, Join,
    Kin, Ms, Outcome, PoolDecl, Reply, Reserve, Reserved, SessionRef, Shape, State, Sync, Trip, Verdict,
};

const BORN: Ms = 1_000_000;
const HEAD: Ms = 2_000;
pub(super) const TRIP: Trip = Trip {
    failures: 5,
    ratio: 500_000,
    min_calls: 20,
    window: 30_000,
    open: 30_000,
    successes: 2,
    ramp: 10_000,
    most: 0,
};

pub(super) struct Cluster {
    pub(super) state: State,
    now: Ms,
    /// Tags of accounts by those of their deployments.
    pub(super) accounts: BTreeMap<u64, u64>,
}

/// A grant: which candidate, and the permit of a probe.
pub(super) type Taken = Result<(usize, u64), Denied>;

impl Cluster {
    pub(super) fn new() -> Cluster {
        let mut cluster = Cluster { state: State::new(1, BORN), now: BORN, accounts: BTreeMap::new() };
        for who in 0..3 {
            let inc = cluster.caller(who).inc;
            cluster.step(&Command::Join(Join { inc, d_head: HEAD, d_end: 60_000, ..Join::default() }));
        }
        cluster
    }

    fn caller(&self, who: u64) -> Caller {
        Caller { epoch: 1, inc: Incarnation { name: format!("r{who}"), k: 1 }, l_ack: self.state.now(), x: 0 }
    }

    fn step(&mut self, command: &Command) -> Reply {
        self.state.step(command, self.now)
    }

    /// Time passes, and all live on.
    pub(super) fn wait(&mut self, ms: Ms) {
        let until = self.now + ms;
        while self.now < until {
            self.now = until.min(self.now + 400);
            (0..3).for_each(|who| self.tell(who, vec![]));
        }
    }

    pub(super) fn tell(&mut self, who: u64, outcomes: Vec<Outcome>) {
        let sync = Sync {
            caller: self.caller(who),
            reports: vec![],
            rests: vec![],
            outcomes,
            telling: None,
            count: true,
        };
        assert!(matches!(self.step(&Command::Sync(sync)), Reply::Synced(_)));
    }

    pub(super) fn ended(&mut self, who: u64, tag: u64, ending: Ending, permit: u64) {
        let mut outcome = Outcome::none(tag, TRIP);
        outcome.add(ending, permit);
        self.tell(who, vec![outcome]);
    }

    /// A call asks for one of the deployments `tags`, in this order; each has room for `cap` calls at once.
    pub(super) fn ask(
        &mut self,
        who: u64,
        tags: &[u64],
        cap: u64,
        luck: u64,
        session: Option<&str>,
    ) -> Taken {
        let shape = Declared { shape: Shape::gauge(), cap, pace: 0 };
        let pool =
            |tag: &u64| PoolDecl { key: format!("p{tag}").into(), meters: [shape].into(), slow_start: None };
        let draw = |pool: usize| vec![Draw { pool, amounts: [1].into_iter().collect() }];
        let candidate = |(at, tag): (usize, &u64)| Candidate {
            tag: *tag,
            tier: 0,
            threshold: 1_000_000,
            circuit: Some(TRIP),
            account: self.accounts.get(tag).copied().unwrap_or(0),
            draws: draw(at),
        };
        let ask = Reserve {
            caller: self.caller(who),
            pools: tags.iter().map(pool).collect(),
            common: vec![],
            candidates: tags.iter().enumerate().map(candidate).collect(),
            session: session.map(|key| SessionRef { key: key.into(), ttl: 60_000, kin: Kin::default() }),
            tell: Default::default(),
            luck,
            most: crate::state::core::meter::WHOLE,
            turn: None,
        };
        match self.step(&Command::Reserve(ask.into())) {
            Reply::Reserved(Reserved::Granted(Granted { index, permit, .. })) => Ok((index, permit)),
            Reply::Reserved(Reserved::Denied(denied)) => Err(denied),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn fail(&mut self, tag: u64, times: u64) {
        (0..times).for_each(|n| self.ended(n % 3, tag, Ending::Wrong, 0));
    }
}

pub(super) const ROOM: u64 = 1_000;

#[test]
fn five_failures_in_a_row_wherever_they_were_seen_open_it_and_one_probe_goes_at_a_time() {
    let mut cluster = Cluster::new();
    cluster.fail(1, 4);
    cluster.ended(2, 1, Ending::Well, 0);
    cluster.fail(1, 4);
    assert_eq!(cluster.ask(0, &[1, 2], ROOM, 0, None), Ok((0, 0)), "four, and four");
    cluster.fail(1, 4);
    assert_eq!(cluster.ask(0, &[1, 2], ROOM, 0, None), Ok((0, 0)), "somebody has just said that it works");
    cluster.wait(NEXT_SYNC);
    cluster.fail(1, 1);
    for who in 0..3 {
        assert_eq!(cluster.ask(who, &[1, 2], ROOM, 0, None), Ok((1, 0)), "at once, for all");
    }
    cluster.wait(TRIP.open);
    let Ok((0, permit)) = cluster.ask(0, &[1, 2], ROOM, 0, None) else { panic!("no probe") };
    assert!(permit > 0);
    for who in 0..3 {
        assert_eq!(cluster.ask(who, &[1, 2], ROOM, 0, None), Ok((1, 0)), "one probe at a time");
    }
    cluster.ended(0, 1, Ending::Wrong, permit);
    cluster.wait(TRIP.open - 1);
    assert_eq!(cluster.ask(1, &[1, 2], ROOM, 0, None), Ok((1, 0)), "open for as long again");
    cluster.wait(1);
    assert!(matches!(cluster.ask(1, &[1, 2], ROOM, 0, None), Ok((0, 1..))));
}

#[test]
fn probes_that_go_well_close_it_and_calls_come_back_little_by_little() {
    let mut cluster = Cluster::new();
    cluster.fail(1, 5);
    cluster.wait(TRIP.open);
    for _ in 0..TRIP.successes {
        let Ok((0, permit @ 1..)) = cluster.ask(0, &[1, 2], ROOM, 0, None) else { panic!("no probe") };
        cluster.ended(0, 1, Ending::Well, permit);
    }
    let share = |cluster: &mut Cluster| {
        (0..100).filter(|n| cluster.ask(0, &[1, 2], ROOM, n * 10_000, None) == Ok((0, 0))).count()
    };
    assert_eq!(share(&mut cluster), 0);
    assert!(matches!(cluster.ask(0, &[1], ROOM, 999_999, None), Ok((0, 0))), "taken if there is nobody else");
    cluster.wait(TRIP.ramp / 4);
    assert_eq!(share(&mut cluster), 25);
    cluster.wait(TRIP.ramp / 2);
    assert_eq!(share(&mut cluster), 75);
    cluster.wait(TRIP.ramp / 4);
    assert_eq!(share(&mut cluster), 100);
    assert_eq!(cluster.state.circuits.known, BTreeMap::new());
}

#[test]
fn half_of_twenty_open_it_and_what_is_old_does_not_count() {
    let mut cluster = Cluster::new();
    let pair = |cluster: &mut Cluster| {
        cluster.ended(0, 1, Ending::Wrong, 0);
        cluster.ended(1, 1, Ending::Well, 0);
    };
    (0..9).for_each(|_| pair(&mut cluster));
    cluster.wait(TRIP.window + TRIP.window / 10);
    (0..9).for_each(|_| pair(&mut cluster));
    assert!(cluster.state.circuits.known.is_empty(), "18 of late");
    pair(&mut cluster);
    assert!(cluster.state.circuits.known.contains_key(&1), "10 of 20");
}

#[test]
fn where_nothing_else_is_left_one_call_at_a_time_is_let_through_soon() {
    let mut cluster = Cluster::new();
    cluster.fail(1, 5);
    cluster.fail(2, 5);
    let denied = cluster.ask(0, &[1, 2], ROOM, 0, None).unwrap_err();
    assert!(denied.open && !denied.exact && denied.retry_in == LONE, "{denied:?}");
    cluster.wait(LONE);
    assert!(matches!(cluster.ask(0, &[1, 2], ROOM, 0, None), Ok((0, 1..))));
    assert!(matches!(cluster.ask(1, &[1, 2], ROOM, 0, None), Ok((1, 1..))));
    assert_eq!(cluster.ask(2, &[1, 2], ROOM, 0, None).unwrap_err().retry_in, LONE);
    cluster.wait(LONE);
    assert!(matches!(cluster.ask(2, &[1, 2], ROOM, 0, None), Ok((0, 1..))), "one each second, whoever runs");
    // One that is merely full is something else.
    cluster.ask(2, &[3], 1, 0, None).unwrap();
    cluster.wait(TRIP.open / 2);
    assert!(cluster.ask(2, &[1, 3], 1, 0, None).is_err());
}

#[test]
fn a_probe_of_which_nothing_is_heard_makes_room_for_another_and_may_end_well_after_all() {
    let mut cluster = Cluster::new();
    cluster.fail(1, 5);
    cluster.wait(TRIP.open);
    let Ok((0, lost @ 1..)) = cluster.ask(0, &[1, 2], ROOM, 0, None) else { panic!("no probe") };
    cluster.wait(HEAD);
    let Ok((0, second @ 1..)) = cluster.ask(1, &[1, 2], ROOM, 0, None) else { panic!("no probe") };
    cluster.ended(0, 1, Ending::Well, lost);
    assert_eq!(cluster.ask(1, &[1, 2], ROOM, 0, None), Ok((1, 0)), "the second runs");
    cluster.ended(1, 1, Ending::Unknown, second);
    cluster.wait(LONE);
    let Ok((0, third @ 1..)) = cluster.ask(1, &[1, 2], ROOM, 0, None) else { panic!("it said nothing") };
    cluster.ended(1, 1, Ending::Well, third);
    assert!(matches!(cluster.state.circuits.known[&1], Circuit::Ramp { .. }), "two went well");
}

#[test]
fn a_session_leaves_an_open_circuit() {
    let mut cluster = Cluster::new();
    assert_eq!(cluster.ask(0, &[1, 2], ROOM, 0, Some("s")), Ok((0, 0)));
    cluster.fail(1, 5);
    assert_eq!(cluster.ask(0, &[1, 2], ROOM, 0, Some("s")), Ok((1, 0)));
    let moved = cluster.state.pins["s"];
    assert_eq!((moved.tag, moved.version), (2, 2));
}

#[test]
fn who_is_passed_by_is_told_why() {
    let mut cluster = Cluster::new();
    cluster.fail(1, 5);
    let caller = cluster.caller(0);
    let candidate = |tag| Candidate {
        tag,
        tier: 0,
        threshold: 1_000_000,
        circuit: Some(TRIP),
        account: 0,
        draws: vec![],
    };
    let ask = Reserve {
        caller,
        pools: vec![],
        common: vec![],
        candidates: vec![candidate(1), candidate(2)],
        session: None,
        tell: Default::default(),
        luck: 0,
        most: crate::state::core::meter::WHOLE,
        turn: None,
    };
    let Reply::Reserved(Reserved::Granted(granted)) = cluster.step(&Command::Reserve(ask.into())) else {
        panic!("room for all")
    };
    assert_eq!(granted.told.why, [Verdict::Open(TRIP.open, Cause::Faults), Verdict::Fits(0)]);
}

/// What finds a circuit that is broken on purpose.
pub(super) fn all() -> Result<(), Breach> {
    five_failures_in_a_row_wherever_they_were_seen_open_it_and_one_probe_goes_at_a_time();
    probes_that_go_well_close_it_and_calls_come_back_little_by_little();
    half_of_twenty_open_it_and_what_is_old_does_not_count();
    where_nothing_else_is_left_one_call_at_a_time_is_let_through_soon();
    a_probe_of_which_nothing_is_heard_makes_room_for_another_and_may_end_well_after_all();
    Ok(())
}

/// What may happen.
#[derive(Clone, Debug)]
enum Event {
    Wait(Ms),
    Ask(u64, u64),
    End(usize, usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => (0..9_000u64).prop_map(Event::Wait),
        6 => (0..3u64, 0..1_000_000u64).prop_map(|(who, luck)| Event::Ask(who, luck)),
        6 => (0..8usize, 0..5usize).prop_map(|(which, how)| Event::End(which, how)),
    ]
}

/// An attempt in flight.
struct Running {
    who: u64,
    tag: u64,
    permit: u64,
    since: Ms,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_probe_at_a_time_and_none_before_its_time(events in prop::collection::vec(event(), 1..120)) {
        let (mut cluster, mut running) = (Cluster::new(), Vec::<Running>::new());
        for event in events {
            match event {
                Event::Wait(ms) => cluster.wait(ms),
                Event::Ask(who, luck) => {
                    let before = cluster.state.circuits.known.clone();
                    let is_open = |tag: u64| matches!(before.get(&tag), Some(Circuit::Open { .. }));
                    let due = |tag: u64| match before.get(&tag) {
                        Some(Circuit::Open { next, .. }) => *next <= cluster.now,
                        _ => true,
                    };
                    let any = due(1) || due(2);
                    let now = cluster.now;
                    let alive = |running: &[Running], tag| {
                        running.iter().any(|r| r.tag == tag && r.permit > 0 && now < r.since + HEAD)
                    };
                    let two = [alive(&running, 1), alive(&running, 2)];
                    let due = [due(1), due(2)];
                    let Ok((index, permit)) = cluster.ask(who, &[1, 2], ROOM, luck, None) else {
                        prop_assert!(!any, "refused though one may go");
                        continue;
                    };
                    let tag = index as u64 + 1;
                    prop_assert_eq!(permit > 0, is_open(tag), "only probes go through, and only they are");
                    prop_assert!(permit == 0 || !two[index] || !any, "two probes at a time");
                    prop_assert!(due[index] || !any, "before its time, though another may go");
                    running.push(Running { who, tag, permit, since: now });
                }
                Event::End(which, how) => {
                    if which >= running.len() {
                        continue;
                    }
                    let Running { who, tag, permit, .. } = running.remove(which);
                    let endings = [Ending::Unknown, Ending::Well, Ending::Wrong, Ending::Wrong];
                    if let Some(ending) = endings.get(how) {
                        cluster.ended(who, tag, *ending, permit); // else nobody hears of it
                    }
                }
            }
        }
    }
}
