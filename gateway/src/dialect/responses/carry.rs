//! The ids of calls.

use crate::dialect::talk::{Call, ToolResult};

/// The ids of calls in one request: every call must have one here, and every result must name it.
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
            return call.id.clone();
        }
        let id = self.make();
        self.open.push((call.name.clone(), id.clone()));
        id
    }

    /// The id of the call that a result belongs to: without ids, the first one of that tool that has no result.
    pub(super) fn result(&mut self, result: &ToolResult) -> String {
        if !result.id.is_empty() {
            return result.id.clone();
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
