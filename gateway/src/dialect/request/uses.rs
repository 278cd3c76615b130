//! What a request asks of a model, by its members. (What its input holds is found where that is weighed.)
//!
//! Whoever hides a member's name behind escapes is not seen here: no limit rests on it, only which deployments are asked.

use super::fields::{Field, Fields};
use super::values::present;
use crate::dialect::ability::{Abilities, Ability};
use crate::dialect::json::Cursor;

/// Of OpenAI's calls.
pub(super) fn of_openai(fields: &Fields<'_>, has_tools: bool) -> Abilities {
    let raw = |field| present(fields.get(field));
    let format = raw(Field::ResponseFormat).or(raw(Field::Text).and_then(|text| member(text, b"format")));
    let effort = raw(Field::ReasoningEffort)
        .or(raw(Field::Reasoning).map(|reasoning| member(reasoning, b"effort").unwrap_or_default()));
    uses(has_tools, format.is_some_and(is_schema), effort.is_some_and(|effort| effort != "\"none\""))
}

/// Of Anthropic's calls.
pub(super) fn of_messages(fields: &Fields<'_>, has_tools: bool) -> Abilities {
    let raw = |field| present(fields.get(field));
    let format = raw(Field::ResponseFormat).or(raw(Field::OutputConfig).and_then(|c| member(c, b"format")));
    let thinking = raw(Field::Thinking).and_then(|thinking| member(thinking, b"type"));
    uses(has_tools, format.is_some_and(is_schema), thinking.is_some_and(|kind| kind != "\"disabled\""))
}

/// Of Google's calls; `thinking` is `thinkingConfig`.
pub(super) fn of_gemini(has_tools: bool, has_schema: bool, thinking: Option<&str>) -> Abilities {
    let budget = |config| member(config, b"thinkingBudget").or(member(config, b"thinking_budget"));
    let thinks = thinking.is_some_and(|config| budget(config).is_none_or(|budget| budget != "0"));
    uses(has_tools, has_schema, thinks)
}

fn uses(tools: bool, schema: bool, reasoning: bool) -> Abilities {
    let uses = Abilities::default().with(Ability::Tools, tools).with(Ability::JsonSchema, schema);
    uses.with(Ability::Reasoning, reasoning)
}

/// Is a form of answers a schema? (Text and any JSON are none.)
fn is_schema(format: &str) -> bool {
    member(format, b"type") == Some("\"json_schema\"")
}

/// The raw value of an object's member.
fn member<'a>(object: &'a str, name: &[u8]) -> Option<&'a str> {
    let mut found = None;
    let walked = Cursor::new(object.as_bytes()).members(|cursor, key| {
        let value = cursor.value()?;
        if key == name {
            found = Some(value);
        }
        Some(())
    });
    walked?;
    std::str::from_utf8(found?).ok().filter(|value| *value != "null")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::dialect::api::Api;
    use crate::dialect::request::{InPath, peek};

    fn words(api: Api, body: &str) -> Vec<&'static str> {
        let path = InPath { model: Some("m"), stream: false };
        let peek = peek(api, &Bytes::from(body.to_owned()), path).unwrap();
        Ability::ALL.into_iter().filter(|one| peek.uses.has(*one)).map(Ability::word).collect()
    }

    /// Broken on purpose to see it fail: any form of answers taken for a schema.
    #[test]
    fn members_tell_what_a_model_must_be_able_to_do() {
        let chat = r#""messages":[{"role":"user","content":"x"}]"#;
        for (more, expected) in [
            ("", &[][..]),
            (r#","tools":[]"#, &[]),
            (r#","tools":[{"type":"function","function":{"name":"f"}}]"#, &["tools"]),
            (r#","functions":[{"name":"f"}]"#, &["tools"]),
            (r#","response_format":{"type":"json_object"}"#, &[]),
            (r#","response_format":{"json_schema":{"type":"x"},"type":"json_schema"}"#, &["json_schema"]),
            (r#","reasoning_effort":"none""#, &[]),
            (r#","reasoning_effort":null"#, &[]),
            (r#","reasoning_effort":"low""#, &["reasoning"]),
        ] {
            assert_eq!(words(Api::Chat, &format!("{{{chat}{more}}}")), expected, "{more}");
        }
        for (more, expected) in [
            (r#","text":{"format":{"type":"text"}}"#, &[][..]),
            (r#","text":{"format":{"type":"json_schema","schema":{}}}"#, &["json_schema"]),
            (r#","reasoning":{"effort":"none"}"#, &[]),
            (r#","reasoning":{"effort":"high","summary":"auto"}"#, &["reasoning"]),
            (r#","reasoning":{"summary":"auto"}"#, &["reasoning"]),
        ] {
            assert_eq!(words(Api::Responses, &format!("{{\"input\":\"x\"{more}}}")), expected, "{more}");
        }
        for (more, expected) in [
            (r#","thinking":{"type":"disabled"}"#, &[][..]),
            (r#","thinking":{"type":"enabled","budget_tokens":2000}"#, &["reasoning"]),
            (r#","output_config":{"format":{"type":"json_schema","schema":{}}}"#, &["json_schema"]),
            (r#","output_format":{"type":"json_schema","schema":{}}"#, &["json_schema"]),
            (r#","tools":[{"name":"f","input_schema":{}}]"#, &["tools"]),
        ] {
            assert_eq!(
                words(Api::Messages, &format!("{{\"max_tokens\":9,{chat}{more}}}")),
                expected,
                "{more}"
            );
        }
        let contents = r#""contents":[{"parts":[{"text":"x"}]}]"#;
        for (more, expected) in [
            (r#","generationConfig":{"thinkingConfig":{"thinkingBudget":0}}"#, &[][..]),
            (r#","generationConfig":{"thinkingConfig":{"thinkingLevel":"high"}}"#, &["reasoning"]),
            (r#","generation_config":{"response_schema":{"type":"STRING"}}"#, &["json_schema"]),
            (r#","tools":[{"googleSearch":{}}]"#, &["tools"]),
        ] {
            assert_eq!(words(Api::Generate, &format!("{{{contents}{more}}}")), expected, "{more}");
        }
    }
}
