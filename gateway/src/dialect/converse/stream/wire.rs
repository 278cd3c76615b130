//! The events as they come, only what is read of them. Whatever else stands there is passed over: `p`, for one, is
//! padding that hides the length of a token.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::answer::Counts;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BlockStart {
    #[serde(default)]
    pub(super) content_block_index: u64,
    #[serde(default)]
    pub(super) start: Start,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Start {
    pub(super) tool_use: Option<CallStart>,
    pub(super) tool_result: Option<Map<String, Value>>,
    pub(super) image: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CallStart {
    pub(super) tool_use_id: String,
    pub(super) name: String,
    #[serde(rename = "type", default)]
    pub(super) kind: Option<String>,
}

impl CallStart {
    /// Else the provider runs the tool itself (`server_tool_use`).
    pub(super) fn is_clients(&self) -> bool {
        self.kind.as_deref().is_none_or(|kind| kind == "tool_use")
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BlockDelta<'a> {
    #[serde(default)]
    pub(super) content_block_index: u64,
    #[serde(borrow)]
    pub(super) delta: Part<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Part<'a> {
    #[serde(borrow, default)]
    pub(super) text: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) tool_use: Option<Input<'a>>,
    #[serde(borrow, default)]
    pub(super) reasoning_content: Option<Reasoning<'a>>,
    #[serde(default)]
    pub(super) citation: Option<Value>,
    #[serde(default)]
    pub(super) tool_result: Option<Vec<Value>>,
    #[serde(default)]
    pub(super) image: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
pub(super) struct Input<'a> {
    #[serde(borrow, default)]
    pub(super) input: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reasoning<'a> {
    #[serde(borrow, default)]
    pub(super) text: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) signature: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) redacted_content: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BlockStop {
    #[serde(default)]
    pub(super) content_block_index: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MessageStop {
    pub(super) stop_reason: String,
    #[serde(default)]
    pub(super) additional_model_response_fields: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    #[serde(default)]
    pub(super) usage: Option<Counts>,
    #[serde(default)]
    pub(super) service_tier: Option<Tier>,
}

/// The tier of service that was given.
#[derive(Deserialize)]
pub(super) struct Tier {
    #[serde(rename = "type", default)]
    pub(super) kind: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Failure {
    pub(super) message: Option<String>,
    pub(super) original_message: Option<String>,
}
