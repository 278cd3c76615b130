//! What hours cost, as `lua/costs.lua` keeps it on a real Redis and as it is kept in one process: the same, whatever is told, twice,
//! late or not at all. Broken on purpose to see it fail: a series added to the sum again; what the teller knows not compared; numbers
//! of six digits in the script.

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
        let sums = if name.starts_with(['@', '#']) { None } else { Some(Sums::read(&text).unwrap()) };
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
    let mut answers = [0; 4];
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
        // A book is closed by some steps, of which the last ends it.
        let step = match draw.u64(0..40) {
            0 => Some(true),
            1..4 => Some(false),
            _ => None,
        };
        let known = local.costs_mark(hour, &id).await.unwrap().flatten();
        let before = if step.is_some() && draw.bool() { known } else { before };
        let told = async |port: &Port| match step {
            None => port.tell_costs((hour, &id), before, &series).await.unwrap(),
            Some(last) => {
                let folded: Vec<(&str, String)> =
                    series.iter().map(|(name, _)| (*name, r#"["(others)","m","d"]"#.to_owned())).collect();
                port.close_costs((hour, &id), before, last, &folded).await.unwrap()
            }
        };
        let answer = told(&redis).await;
        assert_eq!(answer, told(&local).await);
        match answer {
            ToldCosts::Taken(_) => answers[0] += 1,
            ToldCosts::Closing => answers[1] += 1,
            ToldCosts::Over => answers[2] += 1,
            ToldCosts::Unknown => answers[3] += 1,
        }
        let known = redis.costs_mark(hour, &id).await.unwrap();
        assert_eq!(known, local.costs_mark(hour, &id).await.unwrap());
    }
    assert!(answers.iter().all(|count| *count > 50), "{answers:?}");
    for hour in 0..4 {
        let (there, here) = (redis.costs(hour).await.unwrap(), local.costs(hour).await.unwrap());
        assert_eq!(there.is_empty(), hour == 3);
        assert_eq!(read(there), read(here));
    }
}

/// Whatever replicas tell, an hour that is over takes no more than so much, and nothing is lost of the money. Broken on purpose to see
/// it fail: no bound of the sum's series.
#[tokio::test]
async fn an_hour_that_is_over_has_so_many_series_and_what_is_beyond_counts_for_others() {
    const MOST: usize = 2_000;
    let server = Server::start();
    let redis = Port::Redis(Lane::start(server.servers("test", Duration::from_secs(5))).unwrap());
    redis.opened(Duration::from_secs(5)).await;
    for port in [redis, Port::Local(Arc::default())] {
        let one = Sums { attempts: 1.0, usd: 0.5, ..Sums::default() }.text();
        for book in 0..3 {
            let id = format!("r.{book}");
            let names: Vec<String> = (0..900).map(|at| format!("[\"t{book}-{at}\",\"m\",\"d\"]")).collect();
            let levels: Vec<(&str, String)> = names.iter().map(|name| (name.as_str(), one.clone())).collect();
            let others = r#"["(others)","m","d"]"#.to_owned();
            let folded: Vec<(&str, String)> =
                names.iter().map(|name| (name.as_str(), others.clone())).collect();
            assert_eq!(port.tell_costs((7, &id), None, &levels).await.unwrap(), ToldCosts::Taken(1));
            assert_eq!(port.close_costs((7, &id), Some(1), true, &folded).await.unwrap(), ToldCosts::Over);
        }
        let fields = port.costs(7).await.unwrap();
        let sums: BTreeMap<&String, Sums> = fields
            .iter()
            .filter(|(name, _)| name.starts_with("= "))
            .map(|(n, t)| (n, Sums::read(t).unwrap()))
            .collect();
        assert_eq!((sums.len(), fields.len()), (MOST + 1, MOST + 1 + 3 + 1));
        assert_eq!(sums[&r#"= ["(others)","m","d"]"#.to_owned()].attempts, 700.0);
        assert_eq!(sums.values().map(|sums| sums.usd).sum::<f64>(), 1_350.0);
    }
}

/// An hour is forgotten a month after it was told last.
#[tokio::test]
async fn an_hour_is_kept_for_a_month() {
    let mut server = Server::start();
    let redis = Port::Redis(Lane::start(server.servers("test", Duration::from_secs(5))).unwrap());
    redis.opened(Duration::from_secs(5)).await;
    redis.tell_costs((7, "r.1"), Some(0), &[("[]", "1".to_owned())]).await.unwrap();
    let left: u64 = redis::cmd("PTTL").arg("{test}:costs:7").query(&mut server.connection).unwrap();
    let day = 24 * 3600 * 1000;
    assert!((31 * day..=32 * day).contains(&left), "{left} ms");
}
