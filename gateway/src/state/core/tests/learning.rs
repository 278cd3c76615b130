//! Single scenes of learning after a loss of data that random worlds meet too seldom.

use std::sync::Arc;

use super::judge::{Breach, breach};
use crate::state::core::learn::LEARN;
use crate::state::core::{
    Caller, Candidate, Command, Counters, Declared, Draw, Incarnation, Join, Memory, Meter, PoolDecl,
    PoolMemory, Reply, Reserve, Reserved, Shape, Stage, Stamp, State, Sync,
};
use crate::state::ledger::Ledger;

const EPOCH: u64 = 77;
const BORN: u64 = 1_000_000;

fn replica(name: &str) -> Incarnation {
    Incarnation { name: name.into(), k: 1 }
}

fn pool() -> PoolDecl {
    let declared = Declared { shape: Shape::window(60_000, Stage::Head), cap: 10, pace: 0 };
    PoolDecl { key: "p".into(), meters: [declared].into(), slow_start: None }
}

fn lost() -> State {
    State::lost(Stamp { now: BORN, nonce: EPOCH, run: 1 })
}

/// A HELLO of `name`: what it posted, how much of that its image includes, and the image (`all` posted, `others` held).
fn hello(name: &str, posted: u64, seen: u64, all: u64, others: u64) -> Command {
    let counters = Counters { granted: posted, returned: posted, posted };
    let told = PoolMemory {
        decl: pool(),
        counters: vec![counters],
        age: 100,
        seen: vec![seen],
        posted: vec![all],
        others: vec![others],
        kept: vec![0],
        window: vec![vec![(0, all)]],
        rest: 0,
    };
    let memory = Memory { age: 100, roster: vec![replica("one"), replica("two")], pools: vec![told] };
    Command::Join(Join { inc: replica(name), d_head: 500, d_end: 900, epoch: EPOCH, memory, more: false })
}

fn meter(state: &State) -> &Meter {
    &state.pools["p"].meters[0]
}

/// The same of somebody who has used nothing: an image alone, looked at `age` ago.
fn image(name: &str, all: u64, age: u64) -> Command {
    let Command::Join(mut join) = hello(name, 0, 0, all, 0) else { panic!("a HELLO is a JOIN") };
    join.memory.pools[0].age = age;
    Command::Join(join)
}

/// What one replica saw before a loss that it missed, and what another saw after it, both count: whoever tells first, and
/// also when learning is over. Broken on purpose: `HistoriesMixed`; and, each alone, images of an earlier history dropped,
/// of a later one put in place of the fuller one, and the same when learning is over.
#[test]
fn images_of_two_histories_hide_each_other_in_no_order() {
    let (before, after) = (image("one", 8, 2_600), image("two", 5, 100));
    for (first, second) in [(&before, &after), (&after, &before)] {
        let mut state = lost();
        state.step(first, BORN + 10);
        state.step(second, BORN + 20);
        assert!(state.learn.is_some());
        assert_eq!(meter(&state).image_sum, 13);
    }
    let mut state = lost();
    state.step(&after, BORN + 10);
    state.conclude();
    state.step(&before, BORN + 20);
    assert_eq!(meter(&state).image_sum, 13);
}

/// A server takes over whose time has stood still longer than its clock is believed: what was seen after its last step
/// seems to have been seen long before it. Broken on purpose: images of an earlier history dropped.
#[test]
fn what_was_seen_after_a_copy_was_made_counts_though_its_clock_lags() {
    let mut state = lost();
    state.step(&image("one", 3, 100), BORN + 10);
    state.conclude();
    let moved = Stamp { now: BORN + 9_000, nonce: EPOCH + 1, run: 2 };
    let Command::Join(told) = image("two", 5, 8_900) else { panic!("a HELLO is a JOIN") };
    // A newcomer comes first; nobody whose word on the time counts has asked yet.
    state.step(
        &Command::Join(Join { inc: replica("three"), d_head: 500, d_end: 900, ..Join::default() }),
        moved,
    );
    state.step(&Command::Join(Join { epoch: EPOCH + 1, ..told }), Stamp { now: BORN + 9_010, ..moved });
    assert!(meter(&state).image_sum >= 5, "{:?}", meter(&state));
}

pub(super) fn missing_replicas_hold_on() -> Result<(), Breach> {
    let mut state = lost();
    state.step(&hello("one", 2, 2, 4, 5), BORN + 10);
    let caller = Caller { epoch: EPOCH, inc: replica("one"), l_ack: BORN + 10, x: 0 };
    let sync = Command::Sync(Sync {
        caller,
        reports: vec![],
        rests: vec![],
        outcomes: vec![],
        telling: None,
        count: false,
    });
    for now in (BORN..BORN + LEARN + 400).step_by(200) {
        state.step(&sync, now);
    }
    match (&state.learn, meter(&state).hold) {
        (None, 5) => Ok(()),
        other => Err(breach("what the missing held is held on", format!("{other:?}"))),
    }
}

/// One saw that somebody holds 5. What another held that was cut off long before is not among them; what one held that was
/// not is.
pub(super) fn what_was_held_long_before_is_not_among_what_was_seen() -> Result<(), Breach> {
    for (age, held) in [(100, 0), (5_000, 5)] {
        let mut state = lost();
        state.step(&hello("one", 0, 0, 4, 5), BORN + 6_000);
        let Command::Join(mut two) = hello("two", 0, 0, 4, 0) else { panic!("a HELLO is a JOIN") };
        (two.memory.age, two.memory.pools[0].age, two.memory.pools[0].kept) = (age, age, vec![5]);
        state.step(&Command::Join(two), BORN + 6_010);
        state.conclude();
        if meter(&state).hold != held {
            return Err(breach(
                "what the missing held is held on",
                format!("{} of {held}", meter(&state).hold),
            ));
        }
    }
    Ok(())
}

pub(super) fn an_old_join_tells_nothing() -> Result<(), Breach> {
    let mut state = lost();
    let late = Join { inc: replica("two"), d_head: 500, d_end: 900, ..Join::default() };
    state.step(&Command::Join(late), BORN + 5);
    state.step(&hello("one", 0, 0, 1, 0), BORN + 10);
    state.step(&hello("one", 0, 0, 1, 0), BORN + 900);
    match &state.learn {
        Some(_) => Ok(()),
        None => Err(breach("a late copy of an old JOIN is not taken for a report", "learning ended")),
    }
}

pub(super) fn an_image_swallows_nothing() -> Result<(), Breach> {
    let mut state = lost();
    state.step(&hello("one", 5, 2, 4, 0), BORN + 510); // 3 of its 5 are not in its image of 4
    state.step(&hello("two", 3, 3, 6, 0), BORN + 520); // a newer image
    match meter(&state).used() {
        9 => Ok(()),
        used => Err(breach("what was posted since counts besides the image", format!("{used} of 9"))),
    }
}

/// One told what it had posted since it looked; data that had it were lost again before the other told of as much, seen.
pub(super) fn a_loss_while_learning_hides_nothing() -> Result<(), Breach> {
    let mut state = lost_while_learning();
    state.step(&again(hello("two", 3, 3, 3, 0)), BORN + 30);
    state.step(&again(hello("one", 3, 0, 0, 0)), BORN + 30);
    counts_six(&state)
}

/// The same, and nobody told in time.
pub(super) fn a_loss_while_learning_hides_nothing_told_late() -> Result<(), Breach> {
    let mut state = lost_while_learning();
    state.conclude();
    state.step(&again(hello("two", 3, 3, 3, 0)), BORN + 30);
    counts_six(&state)
}

/// One had told of 3 that it posted since it looked, when another server took over that has them as well.
fn lost_while_learning() -> State {
    let mut state = lost();
    state.step(&hello("one", 3, 0, 0, 0), BORN + 10);
    let newcomer = Join { inc: replica("three"), d_head: 500, d_end: 900, ..Join::default() };
    state.step(&Command::Join(newcomer), Stamp { now: BORN + 20, nonce: EPOCH + 1, run: 2 });
    state
}

/// A HELLO to the data set after that.
fn again(command: Command) -> Command {
    let Command::Join(join) = command else { panic!("a HELLO is a JOIN") };
    Command::Join(Join { epoch: EPOCH + 1, ..join })
}

fn counts_six(state: &State) -> Result<(), Breach> {
    match meter(state).used() {
        6 => Ok(()),
        used => Err(breach(
            "what was told before a further loss counts besides the image",
            format!("{used} of 6"),
        )),
    }
}

pub(super) fn all_that_lived_are_awaited() -> Result<(), Breach> {
    let mut state = lost();
    state.step(&hello("one", 0, 0, 1, 0), BORN + 10);
    state.step(&hello("one", 0, 0, 1, 0), BORN + 900); // knows of another
    match &state.learn {
        Some(_) => Ok(()),
        None => Err(breach("learning awaits all that lived", "it ended")),
    }
}

/// An older life of two has ended; one heard of it last when it had not. Broken on purpose once: `has_told` not looked at.
#[test]
fn older_lives_that_are_over_are_not_awaited() {
    let hello = |name: &str, roster: &[(&str, u64)], k| {
        let Command::Join(mut join) = hello(name, 0, 0, 1, 0) else { panic!("a HELLO is a JOIN") };
        let named = roster.iter().map(|(name, k)| Incarnation { name: (*name).into(), k: *k });
        (join.memory.roster, join.inc.k) = (named.collect(), k);
        Command::Join(join)
    };
    let one = hello("one", &[("two", 1), ("two", 2)], 1);
    let two = hello("two", &[("one", 1)], 2);
    for (first, second) in [(&one, &two), (&two, &one)] {
        let mut state = lost();
        state.step(first, BORN + 10);
        assert!(state.learn.is_some());
        state.step(second, BORN + 420);
        assert!(state.learn.is_none(), "{:?}", state.learn);
    }
    let mut state = lost();
    state.step(&hello("two", &[("two", 1)], 2), BORN + 10); // it is not over
    state.step(&one, BORN + 420);
    assert!(state.learn.is_some());
}

pub(super) fn grants_of_before_are_not_used() -> Result<(), Breach> {
    let ledger = Arc::new(Ledger::new(replica("one"), 1));
    let caller = Caller { epoch: 1, inc: replica("one"), l_ack: 0, x: 0 };
    let draws = vec![Draw { pool: 0, amounts: [1].into_iter().collect() }];
    let candidate = Candidate { tag: 1, tier: 0, threshold: 1_000_000, circuit: None, account: 0, draws };
    let ask = Reserve {
        caller,
        pools: vec![pool()],
        common: vec![],
        candidates: vec![candidate],
        session: None,
        tell: Default::default(),
        luck: 0,
        most: crate::state::core::meter::WHOLE,
        turn: None,
    };
    let outstanding = ledger.sending(Arc::new(ask));
    ledger.turn(EPOCH);
    let told = ledger.told(0);
    let granted = outstanding.granted(0, 0);
    match (told.len(), granted.is_some()) {
        (0, false) => Ok(()),
        other => Err(breach("a grant that the data set was not told of is not used", format!("{other:?}"))),
    }
}

#[test]
fn nothing_is_granted_while_learning() {
    let mut state = lost();
    state.step(&hello("one", 0, 0, 1, 0), BORN + 10);
    let caller = Caller { epoch: EPOCH, inc: replica("one"), l_ack: BORN + 10, x: 0 };
    let draws = vec![Draw { pool: 0, amounts: [1].into_iter().collect() }];
    let candidate = Candidate { tag: 1, tier: 0, threshold: 1_000_000, circuit: None, account: 0, draws };
    let ask = Reserve {
        caller,
        pools: vec![pool()],
        common: vec![],
        candidates: vec![candidate],
        session: None,
        tell: Default::default(),
        luck: 0,
        most: crate::state::core::meter::WHOLE,
        turn: None,
    };
    let ask = Command::Reserve(Arc::new(ask));
    assert!(matches!(state.step(&ask, BORN + 20), Reply::Learning(_)));
    state.step(&hello("two", 0, 0, 1, 0), BORN + 30);
    assert!(matches!(state.step(&ask, BORN + 400), Reply::Learning(_)), "somebody may have joined lately");
    state.step(&ask, BORN + 401);
    assert!(matches!(state.step(&ask, BORN + 402), Reply::Reserved(Reserved::Granted(_))));
}
