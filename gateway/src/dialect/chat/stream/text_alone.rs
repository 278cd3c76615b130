//! A chunk that brings more of one text and nothing else, as nearly all do.
//!
//! A stream has one for every token, so what takes no longer than a look at each byte counts. Nothing is built of what
//! is not told. Whatever has a member that is not named here, or is written in another way, is left to the general reader;
//! what both read is the same.

use std::borrow::Cow;

use crate::dialect::json::Cursor;

/// Such a chunk.
#[derive(Debug, Default, PartialEq)]
pub(super) struct TextChunk<'a> {
    /// Which choice goes on.
    pub(super) index: u64,
    /// With what.
    pub(super) text: Cow<'a, str>,
    /// The tier of service that it names.
    pub(super) tier: Option<&'a str>,
}

/// Reads a chunk; of any other, or of none, `None`.
pub(super) fn read(data: &[u8]) -> Option<TextChunk<'_>> {
    // In such a text every string without a backslash is one of JSON.
    let text = std::str::from_utf8(data).ok().filter(|text| !has_control(text.as_bytes()))?;
    let mut chunk = Read::default();
    let mut cursor = Cursor::new(text.as_bytes());
    cursor.members(|cursor, key| chunk.member(cursor, key))?;
    let whole = cursor.next_byte().is_none() && chunk.seen & NEEDED == NEEDED;
    whole.then_some(chunk.said)
}

/// A byte that no string may hold. (Blocks without branches, which the compiler turns into a few instructions each.)
fn has_control(text: &[u8]) -> bool {
    let (blocks, rest) = text.as_chunks::<32>();
    let bad = |bytes: &[u8]| bytes.iter().fold(false, |bad, byte| bad | (*byte < 0x20));
    blocks.iter().any(|block| bad(block)) || bad(rest)
}

/// What was read so far, and which members were there: none may be there twice.
#[derive(Default)]
struct Read<'a> {
    said: TextChunk<'a>,
    seen: u32,
}

const CHOICES: u32 = 1;
const DELTA: u32 = 1 << 1;
const CONTENT: u32 = 1 << 2;
const NEEDED: u32 = CHOICES | DELTA | CONTENT;

impl<'a> Read<'a> {
    fn first(&mut self, bit: u32) -> Option<()> {
        let first = self.seen & bit == 0;
        self.seen |= bit;
        first.then_some(())
    }

    fn member(&mut self, cursor: &mut Cursor<'a>, key: &'a [u8]) -> Option<()> {
        match key {
            b"choices" => {
                self.first(CHOICES)?;
                let mut many = 0;
                cursor.elements(|cursor| {
                    many += 1;
                    cursor.members(|cursor, key| self.choice(cursor, key))
                })?;
                (many == 1).then_some(())
            }
            b"id" => self.first(1 << 3).and_then(|()| string(cursor)).map(|_| ()),
            b"model" => self.first(1 << 4).and_then(|()| string(cursor)).map(|_| ()),
            b"created" => self.first(1 << 5).and_then(|()| number(cursor)).map(|_| ()),
            b"service_tier" => {
                self.first(1 << 6)?;
                self.said.tier = optional(cursor)?;
                Some(())
            }
            b"usage" => self.first(1 << 7).and_then(|()| null(cursor)),
            // These mean nothing to anybody else, and the general reader does not mind how often they come.
            b"object" | b"system_fingerprint" | b"obfuscation" | b"provider" => optional(cursor).map(|_| ()),
            _ => None,
        }
    }

    fn choice(&mut self, cursor: &mut Cursor<'a>, key: &'a [u8]) -> Option<()> {
        match key {
            b"delta" => {
                self.first(DELTA)?;
                cursor.members(|cursor, key| self.delta(cursor, key))
            }
            b"index" => {
                self.first(1 << 8)?;
                self.said.index = number(cursor)?;
                Some(())
            }
            b"finish_reason" => self.first(1 << 9).and_then(|()| null(cursor)),
            b"logprobs" => self.first(1 << 10).and_then(|()| null(cursor)),
            b"native_finish_reason" | b"stop_reason" | b"token_ids" => null(cursor),
            _ => None,
        }
    }

    fn delta(&mut self, cursor: &mut Cursor<'a>, key: &'a [u8]) -> Option<()> {
        match key {
            b"content" => {
                self.first(CONTENT)?;
                self.said.text = text(cursor)?;
                Some(())
            }
            b"refusal" => self.first(1 << 11).and_then(|()| null(cursor)),
            b"tool_calls" => self.first(1 << 12).and_then(|()| null(cursor)),
            b"reasoning" => self.first(1 << 13).and_then(|()| null(cursor)),
            b"reasoning_content" => self.first(1 << 14).and_then(|()| null(cursor)),
            b"role" => optional(cursor).map(|_| ()),
            _ => None,
        }
    }
}

/// A string without escapes.
fn string<'a>(cursor: &mut Cursor<'a>) -> Option<&'a str> {
    let inner = cursor.string().filter(|inner| !inner.contains(&b'\\'))?;
    std::str::from_utf8(inner).ok()
}

/// The same, or `null`.
fn optional<'a>(cursor: &mut Cursor<'a>) -> Option<Option<&'a str>> {
    if cursor.next_byte()? == b'"' { string(cursor).map(Some) } else { null(cursor).map(|()| None) }
}

fn null(cursor: &mut Cursor<'_>) -> Option<()> {
    (cursor.scalar()? == b"null").then_some(())
}

/// A whole number as it is mostly written.
fn number(cursor: &mut Cursor<'_>) -> Option<u64> {
    let digits = cursor.scalar()?;
    let plain = digits.iter().all(u8::is_ascii_digit) && (digits.len() == 1 || digits[0] != b'0');
    std::str::from_utf8(digits).ok().filter(|_| plain)?.parse().ok()
}

/// A string, whatever stands in it.
fn text<'a>(cursor: &mut Cursor<'a>) -> Option<Cow<'a, str>> {
    let quoted = (cursor.next_byte()? == b'"').then(|| cursor.value())??;
    if quoted.contains(&b'\\') {
        return serde_json::from_slice(quoted).ok().map(Cow::Owned);
    }
    let inner = quoted.get(1..quoted.len() - 1)?;
    std::str::from_utf8(inner).ok().map(Cow::Borrowed)
}

#[cfg(test)]
#[path = "text_alone_tests.rs"]
mod tests;
