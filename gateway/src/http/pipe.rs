//! The bytes of a connection: those that were read ahead come first, and a peer that does not take what is written
//! ends it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// A stream of bytes in both directions.
#[derive(Debug)]
pub(super) struct Pipe<I> {
    io: I,
    ahead: Bytes,
    patience: Duration,
    /// Made when a write has to wait for the first time.
    alarm: Option<Pin<Box<Sleep>>>,
    waits: bool,
    /// When a write last had to wait; none if the peer keeps up.
    waited: Option<Instant>,
}

/// A peer that takes less than this does not read, bytes per second.
const SLOWEST: u32 = 1 << 10;
/// A peer that nothing had to wait for in this time keeps up.
const KEEPS_UP: Duration = Duration::from_secs(1);

impl<I> Pipe<I> {
    /// `ahead` was read from `io` already. A write that makes no progress for `patience` fails, and so does one that
    /// goes on and on by a byte now and then. The kernel's own time limit (TCP_USER_TIMEOUT) is for peers that are gone:
    /// one that lives and reads nothing acknowledges every probe.
    pub(super) fn new(io: I, ahead: Bytes, patience: Duration) -> Pipe<I> {
        Pipe { io, ahead, patience, alarm: None, waits: false, waited: None }
    }

    /// What a write came to; one that waits too long fails. While a peer does not keep up, what it takes buys the time
    /// that the slowest may need for it.
    fn watched(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() && self.waited.is_none() {
            return written;
        }
        let now = Instant::now();
        if std::mem::replace(&mut self.waits, written.is_pending()) {
            self.waited = Some(now);
        }
        let keeps_up = self.waited.is_none_or(|last| now - last > KEEPS_UP);
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(now)));
        match written {
            Poll::Ready(_) if keeps_up => self.waited = None,
            Poll::Ready(Ok(taken)) => {
                let bought = Duration::from_secs(taken as u64) / SLOWEST;
                let due = (alarm.deadline() + bought).min(now + self.patience);
                alarm.as_mut().reset(due);
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                if keeps_up {
                    alarm.as_mut().reset(now + self.patience);
                }
                self.waited = Some(now);
                ready!(alarm.as_mut().poll(cx));
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")));
            }
        }
        written
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Pipe<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        let size = self.ahead.len().min(buf.remaining());
        buf.put_slice(&self.ahead[..size]);
        self.ahead.advance(size);
        if self.ahead.is_empty() {
            self.ahead = Bytes::new(); // frees what it was a part of
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Pipe<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.watched(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.watched(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(1);

    fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(test);
    }

    #[test]
    fn what_was_read_ahead_comes_first() {
        run(async {
            let (mut far, near) = tokio::io::duplex(64);
            far.write_all(b" and after").await.unwrap();
            drop(far);
            let mut pipe = Pipe::new(near, Bytes::from_static(b"before"), PATIENCE);
            let mut small = [0; 4];
            pipe.read_exact(&mut small).await.unwrap();
            let mut rest = String::new();
            pipe.read_to_string(&mut rest).await.unwrap();
            assert_eq!((&small, rest.as_str()), (b"befo", "re and after"));
        });
    }

    /// How long a peer is written to that takes `size` bytes four times, half of the patience apart, and then none.
    async fn lasts(size: usize) -> Duration {
        let (mut far, near) = tokio::io::duplex(size);
        let mut pipe = Pipe::new(near, Bytes::new(), PATIENCE);
        let slow = tokio::spawn(async move {
            for _ in 0..4 {
                tokio::time::sleep(PATIENCE / 2).await;
                far.read_exact(&mut vec![0; size]).await.unwrap();
            }
            far
        });
        let begun = Instant::now();
        let failed = loop {
            match pipe.write(&vec![7; size]).await {
                Ok(_) => pipe.flush().await.unwrap(),
                Err(err) => break err,
            }
        };
        assert_eq!(failed.kind(), io::ErrorKind::TimedOut);
        slow.abort();
        begun.elapsed()
    }

    /// Broken on purpose once: the alarm not moved by what is taken; a new patience whenever a write waits again.
    #[test]
    fn a_peer_that_takes_nothing_or_hardly_any_ends_it_and_one_that_takes_some_does_not() {
        run(async {
            let some = lasts(2 << 10).await;
            assert!(some >= PATIENCE / 2 * 4 + PATIENCE, "{some:?}");
            let hardly_any = lasts(8).await;
            assert!(hardly_any >= PATIENCE && hardly_any < PATIENCE * 3 / 2, "{hardly_any:?}");
        });
    }
}
