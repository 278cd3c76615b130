//! Ids of calls, for dialects that want one on every call and result.

use std::collections::{HashMap, VecDeque};

use super::{Call, ToolResult};

/// Gives calls and results ids that the dialect takes, the same to both of a pair.
pub(in crate::dialect) struct Ids {
    /// Makes an id of another dialect one that this one takes.
    fit: fn(&str) -> String,
    prefix: String,
    made: usize,
    /// None for an answer, which has no results.
    open: Option<Open>,
}

/// The calls of a conversation that have no result yet. Clients may send results without ids (Gemini's do, even to calls
/// that have some), so each call is found by its id, by its tool and by its place; in a time that does not depend on how
/// many there are, for clients choose the number.
#[derive(Default)]
struct Open {
    /// Their ids as the dialect takes them, in order; none where the result has come.
    calls: Vec<Option<String>>,
    /// No call before this one is open.
    first: usize,
    /// By the client's id.
    by_id: HashMap<String, usize>,
    by_tool: HashMap<String, VecDeque<usize>>,
}

impl Open {
    fn begin(&mut self, call: &Call, id: String) {
        let place = self.calls.len();
        self.calls.push(Some(id));
        self.by_tool.entry(call.name.clone()).or_default().push_back(place);
        if !call.id.is_empty() {
            self.by_id.insert(call.id.clone(), place);
        }
    }

    fn take(&mut self, place: usize) -> Option<String> {
        self.calls.get_mut(place)?.take()
    }

    /// The result of the call `id` has come.
    fn end(&mut self, id: &str) {
        if let Some(place) = self.by_id.remove(id) {
            self.take(place);
        }
    }

    /// Ends the first call of `tool`, or if it has none the first of all.
    fn next(&mut self, tool: &str) -> Option<String> {
        while let Some(place) = self.by_tool.get_mut(tool).and_then(VecDeque::pop_front) {
            if let Some(id) = self.take(place) {
                return Some(id);
            }
        }
        while self.first < self.calls.len() {
            self.first += 1;
            if let Some(id) = self.take(self.first - 1) {
                return Some(id);
            }
        }
        None
    }
}

impl Ids {
    /// For a request.
    pub(in crate::dialect) fn new(fit: fn(&str) -> String) -> Ids {
        Ids { fit, prefix: String::new(), made: 0, open: Some(Open::default()) }
    }

    /// For an answer: ids of different answers must differ, and `answer` is its id.
    pub(in crate::dialect) fn of_answer(answer: &str) -> Ids {
        Ids { fit: str::to_owned, prefix: format!("{:016x}_", hash(answer)), made: 0, open: None }
    }

    /// Of a call.
    pub(in crate::dialect) fn call(&mut self, call: &Call) -> String {
        let id = if call.id.is_empty() { self.make() } else { (self.fit)(&call.id) };
        if let Some(open) = &mut self.open {
            open.begin(call, id.clone());
        }
        id
    }

    /// Of the call that a result belongs to: without an id, the first one of that tool that has no result, or the first
    /// one of all.
    pub(in crate::dialect) fn result(&mut self, result: &ToolResult) -> String {
        let open = self.open.as_mut();
        if !result.id.is_empty() {
            if let Some(open) = open {
                open.end(&result.id);
            }
            return (self.fit)(&result.id);
        }
        open.and_then(|open| open.next(&result.name)).unwrap_or_else(|| self.make())
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

    fn call(id: &str, name: &str) -> Call {
        Call { id: id.to_owned(), name: name.to_owned(), ..Call::default() }
    }

    fn result(id: &str, name: &str) -> ToolResult {
        ToolResult { id: id.to_owned(), name: name.to_owned(), ..ToolResult::default() }
    }

    /// Broken on purpose: with the tool's name not asked for, a result goes to another tool's call.
    #[test]
    fn calls_without_ids_are_paired_with_their_results() {
        let mut ids = Ids::new(str::to_owned);
        let calls = [ids.call(&call("", "a")), ids.call(&call("", "b")), ids.call(&call("", "a"))];
        assert_eq!(calls, ["call_1", "call_2", "call_3"]);
        assert_eq!(ids.result(&result("", "b")), "call_2");
        assert_eq!(ids.result(&result("", "a")), "call_1");
        assert_eq!(ids.result(&result("", "")), "call_3");
        assert_eq!(ids.result(&result("", "a")), "call_4");
        assert_ne!(Ids::of_answer("x").call(&call("", "a")), Ids::of_answer("y").call(&call("", "a")));
    }

    /// What google-genai sends: calls as they came, with ids, and results without. Broken on purpose: with calls that have
    /// ids not remembered, the result gets an id that no call has; with results that have ids not counted, one call gets two.
    #[test]
    fn a_result_without_an_id_finds_a_call_that_has_one() {
        let mut ids = Ids::new(str::to_uppercase);
        for (id, name) in [("x", "a"), ("y", "a"), ("z", "b"), ("w", "c")] {
            ids.call(&call(id, name));
        }
        assert_eq!(ids.result(&result("x", "a")), "X");
        assert_eq!(ids.result(&result("", "a")), "Y");
        assert_eq!(ids.result(&result("", "c")), "W");
        // No call is of that tool: the next open one.
        assert_eq!(ids.result(&result("", "odd")), "Z");
        assert_eq!(ids.result(&result("", "a")), "call_1");
    }

    /// Broken on purpose: with all open calls looked through for each result, this takes minutes.
    #[test]
    fn many_calls_whose_results_name_other_tools_take_no_time() {
        let mut ids = Ids::new(str::to_owned);
        let many = 200_000;
        for _ in 0..many {
            ids.call(&call("", "a"));
        }
        let last = (0..many).map(|_| ids.result(&result("", "b"))).last();
        assert_eq!(last, Some(format!("call_{many}")));
    }

    #[test]
    fn ids_that_are_there_are_made_fit() {
        let mut ids = Ids::new(str::to_uppercase);
        assert_eq!(ids.call(&call("x", "")), "X");
        assert_eq!(ids.result(&result("x", "")), "X");
    }
}
