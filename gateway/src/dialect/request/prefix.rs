//! How a conversation begins: what all its turns, and only they, have in common, so that its calls find the prompt cache of the
//! provider that has read it before.
//!
//! Tools, instructions and the turns up to the user's first are hashed as they stand in the body. Marks for the cache itself
//! are left out: clients move them along with the end of the conversation. A prompt that is one text has no turns, and
//! grows in ways that nobody can tell apart, so it has no beginning here.

use bytes::Bytes;

use super::{Api, Peek};
use crate::dialect::json::Cursor;

/// What is hashed at most, bytes. Prompts that agree in so much share what a cache saves.
const MOST: usize = 64 << 10;
/// Turns before the user's first that are looked at.
const TURNS: usize = 8;
/// Where in a request nobody knows what it says: deeper values are hashed as they stand.
const DEEPEST: u32 = 32;

impl Peek {
    /// A hash of how the conversation begins; none if the call is none.
    pub fn beginning(&self, body: &Bytes) -> Option<u64> {
        if !self.api.generates() || self.api == Api::Completions {
            return None;
        }
        let ([turns, instructions], [tools, functions, ..]) =
            (self.input.texts(body), self.input.schemas(body));
        let functions = if self.api == Api::Chat { functions } else { b"" };
        let mut hash = Hash { sum: SEED, left: MOST };
        for part in [tools, functions, instructions] {
            // (Damage, which cannot be here, would only end the reading; so does too much of it.)
            let _ = hash.value(&mut Cursor::new(part), 0);
            hash.word(part.len().min(1) as u64);
        }
        hash.first_turns(turns);
        Some(hash.sum)
    }
}

/// Any odd number with bits all over (2^64 divided by the golden ratio).
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// Multiply and fold, eight bytes at a time. It must be the same on every replica, and not withstand anybody: who makes prompts
/// collide has them served where those are that he collides with.
struct Hash {
    sum: u64,
    left: usize,
}

impl Hash {
    fn first_turns(&mut self, turns: &[u8]) {
        let mut cursor = Cursor::new(turns);
        if cursor.next_byte() != Some(b'[') {
            let _ = self.value(&mut cursor, 0);
            return;
        }
        let mut looked = 0;
        let _ = cursor.elements(|cursor| {
            let turn = cursor.value()?;
            looked += 1;
            self.value(&mut Cursor::new(turn), 0)?;
            (looked < TURNS && !is_users(turn)).then_some(())
        });
    }

    /// A value without the marks in it; `None` when enough was read.
    fn value(&mut self, cursor: &mut Cursor<'_>, depth: u32) -> Option<()> {
        match cursor.next_byte()? {
            b'{' if depth < DEEPEST => cursor.members(|cursor, key| {
                if key == b"cache_control" || key == b"cachePoint" {
                    return cursor.skip();
                }
                self.bytes(key)?;
                self.value(cursor, depth + 1)
            }),
            b'[' if depth < DEEPEST => cursor.elements(|cursor| self.value(cursor, depth + 1)),
            _ => self.bytes(cursor.value()?),
        }
    }

    fn bytes(&mut self, bytes: &[u8]) -> Option<()> {
        let some = bytes.get(..self.left).unwrap_or(bytes);
        let (words, rest) = some.as_chunks::<8>();
        words.iter().for_each(|word| self.word(u64::from_le_bytes(*word)));
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.word(u64::from_le_bytes(last) ^ (some.len() as u64).rotate_left(56));
        self.left -= some.len();
        (self.left > 0).then_some(())
    }

    fn word(&mut self, word: u64) {
        let product = u128::from(self.sum ^ word) * u128::from(SEED | 1);
        self.sum = (product as u64 ^ (product >> 64) as u64).wrapping_add(word.rotate_left(32));
    }
}

/// Did the user say it? Google's clients may leave out who says the only thing.
fn is_users(turn: &[u8]) -> bool {
    let mut role = None;
    let _ = Cursor::new(turn).members(|cursor, key| match key {
        b"role" => {
            role = Some(cursor.value()?);
            Some(())
        }
        _ => cursor.skip(),
    });
    role.is_none_or(|role| role == b"\"user\"")
}

#[cfg(test)]
mod tests {
    use super::super::{InPath, peek};
    use super::*;

    fn beginning(api: Api, members: &str) -> Option<u64> {
        let body = Bytes::from(format!("{{{members}}}"));
        let path = InPath { model: Some("m"), stream: false };
        peek(api, &body, path).unwrap_or_else(|bad| panic!("{members}: {bad:?}")).beginning(&body)
    }

    fn chat(turns: &[&str], more: &str) -> Option<u64> {
        beginning(Api::Chat, &format!("\"messages\":[{}]{more}", turns.join(",")))
    }

    const SYSTEM: &str = r#"{"role":"system","content":"You are terse."}"#;
    const ASKS: &str = r#"{"role":"user","content":"What is a pool?"}"#;
    const ANSWER: &str = r#"{"role":"assistant","content":"Something with limits."}"#;
    const ASKS_ON: &str = r#"{"role":"user","content":"And a meter?"}"#;

    /// Broken on purpose to see it fail: all turns hashed; the user's first left out; tools left out.
    #[test]
    fn all_turns_of_a_conversation_begin_alike_and_no_other_conversation_does() {
        let first = chat(&[SYSTEM, ASKS], "");
        assert_eq!(first, chat(&[SYSTEM, ASKS, ANSWER, ASKS_ON], ""));
        assert_eq!(first, chat(&[SYSTEM, ASKS, ANSWER, ASKS_ON, ANSWER], r#","temperature":1"#));
        let others = [
            chat(&[SYSTEM, ASKS_ON], ""),
            chat(&[ASKS], ""),
            chat(&[SYSTEM, ASKS], r#","tools":[{"type":"function","function":{"name":"f"}}]"#),
            chat(&[SYSTEM, ANSWER, ASKS], ""),
        ];
        assert!(first.is_some() && others.iter().all(|other| other.is_some() && *other != first));
    }

    /// Broken on purpose to see it fail: marks hashed.
    #[test]
    fn marks_for_the_cache_move_and_change_nothing() {
        let messages = |mark: &str, more: &str| {
            let turns = format!(r#"{{"role":"user","content":[{{"type":"text","text":"a"{mark}}}]}}{more}"#);
            beginning(
                Api::Messages,
                &format!(
                    r#""max_tokens":9,"system":[{{"type":"text","text":"s"{mark}}}],"messages":[{turns}]"#
                ),
            )
        };
        let marked = messages(r#","cache_control":{"type":"ephemeral"}"#, "");
        assert_eq!(
            marked,
            messages("", r#",{"role":"assistant","content":"b"},{"role":"user","content":"c"}"#)
        );
    }

    #[test]
    fn every_dialect_with_turns_has_beginnings() {
        let gemini = |more: &str| {
            beginning(
                Api::Generate,
                &format!(
                    r#""systemInstruction":{{"parts":[{{"text":"s"}}]}},"contents":[{{"role":"user","parts":[{{"text":"a"}}]}}{more}]"#
                ),
            )
        };
        assert_eq!(gemini(""), gemini(r#",{"role":"model","parts":[{"text":"b"}]}"#));
        let responses = |more: &str| {
            beginning(
                Api::Responses,
                &format!(r#""instructions":"s","input":[{{"role":"user","content":"a"}}{more}]"#),
            )
        };
        assert_eq!(responses(""), responses(r#",{"role":"assistant","content":"b"}"#));
        assert!(responses("").is_some() && responses("") != gemini(""));
        assert_eq!(beginning(Api::Completions, r#""prompt":"x""#), None);
        assert_eq!(beginning(Api::Embeddings, r#""input":"x""#), None);
    }

    #[test]
    fn no_more_is_read_than_counts() {
        let long =
            |end: &str| chat(&[&format!(r#"{{"role":"user","content":"{}{end}"}}"#, "x".repeat(MOST))], "");
        assert_eq!(long("a"), long("b"));
    }
}
