//! What is read of Google's calls.
//!
//! The path names the model, and says whether the answer is a stream. A body may name it again, as a resource
//! (`models/x`): what counts tokens and embeds must.

use std::ops::Range;

use serde_json::value::RawValue;

use super::fields::{CONFIG, EMBED, Field, Fields, GENERATE, read_members};
use super::flaw::{BadRequest, Flaw, Shape, bad, flawed};
use super::hints::Hinted;
use super::input::Input;
use super::rewrite::Names;
use super::values::{MAX_CHOICES, MAX_TOKENS, bounded_model, non_empty, present, read_count, read_service};
use super::{Api, InPath, Peek, range_in, uses};
use crate::dialect::voice::Voice;

const GOOGLE: Voice = Voice::Google;

pub(super) fn peek(api: Api, text: &str, fields: &Fields<'_>, path: InPath<'_>) -> Result<Peek, BadRequest> {
    let model = path.model.ok_or_else(|| flawed(GOOGLE, "model", Flaw::Missing))?;
    let counted = present(fields.get(Field::Counted));
    let counted = counted.map(|raw| members(raw, GENERATE, "generateContentRequest")).transpose()?;
    // A whole request that is to be counted stands for what else may be.
    let asked = counted.as_ref().unwrap_or(fields);
    let config = Config::read(asked)?;
    let has_tools = present(asked.get(Field::Tools)).is_some_and(non_empty);
    Ok(Peek {
        api,
        model: bounded_model(model.to_owned())?,
        stream: api.generates() && path.stream,
        include_usage: true,
        max_output: if api.generates() { config.max_output } else { Some(0) },
        choices: config.choices,
        has_tools,
        service: read_service(asked),
        uses: uses::of_gemini(has_tools, config.has_schema(), config.thinking),
        continues: None,
        kept: false,
        background: false,
        input: Input::of_gemini(api, text, asked, config.schemas)?,
        hinted: Hinted::read(text, fields),
        usage_splice: None,
        names: Names::Resources(names(text, fields, counted.as_ref())?),
    })
}

/// What `generationConfig` says of the output.
struct Config<'a> {
    max_output: Option<u64>,
    choices: u64,
    /// The answer's form, in either notation.
    schemas: [&'a str; 2],
    thinking: Option<&'a str>,
}

impl<'a> Config<'a> {
    fn read(fields: &Fields<'a>) -> Result<Config<'a>, BadRequest> {
        const NAME: &str = "generationConfig";
        let Some(raw) = present(fields.get(Field::Config)) else {
            return Ok(Config { max_output: None, choices: 1, schemas: [""; 2], thinking: None });
        };
        let config = members(raw, CONFIG, NAME)?;
        let max_output =
            read_count(GOOGLE, config.get(Field::MaxOutputTokens), "maxOutputTokens", (0, MAX_TOKENS))?;
        let choices = read_count(GOOGLE, config.get(Field::Choices), "candidateCount", (0, MAX_CHOICES))?;
        Ok(Config {
            // 0 is how Google's JSON says that there is none.
            max_output: max_output.filter(|bound| *bound > 0),
            choices: choices.unwrap_or(1).max(1),
            schemas: [Field::ResponseFormat, Field::ResponseJsonSchema]
                .map(|field| present(config.get(field)).unwrap_or_default()),
            thinking: present(config.get(Field::Thinking)),
        })
    }

    fn has_schema(&self) -> bool {
        self.schemas.iter().any(|schema| !schema.is_empty())
    }
}

/// The members of an object inside the body.
fn members<'a>(
    raw: &'a str,
    named: &'static [super::fields::Named],
    name: &'static str,
) -> Result<Fields<'a>, BadRequest> {
    if !raw.starts_with('{') {
        return Err(flawed(GOOGLE, name, Flaw::Not(Shape::Object, raw)));
    }
    read_members(GOOGLE, named, raw)
}

/// Where the model is named: in the body itself, in the request that is counted, in each of a batch.
fn names(
    text: &str,
    fields: &Fields<'_>,
    counted: Option<&Fields<'_>>,
) -> Result<Vec<Range<usize>>, BadRequest> {
    let mut found = Vec::new();
    let mut note = |fields: &Fields<'_>| match present(fields.get(Field::Model)) {
        Some(raw) if !raw.starts_with('"') => Err(flawed(GOOGLE, "model", Flaw::Not(Shape::Text, raw))),
        Some(raw) => {
            found.push(range_in(text, raw));
            Ok(())
        }
        None => Ok(()),
    };
    note(fields)?;
    counted.map_or(Ok(()), &mut note)?;
    if let Some(batch) = present(fields.get(Field::Requests)) {
        for request in elements(batch)? {
            note(&members(request.get(), EMBED, "requests")?)?;
        }
    }
    found.sort_by_key(|range| range.start);
    Ok(found)
}

fn elements(raw: &str) -> Result<Vec<&RawValue>, BadRequest> {
    serde_json::from_str(raw)
        .map_err(|_| bad(Some("requests"), "Invalid value at 'requests': expected an array.".to_owned()))
}
