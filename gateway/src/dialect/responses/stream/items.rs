//! Reading what events say of items.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use super::seen::{Holds, Item, Place};
use crate::dialect::responses::parts;
use crate::dialect::talk::carry::{Parcel, split_id};
use crate::dialect::talk::{Delta, Dialect, Event, Opening, Own, Part, Piece};

/// All items of a stream, by their place in the output.
#[derive(Debug, Default)]
pub(super) struct Items {
    by_index: BTreeMap<u64, Item>,
    /// The ids of those that were told whole.
    done: HashSet<String>,
    /// Pieces begun.
    pieces: usize,
    /// The model calls a tool.
    pub(super) calls: bool,
    /// The model declines.
    pub(super) refusal: bool,
}

fn text<'a>(of: &'a Value, name: &str) -> &'a str {
    of.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn number(of: &Value, name: &str) -> u64 {
    of.get(name).and_then(Value::as_u64).unwrap_or(0)
}

fn list<'a>(of: &'a Value, name: &str) -> &'a [Value] {
    of.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

impl Items {
    /// Where an event's item is: by `output_index`, else by `item_id`, else the last.
    fn index(&self, event: &Value) -> u64 {
        let by_id = || {
            let id = text(event, "item_id");
            let mut known = self.by_index.iter().rev();
            known.find(|(_, item)| id.is_empty() || item.id == id).map(|(index, _)| *index)
        };
        let said = event.get("output_index").and_then(Value::as_u64);
        said.or_else(by_id).unwrap_or(self.by_index.len() as u64)
    }

    /// `response.output_item.added`.
    pub(super) fn added(&mut self, event: &Value, to: &mut Vec<Event>) {
        let Some(item) = event.get("item") else { return };
        let index = event.get("output_index").and_then(Value::as_u64).unwrap_or(self.by_index.len() as u64);
        self.begin(index, item, to);
    }

    fn begin(&mut self, index: u64, item: &Value, to: &mut Vec<Event>) {
        let id = text(item, "id").to_owned();
        let new = Item::new(id);
        if let Some(mut old) = self.by_index.insert(index, new) {
            old.close(to);
        }
        match text(item, "type") {
            "reasoning" => self.reasoning(index, to),
            "function_call" => self.call(index, item, false, to),
            "custom_tool_call" => self.call(index, item, true, to),
            // The parts of a message come by themselves, other items when they are whole.
            _ => {}
        }
    }

    fn next_piece(&mut self) -> usize {
        self.pieces += 1;
        self.pieces - 1
    }

    fn call(&mut self, index: u64, item: &Value, custom: bool, to: &mut Vec<Event>) {
        self.calls = true;
        let piece = self.next_piece();
        let (id, signature) = split_id(text(item, "call_id").to_owned());
        let opening = Opening::Call { id, name: text(item, "name").to_owned(), custom, signature };
        let entry = self.by_index.entry(index).or_default();
        entry.begin(Holds::Arguments, 0, piece, opening, to);
    }

    fn reasoning(&mut self, index: u64, to: &mut Vec<Event>) {
        let piece = self.next_piece();
        let entry = self.by_index.entry(index).or_default();
        let id = (!entry.id.is_empty()).then(|| entry.id.clone());
        entry.begin(Holds::Reasoning, 0, piece, Opening::Reasoning { id }, to);
    }

    /// The place in the item `index`, begun if it was not; none if the item is of another kind.
    fn place(&mut self, index: u64, holds: Holds, at: u64, to: &mut Vec<Event>) -> Option<&mut Place> {
        let known = self.by_index.get_mut(&index).is_some_and(|item| item.place(holds, at).is_some());
        if !known {
            match holds {
                Holds::Text | Holds::Refusal => {
                    self.refusal |= holds == Holds::Refusal;
                    let opening = if holds == Holds::Text { Opening::Text } else { Opening::Refusal };
                    let piece = self.next_piece();
                    self.by_index.entry(index).or_default().begin(holds, at, piece, opening, to);
                }
                Holds::Thought | Holds::Summary(_) => {
                    if self.by_index.get_mut(&index).is_none_or(|item| item.owner().is_none()) {
                        self.reasoning(index, to);
                    }
                    self.by_index.get_mut(&index)?.begin_inner(holds, at);
                }
                // A call nobody named cannot be made.
                Holds::Arguments | Holds::Reasoning => return None,
            }
        }
        self.by_index.get_mut(&index)?.place(holds, at)
    }

    /// The place an event belongs to, if it can still grow.
    fn growing(&mut self, event: &Value, holds: Holds, to: &mut Vec<Event>) -> Option<&mut Place> {
        let index = self.index(event);
        if self.by_index.get(&index).is_some_and(|item| item.done) {
            return None;
        }
        let inner = match holds {
            Holds::Arguments => 0,
            Holds::Summary(_) => number(event, "summary_index"),
            _ => number(event, "content_index"),
        };
        self.place(index, holds, inner, to)
    }

    /// An event that brings more text, in `delta`.
    pub(super) fn delta(&mut self, event: &Value, holds: Holds, to: &mut Vec<Event>) {
        let more = text(event, "delta");
        // Some providers end a part twice or send an empty delta behind it.
        if let Some(place) = self.growing(event, holds, to).filter(|_| !more.is_empty()) {
            place.add(more, to);
        }
        let tokens = list(event, "logprobs");
        if !tokens.is_empty() {
            to.push(Event::Logprobs { choice: 0, tokens: tokens.to_vec() });
        }
    }

    /// An event that brings the whole text, in `name`.
    pub(super) fn done(&mut self, event: &Value, holds: Holds, name: &str, to: &mut Vec<Event>) {
        if let Some(place) = self.growing(event, holds, to) {
            place.complete(text(event, name), to);
        }
    }

    /// `response.output_text.annotation.added`.
    pub(super) fn annotation(&mut self, event: &Value, to: &mut Vec<Event>) {
        let Some(annotation) = event.get("annotation").filter(|annotation| annotation.is_object()) else {
            return;
        };
        if let Some(place) = self.growing(event, Holds::Text, to) {
            place.cite(annotation.clone(), to);
        }
    }

    /// `response.content_part.added` and `.done`.
    pub(super) fn part(&mut self, event: &Value, whole: bool, to: &mut Vec<Event>) {
        let Some(part) = event.get("part") else { return };
        let index = self.index(event);
        if self.by_index.get(&index).is_none_or(|item| !item.done) {
            self.read_part(index, number(event, "content_index"), part, whole, to);
        }
    }

    fn read_part(&mut self, index: u64, at: u64, part: &Value, whole: bool, to: &mut Vec<Event>) {
        let (holds, name) = match text(part, "type") {
            "output_text" | "text" => (Holds::Text, "text"),
            "refusal" => (Holds::Refusal, "refusal"),
            "reasoning_text" => (Holds::Thought, "text"),
            // Foreign: it comes with its item.
            _ => return,
        };
        let Some(place) = self.place(index, holds, at, to) else { return };
        place.complete(text(part, name), to);
        if whole && place.is_open() {
            place.cite_all(list(part, "annotations"), to);
            place.close(to);
        }
    }

    /// `response.output_item.done`.
    pub(super) fn item(&mut self, event: &Value, to: &mut Vec<Event>) {
        if let Some(item) = event.get("item") {
            self.whole(self.index(event), item, to);
        }
    }

    /// The items of a whole response: those that no event told of.
    pub(super) fn output(&mut self, output: &[Value], to: &mut Vec<Event>) {
        for (index, item) in output.iter().enumerate() {
            let index = index as u64;
            let id = text(item, "id");
            let known =
                if id.is_empty() { self.by_index.contains_key(&index) } else { self.done.contains(id) };
            // Ids that change on the way (seen with proxies) must not double the answer.
            if !known && self.by_index.get(&index).is_none_or(|item| !item.done) {
                self.whole(index, item, to);
            }
        }
        for item in self.by_index.values_mut() {
            item.close(to);
        }
    }

    /// An item with all it has.
    fn whole(&mut self, index: u64, item: &Value, to: &mut Vec<Event>) {
        let id = text(item, "id");
        match self.by_index.get(&index) {
            Some(known) if known.id == id || id.is_empty() || !known.done => {
                if known.done {
                    return;
                }
            }
            _ => self.begin(index, item, to),
        }
        match text(item, "type") {
            "message" => self.whole_message(index, item, to),
            "function_call" => self.whole_call(index, item, false, to),
            "custom_tool_call" => self.whole_call(index, item, true, to),
            "reasoning" => self.whole_reasoning(index, item, to),
            _ => self.tell_whole(Part::Foreign(Dialect::Responses, item.clone()).into(), to),
        }
        self.done.insert(id.to_owned());
        if let Some(entry) = self.by_index.get_mut(&index) {
            entry.close(to);
        }
    }

    fn tell_whole(&mut self, piece: Piece, to: &mut Vec<Event>) {
        let number = self.next_piece();
        to.push(Event::Begin { choice: 0, piece: number, opening: Opening::Whole(Box::new(piece)) });
        to.push(Event::End { choice: 0, piece: number });
    }

    fn whole_message(&mut self, index: u64, item: &Value, to: &mut Vec<Event>) {
        for (at, part) in list(item, "content").iter().enumerate() {
            match text(part, "type") {
                "output_text" | "text" | "refusal" => self.read_part(index, at as u64, part, true, to),
                _ => self.tell_whole(parts::foreign(part.clone()), to),
            }
        }
    }

    fn whole_call(&mut self, index: u64, item: &Value, custom: bool, to: &mut Vec<Event>) {
        if self.by_index.get_mut(&index).is_none_or(|entry| entry.owner().is_none()) {
            self.call(index, item, custom, to);
        }
        let owner = self.by_index.get_mut(&index).and_then(Item::owner);
        if let Some(owner) = owner.filter(|owner| owner.holds == Holds::Arguments) {
            owner.complete(text(item, if custom { "input" } else { "arguments" }), to);
        }
    }

    fn whole_reasoning(&mut self, index: u64, item: &Value, to: &mut Vec<Event>) {
        if self.by_index.get_mut(&index).is_none_or(|entry| entry.owner().is_none()) {
            self.reasoning(index, to);
        }
        let inner = [("summary", Holds::Summary(0)), ("content", Holds::Thought)];
        for (name, holds) in inner {
            for (at, part) in list(item, name).iter().enumerate() {
                if let Some(place) = self.place(index, holds, at as u64, to) {
                    place.complete(text(part, "text"), to);
                }
            }
        }
        // Only now: what `added` has of it is not the whole.
        let encrypted = text(item, "encrypted_content");
        let owner = self.by_index.get_mut(&index).and_then(Item::owner);
        let Some(owner) = owner.filter(|_| !encrypted.is_empty()) else { return };
        let parcel = Parcel::open(encrypted).unwrap_or_else(|| Parcel {
            encrypted: Some(Own::new(Dialect::Responses, encrypted)),
            ..Parcel::default()
        });
        parcel.signature.into_iter().for_each(|proof| owner.tell(Delta::Signature(proof), to));
        parcel.encrypted.into_iter().for_each(|proof| owner.tell(Delta::Encrypted(proof), to));
    }
}
