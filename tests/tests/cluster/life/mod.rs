//! A replica's life as its operators and clients see it: how it ends, how it takes another configuration, what it lets in.

mod clients;
mod codes;
mod drain;
mod listener;
mod refused;
pub(crate) mod reload;

use anyhow::{Result, ensure};
use weir_tests::client::Answer;
use weir_tests::meters;
use weir_tests::process::eventually;
use weir_tests::site::Site;

/// Fails unless every call was served or told that a limit is reached.
fn none_failed(answers: &[Answer]) -> Result<()> {
    let failed: Vec<&Answer> =
        answers.iter().filter(|a| a.broken.is_some() || !matches!(a.status, 200 | 429)).collect();
    let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    println!(
        "{} calls: {} served, {} refused, {} failed",
        answers.len(),
        count(200),
        count(429),
        failed.len()
    );
    ensure!(failed.is_empty(), "{} calls failed, such as {:?}", failed.len(), failed[0]);
    Ok(())
}

/// Waits until nothing is held in the shared state.
async fn nothing_held(site: &Site) -> Result<()> {
    eventually("an end of all holds", async || {
        Ok(meters::read(&site.redis.url())?.is_none_or(|state| meters::held(&state).is_empty()))
    })
    .await
}
