//! Reading a request.

use serde_json::Value;

use super::{config, tools};
use crate::dialect::gemini::fields::{Fields, Path, parse};
use crate::dialect::gemini::part;
use crate::dialect::talk::{Dialect, Extra, Message, Own, Part, Refused, Request, Role};

/// Reads a request's body. Its model and whether it streams stand in the path.
pub fn read_request(body: &[u8]) -> Result<Request, Refused> {
    let mut fields = Fields::new(parse(body)?, &Path::Root)?;
    let mut request = Request::default();
    // Some SDKs repeat the path's model here; it would contradict the path of the provider that is chosen.
    fields.take("model");
    if let Some(system) = fields.take("systemInstruction") {
        request.messages.push(instruction(system)?);
    }
    read_contents(&mut fields, &mut request)?;
    tools::read(&mut fields, &mut request)?;
    config::read(&mut fields, &mut request)?;
    request.service_tier = fields.text("serviceTier")?.map(|tier| Own::new(Dialect::Gemini, tier));
    request.extra = Extra::of(Dialect::Gemini, fields.rest());
    Ok(request)
}

fn read_contents(fields: &mut Fields, request: &mut Request) -> Result<(), Refused> {
    let at = Path::Field(&Path::Root, "contents");
    let contents = fields.list("contents");
    if contents.is_empty() {
        return Err(at.refuse("must not be empty"));
    }
    for (index, content) in contents.into_iter().enumerate() {
        request.messages.push(read_content(content, &Path::Index(&at, index))?);
    }
    Ok(())
}

/// Instructions are a content whose role nobody reads; some clients send just a text.
fn instruction(system: Value) -> Result<Message, Refused> {
    let at = Path::Field(&Path::Root, "systemInstruction");
    let pieces = match system {
        Value::String(text) => vec![Part::text(text).into()],
        content => read_parts(&mut Fields::new(content, &at)?, &at)?,
    };
    Ok(Message { role: Role::System, pieces, name: None, extra: Extra::default() })
}

fn read_content(content: Value, at: &Path) -> Result<Message, Refused> {
    let mut fields = Fields::new(content, at)?;
    let role = match fields.text("role")?.as_deref() {
        // The results of tools have had all three names. No role: there is only one who could be meant.
        None | Some("" | "user" | "function" | "tool") => Role::User,
        Some("model") => Role::Assistant,
        Some(_) => return Err(fields.wrong("role", "must be `user` or `model`")),
    };
    let pieces = read_parts(&mut fields, at)?;
    Ok(Message { role, pieces, name: None, extra: Extra::of(Dialect::Gemini, fields.rest()) })
}

fn read_parts(fields: &mut Fields, at: &Path) -> Result<Vec<crate::dialect::talk::Piece>, Refused> {
    let parts = Path::Field(at, "parts");
    let read = |(index, value)| part::read(value, &Path::Index(&parts, index));
    fields.list("parts").into_iter().enumerate().map(read).collect()
}
