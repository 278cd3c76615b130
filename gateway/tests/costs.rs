//! What hours cost, as `lua/costs.lua` keeps it on a real Redis and as it is kept in one process: the same, whatever is told, twice,
//! late or not at all. Broken on purpose to see it fail: `over` added again; what the teller knows not compared; numbers of six
//! digits in the script.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails by panicking")]

mod redis_server;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use redis_server::Server;
use weir::cost::Sums;
use weir::state::lanes::Lane;
use weir::state::{Port, ToldCosts};

/// Fields with their numbers read: the two write them otherwise.
fn read(fields: BTreeMap<String, String>) -> BTreeMap<String, (String, Option<Sums>)> {
    let number = |(name, text): (String, String)| {
        let sums = if name.starts_with('@') { None } else { Some(Sums::read(&text).unwrap()) };
        (name, (if sums.is_some() { String::new() } else { text }, sums))
    };
    fields.into_iter().map(number).collect()
}

#[tokio::test]
async fn the_script_and_what_stands_in_one_process_keep_the_same() {
    let server = Server::start();
    let redis = Port::Redis(Lane::start(server.servers("test", Duration::from_secs(5))).unwrap());
    redis.opened(Duration::from_secs(5)).await;
    let local = Port::Local(Arc::default());
    let mut draw = fastrand::Rng::with_seed(7);
    let mut answers = [0; 3];
    for _ in 0..3_000 {
        let (hour, id) = (draw.u64(0..3), format!("r.{}", draw.u64(0..6)));
        let before = if draw.bool() { Some(draw.u64(0..4)) } else { None };
        let names: Vec<String> =
            (0..draw.usize(0..4)).map(|_| format!("[\"t é\",\"m\",\"d{}\"]", draw.u64(0..5))).collect();
        let mut numbers = || {
            let sums =
                Sums { attempts: draw.u64(0..1 << 50) as f64, usd: draw.f64() / 3.0, ..Sums::default() };
            Sums { saved_dearest: -draw.f64() * 1e-9, ..sums }.text()
        };
        let mut series: Vec<(&str, String)> = names.iter().map(|name| (name.as_str(), numbers())).collect();
        series.dedup_by(|a, b| a.0 == b.0);
        let over = draw.u64(0..40) == 0;
        let told = redis.tell_costs((hour, &id), before, over, &series).await.unwrap();
        assert_eq!(told, local.tell_costs((hour, &id), before, over, &series).await.unwrap());
        match told {
            ToldCosts::Taken(_) => answers[0] += 1,
            ToldCosts::WasOver => answers[1] += 1,
            ToldCosts::Unknown => answers[2] += 1,
        }
        let known = redis.knows_costs(hour, &id).await.unwrap();
        assert_eq!(known, local.knows_costs(hour, &id).await.unwrap());
    }
    assert!(answers.iter().all(|count| *count > 50), "{answers:?}");
    let hours: Vec<u64> = (0..9).collect();
    let (there, here) = (redis.costs(&hours).await.unwrap(), local.costs(&hours).await.unwrap());
    assert_eq!(there.len(), 9);
    for (there, here) in there.into_iter().zip(here) {
        assert_eq!(read(there), read(here));
    }
}

/// An hour is forgotten a month after it was told last.
#[tokio::test]
async fn an_hour_is_kept_for_a_month() {
    let mut server = Server::start();
    let redis = Port::Redis(Lane::start(server.servers("test", Duration::from_secs(5))).unwrap());
    redis.opened(Duration::from_secs(5)).await;
    redis.tell_costs((7, "r.1"), Some(0), false, &[("[]", "1".to_owned())]).await.unwrap();
    let left: u64 = redis::cmd("PTTL").arg("{test}:costs:7").query(&mut server.connection).unwrap();
    let day = 24 * 3600 * 1000;
    assert!((31 * day..=32 * day).contains(&left), "{left} ms");
}
