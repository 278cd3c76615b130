//! A replica's client against a real Redis: what it owes the state is told, whoever is dropped on the way.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails by panicking")]

mod redis_server;

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis_server::Server;
use weir::config::{MeterKind, OnOutage, ReservePolicy, Side};
use weir::state::core::{
    Amounts, Caller, Candidate, Declared, Draw, Incarnation, PoolDecl, Reserve, Shape, Stage,
};
use weir::state::lanes::Lane;
use weir::state::{About, Actual, Client, Deadlines, Outcome, PoolInfo, Port, Wish};

/// More pools than the sweep of one SYNC asks about by itself.
const POOLS: usize = 8;

/// A call that draws one request on every pool.
fn wish() -> Wish {
    let info = |at: usize| {
        let shape = Shape::window(6_000, Stage::Head);
        let meters: Arc<[Declared]> = vec![Declared { shape, cap: 100, pace: 0 }].into();
        Arc::new(PoolInfo {
            name: format!("pool-{at}").into(),
            decl: PoolDecl { key: format!("pool-{at}|r6000").into(), meters },
            kinds: vec![MeterKind::Requests],
            side: Side::Ours,
            reserve: ReservePolicy::Max,
            on_outage: OnOutage::Closed,
        })
    };
    let infos: Vec<_> = (0..POOLS).map(info).collect();
    let draws = (0..POOLS).map(|pool| Draw { pool, amounts: Amounts::from_slice(&[1]) }).collect();
    let nobody = Caller { epoch: 0, inc: Incarnation { name: String::new(), k: 0 }, l_ack: 0, x: 0 };
    let ask = Reserve {
        caller: nobody,
        pools: infos.iter().map(|info| info.decl.clone()).collect(),
        common: draws,
        candidates: vec![Candidate { tag: 1, tier: 0, threshold: 1_000_000, draws: vec![] }],
        session: None,
    };
    Wish { infos, ask: Arc::new(ask) }
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
    port.opened(Duration::from_secs(5)).await;
    let deadlines = Deadlines { head: 60_000, end: 60_000 };
    let session_idle = Duration::from_secs(60);
    let client = Client::new(About { name: "one".into(), deadlines, expected: 0, session_idle });
    while client.sync(&port, true).await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await; // a new data set first learns that nobody knows anything
    }
    let Outcome::Granted(reservation) = client.reserve(&port, &mut wish(), soon()).await.unwrap() else {
        panic!("there is room");
    };
    reservation.settle(Actual::Used { input: 1, output: 1 });

    // Longer than half a life without a word: the next call must catch up first. Redis never answers that SYNC.
    tokio::time::sleep(Duration::from_millis(600)).await;
    let _: () = redis::cmd("CLIENT").arg("PAUSE").arg(300).query(&mut server.connection).unwrap();
    let mut next = wish();
    let left =
        tokio::time::timeout(Duration::from_millis(100), client.reserve(&port, &mut next, soon())).await;
    assert!(left.is_err(), "the caller must leave while the SYNC is on its way");
    let kill = ["KILL", "TYPE", "normal", "SKIPME", "yes"];
    let _: () = redis::cmd("CLIENT").arg(&kill).query(&mut server.connection).unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;

    client.sync(&port, false).await.unwrap();
    let state = port.snapshot().await.unwrap();
    let posted: Vec<u64> = state.pools.values().map(|pool| pool.meters[0].posted).collect();
    assert_eq!(posted, [1; POOLS]);
}
