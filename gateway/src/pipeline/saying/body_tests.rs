//! What is written straight of a request is what its map says.

use serde_json::json;

use super::*;
use crate::config::preset::Presets;

fn texts() -> Vec<(Dialect, Value)> {
    let tool = json!({"name": "f", "input_schema": {"type": "object"}});
    vec![
        (Dialect::Messages, json!({"max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]})),
        (
            Dialect::Messages,
            json!({"max_tokens": 9, "temperature": 0.5, "top_p": 1, "top_k": 4, "stop_sequences": ["a", "b"],
            "system": "Say \"hi\"\n\u{1}é", "metadata": {"user_id": "u"}, "tools": [tool], "tool_choice": {"type": "any"},
            "thinking": {"type": "enabled", "budget_tokens": 2000}, "messages": [{"role": "user", "content": "a"},
            {"role": "user", "content": [{"type": "text", "text": ""}]}, {"role": "assistant", "content": "b"}]}),
        ),
        (
            Dialect::Gemini,
            json!({"systemInstruction": {"parts": [{"text": "Be brief."}]}, "contents": [{"parts": [{"text": "Hi"}]},
            {"role": "model", "parts": [{"text": ""}]}], "generationConfig": {"seed": 1, "candidateCount": 2,
            "responseMimeType": "application/json", "responseLogprobs": true, "logprobs": 3}}),
        ),
        (
            Dialect::Responses,
            json!({"instructions": "Be brief.", "input": [{"role": "developer", "content": "a"},
            {"role": "user", "content": [{"type": "input_text", "text": "b"}]}, {"role": "assistant", "content": "c"}],
            "reasoning": {"effort": "high"}, "text": {"verbosity": "low"}, "user": "u", "metadata": {"a": "b"},
            "service_tier": "flex", "prompt_cache_key": "k", "store": false, "max_output_tokens": 9}),
        ),
        (Dialect::Responses, json!({"input": []})),
        (
            Dialect::Chat,
            json!({"max_completion_tokens": 9, "max_tokens": 4000, "seed": 1, "user": "u", "safe_prompt": true, "stop": "a",
            "logprobs": true, "stream_options": {"include_usage": false, "x": 1}, "response_format": {"type": "json_object"},
            "messages": [{"role": "developer", "content": "a"}, {"role": "user", "content": [{"type": "text", "text": "b"}]},
            {"role": "assistant", "content": "c"}]}),
        ),
    ]
}

fn more_than_texts() -> Vec<(Dialect, Value)> {
    let chat =
        |message: Value| (Dialect::Chat, json!({"messages": [{"role": "user", "content": "Hi"}, message]}));
    let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let cited = json!({"type": "url_citation", "url_citation": {"url": "u", "title": "t", "start_index": 0, "end_index": 1}});
    let marked = json!([{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]);
    let signed = json!({"parts": [{"text": "a", "thoughtSignature": "AAAA"}], "role": "model"});
    vec![
        chat(json!({"role": "user", "content": ""})),
        chat(json!({"role": "user", "content": "a", "name": "n"})),
        chat(json!({"role": "user", "content": "a", "cache_control": {"type": "ephemeral"}})),
        chat(json!({"role": "user", "content": marked})),
        chat(
            json!({"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}),
        ),
        chat(json!({"role": "user", "content": [{"type": "text", "text": "a", "x": 1}]})),
        chat(
            json!({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]}),
        ),
        chat(json!({"role": "assistant", "content": "a", "prefix": true})),
        chat(json!({"role": "assistant", "content": "a", "reasoning_content": "hm"})),
        chat(json!({"role": "assistant", "content": "a", "annotations": [cited]})),
        chat(json!({"role": "assistant", "content": null, "refusal": "No."})),
        chat(json!({"role": "assistant", "content": null, "tool_calls": [call]})),
        chat(json!({"role": "tool", "tool_call_id": "c", "content": "1"})),
        (Dialect::Messages, json!({"max_tokens": 9, "messages": [{"role": "user", "content": marked}]})),
        (Dialect::Gemini, json!({"contents": [signed]})),
    ]
}

/// At every provider that speaks Chat. Broken on purpose to see it fail: marks for the cache not looked at, the role
/// `developer` for all, settings not made to fit.
#[test]
fn texts_are_written_as_any_request_is() {
    let presets = Presets::built_in().unwrap();
    let mut providers = 0;
    for preset in presets.names().map(|name| presets.get(name).unwrap()) {
        if !preset.paths.contains_key(&preset::Call::Chat) {
            continue;
        }
        providers += 1;
        let (dialect, preset) = (Dialect::Chat, preset.clone());
        let to = To { dialect, preset, model: "theirs".to_owned(), most: 9, beta: None, near: 0 };
        let all = texts()
            .into_iter()
            .map(|of| (of, true))
            .chain(more_than_texts().into_iter().map(|of| (of, false)));
        for ((own, body), straight) in all {
            for stream in [false, true] {
                let request = own.read_request(body.to_string().as_bytes()).unwrap();
                let request = Request { stream, stream_usage: stream, model: "theirs".to_owned(), ..request };
                let read = |body: Bytes| serde_json::from_slice::<Value>(&body).unwrap();
                let written = super::body(&request, &to).map(read);
                assert_eq!(written, any_body(&request, &to).map(read), "{}: {body}", to.preset.name);
                assert_eq!(chat::texts(&request.messages).is_some(), straight, "{body}");
            }
        }
    }
    assert!(providers > 10, "{providers}");
}
