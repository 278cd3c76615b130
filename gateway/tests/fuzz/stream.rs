//! Streams on their way to clients of every dialect.

use std::collections::VecDeque;
use std::mem::discriminant;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Map, Value};
use weir::dialect::api::Api;
use weir::dialect::custom::Custom;
use weir::dialect::gemini::Framing;
use weir::dialect::openai::answer::Usage;
use weir::dialect::openai::stream::Splitter;
use weir::dialect::speech::Reader;
use weir::dialect::talk::Dialect;
use weir::error::{Error, Kind};
use weir::upstream::passage::{Fault, Passage};
use weir::upstream::seen::Seen;
use weir::upstream::telling::{Retold, Telling};

use super::cut::same_however_cut;

/// A stream of the dialect `theirs` is told to every client: the same however it is cut; what is told anew is in the
/// client's form to the last byte, also where the stream breaks, and whole only if the client's own reader finds it so.
pub(crate) fn told(theirs: Dialect, input: &[u8]) {
    for telling in tellings(theirs) {
        let told = same_however_cut(input, |pieces| tell(&telling, pieces));
        check(&telling, &told);
    }
}

fn tellings(theirs: Dialect) -> Vec<Telling> {
    let passed = |api, withhold_usage| Telling::Passed { api, withhold_usage };
    let heard = |framing| Telling::Heard { dialect: theirs, framing };
    let mut tellings = match theirs {
        Dialect::Chat => vec![passed(Api::Chat, true), passed(Api::Completions, false)],
        Dialect::Responses => vec![passed(Api::Responses, false)],
        Dialect::Messages => vec![heard(Framing::Sse)],
        Dialect::Gemini => vec![heard(Framing::Sse), heard(Framing::Array)],
        Dialect::Converse => vec![],
    };
    let owns = [Dialect::Chat, Dialect::Responses, Dialect::Messages, Dialect::Gemini];
    tellings
        .extend(owns.into_iter().filter(|own| *own != theirs).map(|own| retold(own, theirs, Framing::Sse)));
    if theirs != Dialect::Gemini {
        tellings.push(retold(Dialect::Gemini, theirs, Framing::Array));
    }
    tellings
}

fn retold(own: Dialect, theirs: Dialect, framing: Framing) -> Telling {
    Telling::Retold(Arc::new(Retold {
        own,
        theirs,
        framing,
        model: "asked".to_owned(),
        wants_usage: true,
        custom: Custom::default(),
        created: 1,
        echoes: Map::new(),
    }))
}

#[derive(Debug, PartialEq)]
struct Told {
    bytes: Vec<u8>,
    content: bool,
    usage: Option<Usage>,
    complete: bool,
    end: End,
    /// What ends it for the client where it is not complete.
    error: Bytes,
}

#[derive(Debug, PartialEq)]
enum End {
    Ended,
    Damaged,
    Failed(std::mem::Discriminant<weir::dialect::failure::Class>),
}

fn tell(telling: &Telling, pieces: &[Bytes]) -> Told {
    fastrand::seed(1); // of ids that are made up
    let mut passage = Passage::new(telling, &HeaderMap::new());
    let (mut seen, mut out) = (Seen::default(), VecDeque::new());
    let mut result = Ok(());
    for piece in pieces {
        result = passage.push(piece.clone(), &mut seen, &mut out);
        if result.is_err() || seen.done {
            break;
        }
    }
    if result.is_ok() && !seen.done {
        result = passage.end(&mut seen, &mut out);
    }
    let end = match result {
        Ok(()) => End::Ended,
        Err(Fault::Damaged(_) | Fault::TooLong(_)) => End::Damaged,
        Err(Fault::Failed { failure, .. }) => End::Failed(discriminant(&failure.class)),
    };
    let broke = Error::new(Kind::UpstreamFailed, "It broke.");
    let whole = seen.complete && end == End::Ended;
    let error = if whole { Bytes::new() } else { passage.error(&broke.told(), &seen) };
    let bytes = out.iter().flat_map(|bytes| bytes.to_vec()).collect();
    Told { bytes, content: seen.content, usage: seen.usage, complete: whole, end, error }
}

fn check(telling: &Telling, told: &Told) {
    let (own, framing) = match telling {
        Telling::Passed { .. } => return,
        // What passes is the upstream's, good or bad; an array around it is ours.
        Telling::Heard { .. } => return,
        Telling::Retold(retold) => (retold.own, retold.framing),
    };
    let all = [&told.bytes[..], &told.error].concat();
    match framing {
        Framing::Sse => events(own, &all, told.complete),
        Framing::Array => {
            let elements: Result<Vec<Value>, _> = serde_json::from_slice(&all);
            assert!(elements.is_ok(), "no array: {:.900}", String::from_utf8_lossy(&all));
        }
    }
}

fn events(own: Dialect, all: &[u8], complete: bool) {
    let text = || String::from_utf8_lossy(all).chars().take(1500).collect::<String>();
    let mut splitter = Splitter::new(usize::MAX);
    let events: Vec<_> = splitter.push(Bytes::copy_from_slice(all)).map(|event| event.unwrap()).collect();
    assert!(splitter.finish().is_none(), "the last event is not ended: {}", text());
    let (mut reader, mut read) = (Reader::new(own), Vec::new());
    for event in &events {
        let Some(data) = event.data() else { continue };
        let json = serde_json::from_slice::<Value>(&data).is_ok();
        assert!(json || own == Dialect::Chat && &*data == b"[DONE]", "no JSON in {}", text());
        let heard = reader.read(&event.name(), &data, &mut read);
        assert!(!complete || heard.is_ok(), "{own:?} does not read what it wrote: {heard:?}: {}", text());
    }
    let end = reader.end(&mut read);
    assert!(!complete || end.is_ok(), "{own:?} does not end what it wrote: {end:?}: {}", text());
}
