//! HTTP/1.1 read strictly, byte for byte, by rules of its own: no library of the gateway's is asked what a message is.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Whoever is silent for this long hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Longest head that anybody here sends or expects.
const LONGEST_HEAD: usize = 1 << 20;

/// A start line and its fields.
#[derive(Clone, Default)]
pub(crate) struct Head {
    /// The first line, without its end.
    pub(crate) line: String,
    /// Names in lower case.
    pub(crate) fields: Vec<(String, Vec<u8>)>,
}

/// An answer as it came.
#[derive(Clone, Default)]
pub(crate) struct Answer {
    /// The final one.
    pub(crate) status: u16,
    /// Of the final head.
    pub(crate) head: Head,
    /// Chunks put together.
    pub(crate) body: Vec<u8>,
    /// Statuses of the heads before.
    pub(crate) interim: Vec<u16>,
}

impl std::fmt::Debug for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.line)?;
        self.fields.iter().try_for_each(|(name, value)| write!(f, "; {name}: {}", shown(value)))
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{:?} {:?} {}]", self.interim, self.head, shown(&self.body))
    }
}

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    None,
    Length(usize),
    Chunked,
    UntilClosed,
}

impl Head {
    /// The value of a field that may be there once.
    pub(crate) fn one(&self, name: &str) -> Result<Option<&[u8]>> {
        let mut values = self.fields.iter().filter(|(own, _)| own == name).map(|(_, value)| &value[..]);
        let first = values.next();
        ensure!(values.next().is_none(), "{name} is there twice");
        Ok(first)
    }

    /// The same as text; empty if absent.
    pub(crate) fn text(&self, name: &str) -> Result<String> {
        Ok(self.one(name)?.map(|value| String::from_utf8_lossy(value).into_owned()).unwrap_or_default())
    }

    fn framing(&self, otherwise: Framing) -> Result<Framing> {
        let coding = self.one("transfer-encoding")?;
        let length = self.one("content-length")?;
        match (coding, length) {
            (Some(_), Some(_)) => bail!("both content-length and transfer-encoding"),
            (Some(b"chunked"), None) => Ok(Framing::Chunked),
            (Some(other), None) => bail!("transfer-encoding {:?}", String::from_utf8_lossy(other)),
            (None, Some(digits)) => {
                ensure!(digits.iter().all(u8::is_ascii_digit), "content-length is not a number");
                Ok(Framing::Length(std::str::from_utf8(digits)?.parse()?))
            }
            (None, None) => Ok(otherwise),
        }
    }
}

/// One side of a connection, read message by message.
#[derive(Debug)]
pub(crate) struct Wire<R> {
    io: R,
    /// Read, and not yet taken.
    ahead: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Wire<R> {
    pub(crate) fn new(io: R) -> Wire<R> {
        Wire { io, ahead: Vec::new() }
    }

    /// What is read from.
    pub(crate) fn io(&self) -> &R {
        &self.io
    }

    /// Reads on; false at the end.
    async fn more(&mut self) -> Result<bool> {
        let mut piece = [0; 16 << 10];
        let read = tokio::time::timeout(PATIENCE, self.io.read(&mut piece)).await.context("silence")??;
        self.ahead.extend_from_slice(&piece[..read]);
        Ok(read > 0)
    }

    /// Waits for the first byte of a message, or the end, however long that takes: a connection may be kept for nothing.
    pub(crate) async fn begins(&mut self) -> Result<()> {
        if self.ahead.is_empty() {
            let mut piece = [0; 16 << 10];
            let read = self.io.read(&mut piece).await?;
            self.ahead.extend_from_slice(&piece[..read]);
        }
        Ok(())
    }

    /// Everything up to the end of the connection; a reset counts as an end. For what may not be HTTP.
    pub(crate) async fn rest(&mut self) -> Result<Vec<u8>> {
        loop {
            match self.more().await {
                Ok(true) if self.ahead.len() < LONGEST_HEAD => {}
                Ok(true) => bail!("it goes on and on"),
                Ok(false) => break,
                Err(error) if error.downcast_ref::<std::io::Error>().is_some() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(std::mem::take(&mut self.ahead))
    }

    /// The next head; `None` if the connection ends properly before it.
    pub(crate) async fn head(&mut self) -> Result<Option<Head>> {
        let end = loop {
            if let Some(at) = find(&self.ahead, b"\r\n\r\n") {
                break at;
            }
            ensure!(self.ahead.len() < LONGEST_HEAD, "a head without end");
            if !self.more().await? {
                ensure!(self.ahead.is_empty(), "the connection ends inside a head: {}", shown(&self.ahead));
                return Ok(None);
            }
        };
        let text: Vec<u8> = self.ahead.drain(..end + 4).collect();
        Ok(Some(parse_head(&text[..end]).with_context(|| shown(&text))?))
    }

    /// A request whole: its head and its body.
    pub(crate) async fn request(&mut self) -> Result<Option<(Head, Vec<u8>)>> {
        let Some(head) = self.head().await? else { return Ok(None) };
        let words: Vec<&str> = head.line.split(' ').collect();
        ensure!(matches!(words[..], [_, _, "HTTP/1.1"]), "request line {:?}", head.line);
        let body = self.body(head.framing(Framing::None)?).await?;
        Ok(Some((head, body)))
    }

    /// An answer whole, interim heads before it; `None` if the connection ends properly instead.
    pub(crate) async fn answer(&mut self, to_head: bool) -> Result<Option<Answer>> {
        let mut answer = Answer::default();
        loop {
            let Some(head) = self.head().await? else {
                ensure!(answer.interim.is_empty(), "nothing behind an interim answer");
                return Ok(None);
            };
            let digits = head.line.strip_prefix("HTTP/1.1 ").or(head.line.strip_prefix("HTTP/1.0 "));
            answer.status = digits.and_then(|rest| rest.get(..3)).context("status line")?.parse()?;
            if !(100..200).contains(&answer.status) {
                answer.head = head;
                break;
            }
            answer.interim.push(answer.status);
        }
        let bodiless = to_head || matches!(answer.status, 204 | 304);
        let framing = answer.head.framing(Framing::UntilClosed)?;
        answer.body = self.body(if bodiless { Framing::None } else { framing }).await?;
        Ok(Some(answer))
    }

    async fn body(&mut self, framing: Framing) -> Result<Vec<u8>> {
        match framing {
            Framing::None => Ok(Vec::new()),
            Framing::Length(length) => self.exactly(length).await,
            Framing::UntilClosed => {
                while self.more().await? {}
                Ok(std::mem::take(&mut self.ahead))
            }
            Framing::Chunked => self.chunks().await,
        }
    }

    async fn chunks(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = usize::from_str_radix(&self.line().await?, 16).context("size of a chunk")?;
            if size == 0 {
                ensure!(self.line().await?.is_empty(), "trailers that nobody announced");
                return Ok(body);
            }
            body.extend(self.exactly(size).await?);
            ensure!(self.exactly(2).await? == b"\r\n", "a chunk does not end where it should");
        }
    }

    async fn line(&mut self) -> Result<String> {
        loop {
            if let Some(at) = find(&self.ahead, b"\r\n") {
                let line: Vec<u8> = self.ahead.drain(..at + 2).collect();
                return Ok(String::from_utf8(line[..at].to_vec())?);
            }
            ensure!(self.more().await?, "the connection ends inside a line");
        }
    }

    async fn exactly(&mut self, length: usize) -> Result<Vec<u8>> {
        while self.ahead.len() < length {
            ensure!(self.more().await?, "the connection ends {} bytes early", length - self.ahead.len());
        }
        Ok(self.ahead.drain(..length).collect())
    }
}

fn parse_head(text: &[u8]) -> Result<Head> {
    let mut lines = text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let line = String::from_utf8(lines.next().unwrap_or_default().to_vec())?;
    let mut fields = Vec::new();
    for field in lines {
        let colon = find(field, b":").context("a field without a colon")?;
        let (name, value) = (&field[..colon], &field[colon + 1..]);
        let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        ensure!(!name.is_empty() && name.iter().all(is_token), "a field's name is no token");
        ensure!(!value.iter().any(|byte| matches!(byte, 0 | b'\r')), "a field's value holds CR or NUL");
        let name = String::from_utf8(name.to_ascii_lowercase())?;
        fields.push((name, value.trim_ascii().to_vec()));
    }
    Ok(Head { line, fields })
}

/// Where `part` stands in `whole`.
pub(crate) fn find(whole: &[u8], part: &[u8]) -> Option<usize> {
    whole.windows(part.len()).position(|window| window == part)
}

/// Bytes to look at, the first hundred.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let more = if bytes.len() > 100 { format!("... ({} bytes)", bytes.len()) } else { String::new() };
    format!("{}{more}", bytes[..bytes.len().min(100)].escape_ascii())
}
