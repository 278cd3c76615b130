//! What calls cost, by three replicas: the providers' logs of arrivals, times the prices, say what each replica must show.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_tests::client::{Answer, Ask, Client, get, unix_us};
use weir_tests::gateway::Replica;
use weir_tests::place;
use weir_tests::process::eventually;
use weir_tests::provider::{Arrival, Upstream};
use weir_tests::site::{Plan, Site, Timeouts};

use crate::in_turn;

const QUICK: &str = "--output 4 --latency 2ms --pace 1ms";
/// As far as two sums of the same numbers in another order may be apart.
const RELATIVE: f64 = 1e-9;

/// US$ per million tokens: input, output, from a cache, to a cache; and per request.
#[derive(Clone, Copy)]
struct Price {
    input: f64,
    output: f64,
    read: f64,
    written: f64,
    request: f64,
    factor: f64,
}

/// As the configuration below says them.
const A: Price = Price { input: 2.0, output: 8.0, read: 0.5, written: 2.5, request: 0.001, factor: 1.0 };
const B: Price = Price { input: 1.0, output: 4.0, read: 1.0, written: 1.0, request: 0.0, factor: 0.5 };
const C: Price =
    Price { input: 200.0, output: 800.0, read: 200.0, written: 200.0, request: 0.0, factor: 1.0 };

impl Price {
    fn of(&self, arrival: &Arrival) -> f64 {
        let Arrival { prompt_tokens, cached_tokens, written_tokens, output_tokens, .. } = arrival;
        let plain = prompt_tokens - cached_tokens - written_tokens;
        let tokens = plain as f64 * self.input
            + *cached_tokens as f64 * self.read
            + *written_tokens as f64 * self.written
            + *output_tokens as f64 * self.output;
        self.factor * (tokens / 1e6 + self.request)
    }
}

fn upstreams() -> Vec<Upstream> {
    let quick = |name| Upstream::new(name).behaving(QUICK);
    vec![
        quick("a")
            .behaving("--cached 0.4 --written 0.2 --reasoning 0.3")
            .costing("{ input = 2, output = 8, cache_read = 0.5, cache_write = 2.5, request = 0.001 }"),
        quick("b").behaving("--service flex").costing("{ input = 1, output = 4, service = { flex = 0.5 } }"),
        quick("c").costing("{ input = 200, output = 800 }"),
    ]
}

async fn site(name: &str, upstreams: Vec<Upstream>, models: &str) -> Result<Site> {
    // A machine that is busy makes calls fail or come late, and circuits or the state's absence would then decide.
    let defaults = "circuit = { enabled = false }\n".to_owned();
    let timeouts = Timeouts {
        first_token: Duration::from_secs(10),
        total: Duration::from_secs(15),
        ..Timeouts::default()
    };
    let models = Some(models.to_owned());
    Site::start(Plan { models, defaults, timeouts, on_outage: "open", ..Plan::new(name, upstreams) }).await
}

/// A model of each deployment, and one of all.
const MODELS: &str = "[[models]]\nname = \"a\"\ndeployments = [\"a\"]\n[[models]]\nname = \"b\"\ndeployments = [\"b\"]\n\
                      [[models]]\nname = \"c\"\ndeployments = [\"c\"]\n\
                      [[models]]\nname = \"all\"\nstrategy = \"cost\"\nbaseline = \"a\"\ndeployments = [\"a\", \"b\", \"c\"]\n";

/// So many calls of a model at one replica, one after another, every other one streamed.
async fn calls(replica: &Replica, model: &str, count: usize) -> Result<Vec<Answer>> {
    let client = Client::new(replica.addr());
    let mut answers = Vec::new();
    for at in 0..count {
        let streamed = at.is_multiple_of(2);
        let answer = client.call(&Ask::new(model).streamed(streamed)).await;
        ensure!(answer.is_good(streamed), "{answer:?}");
        answers.push(answer);
    }
    Ok(answers)
}

/// What a replica shows, by this.
async fn page(replica: &Replica, query: &str) -> Result<Value> {
    let (status, body) = get(replica.admin(), &format!("/admin/v1/costs?hours=2&{query}")).await?;
    let page: Value = serde_json::from_slice(&body)?;
    ensure!(status == 200, "{status}: {page}");
    ensure!(page["whole_cluster"] == true, "the state is away: {page}");
    Ok(page)
}

/// By deployment, US$.
async fn shown(replica: &Replica) -> Result<BTreeMap<String, f64>> {
    let page = page(replica, "by=deployment").await?;
    let rows = page["rows"].as_array().context("no rows")?;
    let of = |row: &Value| Some((row["deployment"].as_str()?.to_owned(), row["cost_usd"].as_f64()?));
    let rows: BTreeMap<String, f64> = rows.iter().filter_map(of).collect();
    let total = page["total"]["cost_usd"].as_f64().context("no total")?;
    ensure!(is_about(total, rows.values().sum()), "{total} is not the sum of {rows:?}");
    Ok(rows)
}

fn is_about(one: f64, other: f64) -> bool {
    (one - other).abs() <= RELATIVE * one.abs().max(other.abs())
}

/// What the providers' logs come to, by deployment, US$.
async fn owed(site: &Site) -> Result<BTreeMap<String, f64>> {
    let mut owed = BTreeMap::new();
    for (provider, price) in site.providers.iter().zip([A, B, C]) {
        let arrivals = provider.arrivals().await?;
        let odd = arrivals.iter().find(|a| a.status != 200 || a.end_us.is_none() || a.aborted);
        ensure!(odd.is_none(), "{odd:?}");
        if !arrivals.is_empty() {
            owed.insert(provider.upstream.name.to_owned(), arrivals.iter().map(|a| price.of(a)).sum());
        }
    }
    Ok(owed)
}

fn are_about(shown: &BTreeMap<String, f64>, owed: &BTreeMap<String, f64>) -> bool {
    shown.len() == owed.len()
        && owed.iter().all(|(name, usd)| shown.get(name).is_some_and(|shown| is_about(*shown, *usd)))
}

/// Each of these replicas shows this, soon.
async fn all_show<'r>(
    replicas: impl IntoIterator<Item = &'r Replica>,
    owed: &BTreeMap<String, f64>,
    when: &str,
) -> Result<()> {
    for replica in replicas {
        let mut last = BTreeMap::new();
        let told = eventually("the same costs", async || {
            let Ok(now) = shown(replica).await else { return Ok(false) }; // the state may be away for a moment
            last = now;
            Ok(are_about(&last, owed))
        })
        .await;
        told.with_context(|| format!("{when}: a replica shows {last:?}, the providers' logs say {owed:?}"))?;
    }
    println!("{when}: {owed:?}");
    Ok(())
}

/// Calls per life of a replica and deployment, and what one of them costs: all of a deployment's cost the same.
#[derive(Default)]
struct Told(BTreeMap<(String, String), f64>);

impl Told {
    fn note(&mut self, answers: &[Answer]) {
        for answer in answers {
            *self.0.entry((answer.replica.clone(), answer.deployment.clone())).or_default() += 1.0;
        }
    }

    /// What calls at these lives came to, by deployment, if all came to `owed`.
    fn of(&self, lives: &[&str], owed: &BTreeMap<String, f64>) -> BTreeMap<String, f64> {
        let calls = |deployment: &String, counts: &dyn Fn(&str) -> bool| -> f64 {
            let of = self.0.iter().filter(|((life, at), _)| at == deployment && counts(life));
            of.map(|(_, calls)| calls).sum()
        };
        let part = |(deployment, usd): (&String, &f64)| {
            let part = calls(deployment, &|life| lives.contains(&life)) / calls(deployment, &|_| true);
            (deployment.clone(), usd * part)
        };
        owed.iter().map(part).filter(|(_, usd)| *usd > 0.0).collect()
    }
}

/// Broken on purpose to see it fail: books told anew to a Redis that lost them only when something changes; the last word of a
/// replica that ends left out; what was told of this replica added to what it knows; the flex price not looked at.
#[test]
fn what_all_spent_is_shown_by_each_to_the_last_digit_whatever_becomes_of_replicas_and_redis() -> Result<()> {
    in_turn(async {
        let mut site = site("costs", upstreams(), MODELS).await?;
        let mut told = Told::default();
        for (at, replica) in site.replicas.iter().enumerate() {
            for model in ["a", "b", "c"] {
                told.note(&calls(replica, model, 20 + 10 * at).await?);
            }
        }
        let mut due = owed(&site).await?;
        all_show(&site.replicas, &due, "three replicas").await?;

        site.redis.flush()?;
        all_show(&site.replicas, &due, "Redis lost all and nobody called").await?;

        // Told twice a second, so what it has told by now is kept.
        let killed = site.replicas[2].client.call(&Ask::new("a")).await;
        told.note(std::slice::from_ref(&killed));
        due = owed(&site).await?;
        all_show(&site.replicas, &due, "before a replica is killed").await?;
        site.replicas[2].kill()?;
        all_show(&site.replicas[..2], &due, "after a replica was killed").await?;
        site.replicas[2].replace().await?;
        told.note(&calls(&site.replicas[2], "b", 5).await?);

        // Whoever ends leaves behind what it spent, whole.
        let ended = calls(&site.replicas[1], "c", 5).await?;
        told.note(&ended);
        site.replicas[1].terminate()?;
        site.replicas[1].exit_within(Duration::from_secs(12)).await?;
        due = owed(&site).await?;
        all_show([&site.replicas[0], &site.replicas[2]], &due, "after a replica ended").await?;
        site.replicas[1].replace().await?;

        // A Redis that writes down what it is told: it has all of the dead as well.
        site.redis.remember()?;
        told.note(&calls(&site.replicas[0], "a", 5).await?);
        due = owed(&site).await?;
        all_show(&site.replicas, &due, "before Redis is killed").await?;
        tokio::time::sleep(Duration::from_millis(2_100)).await; // it writes once a second; this is what is measured, not a race
        site.redis.kill()?;
        site.redis.restart().await?;
        all_show(&site.replicas, &due, "Redis is back with what it wrote").await?;

        // One that is back empty has what the living know.
        site.redis.remember_nothing()?;
        site.redis.kill()?;
        site.redis.restart().await?;
        let lives: Vec<String> = told.0.keys().map(|(life, _)| life.clone()).collect();
        let dead = [killed.replica.as_str(), ended[0].replica.as_str()];
        let living: Vec<&str> =
            lives.iter().map(String::as_str).filter(|life| !dead.contains(life)).collect();
        let known = told.of(&living, &due);
        all_show(&site.replicas, &known, "Redis is back empty").await
    })
}

/// What a replica that is killed takes along is what it spent in the last half second, and what is in flight.
/// Broken on purpose to see it fail: told every five seconds.
#[test]
fn a_replica_that_is_killed_takes_along_what_it_spent_in_the_last_moment_only() -> Result<()> {
    in_turn(async {
        let mut site = site("costs-killed", upstreams(), MODELS).await?;
        let client = Client::new(site.replicas[2].addr());
        let begun = Instant::now();
        let loading = tokio::spawn(async move {
            let mut calls = 0;
            while client.call(&Ask::new("a")).await.is_good(false) {
                calls += 1;
                tokio::time::sleep(Duration::from_millis(10)).await; // a steady load, until it is cut off
            }
            calls
        });
        tokio::time::sleep(Duration::from_secs(4)).await; // of load
        site.replicas[2].kill()?;
        let killed_us = unix_us();
        let calls = loading.await?;
        ensure!(calls > 50, "{calls} calls in {:?}", begun.elapsed());
        let arrivals = site.providers[0].arrivals().await?;
        // Told every half second; a busy machine needs as long again to do it.
        let safe = |a: &&Arrival| a.end_us.is_some_and(|end| end + 1_000_000 < killed_us);
        let least: f64 = arrivals.iter().filter(safe).map(|a| A.of(a)).sum();
        let most: f64 = arrivals.iter().map(|a| A.of(a)).sum();
        for replica in &site.replicas[..2] {
            let shown = shown(replica).await?.remove("a").unwrap_or_default();
            println!("{shown:.6} US$ of {most:.6} were told; {least:.6} are more than a second old");
            ensure!(
                shown >= least * (1.0 - RELATIVE),
                "{shown} US$ were told, and {least} are older than a second"
            );
            ensure!(
                shown <= most * (1.0 + RELATIVE),
                "{shown} US$ were told, more than the {most} that were spent"
            );
        }
        Ok(())
    })
}

/// Broken on purpose to see it fail: savings beside the deployment that served; clients that left paid as if they had stayed.
#[test]
fn savings_and_estimates_are_told_apart_and_outlast_replicas() -> Result<()> {
    in_turn(async {
        let mut site = site("costs-saved", upstreams(), MODELS).await?;
        for replica in &site.replicas {
            calls(replica, "all", 20).await?;
        }
        let arrivals = site.providers[1].arrivals().await?;
        ensure!(arrivals.len() == 60, "the cheapest serves: {}", arrivals.len());
        let spent: f64 = arrivals.iter().map(|a| B.of(a)).sum();
        // The same tokens: what b says it used, nothing of it cached.
        let (baseline, dearest): (f64, f64) =
            (arrivals.iter().map(|a| A.of(a)).sum(), arrivals.iter().map(|a| C.of(a)).sum());
        let saved = async |replica: &Replica| -> Result<(f64, f64)> {
            let page = page(replica, "by=model&model=all").await?;
            let saved = &page["total"]["saved_usd"];
            Ok((saved["baseline"].as_f64().context("none")?, saved["dearest"].as_f64().context("none")?))
        };
        let is_right =
            |(one, other): (f64, f64)| is_about(one, baseline - spent) && is_about(other, dearest - spent);
        for replica in &site.replicas {
            eventually("the savings", async || Ok(is_right(saved(replica).await?))).await?;
        }
        let mut counted = [0.0, 0.0];
        for replica in &site.replicas {
            for (sum, against) in counted.iter_mut().zip(["baseline", "dearest"]) {
                let labels = format!("against=\"{against}\"");
                *sum += replica.metric("weir_cost_saved_usd_total", &labels).await?;
            }
        }
        ensure!(is_right((counted[0], counted[1])), "{counted:?}");
        site.replicas[2].kill()?;
        site.replicas[2].replace().await?;
        for replica in &site.replicas {
            eventually("the savings of before", async || Ok(is_right(saved(replica).await?))).await?;
        }

        // A client that leaves has had what came to it; the provider never said what it used.
        site.providers[2].control(serde_json::json!({"output": "200", "pace": "5ms"})).await?;
        let client = Client::new(site.replicas[0].addr());
        for _ in 0..5 {
            client.call_and_leave(&Ask::new("c").streamed(true), 10).await?;
        }
        let mut last = Value::Null;
        let told = eventually("five estimates", async || {
            last = page(&site.replicas[1], "by=deployment&deployment=c").await?["total"].clone();
            Ok(last["estimated"]["attempts"] == 5.0)
        });
        told.await.with_context(|| last.to_string())?;
        let (all, estimated) = (&last["cost_usd"], &last["estimated"]["cost_usd"]);
        ensure!(all == estimated && all.as_f64().is_some_and(|usd| usd > 0.0), "{last}");
        let arrivals = site.providers[2].arrivals().await?;
        let most: f64 = arrivals.iter().map(|a| C.of(&Arrival { output_tokens: 200, ..a.clone() })).sum();
        ensure!(all.as_f64().is_some_and(|usd| usd < most / 2.0), "{last}: as if they had stayed, {most}");
        Ok(())
    })
}

fn table(entries: &str) -> String {
    format!("version = 1\n{entries}")
}

fn listed(input: f64, more: &str) -> String {
    format!(
        "[[prices]]\nproviders = [\"openai-compatible\"]\nmodels = [\"up-c*\"]\n{more}price = {{ input = {input:?}, output = 0 }}\n\
         source = \"test\"\nchecked = 2026-11-30\n"
    )
}

/// A file, written as a whole.
fn put(path: &PathBuf, text: &str) -> Result<()> {
    let next = path.with_extension("next");
    std::fs::write(&next, text)?;
    Ok(std::fs::rename(next, path)?)
}

async fn reloaded(site: &Site, times: f64) -> Result<()> {
    for replica in &site.replicas {
        eventually("a reload", async || {
            Ok(replica.metric("weir_config_reloads_total", "applied").await? >= times)
        })
        .await
        .with_context(|| replica.tail())?;
    }
    Ok(())
}

/// Broken on purpose to see it fail: the price of the time at which the configuration was read; the file of prices not watched.
#[test]
fn prices_change_with_their_file_and_at_their_date_and_what_has_none_is_not_free() -> Result<()> {
    in_turn(async {
        let upstreams = vec![Upstream::new("c").behaving(QUICK)];
        let site =
            site("costs-prices", upstreams, "[[models]]\nname = \"c\"\ndeployments = [\"c\"]\n").await?;
        let provider = &site.providers[0];
        for replica in &site.replicas {
            calls(replica, "c", 5).await?;
        }
        let mut last = Value::Null;
        let told = eventually("calls of unknown cost", async || {
            last = page(&site.replicas[0], "by=model").await?["total"].clone();
            Ok(last["unknown"]["attempts"] == 15.0)
        });
        told.await.with_context(|| last.to_string())?;
        ensure!(last["cost_usd"] == 0.0 && last["usd_per_mtok"].is_null(), "{last}");
        ensure!(site.replicas[0].metric("weir_cost_unknown_total", "deployment=\"c\"").await? == 5.0);
        let (_, text) = get(site.replicas[0].admin(), "/metrics").await?;
        ensure!(
            !String::from_utf8_lossy(&text).contains("weir_cost_usd_total{"),
            "0 US$ for what has no price"
        );

        // A table that the configuration names.
        let path = place::folder("costs-prices-table")?.join("prices.toml");
        put(&path, &table(&listed(1.0, "")))?;
        for replica in &site.replicas {
            let named = format!("version = 1\nprices = \"{}\"", path.display());
            replica.rewrite(|text| text.replace("version = 1", &named))?;
        }
        reloaded(&site, 1.0).await?;
        let first = provider.arrivals().await?.len();
        for replica in &site.replicas {
            calls(replica, "c", 5).await?;
        }
        // Another one.
        put(&path, &table(&listed(3.0, "")))?;
        reloaded(&site, 2.0).await?;
        let second = provider.arrivals().await?.len();
        for replica in &site.replicas {
            calls(replica, "c", 5).await?;
        }
        // And one that changes by itself, in a few seconds.
        let border = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() + 8;
        let date = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(border));
        put(&path, &table(&format!("{}{}", listed(5.0, ""), listed(7.0, &format!("from = {date}\n")))))?;
        reloaded(&site, 3.0).await?;
        let third = provider.arrivals().await?.len();
        while unix_us() < (border + 1) * 1_000_000 {
            for replica in &site.replicas {
                calls(replica, "c", 1).await?;
            }
        }
        ensure!(
            site.replicas[0].metric("weir_config_reloads_total", "").await? == 3.0,
            "no reload at the date"
        );
        let arrivals = provider.arrivals().await?;
        let price = |at: usize, arrival: &Arrival| match at {
            at if at < first => 0.0,
            at if at < second => 1.0,
            at if at < third => 3.0,
            _ if arrival.arrival_us < border * 1_000_000 => 5.0,
            _ => 7.0,
        };
        let cost = |(at, arrival): (usize, &Arrival)| arrival.prompt_tokens as f64 * price(at, arrival) / 1e6;
        let due: f64 = arrivals.iter().enumerate().map(cost).sum();
        // One that was sent before the border may have come after it.
        let near = |a: &&Arrival| {
            a.arrival_us.abs_diff(border * 1_000_000) < 100_000 && a.arrival_us >= border * 1_000_000
        };
        let doubt: f64 = arrivals.iter().filter(near).map(|a| a.prompt_tokens as f64 * 2.0 / 1e6).sum();
        let (before, after): (Vec<&Arrival>, Vec<&Arrival>) =
            arrivals[third..].iter().partition(|a| a.arrival_us < border * 1_000_000);
        ensure!(
            before.len() >= 10 && after.len() >= 10,
            "{} before the border, {} after",
            before.len(),
            after.len()
        );
        let mut last = 0.0;
        let told = eventually("costs by the prices of their times", async || {
            last =
                page(&site.replicas[1], "by=model").await?["total"]["cost_usd"].as_f64().unwrap_or(f64::NAN);
            Ok(last <= due * (1.0 + RELATIVE) && last >= (due - doubt) * (1.0 - RELATIVE))
        });
        told.await.with_context(|| format!("{last} US$ shown, {due} due, of which {doubt} in doubt"))?;
        println!("{last:.6} US$ shown, {due:.6} due, of which {doubt:.6} in doubt");
        Ok(())
    })
}
