//! The books of one replica: what attempts came to, by hour and series, and what of that is still to be told.
//!
//! A book is told as levels: what changed since it was told last, or, when the state has lost it, all of it. When its hour is over
//! nothing is added any more; what had changed is told at once, and some seconds later the last word on it makes it a part of a sum.
//! It is kept for a day after, in case the state loses that.

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
    /// What was told last.
    told: Option<Mark>,
}

/// The book of the hour that goes on.
#[derive(Debug)]
struct Open {
    hour: Hour,
    id: String,
    series: AHashMap<Place, Series>,
    /// How often it was told, as far as is known; none: all of it is to be told.
    times: Option<u64>,
    /// Some tenants count as [`OTHERS`].
    is_full: bool,
}

#[derive(Debug)]
struct Series {
    name: Arc<str>,
    sums: Sums,
    is_told: bool,
}

/// A book of an hour that is over.
#[derive(Debug)]
struct Over {
    hour: Hour,
    id: String,
    series: Arc<[(Arc<str>, Sums)]>,
    /// What had changed when it ended.
    changed: Option<Telling>,
    /// The last word on it was told.
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
    pub series: Arc<[(Arc<str>, Sums)]>,
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

/// What a book's mark says in the state if that has what it was told last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Of which hour.
    pub hour: Hour,
    /// Of which book.
    pub id: String,
    /// How often it was told; none: it is over.
    pub times: Option<u64>,
}

/// What a book of this replica says.
#[derive(Clone, Debug, PartialEq)]
pub struct Level {
    /// Which book.
    pub id: String,
    /// Names of series, and what they came to.
    pub series: Arc<[(Arc<str>, Sums)]>,
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
        if books.open.as_ref().is_none_or(|open| open.is_over(hour)) {
            books.turn();
            books.open = Some(Open::new(hour, &self.replica));
        }
        let Some(open) = &mut books.open else { return };
        open.note(place, &Sums::of(spent));
    }

    /// What has changed by now, in this hour. What it says is taken for told, unless [`Costs::failed`] says otherwise.
    pub fn due(&self, hour: Hour) -> Vec<Telling> {
        let mut books = self.books.lock();
        if books.open.as_ref().is_some_and(|open| open.is_over(hour)) {
            books.turn();
        }
        let mut due: Vec<Telling> = books.over.iter_mut().filter_map(|over| over.changed.take()).collect();
        due.extend(books.open.as_mut().and_then(Open::telling));
        books.forget(hour);
        due
    }

    /// The last word on the oldest book that is over and has none. It is taken for told, unless [`Costs::failed`] says otherwise.
    pub fn last_word(&self) -> Option<Telling> {
        let mut books = self.books.lock();
        books.over.iter_mut().find(|over| !over.is_told).map(Over::telling)
    }

    /// It was told; `times`: how often its book was by now, as the state has it, none if that is over.
    pub fn told(&self, telling: &Telling, times: Option<u64>) {
        let mut books = self.books.lock();
        if let Some(open) = books.open.as_mut().filter(|open| open.id == telling.id) {
            open.times = times;
        }
        books.told = Some(Mark { hour: telling.hour, id: telling.id.clone(), times });
    }

    /// It may not have been told, or not been taken: all of its book is to be told.
    pub fn failed(&self, telling: &Telling) {
        let mut books = self.books.lock();
        if let Some(open) = books.open.as_mut().filter(|open| open.id == telling.id) {
            open.times = None;
        }
        // (The book may have ended since.)
        books.over.iter_mut().filter(|over| over.id == telling.id).for_each(|over| over.is_told = false);
        books.told = books.told.take().filter(|told| told.id != telling.id);
    }

    /// The state has lost what it was told: all there is here is to be told again.
    pub fn anew(&self) {
        let mut books = self.books.lock();
        books.over.iter_mut().for_each(|over| over.is_told = false);
        if let Some(open) = &mut books.open {
            open.times = None;
        }
        books.told = None;
    }

    /// By what it shows whether the state still has all it was told: the mark of what it was told last.
    pub fn probe(&self) -> Option<Mark> {
        let books = self.books.lock();
        let is_kept = |id: &String| {
            books.open.as_ref().is_some_and(|open| open.id == *id)
                || books.over.iter().any(|over| over.id == *id)
        };
        books.told.clone().filter(|told| is_kept(&told.id))
    }

    /// Nothing comes after what there is.
    pub fn close(&self) {
        self.books.lock().turn();
    }

    /// What the books of an hour say.
    pub fn levels(&self, hour: Hour) -> Vec<Level> {
        let books = self.books.lock();
        let over = books.over.iter().filter(|over| over.hour == hour);
        let over = over.map(|over| Level { id: over.id.clone(), series: over.series.clone() });
        let open = books.open.iter().filter(|open| open.hour == hour);
        let open = open.map(|open| Level { id: open.id.clone(), series: open.all() });
        over.chain(open).collect()
    }
}

impl Books {
    /// The open book is over.
    fn turn(&mut self) {
        let Some(mut open) = self.open.take().filter(|open| !open.series.is_empty()) else { return };
        let changed = open.telling();
        self.over.push_back(Over {
            hour: open.hour,
            series: open.all(),
            id: open.id,
            changed,
            is_told: false,
        });
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
        // (What stands behind the first space is the series.)
        let id = format!("{}.{:016x}", replica.replace(' ', "-"), fastrand::u64(..));
        Open { hour, id, series: AHashMap::new(), times: Some(0), is_full: false }
    }

    /// Is its hour over in this one? Who looked at the clock just before the hour began may be late: that opens no other book.
    fn is_over(&self, hour: Hour) -> bool {
        hour > self.hour || hour + 1 < self.hour
    }

    fn note(&mut self, place: &Place, sums: &Sums) {
        if let Some(series) = self.series.get_mut(place) {
            return series.add(sums);
        }
        let (mut tenant, model, deployment) = place.clone();
        if self.series.len() >= MOST && !tenant.is_empty() {
            tenant = OTHERS.into();
            if !std::mem::replace(&mut self.is_full, true) {
                tracing::warn!(
                    target: "weir::cost", hour = self.hour, most = MOST,
                    "more tenants, models and deployments than are told apart: what further tenants spend counts as (others)"
                );
            }
        }
        let place = (tenant, model, deployment);
        self.series.entry(place).or_insert_with_key(Series::new).add(sums);
    }

    fn all(&self) -> Arc<[(Arc<str>, Sums)]> {
        self.series.values().map(|series| (series.name.clone(), series.sums)).collect()
    }

    fn telling(&mut self) -> Option<Telling> {
        let part = self.times.map_or(Part::Whole, Part::Changed);
        let due = self.series.values_mut().filter(|series| part == Part::Whole || !series.is_told);
        let told = |series: &mut Series| {
            series.is_told = true;
            (series.name.clone(), series.sums)
        };
        let series: Arc<[(Arc<str>, Sums)]> = due.map(told).collect();
        (!series.is_empty()).then(|| Telling { hour: self.hour, id: self.id.clone(), part, series })
    }
}

impl Series {
    fn new((tenant, model, deployment): &Place) -> Series {
        let name = name([tenant, model, deployment].map(|name| &**name)).into();
        Series { name, sums: Sums::default(), is_told: false }
    }

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
fn name(place: [&str; 3]) -> String {
    serde_json::json!(place).to_string()
}

/// What a series counts as where there are too many; what is nobody's in particular as it is.
pub(super) fn folded(series: &str) -> String {
    match serde_json::from_str::<[String; 3]>(series) {
        Ok([tenant, model, deployment]) if !tenant.is_empty() => name([OTHERS, &model, &deployment]),
        _ => series.to_owned(),
    }
}

#[cfg(test)]
#[path = "books_tests.rs"]
mod tests;
