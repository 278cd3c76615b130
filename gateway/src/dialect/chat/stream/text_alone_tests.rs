use proptest::prelude::*;

use super::super::read::Reader;
use super::*;
use crate::dialect::talk::{Event, Refused};

const FIRST: &[u8] = br#"{"id":"c","model":"m","choices":[{"index":0,"delta":{"role":"assistant"}}]}"#;
const PLAIN: &str = r#"{"id":"c","object":"chat.completion.chunk","created":1700000000,"model":"m","service_tier":"default","system_fingerprint":null,"choices":[{"index":0,"delta":{"content":"Hi"},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"xyz"}"#;

type Way = fn(&mut Reader, &[u8], &mut Vec<Event>) -> Result<(), Refused>;

/// What a stream of a first chunk, these and an end tells.
fn told(chunks: &[&[u8]], read: Way) -> Result<Vec<Event>, Refused> {
    let (mut reader, mut events) = (Reader::default(), Vec::new());
    reader.read("", FIRST, &mut events)?;
    for chunk in chunks {
        read(&mut reader, chunk, &mut events)?;
    }
    reader.read("", b"[DONE]", &mut events)?;
    Ok(events)
}

/// Both readers, the second without this file. Where one refuses, so does the other.
fn hold(chunks: &[&[u8]]) {
    let both = told(chunks, |reader, chunk, to| reader.read("", chunk, to));
    let general = told(chunks, Reader::read_any);
    assert_eq!(both.is_err(), general.is_err(), "{chunks:?}");
    assert_eq!(both.ok(), general.ok(), "{chunks:?}");
}

/// Broken on purpose to see it fail: the tier forgotten; escapes left in; a choice's text told of
/// the first.
#[test]
fn one_text_is_read_as_ever() {
    for (from, to) in [
        ("", ""),
        ("\"Hi\"", r#""\n\"\u00e9\ud83d\ude00""#),
        ("\"Hi\"", r#""\ud83d""#),
        ("\"Hi\"", "\"é😀\""),
        ("\"Hi\"", "\"\""),
        ("\"default\"", "\"flex\""),
        ("\"default\"", "null"),
        (",\"obfuscation\":\"xyz\"", ""),
        ("\"index\":0,", ""),
        ("\"delta\":{", "\"delta\":{\"role\":\"assistant\",\"refusal\":null,\"tool_calls\":null,"),
        (":", " : "),
    ] {
        let chunk = PLAIN.replace(from, to);
        let lone = chunk.contains("\\ud83d\"");
        assert_eq!(read(chunk.as_bytes()).is_some(), !lone, "{chunk}");
        hold(&[chunk.as_bytes(), PLAIN.as_bytes()]);
    }
}

#[test]
fn what_means_more_is_left_to_the_other() {
    for (from, to) in [
        ("\"finish_reason\":null", "\"finish_reason\":\"stop\""),
        ("\"logprobs\":null", "\"logprobs\":{\"content\":[{\"token\":\"Hi\"}]}"),
        ("\"usage\":null", "\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}"),
        ("\"usage\":null", "\"usage\":null,\"error\":{\"message\":\"no\"}"),
        ("\"usage\":null", "\"usage\":null,\"usage\":null"),
        ("\"usage\":null", "\"usage\":nul"),
        ("\"usage\":null", "\"citations\":[\"https://a.example\"]"),
        ("\"content\":\"Hi\"", "\"content\":\"Hi\",\"content\":\"Ho\""),
        ("\"content\":\"Hi\"", "\"content\":null"),
        ("\"content\":\"Hi\"", "\"content\":\"Hi\",\"reasoning\":\"so\""),
        (
            "\"content\":\"Hi\"",
            "\"content\":\"Hi\",\"tool_calls\":[{\"index\":0,\"function\":{\"name\":\"f\"}}]",
        ),
        ("\"content\":\"Hi\"", "\"content\":\"H\ni\""),
        ("\"content\":\"Hi\"", "\"content\":\"H\\xi\""),
        ("\"id\":\"c\"", "\"id\":7"),
        ("\"id\":\"c\"", "\"id\":\"\\x\""),
        ("\"created\":1700000000", "\"created\":01"),
        ("}],", "},{\"index\":1,\"delta\":{\"content\":\"Ho\"}}],"),
        ("\"xyz\"}", "\"xyz\"}}"),
        ("\"xyz\"}", "\"xyz\""),
        ("[{", "[[{"),
        ("[{\"index\":0,", "[{\"index\":1},{"),
    ] {
        let chunk = PLAIN.replace(from, to);
        assert_eq!(read(chunk.as_bytes()), None, "{chunk}");
        hold(&[PLAIN.as_bytes(), chunk.as_bytes()]);
    }
    hold(&[PLAIN.as_bytes(), PLAIN.replace("\"index\":0", "\"index\":1").as_bytes(), PLAIN.as_bytes()]);
    hold(&[PLAIN.as_bytes(), PLAIN.replace("\"index\":0", "\"index\":4096").as_bytes()]);
}

#[test]
fn a_text_goes_on_behind_what_else_there_was() {
    let reasoning = PLAIN.replace("\"content\"", "\"reasoning\"");
    let call = PLAIN.replace(
        "\"content\":\"Hi\"",
        "\"tool_calls\":[{\"index\":0,\"id\":\"x\",\"function\":{\"name\":\"f\"}}]",
    );
    hold(&[reasoning.as_bytes(), PLAIN.as_bytes(), call.as_bytes(), PLAIN.as_bytes(), reasoning.as_bytes()]);
}

proptest! {
    /// A byte changed, dropped or put in anywhere.
    #[test]
    fn damage_is_met_as_ever(at in 0..PLAIN.len(), byte in any::<u8>(), how in 0..3) {
        let mut chunk = PLAIN.as_bytes().to_vec();
        match how {
            0 => chunk[at] = byte,
            1 => chunk.insert(at, byte),
            _ => drop(chunk.remove(at)),
        }
        hold(&[&chunk, PLAIN.as_bytes()]);
    }

    /// JSON's own signs in the wrong place.
    #[test]
    fn signs_are_met_as_ever(at in 0..PLAIN.len(), sign in "[\\[\\]{}\",:\\\\ 0-9e.-]{1,2}|null|true") {
        let mut chunk = PLAIN.to_owned();
        chunk.insert_str(at, &sign);
        hold(&[chunk.as_bytes(), PLAIN.as_bytes()]);
    }
}
