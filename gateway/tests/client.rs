//! A replica's client against a real Redis: what it owes the state is told, whoever is dropped on the way.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails by panicking")]

mod redis_server;

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis_server::Server;
use weir::config::{MeterKind, OnOutage};
use weir::dialect::openai::answer::Usage;
use weir::state::core::{
    Amounts, Caller, Candidate, Declared, Draw, Incarnation, Pool, PoolDecl, Reserve, Shape, Stage, State,
};
use weir::state::lanes::Lane;
use weir::state::scripts::Keys;
use weir::state::{About, Actual, Away, Client, Deadlines, Outcome, PoolInfo, Port, Reservation, Wish};

/// More pools than the sweep of one SYNC asks about by itself.
const POOLS: usize = 8;
/// More than one SYNC tells of.
const MANY: usize = 600;

fn key(pool: usize) -> String {
    format!("pool-{pool}|r6000")
}

/// A call that draws one request on every pool.
fn wish(on_outage: OnOutage) -> Wish {
    wish_of(0..POOLS, on_outage)
}

/// The same on these pools.
fn wish_of(pools: Range<usize>, on_outage: OnOutage) -> Wish {
    let info = |at: usize| {
        let shape = Shape::window(6_000, Stage::Head);
        let meters: Arc<[Declared]> = vec![Declared { shape, cap: 100, pace: 0 }].into();
        let decl = PoolDecl { key: key(at).into(), meters, slow_start: None };
        let name = format!("pool-{at}").into();
        Arc::new(PoolInfo { name, on_outage, ..PoolInfo::of(decl, vec![MeterKind::Requests]) })
    };
    let infos: Vec<_> = pools.map(info).collect();
    let draws = (0..infos.len()).map(|pool| Draw { pool, amounts: Amounts::from_slice(&[1]) }).collect();
    let nobody = Caller { epoch: 0, inc: Incarnation { name: String::new(), k: 0 }, l_ack: 0, x: 0 };
    let ask = Reserve {
        caller: nobody,
        pools: infos.iter().map(|info| info.decl.clone()).collect(),
        common: draws,
        candidates: vec![Candidate {
            tag: 1,
            tier: 0,
            threshold: 1_000_000,
            circuit: None,
            account: 0,
            draws: vec![],
        }],
        session: None,
        tell: Default::default(),
        luck: 0,
        most: 1_000_000,
        turn: None,
    };
    Wish { infos, prices: Vec::new(), ask: Arc::new(ask) }
}

/// The client of a replica, once the state grants.
async fn replica(port: &Port, expected: u64) -> Arc<Client> {
    port.opened(Duration::from_secs(5)).await;
    let deadlines = Deadlines { head: 60_000, end: 60_000 };
    let session_idle = Duration::from_secs(60);
    let client = Client::new(About { name: "one".into(), deadlines, expected, session_idle, leases: false });
    granting(&client, port).await;
    client
}

/// Returns when the state grants: a new data set first learns that nobody knows anything.
async fn granting(client: &Arc<Client>, port: &Port) {
    while client.sync(port, true).await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Asks until the state grants: on a busy machine it may have heard nobody for a second, and learn.
async fn reserved(client: &Arc<Client>, port: &Port, wish: &mut Wish) -> Reservation {
    loop {
        match client.reserve(port, wish, soon()).await {
            Ok(Outcome::Granted(reservation, _)) => return reservation,
            Err(Away::Learning) => granting(client, port).await,
            other => panic!("there is room: {other:?}"),
        }
    }
}

/// Calls in flight on more pools than one SYNC tells of.
async fn busy(client: &Arc<Client>, port: &Port) -> Vec<Reservation> {
    let mut calls = Vec::new();
    for from in (0..MANY).step_by(50) {
        let mut wish = wish_of(from..from + 50, OnOutage::Share);
        calls.push(reserved(client, port, &mut wish).await);
    }
    calls
}

/// Stops the replica's loop at once; then nothing of it may be left but what was used: of each pool so much.
async fn leaves_nothing(client: Arc<Client>, port: Port, used: impl Fn(usize) -> u64) {
    let (_stop, stopped) = tokio::sync::watch::channel(true);
    client.keep(port.clone(), stopped).await;
    let state = port.snapshot().await.unwrap();
    assert!(state.lives.is_empty(), "{:?} live", state.lives.keys().collect::<Vec<_>>());
    assert!(state.pending.is_empty());
    for pool in 0..MANY {
        let meter = &state.pools[key(pool).as_str()].meters[0];
        assert_eq!((meter.hold, meter.posted), (0, used(pool)), "{}", key(pool));
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

/// Broken on purpose once: the SYNC awaited in the caller itself instead of in a task of its own.
#[tokio::test]
async fn a_caller_that_leaves_does_not_take_along_what_was_to_be_told() {
    let mut server = Server::start();
    let lane = Lane::start(server.servers("test", Duration::from_secs(5))).unwrap();
    let port = Port::Redis(lane);
    let client = replica(&port, 0).await;
    let reservation = reserved(&client, &port, &mut wish(OnOutage::Closed)).await;
    reservation.settle(Actual::Used(Usage { input: 1, output: 1, ..Usage::default() }));

    // Longer than half a life without a word: the next call must catch up first. Redis never answers that SYNC.
    tokio::time::sleep(Duration::from_millis(600)).await;
    let _: () = redis::cmd("CLIENT").arg("PAUSE").arg(300).query(&mut server.connection).unwrap();
    let mut next = wish(OnOutage::Closed);
    let left =
        tokio::time::timeout(Duration::from_millis(100), client.reserve(&port, &mut next, soon())).await;
    assert!(left.is_err(), "the caller must leave while the SYNC is on its way");
    let kill = ["KILL", "TYPE", "normal", "SKIPME", "yes"];
    let _: () = redis::cmd("CLIENT").arg(&kill).query(&mut server.connection).unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;

    granting(&client, &port).await;
    let state = port.snapshot().await.unwrap();
    let posted: Vec<u64> = state.pools.values().map(|pool| pool.meters[0].posted).collect();
    assert_eq!(posted, [1; POOLS]);
}

/// Another version's replicas are granted the whole of every limit by that state: nothing is left to share. Broken on
/// purpose once: that answer counted among the tries in vain; and sharing went on after it.
#[tokio::test]
async fn a_state_of_another_layout_is_not_away() {
    let mut server = Server::start();
    let lane = Lane::start(server.servers("test", Duration::from_secs(5))).unwrap();
    let port = Port::Redis(lane);
    port.opened(Duration::from_secs(5)).await;
    let (key, header) = (Keys::new("test").state().to_owned(), [9_999.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0]);
    let header: Vec<u8> = header.iter().flat_map(|part: &f64| part.to_le_bytes()).collect();
    let _: () = redis::cmd("HSET").arg(&key).arg("e").arg(&header).query(&mut server.connection).unwrap();

    let deadlines = Deadlines { head: 60_000, end: 60_000 };
    let session_idle = Duration::from_secs(60);
    let client =
        Client::new(About { name: "one".into(), deadlines, expected: 1, session_idle, leases: false });
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(2_500) {
        let answer = client.reserve(&port, &mut wish(OnOutage::Share), soon()).await;
        assert!(matches!(answer, Err(Away::OtherLayout)), "{answer:?}");
        assert_eq!(client.sync(&port, true).await, Err(Away::OtherLayout));
        tokio::time::sleep(Duration::from_millis(20)).await; // as often as the loop that keeps lives would
    }
    // Away it is when it does not answer at all; and no longer when it does.
    let _: () = redis::cmd("CLIENT").arg("PAUSE").arg(3_000).query(&mut server.connection).unwrap();
    let answer = client.reserve(&port, &mut wish(OnOutage::Share), soon()).await;
    assert!(matches!(answer, Ok(Outcome::Granted(..) | Outcome::Denied(_))), "{answer:?}");
    assert!(client.sharing().is_some());
    while client.sync(&port, true).await != Err(Away::OtherLayout) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(client.sharing(), None);
    let kept: Vec<u8> = redis::cmd("HGET").arg(&key).arg("e").query(&mut server.connection).unwrap();
    assert_eq!(kept, header, "it is not written to");
}

/// Broken on purpose once: such answers left a doubt.
#[tokio::test]
async fn a_reserve_that_was_refused_by_a_state_that_learns_leaves_no_doubt() {
    let mut server = Server::start();
    let port = Port::Redis(Lane::start(server.servers("test", Duration::from_millis(500))).unwrap());
    let client = replica(&port, 0).await;
    let mut wish = wish(OnOutage::Closed);
    let reservation = reserved(&client, &port, &mut wish).await;
    reservation.settle(Actual::Used(Usage { input: 1, output: 1, ..Usage::default() }));
    while !client.ledger().unwrap().is_told() {
        granting(&client, &port).await;
    }
    let _: () = redis::cmd("FLUSHALL").query(&mut server.connection).unwrap();
    // Answered EPOCH, and when the life was told, LEARNING.
    let until = Instant::now() + Duration::from_millis(100);
    assert!(matches!(client.reserve(&port, &mut wish, until).await, Err(Away::Learning)));
    let (_, reports) = client.ledger().unwrap().report(false, None);
    assert!(reports.len() < POOLS, "{} pools are asked about", reports.len());
}

/// Broken on purpose once: one SYNC and one BYE, as it was.
#[tokio::test]
async fn a_replica_that_leaves_has_told_all_and_is_gone() {
    let server = Server::start();
    let port = Port::Redis(Lane::start(server.servers("test", Duration::from_millis(500))).unwrap());
    let client = replica(&port, 0).await;
    for reservation in busy(&client, &port).await {
        reservation.settle(Actual::Used(Usage { input: 1, output: 1, ..Usage::default() }));
    }
    leaves_nothing(client, port, |_| 1).await;
}

/// Broken on purpose once: the current life left without the older one.
#[tokio::test]
async fn a_replica_that_leaves_ends_its_older_lives_as_well() {
    let mut server = Server::start();
    let port = Port::Redis(Lane::start(server.servers("test", Duration::from_millis(200))).unwrap());
    let client = replica(&port, 1).await;
    let mut calls = busy(&client, &port).await;
    for _ in 0..MANY / 16 + 1 {
        granting(&client, &port).await; // each looks at some pools, without which there is nothing to share
    }
    let _: () = redis::cmd("CLIENT").arg("PAUSE").arg(2_500).query(&mut server.connection).unwrap();
    match client.reserve(&port, &mut wish(OnOutage::Share), soon()).await.unwrap() {
        Outcome::Granted(reservation, _) => calls.push(reservation),
        other => panic!("a part of the limits is left: {other:?}"),
    }
    assert!(client.sharing().is_some(), "that was granted without the state");
    granting(&client, &port).await;
    assert_eq!(port.snapshot().await.unwrap().lives.len(), 2);
    for reservation in calls {
        reservation.settle(Actual::Used(Usage { input: 1, output: 1, ..Usage::default() }));
    }
    leaves_nothing(client, port, |pool| if pool < POOLS { 2 } else { 1 }).await;
}

/// Broken on purpose once: the pools of the first step alone.
#[tokio::test]
async fn an_overview_shows_of_the_pools_that_are_asked_for_what_the_whole_state_does() {
    let server = Server::start();
    let lane = Lane::start(server.servers("test", Duration::from_secs(5))).unwrap();
    let port = Port::Redis(lane);
    let client = replica(&port, 0).await;
    let _calls = busy(&client, &port).await;
    let keys: Vec<Arc<str>> = (0..MANY).step_by(2).map(|pool| key(pool).into()).collect();
    let (whole, shown) = (port.snapshot().await.unwrap(), port.overview(&keys).await.unwrap());
    assert_eq!(shown.pools.keys().collect::<Vec<_>>(), {
        let mut keys: Vec<_> = keys.iter().collect();
        keys.sort();
        keys
    });
    for (key, pool) in &shown.pools {
        let meters = |pool: &Pool| pool.meters.iter().map(|m| (m.cap, m.hold, m.posted)).collect::<Vec<_>>();
        assert_eq!(meters(pool), meters(&whole.pools[key]), "{key}");
    }
    let lives = |state: &State| state.lives.keys().cloned().collect::<Vec<_>>();
    assert_eq!((shown.epoch, lives(&shown)), (whole.epoch, lives(&whole)));
    assert!(!shown.lives.is_empty());
}
