//! Base64. Read in the standard and the URL alphabet, padded or not, for providers and SDKs write either (Google's Python
//! SDK the URL one); written in the standard alphabet, padded, as everybody wants it.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The text of `bytes`.
pub(in crate::dialect) fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let at = |index: usize| u32::from(three.get(index).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4 {
            let letter = ALPHABET.get((bits >> (18 - 6 * place) & 63) as usize).copied().unwrap_or(b'=');
            out.push(if place > three.len() { '=' } else { char::from(letter) });
        }
    }
    out
}

/// The bytes of `text`, line ends passed over; none if it is not base64.
pub(in crate::dialect) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (mut bits, mut held, mut letters) = (0_u32, 0, 0_usize);
    for letter in text.trim_end().trim_end_matches('=').bytes() {
        if matches!(letter, b'\r' | b'\n') {
            continue;
        }
        bits = bits << 6 | digit(letter)?;
        held += 6;
        letters += 1;
        if held >= 8 {
            held -= 8;
            // The cast keeps the lowest eight of the bits that are left.
            out.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    (letters % 4 != 1).then_some(out)
}

/// Is it base64?
pub(in crate::dialect) fn is(text: &str) -> bool {
    let bare = text.trim_end_matches('=');
    bare.len() % 4 != 1 && bare.bytes().all(|letter| digit(letter).is_some())
}

fn digit(letter: u8) -> Option<u32> {
    let digit = match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    };
    Some(u32::from(digit))
}

/// The same bytes in the standard alphabet, padded. Text that is no base64 stays as it is.
pub(in crate::dialect) fn standard(text: String) -> String {
    let url = text.bytes().any(|letter| matches!(letter, b'-' | b'_'));
    if !url && text.len().is_multiple_of(4) {
        return text;
    }
    if !is(&text) {
        return text;
    }
    let mut out: String = text.trim_end_matches('=').replace('-', "+").replace('_', "/");
    while !out.len().is_multiple_of(4) {
        out.push('=');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive() {
        for length in 0..70_usize {
            let bytes: Vec<u8> = (0..length).map(|at| (at * 37 + length) as u8).collect();
            assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(encode(bytes.as_bytes()), text);
        }
        assert_eq!(encode(&[0xfb, 0xff, 0xfe]), "+//+");
    }

    /// Broken on purpose: with a letter alone taken for base64 it fails.
    #[test]
    fn both_alphabets_are_read_and_become_the_standard_one() {
        for text in ["+//+", "-__-", "+/\r\n/+\n"] {
            assert_eq!(decode(text), Some(vec![0xfb, 0xff, 0xfe]), "{text}");
        }
        assert_eq!(decode("Zg"), Some(b"f".to_vec()));
        assert_eq!([decode("a"), decode("a b="), decode("\u{e4}bc")], [None, None, None]);
        for (text, wanted) in
            [("-__-", "+//+"), ("Zg", "Zg=="), ("Zm8=", "Zm8="), ("no base64!", "no base64!")]
        {
            assert_eq!(standard(text.to_owned()), wanted);
        }
    }
}
