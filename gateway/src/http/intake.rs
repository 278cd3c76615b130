//! A request's body, read whole within bounds: its own size, its time, and what this replica holds of bodies at once.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;

use crate::bound::{Bound, Part, UNCOUNTED};
use crate::error::{Error, Kind};

/// How long a request's body may take to come.
pub(super) const BODY_TIME: Duration = Duration::from_secs(60);
/// When a client that was refused for want of room may come back.
pub(crate) const SOON: Duration = Duration::from_secs(1);

/// Reads a body of at most `limit` bytes. What it takes of `budget` is given back when the bytes are dropped.
pub(crate) async fn read<B>(body: B, limit: usize, budget: &Arc<Bound>) -> Result<Bytes, Error>
where
    B: Body<Data = Bytes> + Unpin,
{
    read_within(BODY_TIME, body, limit, budget).await
}

async fn read_within<B>(time: Duration, body: B, limit: usize, budget: &Arc<Bound>) -> Result<Bytes, Error>
where
    B: Body<Data = Bytes> + Unpin,
{
    // What is too large by its own word is not read, nor asked for where the client waits for a 100.
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large(limit));
    }
    let gathered = tokio::time::timeout(time, gather(body, limit, budget)).await;
    gathered.unwrap_or_else(|_| Err(Error::new(Kind::SlowClient, "The request body did not arrive in time.")))
}

async fn gather<B>(mut body: B, limit: usize, budget: &Arc<Bound>) -> Result<Bytes, Error>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut held = Held { bytes: Gathered::One(Bytes::new()), part: budget.part() };
    let (mut size, mut counted) = (0, 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Error::new(Kind::Malformed, "The request body could not be read."))?;
        let Ok(data) = frame.into_data() else { continue };
        size += data.len();
        if size > limit {
            return Err(too_large(limit));
        }
        if size > UNCOUNTED {
            if !held.part.grow(size - counted) {
                return Err(overloaded("The gateway holds as many request bodies as it can."));
            }
            counted = size;
        }
        held.bytes.push(data);
    }
    Ok(if counted == 0 { held.bytes.freeze() } else { Bytes::from_owner(held) })
}

fn too_large(limit: usize) -> Error {
    Error::new(Kind::TooLarge, format!("The request body is larger than {limit} bytes."))
}

/// A refusal for want of room in this replica.
pub(crate) fn overloaded(message: &str) -> Error {
    Error::new(Kind::Overloaded, message).retry_after(SOON)
}

/// What has come; most bodies are one frame, which is not copied.
enum Gathered {
    One(Bytes),
    More(BytesMut),
}

impl Gathered {
    fn push(&mut self, data: Bytes) {
        match self {
            Gathered::One(first) if first.is_empty() => *first = data,
            Gathered::One(first) => {
                let mut all = BytesMut::with_capacity(2 * (first.len() + data.len()));
                all.extend_from_slice(first);
                all.extend_from_slice(&data);
                *self = Gathered::More(all);
            }
            Gathered::More(all) => all.extend_from_slice(&data),
        }
    }

    fn freeze(self) -> Bytes {
        match self {
            Gathered::One(first) => first,
            Gathered::More(all) => all.freeze(),
        }
    }
}

/// Bytes and the room that they take.
struct Held {
    bytes: Gathered,
    part: Part,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        match &self.bytes {
            Gathered::One(first) => first,
            Gathered::More(all) => all,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use http_body::Frame;

    use super::*;

    /// A body in pieces of these sizes.
    struct Pieces(VecDeque<usize>);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            let size = self.0.pop_front();
            Poll::Ready(size.map(|size| Ok(Frame::data(vec![size as u8; size].into()))))
        }
    }

    async fn gathered(pieces: &[usize], limit: usize, budget: &Arc<Bound>) -> Result<Bytes, Kind> {
        let body = Pieces(pieces.iter().copied().collect());
        read(body, limit, budget).await.map_err(|error| error.kind)
    }

    /// A body that comes byte after byte, for ever.
    #[derive(Default)]
    struct Drip {
        due: bool,
    }

    impl Body for Drip {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            self.due = !self.due;
            if self.due {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b" ")))))
        }
    }

    /// Broken on purpose once: the time counted anew with each frame.
    #[tokio::test]
    async fn a_body_that_never_ends_is_given_up_and_gives_back_what_it_took() {
        let budget = Bound::new(usize::MAX);
        let read = read_within(Duration::from_millis(20), Drip::default(), usize::MAX, &budget).await;
        assert_eq!(read.unwrap_err().kind, Kind::SlowClient);
        assert_eq!(budget.used(), 0);
    }

    proptest::proptest! {
        /// Broken on purpose once: frames swapped.
        #[test]
        fn bytes_come_whole_and_in_order_and_give_back_what_they_took(
            pieces in proptest::collection::vec(0..9_000usize, 0..8),
            limit in 1..60_000usize,
            room in 0..60_000usize,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let budget = Bound::new(room);
            let whole: Vec<u8> = pieces.iter().flat_map(|size| vec![*size as u8; *size]).collect();
            let counted = whole.len() > UNCOUNTED;
            match runtime.block_on(gathered(&pieces, limit, &budget)) {
                Ok(bytes) => {
                    proptest::prop_assert!(bytes == whole && bytes.len() <= limit);
                    let part = bytes.slice(bytes.len() / 2..);
                    drop(bytes);
                    proptest::prop_assert_eq!(budget.used(), if counted { whole.len() } else { 0 });
                    drop(part);
                }
                Err(Kind::TooLarge) => proptest::prop_assert!(whole.len() > limit),
                Err(kind) => {
                    proptest::prop_assert_eq!(kind, Kind::Overloaded);
                    proptest::prop_assert!(counted && whole.len() > room);
                }
            }
            proptest::prop_assert_eq!(budget.used(), 0);
        }
    }
}
