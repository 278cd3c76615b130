//! A request of texts and a few numbers, as most plain calls are: see [`plain`](crate::dialect::plain).

use serde::Deserialize;

use crate::dialect::plain::{Object, is_within, piece, said};
use crate::dialect::talk::{Piece, Request, Role};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Whole<'a> {
    #[serde(borrow)]
    system_instruction: Option<Object<Content<'a>>>,
    contents: Vec<Object<Content<'a>>>,
    generation_config: Option<Object<Config>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Content<'a> {
    role: Option<&'a str>,
    parts: Vec<Object<Part>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    text: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Config {
    max_output_tokens: Option<u32>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    top_k: Option<u32>,
    stop_sequences: Option<Vec<String>>,
}

/// Reads such a request; of any other, or none, `None`.
pub fn read_text_alone(body: &[u8]) -> Option<Request> {
    let Object(whole): Object<Whole<'_>> = serde_json::from_slice(body).ok()?;
    let config = whole.generation_config.map_or_else(Config::default, |Object(config)| config);
    if whole.contents.is_empty() || !is_within(config.temperature, 2.0) || !is_within(config.top_p, 1.0) {
        return None;
    }
    let mut messages = Vec::with_capacity(whole.contents.len() + 1);
    if let Some(Object(system)) = whole.system_instruction {
        // Nobody reads its role.
        messages.push(said(Role::System, read_parts(system.parts)));
    }
    for Object(content) in whole.contents {
        let role = match content.role {
            None | Some("user") => Role::User,
            Some("model") => Role::Assistant,
            Some(_) => return None,
        };
        messages.push(said(role, read_parts(content.parts)));
    }
    Some(Request {
        messages: messages.into(),
        max_output: config.max_output_tokens.map(u64::from).filter(|most| *most > 0),
        temperature: config.temperature,
        top_p: config.top_p,
        top_k: config.top_k.map(u64::from),
        stop: config.stop_sequences.unwrap_or_default(),
        ..Request::default()
    })
}

fn read_parts(parts: Vec<Object<Part>>) -> Vec<Piece> {
    parts.into_iter().map(|Object(part)| piece(part.text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::plain::tests::hold;
    use crate::dialect::talk::Dialect;

    fn with(members: &str) -> String {
        format!(r#"{{"contents":[{{"role":"user","parts":[{{"text":"Hi"}}]}}]{members}}}"#)
    }

    fn configured(config: &str) -> String {
        with(&format!(r#","generationConfig":{config}"#))
    }

    fn saying(contents: &str) -> String {
        format!(r#"{{"contents":{contents}}}"#)
    }

    /// Broken on purpose to see it fail: no contents let pass, the bound 0 kept, the role `system` taken for the user's.
    #[test]
    fn texts_are_read_as_ever_and_all_else_is_left() {
        let plain = [
            "",
            r#","systemInstruction":{"parts":[{"text":"Be brief."},{"text":""}],"role":"user"},"generationConfig":{}"#,
            r#","systemInstruction":{"role":"odd","parts":[]},"generationConfig":null"#,
            r#","systemInstruction":null"#,
        ];
        let configs = r#"{"maxOutputTokens":9,"temperature":2,"topP":0.5,"topK":40,"stopSequences":["a","b"]} {}
            {"maxOutputTokens":0,"temperature":-0.0,"topP":1,"topK":0,"stopSequences":[]} {"maxOutputTokens":4294967295}
            {"maxOutputTokens":null,"temperature":null,"topP":null,"topK":null,"stopSequences":null}"#;
        let contents = r#"[{"parts":[{"text":"a\n\u00e9"}]},{"role":"model","parts":[{"text":""},{"text":"b"}]}]
            [{"role":null,"parts":[]}]"#;
        let mut read: Vec<String> = plain.map(with).into();
        read.extend(configs.split_whitespace().map(configured));
        read.extend(contents.split_whitespace().map(saying));
        let more = r#""tools":[] "model":"m" "system_instruction":{"parts":[{"text":"a"}]} "safetySettings":null "contents":[]
            "systemInstruction":"a" "systemInstruction":{} "systemInstruction":[null,[]] "cachedContent":"c""#;
        let mut left: Vec<String> =
            more.split_whitespace().map(|member| with(&format!(",{member}"))).collect();
        let odd = r#"[] [9,1,1,1,[]] 1 {"maxOutputTokens":9.0} {"maxOutputTokens":"9"} {"maxOutputTokens":-1} {"topK":1.5}
            {"maxOutputTokens":4294967296} {"max_output_tokens":9} {"temperature":"1"} {"temperature":3} {"temperature":-1}
            {"topP":2} {"stopSequences":"a"} {"stopSequences":[1]} {"candidateCount":1} {"seed":1} {"thinkingConfig":null}
            {"maxOutputTokens":1,"maxOutputTokens":2}"#;
        left.extend(odd.split_whitespace().map(configured));
        let odd = r#"[] null {"parts":[{"text":"a"}]} ["a"] [["user",[{"text":"a"}]]] [{"role":"user"}] [{"parts":null}]
            [{"parts":{"text":"a"}}] [{"parts":["a"]}] [{"parts":[["a"]]}] [{"parts":[{}]}] [{"parts":[{"text":null}]}]
            [{"parts":[{"text":"a","thought":true}]}] [{"parts":[{"text":"a","thoughtSignature":null}]}] [{"role":1,"parts":[]}]
            [{"role":"system","parts":[]}] [{"role":"function","parts":[]}] [{"role":"","parts":[]}] [{"role":"us\u0065r","parts":[]}]
            [{"parts":[{"inlineData":{}}]}] [{"parts":[],"x":1}] [{"parts":[],"parts":[]}]"#;
        left.extend(odd.split_whitespace().map(saying));
        left.extend(["{}", "[null,[],null]", "null", "", "{"].map(str::to_owned));
        hold(Dialect::Gemini, read_text_alone, &read, &left);
    }
}
