//! A call that is not told of costs no allocation, but for the `traceparent` that its provider gets: who tells a tenth of the calls pays for
//! a tenth.
//! Broken on purpose to see it fail: every call told (`sample_ratio = 1.0` below).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails by panicking")]
#![allow(unsafe_code, reason = "an allocator that counts cannot be written otherwise")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Version};
use weir::config::check;
use weir::telemetry::Otlp;
use weir::telemetry::trace::{Head, Trace, Tracing};

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: all is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn tracing(ratio: &str) -> Arc<Tracing> {
    let text =
        format!("version = 1\n[telemetry]\notlp_endpoint = \"http://127.0.0.1:9\"\nsample_ratio = {ratio}\n");
    let config = check::check(Path::new("weir.toml"), &text, &|_| None).unwrap();
    Otlp::start(&config, "replica").unwrap().unwrap().tracing().unwrap()
}

/// What a call does with its place among traces, from its head to its end.
fn call(tracing: &Arc<Tracing>, headers: &HeaderMap) {
    let trace = tracing.begin(&Head {
        method: &Method::POST,
        path: "/v1/chat/completions",
        route: Some("/v1/chat/completions"),
        version: Version::HTTP_11,
        headers,
        client: [127, 0, 0, 1].into(),
        secure: false,
    });
    let copy = trace.clone();
    copy.denied("capacity", &"".into(), Duration::ZERO);
    copy.settled(Vec::new);
    copy.decided();
    assert!(copy.context().is_none() && matches!(trace, Trace::Untold(_)));
    assert!(copy.ids().is_some());
}

fn allocations(mut what: impl FnMut()) -> usize {
    (0..3).for_each(|_| what()); // what is made once, is made
    let before = COUNT.get();
    what();
    COUNT.get() - before
}

#[test]
fn a_call_that_is_not_told_of_allocates_nothing() {
    let tracing = tracing("0.0");
    let none = allocations(|| drop(Arc::<str>::from("")));
    assert_eq!(none, 1, "the allocator counts");
    let mut headers = HeaderMap::new();
    // (One is the name of a pool in `call`.)
    assert_eq!(allocations(|| call(&tracing, &headers)), 1);
    let unsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    headers.insert("traceparent", HeaderValue::from_static(unsampled));
    headers.insert("tracestate", HeaderValue::from_static("vendor=1"));
    assert_eq!(allocations(|| call(&tracing, &headers)), 1);
}
