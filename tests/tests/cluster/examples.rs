//! The files in `config/examples`, as far as only calls show that they do what their headings say.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use weir_tests::judge::Verdict;
use weir_tests::load::{all_served, load_ended};
use weir_tests::provider::Upstream;
use weir_tests::scale::Scale;
use weir_tests::site::{Plan, Site, Timeouts};

use crate::in_turn;

/// Broken on purpose to see it fail: the `priority` taken out of the file.
#[test]
fn provisioned_throughput_is_used_up_first_and_the_rest_goes_on() -> Result<()> {
    in_turn(async {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/examples/provisioned-first.toml");
        let text = std::fs::read_to_string(file)?;
        let models = text.split_once("[[models]]").context("it has models")?.1;
        let models = format!("[[models]]{}", models.replace("\"gpt-4o\"", "\"m\""));
        let scale = Scale::short();
        let quick = |name| Upstream::new(name).behaving("--output 8 --latency 5ms --pace 1ms");
        let limited = |name, rpm| Upstream { rpm: Some(scale.limit(rpm)), ..quick(name) };
        let upstreams = vec![limited("ptu", 600), limited("payg", 3_000)];
        let timeouts = Timeouts { total: Duration::from_secs(15), ..Timeouts::default() };
        let plan = Plan { models: Some(models), timeouts, ..Plan::new("examples-provisioned", upstreams) };
        let site = Site::start(plan).await?;
        let window = scale.window.as_secs_f64();
        let bears = scale.limit(600) as f64 / window;
        let load =
            |times: f64, windows: f64| site.load(times * bears, Duration::from_secs_f64(windows * window));
        // Half of what is paid for by the hour: nothing is paid for by the token.
        all_served(&load(0.5, 1.0).finish().await)?;
        let counts = site.seen().await?;
        ensure!(counts[1] == 0, "nothing was to go on: {counts:?}");
        // Two and a half times as much: it is used up, and the rest goes on without an error.
        let answers = load(2.5, 3.0).finish().await;
        all_served(&answers)?;
        let counts = site.seen().await?;
        Verdict::on(&site.providers, scale.window, load_ended(&answers)).await?.must_be_clean()?;
        ensure!(counts[0] as f64 > 0.9 * 3.0 * bears * window, "it is not used up: {counts:?}");
        ensure!((counts[1] as f64) < 0.65 * 2.5 * 3.0 * bears * window, "too much went on: {counts:?}");
        Ok(())
    })
}
