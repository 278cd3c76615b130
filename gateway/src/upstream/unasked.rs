//! A kept connection on which something has come that nobody asked for.
//!
//! A provider, or a proxy before it, may put a second answer behind the one that was asked for, or may have closed. hyper
//! looks before it sends the next request, but only at what the runtime has been told of; what the kernel has and the
//! runtime was not yet told of would be taken for the next call's answer, which is another tenant's. So the socket
//! itself is asked, before the first byte of every request but a connection's first. What comes after that byte nobody
//! can tell from an answer: HTTP/1.1 has no numbers.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::net::TcpStream;

type Inner = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Bytes, or the end, that came before they were asked for: nothing was written.
#[derive(Debug, thiserror::Error)]
#[error("the kept connection was no longer quiet")]
pub(super) struct Unasked;

/// A provider's connection.
#[derive(Debug)]
pub(crate) struct Guarded {
    inner: Inner,
    /// An answer, or a part of one, has been read since the last request began.
    answered: bool,
}

impl Guarded {
    pub(super) fn new(inner: Inner) -> Guarded {
        Guarded { inner, answered: false }
    }

    /// Looks at the socket if `bytes` begin a request. A request's own body may be written after an early answer was
    /// read; so the bytes themselves must look like a beginning too.
    fn before(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.answered || !begins_request(bytes) {
            return Ok(());
        }
        self.answered = false;
        if is_quiet(self.tcp()) { Ok(()) } else { Err(io::Error::other(Unasked)) }
    }

    fn tcp(&self) -> &TcpStream {
        match &self.inner {
            MaybeHttpsStream::Http(tcp) => tcp.inner(),
            MaybeHttpsStream::Https(tls) => tls.inner().get_ref().0.inner().inner(),
        }
    }
}

fn begins_request(bytes: &[u8]) -> bool {
    let method = bytes.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    method > 0 && bytes[method..].starts_with(b" /")
}

/// Is nothing to be read? Under TLS any record counts, a late session ticket as well: that costs a new connection.
fn is_quiet(tcp: &TcpStream) -> bool {
    let peeked = SockRef::from(tcp).peek(&mut [MaybeUninit::uninit()]);
    peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// Was a request stopped here, before any of it was written?
pub(super) fn is_unasked(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    source.and_then(io::Error::get_ref).is_some_and(|inner| inner.is::<Unasked>())
}

impl Read for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.answered |= read.is_ready();
        read
    }
}

impl Write for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.before(buf)?;
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.before(bufs.first().map_or(&[], |first| first))?;
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl Connection for Guarded {
    fn connected(&self) -> Connected {
        self.inner.connected()
    }
}

#[cfg(test)]
#[path = "unasked_tests.rs"]
mod tests;
