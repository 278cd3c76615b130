//! A request and its answer as far as they are kept to be read later.
//!
//! All of it is copied: what comes from the network is a slice of a buffer that is larger, and a large request's bytes hold a part
//! of what this replica may buffer (`max_buffered`). Neither may last as long as a span waits for a collector.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::bound::{Bound, Part};
use crate::dialect::gemini::Framing;
use crate::dialect::talk::Dialect;

/// Requests beyond this are not kept: reading one takes time in proportion.
const LONGEST_REQUEST: usize = 32 << 10;
/// Of an answer the beginning is kept, which names model and id, and the end, which says why it ended.
const HEAD: usize = 4 << 10;
const TAIL: usize = 8 << 10;
/// Where all is told so much is kept of either.
const CAPTURED: usize = 256 << 10;
/// Of all that a replica keeps at once, of calls that run and of those that wait to be told. Nothing more is kept beyond it.
const MOST: usize = 64 << 20;
/// What is told of one without contents, about.
const FEW: usize = 1 << 10;
/// And with them, at most: four attributes.
const CONTENTS: usize = 256 << 10;

/// The room for all of a replica.
pub(crate) fn room() -> Arc<Bound> {
    Bound::new(MOST)
}

/// In the client's dialect.
#[derive(Debug)]
pub(crate) struct Transcript {
    pub(super) dialect: Dialect,
    pub(super) framing: Framing,
    /// What is said is told as well.
    pub(super) captures: bool,
    pub(super) request: Option<Bytes>,
    pub(super) answer: Answer,
    part: Part,
    /// There was no room for all of a stream.
    is_over: bool,
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
    pub(crate) fn new(
        dialect: Dialect,
        framing: Framing,
        body: &[u8],
        captures: bool,
        room: &Arc<Bound>,
    ) -> Transcript {
        let (mut part, most) = (room.part(), if captures { CAPTURED } else { LONGEST_REQUEST });
        let request = kept(body, most, &mut part);
        Transcript { dialect, framing, captures, request, answer: Answer::None, part, is_over: false }
    }

    /// More of a stream.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.is_over {
            return;
        }
        if matches!(self.answer, Answer::None) {
            self.answer = Answer::Stream { head: Vec::new(), tail: VecDeque::new(), lost: false };
        }
        let most = if self.captures { CAPTURED } else { HEAD };
        let Answer::Stream { head, tail, lost } = &mut self.answer else { return };
        if !self.part.grow(0) {
            (self.is_over, *lost) = (true, true);
            tail.clear();
            return;
        }
        let before = head.capacity() + tail.capacity();
        *lost |= add(head, tail, bytes, most);
        self.part.force(head.capacity() + tail.capacity() - before);
    }

    /// A plain answer.
    pub(crate) fn whole(&mut self, body: &[u8]) {
        if let Some(body) = kept(body, CAPTURED, &mut self.part) {
            self.answer = Answer::Whole(body);
        }
    }

    /// Bytes that it keeps in memory.
    pub(crate) fn size(&self) -> usize {
        let answer = match &self.answer {
            Answer::None => 0,
            Answer::Whole(body) => body.len(),
            Answer::Stream { head, tail, .. } => head.capacity() + tail.capacity(),
        };
        size_of::<Transcript>() + self.request.as_ref().map_or(0, Bytes::len) + answer
    }

    /// Bytes that are told of it, about, at most.
    pub(crate) fn told_size(&self) -> usize {
        if self.captures { self.size().min(CONTENTS) } else { FEW }
    }
}

/// A copy, if it is not too long and there is room for it.
fn kept(body: &[u8], most: usize, part: &mut Part) -> Option<Bytes> {
    (body.len() <= most && part.grow(body.len())).then(|| Bytes::copy_from_slice(body))
}

/// To the beginning, of at most so many bytes, and what is beyond to the end; whether something between them is lost.
fn add(head: &mut Vec<u8>, tail: &mut VecDeque<u8>, bytes: &[u8], most: usize) -> bool {
    let (front, mut rest) = bytes.split_at(bytes.len().min(most - head.len().min(most)));
    head.extend_from_slice(front);
    let mut lost = false;
    if rest.len() > TAIL {
        (rest, lost) = (&rest[rest.len() - TAIL..], true);
        tail.clear();
    }
    let over = (tail.len() + rest.len()).saturating_sub(TAIL);
    if over > 0 {
        tail.drain(..over);
        lost = true;
    }
    tail.extend(rest);
    lost
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(captures: bool, pieces: &[&[u8]]) -> (Vec<u8>, Vec<u8>, bool) {
        let mut transcript = Transcript::new(Dialect::Chat, Framing::Sse, b"", captures, &room());
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

    /// Bytes and the room that they take.
    struct Held {
        bytes: Vec<u8>,
        _part: Part,
    }

    impl AsRef<[u8]> for Held {
        fn as_ref(&self) -> &[u8] {
            &self.bytes
        }
    }

    /// A large request holds a part of `max_buffered` until its last slice is gone; a small one's slice holds a buffer of the
    /// network. As long as its span waited, calls were refused for what telemetry kept, and sixteen megabytes of short messages
    /// held many times that. Broken on purpose to see it fail: `clone` in place of the copies.
    #[test]
    fn nothing_is_held_of_what_it_was_made_from() {
        let buffered = Bound::new(1 << 20);
        let mut part = buffered.part();
        assert!(part.grow(20 << 10));
        let body = Bytes::from_owner(Held { bytes: vec![b' '; 20 << 10], _part: part });
        let all = room();
        let mut transcript = Transcript::new(Dialect::Chat, Framing::Sse, &body, false, &all);
        transcript.whole(&body.slice(..100));
        drop(body);
        assert_eq!(buffered.used(), 0);
        assert_eq!(transcript.size() - size_of::<Transcript>(), (20 << 10) + 100);
        assert_eq!(all.used(), (20 << 10) + 100);
        drop(transcript);
        assert_eq!(all.used(), 0);
    }

    /// Without it as many long streams as there may be calls, each with its 256 KiB. Broken on purpose to see it fail: the room not
    /// asked.
    #[test]
    fn all_together_keep_no_more_than_there_is_room_for() {
        let all = room();
        let mut running: Vec<Transcript> = Vec::new();
        for _ in 0..400 {
            let mut transcript = Transcript::new(Dialect::Chat, Framing::Sse, &[b' '; 9_000], true, &all);
            (0..20).for_each(|_| transcript.push(&[b'x'; 20_000]));
            running.push(transcript);
        }
        let kept: usize = running.iter().map(Transcript::size).sum();
        assert!(kept < MOST + (1 << 20), "{kept} bytes");
        let last = running.last().unwrap();
        assert!(
            last.request.is_none()
                && matches!(&last.answer, Answer::Stream { head, lost: true, .. } if head.is_empty())
        );
        running.clear();
        assert_eq!(all.used(), 0);
    }
}
