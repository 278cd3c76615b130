//! The books of one replica: what attempts came to, by hour and series, and what of that is still to be told.
//!
//! A book is told as levels: what changed since it was told last, or, when the state has lost it, all of it. When its hour is over
//! nothing is added any more, and the last word on it adds it to a sum. It is kept for a day after, in case the state loses that.

use std::collections::VecDeque;
use std::sync::Arc;

use ahash::AHashMap;
use parking_lot::Mutex;

use super::{Hour, Place, Spent, Sums};

/// Series of one book. The tenants of any more count as one, [`OTHERS`]; those of models and deployments come from the file.
const MOST: usize = 1_000;
/// Whom tenants beyond the bound count for. (No tenant is called so: a name has no brackets.)
pub const OTHERS: &str = "(others)";
/// Books that are over are kept for so many hours.
const KEPT: usize = 24;

/// What one replica's attempts cost. Survives reloads.
#[derive(Debug)]
pub struct Costs {
    replica: String,
    books: Mutex<Books>, // short sections
}

#[derive(Debug, Default)]
struct Books {
    open: Option<Open>,
    /// The oldest first.
    over: VecDeque<Over>,
}

/// The book of the hour that goes on.
#[derive(Debug)]
struct Open {
    hour: Hour,
    id: String,
    series: AHashMap<Place, Series>,
    /// How often it was told, as far as is known; none: all of it is to be told.
    times: Option<u64>,
}

#[derive(Debug, Default)]
struct Series {
    sums: Sums,
    is_told: bool,
}

/// A book of an hour that is over.
#[derive(Debug)]
struct Over {
    hour: Hour,
    id: String,
    series: Arc<[(String, Sums)]>,
    is_told: bool,
}

/// Something to be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Telling {
    /// Of which hour.
    pub hour: Hour,
    /// Of which book.
    pub id: String,
    /// What of it.
    pub part: Part,
    /// Names of series, and what they came to.
    pub series: Arc<[(String, Sums)]>,
}

/// What is told of a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What has changed since it was told so many times.
    Changed(u64),
    /// All of it.
    Whole,
    /// All of it, and nothing comes after.
    Last,
}

/// What a book of this replica says.
#[derive(Clone, Debug, PartialEq)]
pub struct Level {
    /// Of which hour.
    pub hour: Hour,
    /// Which book.
    pub id: String,
    /// Names of series, and what they came to.
    pub series: Arc<[(String, Sums)]>,
}

impl Costs {
    /// Of a replica.
    pub fn new(replica: &str) -> Costs {
        Costs { replica: replica.to_owned(), books: Mutex::default() }
    }

    /// Another attempt has come to this, in this hour.
    pub fn note(&self, place: &Place, spent: &Spent, hour: Hour) {
        let mut books = self.books.lock();
        let books = &mut *books;
        if books.open.as_ref().is_none_or(|open| open.hour != hour) {
            books.turn();
            books.open = Some(Open::new(hour, &self.replica));
        }
        let Some(open) = &mut books.open else { return };
        open.note(place, &Sums::of(spent));
    }

    /// What is to be told now that this hour goes on. What it says is taken for told, unless [`Costs::failed`] says otherwise.
    pub fn due(&self, hour: Hour) -> Vec<Telling> {
        let mut books = self.books.lock();
        if books.open.as_ref().is_some_and(|open| open.hour != hour) {
            books.turn();
        }
        let over = books.over.iter_mut().filter(|over| !over.is_told).map(Over::telling);
        let mut due: Vec<Telling> = over.collect();
        due.extend(books.open.as_mut().and_then(Open::telling));
        books.forget(hour);
        due
    }

    /// It was told; `times`: how often by now, as the state has it.
    pub fn told(&self, telling: &Telling, times: u64) {
        if let Some(open) = self.books.lock().open.as_mut().filter(|open| open.id == telling.id) {
            open.times = Some(times);
        }
    }

    /// It may not have been told, or not been taken: all of its book is to be told.
    pub fn failed(&self, telling: &Telling) {
        let mut books = self.books.lock();
        if let Some(open) = books.open.as_mut().filter(|open| open.id == telling.id) {
            open.times = None;
        }
        // (The book may have ended since.)
        books.over.iter_mut().filter(|over| over.id == telling.id).for_each(|over| over.is_told = false);
    }

    /// The state has lost what it was told: all there is here is to be told again.
    pub fn anew(&self) {
        let mut books = self.books.lock();
        books.over.iter_mut().for_each(|over| over.is_told = false);
        if let Some(open) = &mut books.open {
            open.times = None;
        }
    }

    /// A book that was told, by which it shows whether the state still knows: the newest.
    pub fn probe(&self) -> Option<(Hour, String)> {
        let books = self.books.lock();
        let open = books.open.as_ref().filter(|open| open.times.is_some_and(|times| times > 0));
        let over = || books.over.back().filter(|over| over.is_told).map(|over| (over.hour, over.id.clone()));
        open.map(|open| (open.hour, open.id.clone())).or_else(over)
    }

    /// Nothing comes after what there is.
    pub fn close(&self) {
        self.books.lock().turn();
    }

    /// What the books say.
    pub fn levels(&self) -> Vec<Level> {
        let books = self.books.lock();
        let of = |over: &Over| Level { hour: over.hour, id: over.id.clone(), series: over.series.clone() };
        let open = books.open.as_ref().map(|o| Level { hour: o.hour, id: o.id.clone(), series: o.all() });
        books.over.iter().map(of).chain(open).collect()
    }
}

impl Books {
    /// The open book is over.
    fn turn(&mut self) {
        let Some(open) = self.open.take().filter(|open| !open.series.is_empty()) else { return };
        self.over.push_back(Over { hour: open.hour, series: open.all(), id: open.id, is_told: false });
    }

    /// Lets go of books that were told long ago; of those that could not be told, of the oldest beyond the bound.
    fn forget(&mut self, hour: Hour) {
        let is_old = |over: &Over| over.hour + KEPT as u64 <= hour;
        while self.over.front().is_some_and(|over| over.is_told && is_old(over)) || self.over.len() > 2 * KEPT
        {
            if let Some(lost) = self.over.pop_front().filter(|over| !over.is_told) {
                tracing::warn!(target: "weir::cost", hour = lost.hour, "what an hour cost could not be told, and is forgotten");
            }
        }
    }
}

impl Open {
    fn new(hour: Hour, replica: &str) -> Open {
        let id = format!("{replica}.{:016x}", fastrand::u64(..));
        Open { hour, id, series: AHashMap::new(), times: Some(0) }
    }

    fn note(&mut self, place: &Place, sums: &Sums) {
        if let Some(series) = self.series.get_mut(place) {
            return series.add(sums);
        }
        let (mut tenant, model, deployment) = place.clone();
        if self.series.len() >= MOST {
            tenant = OTHERS.into();
        }
        self.series.entry((tenant, model, deployment)).or_default().add(sums);
    }

    fn all(&self) -> Arc<[(String, Sums)]> {
        self.series.iter().map(|(place, series)| (name(place), series.sums)).collect()
    }

    fn telling(&mut self) -> Option<Telling> {
        let part = self.times.map_or(Part::Whole, Part::Changed);
        let due = self.series.iter_mut().filter(|(_, series)| part == Part::Whole || !series.is_told);
        let told = |(place, series): (&Place, &mut Series)| {
            series.is_told = true;
            (name(place), series.sums)
        };
        let series: Arc<[(String, Sums)]> = due.map(told).collect();
        (!series.is_empty()).then(|| Telling { hour: self.hour, id: self.id.clone(), part, series })
    }
}

impl Series {
    fn add(&mut self, sums: &Sums) {
        self.sums.add(sums);
        self.is_told = false;
    }
}

impl Over {
    fn telling(&mut self) -> Telling {
        self.is_told = true;
        Telling { hour: self.hour, id: self.id.clone(), part: Part::Last, series: self.series.clone() }
    }
}

/// As it is told: names hold anything but are few.
fn name((tenant, model, deployment): &Place) -> String {
    serde_json::json!([**tenant, **model, **deployment]).to_string()
}

#[cfg(test)]
#[path = "books_tests.rs"]
mod tests;
