//! A call's request in the dialects of the deployments that may serve it.
//!
//! Where client and deployment speak one dialect, the client's bytes pass, unless they hold what this provider departs
//! in. Else the request is read once, when the first such deployment is asked, and written for each deployment anew:
//! models and providers of one dialect differ.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use serde_json::{Map, Value};
use tokio::sync::OnceCell;

use super::Call;
use crate::aside::look_through;
use crate::clock::unix_now;
use crate::config::Deployment;
use crate::config::preset::{self, MaxTokens, Preset, Quirk};
use crate::dialect::custom::Custom;
use crate::dialect::gemini::Framing;
use crate::dialect::request::{self, Peek};
use crate::dialect::responses;
use crate::dialect::talk::{Dialect, Refused, Request};
use crate::dialect::voice::{Form, Voice};
use crate::upstream::Endpoint;
use crate::upstream::departures::{departs, fit, shorten_ids};
use crate::upstream::telling::{Retold, Telling};
use crate::upstream::way::{self, Way};

/// The request of one call, read at most once.
pub(super) struct ReadOnce {
    own: Option<Dialect>,
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

impl Asked {
    /// Of a request that was looked at.
    pub(super) fn of(peek: &Peek, form: Form) -> Asked {
        Asked {
            model: peek.model.clone(),
            stream: peek.stream,
            framing: form.framing,
            wants_usage: peek.include_usage,
        }
    }
}

/// Where a request goes.
struct To {
    /// The dialect there.
    dialect: Dialect,
    /// The provider.
    preset: Arc<Preset>,
    /// Its name of the model.
    model: String,
    /// The most that the model says, tokens.
    most: u64,
    /// What the client of Anthropic's API switches on there.
    beta: Option<HeaderValue>,
}

impl ReadOnce {
    /// Of a client that speaks `own`; `None` if its call is no conversation.
    pub(super) fn new(own: Option<Dialect>) -> ReadOnce {
        ReadOnce { own, read: OnceCell::new() }
    }

    /// The body for a deployment, and how its answer is told.
    async fn write(&self, body: &Bytes, asked: &Asked, to: To) -> Result<(Bytes, Arc<Retold>), Refused> {
        let request = self.request(body, asked).await?;
        let own = self.own.ok_or_else(unreadable)?;
        let asked = asked.clone();
        let work = move || write(&request, own, &asked, &to);
        look_through(body.len(), work).await.unwrap_or_else(|_| Err(unreadable()))
    }

    /// The request, read the first time.
    async fn request(&self, body: &Bytes, asked: &Asked) -> Result<Arc<Request>, Refused> {
        let read = || async {
            let own = self.own.ok_or_else(unreadable)?;
            let (bytes, asked) = (body.clone(), asked.clone());
            let read = look_through(body.len(), move || read(own, &bytes, &asked)).await;
            read.unwrap_or_else(|_| Err(unreadable())).map(Arc::new)
        };
        self.read.get_or_init(read).await.clone()
    }
}

/// A request on its way to a deployment, and how the answer will be told.
pub(super) struct Saying {
    pub(super) call: preset::Call,
    pub(super) body: Bytes,
    pub(super) telling: Telling,
    /// What the client of Anthropic's API switches on (`anthropic-beta`), for a provider of that API.
    pub(super) beta: Option<HeaderValue>,
}

impl Call<'_> {
    /// The request as a deployment gets it.
    pub(super) async fn say(&self, endpoint: &Endpoint, deployment: &Deployment) -> Result<Saying, Refused> {
        let (peek, model) = (&self.peek, &deployment.model);
        let passed = || Telling::Passed { api: peek.api, withhold_usage: !peek.include_usage };
        let beta = self.headers.get("anthropic-beta").filter(|_| peek.api.voice() == Voice::Anthropic);
        let (own, theirs) = match (peek.api.talks(), endpoint.way(peek.api)) {
            (Some(own), Some(Way::Talk(theirs))) => (own, theirs),
            (None, Some(Way::Same(call))) => {
                let body = named(&self.body, peek, model, endpoint.preset());
                return Ok(Saying { call, body, telling: passed(), beta: beta.cloned() });
            }
            _ => return Err(Refused::whole("The model does not serve this call.")),
        };
        let preset = endpoint.preset();
        let call = way::call(preset, theirs, peek.stream);
        let beta = beta.filter(|_| theirs == Dialect::Messages).cloned();
        if own == theirs && self.passes(theirs, preset).await? {
            let body = named(&self.body, peek, model, preset);
            let body = refit(body, theirs, preset, beta.clone()).await?;
            return Ok(Saying { call, body, telling: same(own, self.asked.framing, passed), beta });
        }
        let to = To {
            dialect: theirs,
            preset: preset.clone(),
            model: model.clone(),
            most: deployment.max_output,
            beta: beta.clone(),
        };
        let (body, retold) = self.read_once.write(&self.body, &self.asked, to).await?;
        let telling =
            if own == theirs { same(own, self.asked.framing, passed) } else { Telling::Retold(retold) };
        Ok(Saying { call, body, telling, beta })
    }

    /// May the client's own body go to a provider of its dialect?
    async fn passes(&self, dialect: Dialect, preset: &Arc<Preset>) -> Result<bool, Refused> {
        if self.peek.continues.is_some() {
            return Ok(true);
        }
        if self.foreign || dialect != Dialect::Chat {
            return Ok(!self.foreign);
        }
        let (body, preset) = (self.body.clone(), preset.clone());
        let looked = look_through(body.len(), move || !departs(&body, &preset)).await;
        looked.map_err(|_| unreadable())
    }
}

/// The client's own body with the provider's name of the model, and a wish for the usage of a stream.
fn named(body: &Bytes, peek: &Peek, model: &str, preset: &Preset) -> Bytes {
    let name = if preset.has(Quirk::NoStreamOptions) { request::rename } else { request::rewrite };
    name(body, peek, model)
}

/// How an answer is told where both sides speak one dialect.
fn same(dialect: Dialect, framing: Framing, passed: impl FnOnce() -> Telling) -> Telling {
    match dialect {
        Dialect::Chat | Dialect::Responses => passed(),
        _ => Telling::Heard { dialect, framing },
    }
}

/// Does a conversation hold what another provider said, which its own would not take for its own? Such marks are ours:
/// reasoning and signatures of one dialect that went through a client of another.
pub(super) fn is_foreign(body: &[u8]) -> bool {
    [&b"\"weir:"[..], b"__sig__"].iter().any(|mark| memchr::memmem::find(body, mark).is_some())
}

/// The client's own body for a provider that departs from its dialect.
async fn refit(
    body: Bytes,
    theirs: Dialect,
    preset: &Arc<Preset>,
    beta: Option<HeaderValue>,
) -> Result<Bytes, Refused> {
    if theirs != Dialect::Messages || !preset.has(Quirk::NoModelInBody) {
        return Ok(body);
    }
    let (size, preset) = (body.len(), preset.clone());
    let work = move || {
        let read = serde_json::from_slice(&body);
        let mut fields =
            read.map_err(|error| Refused::whole(format!("The body cannot be read: {error}.")))?;
        fit(&mut fields, theirs, &preset, beta.as_ref());
        Ok(Value::Object(fields).to_string().into())
    };
    look_through(size, work).await.unwrap_or_else(|_| Err(unreadable()))
}

fn unreadable() -> Refused {
    Refused::whole("The request could not be read.")
}

fn read(own: Dialect, body: &[u8], asked: &Asked) -> Result<Request, Refused> {
    let request = own.read_request(body)?;
    Ok(Request { model: asked.model.clone(), stream: asked.stream, ..request })
}

fn write(request: &Request, own: Dialect, asked: &Asked, to: &To) -> Result<(Bytes, Arc<Retold>), Refused> {
    let (theirs, preset) = (to.dialect, &to.preset);
    if theirs != Dialect::Responses {
        // What only a provider of the Responses API has stored, no other can go on with.
        responses::check_portable(request)?;
    }
    let retold = Retold {
        own,
        theirs,
        framing: asked.framing,
        wants_usage: asked.wants_usage,
        custom: Custom::of(request, theirs),
        created: unix_now(),
        model: asked.model.clone(),
        echoes: if own == Dialect::Responses { responses::echoes(request) } else { Map::new() },
    };
    // A stream is settled by its usage, whether or not the client asks for it.
    let mut request = Request { model: to.model.clone(), stream_usage: asked.stream, ..request.clone() };
    if theirs == Dialect::Messages || holds_max_tokens(preset) {
        // It must say so, or its provider would hold the most that the model can say. Room is held for this (all of it,
        // unless `reserve` says otherwise).
        request.max_output.get_or_insert(to.most);
    }
    if preset.has(Quirk::ShortToolCallIds) {
        shorten_ids(&mut request);
    }
    let mut written = theirs.write_request(&request, way::manners(preset))?;
    if let Value::Object(fields) = &mut written {
        fit(fields, theirs, preset, to.beta.as_ref());
    }
    let body = serde_json::to_vec(&written).map_err(|error| Refused::whole(error.to_string()))?;
    Ok((body.into(), Arc::new(retold)))
}

fn holds_max_tokens(preset: &Preset) -> bool {
    matches!(preset.counting.max_tokens, MaxTokens::Held | MaxTokens::Checked)
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
        let preset = presets.get(preset).unwrap().clone();
        let to = To { dialect: theirs, preset, model: "theirs".to_owned(), most: 4096, beta: None };
        let (bytes, _) = write(&request, own, &asked(stream), &to).unwrap();
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
        assert_eq!(out["max_tokens"], 4096);
        assert_eq!((&out["model"], &out["stream"]), (&json!("theirs"), &json!(true)));
    }

    #[test]
    fn claude_on_vertex_has_its_version_and_not_its_name_in_the_body() {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
        let out = written(Dialect::Chat, &body, "vertex", Dialect::Messages, false);
        assert_eq!((out.get("model"), &out["anthropic_version"]), (None, &json!("vertex-2023-10-16")));
    }

    /// Bedrock holds the most of the model where a request says nothing. Broken on purpose to see it fail: so for Messages
    /// alone.
    #[test]
    fn a_provider_that_holds_the_bound_is_told_what_is_held_here() {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
        let out = written(Dialect::Chat, &body, "bedrock", Dialect::Converse, false);
        assert_eq!(out["inferenceConfig"]["maxTokens"], 4096);
        let out = written(
            Dialect::Messages,
            &json!({"model": "m", "max_tokens": 7,
            "messages": [{"role": "user", "content": "Hi"}]}),
            "bedrock",
            Dialect::Converse,
            false,
        );
        assert_eq!(out["inferenceConfig"]["maxTokens"], 7);
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

    /// Mistral refuses `stream_options` and `max_completion_tokens` (422, `extra_forbidden`); whoever ignores the latter says
    /// more than room is held for. Broken on purpose to see it fail: the client's words kept.
    #[test]
    fn a_client_of_chat_is_understood_by_providers_that_depart_from_it() {
        let body = json!({"model": "m", "stream": true, "stream_options": {"include_usage": true},
            "max_completion_tokens": 9, "safe_prompt": true, "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
        ]});
        let out = written(Dialect::Chat, &body, "mistral", Dialect::Chat, true);
        let wanted = json!({"model": "theirs", "stream": true, "max_tokens": 9, "safe_prompt": true, "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
        ]});
        assert_eq!(out, wanted);
    }

    /// Broken on purpose to see it fail: it goes in the header alone.
    #[test]
    fn what_is_switched_on_stands_in_the_body_of_claude_on_vertex() {
        let request = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]});
        let request = read(Dialect::Messages, request.to_string().as_bytes(), &asked(false)).unwrap();
        let preset = Presets::built_in().unwrap().get("vertex").unwrap().clone();
        let beta = Some(HeaderValue::from_static("a-1, b-2"));
        let to = To { dialect: Dialect::Messages, preset, model: "claude-x".to_owned(), most: 9, beta };
        let (out, _) = write(&request, Dialect::Messages, &asked(false), &to).unwrap();
        let out: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(out["anthropic_beta"], json!(["a-1", "b-2"]));
    }

    /// A conversation that Gemini began and its own provider goes on with. Broken on purpose to see it fail: no mark looked for
    /// but that on ids.
    #[test]
    fn what_another_provider_signed_is_not_shown_to_the_clients_own() {
        let answer = json!({"candidates": [{"index": 0, "finishReason": "STOP", "content": {"role": "model", "parts": [
            {"text": "hm", "thought": true, "thoughtSignature": "AAAA"}, {"text": "Hello"},
        ]}}]});
        let answer = Dialect::Gemini.read_answer(answer.to_string().as_bytes()).unwrap();
        let told = Dialect::Messages.write_answer(&answer, &Map::new());
        let body = json!({"model": "m", "max_tokens": 9, "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": told["content"]},
            {"role": "user", "content": "Go on"},
        ]});
        assert!(is_foreign(body.to_string().as_bytes()), "{body}");
        let out = written(Dialect::Messages, &body, "anthropic", Dialect::Messages, false).to_string();
        assert!(!is_foreign(out.as_bytes()) && out.contains("Hello") && !out.contains("AAAA"), "{out}");
    }

    /// Broken on purpose to see it fail: those on calls left.
    #[test]
    fn googles_signatures_do_not_go_to_others_in_chat() {
        let call = json!({"functionCall": {"name": "f", "args": {}, "id": "c"}, "thoughtSignature": "AAAA"});
        let body = json!({"contents": [
            {"role": "user", "parts": [{"text": "Hi"}]},
            {"role": "model", "parts": [{"text": "Hm", "thoughtSignature": "AAAA"}, call]},
            {"role": "user", "parts": [{"functionResponse": {"name": "f", "id": "c", "response": {"output": 1}}}]},
        ]});
        let out = written(Dialect::Gemini, &body, "openai", Dialect::Chat, false).to_string();
        assert!(out.contains("tool_calls") && !out.contains("extra_content"), "{out}");
    }

    #[test]
    fn what_is_stored_elsewhere_cannot_be_gone_on_with() {
        let body = json!({"model": "m", "input": "Hi", "previous_response_id": "resp_1"});
        let request = read(Dialect::Responses, body.to_string().as_bytes(), &asked(false)).unwrap();
        let presets = Presets::built_in().unwrap();
        let to = |dialect, preset: &str| {
            let preset = presets.get(preset).unwrap().clone();
            let to = To { dialect, preset, model: "m".to_owned(), most: 9, beta: None };
            write(&request, Dialect::Responses, &asked(false), &to)
        };
        assert!(to(Dialect::Responses, "openai").is_ok());
        let refused = to(Dialect::Chat, "groq").unwrap_err();
        assert!(refused.message.contains("previous_response_id"), "{refused}");
    }
}
