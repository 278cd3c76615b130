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
    /// Made when a write has to wait for the first time, set anew whenever one begins to.
    alarm: Option<Pin<Box<Sleep>>>,
    waits: bool,
}

impl<I> Pipe<I> {
    /// `ahead` was read from `io` already. A write that makes no progress for `patience` fails. The kernel's own time
    /// limit (TCP_USER_TIMEOUT) is for peers that are gone: one that lives and reads nothing acknowledges every probe.
    pub(super) fn new(io: I, ahead: Bytes, patience: Duration) -> Pipe<I> {
        Pipe { io, ahead, patience, alarm: None, waits: false }
    }

    /// What a write came to; one that waits too long fails.
    fn watched<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waits = false;
            return written;
        }
        let due = Instant::now() + self.patience;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if !std::mem::replace(&mut self.waits, true) {
            alarm.as_mut().reset(due);
        }
        ready!(alarm.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")))
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

    /// Broken on purpose once: the alarm not set anew when a write waits again.
    #[test]
    fn a_peer_that_takes_nothing_ends_it_and_one_that_takes_little_does_not() {
        run(async {
            let (mut far, near) = tokio::io::duplex(8);
            let mut pipe = Pipe::new(near, Bytes::new(), PATIENCE);
            let slow = tokio::spawn(async move {
                for _ in 0..4 {
                    tokio::time::sleep(PATIENCE / 2).await;
                    far.read_exact(&mut [0; 8]).await.unwrap();
                }
                far
            });
            let begun = Instant::now();
            let failed = loop {
                match pipe.write(&[7; 8]).await {
                    Ok(_) => pipe.flush().await.unwrap(),
                    Err(err) => break err,
                }
            };
            assert_eq!(failed.kind(), io::ErrorKind::TimedOut);
            assert!(begun.elapsed() >= PATIENCE / 2 * 4 + PATIENCE, "{:?}", begun.elapsed());
            drop(slow.await.unwrap());
        });
    }
}
