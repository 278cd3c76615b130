//! SIGTERM: open streams finish, nobody new is let in, the process ends well and leaves nothing in Redis.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use weir_tests::client::{Ask, Client, says_200};
use weir_tests::gateway::Replica;
use weir_tests::process::eventually;
use weir_tests::provider::Upstream;
use weir_tests::site::{Plan, Site};
use weir_tests::{meters, place};

use crate::in_turn;

/// What `weir ready` says of a replica: its code, and its words. (It gives up by itself.)
async fn ready(replica: &Replica) -> Result<(Option<i32>, String)> {
    let mut command = Command::new(place::weir()?);
    command.args(["ready", "--url", &format!("http://{}/readyz", replica.admin())]);
    let said = tokio::task::spawn_blocking(move || command.output()).await??;
    Ok((said.status.code(), String::from_utf8_lossy(&said.stderr).into_owned()))
}

/// Broken on purpose to see it fail: SIGKILL instead of SIGTERM; `weir ready` content with any answer.
#[test]
fn a_replica_told_to_end_finishes_its_streams_first() -> Result<()> {
    in_turn(async {
        let slow = Upstream::new("a").behaving("--output 60 --latency 20ms --pace 30ms");
        let upstream = Upstream { tpm: Some(100_000), concurrency: Some(50), charge: "end-actual", ..slow };
        let mut site = Site::start(Plan::new("drain", vec![upstream])).await?;
        let direct = Arc::new(Client::new(site.replicas[0].addr()));
        let ask = Ask::new("m").max_tokens(60).streamed(true);
        let mut streams = tokio::task::JoinSet::new();
        for _ in 0..10 {
            let (client, ask) = (direct.clone(), ask.clone());
            streams.spawn(async move { client.call(&ask).await });
        }
        tokio::time::sleep(Duration::from_millis(600)).await;
        let before = ready(&site.replicas[0]).await?;
        ensure!(before == (Some(0), String::new()), "`weir ready` of one that serves: {before:?}");
        site.replicas[0].terminate()?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        ensure!(!says_200(site.replicas[0].addr(), "/readyz").await, "still ready while it drains");
        let (code, said) = ready(&site.replicas[0]).await?;
        ensure!(
            code == Some(1) && said.contains("not ready"),
            "`weir ready` of one that drains: {code:?}, {said}"
        );

        // Meanwhile the rest of the cluster serves.
        for _ in 0..5 {
            let other = site.replicas[1].client.call(&Ask::new("m").max_tokens(10)).await;
            ensure!(other.is_good(false), "another replica: {other:?}");
        }
        for answer in streams.join_all().await {
            ensure!(answer.is_good(true), "an open stream: {answer:?}");
        }
        let code = site.replicas[0].exit_within(Duration::from_secs(5)).await?;
        ensure!(code == Some(0), "it ended with {code:?}:\n{}", site.replicas[0].tail());
        let (code, said) = ready(&site.replicas[0]).await?;
        ensure!(
            code == Some(1) && said.contains("cannot be asked"),
            "`weir ready` of nobody: {code:?}, {said}"
        );

        let state = meters::read(&site.redis.url())?;
        let state = state.ok_or_else(|| anyhow::anyhow!("there is no state in Redis"))?;
        ensure!(state.lives.len() == 2, "the lives in Redis: {:?}", state.lives.keys());
        eventually("an end of all holds", async || {
            Ok(meters::read(&site.redis.url())?.is_none_or(|state| meters::held(&state).is_empty()))
        })
        .await
    })
}
