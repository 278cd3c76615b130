use serde_json::{Map, Value};

use super::super::blocks;
use super::super::fields::Fields;
use super::{format, thinking, tools};
use crate::dialect::talk::{Dialect, Extra, Message, Own, Refused, Request, Role};

/// Reads a request's body. The path names the model and says whether a stream is wanted.
pub fn read_request(body: &[u8]) -> Result<Request, Refused> {
    let mut fields = Fields::body(body)?;
    let mut request = Request { messages: system(&mut fields)?.into(), ..Request::default() };
    for (index, value) in fields.list("messages")?.into_iter().enumerate() {
        request.messages.push(message(value, format!("messages[{index}]"))?);
    }
    inference(&mut fields, &mut request)?;
    tools::read(&mut fields, &mut request)?;
    format::read(&mut fields, &mut request)?;
    thinking::read(&mut fields, &mut request)?;
    if let Some(mut tier) = fields.within("serviceTier")? {
        request.service_tier = tier.text("type")?.map(|tier| Own::new(Dialect::Converse, tier));
    }
    request.extra = Extra::of(Dialect::Converse, fields.rest());
    Ok(request)
}

fn system(fields: &mut Fields) -> Result<Vec<Message>, Refused> {
    let pieces = blocks::pieces(fields.list("system")?, "system")?;
    if pieces.is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![Message { role: Role::System, pieces, name: None, extra: Extra::default() }])
}

fn message(value: Value, at: String) -> Result<Message, Refused> {
    let mut fields = Fields::of(value, at)?;
    let role = match fields.needed_text("role")?.as_str() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        other => return Err(Refused::field(fields.path("role"), format!("`{other}` is no role."))),
    };
    let pieces = blocks::pieces(fields.list("content")?, &fields.path("content"))?;
    Ok(Message { role, pieces, name: None, extra: Extra::of(Dialect::Converse, fields.rest()) })
}

fn inference(fields: &mut Fields, request: &mut Request) -> Result<(), Refused> {
    let Some(mut config) = fields.within("inferenceConfig")? else { return Ok(()) };
    request.max_output = config.count("maxTokens")?;
    request.temperature = config.number("temperature")?;
    request.top_p = config.number("topP")?;
    request.stop = config.texts("stopSequences")?;
    keep(fields, "inferenceConfig", config.rest());
    Ok(())
}

/// Puts back what of an object nobody took, so that it ends in the request's [`Extra`] under its name.
pub(super) fn keep(fields: &mut Fields, name: &str, rest: Map<String, Value>) {
    if !rest.is_empty() {
        fields.put(name, Value::Object(rest));
    }
}
