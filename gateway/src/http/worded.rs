//! hyper itself answers what it cannot read as a request, with a status and an empty body. Clients of an API read
//! the body, so it gets one on its way out.
//!
//! Such an answer is known by its form: one head and nothing else in the whole write, with a status of 4xx and an empty
//! body. Nothing of ours looks so: errors have bodies, and a piece of a stream is written with the end of its chunk.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::patience::Heard;
use crate::dialect::openai::answer::error_body;

/// A connection on which hyper's own refusals say why.
#[derive(Debug)]
pub(super) struct Worded<S> {
    stream: S,
    /// A refusal that is not all written.
    refusal: Vec<u8>,
    /// Is told when something comes.
    heard: Arc<Heard>,
}

impl<S: AsyncWrite + Unpin> Worded<S> {
    pub(super) fn new(stream: S, heard: Arc<Heard>) -> Worded<S> {
        Worded { stream, refusal: Vec::new(), heard }
    }

    fn poll_refusal(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.refusal.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.refusal))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.refusal.drain(..written);
        }
        Poll::Ready(Ok(()))
    }
}

/// hyper's refusal with a body of OpenAI's shape: nobody knows whose client sent what could not be read.
fn worded(bytes: &[u8]) -> Option<Vec<u8>> {
    const EMPTY: &str = "content-length: 0\r\n";
    let status = bytes.strip_prefix(b"HTTP/1.1 4")?.get(..2)?;
    let head = std::str::from_utf8(bytes).ok()?;
    let is_all = head.find("\r\n\r\n")? + 4 == head.len();
    let at = head.find(EMPTY).filter(|_| is_all)?;
    let message = match status {
        b"14" => "The request's URL is too long.",
        b"31" => "The request's header fields are too many or too large.",
        _ => "This is not a valid HTTP request.",
    };
    let body = error_body(message, "invalid_request_error", Some("invalid_request_error"), None);
    let (before, behind) = (&head[..at], &head[at + EMPTY.len()..]);
    let fields = format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
    Some([before.as_bytes(), fields.as_bytes(), behind.as_bytes(), &body].concat())
}

impl<S: AsyncRead + Unpin> AsyncRead for Worded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.heard.note();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Worded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_refusal(cx))?;
        let Some(refusal) = worded(buf) else { return Pin::new(&mut self.stream).poll_write(cx, buf) };
        self.refusal = refusal;
        Poll::Ready(Ok(buf.len())) // hyper flushes what it wrote
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut filled = bufs.iter().filter(|buf| !buf.is_empty());
        match (filled.next(), filled.next()) {
            (Some(only), None) => self.poll_write(cx, only),
            _ => {
                ready!(self.poll_refusal(cx))?;
                Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_refusal(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_refusal(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BARE: &[u8] =
        b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\ndate: x\r\n\r\n";

    #[test]
    fn a_bare_refusal_gets_a_body_and_its_length() {
        let text = String::from_utf8(worded(BARE).unwrap()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{text}");
        assert!(
            head.contains("\r\ncontent-type: application/json\r\n") && head.ends_with("date: x"),
            "{text}"
        );
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["error"]["code"], "invalid_request_error");
    }

    #[test]
    fn everything_else_passes_as_it_is() {
        let answer = b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}";
        let in_a_stream = [BARE, b"\r\n"].concat();
        let good = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        for bytes in [&answer[..], &in_a_stream, good, b"HTTP/1.1 4", b"", b"data: x\n\n"] {
            assert_eq!(worded(bytes), None, "{}", bytes.escape_ascii());
        }
    }
}
