//! Weighs the strings of a JSON text in one pass.
//!
//! Byte-pair tokenizers cut text first at the borders between letters, digits, spaces and punctuation and then
//! into frequent pieces. So the cost of a text is, to within some percent, a sum over pairs of neighbouring
//! characters of a weight that depends only on their classes: entering a word costs most of a token, going on in
//! it little, a digit a third, a Chinese character most of one. One table lookup per byte yields three sums at
//! once: weight, characters, and breaks. Breaks, because text that never breaks (base64, keys, noise) is cut into
//! far more pieces than words are, so a block without one is charged by its length.

use super::media::{Costs, Medium, inline_data, is_base64, type_behind};
use super::weights::{CLASS, Class, FULL_TOKEN, PAIR, Pair};
use crate::dialect::json::Cursor;
use crate::dialect::voice::Voice;

/// Sums over the texts weighed so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tally {
    /// What is no text costs this.
    costs: &'static Costs,
    /// In units of 1 / [`FULL_TOKEN`] token.
    weight: u64,
    chars: u64,
    /// Flat costs, tokens.
    flat: u64,
}

/// Text is weighed in blocks of this many bytes, small enough that the three sums of a block fit in a `u32`.
const BLOCK: usize = 32;
/// Least weight of a block without a break: a token for three bytes.
const UNBROKEN: u32 = (BLOCK as u32 * FULL_TOKEN).div_ceil(3);

impl Tally {
    /// Of nothing yet, in this dialect's terms.
    pub(super) fn new(voice: Voice) -> Tally {
        Tally { costs: Costs::of(voice), weight: 0, chars: 0, flat: 0 }
    }

    /// The tokens of all that was weighed; never below a token for four characters, which is what providers
    /// themselves estimate before they have counted.
    pub(super) fn tokens(&self) -> u64 {
        self.weight.div_ceil(u64::from(FULL_TOKEN)).max(self.chars.div_ceil(4)) + self.flat
    }

    /// Tools are offered.
    pub(super) fn tools(&mut self) {
        self.flat += self.costs.tools;
    }

    /// Weighs a raw JSON value as text: schemas of tools and answers are shown to the model as JSON or in a
    /// notation that comes near it.
    pub(super) fn schema(&mut self, text: &[u8]) {
        self.plain(text, Class::Space);
    }

    /// Weighs the strings of a raw value and returns how many objects stand directly in it: messages. Numbers without
    /// a string between them are tokens already.
    pub(super) fn texts(&mut self, text: &[u8]) -> u64 {
        if text.starts_with(b"[") && memchr::memchr(b'"', text).is_none() {
            let digit = |at: usize| text.get(at).is_some_and(u8::is_ascii_digit);
            self.flat += (1..text.len()).filter(|at| digit(*at) && !digit(at - 1)).count() as u64;
        }
        let mut walk = Walk::default();
        let mut at = 0;
        while let Some(&byte) = text.get(at) {
            at += 1;
            match byte {
                b'"' if walk.name_next => {
                    let start = at;
                    at = end_of_name(text, at);
                    walk.label = Label::of(text.get(start..at - 1).unwrap_or_default());
                    walk.name_next = false;
                }
                b'"' => at = self.value(text, at, &mut walk),
                b'{' if walk.label == Label::Arguments => at = self.arguments(text, at - 1, &mut walk),
                b'{' | b'[' => walk.open(byte == b'{'),
                b'}' | b']' => walk.close(),
                b',' => walk.name_next = walk.in_object(),
                _ => {}
            }
        }
        walk.objects
    }

    /// An object that a model wrote, or reads, as it is: its names count as well.
    fn arguments(&mut self, text: &[u8], at: usize, walk: &mut Walk<'_>) -> usize {
        walk.label = Label::Text;
        let rest = text.get(at..).unwrap_or_default();
        let whole = Cursor::new(rest).value().unwrap_or(rest);
        self.schema(whole);
        at + whole.len()
    }

    /// The string that begins at `at`, behind its quote; returns where the next byte behind it stands.
    fn value<'a>(&mut self, text: &'a [u8], at: usize, walk: &mut Walk<'a>) -> usize {
        let inline = text.get(at..).is_some_and(|rest| rest.starts_with(b"data:"));
        if matches!(walk.label, Label::Text | Label::Arguments) && !inline {
            return self.string(text, at);
        }
        let end = end_of_name(text, at);
        let string = text.get(at..end - 1).unwrap_or_default();
        let cost = match (inline_data(string), walk.label) {
            (Some((kind, content)), _) => Some(self.costs.data(Some(kind), content)),
            (None, Label::Link) if walk.is_found() => None,
            (None, Label::Link) => Some(self.costs.named(Medium::Image)),
            (None, Label::Data) if is_base64(string) => {
                Some(self.costs.data(walk.media_type.or_else(|| type_behind(text, end)), string))
            }
            (None, Label::File) if is_base64(string) => Some(self.costs.content(Medium::Document, string)),
            (None, Label::File) => {
                let told = walk.media_type.or_else(|| type_behind(text, end));
                Some(self.costs.named(told.map_or(Medium::Document, Medium::of_type)))
            }
            (None, Label::Sealed) => Some(self.costs.content(Medium::Sealed, string)),
            (None, Label::MediaType) => {
                walk.media_type = Some(string);
                Some(0)
            }
            (None, Label::Type) => {
                walk.kind = string;
                Some(0)
            }
            (None, Label::Ignored) => Some(0),
            (None, Label::Data | Label::Text | Label::Arguments) => None,
        };
        match cost {
            Some(cost) => self.flat += cost,
            None => return self.string(text, at),
        }
        end
    }

    /// Weighs a string from behind its opening quote to its closing one or the end of the text; returns the place
    /// behind it.
    fn string(&mut self, text: &[u8], mut at: usize) -> usize {
        let mut before = Class::Space;
        loop {
            let rest = text.get(at..).unwrap_or_default();
            let plain = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
            before = self.plain(rest.get(..plain).unwrap_or_default(), before);
            at += plain;
            if text.get(at) != Some(&b'\\') {
                return (at + 1).min(text.len() + 1);
            }
            let (class, length) = escaped(text.get(at + 1..).unwrap_or_default());
            self.add(PAIR[before as usize][class as usize]);
            before = if class.is_ascii() { class } else { Class::Continued };
            at += 1 + length;
        }
    }

    /// Weighs bytes without escapes; returns the class of the last one.
    fn plain(&mut self, bytes: &[u8], before: Class) -> Class {
        let mut before = before;
        for block in bytes.chunks(BLOCK) {
            let mut sum = Pair(0);
            for &byte in block {
                let class = CLASS[usize::from(byte)];
                sum.0 += PAIR[before as usize][class as usize].0;
                before = class;
            }
            if block.len() == BLOCK && sum.breaks() == 0 {
                self.weight += u64::from(UNBROKEN.saturating_sub(sum.weight()));
            }
            self.add(sum);
        }
        before
    }

    fn add(&mut self, sum: Pair) {
        self.weight += u64::from(sum.weight());
        self.chars += u64::from(sum.chars());
    }
}

/// What the value of a member is, in any of the dialects.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Label {
    #[default]
    Text,
    /// Where an image is.
    Link,
    /// A file in base64, or the text of one.
    Data,
    /// A file, or its name.
    File,
    /// What a file is.
    MediaType,
    /// What the object is.
    Type,
    /// Only its provider can read it.
    Sealed,
    /// Of a tool.
    Arguments,
    Ignored,
}

impl Label {
    fn of(name: &[u8]) -> Label {
        match name {
            b"url" | b"image_url" => Label::Link,
            b"data" => Label::Data,
            b"file_data" | b"file_id" | b"fileUri" | b"file_uri" => Label::File,
            b"media_type" | b"mimeType" | b"mime_type" => Label::MediaType,
            b"type" => Label::Type,
            b"signature" | b"thoughtSignature" | b"thought_signature" | b"encrypted_content"
            | b"encrypted_index" => Label::Sealed,
            b"input" | b"args" | b"response" => Label::Arguments,
            b"role" | b"id" | b"tool_call_id" | b"tool_use_id" | b"call_id" | b"status" | b"detail"
            | b"format" | b"filename" | b"model" | b"taskType" | b"task_type" => Label::Ignored,
            _ => Label::Text,
        }
    }
}

/// Where a walk over JSON text stands: which of the open brackets are objects, newest in the lowest bit. Deeper
/// than 128 levels (requests are refused there) names and values may be confused, nothing worse.
#[derive(Default)]
struct Walk<'a> {
    nest: u128,
    depth: u32,
    name_next: bool,
    label: Label,
    /// What was said of the object so far.
    media_type: Option<&'a [u8]>,
    kind: &'a [u8],
    objects: u64,
}

impl Walk<'_> {
    fn open(&mut self, object: bool) {
        (self.media_type, self.kind) = (None, b"");
        self.objects += u64::from(object && self.depth == 1);
        self.nest = self.nest << 1 | u128::from(object);
        self.depth += 1;
        self.name_next = object;
    }

    fn close(&mut self) {
        self.nest >>= 1;
        self.depth = self.depth.saturating_sub(1);
        self.name_next = false;
        (self.label, self.media_type, self.kind) = (Label::Text, None, b"");
    }

    /// Is it something that a search found, or a citation? The address of such is read, and nothing behind it.
    fn is_found(&self) -> bool {
        self.kind.starts_with(b"web_") || self.kind == b"url_citation"
    }

    fn in_object(&self) -> bool {
        self.nest & 1 == 1
    }
}

/// The place behind the closing quote of a string whose inside begins at `at`.
fn end_of_name(text: &[u8], mut at: usize) -> usize {
    loop {
        let rest = text.get(at..).unwrap_or_default();
        match memchr::memchr2(b'"', b'\\', rest) {
            None => return text.len() + 1,
            Some(found) if rest[found] == b'"' => return at + found + 1,
            Some(found) => at += found + 2,
        }
    }
}

/// The class of an escaped character and how many bytes behind the backslash it takes.
fn escaped(behind: &[u8]) -> (Class, usize) {
    match behind.first() {
        Some(b'n' | b'r') => (Class::NewLine, 1),
        Some(b't' | b'b' | b'f') => (Class::Space, 1),
        Some(b'u') => {
            let digits = behind.get(1..5).and_then(|hex| std::str::from_utf8(hex).ok());
            let unit = digits.and_then(|hex| u16::from_str_radix(hex, 16).ok());
            (unit.map_or(Class::Punctuation, Class::of_unit), 5)
        }
        _ => (Class::Punctuation, 1),
    }
}
