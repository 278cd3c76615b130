use serde_json::Value;

use super::super::{citations, opaque};
use super::gather::{Gathered, grown};
use super::wire::{BlockDelta, BlockStart, Reasoning, Start};
use crate::dialect::talk::{Delta, Dialect, Event, Opening, Own, Refused, base64};

/// The pieces that a stream's blocks are told as.
///
/// Blocks of text and reasoning begin with their first delta, not with an event of their own. Blocks that only this
/// dialect has (what the provider ran itself) and images are gathered, and told whole when they are complete.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    /// Pieces begun so far.
    begun: usize,
    open: Vec<Open>,
}

/// A block that has not stopped.
#[derive(Debug)]
struct Open {
    /// Its number there.
    block: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    /// It began without a word on what it is.
    Announced,
    /// It is told as this piece.
    Told(usize, Kind),
    /// Encrypted reasoning, which may come in parts: its bytes.
    Sealed(usize, Vec<u8>),
    /// It is told when it is complete.
    Gathered(Gathered),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Reasoning,
    Call,
}

/// More blocks are never open at once; those that are there come one behind the other.
const MOST_OPEN: usize = 64;

impl Pieces {
    /// A block begins, with a word on what it is unless that is text or reasoning.
    pub(super) fn start(&mut self, event: BlockStart, to: &mut Vec<Event>) -> Result<(), Refused> {
        let block = event.content_block_index;
        self.stop(block, to)?;
        let state = match event.start {
            Start { tool_use: Some(call), .. } if call.is_clients() => {
                let opening =
                    Opening::Call { id: call.tool_use_id, name: call.name, custom: false, signature: None };
                State::Told(self.begin(opening, to), Kind::Call)
            }
            Start { tool_use: Some(call), .. } => {
                let told =
                    [("toolUseId", Some(call.tool_use_id)), ("name", Some(call.name)), ("type", call.kind)];
                let body = told.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?.into())));
                State::Gathered(Gathered::new("toolUse", body.collect()))
            }
            Start { tool_result: Some(body), .. } => State::Gathered(Gathered::new("toolResult", body)),
            Start { image: Some(body), .. } => State::Gathered(Gathered::new("image", body)),
            Start { .. } => State::Announced,
        };
        self.keep(block, state)
    }

    fn keep(&mut self, block: u64, state: State) -> Result<(), Refused> {
        if self.open.len() >= MOST_OPEN {
            return Err(Refused::whole("Too many blocks of the stream are open at once."));
        }
        self.open.push(Open { block, state });
        Ok(())
    }

    fn begin(&mut self, opening: Opening, to: &mut Vec<Event>) -> usize {
        let piece = self.begun;
        self.begun += 1;
        to.push(Event::Begin { choice: 0, piece, opening });
        piece
    }

    /// More of a block, by an event of `size` bytes.
    pub(super) fn delta(
        &mut self,
        event: BlockDelta<'_>,
        size: usize,
        to: &mut Vec<Event>,
    ) -> Result<(), Refused> {
        let (block, delta) = (event.content_block_index, event.delta);
        // An empty text begins no piece: some clients would send it back, and be refused.
        if let Some(text) = delta.text.filter(|text| !text.is_empty()) {
            self.add(block, Kind::Text, Some(Delta::Text(text.into_owned())), to)?;
        }
        if let Some(reasoning) = delta.reasoning_content {
            self.reason(block, reasoning, to)?;
        }
        if let Some(call) = delta.tool_use {
            self.arguments(block, call.input.into_owned(), to)?;
        }
        if let Some(citation) = delta.citation {
            let delta = Delta::Citation(Box::new(citations::citation(citation)));
            self.add(block, Kind::Text, Some(delta), to)?;
        }
        if let Some(more) = delta.tool_result {
            self.gather(block, "content", Value::Array(more), size)?;
        }
        for (name, value) in delta.image.into_iter().flatten() {
            self.gather(block, &name, value, size)?;
        }
        Ok(())
    }

    fn reason(&mut self, block: u64, delta: Reasoning<'_>, to: &mut Vec<Event>) -> Result<(), Refused> {
        if let Some(text) = delta.text.filter(|text| !text.is_empty()) {
            self.add(block, Kind::Reasoning, Some(Delta::Text(text.into_owned())), to)?;
        }
        if let Some(signature) = delta.signature {
            let delta = Delta::Signature(Own::new(Dialect::Converse, signature));
            self.add(block, Kind::Reasoning, Some(delta), to)?;
        }
        let Some(more) = delta.redacted_content else { return Ok(()) };
        let more = base64::decode(&more)
            .ok_or_else(|| Refused::whole("contentBlockDelta: `redactedContent` is not base64."))?;
        if let Some(Open { state: State::Sealed(_, bytes), .. }) = self.of(block) {
            grown(bytes.len(), more.len())?;
            bytes.extend(more);
            return Ok(());
        }
        let piece = match self.of(block) {
            Some(Open { state: State::Told(piece, Kind::Reasoning), .. }) => *piece,
            _ => {
                self.stop(block, to)?;
                self.begin(Opening::Reasoning { id: None }, to)
            }
        };
        self.open.retain(|open| open.block != block);
        self.keep(block, State::Sealed(piece, more))
    }

    fn of(&mut self, block: u64) -> Option<&mut Open> {
        self.open.iter_mut().find(|open| open.block == block)
    }

    /// Adds to the piece that a block is told as, and begins it if need be.
    fn add(
        &mut self,
        block: u64,
        kind: Kind,
        delta: Option<Delta>,
        to: &mut Vec<Event>,
    ) -> Result<(), Refused> {
        let piece = match self.of(block) {
            Some(Open { state: State::Told(piece, told), .. }) if *told == kind => *piece,
            Some(Open { state: State::Sealed(piece, _), .. }) if kind == Kind::Reasoning => *piece,
            _ if kind == Kind::Call => {
                return Err(Refused::whole(
                    "contentBlockDelta: arguments came without the call that they are of.",
                ));
            }
            _ => {
                self.stop(block, to)?;
                let opening =
                    if kind == Kind::Text { Opening::Text } else { Opening::Reasoning { id: None } };
                let piece = self.begin(opening, to);
                self.keep(block, State::Told(piece, kind))?;
                piece
            }
        };
        to.extend(delta.map(|delta| Event::Delta { choice: 0, piece, delta }));
        Ok(())
    }

    fn arguments(&mut self, block: u64, more: String, to: &mut Vec<Event>) -> Result<(), Refused> {
        if let Some(Open { state: State::Gathered(whole), .. }) = self.of(block) {
            return whole.argue(&more);
        }
        self.add(block, Kind::Call, (!more.is_empty()).then_some(Delta::Arguments(more)), to)
    }

    fn gather(&mut self, block: u64, name: &str, value: Value, size: usize) -> Result<(), Refused> {
        match self.of(block) {
            Some(Open { state: State::Gathered(whole), .. }) => whole.add(name, value, size),
            _ => Err(Refused::whole("contentBlockDelta: a part came without the block that it is of.")),
        }
    }

    /// A block is complete.
    pub(super) fn stop(&mut self, block: u64, to: &mut Vec<Event>) -> Result<(), Refused> {
        let Some(at) = self.open.iter().position(|open| open.block == block) else { return Ok(()) };
        match self.open.remove(at).state {
            State::Announced => {}
            State::Told(piece, _) => to.push(Event::End { choice: 0, piece }),
            State::Sealed(piece, bytes) => {
                let delta = Delta::Encrypted(Own::new(Dialect::Converse, opaque::opaque(bytes)));
                to.push(Event::Delta { choice: 0, piece, delta });
                to.push(Event::End { choice: 0, piece });
            }
            State::Gathered(whole) => {
                let piece = self.begin(Opening::Whole(Box::new(whole.piece()?)), to);
                to.push(Event::End { choice: 0, piece });
            }
        }
        Ok(())
    }

    /// The answer is complete, and with it what is open still.
    pub(super) fn stop_all(&mut self, to: &mut Vec<Event>) -> Result<(), Refused> {
        while let Some(open) = self.open.first() {
            self.stop(open.block, to)?;
        }
        Ok(())
    }
}
