//! The calls of a choice: which delta belongs to which.

use serde_json::Value;

use super::super::super::calls::signature_of;
use super::super::wire::{CallChunk, Inner};
use super::{Call, Choice};
use crate::dialect::talk::{Delta, Event, Opening, Own};

impl Choice {
    /// An entry of `tool_calls`.
    pub(in super::super) fn call(&mut self, chunk: CallChunk, to: &mut Vec<Event>) {
        let custom = chunk.custom.is_some();
        let inner = chunk.custom.or(chunk.function).unwrap_or_default();
        let id = chunk.id.unwrap_or_default();
        let name = inner.name.unwrap_or_default();
        let at = self.find_call(chunk.index, &id, !name.is_empty());
        let at = at.unwrap_or_else(|| {
            self.calls.push(Call {
                index: chunk.index,
                id: id.clone(),
                custom,
                piece: None,
                signature: None,
                held: String::new(),
            });
            self.calls.len() - 1
        });
        let signature = chunk.extra_content.as_ref().and_then(signature_of);
        let begun = self.calls.get(at).is_some_and(|call| call.piece.is_some());
        self.open_call(at, id, name, signature.clone(), to);
        let text = match inner.arguments {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text,
            Some(other) => other.to_string(),
        };
        self.arguments(at, text, to);
        let piece = self.calls.get(at).and_then(|call| call.piece).filter(|_| begun);
        if let (Some(signature), Some(piece)) = (signature, piece) {
            self.delta(piece, Delta::Signature(signature), to);
        }
    }

    /// The call that a delta goes on with. Some providers send whole calls without an index, or number all 0; some
    /// (older vLLM) give every delta of one call another id.
    fn find_call(&self, index: Option<u64>, id: &str, named: bool) -> Option<usize> {
        let last = |fits: &dyn Fn(&Call) -> bool| self.calls.iter().rposition(fits);
        if !id.is_empty() {
            let same = last(&|call| call.id == id && (index.is_none() || call.index == index));
            let waits = |call: &Call| call.index == index && call.id.is_empty() && call.piece.is_none();
            return same
                .or_else(|| last(&|call| waits(call) || !named && index.is_some() && call.index == index));
        }
        let at = match index {
            Some(_) => last(&|call| call.index == index),
            None if named => None,
            None => self.calls.len().checked_sub(1),
        };
        // A second name where no call has an id is a second call (Google's Chat endpoint).
        at.filter(|at| {
            !named || self.calls.get(*at).is_some_and(|call| !call.id.is_empty() || call.piece.is_none())
        })
    }

    /// Begins the call once its name is known, for that cannot be told later.
    fn open_call(
        &mut self,
        at: usize,
        id: String,
        name: String,
        signature: Option<Own<String>>,
        to: &mut Vec<Event>,
    ) {
        let Some(call) = self.calls.get_mut(at) else { return };
        if call.piece.is_some() {
            return;
        }
        if call.id.is_empty() {
            call.id = id;
        }
        call.signature = signature.or(call.signature.take());
        if name.is_empty() {
            return;
        }
        self.begin_call(at, name, to);
    }

    fn begin_call(&mut self, at: usize, name: String, to: &mut Vec<Event>) {
        let Some(call) = self.calls.get_mut(at) else { return };
        let signature = call.signature.take();
        let opening = Opening::Call { id: call.id.clone(), name, custom: call.custom, signature };
        let held = std::mem::take(&mut call.held);
        self.close(to);
        let piece = self.begin(opening, to);
        self.seen.calls = true;
        if let Some(call) = self.calls.get_mut(at) {
            call.piece = Some(piece);
        }
        self.arguments(at, held, to);
    }

    /// Ends the calls; one whose name never came begins without.
    pub(super) fn settle_calls(&mut self, to: &mut Vec<Event>) {
        for at in 0..self.calls.len() {
            if self.calls.get(at).is_some_and(|call| call.piece.is_none()) {
                self.begin_call(at, String::new(), to);
            }
            if let Some(piece) = self.calls.get(at).and_then(|call| call.piece) {
                to.push(Event::End { choice: self.index, piece });
            }
        }
    }

    fn arguments(&mut self, at: usize, text: String, to: &mut Vec<Event>) {
        let Some(call) = self.calls.get_mut(at).filter(|_| !text.is_empty()) else { return };
        match call.piece {
            Some(piece) => self.delta(piece, Delta::Arguments(text), to),
            None => call.held.push_str(&text),
        }
    }

    /// The older `function_call`: one call, without id or index.
    pub(in super::super) fn legacy_call(&mut self, inner: Inner, to: &mut Vec<Event>) {
        // Its name comes once; more of it is the same call.
        let inner = Inner { name: inner.name.filter(|_| self.calls.is_empty()), ..inner };
        self.call(CallChunk { function: Some(inner), ..CallChunk::default() }, to);
    }
}
