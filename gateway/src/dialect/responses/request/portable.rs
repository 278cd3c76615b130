//! What only the provider that stored it can answer.

use serde_json::Value;

use crate::dialect::responses::fields::mark;
use crate::dialect::talk::{Dialect, Part, Refused, Request};

/// Refuses a request of this dialect that leans on what a provider has stored: in another dialect the model would not
/// know what the conversation is about. To be asked before such a request is written in another one.
pub fn check_portable(request: &Request) -> Result<(), Refused> {
    for name in ["previous_response_id", "conversation", "prompt"] {
        if mark(&request.extra, name).is_some() {
            let message = format!("`{name}` names what only a provider of the Responses API has stored.");
            return Err(Refused::field(name, message));
        }
    }
    if mark(&request.extra, "background") == Some(&Value::Bool(true)) {
        let message = "Only a provider of the Responses API can answer in the background.";
        return Err(Refused::field("background", message));
    }
    let mut pieces = request.messages.iter().flat_map(|message| &message.pieces);
    let reference = pieces.any(|piece| match &piece.part {
        Part::Foreign(Dialect::Responses, item) => {
            item.get("type").is_some_and(|kind| kind == "item_reference")
        }
        _ => false,
    });
    if reference {
        let message = "An `item_reference` names what only a provider of the Responses API has stored.";
        return Err(Refused::field("input", message));
    }
    Ok(())
}
