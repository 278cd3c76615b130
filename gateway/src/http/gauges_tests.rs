use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::*;
use crate::config::DeploymentId;
use crate::config::check::check;
use crate::duty::{Told, basis};
use crate::http::admin::tests::{desk, desk_told};
use crate::state::Port;
use crate::telemetry::{Metrics, Otlp};

/// What a collector is sent, message after message.
async fn collector() -> (SocketAddr, mpsc::UnboundedReceiver<Bytes>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (addr, (told, heard)) = (listener.local_addr().unwrap(), mpsc::unbounded_channel());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let told = told.clone();
            let answer = service_fn(move |request: Request<Incoming>| {
                let told = told.clone();
                async move {
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    told.send(body).unwrap();
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
        }
    });
    (addr, heard)
}

fn says(message: &Bytes, name: &str) -> bool {
    message.windows(name.len()).any(|window| window == name.as_bytes())
}

/// Gauges were looked at for `/metrics` alone: a collector was never told them, or for ever what they were when somebody had a
/// look at that page. Broken on purpose to see it fail: `refresh` left out of `tell`. (It failed as well when the timer of a request over
/// HTTP was made on the thread that has it sent, which has no runtime: that thread ended, and no metric was ever told.)
#[tokio::test]
async fn a_collector_is_told_how_gauges_stand_though_nobody_asks_for_metrics() {
    let (addr, mut heard) = collector().await;
    let text = format!(
        "version = 1\n[telemetry]\notlp_endpoint = \"http://{addr}\"\notlp_protocol = \"http\"\n\
         otlp_signals = [\"metrics\"]\nmetrics_interval = \"100ms\"\n"
    );
    let config = check(Path::new("weir.toml"), &text, &|_| None).unwrap();
    let otlp = Otlp::start(&config, "r").unwrap().unwrap();
    let metrics = Metrics::with(Some(&otlp), 10).unwrap();
    let desk = desk_told(&Port::Local(Arc::default()), "r", "", metrics);
    let (_open, phase) = watch::channel(Phase::Serving);
    let telling = tokio::spawn(tell(desk.clone(), otlp.metrics_interval().unwrap(), phase));
    let first = tokio::time::timeout(Duration::from_secs(10), heard.recv()).await;
    let first = first.expect("metrics are told").unwrap();
    for name in [
        "weir_degraded",
        "weir_calls",
        "weir_buffered_bytes",
        "weir_waiting_calls",
        "weir_circuit_state",
        "weir_account_shut",
        "weir_deployment_info",
        "weir_deployment_utilisation_ratio",
        "weir_deployment_drained",
        "weir_model_down",
        "weir_replicas_alive",
        "weir_config_hash",
        "weir_price_age_seconds",
    ] {
        assert!(says(&first, name), "{name} is not told");
    }
    assert!(!says(&first, "weir_deployment_weight_set"));
    let snapshot = desk.shared.snapshot.load_full();
    let basis = basis(&snapshot.config, DeploymentId(0));
    snapshot.duties[0].adopt(&Told { version: 1, drained: false, weight: Some(7.0), basis });
    let later = async {
        loop {
            if says(&heard.recv().await.unwrap(), "weir_deployment_weight_set") {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), later).await.expect("what has changed since is told");
    telling.abort();
}

/// Broken on purpose to see it fail: the time of the last look not heeded; each who asks with a look of his own.
#[tokio::test(start_paused = true)]
async fn the_state_is_looked_at_once_for_all_who_ask_and_not_too_often() {
    let desk = desk(&Port::Local(Arc::default()), "r", "");
    let (begun, moment) = (Instant::now(), Duration::from_millis(1));
    desk.refresh().await;
    assert!(begun.elapsed() < EVERY, "the first one at once");
    tokio::time::advance(moment).await;
    let many = (0..50).map(|_| {
        let desk = desk.clone();
        async move { desk.refresh().await }
    });
    many.collect::<JoinSet<()>>().join_all().await;
    assert!((EVERY..2 * EVERY).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    for _ in 0..4 {
        tokio::time::advance(moment).await;
        desk.refresh().await;
    }
    assert!(begun.elapsed() >= 5 * EVERY, "{:?}", begun.elapsed());
}

/// Broken on purpose to see it fail: `EVERY` alone.
#[test]
fn looks_that_take_long_are_taken_less_often() {
    let begun = Instant::now();
    let next = |took: Duration| Look { begun, ended: begun + took }.next() - begun;
    assert_eq!(next(Duration::from_millis(1)), EVERY);
    assert_eq!(next(Duration::from_secs(1)), Duration::from_secs(2));
}
