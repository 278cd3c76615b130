//! Weighs the strings of a JSON text in one pass.
//!
//! Byte-pair tokenizers cut text first at the borders between letters, digits, spaces and punctuation and then
//! into frequent pieces. So the cost of a text is, to within some percent, a sum over pairs of neighbouring
//! characters of a weight that depends only on their classes: entering a word costs most of a token, going on in
//! it little, a digit a third, a Chinese character most of one. One table lookup per byte yields three sums at
//! once: weight, characters, and breaks. Breaks, because text that never breaks (base64, keys, noise) is cut into
//! far more pieces than words are, so a block without one is charged by its length.

use std::borrow::Cow;

use super::held;
use super::media::{self, Cost, inline_data};
use super::walk::{Label, Walk};
use super::weights::{CLASS, Class, FULL_TOKEN, PAIR, Pair};
use crate::dialect::ability::Abilities;
use crate::dialect::json::Cursor;

/// Sums over the texts weighed so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// In units of 1 / [`FULL_TOKEN`] token.
    weight: u64,
    chars: u64,
    /// Flat costs, tokens.
    flat: u64,
    /// What is only guessed, on top of all else, tokens.
    guessed: u64,
    /// What a model must be able to read.
    uses: Abilities,
}

/// Text is weighed in blocks of this many bytes, small enough that the three sums of a block fit in a `u32`.
const BLOCK: usize = 32;
/// Least weight of a block without a break: a token for three bytes.
const UNBROKEN: u32 = (BLOCK as u32 * FULL_TOKEN).div_ceil(3);
/// Longest id, role or type that costs nothing, bytes; what is longer is there to be read.
const LONGEST_WORD: usize = 256;

impl Tally {
    /// The tokens of one string, from behind its opening quote.
    pub(super) fn of_string(string: &[u8]) -> u64 {
        let mut tally = Tally::default();
        tally.string(string, 0);
        tally.tokens()
    }

    /// The tokens of all that was weighed, without guesses; never below a token for four characters, which is what providers
    /// themselves estimate before they have counted.
    pub(super) fn tokens(&self) -> u64 {
        self.weight.div_ceil(u64::from(FULL_TOKEN)).max(self.chars.div_ceil(4)) + self.flat
    }

    /// Tokens that may be there besides, behind addresses.
    pub(super) fn guessed(&self) -> u64 {
        self.guessed
    }

    /// What a model must be able to read.
    pub(super) fn uses(&self) -> Abilities {
        self.uses
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
                    walk.label = Label::of(&unescaped(text, start, at));
                    walk.name_next = false;
                }
                b'"' => at = self.value(text, at, &mut walk),
                b'{' | b'[' if walk.label == Label::Arguments => at = self.arguments(text, at - 1, &mut walk),
                b'{' | b'[' => walk.open(byte == b'{'),
                b'}' | b']' => self.charge(walk.close()),
                b',' => walk.name_next = walk.in_object(),
                _ => {}
            }
        }
        while walk.is_open() {
            self.charge(walk.close());
        }
        self.uses = self.uses.and(walk.uses);
        walk.objects
    }

    fn charge(&mut self, cost: Cost) {
        self.flat += cost.sure;
        self.guessed += cost.guessed;
    }

    /// A value that a model wrote, or reads, as it is: its names count as well.
    fn arguments(&mut self, text: &[u8], at: usize, walk: &mut Walk<'_>) -> usize {
        walk.label = Label::Text;
        let rest = text.get(at..).unwrap_or_default();
        let whole = Cursor::new(rest).value().unwrap_or(rest);
        self.schema(whole);
        at + whole.len().max(1)
    }

    /// The string that begins at `at`, behind its quote; returns where the next byte behind it stands.
    fn value<'a>(&mut self, text: &'a [u8], at: usize, walk: &mut Walk<'a>) -> usize {
        let rest = text.get(at..).unwrap_or_default();
        let label = walk.label;
        // What an object's text begins with makes it no image. A list of texts may be one of images, to be embedded.
        let may_be_data = !walk.in_object() && rest.starts_with(b"data:");
        if matches!(label, Label::Text | Label::Arguments | Label::Source) && !may_be_data {
            return self.string(text, at);
        }
        let end = end_of_name(text, at);
        let string = text.get(at..end - 1).unwrap_or_default();
        match label {
            Label::Text | Label::Arguments | Label::Source if inline_data(string).is_none() => {
                return self.string(text, at);
            }
            Label::Text | Label::Arguments | Label::Source => {
                let (cost, uses) = held::embedded(string);
                self.charge(cost);
                walk.uses = walk.uses.and(uses);
            }
            Label::Sealed => self.flat += media::sealed(string),
            Label::Link(_) | Label::Data | Label::File => walk.hold(string),
            Label::MediaType | Label::Type | Label::Ignored if string.len() > LONGEST_WORD => {
                return self.string(text, at);
            }
            Label::MediaType => walk.media_type(&unescaped(text, at, end)),
            Label::Type => walk.kind(&unescaped(text, at, end)),
            Label::Citation | Label::Ignored => {}
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

/// A string by its inside, which ends before the quote at `end - 1`, as its reader will see it.
fn unescaped(text: &[u8], start: usize, end: usize) -> Cow<'_, [u8]> {
    let raw = text.get(start..end - 1).unwrap_or_default();
    if memchr::memchr(b'\\', raw).is_none() {
        return Cow::Borrowed(raw);
    }
    let quoted = text.get(start - 1..end).unwrap_or_default();
    // Half a surrogate pair is no name that we know.
    serde_json::from_slice::<String>(quoted).map_or(Cow::Borrowed(raw), |said| Cow::Owned(said.into_bytes()))
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
