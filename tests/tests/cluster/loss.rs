//! Redis loses everything under twice the load that the limits allow: the replicas know, and tell what replaces it.
//!
//! Broken on purpose to see it fail: the images that replicas tell not taken (`remember` in `join.lua` not called). That
//! nothing may be granted while learning is a matter of milliseconds here: the world shows it (`LearningSkipped`).

use anyhow::Result;
use weir_tests::judge::Unit;
use weir_tests::provider::Upstream;
use weir_tests::scale::Scale;

use crate::alone;
use crate::limits::{Run, Trouble, must_use, overload};

#[test]
fn no_limit_is_exceeded_when_redis_is_flushed() -> Result<()> {
    alone(lose("loss-flushed", Trouble::Flush))
}

#[test]
fn no_limit_is_exceeded_when_redis_comes_back_empty() -> Result<()> {
    alone(lose("loss-empty", Trouble::Empty))
}

async fn lose(name: &str, trouble: Trouble) -> Result<()> {
    let scale = Scale::from_env();
    let upstream = |name, limit| Upstream {
        rpm: Some(scale.limit(limit)),
        ..Upstream::new(name).behaving("--output 4..8 --latency 20ms --pace 2ms --jitter 0.5")
    };
    let upstreams = vec![upstream("a", 240), upstream("b", 360), upstream("c", 600)];
    let run = Run { name: name.to_owned(), upstreams, weight: 1.0, stream_every: 2, max_tokens: None };
    let outcome = overload(run, scale, trouble).await?;
    outcome.verdict.must_be_clean()?;
    must_use(&outcome.verdict, Unit::Requests, 0.75)
}
