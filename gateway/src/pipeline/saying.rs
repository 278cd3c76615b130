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
use crate::dialect::chat;
use crate::dialect::custom::Custom;
use crate::dialect::gemini::Framing;
use crate::dialect::json;
use crate::dialect::request::{self, Peek};
use crate::dialect::responses;
use crate::dialect::talk::{Dialect, Refused, Request};
use crate::dialect::voice::{Form, Voice};
use crate::upstream::Endpoint;
use crate::upstream::departures::{departs, fit};
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
pub(super) struct To {
    /// The dialect there.
    pub(super) dialect: Dialect,
    /// The provider.
    pub(super) preset: Arc<Preset>,
    /// Its name of the model.
    pub(super) model: String,
    /// The most that the model says, tokens.
    pub(super) most: u64,
    /// What the client of Anthropic's API switches on there.
    pub(super) beta: Option<HeaderValue>,
    /// About how long the body will be, bytes.
    pub(super) near: usize,
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
            near: self.body.len() + 256,
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
    let changes = [Quirk::NoModelInBody, Quirk::VersionInBody].into_iter().any(|quirk| preset.has(quirk));
    if theirs != Dialect::Messages || !changes {
        return Ok(body);
    }
    let (size, preset) = (body.len(), preset.clone());
    let work = move || {
        let read = serde_json::from_slice(&body);
        let mut fields =
            read.map_err(|error| Refused::whole(format!("The body cannot be read: {error}.")))?;
        fit(&mut fields, theirs, &preset, beta.as_ref());
        Ok(json::body_of(&Value::Object(fields), size + 256))
    };
    look_through(size, work).await.unwrap_or_else(|_| Err(unreadable()))
}

fn unreadable() -> Refused {
    Refused::whole("The request could not be read.")
}

pub(super) fn read(own: Dialect, body: &[u8], asked: &Asked) -> Result<Request, Refused> {
    let request = own.read_request(body)?;
    Ok(Request { model: asked.model.clone(), stream: asked.stream, ..request })
}

pub(super) fn write(
    request: &Request,
    own: Dialect,
    asked: &Asked,
    to: &To,
) -> Result<(Bytes, Arc<Retold>), Refused> {
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
    Ok((body(&request, to)?, Arc::new(retold)))
}

/// The body for a deployment.
fn body(request: &Request, to: &To) -> Result<Bytes, Refused> {
    let texts = if to.dialect == Dialect::Chat { chat::texts(&request.messages) } else { None };
    let Some(texts) = texts else { return any_body(request, to) };
    let manners = way::manners(&to.preset);
    let mut settings = chat::write_settings(request, manners)?;
    // What some providers do not take of Chat's messages (signatures, long ids) stands in no text.
    fit(&mut settings, to.dialect, &to.preset, to.beta.as_ref());
    Ok(chat::body_of_texts(&texts, &settings, manners, to.near))
}

/// The same of any request, in a map.
fn any_body(request: &Request, to: &To) -> Result<Bytes, Refused> {
    let mut written = to.dialect.write_request(request, way::manners(&to.preset))?;
    if let Value::Object(fields) = &mut written {
        fit(fields, to.dialect, &to.preset, to.beta.as_ref());
    }
    Ok(json::body_of(&written, to.near))
}

fn holds_max_tokens(preset: &Preset) -> bool {
    matches!(preset.counting.max_tokens, MaxTokens::Held | MaxTokens::Checked)
}

#[cfg(test)]
mod body_tests;
#[cfg(test)]
mod tests;
