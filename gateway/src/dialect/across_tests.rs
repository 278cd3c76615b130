//! Every recorded request and answer is written in every other dialect and read again there: what both can say must still
//! be there. `WEIR_TRAFFIC` names the folder of recordings; without it these tests print that they were skipped.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::chat;
use super::talk::{Answer, Dialect, Message, Part, Piece, Refused, Request, Role};

const DIALECTS: [Dialect; 5] =
    [Dialect::Chat, Dialect::Responses, Dialect::Messages, Dialect::Gemini, Dialect::Converse];

fn write_request(dialect: Dialect, request: &Request) -> Result<Value, Refused> {
    dialect.write_request(request, chat::Manners::default())
}

fn write_answer(dialect: Dialect, answer: &Answer) -> Value {
    serde_json::from_slice(&dialect.write_answer(answer, &serde_json::Map::new(), 0)).unwrap()
}

fn dialect_of(endpoint: &str) -> Option<Dialect> {
    Some(match endpoint {
        "chat_completions" => Dialect::Chat,
        "responses" => Dialect::Responses,
        "messages" => Dialect::Messages,
        "generateContent" | "streamGenerateContent" => Dialect::Gemini,
        "converse" | "converse_stream" => Dialect::Converse,
        _ => return None,
    })
}

/// A model that its provider's dialect gives the least of special treatment.
fn model(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Chat | Dialect::Responses => "gpt-5",
        Dialect::Messages => "claude-sonnet-4-5",
        Dialect::Gemini => "gemini-3-pro",
        Dialect::Converse => "anthropic.claude-sonnet-4-5-20250929-v1:0",
    }
}

pub(super) fn records() -> Vec<(String, Dialect, Value)> {
    let Ok(folder) = std::env::var("WEIR_TRAFFIC") else {
        println!("skipped: WEIR_TRAFFIC is not set");
        return Vec::new();
    };
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let texts = files.filter(|p| p.extension().is_some_and(|e| e == "jsonl")).map(std::fs::read_to_string);
    let lines: Vec<String> =
        texts.flat_map(|text| text.unwrap().lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    let record = |line: &String| {
        let record: Value = serde_json::from_str(line).unwrap();
        let dialect = dialect_of(record["endpoint"].as_str()?)?;
        Some((record["id"].as_str()?.to_owned(), dialect, record))
    };
    lines.iter().filter_map(record).collect()
}

fn body(part: &Value) -> Option<&str> {
    (part["body_encoding"] == "utf8").then(|| part["body"].as_str()).flatten().filter(|body| !body.is_empty())
}

/// The words of the texts in it, without white space, which dialects join and trim in their own ways.
fn words(pieces: &[Piece]) -> String {
    let mut all = String::new();
    for piece in pieces {
        match &piece.part {
            Part::Text { text, .. } | Part::Refusal(text) => all.push_str(text),
            Part::Result(result) => all.push_str(&words(&result.pieces)),
            _ => {}
        }
    }
    all.retain(|c| !c.is_whitespace());
    all
}

/// Those that are not JSON, for they were cut off, are wrapped where only JSON can be said.
pub(super) fn arguments(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(Value::Null) => Value::Object(Default::default()),
        Ok(read) => read,
        Err(_) if text.is_empty() => Value::Object(Default::default()),
        Err(_) => json!({ "_raw": text }),
    }
}

/// The calls in it, by name, with their arguments as JSON.
fn calls<'a>(pieces: impl IntoIterator<Item = &'a Piece>) -> Vec<(String, Value)> {
    let call = |piece: &Piece| match &piece.part {
        Part::Call(call) if !call.custom => Some((call.name.clone(), arguments(&call.arguments))),
        _ => None,
    };
    pieces.into_iter().filter_map(call).collect()
}

fn said_by(request: &Request, role: Role) -> String {
    request.messages.iter().filter(|m| m.role == role).map(|m: &Message| words(&m.pieces)).collect()
}

/// Reports what failed, by pair.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) passed: usize,
    pub(super) refused: usize,
    failed: BTreeMap<(Dialect, Dialect), Vec<String>>,
}

impl Tally {
    pub(super) fn fail(&mut self, from: Dialect, to: Dialect, id: &str, what: String) {
        self.failed.entry((from, to)).or_default().push(format!("{id}: {what}"));
    }

    pub(super) fn conclude(self, least: usize) {
        println!("{} passed, {} refused", self.passed, self.refused);
        for ((from, to), failures) in &self.failed {
            println!("{from:?} -> {to:?}: {} failed; {}", failures.len(), failures[0]);
        }
        assert!(self.failed.is_empty());
        assert!(std::env::var_os("WEIR_TRAFFIC").is_none() || self.passed >= least);
    }
}

/// Seen to fail: arguments `null` became `{}` in one dialect and a wrapped word in two others.
#[test]
fn requests_keep_what_both_dialects_can_say() {
    let mut tally = Tally::default();
    for (id, from, record) in records().into_iter().filter(|(.., record)| record["response"]["status"] == 200)
    {
        let Some(Ok(request)) = body(&record["request"]).map(|body| from.read_request(body.as_bytes()))
        else {
            continue;
        };
        for to in DIALECTS.into_iter().filter(|to| *to != from) {
            let asked = Request { model: model(to).into(), ..request.clone() };
            let Ok(written) = write_request(to, &asked) else {
                tally.refused += 1;
                continue;
            };
            let again = match to.read_request(written.to_string().as_bytes()) {
                Ok(again) => again,
                Err(refused) => {
                    tally.fail(from, to, &id, format!("is not read: {refused}"));
                    continue;
                }
            };
            let pieces = |r: &Request| calls(r.messages.iter().flat_map(|m| &m.pieces));
            let (wanted, found) = (pieces(&asked), pieces(&again));
            let assistant = (said_by(&asked, Role::Assistant), said_by(&again, Role::Assistant));
            if wanted != found {
                tally.fail(from, to, &id, format!("calls {wanted:?} became {found:?}"));
            } else if !assistant.1.contains(&assistant.0) {
                tally.fail(from, to, &id, format!("the model's {:?} became {:?}", assistant.0, assistant.1));
            } else {
                tally.passed += 1;
            }
        }
    }
    tally.conclude(5_000);
}

/// What is read without maps of recorded requests is what maps say. Broken on purpose to see it fail: Responses' mark `#own`
/// left out.
#[test]
fn recorded_texts_are_read_as_ever() {
    let mut alone = BTreeMap::new();
    let records = records();
    for (id, from, record) in &records {
        let Some(body) = body(&record["request"]) else { continue };
        let Some(request) = from.read_text_alone(body.as_bytes()) else { continue };
        assert_eq!(Ok(&request), from.read_any_request(body.as_bytes()).as_ref(), "{id}");
        *alone.entry(from).or_insert(0) += 1;
    }
    println!("texts alone: {alone:?}");
    assert!(records.is_empty() || alone.len() == 3, "{alone:?}");
}

/// Seen to fail: arguments that the longest answer had cut off, before the test read them as they are wrapped.
#[test]
fn answers_keep_what_both_dialects_can_say() {
    let mut tally = Tally::default();
    for (id, from, record) in records() {
        let ok = record["response"]["status"] == 200;
        let Some(Ok(answer)) =
            body(&record["response"]).filter(|_| ok).map(|body| from.read_answer(body.as_bytes()))
        else {
            continue;
        };
        if answer.choices.len() != 1 {
            continue; // only Chat and Gemini say several
        }
        for to in DIALECTS.into_iter().filter(|to| *to != from) {
            let written = write_answer(to, &answer);
            let again = match to.read_answer(written.to_string().as_bytes()) {
                Ok(again) => again,
                Err(refused) => {
                    tally.fail(from, to, &id, format!("is not read: {refused}"));
                    continue;
                }
            };
            let Some(choice) = again.choices.first() else {
                tally.fail(from, to, &id, "no choice".to_owned());
                continue;
            };
            let before = &answer.choices[0];
            let usage = |a: &Answer| a.usage.map(|u| (u.input, u.output, u.cached_input));
            if words(&before.pieces) != words(&choice.pieces) {
                tally.fail(
                    from,
                    to,
                    &id,
                    format!("{:?} became {:?}", words(&before.pieces), words(&choice.pieces)),
                );
            } else if calls(&before.pieces) != calls(&choice.pieces) {
                tally.fail(
                    from,
                    to,
                    &id,
                    format!("{:?} became {:?}", calls(&before.pieces), calls(&choice.pieces)),
                );
            } else if answer.usage.is_some() && usage(&answer) != usage(&again) {
                tally.fail(from, to, &id, format!("{:?} became {:?}", answer.usage, again.usage));
            } else {
                tally.passed += 1;
            }
        }
    }
    tally.conclude(3_800);
}

/// Read in one dialect, written for `model` in another.
fn across(from: Dialect, body: Value, to: Dialect, model: &str) -> Value {
    let request = from.read_request(body.to_string().as_bytes()).unwrap();
    write_request(to, &Request { model: model.into(), ..request }).unwrap()
}

/// Broken on purpose: with an effort alone taken for a wish to think it failed.
#[test]
fn what_only_two_dialects_can_say_passes_between_them() {
    let document = json!({"type": "document", "title": "d", "context": "c", "citations": {"enabled": true},
        "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi"}});
    let asked = json!({"max_tokens": 9, "output_config": {"effort": "low"}, "messages": [
        {"role": "user", "content": [{"type": "text", "text": "q"}, document.clone()]}]});
    let opus = "anthropic.claude-opus-4-6-v1";
    let written = across(Dialect::Messages, asked, Dialect::Converse, opus);
    let read = &written["messages"][0]["content"][1]["document"];
    assert_eq!((&read["context"], &read["citations"]), (&json!("c"), &json!({"enabled": true})));
    assert_eq!(written["additionalModelRequestFields"], json!({"output_config": {"effort": "low"}}));
    let again = across(Dialect::Converse, written, Dialect::Messages, "claude-opus-4-6");
    assert_eq!(again["messages"][0]["content"][1], document);
    assert_eq!((&again["output_config"], again.get("thinking")), (&json!({"effort": "low"}), None));

    let chat = json!({"messages": [{"role": "user", "content": "q"}], "verbosity": "low"});
    let written = across(Dialect::Chat, chat, Dialect::Responses, "gpt-5");
    assert_eq!(written["text"]["verbosity"], "low");
    assert_eq!(across(Dialect::Responses, written, Dialect::Chat, "gpt-5")["verbosity"], "low");
}

/// Broken on purpose: with the media left out beside JSON it failed.
#[test]
fn a_result_keeps_its_json_and_its_media() {
    let response = json!({"functionResponse": {"id": "1", "name": "f", "response": {"a": 1},
        "parts": [{"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo"}}]}});
    let asked = json!({"contents": [
        {"role": "model", "parts": [{"functionCall": {"id": "1", "name": "f", "args": {}}}]},
        {"role": "user", "parts": [response]}]});
    let claude = across(Dialect::Gemini, asked.clone(), Dialect::Messages, "claude-sonnet-4-5");
    let content = &claude["messages"][2]["content"][0]["content"];
    assert_eq!((&content[0]["text"], &content[1]["type"]), (&json!("{\"a\":1}"), &json!("image")));
    let bedrock = across(Dialect::Gemini, asked, Dialect::Converse, model(Dialect::Converse));
    let content = bedrock["messages"][1]["content"][0]["toolResult"]["content"].clone();
    assert_eq!((&content[0], content[1].get("image").is_some()), (&json!({"json": {"a": 1}}), true));
    let again = across(Dialect::Converse, bedrock, Dialect::Gemini, "gemini-3-pro");
    let result = &again["contents"][1]["parts"][0]["functionResponse"];
    assert_eq!((&result["response"], result["parts"].as_array().map(Vec::len)), (&json!({"a": 1}), Some(1)));
}

/// Broken on purpose: with every dialect taking every signature it failed.
#[test]
fn claudes_reasoning_goes_through_every_client_and_back() {
    let body = json!({"id": "msg_1", "type": "message", "model": "m", "stop_reason": "end_turn", "content": [
        {"type": "thinking", "thinking": "hm", "signature": "c2ln"}, {"type": "redacted_thinking", "data": "EuQF"},
        {"type": "text", "text": "so"}]});
    let answer = Dialect::Messages.read_answer(body.to_string().as_bytes()).unwrap();
    for client in [Dialect::Chat, Dialect::Responses, Dialect::Gemini] {
        let told = write_answer(client, &answer);
        let back = match client {
            Dialect::Chat => {
                json!({"messages": [{"role": "user", "content": "q"}, told["choices"][0]["message"]]})
            }
            Dialect::Responses => json!({"input": told["output"]}),
            _ => {
                json!({"contents": [{"role": "user", "parts": [{"text": "q"}]}, told["candidates"][0]["content"]]})
            }
        };
        let claude = across(client, back.clone(), Dialect::Messages, "claude-sonnet-4-5");
        assert_eq!(
            claude["messages"][1]["content"].as_array().unwrap()[..2],
            body["content"].as_array().unwrap()[..2]
        );
        let foreign = match client {
            Dialect::Gemini => across(client, back, Dialect::Responses, "gpt-5"),
            _ => across(client, back, Dialect::Gemini, "gemini-3-pro"),
        };
        assert!(!foreign.to_string().contains("c2ln") && !foreign.to_string().contains("EuQF"), "{foreign}");
    }
}
