//! Each way to break the protocol that its design names, and what shows it. Most are found by the search, which then
//! prints a way to the breach (the shortest in time). Others are outside of what is searched: more than one pool or
//! configuration, limits shared while the state is away, the scripts themselves. They name the test that shows them.

use std::path::Path;

use super::scopes::*;
use super::search::search;
use super::setting::Setting;
use crate::state::core::mutant::{Mutant, without};

/// What shows that a protection is missing.
enum By {
    /// The search does, in this setting.
    Search(Mutant, Setting),
    /// The same, but it takes long.
    LongSearch(Mutant, Setting),
    /// `every_mutant_is_killed` does, in simulated worlds.
    Worlds(Mutant),
    /// Nothing does yet.
    Open(&'static str),
    /// A test, by its file and name.
    Test(&'static str, &'static str),
    /// Nothing has to: what it would break does not exist here.
    Nothing(&'static str),
}

use By::*;

/// In the design's words and order.
const KILLS: &[(&str, By)] = &[
    ("an expired hold is released", Search(Mutant::ExpiredHoldReleased, CRASH)),
    ("an expired hold is posted at expiry", Search(Mutant::ExpiredHoldPostedEarly, SLOW_HEADS)),
    ("holds for a call's end are posted with the head's", LongSearch(Mutant::EndHoldPostedWithHead, ENDS)),
    ("a ring without the bucket more", Search(Mutant::NoExtraBucket, PROMPT)),
    ("no guard bucket under a clock step", Search(Mutant::NoGuardBucket, FORWARD)),
    ("a snapshot replaces the counters", Search(Mutant::SnapshotReplacesCounters, TWICE)),
    ("a restart reuses the incarnation", Search(Mutant::IncarnationReused, CRASH)),
    ("the deadline counts from receipt", LongSearch(Mutant::DeadlineFromReceipt, LATE)),
    ("a SYNC makes an absent record anew", Search(Mutant::AbsentRecordRecreated, ENDS)),
    ("a second JOIN makes the record anew", LongSearch(Mutant::DuplicateJoinRecreates, LATE_TWICE)),
    ("replicas tell their own history only", Search(Mutant::OwnHistoriesOnly, FLUSH)),
    ("learning ends with the first caller", Search(Mutant::LearningEndedByFirst, FLUSH)),
    ("learning ends with a newcomer", Search(Mutant::LearningEndedByNewcomer, FLUSH)),
    ("a copy of an old JOIN counts as told", Search(Mutant::JoinCountsAsTold, FAILOVER)),
    ("who is dead by what a lagging copy knows cannot tell any more", Worlds(Mutant::DeathWhileLearning)),
    ("nothing is learnt", Search(Mutant::LearningSkipped, FLUSH)),
    ("an image is merged into the live window", Search(Mutant::ImageMergedIntoWindow, THREE_FLUSH)),
    ("what was posted and not seen is forgotten", Search(Mutant::UnseenPostsForgotten, FLUSH)),
    ("a grant of an old epoch is used", LongSearch(Mutant::OldEpochGrantUsed, LATE_FLUSH)),
    (
        "a SYNC's answer of an old epoch is taken",
        Open("has no counterexample yet: it takes two late messages"),
    ),
    ("one expired record is taken at a time", Search(Mutant::OneExpiryPerStep, CRASH)),
    ("holds of missing replicas are dropped", Search(Mutant::OrphansDropped, FLUSH)),
    ("new holds hide those of missing replicas (three are needed)", Worlds(Mutant::NewHoldsHideOld)),
    ("a history that a loss ended hides a later one (two losses are needed)", Worlds(Mutant::HistoriesMixed)),
    (
        "what was learnt is forgotten by a further loss (two losses are needed)",
        Worlds(Mutant::LearntForgotten),
    ),
    ("a grant is an increment, not a level", Nothing("a SYNC grants nothing: there are no slices")),
    ("a grant that nobody waits for is kept", Search(Mutant::LostGrantKept, LATE)),
    ("a grant under way is taken for one that nobody waits for", Search(Mutant::BalanceTakenTwice, LATE)),
    ("a life is renewed though it hears nothing", Search(Mutant::RenewedWithoutAck, LATE)),
    ("a lapsed replica draws though it hears nothing", Search(Mutant::DeafDraws, LATE)),
    ("a grant is no sign of life", LongSearch(Mutant::LapsedDraws, SLOW_HEADS)),
    ("a grant is used after its deadline", LongSearch(Mutant::SentAfterDeadline, LATE)),
    ("a hold below zero is made zero", Worlds(Mutant::HoldClamped)),
    ("a call is settled twice", Search(Mutant::SettledTwice, PROMPT)),
    ("a hold does not count", Search(Mutant::HoldNotCounted, PROMPT)),
    ("a hold is given back before its use is posted", Search(Mutant::ReturnedBeforePosted, PROMPT)),
    ("a pool drawn on twice is checked twice", Worlds(Mutant::SamePoolCheckedTwice)),
    ("a part of the pools is enough", Worlds(Mutant::PartialReserve)),
    ("time stands still after a step back", Search(Mutant::StepBackFreezes, BACK)),
    ("an hour forward is believed", Search(Mutant::StepForwardBelieved, HOUR)),
    ("a share of a limit is rounded down", Worlds(Mutant::HardShareFloored)),
    ("what is larger than the limit waits", Worlds(Mutant::TooBigWaits)),
    (
        "0.95 of a concurrency of one is none",
        Test("src/state/pools.rs", "a_share_of_a_small_limit_never_loses_a_call"),
    ),
    ("use above the estimate is dropped", Worlds(Mutant::ExcessDropped)),
    ("counters are taken as they come, not the larger", Search(Mutant::MaxMissing, TWICE)),
    ("a call is posted before its head", LongSearch(Mutant::PostedBeforeHead, SLOW_HEADS)),
    ("a call is released after it was sent", Search(Mutant::ReleasedAfterBytes, PROMPT)),
    ("the last caller's limit counts", Worlds(Mutant::CapFromCaller)),
    (
        "an upgrade in place, beside old replicas",
        Test("tests/lua.rs", "scripts_of_two_versions_work_on_one_data_set"),
    ),
    ("a day that begins drops the holds", Nothing("every window slides: none begins anew")),
    (
        "holds that were seen age while limits are shared",
        Test("src/state/core/tests/learning.rs", "missing_replicas_hold_on"),
    ),
    ("limits are shared before others' lives have lapsed", Worlds(Mutant::SharedAtOnce)),
    ("what was never seen counts as empty", Worlds(Mutant::UnseenIsEmpty)),
    (
        "a loss while learning hides what was told after it (two losses are needed)",
        Worlds(Mutant::CutEpochSetAside),
    ),
    ("the same, of what is told when learning is over", Worlds(Mutant::CutEpochLeftBehind)),
    (
        "what a replica held that was long cut off is taken off what others saw later",
        Worlds(Mutant::UnheardTakenOff),
    ),
    ("an older life cannot tell after a newer one", Worlds(Mutant::OlderLivesUntold)),
    ("whole limits are shared", Worlds(Mutant::WholeShares)),
    ("what a life that is over used is not counted where limits are shared", Worlds(Mutant::PastForgotten)),
    ("grants before all that shared have told", Worlds(Mutant::NoBarrier)),
    ("the same where nobody lived before", Worlds(Mutant::BarrierForTheLivingOnly)),
    ("a lower limit of others is raised while limits are shared", Worlds(Mutant::SharedLimitRaised)),
    ("limits that do not count are shared", Worlds(Mutant::UncountedDrawsShared)),
    ("a life ends before its last post", Worlds(Mutant::OverBeforeAllIsPosted)),
    ("what is known is told twice", LongSearch(Mutant::ToldTwice, LATE_FLUSH)),
    ("learning for the first of several shards", Nothing("a namespace is one key on one shard")),
    ("a part of the record is evicted", Nothing("all of it is one key; Redis evicts whole keys")),
    ("a script fails between two writes", Test("tests/lua.rs", "lua_does_what_the_specification_does")),
    ("another tag without telling it", Nothing("another namespace is another data set, which learns")),
    // Not of the design's list, and not about its bound.
    ("a shorter rest ends a longer one", Worlds(Mutant::ShorterRestWins)),
    ("a resting pool is drawn on", Worlds(Mutant::RestIgnored)),
    ("pace is no limit", Worlds(Mutant::PaceIgnored)),
    ("a refusal names too early a time", Worlds(Mutant::RetryTooEarly)),
    ("a refusal names the common pools' time only", Worlds(Mutant::CommonWaitAlone)),
    ("a pin beats limits", Worlds(Mutant::PinBeatsLimits)),
    ("a pin never expires", Worlds(Mutant::PinNeverExpires)),
    ("what providers say they have left is ignored", Worlds(Mutant::NothingLearned)),
    ("a probe of an open circuit holds no other back", Worlds(Mutant::ProbesPileUp)),
    ("a probe that was given up makes room for a third", Worlds(Mutant::AnyPermitCounts)),
    ("all calls are back at once when a circuit closes", Worlds(Mutant::RecoversAtOnce)),
    ("nothing is tried where all circuits are open", Worlds(Mutant::LoneNeverTried)),
    ("failures of long ago open a circuit", Worlds(Mutant::OldFailuresCount)),
    ("one replica's failures hide what goes well elsewhere", Worlds(Mutant::OneSpeaksForAll)),
    ("who fails again is tried as soon as before", Worlds(Mutant::NeverLonger)),
    ("calls probe what checks look after", Worlds(Mutant::CheckedAndProbed)),
    ("a refused account is asked as before", Worlds(Mutant::AccountPassed)),
    ("nobody leaves room to who was served less", Worlds(Mutant::NobodyYields)),
    ("who was away is served until it has caught up", Worlds(Mutant::SavesUp)),
    ("what a dead replica had in flight counts", Worlds(Mutant::DeadStayBusy)),
    ("what is in flight adds up each time it is told", Worlds(Mutant::LevelsPileUp)),
    ("budgets of periods that are over are kept", Worlds(Mutant::BudgetsKept)),
    ("what is lent adds up each time it is wanted", Worlds(Mutant::LoansPileUp)),
    ("room is lent that is not there", Worlds(Mutant::LentWithoutRoom)),
    ("a loan is used twice", Worlds(Mutant::LoanUsedTwice)),
    ("a loan is used after its life", Worlds(Mutant::LoanOutlivesLife)),
];

/// States that are enough for any of them.
const ENOUGH: usize = 2_000_000;

#[test]
fn every_mutation_of_the_design_has_its_counterexample() {
    let shown = |(what, by): &(&str, By)| {
        let shown = shown_by(by);
        println!("{what}: {}", shown.as_ref().unwrap_or_else(|missing| missing));
        shown.is_ok()
    };
    let only = std::env::var("WEIR_MUTANT").ok(); // one of them, while at work on it
    let concerns = |(_, by): &&(&str, By)| match (by, &only) {
        (_, None) => true,
        (Search(m, _) | LongSearch(m, _) | Worlds(m), Some(only)) => *only == format!("{m:?}"),
        (Test(..) | Nothing(_) | Open(_), Some(_)) => false,
    };
    let missing: Vec<&str> =
        KILLS.iter().filter(concerns).filter(|kill| !shown(kill)).map(|(what, _)| *what).collect();
    assert!(missing.is_empty(), "nothing shows that {missing:?}");
}

#[test]
fn every_switch_is_in_the_table() {
    let mutant = |by: &By| match by {
        Search(mutant, _) | LongSearch(mutant, _) | Worlds(mutant) => Some(*mutant),
        Test(..) | Nothing(_) | Open(_) => None,
    };
    let named: Vec<Mutant> = KILLS.iter().filter_map(|(_, by)| mutant(by)).collect();
    let missing: Vec<&Mutant> = Mutant::ALL.iter().filter(|mutant| !named.contains(mutant)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// What shows it, in words; or what does not.
fn shown_by(by: &By) -> Result<String, String> {
    match by {
        Search(mutant, setting) => found(*mutant, *setting),
        LongSearch(mutant, setting) if is_full() => found(*mutant, *setting),
        LongSearch(mutant, setting) => Ok(format!("{mutant:?}, {} (WEIR_MODEL=full)", setting.name)),
        Worlds(mutant) => Ok(format!("{mutant:?}, simulated worlds")),
        Test(file, name) => {
            let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file));
            let is_there = text.is_ok_and(|text| text.contains(&format!("fn {name}(")));
            if is_there { Ok(format!("{file}, {name}")) } else { Err(format!("{file} has no {name}")) }
        }
        Nothing(why) | Open(why) => Ok((*why).to_owned()),
    }
}

fn found(mutant: Mutant, setting: Setting) -> Result<String, String> {
    let outcome = without(mutant, || search(setting, ENOUGH));
    let Some((breach, way)) = &outcome.breach else {
        return Err(format!("{mutant:?} breaks nothing in {:?}: {outcome}", setting.name));
    };
    let (steps, states) = (way.len(), outcome.states);
    let is_searched = QUICK.iter().chain(FULL).any(|searched| searched.name == setting.name);
    if !is_searched && search(setting, states).breach.is_some() {
        return Err(format!("{:?} is broken without {mutant:?}", setting.name));
    }
    Ok(format!("{mutant:?}, {}: {:?} after {steps} steps, {states} states", setting.name, breach.rule))
}
