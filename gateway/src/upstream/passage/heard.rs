//! A stream of Messages or Gemini's that is so on both sides: its events pass as they are, and are read.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{Fault, Pass, failure_of};
use crate::dialect::gemini::Framing;
use crate::dialect::openai::stream::{Event, Splitter};
use crate::dialect::speech::Reader;
use crate::dialect::talk::{self, Dialect};

#[derive(Debug)]
pub(super) struct Heard {
    splitter: Splitter,
    reader: Reader,
    array: Option<Array>,
}

impl Heard {
    pub(super) fn new(dialect: Dialect, framing: Framing) -> Heard {
        let array = (dialect == Dialect::Gemini && framing == Framing::Array).then(Array::default);
        Heard { splitter: Splitter::default(), reader: Reader::new(dialect), array }
    }

    pub(super) fn push(&mut self, data: Bytes, mut pass: Pass<'_>) -> Result<(), Fault> {
        for event in self.splitter.push(data) {
            hear(&event?, &mut self.reader, self.array.as_mut(), &mut pass)?;
            if pass.seen.done {
                break; // what follows belongs to nobody
            }
        }
        if pass.seen.done {
            self.close(pass.to);
        }
        Ok(())
    }

    pub(super) fn end(&mut self, mut pass: Pass<'_>) -> Result<(), Fault> {
        let whole = pass.to.len();
        if let Some(event) = self.splitter.finish() {
            hear(&event, &mut self.reader, self.array.as_mut(), &mut pass)?;
        }
        let mut events = Vec::new();
        let ended = self.reader.end(&mut events);
        events.iter().for_each(|event| pass.seen.hear(event));
        if pass.seen.done {
            self.close(pass.to);
        } else {
            pass.to.truncate(whole);
        }
        Ok(ended?)
    }

    fn close(&mut self, to: &mut VecDeque<Bytes>) {
        to.extend(self.array.as_mut().and_then(Array::close));
    }
}

/// Reads an event that passes. What cannot be read may be newer than we are; it passes as well.
fn hear(
    event: &Event,
    reader: &mut Reader,
    array: Option<&mut Array>,
    pass: &mut Pass<'_>,
) -> Result<(), Fault> {
    let (name, data) = (event.name(), event.data());
    let mut events = Vec::new();
    if let Some(data) = &data
        && let Err(refused) = reader.read(&name, data, &mut events)
    {
        tracing::debug!(target: "weir::upstream", %refused, "an event is not understood");
    }
    for heard in &events {
        if let talk::Event::Failed { kind, message } = heard {
            let said = data.as_deref().map(|data| (&*name, data));
            let failure = failure_of(said, (kind, message), pass.headers);
            let raw = failure.passed(&event.raw).filter(|_| array.is_none());
            return Err(Fault::Failed { failure: Box::new(failure), raw });
        }
        pass.seen.hear(heard);
    }
    match (array, data) {
        (None, _) => pass.to.push_back(event.raw.clone()),
        (Some(array), Some(data)) if !data.trim_ascii().is_empty() => {
            pass.to.push_back(array.element(data.trim_ascii()));
        }
        (Some(_), _) => {}
    }
    Ok(())
}

/// Server-sent events of Gemini's as the elements of a JSON array, for clients that want that.
#[derive(Debug, Default)]
struct Array {
    begun: bool,
    closed: bool,
}

impl Array {
    fn element(&mut self, json: &[u8]) -> Bytes {
        let before: &[u8] = if std::mem::replace(&mut self.begun, true) { b",\r\n" } else { b"[" };
        [before, json].concat().into()
    }

    fn close(&mut self) -> Option<Bytes> {
        let open = !std::mem::replace(&mut self.closed, true);
        open.then(|| Bytes::from_static(if self.begun { b"]" } else { b"[]" }))
    }
}
