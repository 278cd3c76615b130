//! Rules of structure that would otherwise rest on memory. Broken on purpose once: a `use tokio` in `route/mod.rs`
//! and a `use crate::state` in `dialect/openai/stream.rs` made it fail.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails by panicking")]

use std::path::{Path, PathBuf};

/// Decisions without I/O: what they must not know.
const PURE: [&str; 38] = [
    "state/core",
    "state/side.rs",
    "state/side",
    "state/living.rs",
    "state/share.rs",
    "state/outage.rs",
    "state/ledger.rs",
    "state/ledger",
    "state/books.rs",
    "state/doubts.rs",
    "state/watched.rs",
    "keys/entry.rs",
    "keys/table.rs",
    "keys/wanted.rs",
    "keys/shown.rs",
    "experiment/measures.rs",
    "experiment/interval.rs",
    "experiment/report.rs",
    "config/price.rs",
    "cost/sums.rs",
    "cost/page.rs",
    "route",
    "admit",
    "dialect",
    "error.rs",
    "import",
    "plan/advice.rs",
    "plan/draws.rs",
    "plan/load.rs",
    "plan/mix.rs",
    "plan/page.rs",
    "plan/plot.rs",
    "plan/record.rs",
    "plan/report.rs",
    "plan/service.rs",
    "plan/spread.rs",
    "plan/tally.rs",
    "plan/text.rs",
];
const IMPURE: [&str; 8] = [
    "tokio",
    "redis::",
    "deadpool_redis",
    "hyper",
    "axum",
    "tracing",
    "std::time::Instant",
    "SystemTime::now",
];
/// A layer and what it must not import: the way goes from the edge inwards.
const INWARDS: [(&str, &[&str]); 16] = [
    ("state/core", &["crate::state::client", "crate::http", "crate::pipeline", "crate::config"]),
    ("dialect", &["crate::state", "crate::http", "crate::pipeline", "crate::upstream", "crate::config"]),
    ("config", &["crate::state", "crate::http", "crate::pipeline", "crate::upstream", "crate::route"]),
    ("route", &["crate::state", "crate::http", "crate::pipeline", "crate::upstream"]),
    ("state", &["crate::http", "crate::pipeline", "crate::upstream", "crate::route"]),
    ("upstream", &["crate::http", "crate::pipeline", "crate::state", "crate::route"]),
    ("auth", &["crate::http", "crate::pipeline", "crate::state", "crate::upstream"]),
    ("keys", &["crate::http", "crate::pipeline", "crate::upstream", "crate::route"]),
    ("experiment", &["crate::http", "crate::pipeline", "crate::upstream"]),
    ("cost", &["crate::http", "crate::pipeline", "crate::upstream"]),
    ("prices", &["crate::http", "crate::pipeline", "crate::state"]),
    ("settle", &["crate::http", "crate::pipeline", "crate::route"]),
    ("shared.rs", &["crate::http", "crate::pipeline"]),
    ("shared", &["crate::http", "crate::pipeline"]),
    ("import", &["crate::http", "crate::pipeline", "crate::upstream", "crate::state", "crate::route"]),
    ("plan", &["crate::http", "crate::pipeline", "crate::upstream"]),
];

fn sources(under: &str) -> Vec<PathBuf> {
    let start = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(under);
    let mut found = Vec::new();
    let mut todo = vec![start];
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            todo.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|e| e == "rs") && !path.to_string_lossy().contains("test") {
            found.push(path);
        }
    }
    assert!(!found.is_empty(), "nothing under {under}");
    found
}

/// Lines of code (no comments, no tests at the file's end) that name one of `words`.
fn lines_with(path: &Path, words: &[&str]) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let names = |line: &&str| !line.trim_start().starts_with("//") && words.iter().any(|w| line.contains(w));
    code.lines().filter(names).map(|line| format!("{}: {}", path.display(), line.trim())).collect()
}

#[test]
fn decisions_know_no_runtime_no_redis_no_http_client_and_no_clock() {
    let found: Vec<String> =
        PURE.iter().flat_map(|under| sources(under)).flat_map(|path| lines_with(&path, &IMPURE)).collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn imports_point_inwards() {
    let found: Vec<String> = INWARDS
        .iter()
        .flat_map(|(layer, banned)| sources(layer).into_iter().flat_map(|path| lines_with(&path, banned)))
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}
