//! Providers that lie. Each kind knows what of its answer a client may see; where the answer is worth nothing, that the
//! next deployment is asked, or that the client is told.

pub(crate) mod bodies;
pub(crate) mod heads;
pub(crate) mod judge;
pub(crate) mod run;
pub(crate) mod streams;

use std::time::Duration;

use fastrand::Rng;

use crate::endpoints::{ENDPOINTS, Endpoint};
use crate::upstream::{Step, chunk, stream_head};

/// What must come of a lie.
#[derive(Clone, Debug)]
pub(crate) enum Expect {
    /// The client gets exactly this body, as a success.
    Passed(Vec<u8>),
    /// Nothing of it is seen: the next deployment answers. Without one, an error with one of these statuses.
    Moved(&'static [u16]),
    /// The request itself was refused: with this status, and this body if there is one worth passing on.
    Refused(u16, Option<Vec<u8>>),
    /// The stream had begun: a beginning of these bytes, then an error, and no end as if it were whole.
    Broken(Vec<u8>),
    /// The time of the whole call is over: 504.
    Late,
    /// One of these: what arrives of a connection that is reset is up to the kernel.
    OneOf(Vec<Expect>),
}

/// An answer that is not what it says.
#[derive(Clone, Debug)]
pub(crate) struct Lie {
    /// What the provider does.
    pub(crate) steps: Vec<Step>,
    /// What must come of it.
    pub(crate) expect: Expect,
}

/// What a generator works with.
pub(crate) struct Make {
    pub(crate) rng: Rng,
    pub(crate) id: String,
    pub(crate) endpoint: &'static Endpoint,
    /// The call asked for a stream.
    pub(crate) streamed: bool,
}

/// Which calls a kind of lie is told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    /// Calls that ask for a whole answer.
    Plain,
    /// Calls that ask for a stream.
    Streams,
    /// Those whose stream says that it is done behind its events.
    Done,
    /// Any call.
    All,
}

/// A kind of lie.
pub(crate) type Kind = (&'static str, To, fn(&mut Make) -> Lie);

/// One call and the lie that it meets.
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) kind: &'static str,
    pub(crate) endpoint: &'static Endpoint,
    pub(crate) streamed: bool,
    /// There is a second deployment.
    pub(crate) backed: bool,
    pub(crate) lie: Lie,
}

/// Every kind, or those whose name holds what `WEIR_EDGE_KIND` says.
pub(crate) fn kinds() -> Vec<Kind> {
    let only = std::env::var("WEIR_EDGE_KIND").unwrap_or_default();
    let mut kinds = [heads::KINDS, bodies::KINDS, streams::KINDS].concat();
    kinds.retain(|(kind, ..)| kind.contains(&only));
    kinds
}

/// Case number `at`, for the call `id`: kinds in turn, everything else drawn from the seed.
pub(crate) fn case(seed: u64, at: u64, id: String) -> Case {
    let kinds = kinds();
    let mut rng = Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ at);
    let (kind, to, make) = kinds[(at % kinds.len() as u64) as usize];
    let is_able = |endpoint: &&Endpoint| match to {
        To::Plain | To::All => true,
        To::Streams => endpoint.streams(),
        To::Done => !endpoint.end.is_empty(),
    };
    let able: Vec<_> = ENDPOINTS.iter().filter(is_able).collect();
    let endpoint = able[rng.usize(..able.len())];
    let streamed = match to {
        To::Plain => false,
        To::Streams | To::Done => true,
        To::All => endpoint.streams() && rng.bool(),
    };
    let backed = rng.u8(0..3) > 0;
    let lie = make(&mut Make { rng, id: id.clone(), endpoint, streamed });
    Case { id, kind, endpoint, streamed, backed, lie }
}

/// No answer is one that a client could use.
pub(crate) const FAILED: Expect = Expect::Moved(&[502]);
/// The same, or the provider was too slow.
pub(crate) const FAILED_OR_LATE: Expect = Expect::Moved(&[502, 504]);
/// The provider was too slow.
pub(crate) const SLOW: Expect = Expect::Moved(&[504]);

impl Make {
    /// One of these.
    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.rng.usize(..of.len())]
    }

    /// The honest plain answer's body.
    pub(crate) fn body(&self) -> String {
        self.endpoint.answer(&self.id)
    }

    /// The honest stream's events, with its end.
    pub(crate) fn text(&self) -> String {
        self.endpoint.stream(&self.id)
    }

    /// The honest answer to this call, and what of it the client gets.
    pub(crate) fn honest(&self) -> (Vec<u8>, Vec<u8>) {
        if self.streamed {
            let text = self.text().into_bytes();
            return ([stream_head(), chunk(&text), chunk(b"")].concat(), text);
        }
        let body = self.body();
        (answer("200 OK", "", body.as_bytes()), body.into_bytes())
    }
}

/// An answer with its length; `fields` each with its line end.
pub(crate) fn answer(status: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{fields}content-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// An answer of another call, which nobody may ever see.
pub(crate) fn poison() -> Vec<u8> {
    answer("200 OK", "x-weir-poison: 1\r\n", br#"{"id":"POISON","object":"chat.completion","choices":[]}"#)
}

/// Sends it and does nothing else.
pub(crate) fn sends(bytes: Vec<u8>, expect: Expect) -> Lie {
    Lie { steps: vec![Step::Send(bytes)], expect }
}

/// Sends it and ends the connection.
pub(crate) fn sends_and_closes(bytes: Vec<u8>, expect: Expect) -> Lie {
    Lie { steps: vec![Step::Send(bytes), Step::Close], expect }
}

/// Sends it and says nothing more.
pub(crate) fn sends_and_hangs(bytes: Vec<u8>, expect: Expect) -> Lie {
    Lie { steps: vec![Step::Send(bytes), Step::Silence], expect }
}

/// A little later.
pub(crate) fn later() -> Step {
    Step::Pause(Duration::from_millis(15))
}
