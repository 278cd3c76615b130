//! What replicas tell each other of how deployments behave. What was broken on purpose to see it fail stands in
//! [`super::mutants`]; besides, by hand: sums that do not halve; minutes that do not move on; all told anew each time.

use std::collections::BTreeSet;

use super::judge::Breach;
use crate::state::core::behaviour::{FORGET, MINUTE, SUMS, TOLD_AT_ONCE, heard_up_to};
use crate::state::core::{
    Behaviour, Caller, Command, Incarnation, Join, Ms, Reply, Shown, State, Sync, Synced, Telling,
};

const BORN: Ms = 10 * MINUTE;

struct Cluster {
    state: State,
    now: Ms,
}

fn inc(who: &str) -> Incarnation {
    Incarnation { name: who.into(), k: 1 }
}

fn shown(tag: u64, busy: u64, sum: u64) -> Shown {
    Shown { tag, busy, sums: [sum; SUMS], demand: [1, 10, 20] }
}

impl Cluster {
    fn new() -> Cluster {
        let mut state = State::new(1, BORN);
        for who in ["one", "two"] {
            state.step(
                &Command::Join(Join { inc: inc(who), d_head: 500, d_end: 900, ..Join::default() }),
                BORN,
            );
        }
        Cluster { state, now: BORN }
    }

    fn tell(&mut self, who: &str, since: Ms, shown: Vec<Shown>) -> Synced {
        let caller = Caller { epoch: 1, inc: inc(who), l_ack: self.state.now(), x: 0 };
        let telling = Some(Telling { since, shown });
        let sync = Sync { caller, reports: vec![], rests: vec![], outcomes: vec![], telling, count: true };
        match self.state.step(&Command::Sync(sync), self.now) {
            Reply::Synced(synced) => synced,
            other => panic!("{other:?}"),
        }
    }

    /// Time passes, and these live on.
    fn wait(&mut self, ms: Ms, living: &[&str]) {
        let until = self.now + ms;
        while self.now < until {
            self.now = until.min(self.now + 400);
            living.iter().for_each(|who| drop(self.tell(who, Ms::MAX, vec![])));
        }
    }
}

fn others(told: &Synced, own: &str) -> u64 {
    let alive: BTreeSet<_> = told.live.iter().cloned().collect();
    told.behaviours[0].1.others(own, &alive)
}

#[test]
fn what_is_in_flight_is_a_level_and_goes_with_its_life() {
    let mut cluster = Cluster::new();
    cluster.tell("one", 0, vec![shown(7, 5, 1)]);
    let told = cluster.tell("two", 0, vec![shown(7, 2, 1)]);
    assert_eq!((others(&told, "two"), others(&told, "one")), (5, 2));
    cluster.tell("one", 0, vec![shown(7, 3, 0)]);
    assert_eq!(others(&cluster.tell("two", 0, vec![]), "two"), 3, "a level, not a sum");
    cluster.wait(1_200, &["two"]);
    assert_eq!(others(&cluster.tell("two", 0, vec![]), "two"), 0, "it was not heard of for a TTL");
    cluster.wait(2_000, &["two"]);
    let told = cluster.tell("two", 0, vec![shown(7, 2, 0)]);
    assert_eq!(told.behaviours[0].1.busy.len(), 1, "the dead are forgotten when the record is written");
}

#[test]
fn sums_add_up_and_halve_and_minutes_move_on() {
    let mut cluster = Cluster::new();
    cluster.tell("one", 0, vec![shown(7, 0, 600)]);
    cluster.tell("two", 0, vec![shown(7, 0, 400)]);
    cluster.wait(2 * MINUTE, &["one", "two"]);
    let told = cluster.tell("two", 0, vec![shown(7, 0, 50)]);
    let (tag, of) = &told.behaviours[0];
    assert_eq!((*tag, of.sums[0], of.sums[SUMS - 1]), (7, 300, 300));
    assert_eq!(of.past[..4], [[1, 10, 20], [0; 3], [2, 20, 40], [0; 3]]);
    let mut later = of.clone();
    later.advance(cluster.now + 3 * MINUTE);
    assert_eq!((later.sums[0], later.past[3], later.past[5]), (37, [1, 10, 20], [2, 20, 40]));
    later.advance(cluster.now + 90 * MINUTE);
    assert_eq!(later, Behaviour { minute: later.minute, changed: of.changed, ..Behaviour::default() });
}

#[test]
fn only_what_changed_is_told_and_of_much_a_part() {
    let mut cluster = Cluster::new();
    let some = |from: u64| (from..from + 60).map(|tag| shown(tag, 1, 1)).collect::<Vec<_>>();
    for from in 0..10 {
        cluster.now += 10;
        cluster.tell("one", Ms::MAX, some(60 * from));
    }
    let (mut since, mut seen, mut rounds) = (0, BTreeSet::new(), 0);
    while seen.len() < 600 {
        let told = cluster.tell("two", since, vec![]).behaviours;
        assert!(told.len() < TOLD_AT_ONCE + 60 && rounds < 4, "{} at once", told.len());
        since = heard_up_to(&told, cluster.now);
        seen.extend(told.iter().map(|(tag, _)| *tag));
        rounds += 1;
    }
    cluster.now += 10;
    since = heard_up_to(&cluster.tell("two", since, vec![]).behaviours, cluster.now);
    cluster.now += 10;
    assert!(cluster.tell("two", since, vec![]).behaviours.is_empty());
    cluster.tell("one", Ms::MAX, vec![shown(3, 0, 0)]);
    let told = cluster.tell("two", since, vec![]).behaviours;
    assert_eq!(told.iter().map(|(tag, _)| *tag).collect::<Vec<_>>(), [3]);
    let nothing = Telling { since: Ms::MAX, shown: vec![] };
    let State { behaviours, lives, .. } = &mut cluster.state;
    behaviours.take(&nothing, &inc("two"), cluster.now + FORGET + 1, lives);
    assert!(cluster.state.behaviours.known.is_empty());
}

/// What finds a sharing that is broken on purpose.
pub(super) fn all() -> Result<(), Breach> {
    what_is_in_flight_is_a_level_and_goes_with_its_life();
    sums_add_up_and_halve_and_minutes_move_on();
    Ok(())
}
