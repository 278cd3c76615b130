//! The operators' pages: mallory reaches none of them, neither through the clients' listener nor with its own key at theirs.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_tests::client::get_by;
use weir_tests::gateway::Replica;
use weir_tests::provider::Upstream;
use weir_tests::site::Site;

use super::wire::{Raw, Said};
use super::{Case, MALLORY, QUICK, TOKEN, at_each, case, start, tenants};
use crate::in_turn;

/// What stands on the operators' pages, and nowhere else.
const MARKS: [&str; 9] =
    ["\"replicas\"", "\"pools\"", "\"epoch\"", "weir_", "# TYPE", "acme", "\"keys\"", "text/html", "drained"];

#[test]
fn operators_pages_are_not_reached_by_clients() -> Result<()> {
    in_turn(async {
        let models = "[[models]]\nname = \"m\"\ndeployments = [\"a\"]\n";
        let site = start(
            "hostile-operators",
            vec![Upstream::new("a").behaving(QUICK)],
            format!("{models}{}", tenants("", "")),
        )
        .await?;
        for replica in &site.replicas {
            let (_, page) = get_by(replica.admin(), "/admin/v1/state", TOKEN, Duration::from_secs(5)).await?;
            let page = String::from_utf8_lossy(&page).into_owned();
            ensure!(
                ["\"replicas\"", "\"pools\"", "\"epoch\""].iter().all(|mark| page.contains(mark)),
                "void: {page}"
            );
        }
        let operators = site.replicas[0].admin().to_string();
        for case in cases(&operators) {
            at_each(&site, &case, |said| must_not_show(&case, said)).await?;
        }
        // (Over HTTP/2 a path is a field of its own, and may be anything.)
        for target in ["/admin/v1/state", "//admin/v1/state", "/metrics", "/admin/v1/deployments/a/drain"] {
            for (method, host) in [("GET", "weir"), ("POST", operators.as_str())] {
                let raw = Raw::new(method, target).host(host).key(MALLORY);
                let case = case(format!("{method} {target} over HTTP/2 to {host}"), raw);
                for replica in &site.replicas {
                    let said = case.sends.over_http_2(replica.addr()).await?;
                    must_not_show(&case, &said).with_context(|| case.name.clone())?;
                }
            }
        }
        with_its_own_key(&site).await?;
        for replica in &site.replicas {
            let (_, page) =
                get_by(replica.admin(), "/admin/v1/deployments/a", TOKEN, Duration::from_secs(5)).await?;
            let page: Value = serde_json::from_slice(&page)?;
            ensure!(
                page["drained"] == false && page["weight"]["set"].is_null(),
                "something was changed: {page}"
            );
        }
        Ok(())
    })
}

fn must_not_show(case: &Case, said: &Said) -> Result<()> {
    ensure!(said.status == 0 || (400..500).contains(&said.status), "answered {}: {}", said.status, said.text);
    let sent = case.sends.text();
    for mark in MARKS.iter().filter(|mark| !sent.contains(**mark)) {
        ensure!(!said.text.contains(mark), "{mark:?} stands in it: {}", said.text);
    }
    Ok(())
}

/// At the operators' own listener: a tenant's key is no token, and who tried is on record there.
async fn with_its_own_key(site: &Site) -> Result<()> {
    for replica in &site.replicas {
        for target in [
            "/metrics",
            "/admin/v1/state",
            "/admin/v1/costs",
            "/admin/v1/keys",
            "/admin/v1/events",
            "/admin/v1/deployments",
        ] {
            for raw in [
                Raw::get(target).key(MALLORY),
                Raw::get(&format!("{target}?key={TOKEN}")),
                Raw::get(target).header("x-api-key", TOKEN),
            ] {
                let case = case(format!("{target} at the operators' listener"), raw);
                let said = case.sends.to(replica.admin()).await?;
                ensure!(said.status == 401, "{:?}: {}", case.name, said.text);
                must_not_show(&case, &said).with_context(|| case.name.clone())?;
            }
        }
        let drain = Raw::new("POST", "/admin/v1/deployments/a/drain").key(MALLORY);
        let said = drain.to(replica.admin()).await?;
        ensure!(said.status == 401, "{}", said.text);
        on_record(replica).await?;
    }
    Ok(())
}

/// Who has tried to drain it, soon (lines are gathered before they are written), and nothing of what was shown for a token.
async fn on_record(replica: &Replica) -> Result<()> {
    let begun = Instant::now();
    loop {
        let log = replica.log()?;
        ensure!(!log.contains(MALLORY) && !log.contains(TOKEN), "a key or the token stands in the log");
        let lines = log.lines().filter(|line| line.contains("weir::audit"));
        let lines: Vec<Value> = lines.filter_map(|line| serde_json::from_str(line).ok()).collect();
        let drain = lines.iter().find(|line| line["path"] == "/admin/v1/deployments/a/drain");
        if let Some(drain) = drain {
            ensure!(
                drain["action"] == "refused"
                    && drain["method"] == "POST"
                    && drain["status"] == 401
                    && drain["by"] == "127.0.0.1",
                "{drain}"
            );
            return Ok(());
        }
        ensure!(begun.elapsed() < Duration::from_secs(5), "nobody knows who wanted to drain it: {lines:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn cases(operators: &str) -> Vec<Case> {
    let mut all = Vec::new();
    for target in [
        "/admin/v1/state",
        "//admin/v1/state",
        "/./admin/v1/state",
        "/v1/../admin/v1/state",
        "/v1/%2e%2e/admin/v1/state",
        "/v1/..%2fadmin/v1/state",
        "/%61dmin/v1/state",
        "/admin%2fv1%2fstate",
        "/ADMIN/v1/state",
        "/admin/v1/state/",
        "/admin/v1/state;x",
        "/admin/v1/state%00",
        "/v1/admin/v1/state",
        "/openai/admin/v1/state",
        "/openai/deployments/../../admin/v1/state",
        "\\admin\\v1\\state",
        "/metrics",
        "//metrics",
        "/v1/../metrics",
        "/%6detrics",
        "/dashboard",
        "/dashboard/start.js",
        "/v1/..;/dashboard",
        "/admin/v1/keys",
        "/admin/v1/costs",
        "/admin/v1/events",
        "/admin/v1/deployments",
        "/admin/v1/config",
        "/livez/../admin/v1/state",
        "/v1/models/..%2f..%2fadmin%2fv1%2fstate",
        "/v1/responses/..%2f..%2fadmin",
    ] {
        all.push(case(format!("GET {target}"), Raw::get(target).key(MALLORY)));
    }
    for (method, target) in [
        ("POST", "/admin/v1/deployments/a/drain"),
        ("PUT", "/admin/v1/deployments/a/weight"),
        ("POST", "/admin/v1/keys"),
        ("DELETE", "/admin/v1/keys/key_0"),
        ("POST", "//admin/v1/deployments/a/drain"),
        ("POST", "/v1/../admin/v1/deployments/a/drain"),
    ] {
        all.push(case(format!("{method} {target}"), Raw::new(method, target).key(MALLORY)));
    }
    let state = || Raw::get("/admin/v1/state").key(MALLORY);
    all.push(case("the token of operators at the clients' listener", Raw::get("/admin/v1/state").key(TOKEN)));
    all.push(case("another host", state().host(operators)));
    all.push(case("localhost", state().host("localhost")));
    for target in [
        format!("http://{operators}/admin/v1/state"),
        "http://weir/admin/v1/state".to_owned(),
        format!("http://{operators}/metrics"),
    ] {
        all.push(case(format!("in absolute form, {target}"), Raw::get(&target).key(MALLORY).host(operators)));
    }
    all.push(case("a tunnel", Raw::new("CONNECT", operators).host(operators).key(MALLORY)));
    for name in
        ["x-original-url", "x-rewrite-url", "x-forwarded-path", "x-forwarded-prefix", "x-original-uri"]
    {
        let raw = Raw::get("/v1/none").key(MALLORY).header(name, "/admin/v1/state");
        all.push(case(format!("{name}: /admin/v1/state"), raw));
    }
    for (name, value) in [
        ("x-forwarded-host", operators),
        ("x-http-method-override", "POST"),
        ("x-forwarded-for", "127.0.0.1"),
    ] {
        let raw = Raw::get("/admin/v1/deployments/a/drain").key(MALLORY).header(name, value);
        all.push(case(format!("{name}: {value}"), raw));
    }
    let upgrade = state().header("upgrade", "h2c").header("http2-settings", "AAMAAABkAAQAAP__");
    all.push(case("an upgrade", upgrade));
    all
}
