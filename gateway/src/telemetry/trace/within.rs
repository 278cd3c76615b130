//! A future that belongs to a call: while it is polled the call's span is OpenTelemetry's current one, so that whatever is
//! told meanwhile, by whomever, is told of the call.

use std::pin::Pin;
use std::task;

use opentelemetry::Context;

/// Polls `inner` with the call's span, if it has one.
#[derive(Debug)]
pub struct Within<F> {
    context: Option<Context>,
    inner: F,
}

impl<F> Within<F> {
    /// `inner` in the span of `context`.
    pub fn new(context: Option<&Context>, inner: F) -> Within<F> {
        Within { context: context.cloned(), inner }
    }
}

impl<F: Future + Unpin> Future for Within<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> task::Poll<F::Output> {
        let _current = self.context.clone().map(Context::attach);
        Pin::new(&mut self.inner).poll(cx)
    }
}
