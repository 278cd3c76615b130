//! Fallback models.

use anyhow::{Result, ensure};
use weir_tests::client::Ask;
use weir_tests::provider::Upstream;
use weir_tests::site::{Plan, Site};

use crate::in_turn;

#[test]
fn another_model_is_tried_by_the_kind_of_failure() -> Result<()> {
    in_turn(async {
        let quick = |name| Upstream::new(name).behaving("--output 8 --latency 5ms --pace 1ms");
        let upstreams = vec![quick("asked"), quick("other"), quick("long"), quick("lenient")];
        let models = "[[models]]\nname = \"m\"\ndeployments = [\"asked\"]\nfallbacks = [\"other\"]\n\
                      context_fallbacks = [\"long\"]\ncontent_fallbacks = [\"lenient\"]\n\
                      [[models]]\nname = \"other\"\ndeployments = [\"other\"]\n\
                      [[models]]\nname = \"long\"\ndeployments = [\"long\"]\n\
                      [[models]]\nname = \"lenient\"\ndeployments = [\"lenient\"]\n";
        let plan =
            Plan { replicas: 1, models: Some(models.to_owned()), ..Plan::new("failures-kinds", upstreams) };
        let site = Site::start(plan).await?;
        let refusal = |code: &str| {
            format!(
                "status=400,body={{\"error\":{{\"message\":\"no\",\"type\":\"invalid_request_error\",\"code\":\"{code}\"}}}}"
            )
        };
        for (fault, by) in [
            ("status=500".to_owned(), "other"),
            (refusal("context_length_exceeded"), "long"),
            (refusal("content_filter"), "lenient"),
        ] {
            site.providers[0].fail(&[&fault]).await?;
            for streamed in [false, true] {
                let answer = site.client.call(&Ask::new("m").streamed(streamed)).await;
                ensure!(answer.is_good(streamed) && answer.deployment == by, "{fault}: {answer:?}");
            }
        }
        site.providers[0].fail(&[&refusal("unknown_parameter")]).await?;
        let answer = site.client.call(&Ask::new("m")).await;
        ensure!(answer.status == 400, "what the client is to blame for, nobody else is asked: {answer:?}");
        Ok(())
    })
}
