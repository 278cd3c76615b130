//! A request of texts and a few numbers, as most plain calls are: see [`plain`](crate::dialect::plain).

use serde::Deserialize;

use crate::dialect::plain::{Object, TextOr, is_within, piece, said};
use crate::dialect::talk::{Piece, Request, Role};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole<'a> {
    model: Option<String>,
    #[serde(borrow)]
    system: Option<TextOr<Object<Block<'a>>>>,
    messages: Vec<Object<Turn<'a>>>,
    max_tokens: Option<u32>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    stop_sequences: Option<Vec<String>>,
    stream: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Turn<'a> {
    role: &'a str,
    content: TextOr<Object<Block<'a>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Block<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    text: String,
}

/// Reads such a request; of any other, or none, `None`.
pub fn read_text_alone(body: &[u8]) -> Option<Request> {
    let Object(whole): Object<Whole<'_>> = serde_json::from_slice(body).ok()?;
    if !is_within(whole.temperature, 1.0) || !is_within(whole.top_p, 1.0) {
        return None;
    }
    let system = whole.system.map_or_else(|| Some(Vec::new()), read_content)?;
    let mut messages = Vec::with_capacity(whole.messages.len() + 1);
    if !system.is_empty() {
        messages.push(said(Role::System, system));
    }
    for Object(turn) in whole.messages {
        let role = match turn.role {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            _ => return None,
        };
        messages.push(said(role, read_content(turn.content)?));
    }
    Some(Request {
        model: whole.model.unwrap_or_default(),
        messages: messages.into(),
        max_output: whole.max_tokens.map(u64::from),
        temperature: whole.temperature,
        top_p: whole.top_p,
        stop: whole.stop_sequences.unwrap_or_default(),
        stream: whole.stream.unwrap_or(false),
        stream_usage: true,
        ..Request::default()
    })
}

/// An empty text says nothing, an empty block stays one.
fn read_content(content: TextOr<Object<Block<'_>>>) -> Option<Vec<Piece>> {
    match content {
        TextOr::Text(text) if text.is_empty() => Some(Vec::new()),
        TextOr::Text(text) => Some(vec![piece(text)]),
        TextOr::List(blocks) => {
            let text = |Object(block): Object<Block<'_>>| (block.kind == "text").then(|| piece(block.text));
            blocks.into_iter().map(text).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::plain::tests::hold;
    use crate::dialect::talk::Dialect;

    fn with(members: &str) -> String {
        format!(r#"{{"model":"m","messages":[{{"role":"user","content":"Hi"}}]{members}}}"#)
    }

    fn saying(content: &str) -> String {
        format!(r#"{{"max_tokens":9,"messages":[{{"content":{content},"role":"assistant"}}]}}"#)
    }

    fn turns(turns: &str) -> String {
        format!(r#"{{"model":"m","messages":{turns}}}"#)
    }

    /// Broken on purpose to see it fail: empty texts kept, `Object` left away from turns, unknown members of blocks let pass.
    #[test]
    fn texts_are_read_as_ever_and_all_else_is_left() {
        let plain = [
            r#","max_tokens":9,"temperature":0.7,"top_p":1,"stop_sequences":["a","b"],"stream":true,"system":"Be brief.""#,
            r#","max_tokens":4294967295,"temperature":0,"top_p":0.1,"stop_sequences":[],"stream":false,"system":"""#,
            r#","max_tokens":0,"temperature":1,"top_p":-0.0,"system":[]"#,
            r#","max_tokens":null,"temperature":null,"top_p":null,"stop_sequences":null,"stream":null,"system":null"#,
            r#","system":[{"type":"text","text":"a"},{"text":"","type":"text"}]"#,
        ];
        let said = [r#""Say \"hi\"\n\u00e9 \ud83d\ude00""#, r#""""#, "[]", r#"[{"type":"text","text":""}]"#];
        let mut read: Vec<String> = plain.map(with).into();
        read.extend(said.map(saying));
        read.extend(["[]", "\n[ {\"role\" : \"user\",\t\"content\":\"a\"} ] "].map(turns));
        let odd = r#""top_k":1 "metadata":{} "tools":[] "thinking":null "cache_control":{} "max_tokens":9.0 "max_tokens":-1 "max_tokens":"9" "max_tokens":4294967296 "max_tokens":1e3 "model":"n"
            "temperature":1.5 "temperature":-0.1 "temperature":"1" "temperature":2000000 "top_p":2 "stream":"yes" "stream":1
            "stop_sequences":"a" "stop_sequences":[1] "system":1 "system":{} "system":["a"] "system":[["text","a"]]
            "system":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}]"#;
        let mut left: Vec<String> =
            odd.split_whitespace().map(|member| with(&format!(",{member}"))).collect();
        let contents = r#"null 1 {} ["a"] [null] [["text","a"]] [{"type":"text"}] [{"text":"a"}] [{"type":"text","text":null}]
            [{"type":"text","text":"a","citations":null}] [{"type":"image","text":"a"}] [{"type":"thinking","text":"a"}]"#;
        left.extend(contents.split_whitespace().map(saying));
        let odd = r#"null {} "a" [null] [["user","a"]] [{"role":"user"}] [{"content":"a"}] [{"role":"system","content":"a"}]
            [{"role":{"user":null},"content":"a"}] [{"role":"us\u0065r","content":"a"}] [{"role":"User","content":"a"}]
            [{"role":"user","role":"user","content":"a"}] [{"role":"user","content":"a","name":null}]"#;
        left.extend(odd.split_whitespace().map(turns));
        let listed = r#"["m",null,[{"role":"user","content":"a"}],9,null,null,null,false]"#;
        left.extend([listed, r#"{"model":"m"}"#, "[]", "null", "", "{"].map(str::to_owned));
        hold(Dialect::Messages, read_text_alone, &read, &left);
    }
}
