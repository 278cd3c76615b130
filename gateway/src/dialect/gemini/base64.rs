//! Base64. Google's `bytes` fields take the standard and the URL alphabet, padded or not, and its Python SDK writes the
//! URL alphabet; everybody else wants the standard one, padded.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// `bytes` in the standard alphabet, padded.
pub(super) fn encode(bytes: &[u8]) -> String {
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

/// The bytes of `text` in the standard alphabet, padded.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (mut bits, mut known) = (0u32, 0);
    for letter in text.bytes() {
        let value = ALPHABET.iter().position(|known| *known == letter)?;
        bits = bits << 6 | value as u32;
        known += 6;
        if known >= 8 {
            known -= 8;
            // The cast keeps the lowest eight of the bits that are left.
            out.push((bits >> known) as u8);
        }
    }
    Some(out)
}

/// The same bytes in the standard alphabet, padded. Text that is no base64 stays as it is.
pub(super) fn standard(text: String) -> String {
    let url = text.bytes().any(|byte| matches!(byte, b'-' | b'_'));
    if !url && text.len().is_multiple_of(4) {
        return text;
    }
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=');
    if text.trim_end_matches('=').len() % 4 == 1 || !text.bytes().all(known) {
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
    fn bytes_are_encoded_and_both_alphabets_become_the_standard_one() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text).as_deref(), Some(bytes.as_bytes()));
        }
        assert_eq!(encode(&[0xfb, 0xff, 0xfe]), "+//+");
        assert_eq!(decode("+//+"), Some(vec![0xfb, 0xff, 0xfe]));
        assert_eq!(decode("a b"), None);
        assert_eq!(standard("-__-".into()), "+//+");
        assert_eq!(standard("Zg".into()), "Zg==");
        assert_eq!(standard("Zm8=".into()), "Zm8=");
        assert_eq!(standard("no base64!".into()), "no base64!");
    }
}
