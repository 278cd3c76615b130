use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::super::ids::valid;
use super::super::models::Maker;
use super::super::{citations, media, opaque};
use crate::dialect::talk::ids::Ids;
use crate::dialect::talk::{
    Cache, Call, Citation, Dialect, Extra, Media, MediaKind, Own, Part, Piece, Reasoning, Refused, ToolResult,
};

/// Writes blocks, for one request or one answer.
pub(in super::super) struct Blocks {
    maker: Maker,
    /// What a model says, not what it is asked: nothing needs to be left out for a model's sake.
    answer: bool,
    ids: Ids,
    documents: HashSet<String>,
}

impl Blocks {
    /// For a request to a model of `maker`.
    pub(in super::super) fn asked(maker: Maker) -> Blocks {
        Blocks { maker, answer: false, ids: Ids::new(valid), documents: HashSet::new() }
    }

    /// For an answer.
    pub(in super::super) fn answered() -> Blocks {
        Blocks { answer: true, ..Blocks::asked(Maker::Unknown) }
    }

    /// Appends the blocks that say `pieces`.
    pub(in super::super) fn write(&mut self, pieces: &[Piece], to: &mut Vec<Value>) -> Result<(), Refused> {
        for piece in pieces {
            self.part(piece, to)?;
            if let Some(cache) = mark(piece) {
                self.cache(cache, to);
            }
        }
        Ok(())
    }

    fn part(&mut self, piece: &Piece, to: &mut Vec<Value>) -> Result<(), Refused> {
        match &piece.part {
            Part::Text { text, citations, .. } => {
                // A citation in another dialect's form may be one that the model does not take back.
                let own = |of: &&_| self.answer || is_own(of);
                let cited: Vec<_> = citations.iter().filter(own).collect();
                match cited.is_empty() {
                    true => push_text(text, &piece.extra, to),
                    false => to.push(citations::write(text, &cited)),
                }
            }
            Part::Refusal(text) => push_text(text, &piece.extra, to),
            Part::Media(media) => to.push(self.media(media, &piece.extra)?),
            Part::Call(call) => to.push(self.call(call, &piece.extra)),
            Part::Result(result) => to.push(self.result(result, &piece.extra)?),
            Part::Reasoning(reasoning) => self.reasoning(reasoning, &piece.extra, to),
            Part::Foreign(Dialect::Converse, block) => to.push(block.clone()),
            Part::Foreign(..) => (),
        }
        Ok(())
    }

    fn cache(&self, cache: Cache, to: &mut Vec<Value>) {
        let marked = to.last().is_none_or(|last| last.get("cachePoint").is_some());
        if self.maker.caches(false) && !marked {
            to.push(cache_block(cache));
        }
    }

    fn media(&mut self, media: &Media, extra: &Extra) -> Result<Value, Refused> {
        let body = media::write(media, extra, &mut self.documents)?;
        Ok(one(media::key(media.kind), body))
    }

    fn call(&mut self, call: &Call, extra: &Extra) -> Value {
        let mut body = own_fields(extra);
        body.insert("toolUseId".to_owned(), self.ids.call(call).into());
        body.insert("name".to_owned(), call.name.as_str().into());
        body.insert("input".to_owned(), input(call));
        one("toolUse", Value::Object(body))
    }

    fn result(&mut self, result: &ToolResult, extra: &Extra) -> Result<Value, Refused> {
        let mut content = Vec::new();
        match &result.json {
            Some(json @ Value::Object(_)) => content.push(json!({ "json": json })),
            // `json` must be an object there.
            Some(other) => push_text(&other.to_string(), &Extra::default(), &mut content),
            None => {}
        }
        self.result_content(&result.pieces, &mut content)?;
        let mut body = own_fields(extra);
        body.insert("toolUseId".to_owned(), self.ids.result(result).into());
        body.insert("content".to_owned(), Value::Array(content));
        if let Some(failed) = result.failed.filter(|_| self.maker.takes_status()) {
            body.insert("status".to_owned(), if failed { "error" } else { "success" }.into());
        }
        Ok(one("toolResult", Value::Object(body)))
    }

    fn result_content(&mut self, pieces: &[Piece], to: &mut Vec<Value>) -> Result<(), Refused> {
        for piece in pieces {
            match &piece.part {
                Part::Text { text, .. } | Part::Refusal(text) => push_text(text, &piece.extra, to),
                Part::Media(media) if media.kind == MediaKind::Audio => {
                    return Err(Refused::field("messages", "Bedrock takes no sound in a tool's result."));
                }
                Part::Media(media) => to.push(self.media(media, &piece.extra)?),
                Part::Foreign(Dialect::Converse, block) => to.push(block.clone()),
                Part::Foreign(..) | Part::Call(_) | Part::Result(_) | Part::Reasoning(_) => (),
            }
        }
        Ok(())
    }

    /// Models take back only what they signed; of what they did not sign they need nothing.
    fn reasoning(&self, reasoning: &Reasoning, extra: &Extra, to: &mut Vec<Value>) {
        if !self.maker.takes_reasoning() {
            return;
        }
        let own = |proof: &'_ Option<Own<String>>| {
            proof.as_ref().and_then(|proof| proof.proof_for(Dialect::Converse)).map(str::to_owned)
        };
        let signature = own(&reasoning.signature);
        if signature.is_some() || self.answer && !reasoning.text.is_empty() {
            let mut told = own_fields(extra);
            told.insert("text".to_owned(), reasoning.text.as_str().into());
            if let Some(signature) = signature {
                told.insert("signature".to_owned(), signature.into());
            }
            to.push(json!({ "reasoningContent": { "reasoningText": told } }));
        }
        if let Some(encrypted) = own(&reasoning.encrypted) {
            to.push(json!({ "reasoningContent": { "redactedContent": opaque::wrapped(&encrypted) } }));
        }
    }
}

/// The mark on a piece, or inside a tool's result, where Converse has no place for it.
fn mark(piece: &Piece) -> Option<Cache> {
    let inner = || match &piece.part {
        Part::Result(result) => result.pieces.iter().find_map(|piece| piece.cache),
        _ => None,
    };
    piece.cache.or_else(inner)
}

/// A cache point. Five minutes is what it means without a word, and models that know no other do not know the word.
pub(in super::super) fn cache_block(cache: Cache) -> Value {
    match cache.ttl {
        Some(ttl) if ttl > 300 => json!({ "cachePoint": { "type": "default", "ttl": "1h" } }),
        _ => json!({ "cachePoint": { "type": "default" } }),
    }
}

fn is_own(citation: &Citation) -> bool {
    matches!(citation.original, Some((Dialect::Converse, _)))
}

fn one(key: &str, body: Value) -> Value {
    Value::Object(Map::from_iter([(key.to_owned(), body)]))
}

fn own_fields(extra: &Extra) -> Map<String, Value> {
    extra.fields(Dialect::Converse).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Bedrock answers a blank text with an error, so blanks go to the text before them and are left out where none is.
fn push_text(text: &str, extra: &Extra, to: &mut Vec<Value>) {
    if text.trim().is_empty() {
        if let Some(Value::String(before)) = to.last_mut().and_then(|last| last.get_mut("text")) {
            before.push_str(text);
        }
        return;
    }
    let mut block = own_fields(extra);
    block.insert("text".to_owned(), text.into());
    to.push(Value::Object(block));
}

/// A call's arguments must be an object: what is none is wrapped into one.
fn input(call: &Call) -> Value {
    if call.custom {
        return json!({ "input": call.arguments });
    }
    if call.is_bare() {
        return json!({});
    }
    match serde_json::from_str(&call.arguments) {
        Ok(object @ Value::Object(_)) => object,
        _ => json!({ "_raw": call.arguments }),
    }
}
