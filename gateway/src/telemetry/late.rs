//! An instrument that is bound to its labels when something comes to it. The SDK shows what is bound, also where nothing ever came:
//! a histogram of nothing has the largest number for its least value.

use std::fmt;
use std::sync::OnceLock;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{BoundCounter, BoundHistogram, Counter, Histogram};

/// What can be bound.
pub(super) trait Bind: Clone {
    type Bound;
    fn bound_to(&self, labels: &[KeyValue]) -> Self::Bound;
}

impl<T: Clone> Bind for Counter<T> {
    type Bound = BoundCounter<T>;

    fn bound_to(&self, labels: &[KeyValue]) -> BoundCounter<T> {
        self.bind(labels)
    }
}

impl<T: Clone> Bind for Histogram<T> {
    type Bound = BoundHistogram<T>;

    fn bound_to(&self, labels: &[KeyValue]) -> BoundHistogram<T> {
        self.bind(labels)
    }
}

/// Bound when it is used first.
pub(super) struct Late<I: Bind> {
    instrument: I,
    labels: Vec<KeyValue>,
    bound: OnceLock<I::Bound>,
}

impl<I: Bind> Late<I> {
    pub(super) fn new(instrument: &I, labels: &[KeyValue]) -> Late<I> {
        Late { instrument: instrument.clone(), labels: labels.to_vec(), bound: OnceLock::new() }
    }

    fn get(&self) -> &I::Bound {
        self.bound.get_or_init(|| self.instrument.bound_to(&self.labels))
    }
}

impl<T: Clone> Late<Counter<T>> {
    pub(super) fn add(&self, value: T) {
        self.get().add(value);
    }
}

impl<T: Clone> Late<Histogram<T>> {
    pub(super) fn record(&self, value: T) {
        self.get().record(value);
    }
}

impl<I: Bind> fmt::Debug for Late<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Late").field("labels", &self.labels).finish_non_exhaustive()
    }
}
