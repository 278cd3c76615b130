//! Each protection of the protocol is removed in turn; some rule must break, or the tests prove nothing of it.
//! Most fall in random worlds. Those that need a rare coincidence have a plan of their own.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::call::{Ending, Fate, ask};
use super::judge::{Breach, breach};
use super::plan::{Knobs, Op, Plan, what};
use super::world::World;
use crate::state::core::mutant::{Mutant, without};
use crate::state::core::{Caller, Incarnation, Ms};
use crate::state::pools;

/// A mutant that survives so many random worlds has won.
const WORLDS: u64 = 1_000;

/// What kills a mutant.
enum Killer {
    Worlds,
    Plan(Plan),
    Check(fn() -> Result<(), Breach>),
}

fn killer(mutant: Mutant) -> Killer {
    use Mutant::*;
    match mutant {
        LapsedDraws => Killer::Plan(drawn_between_lapse_and_death()),
        SentAfterDeadline => Killer::Plan(stalled_between_grant_and_sending()),
        DeadlineFromReceipt => Killer::Plan(late_answer_to_a_lapsed_replica()),
        HardShareFloored => Killer::Check(no_share_of_a_limit_is_nothing),
        ExpiredHoldReleased | ExpiredHoldPostedEarly | EndHoldPostedWithHead | OneExpiryPerStep => {
            Killer::Worlds
        }
        NoExtraBucket | NoGuardBucket | StepBackFreezes | StepForwardBelieved => Killer::Worlds,
        SnapshotReplacesCounters | MaxMissing | HoldClamped | HoldNotCounted => Killer::Worlds,
        IncarnationReused | AbsentRecordRecreated | DuplicateJoinRecreates => Killer::Worlds,
        RenewedWithoutAck | DeafDraws => Killer::Worlds,
        SamePoolCheckedTwice | PartialReserve | TooBigWaits | CapFromCaller => Killer::Worlds,
        ShorterRestWins | RestIgnored | PaceIgnored | RetryTooEarly | CommonWaitAlone => Killer::Worlds,
        PinBeatsLimits | PinNeverExpires => Killer::Worlds,
        SettledTwice | ExcessDropped | ReturnedBeforePosted | PostedBeforeHead | ReleasedAfterBytes => {
            Killer::Worlds
        }
        LostGrantKept | BalanceTakenTwice => Killer::Worlds,
    }
}

/// Runs with a protection removed. Arithmetic that then underflows is a broken rule as well.
fn broken<T>(mutant: Mutant, run: impl FnOnce() -> Result<T, Breach>) -> Option<Breach> {
    match catch_unwind(AssertUnwindSafe(|| without(mutant, run))) {
        Ok(result) => result.err(),
        Err(_) => Some(breach("arithmetic", "a count fell below zero")),
    }
}

/// How the mutant was killed, and by which rule.
fn kill(mutant: Mutant) -> Option<(String, Breach)> {
    match killer(mutant) {
        Killer::Worlds => (0..WORLDS).find_map(|seed| {
            let breach = broken(mutant, || World::run(&Plan::random(seed)))?;
            Some((format!("{} worlds", seed + 1), breach))
        }),
        Killer::Plan(plan) => Some(("its plan".into(), broken(mutant, || World::run(&plan))?)),
        Killer::Check(check) => Some(("its check".into(), broken(mutant, check)?)),
    }
}

#[test]
fn every_mutant_is_killed() {
    let mut survivors = Vec::new();
    for mutant in Mutant::ALL {
        match kill(*mutant) {
            Some((how, breach)) => println!("{mutant:?} | {how} | {}", breach.rule),
            None => survivors.push(mutant),
        }
    }
    assert!(survivors.is_empty(), "{survivors:?}");
}

#[test]
fn no_plan_made_for_a_mutant_breaks_a_rule_by_itself() {
    for mutant in Mutant::ALL {
        let result = match killer(*mutant) {
            Killer::Worlds => Ok(()),
            Killer::Plan(plan) => World::run(&plan).map(|_| ()),
            Killer::Check(check) => check(),
        };
        assert!(result.is_ok(), "{mutant:?}: {result:?}");
    }
}

fn no_share_of_a_limit_is_nothing() -> Result<(), Breach> {
    let lost = (1..=3).find(|limit| pools::cap(*limit, 950) != *limit);
    lost.map_or(Ok(()), |limit| Err(breach("a small limit is not lost", format!("0.95 of {limit}"))))
}

/// A call that is plain, small, and goes to one deployment; the seed that makes it so.
pub(super) fn call_to(tag: u64, knobs: &Knobs, head_after: std::ops::Range<Ms>) -> u64 {
    let plan = Plan { knobs: knobs.clone(), ops: vec![] };
    let infos = plan.pools(0);
    let caller = Caller { epoch: 0, inc: Incarnation { name: String::new(), k: 0 }, l_ack: 0, x: 0 };
    let plain = |n: &u64| {
        let fate = Fate::of(*n, &plan);
        let ask = ask(*n, &fate, &infos, caller.clone());
        let only = ask.candidates.len() == 1 && ask.candidates[0].tag == tag;
        let amounts = || ask.candidates[0].draws.iter().flat_map(|d| &d.amounts).all(|amount| *amount <= 37);
        let lives = fate.ending == Ending::Told && fate.deadly.is_none() && fate.insist == 0;
        only && amounts() && lives && ask.session.is_none() && head_after.contains(&fate.head_after)
    };
    (0..).find(plain).unwrap_or(0)
}

/// Windows of 300 and 750 ms, heads within 120 ms.
fn quick() -> Knobs {
    Knobs { windows: 3, ..Knobs::default() }
}

fn plan(knobs: Knobs, steps: &[(u16, u8, u8, u64)]) -> Plan {
    let mut last = 0;
    let op = |(at, what, who, n): &(u16, u8, u8, u64)| {
        let wait = at - std::mem::replace(&mut last, *at);
        Op { wait, what: *what, who: *who, n: *n }
    };
    Plan { knobs, ops: steps.iter().map(op).collect() }
}

const CALL: u8 = 0;
/// Longest stall (1,819 ms) and silence (3,638 ms).
const LONGEST: u64 = 1_799;

/// Granted, then stalled until the dead replica's hold was posted and has left the window.
fn stalled_between_grant_and_sending() -> Plan {
    let a = call_to(1, &quick(), 1..5);
    let mut steps = vec![(3, CALL, 0, a); 4];
    steps.push((3, what::STALL, 0, LONGEST));
    steps.extend([(1_700, CALL, 1, a); 4]);
    plan(quick(), &steps)
}

/// The replica's SYNCs are lost: it draws when it has lapsed and is not dead yet, sends, and dies.
fn drawn_between_lapse_and_death() -> Plan {
    let (a, other) = (call_to(1, &quick(), 119..120), call_to(3, &quick(), 1..5));
    let mut steps = vec![(4, what::MUTE, 0, LONGEST), (700, CALL, 0, other)];
    steps.extend([(1_110, CALL, 0, a); 4]);
    steps.extend([(1_117, what::CRASH, 0, 0), (1_126, CALL, 1, other)]);
    steps.extend([(1_445, CALL, 1, a); 4]);
    plan(quick(), &steps)
}

/// As before, and the grant's answer comes late; the provider takes its time.
fn late_answer_to_a_lapsed_replica() -> Plan {
    let knobs = Knobs { lag: 90, ..quick() };
    let (a, other) = (call_to(1, &knobs, 119..120), call_to(3, &knobs, 1..5));
    let mut steps = vec![(4, what::MUTE, 0, LONGEST), (700, CALL, 0, other)];
    steps.extend([(1_100, CALL, 0, a); 4]);
    steps.extend([(1_200, what::CRASH, 0, 0), (1_225, CALL, 1, other)]);
    steps.extend([(1_540, CALL, 1, a); 4]);
    plan(knobs, &steps)
}
