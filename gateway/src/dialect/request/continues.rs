//! What a call continues: an earlier response or a conversation that a provider has kept. Only the account that
//! keeps it can go on with it.

use serde_json::value::RawValue;

use super::fields::{Field, Fields};
use super::flaw::{BadRequest, Flaw, Shape, bad, flawed};
use crate::dialect::voice::Voice;

/// Longest id, bytes. Gateways in between make them long.
const MAX_ID: usize = 1024;

/// What a call refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Continues {
    /// `previous_response_id`.
    Response(String),
    /// `conversation`.
    Conversation(String),
}

impl Continues {
    pub(super) fn read(fields: &Fields<'_>) -> Result<Option<Continues>, BadRequest> {
        let previous = read_id(fields.get(Field::PreviousResponse), "previous_response_id")?;
        let conversation = read_conversation(fields.get(Field::Conversation))?;
        match (previous, conversation) {
            (Some(_), Some(_)) => Err(bad(
                Some("conversation"),
                "Only one of 'previous_response_id' and 'conversation' may be given.".to_owned(),
            )),
            (previous, conversation) => {
                Ok(previous.map(Continues::Response).or(conversation.map(Continues::Conversation)))
            }
        }
    }

    /// As an id in the request is called.
    pub fn param(&self) -> &'static str {
        match self {
            Continues::Response(_) => "previous_response_id",
            Continues::Conversation(_) => "conversation",
        }
    }

    /// The id.
    pub fn id(&self) -> &str {
        match self {
            Continues::Response(id) | Continues::Conversation(id) => id,
        }
    }
}

/// An id, or an object that holds one.
fn read_conversation(raw: Option<&RawValue>) -> Result<Option<String>, BadRequest> {
    const NAME: &str = "conversation";
    #[derive(serde::Deserialize)]
    struct Object<'a> {
        #[serde(borrow)]
        id: &'a RawValue,
    }
    match raw.map(RawValue::get) {
        Some(object) if object.starts_with('{') => {
            let object: Object<'_> = serde_json::from_str(object)
                .map_err(|_| bad(Some(NAME), "Invalid 'conversation': it must have one 'id'.".to_owned()))?;
            read_id(Some(object.id), NAME)
        }
        _ => read_id(raw, NAME),
    }
}

fn read_id(raw: Option<&RawValue>, name: &'static str) -> Result<Option<String>, BadRequest> {
    let Some(raw) = raw.map(RawValue::get).filter(|raw| *raw != "null") else { return Ok(None) };
    if !raw.starts_with('"') {
        return Err(flawed(Voice::OpenAi, name, Flaw::Not(Shape::Text, raw)));
    }
    let id: Option<String> = serde_json::from_str(raw).ok();
    let id = id.filter(|id| !id.is_empty() && id.len() <= MAX_ID);
    id.map(Some)
        .ok_or_else(|| bad(Some(name), format!("Invalid '{name}': it must be 1 to {MAX_ID} bytes long.")))
}
