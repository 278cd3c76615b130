//! Base64 in the standard alphabet: what JSON bodies of AWS carry bytes in.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Writes bytes, padded.
pub(super) fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let word =
            group.iter().enumerate().fold(0, |word, (at, byte)| word | u32::from(*byte) << (16 - 8 * at));
        for at in 0..4 {
            let digit = (word >> (18 - 6 * at) & 63) as usize;
            out.push(if at <= group.len() { char::from(ALPHABET[digit]) } else { '=' });
        }
    }
    out
}

/// Reads bytes; padding may be left out. `None` if it is not base64.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=').as_bytes();
    if text.len() % 4 == 1 {
        return None;
    }
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for group in text.chunks(4) {
        let mut word = 0;
        for (at, byte) in group.iter().enumerate() {
            word |= digit(*byte)? << (18 - 6 * at);
        }
        let bytes = word.to_be_bytes();
        out.extend_from_slice(bytes.get(1..group.len())?);
    }
    Some(out)
}

fn digit(byte: u8) -> Option<u32> {
    let digit = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(digit))
}

/// What stands before bytes that are no text, in [`opaque`].
const RAW: &str = "base64:";

/// Bytes of the provider's as an opaque text that every dialect can carry. Anthropic's redacted reasoning is itself a
/// text, and Bedrock wraps it once more: unwrapped it is what Anthropic's own API says, so that either takes it back.
pub(super) fn opaque(bytes: Vec<u8>) -> String {
    match String::from_utf8(bytes) {
        Ok(text) if !text.starts_with(RAW) => text,
        Ok(text) => format!("{RAW}{}", encode(text.as_bytes())),
        Err(bytes) => format!("{RAW}{}", encode(bytes.as_bytes())),
    }
}

/// The base64 of the bytes that [`opaque`] told.
pub(super) fn wrapped(opaque: &str) -> String {
    match opaque.strip_prefix(RAW) {
        Some(raw) => raw.to_owned(),
        None => encode(opaque.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive() {
        for len in 0..70_usize {
            let bytes: Vec<u8> = (0..len).map(|at| (at * 37 + len) as u8).collect();
            assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }
        assert_eq!(encode(b"any carnal pleas"), "YW55IGNhcm5hbCBwbGVhcw==");
        assert_eq!(decode("YW55IGNhcm5hbCBwbGVhcw"), Some(b"any carnal pleas".to_vec()));
        assert_eq!([decode("a"), decode("a b="), decode("\u{e4}bc")], [None, None, None]);
    }

    #[test]
    fn opaque_texts_and_bytes_survive() {
        for bytes in [b"EuQFCkg=".to_vec(), vec![0xff, 0, 1], b"base64:AAAA".to_vec(), Vec::new()] {
            assert_eq!(wrapped(&opaque(bytes.clone())), encode(&bytes));
        }
        assert_eq!(opaque(b"EuQF".to_vec()), "EuQF");
    }
}
