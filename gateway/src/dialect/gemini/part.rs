//! Parts of a content, in requests and answers.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::fields::{Fields, Path, add};
use super::model::Model;
use super::{carry, media, result};
use crate::dialect::talk::base64::{self, standard};
use crate::dialect::talk::carry::Parcel;
use crate::dialect::talk::{Call, Dialect, Extra, Own, Part, Piece, Reasoning, Refused};

/// The kinds of data that we know; a part has one of these, or one that we carry as it is.
const KNOWN: [(&str, &str); 5] = [
    ("text", "text"),
    ("inlineData", "inline_data"),
    ("fileData", "file_data"),
    ("functionCall", "function_call"),
    ("functionResponse", "function_response"),
];

/// What is said about a part, beside its data.
const ABOUT: [&str; 9] = [
    "thought",
    "thoughtSignature",
    "thought_signature",
    "videoMetadata",
    "video_metadata",
    "partMetadata",
    "part_metadata",
    "mediaResolution",
    "media_resolution",
];

/// Reads a part.
pub(super) fn read(value: Value, at: &Path) -> Result<Piece, Refused> {
    let Value::Object(map) = &value else { return Err(at.refuse("must be an object")) };
    let has = |name: &str| map.get(name).is_some_and(|value| !value.is_null());
    let mut known = KNOWN.iter().filter(|(camel, snake)| has(camel) || has(snake)).map(|known| known.0);
    let data = known.next();
    if known.next().is_some() {
        return Err(at.refuse("must have only one kind of data"));
    }
    let strange = || map.iter().any(|(name, value)| !value.is_null() && !ABOUT.contains(&name.as_str()));
    if data.is_none() && strange() {
        return Ok(Part::Foreign(Dialect::Gemini, value).into());
    }
    let fields = Fields::new(value, at)?;
    match data {
        None | Some("text") => read_text(fields),
        Some("functionCall") => read_call(fields, at),
        Some(name) => read_other(name, fields, at),
    }
}

fn read_text(mut fields: Fields) -> Result<Piece, Refused> {
    let text = fields.text("text")?.unwrap_or_default();
    let thought = fields.flag("thought")?.unwrap_or(false);
    let signature = take_signature(&mut fields)?;
    let carried =
        signature.as_ref().filter(|_| thought).and_then(|signature| carry::unpack(&signature.value));
    let part = if let Some(parcel) = carried {
        Part::Reasoning(parcel.reasoning(text))
    } else if thought {
        Part::Reasoning(Reasoning { text, signature, ..Reasoning::default() })
    } else {
        Part::Text { text, signature, citations: Vec::new() }
    };
    Ok(Piece { part, cache: None, extra: Extra::of(Dialect::Gemini, fields.rest()) })
}

fn take_signature(fields: &mut Fields) -> Result<Option<Own<String>>, Refused> {
    let signature = fields.text("thoughtSignature")?.map(standard);
    Ok(signature.map(|signature| Own::new(Dialect::Gemini, signature)))
}

fn read_call(mut fields: Fields, at: &Path) -> Result<Piece, Refused> {
    let here = Path::Field(at, "functionCall");
    let mut call = Fields::new(fields.take("functionCall").unwrap_or_default(), &here)?;
    let arguments = call.object("args")?.map(|args| Value::Object(args).to_string());
    let read = Call {
        id: call.text("id")?.unwrap_or_default(),
        name: call.text("name")?.unwrap_or_default(),
        arguments: arguments.unwrap_or_else(|| "{}".to_owned()),
        custom: false,
        signature: take_signature(&mut fields)?,
    };
    let left = call.rest();
    if !left.is_empty() {
        fields.keep("functionCall", left);
    }
    Ok(Piece { part: Part::Call(read), cache: None, extra: about(fields)? })
}

fn read_other(name: &str, mut fields: Fields, at: &Path) -> Result<Piece, Refused> {
    let here = Path::Field(at, name);
    let data = fields.take(name).unwrap_or_default();
    let part = match name {
        "functionResponse" => {
            let (result, left) = result::read(data, &here)?;
            if !left.is_empty() {
                fields.keep("functionResponse", left);
            }
            Part::Result(result)
        }
        "inlineData" => Part::Media(media::read_inline(data, &here)?),
        _ => Part::Media(media::read_file(data, &here)?),
    };
    if let Some(signature) = fields.text("thoughtSignature")?.map(standard) {
        fields.keep("thoughtSignature", signature);
    }
    let mut piece = Piece { extra: about(fields)?, part, cache: None };
    if let Part::Media(media) = &piece.part {
        let mut extra = piece.extra.0.take().map(|of| of.1).unwrap_or_default();
        media::keep_name(media, &mut extra);
        piece.extra = Extra::of(Dialect::Gemini, extra);
    }
    Ok(piece)
}

/// What is said about a part and stays with it. That it is no thought is what everybody assumes.
fn about(mut fields: Fields) -> Result<Extra, Refused> {
    if fields.flag("thought")? == Some(true) {
        fields.keep("thought", true);
    }
    Ok(Extra::of(Dialect::Gemini, fields.rest()))
}

/// What a part's writer must know.
pub(super) struct Context<'a> {
    /// Who will read it; none if it is a client.
    pub(super) to: Option<Model<'a>>,
    /// The tools' names by the ids of their calls, so far.
    pub(super) names: HashMap<&'a str, &'a str>,
}

/// Writes a piece as a part, or as several: media that a tool returned may have to stand behind its result.
pub(super) fn write(piece: &Piece, context: &Context, to: &mut Vec<Value>) -> Result<(), Refused> {
    let mut behind = Vec::new();
    let mut part = match &piece.part {
        Part::Text { text, signature, .. } => text_part(text, false, signature.as_ref().and_then(proof)),
        Part::Refusal(text) => text_part(text, false, None),
        Part::Reasoning(reasoning) => {
            // A client gives all back; Google itself refuses what it did not sign.
            let own = reasoning.signature.as_ref().and_then(proof);
            let client = own.is_none() && context.to.is_none();
            let carried = client.then(|| carry::pack(&Parcel::of(reasoning))).flatten();
            match thought(reasoning, own.or(carried.as_deref())) {
                Some(part) => part,
                None => return Ok(()),
            }
        }
        Part::Call(call) => write_call(call),
        Part::Result(result) => Map::from_iter([(
            "functionResponse".to_owned(),
            Value::Object(result::write(result, context, &mut behind)?),
        )]),
        Part::Media(media) => {
            let (name, mut data) = media::write(media)?;
            if let (Some(kept), Some(map)) = (media::kept_name(&piece.extra), data.as_object_mut()) {
                map.insert("displayName".into(), kept.clone());
            }
            Map::from_iter([(name.to_owned(), data)])
        }
        Part::Foreign(Dialect::Gemini, value) => {
            to.push(value.clone());
            return Ok(());
        }
        Part::Foreign(..) => return Ok(()),
    };
    write_about(&piece.extra, &mut part);
    to.push(part.into());
    to.append(&mut behind);
    Ok(())
}

/// The signature, if Google made it: one that is no base64 it did not, and its SDK fails on the whole answer for it.
pub(super) fn proof(signature: &Own<String>) -> Option<&str> {
    signature.proof_for(Dialect::Gemini).filter(|proof| base64::is(proof))
}

/// A text part.
pub(super) fn text_part(text: &str, thought: bool, signature: Option<&str>) -> Map<String, Value> {
    let mut part = Map::new();
    part.insert("text".into(), text.into());
    if thought {
        part.insert("thought".into(), true.into());
    }
    if let Some(signature) = signature {
        part.insert("thoughtSignature".into(), signature.into());
    }
    part
}

/// A thought; none if there is nothing to tell. Summaries are told as its text.
fn thought(reasoning: &Reasoning, signature: Option<&str>) -> Option<Map<String, Value>> {
    let text = if reasoning.text.is_empty() { &reasoning.summary.join("\n\n") } else { &reasoning.text };
    (!text.is_empty() || signature.is_some()).then(|| text_part(text, true, signature))
}

fn write_call(call: &Call) -> Map<String, Value> {
    let mut data = Map::new();
    if !call.id.is_empty() {
        data.insert("id".into(), call.id.as_str().into());
    }
    data.insert("name".into(), call.name.as_str().into());
    data.insert("args".into(), arguments(call));
    let mut part = Map::from_iter([("functionCall".to_owned(), data.into())]);
    if let Some(signature) = call.signature.as_ref().and_then(proof) {
        part.insert("thoughtSignature".into(), signature.into());
    }
    part
}

/// Arguments must be an object here. Text that is none, damaged or of a custom tool, is wrapped in one.
fn arguments(call: &Call) -> Value {
    let text = call.arguments.as_str();
    if call.custom {
        return json!({"input": text});
    }
    if call.is_bare() {
        return json!({});
    }
    match serde_json::from_str(text) {
        Ok(object @ Value::Object(_)) => object,
        _ => json!({"_raw": text}),
    }
}

/// Adds what only we know of a part, inside its data where it stood there.
fn write_about(extra: &Extra, part: &mut Map<String, Value>) {
    for (name, value) in extra.fields(Dialect::Gemini).filter(|field| field.0 != "displayName") {
        match (part.get_mut(name), value) {
            (Some(Value::Object(data)), Value::Object(left)) => add(data, left.iter()),
            (Some(_), _) => {}
            (None, _) => {
                part.insert(name.clone(), value.clone());
            }
        }
    }
}
