//! What a request says, for rules that ask for it. Read only then: it is a second look through the body.
//!
//! The dialects put text in few places: a turn is an object with a `role` and `content` or `parts`, and a text is a string
//! there or the `text` of an object. What a tool answers, what a model thought, and files are no words of anybody.

use bytes::Bytes;

use super::fields::{Field, LABELS, METADATA, read_members};
use super::flaw::{BadRequest, Flaw, Shape, flawed};
use super::values::present;
use super::{Api, Input};
use crate::dialect::json::Cursor;
use crate::dialect::voice::Voice;

/// Most of a text that is looked at, bytes: what a pattern costs grows with it.
const LONGEST: usize = 32 << 10;
/// Texts that hold turns hold parts, which hold texts: what is deeper is no text of a conversation.
const DEEPEST: u32 = 4;
/// Most pairs of metadata that are looked at; OpenAI allows 16.
const MOST_PAIRS: usize = 64;

/// What a request says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// What the user said last: its first 32 KiB.
    pub last: String,
    /// All that was said, instructions first, one text a line: its last 32 KiB.
    pub all: String,
    /// How often the user spoke.
    pub turns: u64,
    /// Tools that are offered.
    pub tools: u64,
}

/// Names and values that the client gives its call.
pub type Pairs = Vec<(String, String)>;

/// What a body says whose input stands there.
pub fn read_words(api: Api, input: &Input, body: &Bytes) -> Words {
    let [first, other] = input.texts(body);
    let mut words = Words::default();
    // What stands beside a conversation is said before it; beside a prompt or a query, it is no words of the user's.
    if api.talks().is_some() || !api.reads() {
        text_of(&mut Cursor::new(other), 0, &mut |text| words.add(text));
    }
    match Cursor::new(first).next_byte() {
        Some(b'[') => {
            // (Damage, which cannot be here, would only end the reading.)
            let _ = Cursor::new(first).elements(|cursor| words.turn(cursor.value()?));
        }
        Some(_) => {
            let _ = words.turn(first);
        }
        None => {}
    }
    words.forget();
    let [tools, functions, ..] = input.schemas(body);
    words.tools = elements(tools) + if api == Api::Chat { elements(functions) } else { 0 };
    words
}

impl Words {
    /// One turn of a conversation; what has no role is the user's.
    fn turn(&mut self, raw: &[u8]) -> Option<()> {
        let role = role_of(raw);
        let mut said = String::new();
        text_of(&mut Cursor::new(raw), 0, &mut |text| {
            if said.len() < LONGEST {
                push(&mut said, text);
            }
            self.add(text);
        });
        if !said.is_empty() && role.is_none_or(|role| role == b"user") {
            let mut end = said.len().min(LONGEST);
            while !said.is_char_boundary(end) {
                end -= 1;
            }
            said.truncate(end);
            self.last = said;
            self.turns += 1;
        }
        Some(())
    }

    fn add(&mut self, text: &str) {
        push(&mut self.all, text);
        if self.all.len() > 4 * LONGEST {
            self.forget();
        }
    }

    /// Keeps the last of all that was said.
    fn forget(&mut self) {
        let mut end = self.all.len().saturating_sub(LONGEST);
        while !self.all.is_char_boundary(end) {
            end += 1;
        }
        self.all.drain(..end);
    }
}

fn push(all: &mut String, text: &str) {
    if !all.is_empty() {
        all.push('\n');
    }
    all.push_str(text);
}

fn role_of(turn: &[u8]) -> Option<&[u8]> {
    let mut role = None;
    let _ = Cursor::new(turn).members(|cursor, name| {
        match name {
            b"role" => role = cursor.value(),
            _ => cursor.skip()?,
        }
        Some(())
    });
    role?.strip_prefix(b"\"")?.strip_suffix(b"\"")
}

/// Finds the texts of a value.
fn text_of(cursor: &mut Cursor<'_>, depth: u32, found: &mut dyn FnMut(&str)) -> Option<()> {
    match cursor.next_byte()? {
        b'"' => {
            let raw = cursor.value()?;
            if let Ok(text) = serde_json::from_slice::<std::borrow::Cow<'_, str>>(raw) {
                found(&text);
            }
            Some(())
        }
        b'[' if depth < DEEPEST => cursor.elements(|cursor| text_of(cursor, depth + 1, found)),
        b'{' if depth < DEEPEST => text_of_object(cursor.value()?, depth, found),
        _ => cursor.skip(),
    }
}

fn text_of_object(raw: &[u8], depth: u32, found: &mut dyn FnMut(&str)) -> Option<()> {
    if is_no_words(raw) {
        return Some(());
    }
    Cursor::new(raw).members(|cursor, name| match name {
        b"text" | b"content" | b"parts" => text_of(cursor, depth + 1, found),
        _ => cursor.skip(),
    })
}

/// Is an object the answer of a tool, or a thought (Google marks those)?
fn is_no_words(raw: &[u8]) -> bool {
    let mut is = false;
    let _ = Cursor::new(raw).members(|cursor, name| {
        let value = cursor.value()?;
        is |= match name {
            b"type" => value.ends_with(b"tool_result\"") || value == b"\"reasoning\"",
            b"thought" => value == b"true",
            b"role" => value == b"\"tool\"" || value == b"\"function\"",
            _ => false,
        };
        Some(())
    });
    is
}

fn elements(raw: &[u8]) -> u64 {
    let mut count = 0;
    let _ = Cursor::new(raw).elements(|cursor| {
        count += 1;
        cursor.skip()
    });
    count
}

/// The names and values of a body's `metadata` (Google: `labels`). Values that are no text are as their JSON is.
pub fn read_metadata(api: Api, body: &Bytes) -> Result<Pairs, BadRequest> {
    let text = std::str::from_utf8(body).unwrap_or_default();
    let named = if api.voice() == Voice::Google { LABELS } else { METADATA };
    let fields = read_members(api.voice(), named, text)?;
    let Some(raw) = present(fields.get(Field::Metadata)) else { return Ok(Pairs::new()) };
    if !raw.starts_with('{') {
        return Err(flawed(api.voice(), named[0].1, Flaw::Not(Shape::Object, raw)));
    }
    let mut pairs = Pairs::new();
    let _ = Cursor::new(raw.as_bytes()).members(|cursor, name| {
        let value = cursor.value()?;
        if pairs.len() < MOST_PAIRS {
            pairs.push((plain(name, false), plain(value, true)));
        }
        Some(())
    });
    Ok(pairs)
}

/// JSON as text: a string (`quoted`, or its inside) without its escapes, anything else as it is.
fn plain(raw: &[u8], quoted: bool) -> String {
    let as_is = || String::from_utf8_lossy(raw).into_owned();
    if quoted {
        return serde_json::from_slice(raw).unwrap_or_else(|_| as_is());
    }
    if memchr::memchr(b'\\', raw).is_none() {
        return as_is();
    }
    serde_json::from_slice(&[b"\"", raw, b"\""].concat()).unwrap_or_else(|_| as_is())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dialect::request::{InPath, peek};

    fn words(api: Api, body: &str) -> Words {
        let body = Bytes::from(body.to_owned());
        let peek = peek(api, &body, InPath { model: Some("m"), stream: false }).unwrap();
        read_words(api, peek.input(), &body)
    }

    fn said(last: &str, all: &str, turns: u64, tools: u64) -> Words {
        Words { last: last.to_owned(), all: all.to_owned(), turns, tools }
    }

    /// Broken on purpose to see it fail: the last turn taken, whoever spoke; the answers of tools taken for words.
    #[test]
    fn the_users_words_are_found_in_every_dialect() {
        let chat = r#"{"messages":[{"role":"system","content":"be brief"},
            {"role":"user","content":[{"type":"text","text":"caf\u00e9?"},{"type":"image_url","image_url":{"url":"https://x/text"}}]},
            {"role":"assistant","content":"yes"},{"role":"tool","tool_call_id":"1","content":"42"}],
            "tools":[{"type":"function","function":{"name":"a"}},{"type":"function","function":{"name":"b"}}]}"#;
        assert_eq!(words(Api::Chat, chat), said("café?", "be brief\ncafé?\nyes", 1, 2));
        let responses = r#"{"instructions":"be brief","input":[{"role":"user","content":[{"type":"input_text","text":"one"}]},
            {"type":"function_call_output","call_id":"c","output":"42"},{"role":"user","content":"two"},
            {"type":"reasoning","content":[{"type":"reasoning_text","text":"hm"}],"summary":[]}]}"#;
        assert_eq!(words(Api::Responses, responses), said("two", "be brief\none\ntwo", 2, 0));
        assert_eq!(words(Api::Responses, r#"{"input":"one"}"#), said("one", "one", 1, 0));
        let messages = r#"{"max_tokens":9,"system":[{"type":"text","text":"be brief"}],"tools":[{"name":"f"}],"messages":[
            {"role":"user","content":"one"},{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":{"text":"no"}}]},
            {"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"42"}]}]}"#;
        assert_eq!(words(Api::Messages, messages), said("one", "be brief\none", 1, 1));
        let gemini = r#"{"systemInstruction":{"parts":[{"text":"be brief"}]},"contents":[{"parts":[{"text":"one"},{"text":"two"}]},
            {"role":"model","parts":[{"text":"hm","thought":true},{"text":"yes"}]}]}"#;
        assert_eq!(words(Api::Generate, gemini), said("one\ntwo", "be brief\none\ntwo\nyes", 1, 0));
        assert_eq!(
            words(Api::Generate, r#"{"contents":{"parts":[{"text":"one"}]}}"#),
            said("one", "one", 1, 0)
        );
        assert_eq!(words(Api::Completions, r#"{"prompt":"one","suffix":"no"}"#), said("one", "one", 1, 0));
        assert_eq!(words(Api::Embeddings, r#"{"input":["one","two"]}"#), said("two", "one\ntwo", 2, 0));
        assert_eq!(words(Api::Embeddings, r#"{"input":[1,2]}"#), Words::default());
        assert_eq!(words(Api::Rerank, r#"{"query":"one","documents":["two"]}"#), said("one", "one", 1, 0));
        assert_eq!(
            words(Api::BatchEmbedContents, r#"{"requests":[{"content":{"parts":[{"text":"one"}]}}]}"#),
            said("one", "one", 1, 0)
        );
    }

    #[test]
    fn of_a_long_text_a_bounded_part_is_kept() {
        let (long, end) = ("é".repeat(LONGEST), "x".repeat(LONGEST - 3));
        let body = format!(
            r#"{{"messages":[{{"role":"user","content":"{long}"}},{{"role":"assistant","content":"{end}"}}]}}"#
        );
        let words = words(Api::Chat, &body);
        assert_eq!(words.last, "é".repeat(LONGEST / 2));
        assert_eq!(words.all, format!("é\n{end}"));
    }

    #[test]
    fn metadata_is_read_as_text() {
        let read = |api, body: &str| read_metadata(api, &Bytes::from(body.to_owned()));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let body = r#"{"metadata":{"task":"a\"b","n":7,"x\u0079":true}}"#;
        let expected = [pair("task", "a\"b"), pair("n", "7"), pair("xy", "true")];
        assert_eq!(read(Api::Chat, body).unwrap(), expected);
        assert_eq!(read(Api::Generate, r#"{"labels":{"a":"b"}}"#).unwrap(), [pair("a", "b")]);
        assert_eq!(read(Api::Chat, r#"{"metadata":null}"#).unwrap(), []);
        assert_eq!(read(Api::Chat, "{}").unwrap(), []);
        assert!(read(Api::Chat, r#"{"metadata":"x"}"#).is_err());
        assert!(
            read(Api::Chat, r#"{"metadata":{},"metadata":{"a":"b"}}"#).is_err(),
            "who reads which is not known"
        );
    }

    proptest! {
        #[test]
        fn any_conversation_is_read_without_a_panic(text in "[\\[\\]{}\",:\\\\ textroleusé0]{0,80}") {
            let mut words = Words::default();
            let _ = words.turn(text.as_bytes());
            let _ = role_of(text.as_bytes());
        }
    }
}
