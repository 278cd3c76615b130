//! The ids of calls.

use crate::dialect::talk::ids::hash;

/// The id in the letters that Anthropic allows (`^[a-zA-Z0-9_-]+$`); one that had others is told apart by a hash.
pub(super) fn clean(id: &str) -> String {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    if id.chars().all(allowed) {
        return id.to_owned();
    }
    let bare: String = id.chars().map(|letter| if allowed(letter) { letter } else { '_' }).collect();
    format!("{bare}_{:016x}", hash(id))
}

/// An id for the `nth` call of an answer whose provider gives none: new in every answer, so that a conversation has no two.
pub(super) fn answer_id(answer: &str, nth: usize) -> String {
    let bare: String = answer.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("toolu_{bare}_{nth}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_other_providers_are_cleaned_and_told_apart() {
        assert_eq!(clean("toolu_01-x"), "toolu_01-x");
        assert!(clean("functions.f:0").starts_with("functions_f_0_"));
        assert_ne!(clean("f:0"), clean("f.0"));
        assert_eq!(answer_id("chatcmpl-1_x", 2), "toolu_chatcmpl1x_2");
    }
}
