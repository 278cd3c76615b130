use serde_json::{Map, Value, json};

use super::super::models::Maker;
use super::{conversation, format, thinking, tools};
use crate::dialect::talk::tier::asked_tier;
use crate::dialect::talk::{Dialect, Refused, Request};

/// More is no length of an answer but a mistake; the field is a 32-bit number there.
const MOST_OUTPUT: u64 = i32::MAX as u64;

/// Writes a request's body. `request.model` is the model's id or ARN as the path will name it: what a model takes
/// depends on its maker.
pub fn write_request(request: &Request) -> Result<Value, Refused> {
    if request.choices.is_some_and(|choices| choices > 1) {
        return Err(Refused::field("n", "Bedrock Converse gives one answer: `n` must be 1."));
    }
    let maker = Maker::of(&request.model);
    let mut body: Map<String, Value> =
        request.extra.fields(Dialect::Converse).map(|(name, value)| (name.clone(), value.clone())).collect();
    let conversation = conversation::write(request, maker)?;
    let mut config = part(&mut body, "toolConfig");
    tools::write(request, maker, &conversation.messages, &mut config)?;
    let mut additional = part(&mut body, "additionalModelRequestFields");
    if request.parallel_calls == Some(false) {
        tools::one_call(maker, &mut config, &mut additional);
    }
    put(&mut body, "toolConfig", config);
    let thinks = thinking::write(request, maker, &conversation.messages, &mut additional);
    put(&mut body, "additionalModelRequestFields", additional);
    let mut config = part(&mut body, "inferenceConfig");
    inference(request, maker, thinks, &mut config)?;
    put(&mut body, "inferenceConfig", config);

    if let Some(format) = format::write(request.format.as_ref()) {
        let mut config = part(&mut body, "outputConfig");
        config.insert("textFormat".to_owned(), format);
        put(&mut body, "outputConfig", config);
    }
    if let Some(tier) = request.service_tier.as_ref().and_then(|tier| asked_tier(tier, Dialect::Converse)) {
        body.insert("serviceTier".to_owned(), json!({ "type": tier }));
    }
    ask_for_stop_text(request, maker, &mut body);
    if !conversation.system.is_empty() {
        body.insert("system".to_owned(), Value::Array(conversation.system));
    }
    if !conversation.messages.is_empty() {
        body.insert("messages".to_owned(), Value::Array(conversation.messages));
    }
    Ok(Value::Object(body))
}

/// An object of the body, to be lengthened and put back; what is no object is left out.
pub(in super::super) fn part(body: &mut Map<String, Value>, name: &str) -> Map<String, Value> {
    match body.remove(name) {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

fn put(body: &mut Map<String, Value>, name: &str, value: Map<String, Value>) {
    if !value.is_empty() {
        body.insert(name.to_owned(), Value::Object(value));
    }
}

/// The sampling that the model takes: with thinking Claude samples its own way, since Opus 4.7 always (anything set is
/// answered with a 400), and since 4.1 it takes only one of the two.
fn inference(
    request: &Request,
    maker: Maker,
    thinks: bool,
    config: &mut Map<String, Value>,
) -> Result<(), Refused> {
    if let Some(most) = request.max_output {
        if most == 0 || most > MOST_OUTPUT {
            return Err(Refused::field(
                "max_tokens",
                format!("An answer cannot have at most {most} tokens."),
            ));
        }
        config.insert("maxTokens".to_owned(), most.into());
    }
    let stop: Vec<_> = request.stop.iter().filter(|text| !text.is_empty()).collect();
    if !stop.is_empty() {
        config.insert("stopSequences".to_owned(), json!(stop));
    }
    if thinks || maker.claude_since(4, 7) {
        return Ok(());
    }
    // Other dialects go to 2.
    let temperature = request.temperature.filter(|of| of.is_finite()).map(|of| of.clamp(0.0, 1.0));
    let top_p = request.top_p.filter(|of| of.is_finite()).map(|of| of.clamp(0.0, 1.0));
    let one = temperature.is_some() && maker.claude_since(4, 1);
    for (name, value) in [("temperature", temperature), ("topP", top_p.filter(|_| !one))] {
        if let Some(value) = value {
            config.insert(name.to_owned(), json!(value));
        }
    }
    Ok(())
}

/// Which text ended the answer is told only if it is asked for, in Anthropic's own field.
fn ask_for_stop_text(request: &Request, maker: Maker, body: &mut Map<String, Value>) {
    let asked = "additionalModelResponseFieldPaths";
    if matches!(maker, Maker::Anthropic(_)) && !request.stop.is_empty() && !body.contains_key(asked) {
        body.insert(asked.to_owned(), json!(["/stop_sequence"]));
    }
}
