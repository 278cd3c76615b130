//! Events as bytes, framing included. Deltas, of which there are many, are put together by hand.

use serde_json::{Map, Value, json};

use crate::dialect::json::{push_string, push_value};

/// An event of any kind.
pub(super) fn push(to: &mut Vec<u8>, kind: &str, data: &Value) {
    to.extend_from_slice(b"event: ");
    to.extend_from_slice(kind.as_bytes());
    to.extend_from_slice(b"\ndata: ");
    push_value(to, data);
    to.extend_from_slice(b"\n\n");
}

/// A delta that adds `text` to the field `name` of block `index`.
pub(super) fn push_delta(to: &mut Vec<u8>, index: usize, kind: &str, name: &str, text: &str) {
    to.extend_from_slice(b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":");
    to.extend_from_slice(index.to_string().as_bytes());
    to.extend_from_slice(b",\"delta\":{\"type\":\"");
    to.extend_from_slice(kind.as_bytes());
    to.extend_from_slice(b"\",\"");
    to.extend_from_slice(name.as_bytes());
    to.extend_from_slice(b"\":");
    push_string(to, text);
    to.extend_from_slice(b"}}\n\n");
}

/// The end of block `index`.
pub(super) fn push_stop(to: &mut Vec<u8>, index: usize) {
    to.extend_from_slice(b"event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":");
    to.extend_from_slice(index.to_string().as_bytes());
    to.extend_from_slice(b"}\n\n");
}

/// The beginning of block `index`.
pub(super) fn push_start(to: &mut Vec<u8>, index: usize, block: Map<String, Value>) {
    let data = json!({"type": "content_block_start", "index": index, "content_block": block});
    push(to, "content_block_start", &data);
}
