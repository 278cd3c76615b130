//! A request, written.

use serde_json::{Value, json};

use super::super::fields::{Fields, mark, marked, put, put_extra};
use super::{Manners, messages_write, options, thinking, tools};
use crate::dialect::talk::tier::asked_tier;
use crate::dialect::talk::{Dialect, Refused, Request};

/// Writes a request's body.
pub(super) fn write(request: &Request, manners: Manners) -> Result<Value, Refused> {
    let messages = messages_write::write(&request.messages, manners)?;
    let mut out = write_settings(request, manners)?;
    out.insert("messages".into(), messages.into());
    Ok(Value::Object(out))
}

/// Writes all fields but `messages`.
pub(super) fn write_settings(request: &Request, manners: Manners) -> Result<Fields, Refused> {
    let mut out = Fields::new();
    if !request.model.is_empty() {
        out.insert("model".into(), request.model.as_str().into());
    }
    tools::write(&mut out, request, manners.cache_marks);
    tools::write_choice(&mut out, request)?;
    // Providers refuse the field where there are no tools.
    let tools = request.tools.is_empty() || out.contains_key("tools") || out.contains_key("functions");
    put(&mut out, "parallel_tool_calls", request.parallel_calls.filter(|_| tools));
    options::write_format(&mut out, request);
    thinking::write(&mut out, request);
    write_sampling(&mut out, request, manners);
    write_account(&mut out, request);
    put_extra(&mut out, &request.extra);
    if !manners.max_completion_tokens {
        // The older bound went along unread; here it has the newer one's place.
        put(&mut out, "max_tokens", request.max_output);
    }
    Ok(out)
}

fn write_sampling(out: &mut Fields, request: &Request, manners: Manners) {
    let older = mark(&request.extra, "#max_tokens").is_some() || !manners.max_completion_tokens;
    put(out, if older { "max_tokens" } else { "max_completion_tokens" }, request.max_output);
    put(out, "n", request.choices);
    put(out, "verbosity", request.verbosity.as_deref());
    put(out, "temperature", request.temperature);
    put(out, "top_p", request.top_p);
    // OpenAI refuses it; who says it in this dialect has another provider.
    let top_k = manners.top_k || mark(&request.extra, "#top_k").is_some();
    put(out, "top_k", request.top_k.filter(|_| top_k));
    put(out, "presence_penalty", request.presence_penalty);
    put(out, "frequency_penalty", request.frequency_penalty);
    put(
        out,
        if mark(&request.extra, "#random_seed").is_some() { "random_seed" } else { "seed" },
        request.seed,
    );
    options::write_stop(out, request);
    options::write_logprobs(out, request);
}

fn write_account(out: &mut Fields, request: &Request) {
    let user =
        if mark(&request.extra, "#safety_identifier").is_some() { "safety_identifier" } else { "user" };
    put(out, user, request.user.as_deref());
    if !request.metadata.is_empty() {
        out.insert("metadata".into(), Value::Object(request.metadata.clone()));
    }
    let tier = request.service_tier.as_ref().and_then(|tier| asked_tier(tier, Dialect::Chat));
    put(out, "service_tier", tier);
    put(out, "prompt_cache_key", request.cache_key.as_deref());
    let mut options = marked(&request.extra, "#stream_options").unwrap_or_default();
    if request.stream {
        out.insert("stream".into(), json!(true));
        put(&mut options, "include_usage", request.stream_usage.then_some(true));
    }
    if !options.is_empty() {
        out.insert("stream_options".into(), Value::Object(options));
    }
}
