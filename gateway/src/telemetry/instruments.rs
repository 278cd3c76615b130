//! How instruments are made: of a name, and what it says. (The exporter adds `_total` and `_seconds` to names.)

use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter};

use super::levels::Levels;

/// What makes them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Make<'m>(pub(super) &'m Meter);

impl Make<'_> {
    pub(super) fn count(self, name: &'static str, text: &'static str) -> Counter<u64> {
        self.0.u64_counter(name).with_description(text).build()
    }

    pub(super) fn dollars(self, name: &'static str, text: &'static str) -> Counter<f64> {
        self.0.f64_counter(name).with_description(text).build()
    }

    pub(super) fn level(self, name: &'static str, text: &'static str) -> Gauge<u64> {
        self.0.u64_gauge(name).with_description(text).build()
    }

    /// Of things that come and go; what is not there any more is shown as `gone`.
    pub(super) fn levels(self, name: &'static str, text: &'static str, gone: f64) -> Levels {
        Levels::new(self.0.f64_gauge(name).with_description(text).build(), gone)
    }

    pub(super) fn seconds(self, name: &'static str, text: &'static str, bounds: &[f64]) -> Histogram<f64> {
        let builder = self.0.f64_histogram(name).with_unit("s").with_description(text);
        builder.with_boundaries(bounds.to_vec()).build()
    }

    pub(super) fn tokens(self, name: &'static str, text: &'static str, bounds: &[f64]) -> Histogram<f64> {
        self.0.f64_histogram(name).with_description(text).with_boundaries(bounds.to_vec()).build()
    }
}
