//! Counting tokens for a model whose providers do not: by the estimate that its calls are admitted by, which is on the high
//! side. Clients that ask before each call to stay inside a context would else not work with such models at all.

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Response, header};
use serde_json::json;

use super::{Call, attempt};
use crate::config::ModelId;
use crate::dialect::api::Api;
use crate::telemetry::Record;

impl Call<'_> {
    /// The answer, if this is a call to count and no deployment of the model can be asked.
    pub(super) fn count(
        &self,
        model: ModelId,
        estimate: u64,
        record: &mut Option<Record>,
    ) -> Option<Response<Body>> {
        let body = match self.peek.api {
            Api::CountTokens => json!({ "input_tokens": estimate }),
            Api::GeminiCountTokens => json!({ "totalTokens": estimate }),
            _ => return None,
        };
        let targets = &self.snapshot.config.models[model.0].targets;
        if targets.iter().any(|target| self.way(target.deployment).is_some()) {
            return None;
        }
        if let Some(record) = record {
            record.ok();
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Some(attempt::respond(headers, body.to_string().into()))
    }
}
