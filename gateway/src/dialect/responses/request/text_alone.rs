//! A request of texts and a few numbers, as most plain calls are: see [`plain`](crate::dialect::plain).

use serde::Deserialize;

use super::read::instructing;
use crate::dialect::plain::{Object, TextOr, is_within, piece, said};
use crate::dialect::responses::fields::{Fields, extra, marks};
use crate::dialect::talk::{Message, Request, Role};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole<'a> {
    model: Option<String>,
    instructions: Option<String>,
    #[serde(borrow)]
    input: TextOr<Object<Item<'a>>>,
    max_output_tokens: Option<u32>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    stream: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Item<'a> {
    #[serde(rename = "type")]
    kind: Option<&'a str>,
    role: &'a str,
    content: String,
}

/// Reads such a request; of any other, or none, `None`.
pub fn read_text_alone(body: &[u8]) -> Option<Request> {
    let Object(whole): Object<Whole<'_>> = serde_json::from_slice(body).ok()?;
    if !is_within(whole.temperature, 2.0) || !is_within(whole.top_p, 1.0) {
        return None;
    }
    let instructions = whole.instructions.filter(|text| !text.is_empty());
    let mut messages: Vec<Message> = instructions.map(instructing).into_iter().collect();
    match whole.input {
        TextOr::Text(text) => messages.push(said(Role::User, vec![piece(text)])),
        TextOr::List(items) => {
            for Object(item) in items {
                let message = read_item(item, messages.last())?;
                messages.push(message);
            }
        }
    }
    Some(Request {
        model: whole.model.unwrap_or_default(),
        messages: messages.into(),
        max_output: whole.max_output_tokens.map(u64::from),
        temperature: whole.temperature,
        top_p: whole.top_p,
        stream: whole.stream.unwrap_or(false),
        extra: extra(Fields::new(), marks("#own", true)),
        ..Request::default()
    })
}

/// Reads an item. What the model says in a row is one message, and its empty texts are none: not read here.
fn read_item(item: Item<'_>, before: Option<&Message>) -> Option<Message> {
    let role = match item.role {
        "user" => Role::User,
        "system" => Role::System,
        "developer" => Role::Developer,
        "assistant" if !item.content.is_empty() => Role::Assistant,
        _ => return None,
    };
    let goes_on = role == Role::Assistant && before.is_some_and(|before| before.role == role);
    let is_message = item.kind.is_none_or(|kind| kind == "message");
    (is_message && !goes_on).then(|| said(role, vec![piece(item.content)]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::plain::tests::hold;
    use crate::dialect::talk::Dialect;

    fn with(members: &str) -> String {
        format!(r#"{{"model":"m","input":"Hi"{members}}}"#)
    }

    fn saying(input: &str) -> String {
        format!(r#"{{"model":"m","input":{input}}}"#)
    }

    /// Broken on purpose to see it fail: the mark `#own` left out, the model's empty texts kept, what it says in a row in
    /// messages of its own.
    #[test]
    fn texts_are_read_as_ever_and_all_else_is_left() {
        let plain = [
            r#","instructions":"Be brief.","max_output_tokens":9,"temperature":2,"top_p":0.5,"stream":true"#,
            r#","instructions":"","max_output_tokens":0,"temperature":-0.0,"top_p":1,"stream":false"#,
            r#","instructions":null,"max_output_tokens":null,"temperature":null,"top_p":null,"stream":null"#,
            r#","max_output_tokens":4294967295"#,
        ];
        let inputs = r#""" "a\n\"\u00e9" [] [{"role":"user","content":""}] [{"role":"developer","content":"a","type":"message"}]
            [{"role":"system","content":"a"},{"role":"user","content":"b"},{"role":"assistant","content":"c","type":null}]
            [{"role":"assistant","content":"a"},{"role":"user","content":""},{"role":"assistant","content":"b"}]"#;
        let mut read: Vec<String> = plain.map(with).into();
        read.extend(inputs.split_whitespace().map(saying));
        let more = r#""store":false "tools":[] "previous_response_id":null "text":{} "reasoning":null "metadata":{} "model":"n"
            "max_output_tokens":9.0 "max_output_tokens":-1 "max_output_tokens":"9" "max_output_tokens":4294967296 "stream":1
            "temperature":2.5 "temperature":-0.1 "temperature":"1" "top_p":1.5 "instructions":1 "instructions":["a"]"#;
        let mut left: Vec<String> =
            more.split_whitespace().map(|member| with(&format!(",{member}"))).collect();
        let odd = r#"null 1 {} ["a"] [null] [[null,"user","a"]] [{"role":"user"}] [{"content":"a"}] [{"role":"tool","content":"a"}]
            [{"role":"user","content":null}] [{"role":"user","content":["a"]}] [{"role":"user","content":"a","id":null}]
            [{"role":"user","content":[{"type":"input_text","text":"a"}]}] [{"role":"user","content":"a","type":"reasoning"}]
            [{"role":"us\u0065r","content":"a"}] [{"role":{"user":null},"content":"a"}] [{"role":"assistant","content":""}]
            [{"role":"assistant","content":"a"},{"role":"assistant","content":"b"}] [{"role":"user","role":"user","content":"a"}]
            [{"type":"item_reference","id":"a"}] [{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}]"#;
        left.extend(odd.split_whitespace().map(saying));
        let listed = r#"["m",null,"Hi",9,null,null,false]"#;
        left.extend([listed, r#"{"model":"m"}"#, "[]", "null", "", "{"].map(str::to_owned));
        hold(Dialect::Responses, read_text_alone, &read, &left);
    }
}
