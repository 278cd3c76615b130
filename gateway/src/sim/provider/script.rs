//! The body of an answer as a script: what is sent, where it waits, where it fails. Building the script is pure;
//! playing it is the body that hyper polls.

use super::answer::Answer;
use super::call::Call;
use super::faults::{FaultKind, Place};
use super::wire::{self, DONE, Frames, Used};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// What was sent is out of hyper's buffers before the connection is cut.
const BEFORE_CUT: Duration = Duration::from_millis(2);

/// One step of an answer's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// The role chunk of a choice.
    Role(usize),
    /// One token of a choice.
    Piece(usize, usize),
    /// The finish reason of a choice.
    Finish(usize),
    Usage,
    Done,
    /// Bytes as they are.
    Raw(Bytes),
    Wait(Duration),
    /// The call counts as ended, for this reason, before the next step is sent.
    End(&'static str),
    /// Nothing more until the client gives up.
    Stall,
    /// The connection is closed.
    Cut,
}

/// The script of a streamed answer. `pause` draws the wait before each round of tokens but the first.
pub(super) fn streamed(
    answer: &Answer,
    include_usage: bool,
    fault: Option<&FaultKind>,
    mut pause: impl FnMut() -> Duration,
) -> Vec<Step> {
    let mut steps: Vec<Step> = (0..answer.choices.len()).map(Step::Role).collect();
    if let Some(FaultKind::SlowFirstToken(wait)) = fault {
        steps.push(Step::Wait(*wait));
    }
    if breaks_off(&mut steps, fault, Place::BeforeContent) {
        return steps;
    }
    let (half, mut sent) = ((answer.tokens() / 2).max(1), 0);
    let rounds = answer.choices.iter().map(|choice| choice.pieces.len()).max().unwrap_or(0);
    for round in 0..rounds {
        let wait = if round == 0 { Duration::ZERO } else { pause() };
        if !wait.is_zero() {
            steps.push(Step::Wait(wait));
        }
        for (index, choice) in answer.choices.iter().enumerate() {
            if round < choice.pieces.len() {
                steps.push(Step::Piece(index, round));
                sent += 1;
                if sent == half && breaks_off(&mut steps, fault, Place::Mid) {
                    return steps;
                }
            }
        }
    }
    steps.extend((0..answer.choices.len()).map(Step::Finish));
    steps.extend(include_usage.then_some(Step::Usage));
    steps.extend([Step::End("ok"), Step::Done]);
    steps
}

/// The script of a plain answer.
pub(super) fn plain(body: Bytes, fault: Option<&FaultKind>) -> Vec<Step> {
    let mut steps = Vec::new();
    if let Some(FaultKind::SlowFirstToken(wait)) = fault {
        steps.push(Step::Wait(*wait));
    }
    if breaks_off(&mut steps, fault, Place::BeforeContent) {
        return steps;
    }
    if matches!(fault, Some(FaultKind::Stall(Place::Mid) | FaultKind::Cut(Place::Mid))) {
        steps.push(Step::Raw(body.slice(..body.len() / 2)));
        breaks_off(&mut steps, fault, Place::Mid);
        return steps;
    }
    steps.extend([Step::End("ok"), Step::Raw(body)]);
    steps
}

/// Writes the failure due at this place. True when it was due.
fn breaks_off(steps: &mut Vec<Step>, fault: Option<&FaultKind>, here: Place) -> bool {
    match fault {
        Some(FaultKind::Stall(place)) if *place == here => steps.push(Step::Stall),
        Some(FaultKind::Cut(place)) if *place == here => {
            steps.extend([Step::Wait(BEFORE_CUT), Step::End("cut"), Step::Cut]);
        }
        Some(FaultKind::ErrorChunk(place)) if *place == here => {
            let frame = format!("data: {}\n\n", wire::server_error());
            steps.extend([Step::End("error_chunk"), Step::Raw(frame.into())]);
        }
        Some(_) | None => return false,
    }
    true
}

/// What the steps of a stream refer to.
#[derive(Debug)]
pub(super) struct Material {
    pub(super) answer: Answer,
    pub(super) frames: Frames,
    pub(super) used: Used,
}

/// A body that plays a script and ends its call.
#[derive(Debug)]
pub(super) struct Play {
    call: Option<Call>,
    /// Only streams have one.
    material: Option<Material>,
    steps: std::vec::IntoIter<Step>,
    sleep: Option<Pin<Box<Sleep>>>,
    sleeping: bool,
    stalled: bool,
    /// Bytes still to come, where that is known.
    left: Option<u64>,
}

impl Play {
    /// A stream, whose tokens count as generated when they are sent.
    pub(super) fn stream(call: Call, material: Material, steps: Vec<Step>) -> Self {
        Self::new(Some(call), Some(material), steps, None)
    }

    /// A plain answer of `tokens` and `length` bytes when complete; all of it exists from the start.
    pub(super) fn plain(mut call: Call, tokens: u64, length: usize, steps: Vec<Step>) -> Self {
        call.generated(tokens);
        Self::new(Some(call), None, steps, Some(length as u64))
    }

    /// Bytes that belong to no call, or to one that has ended.
    pub(super) fn bytes(body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let length = body.len() as u64;
        Self::new(None, None, vec![Step::Raw(body)], Some(length))
    }

    fn new(call: Option<Call>, material: Option<Material>, steps: Vec<Step>, left: Option<u64>) -> Self {
        let steps = steps.into_iter();
        Self { call, material, steps, sleep: None, sleeping: false, stalled: false, left }
    }

    fn start_sleep(&mut self, wait: Duration) {
        self.sleeping = true;
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().reset(Instant::now() + wait),
            None => self.sleep = Some(Box::pin(tokio::time::sleep(wait))),
        }
    }

    /// The bytes of a step that sends something.
    fn render(&mut self, step: &Step) -> Bytes {
        if let Step::Raw(bytes) = step {
            return bytes.clone();
        }
        let Some(Material { answer, frames, used }) = &self.material else { return Bytes::new() };
        match step {
            Step::Role(index) => frames.role(*index, &answer.choices[*index]),
            Step::Piece(index, piece) => {
                if let Some(call) = &mut self.call {
                    call.generated(1);
                }
                let choice = &answer.choices[*index];
                frames.piece(*index, choice, &choice.pieces[*piece])
            }
            Step::Finish(index) => frames.finish(*index, &answer.choices[*index]),
            Step::Usage => frames.usage(used),
            Step::Done => Bytes::from_static(DONE.as_bytes()),
            Step::Raw(_) | Step::Wait(_) | Step::End(_) | Step::Stall | Step::Cut => Bytes::new(),
        }
    }
}

impl Body for Play {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        loop {
            if self.stalled {
                // hyper watches the connection and drops this body when the client goes away.
                return Poll::Pending;
            }
            if self.sleeping {
                if let Some(sleep) = &mut self.sleep {
                    ready!(sleep.as_mut().poll(context));
                }
                self.sleeping = false;
            }
            let Some(step) = self.steps.next() else { return Poll::Ready(None) };
            match step {
                Step::Wait(wait) => self.start_sleep(wait),
                Step::Stall => {
                    self.stalled = true;
                    if let Some(call) = &mut self.call {
                        call.stalled();
                    }
                }
                Step::End(reason) => {
                    if let Some(call) = &mut self.call {
                        call.end(reason);
                    }
                }
                Step::Cut => return Poll::Ready(Some(Err(Cut))),
                Step::Role(_)
                | Step::Piece(..)
                | Step::Finish(_)
                | Step::Usage
                | Step::Done
                | Step::Raw(_) => {
                    let bytes = self.render(&step);
                    if let Some(left) = &mut self.left {
                        *left = left.saturating_sub(bytes.len() as u64);
                    }
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.steps.as_slice().is_empty() && !self.stalled && !self.sleeping
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

/// The connection is to be closed at this point; hyper does so on any body or service error.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("connection cut on purpose")
    }
}

impl std::error::Error for Cut {}

#[cfg(test)]
mod tests {
    use super::super::answer::{Choice, Piece};
    use super::*;

    fn answer(lengths: &[usize]) -> Answer {
        let choice = |length: &usize| Choice {
            tools: Vec::new(),
            pieces: (0..*length).map(|_| Piece::Text("x".into())).collect(),
            finish: "stop",
        };
        Answer { choices: lengths.iter().map(choice).collect() }
    }

    const PAUSE: Duration = Duration::from_millis(5);

    #[test]
    fn a_stream_has_role_tokens_finish_usage_and_done() {
        let steps = streamed(&answer(&[2]), true, None, || PAUSE);
        let expected = [
            Step::Role(0),
            Step::Piece(0, 0),
            Step::Wait(PAUSE),
            Step::Piece(0, 1),
            Step::Finish(0),
            Step::Usage,
            Step::End("ok"),
            Step::Done,
        ];
        assert_eq!(steps, expected);
    }

    #[test]
    fn choices_of_a_stream_take_turns() {
        let steps = streamed(&answer(&[1, 2]), false, None, || Duration::ZERO);
        let tokens: Vec<Step> = steps.into_iter().filter(|step| matches!(step, Step::Piece(..))).collect();
        assert_eq!(tokens, [Step::Piece(0, 0), Step::Piece(1, 0), Step::Piece(1, 1)]);
    }

    #[test]
    fn failures_break_a_stream_off_where_they_say() {
        let tokens = |kind: FaultKind| {
            let steps = streamed(&answer(&[10]), true, Some(&kind), || Duration::ZERO);
            assert!(!steps.contains(&Step::Done), "{kind:?}");
            steps.iter().filter(|step| matches!(step, Step::Piece(..))).count()
        };
        for (place, sent) in [(Place::BeforeContent, 0), (Place::Mid, 5)] {
            assert_eq!(tokens(FaultKind::Stall(place)), sent);
            assert_eq!(tokens(FaultKind::Cut(place)), sent);
            assert_eq!(tokens(FaultKind::ErrorChunk(place)), sent);
        }
    }

    #[test]
    fn a_plain_answer_is_cut_in_the_middle_of_its_body() {
        let steps = plain(Bytes::from_static(b"abcdef"), Some(&FaultKind::Cut(Place::Mid)));
        assert_eq!(steps[0], Step::Raw(Bytes::from_static(b"abc")));
        assert_eq!(steps.last(), Some(&Step::Cut));
    }
}
