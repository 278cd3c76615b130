//! Reading an answer.

use serde_json::{Map, Value};

use crate::dialect::gemini::fields::{Fields, Path, parse};
use crate::dialect::gemini::{finish, grounding, logprobs, part, time, usage};
use crate::dialect::talk::{Answer, Choice, Dialect, Extra, Failed, Finish, Own, Part, Piece, Refused};

/// Reads a whole answer.
pub fn read_answer(body: &[u8]) -> Result<Answer, Refused> {
    let mut fields = Fields::new(parse(body)?, &Path::Root)?;
    if let Some(error) = fields.take("error") {
        let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let failed = Failed { kind: text("status"), message: text("message") };
        return Ok(Answer { failed: Some(failed), ..Answer::default() });
    }
    let mut answer = Answer {
        id: fields.text("responseId")?.unwrap_or_default(),
        model: fields.text("modelVersion")?.unwrap_or_default(),
        ..Answer::default()
    };
    if let Some(moment) = fields.text("createTime")? {
        answer.created = time::seconds(&moment);
        fields.keep("createTime", moment);
    }
    read_usage(&mut fields, &mut answer)?;
    let at = Path::Field(&Path::Root, "candidates");
    for (index, candidate) in fields.list("candidates").into_iter().enumerate() {
        answer.choices.push(read_candidate(candidate, index, &Path::Index(&at, index))?);
    }
    if let Some(feedback) = fields.take("promptFeedback") {
        if answer.choices.is_empty() && blocked(&feedback) {
            answer.choices.push(Choice { finish: Some(Finish::Filtered), ..Choice::default() });
        }
        fields.keep("promptFeedback", feedback);
    }
    answer.extra = Extra::of(Dialect::Gemini, fields.rest());
    Ok(answer)
}

/// The prompt itself was held back; there are no candidates then.
pub(in crate::dialect::gemini) fn blocked(feedback: &Value) -> bool {
    let reason = feedback.get("blockReason").or_else(|| feedback.get("block_reason"));
    reason.is_some_and(|reason| *reason != "BLOCK_REASON_UNSPECIFIED" && !reason.is_null())
}

fn read_usage(fields: &mut Fields, answer: &mut Answer) -> Result<(), Refused> {
    let Some(metadata) = fields.take("usageMetadata") else { return Ok(()) };
    let at = Path::Field(&Path::Root, "usageMetadata");
    let mut metadata = Fields::new(metadata, &at)?;
    answer.usage = usage::read(&mut metadata);
    answer.service_tier = metadata.text("serviceTier")?.map(|tier| Own::new(Dialect::Gemini, tier));
    let left = metadata.rest();
    if !left.is_empty() {
        fields.keep("usageMetadata", left);
    }
    Ok(())
}

fn read_candidate(candidate: Value, position: usize, at: &Path) -> Result<Choice, Refused> {
    let mut fields = Fields::new(candidate, at)?;
    let mut choice = Choice { index: fields.count("index")?.unwrap_or(position as u64), ..Choice::default() };
    if let Some(content) = fields.take("content") {
        choice.pieces = read_content(content, &Path::Field(at, "content"))?;
    }
    let calls = choice.pieces.iter().any(|piece| matches!(piece.part, Part::Call(_)));
    if let Some(reason) = fields.take("finishReason") {
        choice.finish = finish::read(&reason).map(|finish| finish::with_calls(finish, calls));
        // Several reasons are one to others; our own writer wants the word again.
        if choice.finish.as_ref().is_none_or(|finish| reason != finish::write(finish)) {
            fields.keep("finishReason", reason);
        }
    }
    if let Some(result) = fields.take("logprobsResult") {
        choice.logprobs = logprobs::read(&result);
        fields.keep("logprobsResult", result);
    }
    let left = fields.rest();
    cite(&left, &mut choice.pieces);
    choice.extra = Extra::of(Dialect::Gemini, left);
    Ok(choice)
}

fn read_content(content: Value, at: &Path) -> Result<Vec<Piece>, Refused> {
    let mut fields = Fields::new(content, at)?;
    let here = Path::Field(at, "parts");
    let read = |(index, value)| part::read(value, &Path::Index(&here, index));
    fields.list("parts").into_iter().enumerate().map(read).collect()
}

/// Puts the citations to the texts that they belong to.
fn cite(left: &Map<String, Value>, pieces: &mut [Piece]) {
    let found = grounding::read(left);
    if found.is_empty() {
        return;
    }
    let text = |(index, piece): (usize, &Piece)| match &piece.part {
        Part::Text { text, .. } => Some((index, text.clone())),
        _ => None,
    };
    let texts: Vec<(usize, String)> = pieces.iter().enumerate().filter_map(text).collect();
    let texts: Vec<(usize, &str)> = texts.iter().map(|(index, text)| (*index, text.as_str())).collect();
    for (index, citation) in found.into_iter().filter_map(|found| found.place(&texts)) {
        if let Some(Piece { part: Part::Text { citations, .. }, .. }) = pieces.get_mut(index) {
            citations.push(citation);
        }
    }
}
