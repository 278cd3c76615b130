//! The raw arrival log: one record per request, written from arrival on, so that calls in flight show too.
//!
//! A judge reads this log and computes every window by itself; the charge events are there only to compare.

use super::faults::Route;
use serde::ser::{Serialize, SerializeStruct, Serializer};
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

/// One request. All instants are Unix microseconds.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) seq: u64,
    /// First 8 hex digits of the key's SHA-256, or `none`.
    pub(super) key: Arc<str>,
    pub(super) route: Route,
    /// Port at the other end of its connection: who keeps connections shows by it.
    pub(super) peer: u16,
    pub(super) arrival_us: u64,
    pub(super) headers_us: Option<u64>,
    pub(super) end_us: Option<u64>,
    /// Status sent; 0 while none was.
    pub(super) status: u16,
    pub(super) reason: &'static str,
    pub(super) model: String,
    pub(super) stream: bool,
    pub(super) prompt_tokens: u64,
    /// Of them: said to have come from a cache, and to have been written to one.
    pub(super) cached_tokens: u64,
    pub(super) written_tokens: u64,
    /// The most output that the whole call may produce, all choices together.
    pub(super) max_tokens: u64,
    /// Output that was decided at arrival.
    pub(super) planned_tokens: u64,
    /// Output that was generated until the end.
    pub(super) output_tokens: u64,
    /// Charges to the request limit: instant and amount.
    pub(super) request_charge: Option<(u64, u64)>,
    /// Charges to the token limit: instant and amount.
    pub(super) token_charge: Option<(u64, u64)>,
    /// The client went away before the end.
    pub(super) aborted: bool,
    /// The limit that this call broke: at arrival (then it was refused) or by its charge at the end.
    pub(super) violation: Option<&'static str>,
    pub(super) body_bytes: u64,
    pub(super) body_sha256: [u8; 32],
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let charges = |charge: Option<(u64, u64)>| charge.into_iter().collect::<Vec<_>>();
        let mut record = serializer.serialize_struct("Record", 23)?;
        record.serialize_field("seq", &self.seq)?;
        record.serialize_field("key", &*self.key)?;
        record.serialize_field("route", self.route.name())?;
        record.serialize_field("peer", &self.peer)?;
        record.serialize_field("arrival_us", &self.arrival_us)?;
        record.serialize_field("headers_us", &self.headers_us)?;
        record.serialize_field("end_us", &self.end_us)?;
        record.serialize_field("status", &self.status)?;
        record.serialize_field("reason", self.reason)?;
        record.serialize_field("model", &self.model)?;
        record.serialize_field("stream", &self.stream)?;
        record.serialize_field("prompt_tokens", &self.prompt_tokens)?;
        record.serialize_field("cached_tokens", &self.cached_tokens)?;
        record.serialize_field("written_tokens", &self.written_tokens)?;
        record.serialize_field("max_tokens", &self.max_tokens)?;
        record.serialize_field("planned_tokens", &self.planned_tokens)?;
        record.serialize_field("output_tokens", &self.output_tokens)?;
        record.serialize_field("request_charges", &charges(self.request_charge))?;
        record.serialize_field("token_charges", &charges(self.token_charge))?;
        record.serialize_field("aborted", &self.aborted)?;
        record.serialize_field("violation", &self.violation)?;
        record.serialize_field("body_bytes", &self.body_bytes)?;
        record.serialize_field("body_sha256", &hex::encode(self.body_sha256))?;
        record.end()
    }
}

/// Records in order of arrival, the oldest dropped beyond `keep`.
#[derive(Debug)]
pub(super) struct Log {
    records: VecDeque<Record>,
    next_seq: u64,
    keep: usize,
    dropped: u64,
    file: Option<BufWriter<File>>,
    /// The file failed at some point, so that it is incomplete.
    failed: Option<io::Error>,
}

impl Log {
    pub(super) fn open(keep: usize, file: Option<&Path>) -> io::Result<Self> {
        let file = match file {
            Some(path) => Some(BufWriter::new(OpenOptions::new().create(true).append(true).open(path)?)),
            None => None,
        };
        Ok(Self { records: VecDeque::new(), next_seq: 1, keep: keep.max(1), dropped: 0, file, failed: None })
    }

    /// Appends a record under the next number, which it returns.
    pub(super) fn push(&mut self, mut record: Record) -> u64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        record.seq = seq;
        self.records.push_back(record);
        // A call in flight at the front stays, so that its end is not lost.
        while self.records.len() > self.keep && self.records.front().is_some_and(|old| old.end_us.is_some()) {
            self.records.pop_front();
            self.dropped += 1;
        }
        seq
    }

    /// A record that is still kept.
    pub(super) fn get_mut(&mut self, seq: u64) -> Option<&mut Record> {
        let first = self.records.front()?.seq;
        self.records.get_mut(usize::try_from(seq.checked_sub(first)?).ok()?)
    }

    /// Writes a finished record to the file.
    pub(super) fn finished(&mut self, seq: u64) {
        let Some(first) = self.records.front().map(|record| record.seq) else { return };
        let index = seq.checked_sub(first).and_then(|index| usize::try_from(index).ok());
        let (Some(file), Some(record)) = (&mut self.file, index.and_then(|index| self.records.get(index)))
        else {
            return;
        };
        let written = serde_json::to_writer(&mut *file, record).map_err(io::Error::from);
        if let Err(error) = written.and_then(|()| file.write_all(b"\n")) {
            self.failed.get_or_insert(error);
        }
    }

    /// Up to `count` records from number `since` on as JSON lines, and the number to go on from.
    pub(super) fn lines(
        &self,
        since: u64,
        count: usize,
        out: &mut Vec<u8>,
    ) -> serde_json::Result<Option<u64>> {
        let Some(first) = self.records.front().map(|record| record.seq) else { return Ok(None) };
        let skip = usize::try_from(since.saturating_sub(first)).unwrap_or(usize::MAX);
        let mut last = None;
        for record in self.records.iter().skip(skip).take(count) {
            serde_json::to_writer(&mut *out, record)?;
            out.push(b'\n');
            last = Some(record.seq + 1);
        }
        Ok(last)
    }

    /// Forgets all records; numbers go on.
    pub(super) fn clear(&mut self) {
        self.records.clear();
        self.dropped = 0;
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Flushes the file; an error also reports an earlier failure.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }
}
