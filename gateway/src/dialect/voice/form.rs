//! The form of what stands in a stream besides its content.

use bytes::Bytes;

use super::{Told, Voice};
use crate::dialect::gemini::Framing;
use crate::dialect::openai::stream::{error_event, keep_alive};

/// How a stream to a client is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// In whose manner.
    pub voice: Voice,
    /// How its events stand in the body. Only Google's may be elements of an array.
    pub framing: Framing,
}

impl Form {
    /// A stream of server-sent events.
    pub fn events(voice: Voice) -> Form {
        Form { voice, framing: Framing::Sse }
    }

    /// The header `content-type`.
    pub fn content_type(self) -> &'static str {
        match (self.voice, self.framing) {
            (_, Framing::Array) => "application/json; charset=UTF-8",
            (Voice::Google, Framing::Sse) => "text/event-stream",
            (Voice::OpenAi | Voice::Anthropic, Framing::Sse) => "text/event-stream; charset=utf-8",
        }
    }

    /// Is an answer of this content type such a stream?
    pub fn is(self, content_type: &[u8]) -> bool {
        let wanted: &[u8] = match self.framing {
            Framing::Sse => b"text/event-stream",
            Framing::Array => b"application/json",
        };
        content_type.get(..wanted.len()).is_some_and(|begins| begins.eq_ignore_ascii_case(wanted))
    }

    /// A sign of life, for wherever no event is half written.
    ///
    /// Comments, which the standard has for this, are no good for all: Google's SDK for Python takes every line that is no
    /// `data:` for a piece of JSON and fails (`_iter_response_stream`, google-genai 3.6.1), so its clients get an empty
    /// event. Anthropic's API sends `ping` "at any time", and its SDKs leave out each, before the beginning of a message
    /// too (`__stream__` in `_streaming.py`, anthropic 2.14.0; `core/streaming`, @anthropic-ai/sdk 1.14.0).
    pub fn sign(self) -> Bytes {
        match (self.voice, self.framing) {
            (_, Framing::Array) => Bytes::from_static(b"\n"),
            (Voice::OpenAi, Framing::Sse) => keep_alive(),
            (Voice::Anthropic, Framing::Sse) => {
                Bytes::from_static(b"event: ping\ndata: {\"type\": \"ping\"}\n\n")
            }
            (Voice::Google, Framing::Sse) => Bytes::from_static(b"\r\n\r\n"),
        }
    }

    /// The error that ends a stream. `begun`: an event has been written before, which counts for an array only.
    pub fn error_event(self, told: &Told<'_>, begun: bool) -> Bytes {
        let body = told.body(self.voice);
        let (before, behind): (&[u8], &[u8]) = match (self.voice, self.framing) {
            (_, Framing::Array) if begun => (b",\r\n", b"]"),
            (_, Framing::Array) => (b"[", b"]"),
            (Voice::OpenAi, Framing::Sse) => return error_event(&body),
            (Voice::Anthropic, Framing::Sse) => (b"event: error\ndata: ", b"\n\n"),
            (Voice::Google, Framing::Sse) => (b"data: ", b"\r\n\r\n"),
        };
        [before, &body, behind].concat().into()
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::Value;

    use super::*;
    use crate::dialect::gemini::ArrayReader;

    const ARRAY: Form = Form { voice: Voice::Google, framing: Framing::Array };

    fn told() -> Told<'static> {
        Told { request: "req_1", ..Told::new(StatusCode::SERVICE_UNAVAILABLE, "two\nlines") }
    }

    fn text(bytes: &Bytes) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    /// What a reader of server-sent events makes of a stream: the name of each event and its data, comments and events
    /// without data left out.
    fn events(stream: &str) -> Vec<(String, String)> {
        let (mut found, mut name, mut data) = (Vec::new(), String::new(), None);
        for line in stream.replace("\r\n", "\n").split('\n') {
            match line.split_once(": ") {
                Some(("event", rest)) => name = rest.to_owned(),
                Some(("data", rest)) => data = Some(rest.to_owned()),
                Some(("", _)) => {}
                None if line.is_empty() => {
                    let event = data.take().map(|data| (std::mem::take(&mut name), data));
                    found.extend(event);
                }
                other => panic!("{other:?} in {line}"),
            }
        }
        found
    }

    /// Broken on purpose to see it fail: a comment as the sign of Google's streams; a sign of one line end.
    #[test]
    fn signs_are_whole_events_that_no_client_acts_on() {
        let stream = |form: Form| format!("{}{}data: 1\n\n", text(&form.sign()), text(&form.sign()));
        assert_eq!(events(&stream(Form::events(Voice::OpenAi))), [(String::new(), "1".to_owned())]);
        assert_eq!(events(&stream(Form::events(Voice::Google))), [(String::new(), "1".to_owned())]);
        let pings = events(&stream(Form::events(Voice::Anthropic)));
        assert!(pings[..2].iter().all(|(name, data)| name == "ping" && data == r#"{"type": "ping"}"#));
        // google-genai for Python: every line that is not empty and no data must be JSON.
        let google = Form::events(Voice::Google).sign();
        assert!(text(&google).lines().all(str::is_empty));
    }

    /// Broken on purpose to see it fail: the array left open; a comma before the first element.
    #[test]
    fn an_array_is_whole_after_its_error_wherever_that_comes() {
        for begun in [false, true] {
            let before = if begun { "[{\"candidates\":[]}" } else { "" };
            let error = ARRAY.error_event(&told(), begun);
            let all = [before, text(&ARRAY.sign()), text(&error)].concat();
            let value: Value = serde_json::from_str(&all).unwrap();
            let last = value.as_array().and_then(|all| all.last()).unwrap();
            assert_eq!(last["error"]["status"], "UNAVAILABLE", "{all}");
            let (mut reader, mut elements) = (ArrayReader::default(), Vec::new());
            reader.read(all.as_bytes(), &mut elements).unwrap();
            assert!(reader.end().is_ok() && elements.len() == usize::from(begun) + 1, "{all}");
        }
    }

    #[test]
    fn an_error_is_an_event_of_the_voice() {
        let event = |voice| events(text(&Form::events(voice).error_event(&told(), true))).remove(0);
        let body = |voice| serde_json::from_str::<Value>(&event(voice).1).unwrap();
        assert_eq!(event(Voice::OpenAi).0, "");
        assert_eq!(body(Voice::OpenAi)["error"]["message"], "two\nlines");
        assert_eq!(event(Voice::Anthropic).0, "error");
        assert_eq!(body(Voice::Anthropic)["error"]["type"], "overloaded_error");
        assert_eq!(body(Voice::Anthropic)["request_id"], "req_1");
        // Both of Google's SDKs know it by these very bytes at its beginning.
        assert!(event(Voice::Google).1.starts_with(r#"{"error":"#));
        assert_eq!(body(Voice::Google)["error"]["code"], 503);
    }

    #[test]
    fn a_content_type_tells_a_stream_of_the_form() {
        for voice in [Voice::OpenAi, Voice::Anthropic, Voice::Google] {
            let form = Form::events(voice);
            assert!(form.is(form.content_type().as_bytes()) && !form.is(b"application/json"));
        }
        assert!(ARRAY.is(ARRAY.content_type().as_bytes()) && ARRAY.is(b"Application/JSON"));
        assert!(!ARRAY.is(b"text/event-stream") && !ARRAY.is(b""));
    }
}
