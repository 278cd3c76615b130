//! Bytes of the provider's as texts.

use crate::dialect::talk::base64::encode;

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
    fn opaque_texts_and_bytes_survive() {
        for bytes in [b"EuQFCkg=".to_vec(), vec![0xff, 0, 1], b"base64:AAAA".to_vec(), Vec::new()] {
            assert_eq!(wrapped(&opaque(bytes.clone())), encode(&bytes));
        }
        assert_eq!(opaque(b"EuQF".to_vec()), "EuQF");
    }
}
