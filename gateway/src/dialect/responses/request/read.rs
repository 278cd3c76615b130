//! Reading a request.

use std::collections::HashMap;

use serde_json::Value;

use crate::dialect::responses::fields::{
    Fields, MOST, extra, marks, take, take_bool, take_count, take_list, take_object, take_real, take_text,
};
use crate::dialect::responses::items::{self, Item};
use crate::dialect::responses::{options, tools};
use crate::dialect::talk::{Message, Part, Piece, Refused, Request, Role};

/// Reads a request's body.
pub fn read_request(body: &[u8]) -> Result<Request, Refused> {
    let whole: Value = serde_json::from_slice(body)
        .map_err(|error| Refused::whole(format!("The body is not valid JSON: {error}.")))?;
    let Value::Object(mut fields) = whole else {
        return Err(Refused::whole("The body must be a JSON object."));
    };
    let fields = &mut fields;
    let mut messages: Vec<Message> = take_instructions(fields)?.into_iter().collect();
    read_input(take(fields, "input"), &mut messages)?;
    name_results(&mut messages);
    let (format, verbosity) = options::take_text_options(fields)?;
    let listed = take_list(fields, "", "tools")?.into_iter().enumerate();
    let tools = listed.map(|(index, tool)| tools::read(tool, &format!("tools[{index}]")));
    Ok(Request {
        model: take_text(fields, "", "model")?.unwrap_or_default(),
        messages: messages.into(),
        tools: tools.collect::<Result<_, _>>()?,
        tool_choice: tools::take_choice(fields)?,
        parallel_calls: take_bool(fields, "", "parallel_tool_calls")?,
        format,
        verbosity,
        thinking: options::take_thinking(fields)?,
        max_output: take_count(fields, "", "max_output_tokens", MOST)?,
        temperature: take_real(fields, "", "temperature", 0.0..=2.0)?,
        top_p: take_real(fields, "", "top_p", 0.0..=1.0)?,
        logprobs: options::take_logprobs(fields)?,
        user: take_text(fields, "", "user")?,
        metadata: take_object(fields, "", "metadata")?.unwrap_or_default(),
        service_tier: options::take_tier(fields)?,
        cache_key: take_text(fields, "", "prompt_cache_key")?,
        stream: take_bool(fields, "", "stream")?.unwrap_or(false),
        extra: extra(without_nulls(fields), marks("#own", true)),
        ..Request::default()
    })
}

/// Takes `instructions`.
fn take_instructions(fields: &mut Fields) -> Result<Option<Message>, Refused> {
    let text = take_text(fields, "", "instructions")?.filter(|text| !text.is_empty());
    Ok(text.map(instructing))
}

/// The message of `instructions`, marked so that they are written there again.
pub(super) fn instructing(text: String) -> Message {
    let extra = extra(Fields::new(), marks("#instructions", true));
    Message { role: Role::System, pieces: vec![Part::text(text).into()], name: None, extra }
}

/// What remains; `null` says nothing here.
fn without_nulls(fields: &mut Fields) -> Fields {
    let mut left = std::mem::take(fields);
    left.retain(|_, value| !value.is_null());
    left
}

/// Reads `input`: a text, or items. The model's items in a row are one message, and so are results in a row.
fn read_input(input: Option<Value>, to: &mut Vec<Message>) -> Result<(), Refused> {
    let items = match input {
        // A stored prompt or conversation may say it all.
        None => return Ok(()),
        Some(text @ Value::String(_)) => vec![text],
        Some(Value::Array(items)) => items,
        Some(_) => return Err(Refused::field("input", "`input` must be a string or a list.")),
    };
    let mut returning = false;
    for (index, item) in items.into_iter().enumerate() {
        let item = items::read(item, &format!("input[{index}]"), None)?;
        let was_returning = std::mem::replace(&mut returning, matches!(item, Item::Returned(_)));
        match item {
            // Said without a word.
            Item::Turn(message) if message.pieces.is_empty() => {}
            Item::Said(pieces) if pieces.is_empty() => {}
            Item::Turn(message) => to.push(message),
            Item::Said(pieces) => match to.last_mut() {
                Some(last) if last.role == Role::Assistant => items::say(&mut last.pieces, pieces),
                _ => to.push(turn(Role::Assistant, pieces)),
            },
            Item::Returned(piece) => match to.last_mut() {
                Some(last) if was_returning => last.pieces.push(piece),
                _ => to.push(turn(Role::User, vec![piece])),
            },
        }
    }
    Ok(())
}

fn turn(role: Role, pieces: Vec<Piece>) -> Message {
    Message { role, pieces, name: None, extra: Default::default() }
}

/// Gives results the names of the tools, which other dialects ask for.
fn name_results(messages: &mut [Message]) {
    let mut names: HashMap<String, String> = HashMap::new();
    for piece in messages.iter_mut().flat_map(|message| &mut message.pieces) {
        match &mut piece.part {
            Part::Call(call) => {
                names.insert(call.id.clone(), call.name.clone());
            }
            Part::Result(result) => result.name = names.get(&result.id).cloned().unwrap_or_default(),
            _ => {}
        }
    }
}
