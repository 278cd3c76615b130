//! The ids of calls.

use crate::dialect::talk::{Call, ToolResult};

/// The ids of calls in one request. Anthropic wants every call to have one, of letters, digits, `_` and `-`, and every
/// result to name it.
#[derive(Default)]
pub(super) struct Ids {
    made: usize,
    /// Calls without ids that have no result yet: the tool and the id that was made up.
    open: Vec<(String, String)>,
}

impl Ids {
    /// A call's id.
    pub(super) fn call(&mut self, call: &Call) -> String {
        if !call.id.is_empty() {
            return clean(&call.id);
        }
        let id = self.make();
        self.open.push((call.name.clone(), id.clone()));
        id
    }

    /// The id of the call that a result belongs to: without ids, the first one of that tool that has no result.
    pub(super) fn result(&mut self, result: &ToolResult) -> String {
        if !result.id.is_empty() {
            return clean(&result.id);
        }
        let fits = |(name, _): &(String, String)| result.name.is_empty() || *name == result.name;
        match self.open.iter().position(fits) {
            Some(at) => self.open.remove(at).1,
            None => self.make(),
        }
    }

    fn make(&mut self) -> String {
        self.made += 1;
        format!("call_{}", self.made)
    }
}

/// The id in the letters that Anthropic allows (`^[a-zA-Z0-9_-]+$`); one that had others is told apart by a hash (FNV-1a).
fn clean(id: &str) -> String {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    if id.chars().all(allowed) {
        return id.to_owned();
    }
    let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let bare: String = id.chars().map(|letter| if allowed(letter) { letter } else { '_' }).collect();
    format!("{bare}_{hash:016x}")
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
    fn calls_without_ids_are_paired_with_their_results() {
        let call = |name: &str| Call { name: name.to_owned(), ..Call::default() };
        let result = |name: &str| ToolResult { name: name.to_owned(), ..ToolResult::default() };
        let mut ids = Ids::default();
        let (a, b, again) = (ids.call(&call("a")), ids.call(&call("b")), ids.call(&call("a")));
        assert_eq!(ids.result(&result("b")), b);
        assert_eq!(ids.result(&result("a")), a);
        assert_eq!(ids.result(&result("a")), again);
        assert!(a != b && b != again);
    }

    #[test]
    fn ids_of_other_providers_are_cleaned_and_told_apart() {
        assert_eq!(clean("toolu_01-x"), "toolu_01-x");
        assert!(clean("functions.f:0").starts_with("functions_f_0_"));
        assert_ne!(clean("f:0"), clean("f.0"));
        assert_eq!(answer_id("chatcmpl-1_x", 2), "toolu_chatcmpl1x_2");
    }
}
