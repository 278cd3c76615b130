//! What is read of OpenAI's calls, and of the reranker's.

use super::continues::Continues;
use super::fields::{Field, Fields};
use super::flaw::BadRequest;
use super::hints::Hinted;
use super::input::Input;
use super::rewrite::{ModelPlace, Names, StreamOptions};
use super::values::{
    MAX_CHOICES, MAX_TOKENS, bounded_model, non_empty_array, read_bool, read_count, read_model, read_service,
};
use super::{Api, Peek, uses};
use crate::dialect::voice::Voice;

const OPENAI: Voice = Voice::OpenAi;

pub(super) fn peek(
    api: Api,
    text: &str,
    fields: &Fields<'_>,
    named: Option<&str>,
) -> Result<Peek, BadRequest> {
    let model = match named {
        Some(name) => bounded_model(name.to_owned())?,
        None => read_model(OPENAI, fields.get(Field::Model))?,
    };
    let input = Input::of_openai(api, text, fields)?;
    let stream = read_bool(OPENAI, fields.get(Field::Stream), "stream")?.unwrap_or(false);
    let options = StreamOptions::read(fields.get(Field::StreamOptions))?;
    let place = ModelPlace::new(text, fields.get(Field::Model), named.is_some(), fields.is_empty());
    let ask = stream && api.asks_for_usage() && !options.include_usage;
    let has_tools = [Field::Tools, Field::Functions].iter().any(|f| non_empty_array(fields.get(*f)));
    let background = read_bool(OPENAI, fields.get(Field::Background), "background")?.unwrap_or(false);
    Ok(Peek {
        api,
        model,
        stream,
        include_usage: !ask,
        max_output: read_max_output(api, fields)?,
        choices: read_choices(fields)?.saturating_mul(input.prompts),
        has_tools,
        service: read_service(fields),
        uses: uses::of_openai(fields, has_tools),
        continues: Continues::read(fields)?,
        kept: api == Api::Responses
            && (read_bool(OPENAI, fields.get(Field::Store), "store")?.unwrap_or(true) || background),
        background,
        input,
        hinted: Hinted::read(text, fields),
        usage_splice: ask.then(|| options.splice(text, &place)),
        names: Names::Member(place),
    })
}

/// The largest bound that any reader of the body could honour. A bound of 0 is none to some readers, so it is none here, except
/// for legacy completions, which answer with the prompt alone then. Only the call's own names make a bound; a name of
/// another call can raise it, but an upstream that does not know that name would generate past it.
fn read_max_output(api: Api, fields: &Fields<'_>) -> Result<Option<u64>, BadRequest> {
    if !api.generates() {
        return Ok(Some(0));
    }
    let read = |field, name| read_count(OPENAI, fields.get(field), name, (0, MAX_TOKENS));
    let max_tokens = read(Field::MaxTokens, "max_tokens")?;
    let max_completion_tokens = read(Field::MaxCompletionTokens, "max_completion_tokens")?;
    let of_chat = max_tokens.max(max_completion_tokens);
    let of_responses = read(Field::MaxOutputTokens, "max_output_tokens")?;
    let none = |bound: Option<u64>| api != Api::Completions && bound == Some(0);
    let unbounded = match api {
        Api::Responses => none(of_responses),
        _ => none(max_tokens) || none(max_completion_tokens),
    };
    if unbounded {
        return Ok(None);
    }
    let (own, other) = match api {
        Api::Responses => (of_responses, of_chat),
        Api::Completions => (max_tokens, max_completion_tokens.max(of_responses)),
        _ => (of_chat, of_responses),
    };
    Ok(own.map(|own| own.max(other.unwrap_or(0))))
}

/// `n`, or `best_of` if that is more: all of those are generated.
fn read_choices(fields: &Fields<'_>) -> Result<u64, BadRequest> {
    let read = |field, name| read_count(OPENAI, fields.get(field), name, (1, MAX_CHOICES));
    let best_of = read(Field::BestOf, "best_of")?.unwrap_or(1);
    Ok(read(Field::Choices, "n")?.unwrap_or(1).max(best_of))
}
