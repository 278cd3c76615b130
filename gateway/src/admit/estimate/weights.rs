//! The weights of [`super::text`]: classes of bytes, and the cost of one class behind another.

/// The unit of weights: this many are one token.
pub(super) const FULL_TOKEN: u32 = 512;

/// The class of a byte. A character beyond ASCII is weighed on its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Lower,
    Upper,
    Digit,
    /// What base64 and identifiers are made of besides letters and digits.
    Joiner,
    Space,
    NewLine,
    Punctuation,
    /// A further byte of a character.
    Continued,
    /// Latin letters with marks.
    Latin,
    /// Greek, Cyrillic.
    Greek,
    /// Armenian, Hebrew, Arabic and others in two bytes.
    Semitic,
    /// Indic scripts, Thai and others in three bytes.
    Indic,
    /// General punctuation and symbols.
    Symbol,
    /// Chinese, Japanese, full-width forms.
    Han,
    Hangul,
    /// Four bytes: mostly emoji.
    Emoji,
}

use Class::*;

impl Class {
    const COUNT: usize = 16;

    const fn of_byte(byte: u8) -> Class {
        match byte {
            b'a'..=b'z' => Lower,
            b'A'..=b'Z' => Upper,
            b'0'..=b'9' => Digit,
            b'+' | b'/' | b'=' | b'-' | b'_' => Joiner,
            b' ' | b'\t' => Space,
            b'\n' | b'\r' => NewLine,
            0..=0x7f => Punctuation,
            0x80..=0xbf => Continued,
            0xc0..=0xc9 => Latin,
            0xca..=0xd4 => Greek,
            0xd5..=0xdf => Semitic,
            0xe0..=0xe1 => Indic,
            0xe2 => Symbol,
            0xe3..=0xe9 | 0xef => Han,
            0xea..=0xee => Hangul,
            0xf0..=0xff => Emoji,
        }
    }

    /// The class of a UTF-16 code unit, as `\u` escapes write them.
    pub(super) fn of_unit(unit: u16) -> Class {
        match unit {
            // The second half of a pair; the first half carries the weight.
            0xdc00..=0xdfff => Continued,
            0xd800..=0xdbff => Emoji,
            _ => {
                let first = char::from_u32(u32::from(unit)).map(|c| {
                    let mut buffer = [0; 4];
                    c.encode_utf8(&mut buffer);
                    buffer[0]
                });
                first.map_or(Punctuation, Class::of_byte)
            }
        }
    }

    pub(super) fn is_ascii(self) -> bool {
        matches!(self, Lower | Upper | Digit | Joiner | Space | NewLine | Punctuation)
    }

    /// Does it end a run that base64 or a key could be?
    const fn breaks(self) -> bool {
        !matches!(self, Lower | Upper | Digit | Joiner | Continued)
    }
}

pub(super) static CLASS: [Class; 256] = {
    let mut classes = [Punctuation; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = Class::of_byte(byte as u8);
        byte += 1;
    }
    classes
};

/// Three sums in one word: weight in the low 16 bits, characters in the next 8, breaks in the top 8. A block of 32
/// bytes overflows none of them while a weight is below 2048.
#[derive(Clone, Copy)]
pub(super) struct Pair(pub(super) u32);

impl Pair {
    pub(super) fn weight(self) -> u32 {
        self.0 & 0xffff
    }

    pub(super) fn chars(self) -> u32 {
        self.0 >> 16 & 0xff
    }

    pub(super) fn breaks(self) -> u32 {
        self.0 >> 24
    }
}

/// `PAIR[before][class]`.
pub(super) static PAIR: [[Pair; Class::COUNT]; Class::COUNT] = {
    let mut pairs = [[Pair(0); Class::COUNT]; Class::COUNT];
    let mut before = 0;
    while before < Class::COUNT {
        let mut class = 0;
        while class < Class::COUNT {
            let weight = WEIGHTS[before][class] as u32;
            assert!(weight < 2048);
            let kind = KINDS[class];
            let character = !matches!(kind, Continued) as u32;
            // A row of dashes is one token, however long.
            let rule = matches!((KINDS[before], kind), (Joiner, Joiner));
            let breaks = (kind.breaks() || rule) as u32;
            pairs[before][class] = Pair(weight | character << 16 | breaks << 24);
            class += 1;
        }
        before += 1;
    }
    pairs
};

const KINDS: [Class; Class::COUNT] = [
    Lower,
    Upper,
    Digit,
    Joiner,
    Space,
    NewLine,
    Punctuation,
    Continued,
    Latin,
    Greek,
    Semitic,
    Indic,
    Symbol,
    Han,
    Hangul,
    Emoji,
];

/// Fitted to o200k_base on prose, code, JSON and 20 languages; rows are the class before, in the order of
/// [`Class`], columns the class itself. 512 is a token.
#[rustfmt::skip]
const WEIGHTS: [[u16; Class::COUNT]; Class::COUNT] = [
    // lower upper digit join space   nl punct cont latin greek semit indic symb  han hangul emoji
    [  56,  431,  587,  186,  113,  435,  295,    0,  998,  500,  500,  125,  594,  519,  499,  900],
    [ 123,  100,  957,   75,   20,  404,  425,    0,  199,  500,  500,  404,  521,  495,  500,  900],
    [ 731,  803,  152,  184,  263,  135,  424,    0,  173,  501,  499,  499,  505,  501,  500,  900],
    [ 446,  379,  481,   38,   10,   50,  182,    0,  144,  509,  508,  458,  506,  519,  500,  900],
    [ 212,  217,  702,  753,   34,   97,  518,    0,  371,  798,  289,  162,  663,  608,  451, 1031],
    [ 537,  472,  256,  250,  148,   25,  274,    0,  400,  500,  500,  500,  500,  500,  500,  900],
    [ 341,  353,  445,  374,  114,   50,   92,    0,  410,  514,  496,  512,  515,  491,  492,  899],
    [  15,  314,  400,  450,   96,  200,  443,    0,  133,   45,  152,  193,  366,  388,  294, 1026],
    // Behind a first byte comes only a further byte, which weighs nothing.
    [0; 16], [0; 16], [0; 16], [0; 16], [0; 16], [0; 16], [0; 16], [0; 16],
];
