//! A stream, read.

use serde_json::Value;
use serde_json::value::RawValue;

use super::super::answer::{created, read_source};
use super::super::fields::MOST;
use super::super::message::{read_citation, read_image};
use super::choice::Choice;
use super::text_alone::{self, TextChunk};
use super::wire::{Chunk, ChunkDelta};
use crate::dialect::json::Cursor;
use crate::dialect::openai::answer::{Usage, parse_error};
use crate::dialect::talk::{Dialect, Event, Extra, Failed, Own, Refused};

/// No provider gives more answers at once.
const MOST_CHOICES: usize = 128;

/// Reads a stream's events in order.
///
/// A finish is told only at the end of the stream: OpenRouter says it twice, some servers with every chunk, and what
/// comes behind it still counts.
#[derive(Default)]
pub struct Reader {
    started: bool,
    over: bool,
    choices: Vec<Choice>,
    /// Sources that are told beside the answer, which the first text cites at its end.
    sources: Vec<Value>,
    /// The tier of service, as said last, and as told at the start.
    tier: Option<String>,
    told_tier: Option<String>,
}

fn tier(word: Option<&String>) -> Option<Own<String>> {
    word.map(|word| Own::new(Dialect::Chat, word))
}

impl Reader {
    /// The next server-sent event: its name (empty if none) and its data.
    pub fn read(&mut self, name: &str, data: &[u8], to: &mut Vec<Event>) -> Result<(), Refused> {
        let data = data.trim_ascii();
        if self.over || data.is_empty() {
            return Ok(());
        }
        if data == b"[DONE]" {
            return self.done(to);
        }
        if name == "error" {
            self.fail(data, to);
            return Ok(());
        }
        let told = text_alone::read(data).is_some_and(|said| self.more_text(said, to));
        if told { Ok(()) } else { self.read_any(data, to) }
    }

    /// More of the text of a choice that has begun.
    fn more_text(&mut self, said: TextChunk<'_>, to: &mut Vec<Event>) -> bool {
        let known = self.choices.iter_mut().find(|choice| choice.index == said.index);
        let Some(choice) = known.filter(|_| self.started) else { return false };
        choice.text(said.text.into_owned(), to);
        if said.tier.is_some() && said.tier != self.tier.as_deref() {
            self.tier = said.tier.map(str::to_owned);
        }
        true
    }

    /// Any chunk.
    pub(super) fn read_any(&mut self, data: &[u8], to: &mut Vec<Event>) -> Result<(), Refused> {
        let wrong = |fault| {
            Refused::whole(format!("The provider's stream holds a chunk that cannot be read: {fault}."))
        };
        let chunk: Chunk<'_> = serde_json::from_slice(data).map_err(wrong)?;
        if chunk.error.is_some() || chunk.choices.is_none() && chunk.message.is_some() {
            self.fail(data, to);
            return Ok(());
        }
        self.chunk(chunk, to)
    }

    /// The stream has ended.
    pub fn end(&mut self, to: &mut Vec<Event>) -> Result<(), Refused> {
        // Without `[DONE]` it is whole if every choice has said why it ended: some servers know no mark.
        let whole = !self.choices.is_empty() && self.choices.iter().all(Choice::is_finished);
        match self.over || whole {
            true if self.over => Ok(()),
            true => self.done(to),
            false => Err(Refused::whole("The provider's stream ended before the answer was complete.")),
        }
    }

    fn fail(&mut self, data: &[u8], to: &mut Vec<Event>) {
        let error = parse_error(data).unwrap_or_default();
        self.over = true;
        let Failed { kind, message } =
            Failed::new(error.kind.or(error.code).unwrap_or_default(), error.message);
        to.push(Event::Failed { kind, message });
    }

    fn done(&mut self, to: &mut Vec<Event>) -> Result<(), Refused> {
        if !self.started {
            return Err(Refused::whole("The provider's stream holds no answer."));
        }
        self.over = true;
        self.choices.sort_unstable_by_key(|choice| choice.index);
        if let Some(first) = self.choices.first_mut() {
            first.cite(self.sources.iter().filter_map(read_source), to);
        }
        self.choices.iter_mut().for_each(|choice| choice.settle(to));
        if self.tier != self.told_tier {
            to.push(Event::About { service_tier: tier(self.tier.as_ref()), extra: Extra::default() });
        }
        to.push(Event::Done);
        Ok(())
    }

    fn chunk(&mut self, chunk: Chunk<'_>, to: &mut Vec<Event>) -> Result<(), Refused> {
        let choices = chunk.choices.unwrap_or_default();
        let id = chunk.id.unwrap_or_default();
        let usage = chunk.usage.or_else(|| chunk.x_groq.and_then(|groq| groq.usage));
        // Azure's first chunk tells what its filter thinks of the prompt, without an id.
        if !self.started && (!choices.is_empty() || !id.is_empty() || usage.is_some()) {
            self.started = true;
            self.told_tier.clone_from(&chunk.service_tier);
            let (model, created) = (chunk.model.unwrap_or_default(), created(chunk.created.as_ref()));
            let service_tier = tier(chunk.service_tier.as_ref());
            to.push(Event::Start { id, model, created, service_tier });
        }
        // Some tell the tier only when it is known, with the last chunks.
        self.tier = chunk.service_tier.or(self.tier.take());
        if self.sources.is_empty()
            && let Some(sources) = chunk.search_results.or(chunk.citations)
        {
            self.sources = serde_json::from_str(sources.get()).unwrap_or_default();
        }
        let mut later = None;
        for choice in choices {
            let state = self.choice(choice.index.unwrap_or_default())?;
            if let Some(delta) = choice.delta {
                read_delta(state, delta, to)?;
            }
            if let Some(tokens) =
                choice.logprobs.and_then(|said| said.content).filter(|said| !said.is_empty())
            {
                to.push(Event::Logprobs { choice: state.index, tokens });
            }
            state.finish(choice.finish_reason.unwrap_or_default());
            later = later.or(choice.usage);
        }
        to.extend(usage.or(later).and_then(read_usage).map(Event::Usage));
        Ok(())
    }

    fn choice(&mut self, index: u64) -> Result<&mut Choice, Refused> {
        let at = match self.choices.iter().position(|choice| choice.index == index) {
            Some(at) => at,
            None => {
                self.choices.push(Choice::new(index));
                self.choices.len() - 1
            }
        };
        let many = || Refused::field("choices", "The provider's stream holds too many choices.");
        self.choices.get_mut(at).filter(|_| at < MOST_CHOICES && index <= MOST).ok_or_else(many)
    }
}

fn read_usage(raw: &RawValue) -> Option<Usage> {
    Usage::read(&mut Cursor::new(raw.get().as_bytes())).flatten()
}

fn read_delta(state: &mut Choice, delta: ChunkDelta, to: &mut Vec<Event>) -> Result<(), Refused> {
    read_reasoning(state, delta.reasoning_details, [delta.reasoning_content, delta.reasoning], to);
    for citation in delta.annotations.iter().flatten().filter_map(read_citation) {
        state.citation(citation, to);
    }
    match delta.content {
        None | Some(Value::Null) => {}
        Some(Value::String(text)) => state.text(text, to),
        Some(Value::Array(parts)) => parts.into_iter().for_each(|part| read_part(state, part, to)),
        Some(_) => {
            return Err(Refused::field("choices.delta.content", "`content` must be a string or a list."));
        }
    }
    state.refusal(delta.refusal.unwrap_or_default(), to);
    if let Some(signature) = delta.extra_content.as_ref().and_then(super::super::calls::signature_of) {
        state.text_signature(signature, to);
    }
    delta.function_call.into_iter().for_each(|inner| state.legacy_call(inner, to));
    delta.tool_calls.into_iter().flatten().for_each(|call| state.call(call, to));
    for image in delta.images.into_iter().flatten() {
        state.whole(read_image(image, "choices.delta.images")?, to);
    }
    if let Some(audio) = delta.audio.filter(Value::is_object) {
        state.foreign(serde_json::json!({"audio": audio}), to);
    }
    Ok(())
}

/// The details tell more; the same chunk's text only repeats theirs, if they have one.
fn read_reasoning(
    state: &mut Choice,
    details: Option<Vec<Value>>,
    texts: [Option<Value>; 2],
    to: &mut Vec<Event>,
) {
    let details = details.unwrap_or_default();
    let tells = |detail: &Value| detail.get("text").is_some() || detail.get("summary").is_some();
    if !details.iter().any(tells) {
        let told =
            texts.into_iter().flatten().find(|text| text.as_str().is_some_and(|text| !text.is_empty()));
        if let Some(Value::String(text)) = told {
            state.reasoning(text, to);
        }
    }
    details.into_iter().for_each(|detail| state.detail(detail, to));
}

/// A part of Mistral's: text, or reasoning in parts of its own.
fn read_part(state: &mut Choice, part: Value, to: &mut Vec<Event>) {
    let text = |part: &Value| part.get("text").and_then(Value::as_str).map(str::to_owned).unwrap_or_default();
    match part.get("type").and_then(Value::as_str) {
        Some("text") => state.text(text(&part), to),
        Some("thinking") => match part.get("thinking") {
            Some(Value::Array(inner)) => inner.iter().for_each(|inner| state.reasoning(text(inner), to)),
            Some(Value::String(inner)) => state.reasoning(inner.clone(), to),
            _ => {}
        },
        _ => state.foreign(part, to),
    }
}
