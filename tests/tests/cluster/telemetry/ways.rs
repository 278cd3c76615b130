//! Ways to a collector: one that is not ours, TLS, and the environment of the standard.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use weir_tests::client::{Ask, get};
use weir_tests::collector::{self, Collector};
use weir_tests::place;
use weir_tests::process::{Process, accepts, free_port, local};
use weir_tests::rotel::Rotel;
use weir_tests::site::{Plan, Site};
use weir_tests::topology::make_certificates;

use super::{ask, plan, tree};
use crate::in_turn;

/// Rotel reads every message and writes it anew: what it does not understand does not come to the judge.
#[test]
fn a_collector_of_others_takes_all_signals_over_grpc_and_http() -> Result<()> {
    in_turn(async {
        let Some(executable) = Rotel::installed() else {
            println!("telemetry: skipped, WEIR_ROTEL is not set");
            return Ok(());
        };
        for protocol in ["grpc", "http"] {
            let judge = Collector::start().await?;
            let folder = place::folder("telemetry-rotel")?;
            let rotel = Rotel::start(&executable, judge.grpc, &folder).await?;
            let addr = if protocol == "grpc" { rotel.grpc } else { rotel.http };
            let site =
                Site::start(plan("telemetry-others", &collector::settings(protocol, addr, ""))).await?;
            site.providers[0].fail(&["status=429,retry-after=30,times=1"]).await?;
            let answer = site.client.call(&ask()).await;
            let (call, attempts) = tree(&judge, answer.header("x-request-id")).await?;
            ensure!(attempts.len() == 2 && call.whose("service.name") == "weir", "{protocol}: {call:#?}");
            judge
                .spans_when("metrics and records", |_| {
                    let told = judge.told();
                    !told.metric("weir_requests").is_empty()
                        && !told.histogram("gen_ai.client.token.usage").is_empty()
                        && !told.records().is_empty()
                })
                .await?;
        }
        Ok(())
    })
}

/// TLS in front of a collector: HAProxy ends it and passes bytes.
struct Front {
    addr: SocketAddr,
    _process: Process,
}

impl Front {
    async fn start(name: &str, behind: SocketAddr, speaks: &str, folder: &Path) -> Result<Front> {
        let addr = local(free_port()?);
        let both =
            [std::fs::read(folder.join("server.pem"))?, std::fs::read(folder.join("server.key"))?].concat();
        let pem = folder.join("both.pem");
        std::fs::write(&pem, both)?;
        let ca = folder.join("ca.pem");
        let text = format!(
            "defaults\n    mode tcp\n    timeout connect 1s\n    timeout client 1m\n    timeout server 1m\n\
             listen collector\n    bind {addr} ssl crt {} ca-file {} verify required alpn {speaks}\n    server it {behind}\n",
            pem.display(),
            ca.display(),
        );
        let file = folder.join(format!("{name}.cfg"));
        std::fs::write(&file, text)?;
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(&file);
        let mut process = Process::start(name, &mut command, folder).context("is haproxy installed?")?;
        process.wait_until(async || accepts(addr)).await?;
        Ok(Front { addr, _process: process })
    }
}

/// An authority of one's own, and a certificate of the replica's. Broken on purpose to see it fail: without `ca`, and without
/// `cert`, nothing comes.
#[test]
fn a_collector_behind_tls_is_told_over_grpc_and_http() -> Result<()> {
    in_turn(async {
        let folder = place::folder("telemetry-tls-front")?;
        make_certificates(Ipv4Addr::LOCALHOST, &folder)?;
        let file = |name: &str| folder.join(name).display().to_string();
        let tls = format!(
            "otlp_tls = {{ ca = \"{}\", cert = \"{}\", key = \"{}\" }}",
            file("ca.pem"),
            file("client.pem"),
            file("client.key"),
        );
        for (protocol, speaks) in [("grpc", "h2"), ("http", "http/1.1")] {
            let collector = Collector::start().await?;
            let behind = if protocol == "grpc" { collector.grpc } else { collector.http };
            let front = Front::start(&format!("front-{protocol}"), behind, speaks, &folder).await?;
            let telemetry = collector::settings(protocol, front.addr, &tls).replace("http://", "https://");
            let site = Site::start(plan("telemetry-tls", &telemetry)).await?;
            let answer = site.client.call(&ask()).await;
            tree(&collector, answer.header("x-request-id")).await?;
            collector
                .spans_when("metrics and records", |_| {
                    let told = collector.told();
                    !told.metric("weir_requests").is_empty() && !told.records().is_empty()
                })
                .await?;
        }
        Ok(())
    })
}

/// What the file does not say, the standard's environment does. Broken on purpose to see it fail: the environment's name of the
/// service before the file's.
#[test]
fn the_environment_of_the_standard_counts_where_the_file_is_silent() -> Result<()> {
    in_turn(async {
        let environment: Vec<(String, String)> = [
            ("OTEL_SERVICE_NAME", "from-environment"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=prod,service.namespace=llm"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-from=environment"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_SEMCONV_STABILITY_OPT_IN", "gen_ai_latest_experimental"),
            ("OTEL_TRACES_SAMPLER", "always_off"), // the file says
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        for (further, service) in [("", "from-environment"), ("service_name = \"gate\"\n", "gate")] {
            let collector = Collector::start().await?;
            let telemetry =
                collector.settings("grpc", &format!("{further}resource_attributes = {{ team = \"ml\" }}"));
            let plan = plan("telemetry-environment", &telemetry);
            let site = Site::start(Plan { environment: environment.clone(), ..plan }).await?;
            let answer = site.client.call(&Ask::new("m").max_tokens(16)).await;
            let (call, _) = tree(&collector, answer.header("x-request-id")).await?;
            ensure!(call.whose("service.name") == service, "{:?}", call.resource);
            for (name, value) in
                [("deployment.environment.name", "prod"), ("service.namespace", "llm"), ("team", "ml")]
            {
                ensure!(call.whose(name) == value, "{name}: {:?}", call.resource);
            }
            ensure!(call.whose("service.instance.id") == answer.replica);
            let headers = collector.told().headers.last().context("no request")?.clone();
            ensure!(headers.get("x-from").is_some_and(|value| value == "environment"), "{headers:?}");
            ensure!(headers.get("grpc-encoding").is_some_and(|value| value == "gzip"), "{headers:?}");
            collector
                .spans_when("the newest names", |_| {
                    !collector.told().metric("gen_ai.client.inference.duration").is_empty()
                })
                .await?;
        }
        Ok(())
    })
}

/// Platforms set this variable for all that run on them. Where the file says HTTP it kept the replica from starting, for gRPC stood
/// there. Broken on purpose to see it fail: the protocol not said to the exporters.
#[test]
fn the_environments_protocol_does_not_count_where_the_file_says_one() -> Result<()> {
    in_turn(async {
        for (protocol, other) in [("http", "grpc"), ("grpc", "http/protobuf")] {
            let collector = Collector::start().await?;
            let names = ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"];
            let environment = names.map(|name| (name.to_owned(), other.to_owned())).to_vec();
            let plan = plan("telemetry-protocol", &collector.settings(protocol, ""));
            let site = Site::start(Plan { environment, ..plan }).await?;
            let answer = site.client.call(&ask()).await;
            tree(&collector, answer.header("x-request-id")).await?;
            collector
                .spans_when("metrics and records", |_| {
                    let told = collector.told();
                    !told.metric("weir_requests").is_empty() && !told.records().is_empty()
                })
                .await?;
        }
        Ok(())
    })
}

/// Broken on purpose to see it fail: the variable passed over.
#[test]
fn one_variable_of_the_standard_turns_all_of_it_off() -> Result<()> {
    in_turn(async {
        let collector = Collector::start().await?;
        let environment = vec![("OTEL_SDK_DISABLED".to_owned(), "true".to_owned())];
        let plan = plan("telemetry-disabled", &collector.settings("grpc", ""));
        let mut site = Site::start(Plan { environment, ..plan }).await?;
        ensure!(site.client.call(&ask()).await.is_good(true));
        let (_, page) = get(site.replicas[0].admin(), "/metrics").await?;
        let page = String::from_utf8_lossy(&page).into_owned();
        ensure!(page.contains("weir_requests_total") && !page.contains("weir_telemetry"), "{page}");
        // What is told at all is told when a replica ends.
        for replica in &mut site.replicas {
            replica.signal("INT")?;
            ensure!(replica.exit_within(Duration::from_secs(20)).await? == Some(0), "{}", replica.tail());
        }
        ensure!(collector.told().headers.is_empty(), "{:?}", collector.told().headers);
        Ok(())
    })
}
