//! Circuits of accounts, and deployments that are checked without calls. What was broken on purpose to see these fail stands in
//! [`super::mutants`].

use super::circuits::{Cluster, ROOM, TRIP};
use super::judge::Breach;
use crate::state::core::circuit::{CHECK, LONE};
use crate::state::core::{Cause, Circuit, Ending, Ms, Outcome, Trip};

/// Both deployments 1 and 2 are this account's; 3 is another's.
const ACCOUNT: u64 = 10;
/// By what a refusal opens the circuit of an account.
const SHUTS: Trip = Trip {
    failures: 1,
    ratio: 0,
    min_calls: 1,
    window: 30_000,
    open: 30_000,
    successes: 1,
    ramp: 0,
    most: 200_000,
};

fn cluster() -> Cluster {
    let mut cluster = Cluster::new();
    cluster.accounts = [(1, ACCOUNT), (2, ACCOUNT), (3, 20)].into();
    cluster
}

fn ended(cluster: &mut Cluster, cause: Cause, ending: Ending, permit: u64) {
    let mut outcome = Outcome::none(cause.tag(ACCOUNT), SHUTS);
    match ending {
        Ending::Wrong => outcome.add(ending, permit),
        _ => outcome.probes.push((permit, ending)),
    }
    cluster.tell(1, vec![outcome]);
}

fn checked(cluster: &mut Cluster, tag: u64, ending: Ending) {
    let mut outcome = Outcome::none(tag, TRIP);
    outcome.checked(ending, false);
    cluster.tell(2, vec![outcome]);
}

/// When the next call is let through by whom nothing was heard of for so long.
fn next_probe(cluster: &mut Cluster, tags: &[u64]) -> (Ms, u64) {
    for second in 1..1_000 {
        cluster.wait(1_000);
        match cluster.ask(second % 3, tags, ROOM, 0, None) {
            Ok((_, permit)) if permit > 0 => return (1_000 * second, permit),
            _ => {}
        }
    }
    panic!("no probe")
}

#[test]
fn one_refusal_of_a_key_shuts_all_its_deployments_and_each_probe_that_fails_doubles_the_time() {
    let mut cluster = cluster();
    cluster.ended(0, 1, Ending::Well, 0); // somebody has just said that it works
    ended(&mut cluster, Cause::Key, Ending::Wrong, 0);
    for who in 0..3 {
        assert_eq!(cluster.ask(who, &[1, 2, 3], ROOM, 0, None), Ok((2, 0)), "at once, for all");
    }
    let mut waits = Vec::new();
    for _ in 0..6 {
        let (wait, permit) = next_probe(&mut cluster, &[1, 2, 3]);
        waits.push(wait);
        for who in 0..3 {
            assert_eq!(
                cluster.ask(who, &[2, 1, 3], ROOM, 0, None),
                Ok((2, 0)),
                "one, whichever deployment it has"
            );
        }
        ended(&mut cluster, Cause::Key, Ending::Wrong, permit);
        ended(&mut cluster, Cause::Quota, Ending::Unknown, permit);
    }
    assert_eq!(waits, [30_000, 30_000, 60_000, 120_000, 200_000, 200_000]);
    let (_, permit) = next_probe(&mut cluster, &[1, 2, 3]);
    ended(&mut cluster, Cause::Key, Ending::Well, permit);
    assert!(cluster.state.circuits.known.is_empty(), "and is back at once");
    assert_eq!(cluster.ask(0, &[2, 3], ROOM, 999_999, None), Ok((0, 0)));
}

#[test]
fn a_call_that_must_pass_several_circuits_is_a_probe_of_all_that_are_open() {
    let mut cluster = cluster();
    ended(&mut cluster, Cause::Key, Ending::Wrong, 0);
    ended(&mut cluster, Cause::Quota, Ending::Wrong, 0);
    cluster.wait(10_000);
    cluster.fail(1, 5);
    cluster.wait(20_000);
    assert_eq!(cluster.ask(0, &[1, 3], ROOM, 0, None), Ok((1, 0)), "its own is not due");
    let Ok((0, permit @ 1..)) = cluster.ask(0, &[2, 3], ROOM, 0, None) else { panic!("no probe") };
    ended(&mut cluster, Cause::Key, Ending::Well, permit);
    assert_eq!(cluster.ask(0, &[2, 3], ROOM, 0, None), Ok((1, 0)), "of its credit nothing is known yet");
    ended(&mut cluster, Cause::Quota, Ending::Well, permit);
    assert_eq!(cluster.ask(0, &[2, 3], ROOM, 0, None), Ok((0, 0)));
    assert_eq!(cluster.ask(0, &[1, 3], ROOM, 0, None), Ok((1, 0)), "its own is still open");
}

#[test]
fn where_nothing_but_a_refused_account_is_left_a_call_each_second_is_let_through() {
    let mut cluster = cluster();
    ended(&mut cluster, Cause::Key, Ending::Wrong, 0);
    let denied = cluster.ask(0, &[1, 2], ROOM, 0, None).unwrap_err();
    assert!(denied.open && denied.retry_in == LONE, "{denied:?}");
    cluster.wait(LONE);
    assert!(matches!(cluster.ask(0, &[1, 2], ROOM, 0, None), Ok((0, 1..))));
    assert!(cluster.ask(1, &[2, 1], ROOM, 0, None).is_err(), "whichever of its deployments");
}

#[test]
fn while_a_deployment_is_checked_no_call_is_a_probe_and_good_checks_close_its_circuit() {
    let mut cluster = cluster();
    (0..TRIP.failures).for_each(|_| checked(&mut cluster, 1, Ending::Wrong));
    assert_eq!(cluster.ask(0, &[1, 3], ROOM, 0, None), Ok((1, 0)), "failed checks count as failed calls do");
    for _ in 0..10 {
        cluster.wait(TRIP.open - 1_000);
        checked(&mut cluster, 1, Ending::Wrong);
        assert_eq!(cluster.ask(0, &[1, 3], ROOM, 0, None), Ok((1, 0)), "no call is tried");
    }
    for _ in 1..TRIP.successes {
        checked(&mut cluster, 1, Ending::Well);
        assert_eq!(cluster.ask(0, &[1, 3], ROOM, 0, None), Ok((1, 0)), "not after a good one either");
    }
    checked(&mut cluster, 1, Ending::Wrong);
    (0..TRIP.successes).for_each(|_| checked(&mut cluster, 1, Ending::Well));
    assert!(matches!(cluster.state.circuits.known[&1], Circuit::Ramp { .. }), "so many in a row");
    cluster.wait(TRIP.ramp);
    assert_eq!(cluster.ask(0, &[1, 3], ROOM, 0, None), Ok((0, 0)));
}

#[test]
fn where_nobody_checks_any_more_a_call_is_a_probe_again() {
    let mut cluster = cluster();
    cluster.fail(1, TRIP.failures);
    checked(&mut cluster, 1, Ending::Wrong);
    cluster.wait(TRIP.open);
    let Ok((0, permit @ 1..)) = cluster.ask(0, &[1, 3], ROOM, 0, None) else { panic!("no probe") };
    assert_ne!(permit, CHECK);
}

#[test]
fn a_good_check_speaks_against_no_failed_call() {
    let mut cluster = cluster();
    for _ in 0..TRIP.failures {
        cluster.fail(1, 1);
        checked(&mut cluster, 1, Ending::Well);
        cluster.wait(5_000);
    }
    assert!(cluster.state.circuits.known[&1].is_open(), "it lists its models and fails every call");
}

/// What finds a circuit of an account, or a check, that is broken on purpose.
pub(super) fn all() -> Result<(), Breach> {
    one_refusal_of_a_key_shuts_all_its_deployments_and_each_probe_that_fails_doubles_the_time();
    while_a_deployment_is_checked_no_call_is_a_probe_and_good_checks_close_its_circuit();
    Ok(())
}

/// Broken on purpose to see it fail: the later word taken, whatever it says.
#[test]
fn of_two_refusals_before_one_is_told_the_longer_counts() {
    let trip = |open| Trip {
        failures: 1,
        ratio: 0,
        min_calls: 1,
        window: 30_000,
        open,
        successes: 1,
        ramp: 0,
        most: 0,
    };
    let refused = |open| {
        let mut one = Outcome::none(2, trip(open));
        one.add(Ending::Wrong, 0);
        one
    };
    assert_eq!(refused(600_000).and(&refused(30_000)).trip.open, 600_000);
    assert_eq!(refused(30_000).and(&refused(600_000)).trip.open, 600_000);
    let mut probe = Outcome::none(2, trip(30_000));
    probe.add(Ending::Unknown, 7);
    assert_eq!(refused(600_000).and(&probe).trip.open, 600_000, "a probe that says nothing");
    assert_eq!(probe.and(&refused(600_000)).trip.open, 600_000);
}
