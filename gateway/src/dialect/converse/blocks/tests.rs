use serde_json::{Value, json};

use super::super::models::Maker;
use super::*;
use crate::dialect::talk::{
    Cache, Call, Citation, Dialect, Own, Part, Piece, Reasoning, Refused, ToolResult,
};

fn read(blocks: Value) -> Vec<Piece> {
    pieces(blocks.as_array().unwrap().clone(), "content").unwrap()
}

fn written(maker: Maker, pieces: &[Piece]) -> Result<Value, Refused> {
    let mut out = Vec::new();
    Blocks::asked(maker).write(pieces, &mut out)?;
    Ok(Value::Array(out))
}

const CLAUDE: Maker = Maker::Anthropic(Some((4, 5)));

/// A block of every kind.
fn every_kind() -> Value {
    json!([
        { "text": "hi" },
        { "cachePoint": { "type": "default", "ttl": "1h" } },
        { "image": { "format": "png", "source": { "bytes": "AAAA" } } },
        { "document": {
            "format": "pdf", "name": "a", "source": { "bytes": "AAAA" }, "citations": { "enabled": true },
        } },
        { "video": { "format": "three_gp", "source": { "s3Location": { "uri": "s3://b/k" } } } },
        { "audio": { "format": "mp3", "source": { "bytes": "AAAA" } } },
        { "toolUse": { "toolUseId": "t1", "name": "f", "input": { "a": [1, 2.5, null] } } },
        { "toolResult": { "toolUseId": "t1", "status": "error", "content": [
            { "text": "no" }, { "image": { "format": "png", "source": { "bytes": "AAAA" } } },
            { "searchResult": { "source": "s", "title": "t", "content": [{ "text": "x" }] } },
        ] } },
        { "cachePoint": { "type": "default" } },
        { "toolResult": { "toolUseId": "t2", "status": "success", "content": [{ "json": { "a": 1 } }] } },
        { "reasoningContent": { "reasoningText": { "text": "hm", "signature": "sig" } } },
        { "reasoningContent": { "redactedContent": "RXVRRg==" } },
        { "citationsContent": { "content": [{ "text": "so" }], "citations": [
            {
                "title": "T", "source": "S", "sourceContent": [{ "text": "w" }],
                "location": { "web": { "url": "https://a.b", "domain": "a.b" } },
            },
        ] } },
        { "guardContent": { "text": { "text": "g", "qualifiers": ["query"] } } },
        { "searchResult": { "source": "s", "title": "t", "content": [{ "text": "x" }] } },
        { "somethingNew": { "a": 1 } },
        { "toolUse": { "toolUseId": "s1", "name": "nova_grounding", "input": {}, "type": "server_tool_use" } },
        { "toolResult": { "toolUseId": "s1", "content": [{ "text": "x" }], "type": "nova_grounding_result" } },
    ])
}

/// Broken once: `failed` not written, then the cache point written before its block; both failed here.
#[test]
fn every_kind_of_block_survives() {
    let blocks = every_kind();
    let read = read(blocks.clone());
    assert_eq!(written(CLAUDE, &read), Ok(blocks));
    assert_eq!(read[0], Piece { cache: Some(Cache { ttl: Some(3600) }), ..Part::text("hi").into() });
    let call = Call {
        id: "t1".into(),
        name: "f".into(),
        arguments: r#"{"a":[1,2.5,null]}"#.into(),
        ..Call::default()
    };
    assert_eq!(read[5].part, Part::Call(call));
    let Part::Result(result) = &read[6].part else { panic!("{:?}", read[6]) };
    assert_eq!(
        (result.failed, result.pieces.len(), read[6].cache),
        (Some(true), 3, Some(Cache { ttl: None }))
    );
    let Part::Result(result) = &read[7].part else { panic!("{:?}", read[7]) };
    assert_eq!((result.failed, &result.json), (Some(false), &Some(json!({ "a": 1 }))));
    let redacted = Reasoning { encrypted: Some(Own::new(Dialect::Converse, "EuQF")), ..Reasoning::default() };
    assert_eq!(read[9].part, Part::Reasoning(redacted));
    let Part::Text { text, citations, .. } = &read[10].part else { panic!("{:?}", read[10]) };
    let cited = &citations[0];
    assert_eq!((text.as_str(), cited.url.as_deref()), ("so", Some("https://a.b")));
    assert_eq!((cited.title.as_deref(), cited.text.as_deref()), (Some("T"), Some("w")));
    assert!(read[11..].iter().all(|piece| matches!(piece.part, Part::Foreign(Dialect::Converse, _))));
}

/// Broken once: every text pushed as it is.
#[test]
fn blank_texts_are_never_blocks() {
    let texts = |texts: &[&str]| {
        written(CLAUDE, &texts.iter().map(|text| Part::text(*text).into()).collect::<Vec<_>>()).unwrap()
    };
    assert_eq!(texts(&["", " ", "a", "\n\n", "b", ""]), json!([{ "text": "a\n\n" }, { "text": "b" }]));
    assert_eq!(texts(&["", "\n"]), json!([]));
}

#[test]
fn marks_go_where_the_model_takes_them() {
    let marked = |part: Part| Piece { cache: Some(Cache { ttl: Some(300) }), ..part.into() };
    let pieces = [marked(Part::text("")), marked(Part::text("a")), marked(Part::text(""))];
    assert_eq!(
        written(CLAUDE, &pieces),
        Ok(json!([{ "text": "a" }, { "cachePoint": { "type": "default" } }]))
    );
    assert_eq!(written(Maker::Other, &pieces), Ok(json!([{ "text": "a" }])));
    let result =
        ToolResult { id: "t".into(), pieces: vec![marked(Part::text("x"))], ..ToolResult::default() };
    let out = written(CLAUDE, &[Part::Result(result).into()]).unwrap();
    assert_eq!(out[1], json!({ "cachePoint": { "type": "default" } }));
    assert_eq!(out[0]["toolResult"]["content"], json!([{ "text": "x" }]));
}

#[test]
fn arguments_are_always_an_object() {
    let input = |arguments: &str, custom| {
        let call =
            Call { id: "t".into(), name: "f".into(), arguments: arguments.into(), custom, signature: None };
        written(CLAUDE, &[Part::Call(call).into()]).unwrap()[0]["toolUse"]["input"].clone()
    };
    assert_eq!(input("", false), json!({}));
    assert_eq!(input(r#"{"a":1}"#, false), json!({ "a": 1 }));
    assert_eq!(input(r#"{"a":"#, false), json!({ "_raw": "{\"a\":" }));
    assert_eq!(input("[1]", false), json!({ "_raw": "[1]" }));
    assert_eq!(input("ls", true), json!({ "input": "ls" }));
    let deep = "[".repeat(100_000);
    assert_eq!(input(&deep, false), json!({ "_raw": deep }));
}

#[test]
fn results_say_only_what_is_taken() {
    let result = |json, failed| {
        Piece::from(Part::Result(ToolResult { id: "t".into(), json, failed, ..ToolResult::default() }))
    };
    let out = written(Maker::Other, &[result(Some(json!([1])), Some(true))]).unwrap();
    assert_eq!(out, json!([{ "toolResult": { "toolUseId": "t", "content": [{ "text": "[1]" }] } }]));
    let out = written(Maker::Nova, &[result(None, Some(true))]).unwrap();
    assert_eq!(out, json!([{ "toolResult": { "toolUseId": "t", "content": [], "status": "error" } }]));
}

#[test]
fn reasoning_goes_back_only_if_it_is_signed_and_the_model_takes_it() {
    let reasoning = |text: &str, signature: Option<&str>, encrypted: Option<&str>| {
        Piece::from(Part::Reasoning(Reasoning {
            text: text.into(),
            signature: signature.map(|proof| Own::new(Dialect::Messages, proof)),
            encrypted: encrypted.map(|proof| Own::new(Dialect::Converse, proof)),
            ..Reasoning::default()
        }))
    };
    let pieces =
        [reasoning("a", None, None), reasoning("b", Some("s"), None), reasoning("", None, Some("e"))];
    assert_eq!(
        written(CLAUDE, &pieces),
        Ok(json!([
            { "reasoningContent": { "reasoningText": { "text": "b", "signature": "s" } } },
            { "reasoningContent": { "redactedContent": "ZQ==" } },
        ]))
    );
    assert_eq!(written(Maker::Nova, &pieces), Ok(json!([])));
    // Of others Claude takes neither.
    let proof = |dialect| Some(Own::new(dialect, "s"));
    for dialect in [Dialect::Chat, Dialect::Responses, Dialect::Gemini] {
        let foreign =
            Reasoning { signature: proof(dialect), encrypted: proof(dialect), ..Reasoning::default() };
        assert_eq!(written(CLAUDE, &[Part::Reasoning(foreign).into()]), Ok(json!([])));
    }
    let mut out = Vec::new();
    Blocks::answered().write(&pieces, &mut out).unwrap();
    assert_eq!(out.len(), 3);
}

#[test]
fn citations_of_other_dialects_stay_in_answers_only() {
    let citation =
        Citation { url: Some("https://a.b".into()), title: Some("T".into()), ..Citation::default() };
    let piece: Piece = Part::Text { text: "so".into(), signature: None, citations: vec![citation] }.into();
    assert_eq!(written(CLAUDE, std::slice::from_ref(&piece)), Ok(json!([{ "text": "so" }])));
    let mut out = Vec::new();
    Blocks::answered().write(&[piece], &mut out).unwrap();
    let cited = json!([{ "title": "T", "location": { "web": { "url": "https://a.b" } } }]);
    assert_eq!(out, [json!({ "citationsContent": { "content": [{ "text": "so" }], "citations": cited } })]);
}

#[test]
fn foreign_parts_of_others_are_left_out() {
    let foreign = Part::Foreign(Dialect::Gemini, json!({ "executableCode": {} })).into();
    assert_eq!(written(CLAUDE, &[foreign, Part::Refusal("no".into()).into()]), Ok(json!([{ "text": "no" }])));
}

#[test]
fn wrong_types_are_refused_by_name() {
    let refused = |block: Value| pieces(vec![block], "messages[0].content").unwrap_err().field.unwrap();
    assert_eq!(refused(json!(1)), "messages[0].content[0]");
    assert_eq!(refused(json!({ "text": 1 })), "messages[0].content[0].text");
    assert_eq!(refused(json!({ "toolUse": [] })), "messages[0].content[0].toolUse");
    assert_eq!(refused(json!({ "toolUse": { "toolUseId": "a" } })), "messages[0].content[0].toolUse.name");
    assert_eq!(
        refused(json!({ "toolResult": { "toolUseId": "a", "status": "x" } })),
        "messages[0].content[0].toolResult.status"
    );
    let content = json!({ "toolResult": { "toolUseId": "a", "content": [{ "text": {} }] } });
    assert_eq!(refused(content), "messages[0].content[0].toolResult.content[0].text");
    let redacted = json!({ "reasoningContent": { "redactedContent": "?" } });
    assert_eq!(refused(redacted), "messages[0].content[0].reasoningContent.redactedContent");
}
