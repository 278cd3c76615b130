//! A request and its answer as far as they are kept to be read later.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::dialect::gemini::Framing;
use crate::dialect::talk::Dialect;

/// Requests beyond this are not kept: reading one takes time in proportion.
const LONGEST_REQUEST: usize = 32 << 10;
/// Of an answer the beginning is kept, which names model and id, and the end, which says why it ended.
const HEAD: usize = 4 << 10;
const TAIL: usize = 8 << 10;
/// Where all is told so much is kept of either.
const CAPTURED: usize = 256 << 10;

/// In the client's dialect.
#[derive(Debug)]
pub(crate) struct Transcript {
    pub(super) dialect: Dialect,
    pub(super) framing: Framing,
    /// What is said is told as well.
    pub(super) captures: bool,
    pub(super) request: Option<Bytes>,
    pub(super) answer: Answer,
}

/// As far as it is kept.
#[derive(Debug)]
pub(super) enum Answer {
    /// There is none, or it was not kept.
    None,
    /// Plain.
    Whole(Bytes),
    /// A stream: its beginning and, if something between them is lost, its end.
    Stream { head: Vec<u8>, tail: VecDeque<u8>, lost: bool },
}

impl Transcript {
    /// Of a request; its answer is yet to come.
    pub(crate) fn new(dialect: Dialect, framing: Framing, body: &Bytes, captures: bool) -> Transcript {
        let most = if captures { CAPTURED } else { LONGEST_REQUEST };
        let request = Some(body.clone()).filter(|body| body.len() <= most);
        Transcript { dialect, framing, captures, request, answer: Answer::None }
    }

    /// More of a stream.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        if matches!(self.answer, Answer::None) {
            self.answer = Answer::Stream { head: Vec::new(), tail: VecDeque::new(), lost: false };
        }
        let most = if self.captures { CAPTURED } else { HEAD };
        let Answer::Stream { head, tail, lost } = &mut self.answer else { return };
        let (front, rest) = bytes.split_at(bytes.len().min(most - head.len().min(most)));
        head.extend_from_slice(front);
        bytes = rest;
        if bytes.len() > TAIL {
            (bytes, *lost) = (&bytes[bytes.len() - TAIL..], true);
            tail.clear();
        }
        let over = (tail.len() + bytes.len()).saturating_sub(TAIL);
        if over > 0 {
            tail.drain(..over);
            *lost = true;
        }
        tail.extend(bytes);
    }

    /// A plain answer.
    pub(crate) fn whole(&mut self, body: &Bytes) {
        if body.len() <= CAPTURED {
            self.answer = Answer::Whole(body.clone());
        }
    }

    /// Bytes that it keeps in memory.
    pub(crate) fn size(&self) -> usize {
        let answer = match &self.answer {
            Answer::None => 0,
            Answer::Whole(body) => body.len(),
            Answer::Stream { head, tail, .. } => head.capacity() + tail.capacity(),
        };
        self.request.as_ref().map_or(0, Bytes::len) + answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(captures: bool, pieces: &[&[u8]]) -> (Vec<u8>, Vec<u8>, bool) {
        let mut transcript = Transcript::new(Dialect::Chat, Framing::Sse, &Bytes::new(), captures);
        pieces.iter().for_each(|piece| transcript.push(piece));
        let Answer::Stream { head, tail, lost } = transcript.answer else { panic!("no stream") };
        (head, tail.into(), lost)
    }

    /// Broken on purpose to see it fail: what is lost between head and tail not noted.
    #[test]
    fn of_a_stream_beginning_and_end_are_kept_however_it_is_cut() {
        let all: Vec<u8> = (0..50_000u32).map(|n| n as u8).collect();
        for size in [1, 7, 1_000, 5_000, 20_000, 50_000] {
            let pieces: Vec<&[u8]> = all.chunks(size).collect();
            let (head, tail, lost) = of(false, &pieces);
            assert_eq!((head.as_slice(), lost), (&all[..HEAD], true), "{size}");
            assert_eq!(tail, &all[all.len() - TAIL..], "{size}");
            let (head, tail, lost) = of(true, &pieces);
            assert_eq!((head.as_slice(), tail.len(), lost), (&all[..], 0, false), "{size}");
        }
        let short = &all[..HEAD + TAIL];
        assert_eq!(of(false, &[short]), (short[..HEAD].to_vec(), short[HEAD..].to_vec(), false));
    }
}
