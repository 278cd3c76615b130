//! Each protection of the protocol is removed in turn; some rule must break, or the tests prove nothing of it.
//! Most fall in random worlds. Those that need a rare coincidence have a plan of their own.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::accounts;
use super::behaviours;
use super::budgets;
use super::byhand;
use super::call::{Ending, Fate, ask};
use super::circuits;
use super::fair;
use super::judge::{Breach, breach};
use super::learned;
use super::learning;
use super::loans;
use super::plan::{Knobs, MINUTE, Op, Plan, what};
use super::world::World;
use crate::state::core::mutant::{Mutant, without};
use crate::state::core::{Caller, Incarnation, Ms};
use crate::state::pools;

/// A mutant that survives so many random worlds has won.
const WORLDS: u64 = 3_000;

/// What kills a mutant.
enum Killer {
    Worlds,
    /// The same, with loans.
    Borrowing,
    Plan(Plan),
    Check(fn() -> Result<(), Breach>),
    /// Random worlds hardly meet it; the model does ([`super::model`]).
    Model,
}

fn killer(mutant: Mutant) -> Killer {
    use Mutant::*;
    match mutant {
        LapsedDraws => Killer::Plan(drawn_between_lapse_and_death()),
        SentAfterDeadline => Killer::Plan(stalled_between_grant_and_sending()),
        DeadlineFromReceipt => Killer::Plan(late_answer_to_a_lapsed_replica()),
        HardShareFloored => Killer::Check(no_share_of_a_limit_is_nothing),
        NewHoldsHideOld => Killer::Plan(lost_with_a_death()),
        HistoriesMixed => Killer::Plan(Plan::random(126116974660170)),
        OlderLivesUntold => Killer::Plan(Plan::random(1002419)),
        CutEpochSetAside => Killer::Check(learning::a_loss_while_learning_hides_nothing),
        CutEpochLeftBehind => Killer::Check(learning::a_loss_while_learning_hides_nothing_told_late),
        UnheardTakenOff => Killer::Check(learning::what_was_held_long_before_is_not_among_what_was_seen),
        PastForgotten => Killer::Plan(Plan::random(929292939777)),
        LearntForgotten => Killer::Plan(Plan::random(929292930486)),
        NothingLearned => Killer::Check(learned::all),
        EndHoldPostedWithHead => Killer::Plan(long_answers_to_a_dead_replica()),
        ExpiredHoldReleased | ExpiredHoldPostedEarly | OneExpiryPerStep => Killer::Worlds,
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
        ImageMergedIntoWindow => Killer::Check(learning::an_image_swallows_nothing),
        OrphansDropped => Killer::Check(learning::missing_replicas_hold_on),
        OldEpochGrantUsed => Killer::Check(learning::grants_of_before_are_not_used),
        JoinCountsAsTold => Killer::Check(learning::an_old_join_tells_nothing),
        UnseenIsEmpty => Killer::Plan(shared_what_was_never_seen()),
        SharedAtOnce => Killer::Plan(shared_in_a_short_outage()),
        NoBarrier | WholeShares => Killer::Worlds,
        BarrierForTheLivingOnly => Killer::Check(byhand::who_shares_before_anybody_lives_is_awaited),
        SharedLimitRaised => Killer::Check(byhand::a_lower_limit_of_others_stays),
        UncountedDrawsShared => Killer::Check(byhand::what_does_not_count_is_not_shared),
        DeathWhileLearning => Killer::Check(byhand::nobody_dies_while_others_tell),
        OverBeforeAllIsPosted => Killer::Check(byhand::a_life_is_over_when_all_is_posted),
        LearningEndedByFirst => Killer::Check(learning::all_that_lived_are_awaited),
        UnseenPostsForgotten | LearningSkipped | ToldTwice => Killer::Worlds,
        OwnHistoriesOnly => Killer::Worlds,
        LearningEndedByNewcomer => Killer::Model,
        ProbesPileUp | AnyPermitCounts | RecoversAtOnce | LoneNeverTried | OldFailuresCount
        | OneSpeaksForAll => Killer::Check(circuits::all),
        NeverLonger | CheckedAndProbed | AccountPassed => Killer::Check(accounts::all),
        NobodyYields | SavesUp => Killer::Check(fair::all),
        DeadStayBusy | LevelsPileUp => Killer::Check(behaviours::all),
        BudgetsKept => Killer::Check(budgets::all),
        LoansPileUp => Killer::Check(loans::a_loan_is_made_once),
        LentWithoutRoom => Killer::Check(loans::loans_leave_room),
        LoanOutlivesLife => Killer::Check(loans::a_loan_ends_with_its_life),
        LoanUsedTwice => Killer::Borrowing,
    }
}

/// Runs with a protection removed. Arithmetic that then underflows is a broken rule as well.
fn broken<T>(mutant: Mutant, run: impl FnOnce() -> Result<T, Breach>) -> Option<Breach> {
    match catch_unwind(AssertUnwindSafe(|| without(mutant, run))) {
        Ok(result) => result.err(),
        Err(_) => Some(breach("arithmetic", "a count fell below zero, or a check by hand failed")),
    }
}

/// How the mutant was killed, and by which rule.
fn kill(mutant: Mutant) -> Option<(String, Breach)> {
    match killer(mutant) {
        Killer::Worlds => (0..WORLDS).find_map(|seed| {
            let breach = broken(mutant, || World::run(&Plan::random(seed)))?;
            Some((format!("{seed}"), breach))
        }),
        Killer::Borrowing => (0..WORLDS).find_map(|seed| {
            let breach = broken(mutant, || World::run(&Plan::borrowing(seed)))?;
            Some((format!("borrowing {seed}"), breach))
        }),
        Killer::Plan(plan) => Some(("its plan".into(), broken(mutant, || World::run(&plan))?)),
        Killer::Check(check) => Some(("its check".into(), broken(mutant, check)?)),
        Killer::Model => Some(("the model".into(), breach("its own test", ""))),
    }
}

#[test]
fn every_mutant_is_killed() {
    let mut survivors = Vec::new();
    let only = std::env::var("WEIR_MUTANT").ok(); // one of them, while at work on it
    for mutant in Mutant::ALL.iter().filter(|m| only.as_ref().is_none_or(|only| *only == format!("{m:?}"))) {
        match kill(*mutant) {
            Some((how, breach)) => println!("{how} | {mutant:?}: {}", breach.rule), // fit for seeds.txt
            None => survivors.push(mutant),
        }
    }
    assert!(survivors.is_empty(), "{survivors:?}");
}

#[test]
fn no_plan_made_for_a_mutant_breaks_a_rule_by_itself() {
    for mutant in Mutant::ALL {
        let result = match killer(*mutant) {
            Killer::Worlds | Killer::Borrowing | Killer::Model => Ok(()),
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
    plain_call(tag, knobs, |fate| fate.estimate() <= 37 && head_after.contains(&fate.head_after))
}

/// A call that goes to one deployment and ends as most do, with a fate that `fits`.
fn plain_call(tag: u64, knobs: &Knobs, fits: impl Fn(&Fate) -> bool) -> u64 {
    let plan = Plan { knobs: knobs.clone(), ops: vec![] };
    let infos = plan.pools(0);
    let caller = Caller { epoch: 0, inc: Incarnation { name: String::new(), k: 0 }, l_ack: 0, x: 0 };
    let plain = |n: &u64| {
        let fate = Fate::of(*n, &plan);
        let lives = fate.ending == Ending::Told && fate.deadly.is_none() && fate.insist == 0;
        let only = || {
            let ask = ask(*n, &fate, &infos, caller.clone());
            ask.candidates.len() == 1 && ask.candidates[0].tag == tag && ask.session.is_none()
        };
        lives && fits(&fate) && only()
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

/// The provider goes on long after the replica was declared dead; others take the room as soon as they may.
fn long_answers_to_a_dead_replica() -> Plan {
    let knobs = Knobs { deadlines: 3, ..quick() };
    let large = |fate: &Fate| (80..=100).contains(&fate.estimate()) && fate.head_after < 20;
    let long =
        plain_call(3, &knobs, |fate| large(fate) && fate.output == fate.most && fate.end_after >= 2_930);
    let short = plain_call(3, &knobs, |fate| large(fate) && fate.output == fate.most);
    let mut steps = vec![(3, CALL, 0, long); 2];
    steps.push((40, what::CRASH, 0, 0));
    steps.extend([(2_920, CALL, 1, short); 2]);
    plan(knobs, &steps)
}

/// One replica fills a limit; the other, which never used it, is asked for it while the state is away.
fn shared_what_was_never_seen() -> Plan {
    let knobs = Knobs { outages: true, ..quick() };
    let a = call_to(1, &knobs, 1..5);
    let mut steps = vec![(3, CALL, 0, a); 4];
    steps.push((60, what::CRASH, 0, 4_800)); // the state goes away
    steps.extend([(350, CALL, 1, a); 2]);
    plan(knobs, &steps)
}

/// The state is away for less than a life's TTL, so nobody is made to tell before others are granted what is left.
fn shared_in_a_short_outage() -> Plan {
    let knobs = Knobs { outages: true, ..quick() };
    let a = call_to(1, &knobs, 1..5);
    let mut steps = vec![(17, CALL, 0, a), (17, CALL, 1, a)];
    steps.push((33, what::CRASH, 0, 400)); // away for half a second
    steps.extend([(60, CALL, 0, a), (60, CALL, 1, a), (108, what::STALL, 1, 1_500)]);
    steps.extend([(145, CALL, 0, a); 2]);
    plan(knobs, &steps)
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

/// Data are lost together with a replica. One that lives has seen what it held; another has drawn as much since.
fn lost_with_a_death() -> Plan {
    let knobs =
        Knobs { windows: MINUTE, deadlines: 3, more: 1, losses: true, harsh: true, ..Knobs::default() };
    let call = |estimate: std::ops::Range<Ms>, fits: &dyn Fn(&Fate) -> bool| {
        let full = |fate: &Fate| estimate.contains(&fate.estimate()) && fate.output == fate.most;
        plain_call(1, &knobs, |fate| full(fate) && fits(fate))
    };
    let brief = |fate: &Fate| fate.head_after < 20;
    let small = call(0..12, &|fate| brief(fate) && fate.end_after < 10);
    let long = call(90..100, &|fate| brief(fate) && fate.end_after > 2_700);
    let unseen = call(90..100, &|fate| (120..900).contains(&fate.head_after) && fate.end_after > 1_900);
    let last = call(165..180, &brief);
    let mut steps = vec![(3, CALL, 0, small), (100, CALL, 2, long), (300, CALL, 1, unseen)];
    steps.extend([(390, what::CRASH, 2, 0), (391, what::LOSE, 0, 1), (2_700, CALL, 0, last)]);
    plan(knobs, &steps)
}
