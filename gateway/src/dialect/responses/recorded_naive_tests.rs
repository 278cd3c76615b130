//! What a stream says, read without this folder.

use super::*;

/// What the whole answer inside the stream says, read without this folder.
pub(super) fn naive(body: &str) -> Told {
    let events: Vec<Value> =
        split(body).iter().map(|(_, data)| serde_json::from_str(data).unwrap()).collect();
    let last =
        |event: &&Value| event["type"] == "response.completed" || event["type"] == "response.incomplete";
    let response = &events.iter().find(last).unwrap()["response"];
    // What is encrypted is encrypted anew for every event, and log probabilities are rounded in the response.
    let sealed = |id: &Value| {
        let mut done = events.iter().filter(|event| event["type"] == "response.output_item.done");
        let item = &done.find(|event| event["item"]["id"] == *id)?["item"];
        item["encrypted_content"].as_str().filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let mut told = Told::default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    for item in list(&response["output"]) {
        match item["type"].as_str().unwrap() {
            "message" => {
                for part in list(&item["content"]) {
                    if part["type"] == "refusal" {
                        told.refusals.push(text(&part["refusal"]));
                        continue;
                    }
                    told.texts.push(text(&part["text"]));
                    told.citations.extend(list(&part["annotations"]));
                }
            }
            "reasoning" => told.thoughts.push((
                list(&item["content"]).iter().map(|part| text(&part["text"])).collect(),
                list(&item["summary"]).iter().map(|part| text(&part["text"])).collect(),
                sealed(&item["id"]),
            )),
            "function_call" => {
                told.calls.push((text(&item["call_id"]), text(&item["name"]), text(&item["arguments"])));
            }
            _ => told.foreign.push(unsealed(item)),
        }
    }
    sort(&mut told.foreign);
    let first = events.iter().take_while(|event| !last(event));
    told.logprobs = first
        .filter(|event| event["type"] == "response.output_text.delta")
        .flat_map(|event| list(&event["logprobs"]))
        .collect();
    told.finish = Some(match response["incomplete_details"]["reason"].as_str() {
        Some("max_output_tokens") => Finish::Length,
        Some("content_filter") => Finish::Filtered,
        Some(other) => panic!("{other}"),
        None if !told.calls.is_empty() => Finish::Calls,
        None if !told.refusals.is_empty() => Finish::Refused,
        None => Finish::Stop,
    });
    told.usage = Some(naive_usage(&response["usage"])).filter(|_| response["usage"].is_object());
    told
}

pub(super) fn naive_usage(usage: &Value) -> Usage {
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    Usage {
        input: number(&usage["input_tokens"]),
        cached_input: number(&usage["input_tokens_details"]["cached_tokens"]),
        written_input: number(&usage["input_tokens_details"]["cache_write_tokens"]),
        output: number(&usage["output_tokens"]),
        reasoning: number(&usage["output_tokens_details"]["reasoning_tokens"]),
        ..Usage::default()
    }
}
