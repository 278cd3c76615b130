//! What a reader knows of the items that have begun. Providers tell everything several times (deltas, `done` events, the
//! item, the response), and each leaves out something else: so all of them are read, and only what is new is passed on.

use serde_json::Value;

use crate::dialect::responses::citations;
use crate::dialect::talk::{Delta, Event, Opening};

/// What a place holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    Text,
    Refusal,
    Arguments,
    /// A reasoning item.
    Reasoning,
    /// A text in it.
    Thought,
    /// A summary in it: which, from 0.
    Summary(usize),
}

/// A place where text grows.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) holds: Holds,
    /// Its index in the item, as the provider counts.
    pub(super) index: u64,
    piece: usize,
    /// Bytes told.
    told: usize,
    /// Citations told.
    cited: usize,
    /// It owns its piece, which is not complete.
    open: bool,
}

/// An item that has begun.
#[derive(Debug, Default)]
pub(super) struct Item {
    pub(super) id: String,
    places: Vec<Place>,
    pub(super) done: bool,
}

impl Item {
    pub(super) fn new(id: String) -> Item {
        Item { id, ..Item::default() }
    }

    pub(super) fn place(&mut self, holds: Holds, index: u64) -> Option<&mut Place> {
        let same = |place: &Place| place.index == index && kind(place.holds) == kind(holds);
        // The latest is what is asked for nearly always.
        self.places.iter_mut().rev().find(|place| same(place))
    }

    /// The first place, which owns the item's piece where there is only one.
    pub(super) fn owner(&mut self) -> Option<&mut Place> {
        self.places.first_mut()
    }

    /// Begins a piece.
    pub(super) fn begin(
        &mut self,
        holds: Holds,
        index: u64,
        piece: usize,
        opening: Opening,
        to: &mut Vec<Event>,
    ) {
        self.places.push(Place { holds, index, piece, told: 0, cited: 0, open: true });
        to.push(Event::Begin { choice: 0, piece, opening });
    }

    /// Begins a text inside the item's piece.
    pub(super) fn begin_inner(&mut self, holds: Holds, index: u64) {
        let Some(piece) = self.places.first().map(|owner| owner.piece) else { return };
        let summary =
            |place: &Place| if let Holds::Summary(which) = place.holds { Some(which + 1) } else { None };
        let before = self.places.iter().rev().find_map(summary).unwrap_or(0);
        let holds = if kind(holds) == kind(Holds::Summary(0)) { Holds::Summary(before) } else { holds };
        self.places.push(Place { holds, index, piece, told: 0, cited: 0, open: false });
    }

    /// Ends all pieces that are open.
    pub(super) fn close(&mut self, to: &mut Vec<Event>) {
        self.done = true;
        for place in &mut self.places {
            place.close(to);
        }
    }
}

fn kind(holds: Holds) -> std::mem::Discriminant<Holds> {
    std::mem::discriminant(&holds)
}

impl Place {
    /// More text.
    pub(super) fn add(&mut self, text: &str, to: &mut Vec<Event>) {
        if text.is_empty() {
            return;
        }
        self.told += text.len();
        let text = text.to_owned();
        self.tell(
            match self.holds {
                Holds::Arguments => Delta::Arguments(text),
                Holds::Summary(which) => Delta::Summary(which, text),
                _ => Delta::Text(text),
            },
            to,
        );
    }

    /// The whole text: what of it was not told yet is.
    pub(super) fn complete(&mut self, whole: &str, to: &mut Vec<Event>) {
        if let Some(rest) = whole.get(self.told..) {
            self.add(rest, to);
        }
    }

    pub(super) fn cite(&mut self, annotation: Value, to: &mut Vec<Event>) {
        self.cited += 1;
        self.tell(Delta::Citation(Box::new(citations::read(annotation))), to);
    }

    /// All citations: those not told yet are.
    pub(super) fn cite_all(&mut self, annotations: &[Value], to: &mut Vec<Event>) {
        for annotation in annotations.iter().skip(self.cited) {
            self.cite(annotation.clone(), to);
        }
    }

    pub(super) fn tell(&self, delta: Delta, to: &mut Vec<Event>) {
        to.push(Event::Delta { choice: 0, piece: self.piece, delta });
    }

    pub(super) fn close(&mut self, to: &mut Vec<Event>) {
        if std::mem::take(&mut self.open) {
            to.push(Event::End { choice: 0, piece: self.piece });
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.open
    }
}
