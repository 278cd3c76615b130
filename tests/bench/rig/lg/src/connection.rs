//! One HTTP/1.1 connection on a raw socket: just enough of the protocol to read any answer to its end.
use std::io::{Error, ErrorKind, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

/// What is known of an answer once it is read.
#[derive(Default)]
pub struct Reply {
    pub status: u16,
    pub first_byte: Option<Instant>,
    /// When the text that was looked for came.
    pub first_content: Option<Instant>,
    pub bytes: u64,
    /// It was a stream and ended with `[DONE]`.
    pub done: bool,
    /// The connection cannot be used again.
    pub close: bool,
    tail: [u8; 32],
}

/// How the end of a body is known.
enum Length {
    Known(usize),
    Chunked,
    UntilClose,
}

struct Head {
    status: u16,
    length: Length,
    close: bool,
    stream: bool,
}

impl Connection {
    pub async fn open(address: &str) -> Result<Connection> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, buffer: vec![0; 64 << 10], start: 0, end: 0 })
    }

    /// Sends a request and reads its answer to the end; looks when `content`, if it says anything, comes.
    pub async fn exchange(&mut self, request: &[u8], content: &[u8]) -> Result<Reply> {
        self.stream.write_all(request).await?;
        let mut head = self.head().await?;
        while (100..200).contains(&head.status) {
            head = self.head().await?;
        }
        let close = head.close || matches!(head.length, Length::UntilClose);
        let mut reply = Reply { status: head.status, close, ..Reply::default() };
        match head.length {
            Length::Known(length) => self.take(length, &mut reply, content).await?,
            Length::Chunked => self.chunks(&mut reply, content).await?,
            Length::UntilClose => self.rest(&mut reply, content).await?,
        }
        reply.done = head.stream && memchr::memmem::find(&reply.tail, b"[DONE]").is_some();
        Ok(reply)
    }

    async fn head(&mut self) -> Result<Head> {
        let line = self.line().await?;
        let status = std::str::from_utf8(line).ok().and_then(|l| l.split(' ').nth(1)?.parse().ok());
        let status = status.ok_or(Error::from(ErrorKind::InvalidData))?;
        let mut head = Head { status, length: Length::UntilClose, close: false, stream: false };
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                return Ok(head);
            }
            let colon = memchr::memchr(b':', line).ok_or(Error::from(ErrorKind::InvalidData))?;
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            if name.eq_ignore_ascii_case(b"content-length") {
                let length = std::str::from_utf8(value).ok().and_then(|v| v.parse().ok());
                head.length = Length::Known(length.ok_or(Error::from(ErrorKind::InvalidData))?);
            } else if name.eq_ignore_ascii_case(b"transfer-encoding")
                && value.eq_ignore_ascii_case(b"chunked")
            {
                head.length = Length::Chunked;
            } else if name.eq_ignore_ascii_case(b"connection") {
                head.close = value.eq_ignore_ascii_case(b"close");
            } else if name.eq_ignore_ascii_case(b"content-type") {
                head.stream = value.starts_with(b"text/event-stream");
            }
        }
    }

    async fn chunks(&mut self, reply: &mut Reply, content: &[u8]) -> Result<()> {
        loop {
            let line = self.line().await?;
            let size = line.split(|&b| b == b';').next().unwrap_or(line).trim_ascii();
            let size = std::str::from_utf8(size).ok().and_then(|s| usize::from_str_radix(s, 16).ok());
            match size.ok_or(Error::from(ErrorKind::InvalidData))? {
                0 => break,
                size => self.take(size, reply, content).await?,
            }
            self.line().await?;
        }
        while !self.line().await?.is_empty() {}
        Ok(())
    }

    async fn take(&mut self, mut length: usize, reply: &mut Reply, content: &[u8]) -> Result<()> {
        while length > 0 {
            if self.start == self.end {
                self.need().await?;
            }
            let part = length.min(self.end - self.start);
            reply.body(&self.buffer[self.start..self.start + part], content);
            self.start += part;
            length -= part;
        }
        Ok(())
    }

    async fn rest(&mut self, reply: &mut Reply, content: &[u8]) -> Result<()> {
        loop {
            reply.body(&self.buffer[self.start..self.end], content);
            self.start = self.end;
            if self.fill().await? == 0 {
                return Ok(());
            }
        }
    }

    /// The next line, without its end.
    async fn line(&mut self) -> Result<&[u8]> {
        let mut seen = 0;
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.buffer[self.start + seen..self.end]) {
                let (from, to) = (self.start, self.start + seen + at);
                self.start = to + 1;
                let line = &self.buffer[from..to];
                return Ok(line.strip_suffix(b"\r").unwrap_or(line));
            }
            seen = self.end - self.start;
            self.need().await?;
        }
    }

    async fn need(&mut self) -> Result<()> {
        if self.fill().await? == 0 { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    async fn fill(&mut self) -> Result<usize> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if self.end == self.buffer.len() {
                self.buffer.resize(2 * self.buffer.len(), 0);
            }
        }
        let n = self.stream.read(&mut self.buffer[self.end..]).await?;
        self.end += n;
        Ok(n)
    }
}

impl Reply {
    fn body(&mut self, data: &[u8], content: &[u8]) {
        if self.first_byte.is_none() && !data.is_empty() {
            self.first_byte = Some(Instant::now());
        }
        // A text that two reads share is missed, and the next one counts: of chunks sent apart that is rare.
        let looking = self.first_content.is_none() && !content.is_empty();
        if looking && memchr::memmem::find(data, content).is_some() {
            self.first_content = Some(Instant::now());
        }
        self.bytes += data.len() as u64;
        let kept = data.len().min(self.tail.len());
        self.tail.copy_within(kept.., 0);
        let room = self.tail.len() - kept;
        self.tail[room..].copy_from_slice(&data[data.len() - kept..]);
    }
}
