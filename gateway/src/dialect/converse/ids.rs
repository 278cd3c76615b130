//! Ids of calls: Converse takes letters, digits and `_.:-`, at most 64.

use crate::dialect::talk::ids::hash;

/// The id itself if Converse takes it, else one that only it gives.
pub(super) fn valid(id: &str) -> String {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte);
    if id.len() <= 64 && id.bytes().all(fits) {
        return id.to_owned();
    }
    let start = id.bytes().take(40).map(|byte| if fits(byte) { char::from(byte) } else { '_' });
    start.chain(format!("_{:016x}", hash(id)).chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_ids_become_valid_and_stay_apart() {
        assert_eq!(valid("toolu_01.a:b-c"), "toolu_01.a:b-c");
        let long = "x".repeat(100);
        for id in ["a|b", "a/b", "\u{fc}", &long] {
            let made = valid(id);
            assert!(
                made.len() <= 64 && made.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'),
                "{made}"
            );
        }
        assert_ne!(valid("a|b"), valid("a/b"));
    }
}
