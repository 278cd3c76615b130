use super::*;
use crate::state::core::behaviour::MINUTE;

fn inc(name: &str, k: u64) -> Incarnation {
    Incarnation { name: name.into(), k }
}

fn common(busy: &[(&str, u64, u64)]) -> Behaviour {
    let busy = busy.iter().map(|(name, k, busy)| ((*name).to_owned(), (*k, *busy))).collect();
    Behaviour { minute: 10, sums: [800; SUMS], busy, ..Behaviour::default() }
}

/// Broken on purpose to see it fail: told though nothing changed; the level not told again when it was lost.
#[test]
fn what_changed_is_told_once_and_a_lost_level_again() {
    let watched = Watched::new(7);
    assert_eq!(watched.due(), None);
    watched.begin();
    watched.add(&[1.5; SUMS], [1, 2, 3]);
    let shown = watched.due().unwrap();
    assert_eq!((shown.busy, shown.sums[0], shown.demand), (1, 1, [1, 2, 3]));
    assert_eq!(watched.due(), None, "half a unit waits");
    watched.unsaid(&shown, false);
    let again = watched.due().unwrap();
    assert_eq!((again.busy, again.sums[0], again.demand), (1, 0, [0; 3]), "sums may have been taken");
    watched.unsaid(&shown, true);
    assert_eq!(watched.due().unwrap().demand, [1, 2, 3]);
    watched.end();
    assert_eq!(watched.due().unwrap().busy, 0);
    watched.anew();
    assert_eq!(watched.due(), None, "another data set knows of nothing as well");
}

/// Broken on purpose to see it fail: the own level not looked at.
#[test]
fn a_level_that_something_late_has_overtaken_is_told_again() {
    let (watched, alive) = (Watched::new(7), [inc("one", 4)].into());
    watched.begin();
    assert_eq!(watched.due().unwrap().busy, 1);
    watched.heard(common(&[("one", 4, 1)]), &inc("one", 4), &alive, 600_000, 50);
    assert_eq!(watched.due(), None);
    watched.heard(common(&[("one", 4, 3)]), &inc("one", 4), &alive, 600_000, 50);
    assert_eq!(watched.due().unwrap().busy, 1);
}

/// Broken on purpose to see it fail: others' counted while the state is away; those of the dead counted; sums that do not fade.
#[test]
fn what_the_others_know_counts_while_they_live_and_the_state_is_heard() {
    let (watched, own) = (Watched::new(7), inc("one", 4));
    let alive = BTreeSet::from([inc("one", 4), inc("two", 1)]);
    watched.begin();
    let all = common(&[("one", 4, 1), ("two", 1, 5), ("dead", 1, 9)]);
    watched.heard(all, &own, &alive, 10 * MINUTE + 1_000, 50);
    watched.fresh(50);
    let known = watched.known(60);
    assert_eq!((known.own, known.others, known.sums[0]), (1, 5, 800.0));
    watched.recount("one", &BTreeSet::from([inc("one", 4)]));
    assert_eq!(watched.known(60).others, 0);
    watched.recount("one", &alive);
    assert_eq!(watched.known(60 + HEARD_FOR).others, 0);
    assert_eq!(watched.known(60 + MINUTE).sums[0], 400.0);
    watched.add(&[7.0; SUMS], [0; 3]);
    assert_eq!(watched.known(60).sums[0], 807.0, "what was not told yet counts here");
}
