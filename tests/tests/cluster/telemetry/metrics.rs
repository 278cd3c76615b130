//! Metrics, as the collector gets them.

use std::cell::Cell;
use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use opentelemetry_proto::tonic::metrics::v1::NumberDataPoint;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use weir_tests::client::Ask;
use weir_tests::collector::{Collector, text_of};
use weir_tests::process::eventually;
use weir_tests::site::{Plan, Site};

use super::{ask, plan, site};
use crate::in_turn;

const CALLS: usize = 20;

/// Calls of which all but the first are served by `a`, which refuses that one.
async fn calls(site: &Site) -> Result<(u64, u64)> {
    site.providers[0].fail(&["status=500,times=1"]).await?;
    for at in 0..CALLS {
        let answer = site.client.call(&ask().streamed(at % 2 == 0)).await;
        ensure!(answer.is_good(at % 2 == 0), "{answer:?}");
    }
    let mut used = (0, 0);
    for provider in &site.providers {
        for arrival in provider.arrivals().await?.iter().filter(|arrival| arrival.status == 200) {
            used = (used.0 + arrival.prompt_tokens, used.1 + arrival.output_tokens);
        }
    }
    Ok(used)
}

fn whole(collector: &Collector, name: &str, only: (&str, &str)) -> i64 {
    let points = collector.told().sum(name);
    let of_it = points.iter().filter(|point| text_of(&point.attributes, only.0) == only.1);
    let value = |value: &Option<Number>| match value {
        Some(Number::AsInt(number)) => *number,
        _ => 0,
    };
    of_it.map(|point| value(&point.value)).sum()
}

/// Counters and histograms; gauges are below. The providers' own logs say what was used. Broken on purpose to see it fail: the second reader left out; an attempt that
/// failed not counted; input told as output.
#[test]
fn a_collector_gets_the_same_metrics_as_prometheus_and_those_of_the_conventions() -> Result<()> {
    in_turn(async {
        for (protocol, semconv) in [("grpc", "v1.41"), ("http", "latest")] {
            let (site, collector) =
                site("telemetry-metrics", protocol, &format!("semconv = \"{semconv}\"")).await?;
            let (input, output) = calls(&site).await?;
            eventually("all calls in the metrics", async || {
                Ok(whole(&collector, "weir_requests", ("status", "200")) == CALLS as i64)
            })
            .await?;
            let shown = site.replicas[0].metric("weir_requests_total", "status=\"200\"").await?;
            ensure!(shown as usize == CALLS, "/metrics says {shown}");
            let served = |name: &str| {
                let points = collector.told().histogram(name);
                let ok =
                    points.into_iter().filter(|point| text_of(&point.attributes, "error.type").is_empty());
                ok.collect::<Vec<_>>()
            };
            match semconv {
                "v1.41" => check_v141(&collector, input, output)?,
                _ => {
                    let of = |kind: &str| format!("gen_ai.client.inference.usage.{kind}_tokens");
                    let told =
                        |kind| whole(&collector, &of(kind), ("gen_ai.token.modality", "unknown")) as u64;
                    ensure!(
                        (told("input"), told("output")) == (input, output),
                        "{} {}",
                        told("input"),
                        told("output")
                    );
                    ensure!(collector.told().metric("gen_ai.client.token.usage").is_empty());
                    ensure!(!served("gen_ai.client.inference.duration").is_empty());
                }
            }
            let count: u64 = served("gen_ai.server.request.duration").iter().map(|point| point.count).sum();
            ensure!(count as usize == CALLS, "{count} calls");
        }
        Ok(())
    })
}

fn check_v141(collector: &Collector, input: u64, output: u64) -> Result<()> {
    let told = collector.told();
    let tokens = told.histogram("gen_ai.client.token.usage");
    let of = |kind: &str| -> f64 {
        let kind = tokens.iter().filter(|point| text_of(&point.attributes, "gen_ai.token.type") == kind);
        kind.filter_map(|point| point.sum).sum()
    };
    ensure!((of("input"), of("output")) == (input as f64, output as f64), "{} {}", of("input"), of("output"));
    let bounds = &tokens[0].explicit_bounds;
    ensure!(bounds[..3] == [1.0, 4.0, 16.0] && bounds.last() == Some(&67_108_864.0), "{bounds:?}");
    let durations = told.histogram("gen_ai.client.operation.duration");
    ensure!(durations[0].explicit_bounds[..2] == [0.01, 0.02], "{:?}", durations[0]);
    let failed: Vec<_> =
        durations.iter().filter(|point| text_of(&point.attributes, "error.type") == "failed").collect();
    ensure!(failed.len() == 1 && failed[0].count == 1, "{failed:?}");
    let all: u64 = durations.iter().map(|point| point.count).sum();
    ensure!(all as usize == CALLS + 1, "{all} attempts");
    for name in ["gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model", "server.address"] {
        ensure!(!text_of(&durations[0].attributes, name).is_empty(), "{name} is missing");
    }
    Ok(())
}

/// The newest value of a gauge's series with this label; none if it was never told.
fn level(collector: &Collector, name: &str, (label, value): (&str, &str)) -> Option<f64> {
    let newest = collector.told().metric(name).pop()?;
    let Some(Data::Gauge(gauge)) = newest.data else { return None };
    let of_it = |point: &&NumberDataPoint| text_of(&point.attributes, label) == value;
    match gauge.data_points.iter().find(of_it)?.value? {
        Number::AsDouble(number) => Some(number),
        Number::AsInt(number) => Some(number as f64),
    }
}

/// Nobody asks for `/metrics` here. Gauges were looked at for that page alone: a collector was told none of them, or for ever what they
/// were when somebody had a look at it. Broken on purpose to see it fail: `refresh` left out of what tells the collector.
#[test]
fn a_collector_is_told_how_gauges_stand_though_nobody_asks_for_metrics() -> Result<()> {
    in_turn(async {
        let collector = Collector::start().await?;
        let plan = plan("telemetry-gauges", &collector.settings("grpc", ""));
        let defaults = "circuit = { open = \"2s\", ramp = \"1s\" }\n".to_owned();
        let site = Site::start(Plan { defaults, ..plan }).await?;
        let circuit = || level(&collector, "weir_circuit_state", ("deployment", "a"));
        eventually("a closed circuit", async || Ok(circuit() == Some(0.0))).await?;
        ensure!(level(&collector, "weir_deployment_info", ("deployment", "b")) == Some(1.0));
        let bad = Cell::new(0); // an error of what is waited for would be taken for "not yet"
        let call = async || bad.set(bad.get() + u32::from(!site.client.call(&ask()).await.is_good(true)));
        site.providers[0].fail(&["status=500"]).await?;
        eventually("an open circuit", async || {
            call().await;
            Ok(circuit() == Some(2.0))
        })
        .await?;
        site.providers[0].fail(&[]).await?;
        eventually("a circuit that has closed again", async || {
            call().await;
            Ok(circuit() == Some(0.0))
        })
        .await?;
        ensure!(bad.get() == 0, "{} calls were not served, though there is another deployment", bad.get());
        Ok(())
    })
}

/// Broken on purpose to see it fail: every tenant with a label of its own.
#[test]
fn tenants_beyond_those_that_have_a_label_are_counted_together() -> Result<()> {
    in_turn(async {
        let tenants: String = (0..5)
            .map(|n| {
                format!(
                    "[[tenants]]\nname = \"t{n}\"\nkeys = [\"sha256:{}\"]\n",
                    key_hash(&format!("key-{n}"))
                )
            })
            .collect();
        let (site, collector) =
            site("telemetry-tenants", "grpc", &format!("tenant_labels = 2\n{tenants}")).await?;
        for n in (0..5).chain(0..5) {
            let ask = Ask::new("m").max_tokens(16).header("authorization", format!("Bearer key-{n}"));
            ensure!(site.client.call(&ask).await.is_good(false));
        }
        eventually("all tenants' calls", async || {
            let points = collector.told().sum("weir_requests");
            let tenants: BTreeSet<String> =
                points.iter().map(|point| text_of(&point.attributes, "tenant")).collect();
            let others = whole(&collector, "weir_requests", ("tenant", "other"));
            Ok(tenants.len() == 3 && others == 6)
        })
        .await?;
        let shown = site.replicas[0].metric("weir_requests_total", "tenant=\"other\"").await?;
        ensure!(shown as u64 == 6, "/metrics says {shown}");
        Ok(())
    })
}

fn key_hash(key: &str) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(key.as_bytes()))
}
