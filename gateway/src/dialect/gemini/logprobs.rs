//! Log probabilities: Google's `logprobsResult`, and the list of tokens that Chat has.

use serde_json::{Map, Value, json};

/// Reads them.
pub(super) fn read(result: &Value) -> Vec<Value> {
    let chosen = list(result, "chosenCandidates");
    let top = list(result, "topCandidates");
    let each = |(index, token): (usize, &Value)| {
        let mut read = read_token(token)?;
        let others = top.get(index).map(|others| list(others, "candidates")).unwrap_or_default();
        let others: Vec<Value> = others.iter().filter_map(read_token).map(Value::from).collect();
        read.insert("top_logprobs".into(), others.into());
        Some(Value::from(read))
    };
    chosen.iter().enumerate().filter_map(each).collect()
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn read_token(token: &Value) -> Option<Map<String, Value>> {
    let text = token.get("token")?.as_str()?;
    let mut out = Map::new();
    out.insert("token".into(), text.into());
    out.insert("logprob".into(), token.get("logProbability").cloned().unwrap_or_else(|| json!(0.0)));
    out.insert("bytes".into(), text.as_bytes().into());
    Some(out)
}

/// Writes them.
pub(super) fn write(tokens: &[Value]) -> Value {
    let token = |token: &Value| {
        json!({
            "token": token.get("token").and_then(Value::as_str).unwrap_or_default(),
            "logProbability": token.get("logprob").cloned().unwrap_or_else(|| json!(0.0)),
        })
    };
    let top =
        |of: &Value| json!({"candidates": list(of, "top_logprobs").iter().map(token).collect::<Vec<_>>()});
    json!({
        "chosenCandidates": tokens.iter().map(token).collect::<Vec<_>>(),
        "topCandidates": tokens.iter().map(top).collect::<Vec<_>>(),
    })
}
