//! How an answer gets from a deployment's dialect to its client's: which of three ways, and a plain answer by each.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::HeaderMap;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::Failed;
use crate::dialect::api::Api;
use crate::dialect::custom::Custom;
use crate::dialect::failure::{Failure, Frame};
use crate::dialect::gemini::Framing;
use crate::dialect::openai::answer::{Service, Usage, usage_of};
use crate::dialect::openai::stream::StreamError;
use crate::dialect::talk::{Answer, Dialect, Refused};
use crate::dialect::voice::{Form, Voice};

/// How an answer is told to the client.
#[derive(Clone, Debug)]
pub enum Telling {
    /// In OpenAI's dialects on both sides, or of what is no conversation: bytes pass, and are glanced at.
    Passed {
        /// Which call it is.
        api: Api,
        /// The client did not ask for the usage.
        withhold_usage: bool,
    },
    /// In another dialect that is both sides': bytes pass, and are read.
    Heard {
        /// The dialect.
        dialect: Dialect,
        /// How the client wants a stream of Gemini's framed; it comes as server-sent events.
        framing: Framing,
    },
    /// In the client's dialect, what was said in another.
    Retold(Arc<Retold>),
}

/// What must be known to tell an answer in another dialect.
#[derive(Clone, Debug)]
pub struct Retold {
    /// The client's dialect.
    pub own: Dialect,
    /// The deployment's.
    pub theirs: Dialect,
    /// How the client wants a stream of Gemini's framed.
    pub framing: Framing,
    /// The model that the client asked for: what an answer says that does not name its model (Bedrock's).
    pub model: String,
    /// The client asked a stream of Chat's for its usage.
    pub wants_usage: bool,
    /// Tools that take text.
    pub custom: Custom,
    /// When the request was told on, Unix seconds: answers of dialects that do not date theirs.
    pub created: u64,
    /// What an answer in Responses repeats of its request.
    pub echoes: Map<String, Value>,
}

/// A plain answer as the client gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plain {
    /// Its body.
    pub body: Bytes,
    /// What it says it used.
    pub usage: Option<Usage>,
}

impl Telling {
    /// Does the client get the upstream's own bytes?
    pub fn is_passed(&self) -> bool {
        !matches!(self, Telling::Retold(_))
    }

    /// How a stream to the client is written.
    pub fn form(&self) -> Form {
        let (dialect, framing) = match self {
            Telling::Passed { .. } => return Form::events(Voice::OpenAi),
            Telling::Heard { dialect, framing } => (*dialect, *framing),
            Telling::Retold(retold) => (retold.own, retold.framing),
        };
        match dialect {
            Dialect::Messages => Form::events(Voice::Anthropic),
            Dialect::Gemini => Form { voice: Voice::Google, framing },
            Dialect::Chat | Dialect::Responses | Dialect::Converse => Form::events(Voice::OpenAi),
        }
    }

    /// The content type of what is told, where it is not the upstream's.
    pub fn content_type(&self, stream: bool) -> Option<&'static str> {
        match self {
            Telling::Heard { framing: Framing::Array, .. } | Telling::Retold(_) if stream => {
                Some(self.form().content_type())
            }
            Telling::Retold(_) => Some("application/json"),
            Telling::Passed { .. } | Telling::Heard { .. } => None,
        }
    }

    /// Tells a plain answer. What is not an answer, whatever its status says, is a failure.
    pub fn tell(&self, body: Bytes, headers: &HeaderMap) -> Result<Plain, Failed> {
        match self {
            Telling::Passed { .. } => {
                let failed = || StreamError::in_answer(&body);
                let failure = |error: StreamError| Failure::of_stream(&error, headers, SystemTime::now());
                check(&body, || failed().map(failure))?;
                Ok(Plain { usage: usage_of(&body), body })
            }
            Telling::Heard { dialect, .. } => {
                // What cannot be read may be newer than we are: it passes, and its usage is not known.
                let read = dialect.read_answer(&body);
                if read.is_err() {
                    check(&body, || of_answer(&body, headers))?;
                }
                Ok(Plain { body, usage: read.ok().and_then(|answer| used(&answer)) })
            }
            Telling::Retold(retold) => retold.tell(&body).map_err(|refused| {
                let failed = check(&body, || of_answer(&body, headers)).err();
                failed.unwrap_or_else(|| Failed::Unreadable {
                    field: refused.field.unwrap_or_default(),
                    usage: retold.usage_alone(&body),
                    bytes: body.len(),
                })
            }),
        }
    }
}

/// The failure that an answer reports in spite of its status. It reads the whole.
fn of_answer(body: &[u8], headers: &HeaderMap) -> Option<Failure> {
    Failure::of_frame(Frame::Answer(body), headers, SystemTime::now())
}

/// Is it an answer at all?
fn check(body: &[u8], failure: impl FnOnce() -> Option<Failure>) -> Result<(), Failed> {
    if !is_object(body) {
        return Err(Failed::Broken("answer is not a JSON object".into()));
    }
    failure().map_or(Ok(()), |failure| Err(Failed::answered(Box::new(failure))))
}

impl Retold {
    /// Gives an answer what its dialect does not: an id, and the name of its model. Clients file answers by both.
    pub(super) fn name(&self, id: &mut String, model: &mut String) {
        if id.is_empty() {
            let prefix = match self.own {
                Dialect::Chat => "chatcmpl-",
                Dialect::Messages => "msg_",
                Dialect::Responses | Dialect::Gemini | Dialect::Converse => "",
            };
            *id = format!("{prefix}{}", hex::encode(fastrand::u128(..).to_be_bytes()));
        }
        if model.is_empty() {
            self.model.clone_into(model);
        }
    }

    /// The usage of an answer that cannot be read otherwise. Only OpenAI's dialects say by it what counts, cached input included.
    fn usage_alone(&self, body: &[u8]) -> Option<Usage> {
        usage_of(body).filter(|_| matches!(self.theirs, Dialect::Chat | Dialect::Responses))
    }

    fn tell(&self, body: &[u8]) -> Result<Plain, Refused> {
        let mut answer = self.theirs.read_answer_for_others(body)?;
        if let Some(failed) = answer.failed {
            return Err(Refused::whole(failed.message));
        }
        self.custom.answer(&mut answer);
        self.name(&mut answer.id, &mut answer.model);
        answer.created.get_or_insert(self.created);
        // What a Responses answer repeats, and says in any case, is longer than a short one.
        let body = self.own.write_answer(&answer, &self.echoes, 2 * body.len() + 512);
        Ok(Plain { body, usage: used(&answer) })
    }
}

/// What an answer says it used, and in which way it was served where that is told apart.
fn used(answer: &Answer) -> Option<Usage> {
    let usage = answer.usage?;
    Some(
        usage.served(answer.service_tier.as_ref().map_or(Service::Standard, |tier| Service::of(&tier.value))),
    )
}

/// Is it one JSON object, whole and in UTF-8? A body that ends with its connection may have lost its end.
fn is_object(body: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(body) else { return false };
    text.trim_ascii_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_ok()
}
