//! Reads a stream's events.

use serde_json::{Map, Value};

use super::super::answer::read_finish;
use super::super::block::{read_block, read_citation};
use super::super::fields::Fields;
use super::super::usage::Counts;
use crate::dialect::openai::answer::Usage;
use crate::dialect::talk::carry::Parcel;
use crate::dialect::talk::{
    Call, Delta, Dialect, Event, Extra, Finish, Opening, Own, Part, Reasoning, Refused,
};

/// Reads a stream's events in order.
#[derive(Debug, Default)]
pub struct Reader {
    started: bool,
    /// Blocks that are open: seldom more than one.
    open: Vec<Block>,
    /// Pieces that have begun.
    pieces: usize,
    called: bool,
    counts: Counts,
    told: Option<Usage>,
    finished: bool,
    /// The tier of service, as told last.
    tier: Option<String>,
    /// Nothing follows.
    over: bool,
}

/// A block that is open.
#[derive(Debug)]
struct Block {
    index: u64,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Told as it comes: its piece.
    Told(usize),
    /// A call's piece, and its input as it began, until deltas bring it.
    Call(usize, Option<Map<String, Value>>),
    /// What only this dialect has comes whole: the block so far, and the text of its input.
    Whole(Map<String, Value>, String),
}

impl Reader {
    /// The next server-sent event: its name (empty if none) and its data.
    ///
    /// # Errors
    /// It is damaged, or belongs to a block that never began.
    pub fn read(&mut self, name: &str, data: &[u8], to: &mut Vec<Event>) -> Result<(), Refused> {
        // Some imitations end like OpenAI.
        if self.over || data.trim_ascii() == b"[DONE]" {
            return Ok(());
        }
        let event = serde_json::from_slice(data);
        let event = event.map_err(|error| Refused::whole(format!("An event is not JSON: {error}.")))?;
        let mut fields = Fields::of(event, String::new())?;
        let kind = fields.text("type")?.unwrap_or_else(|| name.to_owned());
        match kind.as_str() {
            "message_start" => self.start(fields.fields("message")?, to),
            "content_block_start" => self.begin(&mut fields, to),
            "content_block_delta" => self.delta(&mut fields, to),
            "content_block_stop" => self.stop(&mut fields, to),
            "message_delta" => self.message(&mut fields, to),
            "message_stop" => self.done(to),
            "ping" => self.ping(to),
            "error" => self.fail(&mut fields, to),
            // Anthropic says that new kinds may come.
            _ => Ok(()),
        }
    }

    /// The stream has ended: fine if it said why, even if its very last event is missing.
    ///
    /// # Errors
    /// It did not.
    pub fn end(&mut self, to: &mut Vec<Event>) -> Result<(), Refused> {
        if self.over {
            return Ok(());
        }
        if !self.finished {
            return Err(Refused::whole("The stream ended in the middle of the answer."));
        }
        self.done(to)
    }

    fn start(&mut self, message: Option<Fields>, to: &mut Vec<Event>) -> Result<(), Refused> {
        if self.started {
            return Ok(());
        }
        self.started = true;
        let (mut id, mut model, mut service_tier, mut counted) = (None, None, None, None);
        if let Some(mut message) = message {
            (id, model) = (message.text("id")?, message.text("model")?);
            counted = message.fields("usage")?;
        }
        if let Some(usage) = counted.as_mut() {
            service_tier = usage.text("service_tier")?;
        }
        self.tier.clone_from(&service_tier);
        let (id, model) = (id.unwrap_or_default(), model.unwrap_or_default());
        let service_tier = service_tier.map(|tier| Own::new(Dialect::Messages, tier));
        to.push(Event::Start { id, model, created: None, service_tier });
        self.count(counted, to);
        Ok(())
    }

    /// Some imitations (llama.cpp) leave `message_start` out now and then.
    fn need_start(&mut self, to: &mut Vec<Event>) -> Result<(), Refused> {
        self.start(None, to)
    }

    fn count(&mut self, usage: Option<Fields>, to: &mut Vec<Event>) {
        let Some(usage) = usage else { return };
        self.counts.absorb(&mut usage.rest());
        let usage = self.counts.usage();
        if self.told != Some(usage) {
            self.told = Some(usage);
            to.push(Event::Usage(usage));
        }
    }

    fn ping(&mut self, to: &mut Vec<Event>) -> Result<(), Refused> {
        self.need_start(to)?;
        to.push(Event::Ping);
        Ok(())
    }

    fn begin(&mut self, fields: &mut Fields, to: &mut Vec<Event>) -> Result<(), Refused> {
        self.need_start(to)?;
        let index = index_of(fields)?;
        let Some(block) = fields.take("content_block") else {
            return Err(Refused::field("content_block", "A block begins that is none."));
        };
        self.close(|open| open.index == index, to)?;
        let input = block.get("input").and_then(Value::as_object).cloned();
        let whole = block.as_object().cloned().unwrap_or_default();
        let kind = match read_block(block, "content_block".to_owned(), false)?.part {
            Part::Text { text, citations, .. } => {
                let piece = self.open(Opening::Text, to);
                let citations = citations.into_iter().map(|citation| Delta::Citation(Box::new(citation)));
                self.tell(piece, some(text, Delta::Text).into_iter().chain(citations), to);
                Kind::Told(piece)
            }
            Part::Reasoning(reasoning) => {
                let piece = self.open(Opening::Reasoning { id: None }, to);
                self.tell(piece, deltas(reasoning), to);
                Kind::Told(piece)
            }
            Part::Call(call) => {
                self.called = true;
                let Call { id, name, custom, signature, .. } = call;
                let piece = self.open(Opening::Call { id, name, custom, signature }, to);
                Kind::Call(piece, input.filter(|input| !input.is_empty()))
            }
            _ => Kind::Whole(whole, String::new()),
        };
        self.open.push(Block { index, kind });
        Ok(())
    }

    fn open(&mut self, opening: Opening, to: &mut Vec<Event>) -> usize {
        let piece = self.pieces;
        self.pieces += 1;
        to.push(Event::Begin { choice: 0, piece, opening });
        piece
    }

    fn tell(&self, piece: usize, deltas: impl IntoIterator<Item = Delta>, to: &mut Vec<Event>) {
        to.extend(deltas.into_iter().map(|delta| Event::Delta { choice: 0, piece, delta }));
    }

    fn delta(&mut self, fields: &mut Fields, to: &mut Vec<Event>) -> Result<(), Refused> {
        let index = index_of(fields)?;
        let Some(block) = self.open.iter_mut().find(|block| block.index == index) else {
            return Err(Refused::field(
                "index",
                format!("A delta came for block {index}, which is not open."),
            ));
        };
        let Some(mut delta) = fields.fields("delta")? else { return Ok(()) };
        let piece = match &mut block.kind {
            Kind::Whole(whole, input) => return add(whole, input, delta),
            Kind::Told(piece) => *piece,
            Kind::Call(piece, begun) => {
                *begun = None;
                *piece
            }
        };
        let told = read_delta(&mut delta)?;
        self.tell(piece, told.into_iter().flatten(), to);
        Ok(())
    }

    fn stop(&mut self, fields: &mut Fields, to: &mut Vec<Event>) -> Result<(), Refused> {
        let index = index_of(fields)?;
        self.close(|block| block.index == index, to)
    }

    /// Ends the blocks that are meant.
    fn close(&mut self, meant: impl Fn(&Block) -> bool, to: &mut Vec<Event>) -> Result<(), Refused> {
        let (ending, open) = std::mem::take(&mut self.open).into_iter().partition(|block| meant(block));
        self.open = open;
        let ending: Vec<Block> = ending;
        for block in ending {
            let piece = match block.kind {
                Kind::Told(piece) | Kind::Call(piece, None) => piece,
                Kind::Call(piece, Some(input)) => {
                    self.tell(piece, [Delta::Arguments(Value::Object(input).to_string())], to);
                    piece
                }
                Kind::Whole(whole, input) => {
                    let whole = read_block(finished(whole, &input), "content_block".to_owned(), false)?;
                    self.open(Opening::Whole(Box::new(whole)), to)
                }
            };
            to.push(Event::End { choice: 0, piece });
        }
        Ok(())
    }

    /// Calls that the longest answer cuts may lack their stop, so it is made up for.
    fn message(&mut self, fields: &mut Fields, to: &mut Vec<Event>) -> Result<(), Refused> {
        self.need_start(to)?;
        let mut usage = fields.fields("usage")?;
        let tier = usage.as_mut().map(|usage| usage.text("service_tier")).transpose()?.flatten();
        self.count(usage, to);
        if let Some(tier) = tier.filter(|tier| self.tier.as_ref() != Some(tier)) {
            self.tier = Some(tier.clone());
            let service_tier = Some(Own::new(Dialect::Messages, tier));
            to.push(Event::About { service_tier, extra: Extra::default() });
        }
        let Some(mut delta) = fields.fields("delta")? else { return Ok(()) };
        let stop = delta.text("stop_sequence")?;
        match delta.text("stop_reason")? {
            Some(word) if !self.finished => self.finish(read_finish(word, stop), to),
            _ => Ok(()),
        }
    }

    fn finish(&mut self, finish: Finish, to: &mut Vec<Event>) -> Result<(), Refused> {
        self.finished = true;
        self.close(|_| true, to)?;
        to.push(Event::Finish { choice: 0, finish });
        Ok(())
    }

    fn done(&mut self, to: &mut Vec<Event>) -> Result<(), Refused> {
        self.need_start(to)?;
        if !self.finished {
            let finish = if self.called { Finish::Calls } else { Finish::Stop };
            self.finish(finish, to)?;
        }
        self.close(|_| true, to)?;
        self.over = true;
        to.push(Event::Done);
        Ok(())
    }

    fn fail(&mut self, fields: &mut Fields, to: &mut Vec<Event>) -> Result<(), Refused> {
        self.over = true;
        let (mut kind, mut message) = (None, None);
        if let Some(mut error) = fields.fields("error")? {
            (kind, message) = (error.text("type")?, error.text("message")?);
        }
        to.push(Event::Failed { kind: kind.unwrap_or_default(), message: message.unwrap_or_default() });
        Ok(())
    }
}

fn index_of(fields: &mut Fields) -> Result<u64, Refused> {
    fields.count("index")?.ok_or_else(|| Refused::field("index", "An event of a block lacks its index."))
}

fn some(text: String, delta: fn(String) -> Delta) -> Option<Delta> {
    (!text.is_empty()).then(|| delta(text))
}

/// What a block of reasoning begins with.
fn deltas(reasoning: Reasoning) -> impl Iterator<Item = Delta> {
    let summary = reasoning.summary.into_iter().enumerate().map(|(nth, text)| Delta::Summary(nth, text));
    let text = some(reasoning.text, Delta::Text).into_iter().chain(summary);
    text.chain(reasoning.signature.map(Delta::Signature)).chain(reasoning.encrypted.map(Delta::Encrypted))
}

/// What a delta tells: mostly one thing, and of a parcel all that is in it.
fn read_delta(delta: &mut Fields) -> Result<[Option<Delta>; 2], Refused> {
    let kind = delta.need_text("type")?;
    let (name, make): (_, fn(String) -> Delta) = match kind.as_str() {
        "text_delta" => ("text", Delta::Text),
        "thinking_delta" => ("thinking", Delta::Text),
        "signature_delta" => return Ok(signature(delta.text("signature")?.unwrap_or_default())),
        "input_json_delta" => ("partial_json", Delta::Arguments),
        "citations_delta" => {
            let citation = delta.take("citation").map(read_citation);
            return Ok([citation.map(|citation| Delta::Citation(Box::new(citation))), None]);
        }
        // New kinds may come.
        _ => return Ok([None, None]),
    };
    Ok([delta.text(name)?.and_then(|text| some(text, make)), None])
}

/// A signature, or what our own writer sends in its place.
fn signature(text: String) -> [Option<Delta>; 2] {
    match Parcel::open(&text) {
        Some(parcel) => [parcel.signature.map(Delta::Signature), parcel.encrypted.map(Delta::Encrypted)],
        None => [some(text, |text| Delta::Signature(Own::new(Dialect::Messages, text))), None],
    }
}

/// Adds a delta to a block that comes whole: its input, or whatever fields the delta has.
fn add(whole: &mut Map<String, Value>, input: &mut String, mut delta: Fields) -> Result<(), Refused> {
    if delta.need_text("type")? == "input_json_delta" {
        input.push_str(&delta.text("partial_json")?.unwrap_or_default());
        return Ok(());
    }
    for (name, value) in delta.rest() {
        match (whole.get_mut(&name), value) {
            (Some(Value::String(text)), Value::String(more)) => text.push_str(&more),
            (_, value) => _ = whole.insert(name, value),
        }
    }
    Ok(())
}

/// The block with its input, which stays text if it is cut.
fn finished(mut whole: Map<String, Value>, input: &str) -> Value {
    if !input.is_empty() {
        let input = serde_json::from_str(input).unwrap_or_else(|_| Value::String(input.to_owned()));
        whole.insert("input".to_owned(), input);
    }
    Value::Object(whole)
}
