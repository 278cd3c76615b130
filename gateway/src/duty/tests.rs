use std::path::Path;
use std::time::{Duration, Instant};

use super::told::{Heard, Strangers};
use super::*;
use crate::config::check::check;
use crate::state::Port;

const ONE: &str = "{ name = \"d\", weight = 3 }";

fn config(targets: &str) -> Config {
    let text = format!(
        "version = 1\n[[accounts]]\nname = \"a\"\nprovider = \"openai-compatible\"\nbase_url = \"http://h/v1\"\n\
         [[deployments]]\nname = \"d\"\naccount = \"a\"\nmodel = \"u\"\n\
         [[deployments]]\nname = \"e\"\naccount = \"a\"\nmodel = \"u\"\n\
         [[models]]\nname = \"m\"\ndeployments = [{targets}, \"e\"]\n[[models]]\nname = \"n*\"\ndeployments = [\"d\"]\n"
    );
    check(Path::new("weir.toml"), &text, &|_| None).unwrap_or_else(|report| panic!("{report}"))
}

fn port() -> Port {
    Port::Local(Arc::default())
}

/// Hears what all are told.
async fn heard(port: &Port, duties: &[Arc<Duty>]) {
    let (_, posted) = port.boards().await.unwrap();
    Heard::default().hear(port, duties, Arc::new(posted)).await.unwrap();
}

/// Makes a change, whatever stood there.
async fn set(port: &Port, duty: &Duty, change: Change) -> Result<(), crate::state::Away> {
    told::set(port, duty, change, None).await.map(|made| assert!(made))
}

#[test]
fn the_basis_is_the_files_weights_in_every_model() {
    assert_eq!(basis(&config(ONE), DeploymentId(0)), "m=3 n*=auto ");
    assert_eq!(basis(&config("\"d\""), DeploymentId(0)), "m=auto n*=auto ");
    assert_eq!(basis(&config(ONE), DeploymentId(1)), "m=auto ");
    let mut other = config(ONE);
    other.models.reverse();
    assert_eq!(basis(&other, DeploymentId(0)), "m=3 n*=auto ", "whatever the order of the file");
}

/// Two replicas. Broken on purpose to see it fail: an older version adopted; a change made to what was known before somebody
/// else's (the drain ended with the weight).
#[tokio::test]
async fn what_one_replica_is_told_all_hear_and_two_changes_at_once_are_both_made() {
    let (port, config) = (port(), config(ONE));
    let replicas = [of(&config, None), of(&config, None)];
    set(&port, &replicas[0][0], Change::Drained(true)).await.unwrap();
    assert!(replicas[0][0].is_drained() && !replicas[1][0].is_drained());
    set(&port, &replicas[1][0], Change::Weight(Some(0.5))).await.unwrap(); // it had not heard of the drain
    heard(&port, &replicas[0]).await;
    for duty in [&replicas[0][0], &replicas[1][0]] {
        assert_eq!((duty.is_drained(), duty.weight()), (true, Some(0.5)));
        assert_eq!(duty.told().unwrap().version, 2);
    }
    assert!(replicas.iter().all(|duties| !duties[1].is_drained() && duties[1].told().is_none()));
    set(&port, &replicas[0][0], Change::Drained(false)).await.unwrap();
    set(&port, &replicas[0][0], Change::Weight(None)).await.unwrap();
    heard(&port, &replicas[1]).await;
    assert_eq!((replicas[1][0].is_drained(), replicas[1][0].weight()), (false, None));
    let old = Told { version: 1, drained: true, weight: None, basis: String::new() };
    assert!(!replicas[1][0].adopt(&old));
    assert_eq!(Told::read(&format!("1 {}", old.text())), Some(old));
}

/// Broken on purpose to see it fail: a drain held by the basis as well (a reload lifted it); a weight not held by it.
#[tokio::test]
async fn a_reload_lifts_no_drain_and_a_weight_holds_until_the_files_own_changes() {
    let (port, first) = (port(), config(ONE));
    let duties = of(&first, None);
    set(&port, &duties[0], Change::Drained(true)).await.unwrap();
    set(&port, &duties[0], Change::Weight(Some(9.0))).await.unwrap();
    let reload = |config: &Config| {
        let after = of(config, Some(&duties));
        after.iter().enumerate().for_each(|(at, duty)| duty.rebase(basis(config, DeploymentId(at))));
        after
    };
    let same = reload(&config(ONE));
    assert!(Arc::ptr_eq(&same[0], &duties[0]), "calls that began before see what changes now");
    assert_eq!((same[0].is_drained(), same[0].weight()), (true, Some(9.0)));
    let other = reload(&config(&ONE.replace('3', "4")));
    assert_eq!((other[0].is_drained(), other[0].weight()), (true, None));
    // A later change does not bring back the weight that the file has overruled.
    set(&port, &other[0], Change::Drained(false)).await.unwrap();
    reload(&config(&ONE.replace('3', "4")));
    assert_eq!((other[0].is_drained(), other[0].weight()), (false, None));
    // The file of before does.
    reload(&config(ONE));
    assert_eq!((other[0].is_drained(), other[0].weight()), (false, Some(9.0)));
}

/// Two replicas in a rollout, by files with other weights. Broken on purpose to see it fail: a drain told with the weight that holds
/// where it is set (a click at the new one took the weight from the old one).
#[tokio::test]
async fn a_drain_set_by_one_file_changes_no_weight_that_holds_by_another() {
    let port = port();
    let (old, new) = (of(&config(ONE), None), of(&config(&ONE.replace('3', "4")), None));
    set(&port, &old[0], Change::Weight(Some(9.0))).await.unwrap();
    heard(&port, &new).await;
    assert_eq!(new[0].weight(), None);
    set(&port, &new[0], Change::Drained(true)).await.unwrap();
    heard(&port, &old).await;
    assert_eq!((old[0].is_drained(), old[0].weight()), (true, Some(9.0)));
    assert_eq!((new[0].is_drained(), new[0].weight()), (true, None));
}

/// Broken on purpose to see it fail: the version seen not compared (the weight of who came first was lost).
#[tokio::test]
async fn who_has_seen_an_older_one_changes_nothing() {
    let (port, config) = (port(), config(ONE));
    let (here, there) = (of(&config, None), of(&config, None));
    let weigh = Change::Weight(Some(2.0));
    assert!(told::set(&port, &here[0], weigh, Some(0)).await.unwrap());
    // It has not heard of it, as its page has not.
    assert!(!told::set(&port, &there[0], Change::Weight(Some(5.0)), Some(0)).await.unwrap());
    assert_eq!((there[0].weight(), there[0].version()), (Some(2.0), 1), "it has heard now");
    assert!(!told::set(&port, &there[0], Change::Weight(None), Some(0)).await.unwrap());
    assert!(told::set(&port, &there[0], Change::Weight(None), Some(1)).await.unwrap());
}

/// A file without a deployment, and the rollback. Broken on purpose to see it fail: duties of new names begun with nothing (calls
/// went there until the next look).
#[tokio::test]
async fn a_drained_deployment_that_a_reload_brings_back_is_drained_from_the_first_call_on() {
    let (port, config, board) = (port(), config(ONE), Heard::default());
    let others = of(&config, None);
    set(&port, &others[0], Change::Drained(true)).await.unwrap();
    board.hear(&port, &others[1..], Arc::new(port.boards().await.unwrap().1)).await.unwrap();
    let back = of(&config, Some(&others[1..]));
    assert!(!back[0].is_drained());
    board.adopt(&back);
    assert!(back[0].is_drained() && !back[1].is_drained());
    // What is known already is not replaced by what was read before.
    set(&port, &back[0], Change::Drained(false)).await.unwrap();
    board.adopt(&back);
    assert!(!back[0].is_drained());
}

/// Broken on purpose to see it fail: what stands there as before passed over though what is known here is newer.
#[tokio::test]
async fn what_the_board_has_lost_is_told_again_though_it_looks_as_before() {
    let (port, config, board) = (port(), config(ONE), Heard::default());
    let duties = of(&config, None);
    let look = async || board.hear(&port, &duties, Arc::new(port.boards().await.unwrap().1)).await.unwrap();
    look().await;
    set(&port, &duties[0], Change::Drained(true)).await.unwrap();
    let posted = port.boards().await.unwrap().1;
    assert!(port.forget(Board::Duties, "d", &posted["d"]).await.unwrap());
    look().await;
    assert_eq!(port.boards().await.unwrap().1, posted);
}

/// Broken on purpose to see it fail: nothing told again; of equal numbers that which is known kept.
#[tokio::test]
async fn a_data_set_that_lost_it_learns_it_again_and_who_was_told_otherwise_yields() {
    let (before, after, config) = (port(), port(), config(ONE));
    let (here, there) = (of(&config, None), of(&config, None));
    set(&before, &here[0], Change::Drained(true)).await.unwrap();
    heard(&after, &here).await;
    heard(&after, &there).await;
    assert!(there[0].is_drained(), "the other data set was told");
    // A change that the data set lost, and another one under the same number: all follow what stands there.
    let lost = port();
    set(&lost, &here[0], Change::Weight(Some(2.0))).await.unwrap();
    set(&after, &there[0], Change::Drained(false)).await.unwrap();
    heard(&after, &here).await;
    heard(&after, &there).await;
    for duty in [&here[0], &there[0]] {
        assert_eq!((duty.told().unwrap().version, duty.is_drained(), duty.weight()), (2, false, None));
    }
}

/// Broken on purpose to see it fail: forgotten at once; forgotten though a newer one was set.
#[tokio::test]
async fn a_name_that_no_file_has_is_forgotten_and_one_that_some_file_has_is_not() {
    let (port, config) = (port(), config(ONE));
    let knows = of(&config, None);
    let lacks = &knows[1..];
    set(&port, &knows[0], Change::Drained(true)).await.unwrap();
    let (mut strangers, begun) = (Strangers::default(), Instant::now());
    let posted = async || port.boards().await.unwrap().1;
    for seconds in [0, 30, 59] {
        let now = begun + Duration::from_secs(seconds);
        strangers.forget(&port, lacks, &posted().await, now).await.unwrap();
        assert!(posted().await.contains_key("d"), "after {seconds} s");
    }
    let read = posted().await;
    set(&port, &knows[0], Change::Drained(false)).await.unwrap();
    let later = begun + Duration::from_secs(60);
    strangers.forget(&port, lacks, &read, later).await.unwrap();
    assert!(posted().await.contains_key("d"), "something newer was set meanwhile");
    strangers.forget(&port, lacks, &posted().await, later).await.unwrap();
    assert!(posted().await.is_empty());
    heard(&port, &knows).await; // a replica whose file has it puts it back
    assert!(posted().await.contains_key("d"));
}

#[test]
fn what_is_no_weight_is_not_read() {
    for (weight, is) in [("1.5", true), ("null", true), ("0.0", false), ("-1.0", false), ("1e7", false)] {
        let text = format!("3 {{\"drained\":false,\"weight\":{weight},\"basis\":\"\"}}");
        assert_eq!(Told::read(&text).is_some(), is, "{weight}");
    }
    assert!(!is_weight(f64::NAN) && is_weight(MOST_WEIGHT));
    assert!(Told::read("x {}").is_none() && Told::read("").is_none());
}
