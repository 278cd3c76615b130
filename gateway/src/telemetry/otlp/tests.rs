use std::net::TcpListener;
use std::path::Path;
use std::time::Instant;

use ::http::{HeaderMap, Method, Version};

use super::*;
use crate::config::check;
use crate::telemetry::trace::Head;
use crate::telemetry::{Metrics, Record};

/// At a port that takes connections and never answers, as a process does that is stopped.
fn silent(protocol: &str) -> (TcpListener, Config) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let text = format!(
        "version = 1\n[telemetry]\notlp_endpoint = \"http://{addr}\"\notlp_protocol = \"{protocol}\"\n\
         sample_ratio = 1.0\nmetrics_interval = \"100ms\"\n"
    );
    (listener, check::check(Path::new("weir.toml"), &text, &|_| None).unwrap())
}

/// Broken on purpose to see it fail: the end without a bound.
#[tokio::test]
async fn the_end_waits_for_a_collector_that_hangs_no_longer_than_it_may() {
    for protocol in ["grpc", "http"] {
        let (_listener, config) = silent(protocol);
        let otlp = Otlp::start(&config, "replica").unwrap().unwrap();
        let metrics = Arc::new(Metrics::with(Some(&otlp), 10).unwrap());
        let head = Head {
            method: &Method::POST,
            path: "/",
            route: None,
            version: Version::HTTP_11,
            headers: &HeaderMap::new(),
            client: [127, 0, 0, 1].into(),
            secure: false,
        };
        for _ in 0..2_000 {
            let mut record = Record::new(metrics.clone(), "req".into());
            record.trace = otlp.tracing().unwrap().begin(&head);
        }
        let begun = Instant::now();
        otlp.end(move || metrics.end()).await;
        assert!(begun.elapsed() < LAST + Duration::from_millis(700), "{protocol}: {:?}", begun.elapsed());
    }
}

/// Broken on purpose to see it fail: a name of the service that is not the file's.
#[test]
fn who_tells_is_the_replica_of_the_service() {
    let (_listener, config) = silent("grpc");
    let mut otlp = config.telemetry.otlp.unwrap();
    otlp.service_name = Some("gate".to_owned());
    otlp.resource = vec![("team".to_owned(), "ml".to_owned())];
    let resource = resource::of(&otlp, "weir-1");
    let value = |name: &'static str| resource.get(&name.into()).map(|value| value.to_string());
    assert_eq!(value("service.name").as_deref(), Some("gate"));
    assert_eq!(value("service.instance.id").as_deref(), Some("weir-1"));
    assert_eq!(value("team").as_deref(), Some("ml"));
    assert!(value("telemetry.sdk.name").is_some());
}
