//! The list of models: free of charge, and in the log like any call.

use super::Shared;
use super::books::{Arrival, Verdict};
use super::call::Call;
use super::chat::{Reply, bearer};
use super::faults::{FaultKind, Route};
use super::script::{Cut, Play};
use bytes::Bytes;
use http::header::{HeaderName, RETRY_AFTER};
use http::{HeaderMap, Response, StatusCode};
use std::sync::Arc;

/// Answers with `list`, or as a failure will have it. `Err` closes the connection without an answer.
pub(super) async fn list(
    shared: &Arc<Shared>,
    headers: &HeaderMap,
    peer: u16,
    list: String,
) -> Result<Response<Play>, Cut> {
    let behaviour = shared.behaviour.load_full();
    let mut rng = shared.next_draw();
    let secret = bearer(headers);
    let arrival = Arrival {
        secret,
        route: Route::Models,
        peer,
        model: "",
        stream: false,
        prompt_tokens: 0,
        cached_tokens: 0,
        written_tokens: 0,
        max_tokens: 0,
        planned_tokens: 0,
        body: b"",
    };
    let (mut call, verdict, gauges) = Call::arrive(shared, &arrival);
    let reply = Reply::new(gauges, &mut rng);
    if matches!(verdict, Verdict::UnknownKey) {
        return Ok(reply.unauthorized(call, secret));
    }
    match behaviour.faults.pick(rng.f64(), Route::Models) {
        Some(FaultKind::Status { code, retry_after, should_retry, body }) => {
            let again = HeaderName::from_static("x-should-retry");
            let headers = [(RETRY_AFTER, &retry_after), (again, &should_retry)];
            Ok(reply.injected(call, code, headers, body.as_deref()))
        }
        Some(FaultKind::Stall(_)) => {
            call.stalled();
            std::future::pending().await
        }
        Some(FaultKind::Cut(_)) => {
            call.end("cut");
            Err(Cut)
        }
        // What happens inside an answer's content does not happen here.
        Some(FaultKind::ErrorChunk(_) | FaultKind::SlowFirstToken(_)) | None => {
            call.headers(200);
            call.end("ok");
            let age_ms = call.age_ms();
            Ok(reply.response(StatusCode::OK, "application/json", age_ms, Play::bytes(Bytes::from(list))))
        }
    }
}
