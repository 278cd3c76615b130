//! Members of a request by which its client says which calls belong together. They are hints: they decide where a call had
//! best go, never what is reserved or charged, so they are found in the look that is taken anyway and read only if a
//! model wants them.

use std::ops::Range;

use bytes::Bytes;

use super::fields::{Field, Fields};
use super::values::present;
use super::{Peek, range_in};
use crate::dialect::json::Cursor;

/// Longer names are none, bytes: they are hashed on the way of the call.
const MAX_NAME: usize = 1024;

/// A member that may name a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// `conversation`, or its `id`.
    Conversation,
    /// `prompt_cache_key`.
    CacheKey,
    /// `user_id` of `metadata`.
    UserId,
    /// `safety_identifier`.
    SafetyIdentifier,
    /// `user`.
    User,
}

impl Hint {
    /// From the narrowest to the widest: a conversation, prompts that begin alike, whoever asks. (`user` is the older name of
    /// `safety_identifier`; what Anthropic's own clients send as `user_id` names the session as well.)
    pub const ORDER: [Hint; 5] =
        [Hint::Conversation, Hint::CacheKey, Hint::UserId, Hint::SafetyIdentifier, Hint::User];

    /// As the configuration calls it.
    pub fn name(self) -> &'static str {
        match self {
            Hint::Conversation => "conversation",
            Hint::CacheKey => "prompt_cache_key",
            Hint::UserId => "metadata.user_id",
            Hint::SafetyIdentifier => "safety_identifier",
            Hint::User => "user",
        }
    }

    fn field(self) -> Field {
        match self {
            Hint::Conversation => Field::Conversation,
            Hint::CacheKey => Field::CacheKey,
            Hint::UserId => Field::UserId,
            Hint::SafetyIdentifier => Field::SafetyIdentifier,
            Hint::User => Field::User,
        }
    }

    /// The member of an object that holds the name; none: only a text is one.
    fn inside(self) -> Option<&'static [u8]> {
        match self {
            Hint::Conversation => Some(b"id"),
            Hint::UserId => Some(b"user_id"),
            Hint::CacheKey | Hint::SafetyIdentifier | Hint::User => None,
        }
    }
}

/// Which of them count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hints(u8);

impl Hints {
    /// None.
    pub const NONE: Hints = Hints(0);
    /// All.
    pub const ALL: Hints = Hints((1 << Hint::ORDER.len()) - 1);

    /// These and another.
    #[must_use]
    pub fn and(self, hint: Hint) -> Hints {
        Hints(self.0 | 1 << hint as u8)
    }

    /// Is it one of them?
    pub fn has(self, hint: Hint) -> bool {
        self.0 & 1 << hint as u8 != 0
    }
}

/// Where in the body each of them stands; an empty range where absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hinted([Range<usize>; Hint::ORDER.len()]);

impl Hinted {
    pub(super) fn read(text: &str, fields: &Fields<'_>) -> Hinted {
        let raw = |hint: Hint| present(fields.get(hint.field())).map_or(0..0, |raw| range_in(text, raw));
        Hinted(Hint::ORDER.map(raw))
    }
}

impl Peek {
    /// The name of the session by the first of `wanted` that the request has, as it stands in the body it was read from.
    pub fn session<'b>(&self, body: &'b Bytes, wanted: Hints) -> Option<(Hint, &'b [u8])> {
        let hinted = Hint::ORDER.into_iter().zip(&self.hinted.0).filter(|(hint, _)| wanted.has(*hint));
        hinted.into_iter().find_map(|(hint, range)| Some((hint, name(body.get(range.clone())?, hint)?)))
    }
}

/// A text, or the text that an object holds; escapes as they are.
fn name(raw: &[u8], hint: Hint) -> Option<&[u8]> {
    let mut found = None;
    match (raw.first()?, hint.inside()) {
        (b'"', inside) if inside.is_none() || hint == Hint::Conversation => found = Cursor::new(raw).string(),
        (b'{', Some(inside)) => {
            // (Damage, which cannot be here, would only end the reading.)
            let _ = Cursor::new(raw).members(|cursor, key| match cursor.next_byte()? {
                b'"' if key == inside => {
                    found = Some(cursor.string()?);
                    Some(())
                }
                _ => cursor.skip(),
            });
        }
        _ => {}
    }
    found.filter(|name| !name.is_empty() && name.len() <= MAX_NAME)
}

#[cfg(test)]
mod tests {
    use super::super::{Api, InPath, peek};
    use super::*;

    fn named(api: Api, members: &str, wanted: Hints) -> Option<(Hint, String)> {
        let must = match api {
            Api::Responses => r#""input":"x""#,
            Api::Completions => r#""prompt":"x""#,
            _ => r#""max_tokens":9,"messages":[{"role":"user","content":"x"}]"#,
        };
        let body = Bytes::from(format!("{{\"model\":\"m\",{must}{members}}}"));
        let peek = peek(api, &body, InPath::default()).unwrap_or_else(|bad| panic!("{members}: {bad:?}"));
        let (hint, name) = peek.session(&body, wanted)?;
        Some((hint, String::from_utf8(name.to_vec()).unwrap()))
    }

    /// Broken on purpose to see it fail: the order turned round; `metadata` read as a text; `id` not looked for.
    #[test]
    fn the_narrowest_of_the_names_that_count_is_the_sessions() {
        let (strong, all) = (Hints::NONE.and(Hint::Conversation).and(Hint::CacheKey), Hints::ALL);
        let is = |hint, name: &str| Some((hint, name.to_owned()));
        let every = r#","user":"u","safety_identifier":"s","prompt_cache_key":"k","conversation":"c""#;
        assert_eq!(named(Api::Responses, every, all), is(Hint::Conversation, "c"));
        assert_eq!(
            named(Api::Responses, r#","conversation":{"id":"c1"}"#, strong),
            is(Hint::Conversation, "c1")
        );
        assert_eq!(named(Api::Chat, every, all), is(Hint::CacheKey, "k"), "a chat has no conversation");
        assert_eq!(
            named(Api::Chat, r#","user":"u","safety_identifier":"s""#, all),
            is(Hint::SafetyIdentifier, "s")
        );
        assert_eq!(named(Api::Chat, r#","user":"u""#, all), is(Hint::User, "u"));
        assert_eq!(named(Api::Chat, r#","user":"u""#, strong), None);
        assert_eq!(named(Api::Completions, r#","user":"u""#, all), is(Hint::User, "u"));
        let anthropic = r#","metadata":{"other":{"user_id":"x"},"user_id":"user_1_session_2"}"#;
        assert_eq!(named(Api::Messages, anthropic, all), is(Hint::UserId, "user_1_session_2"));
        assert_eq!(named(Api::Messages, anthropic, strong), None);
        assert_eq!(named(Api::Chat, every, Hints::NONE), None);
    }

    /// What clients say for their provider's cache reaches it as it was said. (Into other dialects: the tests of `talk`.)
    /// Broken on purpose to see it fail: names read cut out of the body.
    #[test]
    fn hints_pass_as_they_are() {
        let bodies = [
            (
                Api::Chat,
                r#"{"model":"m","prompt_cache_key":"k\u0031", "user":"u","messages":[{"role":"user",
                "content":[{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}]}]}"#,
            ),
            (
                Api::Responses,
                r#"{"input":"x","prompt_cache_key":"k","prompt_cache_retention":"24h","safety_identifier":"s",
                "conversation":{"id":"c"},"model":"m"}"#,
            ),
            (
                Api::Messages,
                r#"{"max_tokens":9,"metadata":{"user_id":"u"},"model":"m","cache_control":{"type":"ephemeral"},
                "system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral","ttl":"1h"}}],
                "messages":[{"role":"user","content":"x"}]}"#,
            ),
        ];
        for (api, body) in bodies {
            let sent = Bytes::from(body);
            let peek = peek(api, &sent, InPath::default()).unwrap();
            let (hint, _) = peek.session(&sent, Hints::ALL).unwrap();
            assert!(Hints::ALL.has(hint));
            let passed = super::super::rewrite(&sent, &peek, "up");
            assert_eq!(passed, body.replace(r#""model":"m""#, r#""model":"up""#), "{api:?}");
        }
    }

    #[test]
    fn what_is_no_name_is_left_to_the_upstream() {
        let long = format!(r#","user":"{}""#, "u".repeat(MAX_NAME + 1));
        for members in [
            r#","user":"""#,
            r#","user":5"#,
            r#","user":null"#,
            r#","user":{"id":"x"}"#,
            r#","User":"u""#,
            &long,
        ] {
            assert_eq!(named(Api::Chat, members, Hints::ALL), None, "{members}");
        }
        assert!(
            named(Api::Chat, r#","user":"a","user":"b""#, Hints::ALL).is_some(),
            "nothing is counted by it"
        );
        assert_eq!(named(Api::Messages, r#","metadata":"user_id""#, Hints::ALL), None);
        assert_eq!(named(Api::Messages, r#","metadata":{"user_id":7}"#, Hints::ALL), None);
    }
}
