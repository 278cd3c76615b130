//! Ids of calls. Converse needs one on every call and result: of letters, digits and `_.:-`, at most 64.

use std::collections::VecDeque;

use crate::dialect::talk::{Call, ToolResult};

/// Gives calls and results ids that Converse takes, the same to both of a pair.
#[derive(Default)]
pub(super) struct Ids {
    /// Calls that came without an id and wait for their results: tool and id.
    waiting: VecDeque<(String, String)>,
    made: usize,
}

impl Ids {
    /// Of a call.
    pub(super) fn call(&mut self, call: &Call) -> String {
        if !call.id.is_empty() {
            return valid(&call.id);
        }
        let id = self.make();
        self.waiting.push_back((call.name.clone(), id.clone()));
        id
    }

    /// Of a result: without an id it belongs to the first call of its tool that still waits.
    pub(super) fn result(&mut self, result: &ToolResult) -> String {
        if !result.id.is_empty() {
            return valid(&result.id);
        }
        let at = self.waiting.iter().position(|call| call.0 == result.name || result.name.is_empty());
        let found = at.and_then(|at| self.waiting.remove(at)).map(|call| call.1);
        found.unwrap_or_else(|| self.make())
    }

    fn make(&mut self) -> String {
        self.made += 1;
        format!("call_{}", self.made)
    }
}

/// The id itself if Converse takes it, else one that only it gives.
fn valid(id: &str) -> String {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte);
    if id.len() <= 64 && id.bytes().all(fits) {
        return id.to_owned();
    }
    // FNV-1a: two ids of one conversation that differ only where signs were replaced shall stay two.
    let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let start = id.bytes().take(40).map(|byte| if fits(byte) { char::from(byte) } else { '_' });
    start.chain(format!("_{hash:016x}").chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: &str, name: &str) -> Call {
        Call { id: id.into(), name: name.into(), ..Call::default() }
    }

    fn result(id: &str, name: &str) -> ToolResult {
        ToolResult { id: id.into(), name: name.into(), ..ToolResult::default() }
    }

    #[test]
    fn results_find_their_calls_without_ids() {
        let mut ids = Ids::default();
        let calls = [ids.call(&call("", "a")), ids.call(&call("", "b")), ids.call(&call("", "a"))];
        assert_eq!(calls, ["call_1", "call_2", "call_3"]);
        assert_eq!(ids.result(&result("", "b")), "call_2");
        assert_eq!(ids.result(&result("", "a")), "call_1");
        assert_eq!(ids.result(&result("", "")), "call_3");
        assert_eq!(ids.result(&result("", "a")), "call_4");
    }

    #[test]
    fn odd_ids_become_valid_and_stay_apart() {
        let mut ids = Ids::default();
        assert_eq!(ids.call(&call("toolu_01.a:b-c", "a")), "toolu_01.a:b-c");
        let long = "x".repeat(100);
        for id in ["a|b", "a/b", "\u{fc}", &long] {
            let made = ids.call(&call(id, "a"));
            assert_eq!(ids.result(&result(id, "a")), made);
            assert!(
                made.len() <= 64 && made.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'),
                "{made}"
            );
        }
        assert_ne!(ids.call(&call("a|b", "a")), ids.call(&call("a/b", "a")));
    }
}
