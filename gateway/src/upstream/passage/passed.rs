//! A stream in OpenAI's dialects: its events pass as they are, and are glanced at.

use std::time::SystemTime;

use bytes::Bytes;

use super::{Fault, Pass};
use crate::dialect::api::Api;
use crate::dialect::failure::Failure;
use crate::dialect::openai::stream::{Chunk, Event, Splitter, classify};

#[derive(Debug)]
pub(super) struct Passed {
    splitter: Splitter,
    api: Api,
    withhold_usage: bool,
}

impl Passed {
    pub(super) fn new(api: Api, withhold_usage: bool) -> Passed {
        Passed { splitter: Splitter::default(), api, withhold_usage }
    }

    pub(super) fn push(&mut self, data: Bytes, mut pass: Pass<'_>) -> Result<(), Fault> {
        let (api, withhold_usage) = (self.api, self.withhold_usage);
        for event in self.splitter.push(data) {
            glance(event?, api, withhold_usage, &mut pass)?;
            if pass.seen.done {
                break; // what follows belongs to nobody
            }
        }
        Ok(())
    }

    pub(super) fn end(&mut self, mut pass: Pass<'_>) -> Result<(), Fault> {
        let whole = pass.to.len();
        if let Some(event) = self.splitter.finish() {
            glance(event, self.api, self.withhold_usage, &mut pass)?;
        }
        if !pass.seen.complete {
            pass.to.truncate(whole);
        }
        Ok(())
    }
}

fn glance(event: Event, api: Api, withhold_usage: bool, pass: &mut Pass<'_>) -> Result<(), Fault> {
    let chunk = classify(api, &event);
    if let Chunk::Error(error) = &chunk {
        let failure = Failure::of_stream(error, pass.headers, SystemTime::now());
        return Err(Fault::Failed { raw: failure.passed(&event.raw), failure: Box::new(failure) });
    }
    if pass.seen.note(&event, &chunk, withhold_usage) {
        pass.to.push_back(event.raw);
    }
    Ok(())
}
