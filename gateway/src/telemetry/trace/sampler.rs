//! Whether a trace is told of: as its caller decided, and where there is none by a share that may change at any time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry::trace::{Link, SpanKind, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SamplingResult, ShouldSample};

/// A share of all traces, by their ids: who uses the same ids and the same share decides the same. What a replica does of its
/// own accord (a reload, a JOIN) is rare, and told whatever the share is, unless it is none.
#[derive(Clone, Debug)]
pub(crate) struct Share(Arc<AtomicU64>);

impl Share {
    pub(crate) fn new(ratio: f64) -> Share {
        Share(Arc::new(AtomicU64::new(ratio.to_bits())))
    }

    /// From now on another one.
    pub(crate) fn set(&self, ratio: f64) {
        self.0.store(ratio.to_bits(), Ordering::Relaxed);
    }

    /// For traces without a caller; others are told of if their caller is.
    pub(crate) fn sampler(&self) -> Sampler {
        Sampler::ParentBased(Box::new(self.clone()))
    }
}

impl ShouldSample for Share {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let ratio = f64::from_bits(self.0.load(Ordering::Relaxed));
        let is_rare = *kind == SpanKind::Internal && ratio > 0.0;
        let ratio = if is_rare { 1.0 } else { ratio };
        Sampler::TraceIdRatioBased(ratio).should_sample(parent, trace, name, kind, attributes, links)
    }
}
