//! A request, read.

use serde_json::Value;

use super::super::fields::{
    Fields, MOST, extra, take_bool, take_count, take_list, take_object, take_real, take_text, take_whole,
};
use super::{messages_read, options, thinking, tools};
use crate::dialect::talk::{Dialect, Own, Refused, Request};

/// The most answers that any provider gives at once.
const MOST_CHOICES: u64 = 128;

/// Reads a request's body.
pub fn read_request(body: &[u8]) -> Result<Request, Refused> {
    let whole: Value = serde_json::from_slice(body)
        .map_err(|fault| Refused::whole(format!("The body is not JSON: {fault}.")))?;
    let Value::Object(mut left) = whole else {
        return Err(Refused::whole("The body must be a JSON object."));
    };
    if !left.contains_key("messages") {
        return Err(Refused::field("messages", "`messages` must be given."));
    }
    let mut marks = Fields::new();
    let mut request =
        Request { model: take_text(&mut left, "", "model")?.unwrap_or_default(), ..Request::default() };
    request.messages = messages_read::read(take_list(&mut left, "", "messages")?)?.into();
    read_tools(&mut left, &mut marks, &mut request)?;
    request.format = options::read_format(&mut left, &mut marks)?;
    request.thinking = thinking::read(&mut left, &mut marks)?;
    read_lengths(&mut left, &mut marks, &mut request)?;
    read_sampling(&mut left, &mut marks, &mut request)?;
    read_account(&mut left, &mut marks, &mut request)?;
    request.extra = extra(left, marks);
    Ok(request)
}

fn read_tools(left: &mut Fields, marks: &mut Fields, request: &mut Request) -> Result<(), Refused> {
    request.tools = tools::read(take_list(left, "", "tools")?)?.into();
    request.tools.extend(tools::read_legacy(take_list(left, "", "functions")?)?);
    request.tool_choice = tools::read_choice(left, marks)?;
    request.parallel_calls = take_bool(left, "", "parallel_tool_calls")?;
    Ok(())
}

fn read_lengths(left: &mut Fields, marks: &mut Fields, request: &mut Request) -> Result<(), Refused> {
    request.choices = take_count(left, "", "n", MOST_CHOICES)?;
    if request.choices == Some(0) {
        return Err(Refused::field("n", "`n` must be at least 1."));
    }
    request.max_output = take_count(left, "", "max_completion_tokens", MOST)?;
    // If a client says both, the newer counts and the older goes along unread.
    if request.max_output.is_none() {
        request.max_output = take_count(left, "", "max_tokens", MOST)?;
        if request.max_output.is_some() {
            marks.insert("#max_tokens".into(), true.into());
        }
    }
    request.stop = options::read_stop(left, marks)?;
    request.verbosity = take_text(left, "", "verbosity")?;
    Ok(())
}

fn read_sampling(left: &mut Fields, marks: &mut Fields, request: &mut Request) -> Result<(), Refused> {
    request.temperature = take_real(left, "", "temperature", -100.0..=100.0)?;
    request.top_p = take_real(left, "", "top_p", -100.0..=100.0)?;
    request.top_k = options::read_top_k(left)?;
    if request.top_k.is_some() {
        marks.insert("#top_k".into(), true.into());
    }
    request.presence_penalty = take_real(left, "", "presence_penalty", -100.0..=100.0)?;
    request.frequency_penalty = take_real(left, "", "frequency_penalty", -100.0..=100.0)?;
    request.seed = take_whole(left, "", "seed")?;
    // Mistral's name for it.
    if request.seed.is_none() {
        request.seed = take_whole(left, "", "random_seed")?;
        if request.seed.is_some() {
            marks.insert("#random_seed".into(), true.into());
        }
    }
    request.logprobs = options::read_logprobs(left)?;
    Ok(())
}

fn read_account(left: &mut Fields, marks: &mut Fields, request: &mut Request) -> Result<(), Refused> {
    request.user = take_text(left, "", "user")?;
    // OpenAI's newer name for it; if both are said, it goes along unread.
    if request.user.is_none() {
        request.user = take_text(left, "", "safety_identifier")?;
        if request.user.is_some() {
            marks.insert("#safety_identifier".into(), true.into());
        }
    }
    request.metadata = take_object(left, "", "metadata")?.unwrap_or_default();
    request.service_tier = take_text(left, "", "service_tier")?.map(|tier| Own::new(Dialect::Chat, tier));
    request.cache_key = take_text(left, "", "prompt_cache_key")?;
    request.stream = take_bool(left, "", "stream")?.unwrap_or_default();
    if let Some(mut options) = take_object(left, "", "stream_options")? {
        request.stream_usage =
            take_bool(&mut options, "stream_options", "include_usage")?.unwrap_or_default();
        if !options.is_empty() {
            marks.insert("#stream_options".into(), Value::Object(options));
        }
    }
    Ok(())
}
