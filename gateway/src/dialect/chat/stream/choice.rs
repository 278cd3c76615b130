//! One choice of a stream that is read: which of its pieces are open.
//!
//! This dialect does not say where a piece ends. Text, reasoning and refusals end when something else begins, so of those
//! one is open at a time; calls stay open to the end, for their deltas may come in any order.

mod calls;

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::answer::{Seen, read_finish};
use super::super::reasoning::proof;
use super::wire::Detail;
use crate::dialect::talk::{Citation, Delta, Dialect, Event, Opening, Own, Part, Piece};

#[derive(Default)]
pub(super) struct Choice {
    pub(super) index: u64,
    next: usize,
    open: Option<(usize, Open)>,
    calls: Vec<Call>,
    finish: Option<String>,
    seen: Seen,
    cited: bool,
}

enum Open {
    Text,
    Refusal,
    Reasoning(Thought),
}

/// Reasoning that is open: of which detail, if it is told in details.
#[derive(Default)]
struct Thought {
    id: Option<String>,
    index: Option<i64>,
    summaries: usize,
    sealed: bool,
}

/// A call, open to the end.
struct Call {
    index: Option<u64>,
    id: String,
    custom: bool,
    /// None until its name is known; what came before is held.
    piece: Option<usize>,
    signature: Option<Own<String>>,
    held: String,
}

impl Choice {
    pub(super) fn new(index: u64) -> Choice {
        Choice { index, ..Choice::default() }
    }

    fn begin(&mut self, opening: Opening, to: &mut Vec<Event>) -> usize {
        let piece = self.next;
        self.next += 1;
        to.push(Event::Begin { choice: self.index, piece, opening });
        piece
    }

    fn delta(&self, piece: usize, delta: Delta, to: &mut Vec<Event>) {
        to.push(Event::Delta { choice: self.index, piece, delta });
    }

    fn close(&mut self, to: &mut Vec<Event>) {
        if let Some((piece, _)) = self.open.take() {
            to.push(Event::End { choice: self.index, piece });
        }
    }

    /// A piece that comes whole.
    pub(super) fn whole(&mut self, piece: Piece, to: &mut Vec<Event>) {
        self.close(to);
        let piece = self.begin(Opening::Whole(Box::new(piece)), to);
        to.push(Event::End { choice: self.index, piece });
    }

    pub(super) fn foreign(&mut self, value: Value, to: &mut Vec<Event>) {
        self.whole(Part::Foreign(Dialect::Chat, value).into(), to);
    }

    fn text_piece(&mut self, to: &mut Vec<Event>) -> usize {
        if let Some((piece, Open::Text)) = self.open {
            return piece;
        }
        self.close(to);
        let piece = self.begin(Opening::Text, to);
        self.open = Some((piece, Open::Text));
        piece
    }

    pub(super) fn text(&mut self, text: String, to: &mut Vec<Event>) {
        if !text.is_empty() {
            let piece = self.text_piece(to);
            self.delta(piece, Delta::Text(text), to);
        }
    }

    /// OpenRouter tells sources before the first word.
    pub(super) fn citation(&mut self, citation: Citation, to: &mut Vec<Event>) {
        self.cited = true;
        let piece = self.text_piece(to);
        self.delta(piece, Delta::Citation(Box::new(citation)), to);
    }

    /// Cites sources that were told beside the text, if it is open and cites none itself.
    pub(super) fn cite(&mut self, sources: impl Iterator<Item = Citation>, to: &mut Vec<Event>) {
        if matches!(self.open, Some((_, Open::Text))) && !self.cited {
            sources.for_each(|source| self.citation(source, to));
        }
    }

    pub(super) fn text_signature(&mut self, signature: Own<String>, to: &mut Vec<Event>) {
        let piece = self.text_piece(to);
        self.delta(piece, Delta::Signature(signature), to);
    }

    pub(super) fn refusal(&mut self, text: String, to: &mut Vec<Event>) {
        if text.is_empty() {
            return;
        }
        self.seen.refusal = true;
        let piece = match self.open {
            Some((piece, Open::Refusal)) => piece,
            _ => {
                self.close(to);
                let piece = self.begin(Opening::Refusal, to);
                self.open = Some((piece, Open::Refusal));
                piece
            }
        };
        self.delta(piece, Delta::Text(text), to);
    }

    /// Reasoning that is told as mere text.
    pub(super) fn reasoning(&mut self, text: String, to: &mut Vec<Event>) {
        if !text.is_empty() {
            let piece = self.thought(None, None, to);
            self.delta(piece, Delta::Text(text), to);
        }
    }

    /// The open reasoning of this id and index, or a new one.
    fn thought(&mut self, id: Option<&str>, index: Option<i64>, to: &mut Vec<Event>) -> usize {
        if let Some((piece, Open::Reasoning(open))) = &self.open {
            let same = if id.is_some() { open.id.as_deref() == id } else { open.index == index };
            if same && !open.sealed {
                return *piece;
            }
        }
        self.close(to);
        let id = id.map(str::to_owned);
        let piece = self.begin(Opening::Reasoning { id: id.clone() }, to);
        self.open = Some((piece, Open::Reasoning(Thought { id, index, ..Thought::default() })));
        piece
    }

    fn open_thought(&mut self) -> Option<&mut Thought> {
        match &mut self.open {
            Some((_, Open::Reasoning(thought))) => Some(thought),
            _ => None,
        }
    }

    /// Which summary of the open reasoning a detail of this index goes on with: another index is the next.
    fn summary(&mut self, index: Option<i64>) -> usize {
        let Some(thought) = self.open_thought() else { return 0 };
        if thought.index != index {
            thought.index = index;
            thought.summaries += 1;
        }
        thought.summaries
    }

    /// An entry of `reasoning_details`.
    pub(super) fn detail(&mut self, value: Value, to: &mut Vec<Event>) {
        let Ok(detail) = Detail::deserialize(&value) else {
            return self.foreign(json!({"reasoning_detail": value}), to);
        };
        let id = detail.id.as_deref().filter(|id| !id.is_empty());
        let said = |text: Option<String>| text.filter(|text| !text.is_empty());
        match detail.kind.as_deref() {
            Some("reasoning.text") => {
                let (text, signature) = (said(detail.text), said(detail.signature));
                if text.is_none() && signature.is_none() {
                    return;
                }
                let piece = self.thought(id, detail.index, to);
                text.into_iter().for_each(|text| self.delta(piece, Delta::Text(text), to));
                if let Some(said) = signature {
                    self.delta(piece, Delta::Signature(proof(detail.format.as_deref(), said)), to);
                }
            }
            Some("reasoning.summary") => {
                let Some(text) = said(detail.summary) else { return };
                let piece = self.thought(id, detail.index, to);
                let which = self.summary(detail.index);
                self.delta(piece, Delta::Summary(which, text), to);
            }
            Some("reasoning.encrypted") => {
                let Some(data) = said(detail.data) else { return };
                let piece = self.thought(id, detail.index, to);
                self.open_thought().into_iter().for_each(|thought| thought.sealed = true);
                self.delta(piece, Delta::Encrypted(proof(detail.format.as_deref(), data)), to);
            }
            _ => self.foreign(json!({"reasoning_detail": value}), to),
        }
    }

    /// Why it ended. The last word counts: some send `stop` along with every chunk, OpenRouter says it twice.
    pub(super) fn finish(&mut self, word: String) {
        if !word.is_empty() {
            self.finish = Some(word);
        }
    }

    pub(super) fn is_finished(&self) -> bool {
        self.finish.is_some()
    }

    /// The end: closes all that is open.
    pub(super) fn settle(&mut self, to: &mut Vec<Event>) {
        self.close(to);
        self.settle_calls(to);
        let finish = read_finish(self.finish.as_deref().unwrap_or("stop"), self.seen);
        to.push(Event::Finish { choice: self.index, finish });
    }
}
