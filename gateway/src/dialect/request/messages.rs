//! What is read of Anthropic's calls.
//!
//! `max_tokens` bounds all that one answer holds, thinking included, and nothing else in a request raises it: a
//! `thinking.budget_tokens` above it (interleaved thinking) is for a whole turn of several calls, and so is
//! `output_config.task_budget` (<https://platform.claude.com/docs/en/build-with-claude/extended-thinking>).

use super::fields::{Field, Fields};
use super::flaw::{BadRequest, Flaw, bad, flawed};
use super::hints::Hinted;
use super::input::Input;
use super::rewrite::{ModelPlace, Names};
use super::values::{
    MAX_TOKENS, bounded_model, non_empty_array, read_bool, read_count, read_model, read_service,
};
use super::{Api, Peek, uses};
use crate::dialect::voice::Voice;

const ANTHROPIC: Voice = Voice::Anthropic;

pub(super) fn peek(
    api: Api,
    text: &str,
    fields: &Fields<'_>,
    named: Option<&str>,
) -> Result<Peek, BadRequest> {
    let model = match named {
        Some(name) => bounded_model(name.to_owned())?,
        None => read_model(ANTHROPIC, fields.get(Field::Model))?,
    };
    refuse_fallbacks(fields)?;
    let max_output = if api.generates() { read_max_output(fields)? } else { Some(0) };
    let stream = read_bool(ANTHROPIC, fields.get(Field::Stream), "stream")?.unwrap_or(false);
    let has_tools = non_empty_array(fields.get(Field::Tools));
    let place = ModelPlace::new(text, fields.get(Field::Model), named.is_some(), fields.is_empty());
    Ok(Peek {
        api,
        model,
        stream,
        include_usage: true,
        max_output,
        choices: 1,
        has_tools,
        service: read_service(fields),
        uses: uses::of_messages(fields, has_tools),
        continues: None,
        kept: false,
        background: false,
        input: Input::of_messages(text, fields)?,
        hinted: Hinted::read(text, fields),
        usage_splice: None,
        names: Names::Member(place),
    })
}

/// The API does not answer without one. 0 is none to other APIs, in which the call may be told.
fn read_max_output(fields: &Fields<'_>) -> Result<Option<u64>, BadRequest> {
    const NAME: &str = "max_tokens";
    let read = read_count(ANTHROPIC, fields.get(Field::MaxTokens), NAME, (0, MAX_TOKENS))?;
    let bound = read.ok_or_else(|| flawed(ANTHROPIC, NAME, Flaw::Missing))?;
    Ok(Some(bound).filter(|bound| *bound > 0))
}

/// A chain of other models (beta `server-side-fallback`), each with a `max_tokens` of its own: neither the tenant's models
/// nor its limits would hold for them.
fn refuse_fallbacks(fields: &Fields<'_>) -> Result<(), BadRequest> {
    const NAME: &str = "fallbacks";
    match non_empty_array(fields.get(Field::Fallbacks)) {
        true => Err(bad(Some(NAME), "fallbacks: The gateway chooses the model; leave this out".to_owned())),
        false => Ok(()),
    }
}
