//! A call's request in the dialects of the deployments that may serve it.
//!
//! Where client and deployment speak one dialect, the client's bytes pass. Else the request is read once, when the first
//! such deployment is asked, and written for each deployment anew: models and providers of one dialect differ.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};
use tokio::sync::OnceCell;

use crate::aside::look_through;
use crate::config::preset::{Preset, Quirk};
use crate::dialect::custom::Custom;
use crate::dialect::gemini::Framing;
use crate::dialect::responses;
use crate::dialect::talk::{Dialect, Part, Refused, Request};
use crate::upstream::telling::Retold;
use crate::upstream::way;

/// The request of one call.
pub(super) struct Said {
    own: Dialect,
    read: OnceCell<Result<Arc<Request>, Refused>>,
}

/// What only the path of a request says where its dialect has no field for it.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// The model.
    pub(super) model: String,
    /// The answer is to be streamed.
    pub(super) stream: bool,
    /// How the client wants a stream of Gemini's framed.
    pub(super) framing: Framing,
    /// The client gets the usage of a stream of Chat's.
    pub(super) wants_usage: bool,
}

/// Where a request goes.
#[derive(Clone, Debug)]
pub(super) struct To<'a> {
    /// The dialect there.
    pub(super) dialect: Dialect,
    /// The provider.
    pub(super) preset: &'a Arc<Preset>,
    /// Its name of the model.
    pub(super) model: &'a str,
}

impl Said {
    /// Of a client that speaks `own`.
    pub(super) fn new(own: Dialect) -> Said {
        Said { own, read: OnceCell::new() }
    }

    /// The body for a deployment, and how its answer is told.
    pub(super) async fn write(
        &self,
        body: &Bytes,
        asked: &Asked,
        to: To<'_>,
    ) -> Result<(Bytes, Arc<Retold>), Refused> {
        let request = self.request(body, asked).await?;
        let (own, asked, preset) = (self.own, asked.clone(), to.preset.clone());
        let (theirs, model) = (to.dialect, to.model.to_owned());
        let work = move || write(&request, own, theirs, &asked, &preset, model);
        look_through(body.len(), work).await.unwrap_or_else(|_| Err(unreadable()))
    }

    /// The request, read the first time.
    async fn request(&self, body: &Bytes, asked: &Asked) -> Result<Arc<Request>, Refused> {
        let read = || async {
            let (own, bytes, asked) = (self.own, body.clone(), asked.clone());
            let read = look_through(body.len(), move || read(own, &bytes, &asked)).await;
            read.unwrap_or_else(|_| Err(unreadable())).map(Arc::new)
        };
        self.read.get_or_init(read).await.clone()
    }
}

fn unreadable() -> Refused {
    Refused::whole("The request could not be read.")
}

fn read(own: Dialect, body: &[u8], asked: &Asked) -> Result<Request, Refused> {
    let request = own.read_request(body)?;
    // What only a provider of the Responses API has stored, no other can go on with.
    responses::check_portable(&request)?;
    Ok(Request { model: asked.model.clone(), stream: asked.stream, ..request })
}

fn write(
    request: &Request,
    own: Dialect,
    theirs: Dialect,
    asked: &Asked,
    preset: &Preset,
    model: String,
) -> Result<(Bytes, Arc<Retold>), Refused> {
    let retold = Retold {
        own,
        theirs,
        framing: asked.framing,
        wants_usage: asked.wants_usage,
        custom: Custom::of(request, theirs),
        echoes: if own == Dialect::Responses { responses::echoes(request) } else { Map::new() },
    };
    // A stream is settled by its usage, whether or not the client asks for it.
    let mut request = Request { model, stream_usage: asked.stream, ..request.clone() };
    if preset.has(Quirk::ShortToolCallIds) {
        shorten_ids(&mut request);
    }
    let mut written = theirs.write_request(&request, way::manners(preset))?;
    if let Value::Object(fields) = &mut written {
        fit(fields, theirs, preset);
    }
    Ok((written.to_string().into(), Arc::new(retold)))
}

/// The fields that a provider wants beyond its dialect, or does not.
pub(super) fn fit(fields: &mut Map<String, Value>, theirs: Dialect, preset: &Preset) {
    if preset.has(Quirk::NoModelInBody) {
        fields.remove("model");
    }
    if theirs == Dialect::Messages && preset.has(Quirk::VersionInBody) {
        // Google's documentation of Claude on Vertex AI.
        fields.insert("anthropic_version".to_owned(), "vertex-2023-10-16".into());
    }
    if preset.has(Quirk::NoStreamOptions) {
        fields.remove("stream_options");
    }
}

/// Ids of calls that other providers made, as nine letters and digits: the same for the same.
fn shorten_ids(request: &mut Request) {
    for piece in request.messages.iter_mut().flat_map(|message| &mut message.pieces) {
        let id = match &mut piece.part {
            Part::Call(call) => &mut call.id,
            Part::Result(result) => &mut result.id,
            _ => continue,
        };
        if !id.is_empty() && (id.len() != 9 || !id.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
            *id = short(id);
        }
    }
}

fn short(id: &str) -> String {
    use sha2::{Digest, Sha256};
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let hash = Sha256::digest(id.as_bytes());
    hash.iter().take(9).map(|byte| char::from(DIGITS[usize::from(*byte) % DIGITS.len()])).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::preset::Presets;

    fn asked(stream: bool) -> Asked {
        Asked { model: "m".to_owned(), stream, framing: Framing::Sse, wants_usage: false }
    }

    fn written(own: Dialect, body: &Value, preset: &str, theirs: Dialect, stream: bool) -> Value {
        let presets = Presets::built_in().unwrap();
        let request = read(own, body.to_string().as_bytes(), &asked(stream)).unwrap();
        let preset = presets.get(preset).unwrap();
        let (bytes, _) = write(&request, own, theirs, &asked(stream), preset, "theirs".to_owned()).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn a_request_goes_out_with_the_providers_model_and_asks_for_the_usage() {
        let body = json!({"model": "m", "max_tokens": 9, "stream": true,
            "messages": [{"role": "user", "content": "Hi"}]});
        let out = written(Dialect::Messages, &body, "openai", Dialect::Chat, true);
        assert_eq!((&out["model"], &out["stream"]), (&json!("theirs"), &json!(true)));
        assert_eq!(out["stream_options"]["include_usage"], true);
        assert_eq!(out["messages"], json!([{"role": "user", "content": "Hi"}]));
        let gemini = json!({"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]});
        let out = written(Dialect::Gemini, &gemini, "anthropic", Dialect::Messages, true);
        assert_eq!((&out["model"], &out["stream"]), (&json!("theirs"), &json!(true)));
    }

    #[test]
    fn claude_on_vertex_has_its_version_and_not_its_name_in_the_body() {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
        let out = written(Dialect::Chat, &body, "vertex", Dialect::Messages, false);
        assert_eq!((out.get("model"), &out["anthropic_version"]), (None, &json!("vertex-2023-10-16")));
    }

    /// Broken on purpose to see it fail: ids of results left as they were.
    #[test]
    fn foreign_ids_are_short_where_they_must_be_and_still_name_their_calls() {
        let call = json!({"id": "toolu_01ABCDEFG", "type": "function",
            "function": {"name": "f", "arguments": "{}"}});
        let body = json!({"model": "m", "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": null, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "toolu_01ABCDEFG", "content": "1"},
        ]});
        let out = written(Dialect::Chat, &body, "mistral", Dialect::Chat, false);
        let id = out["messages"][1]["tool_calls"][0]["id"].as_str().unwrap();
        assert!(id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
        assert_eq!(out["messages"][2]["tool_call_id"], id);
    }

    #[test]
    fn what_is_stored_elsewhere_cannot_be_gone_on_with() {
        let body = json!({"model": "m", "input": "Hi", "previous_response_id": "resp_1"});
        let refused = read(Dialect::Responses, body.to_string().as_bytes(), &asked(false)).unwrap_err();
        assert!(refused.message.contains("previous_response_id"), "{refused}");
    }
}
