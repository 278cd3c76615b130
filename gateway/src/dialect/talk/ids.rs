//! Ids of calls, for dialects that want one on every call and result.

use super::{Call, ToolResult};

/// Gives calls and results ids that the dialect takes, the same to both of a pair.
pub(in crate::dialect) struct Ids {
    /// Makes an id of another dialect one that this one takes.
    fit: fn(&str) -> String,
    prefix: String,
    made: usize,
    /// Calls without ids (Gemini's) that have no result yet: the tool and the id that was made up.
    open: Vec<(String, String)>,
}

impl Ids {
    /// For a request.
    pub(in crate::dialect) fn new(fit: fn(&str) -> String) -> Ids {
        Ids { fit, prefix: String::new(), made: 0, open: Vec::new() }
    }

    /// For an answer: ids of different answers must differ, and `answer` is its id.
    pub(in crate::dialect) fn of_answer(answer: &str) -> Ids {
        Ids { prefix: format!("{:016x}_", hash(answer)), ..Ids::new(str::to_owned) }
    }

    /// Of a call.
    pub(in crate::dialect) fn call(&mut self, call: &Call) -> String {
        if !call.id.is_empty() {
            return (self.fit)(&call.id);
        }
        let id = self.make();
        self.open.push((call.name.clone(), id.clone()));
        id
    }

    /// Of the call that a result belongs to: without ids, the first one of that tool that has no result.
    pub(in crate::dialect) fn result(&mut self, result: &ToolResult) -> String {
        if !result.id.is_empty() {
            return (self.fit)(&result.id);
        }
        let fits = |(name, _): &(String, String)| result.name.is_empty() || *name == result.name;
        match self.open.iter().position(fits) {
            Some(at) => self.open.remove(at).1,
            None => self.make(),
        }
    }

    fn make(&mut self) -> String {
        self.made += 1;
        // OpenAI takes at most 40 characters.
        format!("call_{}{}", self.prefix, self.made)
    }
}

/// FNV-1a: short, and the same for the same text. Two ids of one conversation that differ only in signs that a dialect does
/// not take stay two.
pub(in crate::dialect) fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Broken on purpose: with the tool's name not asked for, a result goes to another tool's call.
    #[test]
    fn calls_without_ids_are_paired_with_their_results() {
        let call = |name: &str| Call { name: name.to_owned(), ..Call::default() };
        let result = |name: &str| ToolResult { name: name.to_owned(), ..ToolResult::default() };
        let mut ids = Ids::new(str::to_owned);
        let calls = [ids.call(&call("a")), ids.call(&call("b")), ids.call(&call("a"))];
        assert_eq!(calls, ["call_1", "call_2", "call_3"]);
        assert_eq!(ids.result(&result("b")), "call_2");
        assert_eq!(ids.result(&result("a")), "call_1");
        assert_eq!(ids.result(&result("")), "call_3");
        assert_eq!(ids.result(&result("a")), "call_4");
        assert_ne!(Ids::of_answer("x").call(&call("a")), Ids::of_answer("y").call(&call("a")));
    }

    #[test]
    fn ids_that_are_there_are_made_fit() {
        let mut ids = Ids::new(str::to_uppercase);
        assert_eq!(ids.call(&Call { id: "x".to_owned(), ..Call::default() }), "X");
        assert_eq!(ids.result(&ToolResult { id: "x".to_owned(), ..ToolResult::default() }), "X");
    }
}
