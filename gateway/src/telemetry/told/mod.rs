//! What a span says of the request and the answer themselves. Neither is read where calls are served: a [`Transcript`] goes
//! along with the span, and whoever sends the span reads it ([`read`]).

mod content;
mod read;
mod transcript;

use std::cell::Cell;

use super::names::Names;
pub(crate) use read::read;
pub(crate) use transcript::{Transcript, room};

/// What goes along with a span.
pub(crate) type Along = (Box<Transcript>, Names);

thread_local! {
    static ALONG: Cell<Option<Along>> = const { Cell::new(None) };
}

/// Ends a span, with something that goes along. (Ending one hands it over to whoever sends it, in the same thread, and
/// what is handed over has no room for more than attributes.)
pub(crate) fn along(what: Option<Along>, end: impl FnOnce()) {
    ALONG.set(what);
    end();
    ALONG.set(None);
}

/// What goes along with the span that ends just now.
pub(crate) fn taken() -> Option<Along> {
    ALONG.take()
}
