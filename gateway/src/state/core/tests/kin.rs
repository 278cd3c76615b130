//! Where sessions go that cannot stay.

use super::conversations::{Cluster, Turn};
use crate::state::core::{DEAR, Kin, Likeness};

const fn like(model: u64, provider: u64, set: u64) -> Likeness {
    Likeness { model, provider, set, cold: DEAR, worth: 0 }
}

/// The session is at deployment 0, which rests; the others are used so much of a thousand.
/// Where does it go, with these thresholds (millionths) and tiers?
fn moves_to(of: [Likeness; 4], used: [u64; 3], thresholds: [u64; 4], tiers: [u64; 4]) -> usize {
    let kin = Kin { of: of.into(), lost: None, within: 20_000, spare: 0 };
    let mut cluster = Cluster::new(4, [1_000, 1_000_000]);
    let among: Vec<_> = (0..4).map(|at| (at, tiers[at], thresholds[at])).collect();
    let turn = |session| Turn { tokens: 1, session };
    assert_eq!(cluster.ask(0, &among[..1], turn(Some(("s", Kin::default())))), Ok(0));
    for (at, used) in (1..).zip(used) {
        (0..used).for_each(|_| assert_eq!(cluster.ask(0, &among[at..=at], turn(None)), Ok(at)));
    }
    cluster.sync(&[(0, 5_000)]);
    let moved = cluster.ask(1, &among, turn(Some(("s", kin.clone())))).expect("others have room");
    assert_eq!(cluster.ask(2, &among, turn(Some(("s", kin)))), Ok(moved), "and there it stays");
    moved
}

const FIRST_SIGHT: [u64; 4] = [1_000_000; 4];
const COMPARED: [u64; 4] = [0; 4];
const ONE_TIER: [u64; 4] = [0; 4];

/// Broken on purpose to see it fail: nearness not looked at; provider before model.
#[test]
fn it_goes_to_the_same_model_first_then_to_the_same_provider() {
    let home = like(7, 5, 0);
    let goes = |others: [Likeness; 3]| {
        let [b, c, d] = others;
        moves_to([home, b, c, d], [0; 3], FIRST_SIGHT, ONE_TIER)
    };
    assert_eq!(goes([like(1, 1, 0), like(1, 5, 0), like(7, 1, 0)]), 3, "the same model");
    assert_eq!(goes([like(7, 1, 0), like(1, 5, 0), like(7, 5, 0)]), 3, "the same of both");
    assert_eq!(goes([like(1, 1, 0), like(1, 5, 0), like(2, 2, 0)]), 2, "the same provider");
    assert_eq!(goes([like(1, 1, 0), like(2, 2, 0), like(3, 3, 0)]), 1, "the first, as any call");
    assert_eq!(goes([like(0, 0, 0), like(7, 0, 0), like(0, 5, 0)]), 2);
}

/// Broken on purpose to see it fail: sets and tiers not looked at; shares compared with no tolerance, or with any.
#[test]
fn only_among_those_that_are_about_as_good() {
    let (home, other, same) = (like(7, 5, 0), like(1, 1, 0), like(7, 5, 0));
    let worse = Likeness { set: 1, ..same };
    assert_eq!(moves_to([home, other, worse, worse], [0; 3], FIRST_SIGHT, ONE_TIER), 1, "another set");
    assert_eq!(moves_to([home, other, same, same], [0; 3], FIRST_SIGHT, [0, 0, 1, 1]), 1, "another tier");
    let soft = [800_000; 4];
    assert_eq!(moves_to([home, other, same, other], [0, 900, 0], soft, ONE_TIER), 1, "above its threshold");
    let compared = |used| moves_to([home, other, same, other], used, COMPARED, ONE_TIER);
    assert_eq!(compared([100, 115, 300]), 2, "shares that differ by less than 2 %");
    assert_eq!(compared([100, 125, 300]), 1, "by more");
    assert_eq!(moves_to([home, other, other, other], [20, 10, 15], COMPARED, ONE_TIER), 2, "the least used");
}

/// Who has failed the call is no candidate any more, and is known all the same.
#[test]
fn it_remembers_who_has_just_failed() {
    let mut cluster = Cluster::new(3, [1_000, 1_000_000]);
    let all: Vec<_> = (0..3).map(|at| (at, 0, 1_000_000)).collect();
    let of = vec![like(1, 1, 0), like(7, 1, 0)];
    let goes = |cluster: &mut Cluster, key, lost| {
        let kin = Kin { of: of.clone(), lost, within: 0, spare: 0 };
        cluster.ask(0, &all[1..], Turn { tokens: 1, session: Some((key, kin)) })
    };
    assert_eq!(goes(&mut cluster, "a", Some(like(7, 5, 0))), Ok(2));
    assert_eq!(goes(&mut cluster, "b", None), Ok(1));
    assert_eq!(goes(&mut cluster, "c", Some(like(0, 0, 0))), Ok(1));
}

/// A session that went to a dearer deployment while there was no room, in a later tier, comes back when a cold call costs less than
/// a warm one there. Broken on purpose to see it fail: the price not looked at; tiers not; `spare` not.
#[test]
fn a_session_leaves_a_warm_deployment_only_for_who_comes_before_and_costs_less() {
    let priced = |cold, worth| Likeness { cold, worth, ..like(1, 1, 0) };
    // The session is at 1; what does its next call take?
    let goes = |cold: u64, tier: u64, used: u64| {
        let mut cluster = Cluster::new(2, [1_000, 1_000_000]);
        let among = [(0, 0, 1_000_000), (1, tier, 1_000_000)];
        let kin = Kin { of: vec![priced(cold, 0), priced(900, 500)], lost: None, within: 0, spare: 800_000 };
        let turn = |session| Turn { tokens: 1, session };
        assert_eq!(cluster.ask(0, &among[1..], turn(Some(("s", Kin::default())))), Ok(1));
        (0..used).for_each(|_| assert_eq!(cluster.ask(0, &among[..1], turn(None)), Ok(0)));
        let next = cluster.ask(1, &among, turn(Some(("s", kin.clone()))));
        assert_eq!(cluster.ask(2, &among, turn(Some(("s", kin)))), next, "and there it stays");
        next.ok()
    };
    assert_eq!(goes(499, 1, 700), Some(0), "cold for less than warm");
    assert_eq!(goes(500, 1, 700), Some(1), "as dear");
    assert_eq!(goes(DEAR, 1, 700), Some(1), "nobody knows");
    assert_eq!(goes(499, 0, 700), Some(1), "the strategy holds them for equal");
    assert_eq!(goes(499, 1, 800), Some(1), "there is little room");
}
