//! The framing of AWS event streams (`application/vnd.amazon.eventstream`).
//!
//! A frame is: its length and that of its headers, big endian, four bytes each; a CRC-32 of those eight bytes; the
//! headers; the payload; a CRC-32 of all before it. The crate `aws-smithy-eventstream` reads it too, but brings eleven
//! others along that nothing else here needs, and waits for frames of up to 4 GiB before it looks at a checksum.

use bytes::{Buf, Bytes, BytesMut};

/// Lengths and their checksum.
const PRELUDE: usize = 12;
/// The prelude, and the checksum at the end.
const AROUND: usize = PRELUDE + 4;
/// The longest headers that the protocol allows.
const MOST_HEADERS: usize = 128 << 10;
/// The longest payload that AWS's own clients take.
const MOST_PAYLOAD: usize = 24 << 20;

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The headers that are strings, in their order; Converse has no others.
    pub headers: Vec<(String, String)>,
    /// The payload: JSON in Converse.
    pub payload: Bytes,
}

impl Frame {
    /// A header's value, if the frame has it.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|header| header.0 == name).map(|header| header.1.as_str())
    }
}

/// How a stream is damaged. Nothing behind the damage can be trusted, so every later call says the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The lengths do not have the checksum that they came with.
    #[error("the checksum over a frame's lengths is wrong")]
    Lengths,
    /// The frame does not have the checksum that it came with.
    #[error("the checksum over a frame is wrong")]
    Checksum,
    /// A frame shorter than its own frame and headers.
    #[error("a frame of {0} bytes is too short for its headers")]
    TooShort(usize),
    /// A frame longer than the protocol allows.
    #[error("a frame of {0} bytes is longer than the protocol allows")]
    TooLong(usize),
    /// Headers longer than the protocol allows.
    #[error("headers of {0} bytes are longer than the protocol allows")]
    HeadersTooLong(usize),
    /// The headers are no headers.
    #[error("a frame's headers cannot be read")]
    Headers,
    /// The stream ended inside a frame.
    #[error("the stream ended inside a frame")]
    Cut,
}

/// Takes bytes in chunks of any size and gives frames. It holds no more than the frame that is not yet complete, and
/// the chunk that came last.
#[derive(Debug, Default)]
pub struct Frames {
    waiting: BytesMut,
    damage: Option<Damage>,
}

impl Frames {
    /// More bytes have arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.damage.is_none() {
            self.waiting.extend_from_slice(bytes);
        }
    }

    /// The next frame; none if it is not complete yet. Call it until it gives none before pushing more.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Damage> {
        if let Some(damage) = self.damage {
            return Err(damage);
        }
        self.cut_out().inspect_err(|damage| {
            self.damage = Some(*damage);
            self.waiting = BytesMut::new();
        })
    }

    /// The stream has ended.
    pub fn end(&self) -> Result<(), Damage> {
        match self.damage {
            Some(damage) => Err(damage),
            None if self.waiting.is_empty() => Ok(()),
            None => Err(Damage::Cut),
        }
    }

    fn cut_out(&mut self) -> Result<Option<Frame>, Damage> {
        let Some((length, headers)) = lengths(&self.waiting)? else { return Ok(None) };
        if self.waiting.len() < length {
            return Ok(None);
        }
        let mut frame = self.waiting.split_to(length).freeze();
        let mut sum = frame.split_off(length - 4);
        if sum.get_u32() != crc32fast::hash(&frame) {
            return Err(Damage::Checksum);
        }
        frame.advance(PRELUDE);
        let payload = frame.split_off(headers);
        Ok(Some(Frame { headers: read_headers(frame).ok_or(Damage::Headers)?, payload }))
    }
}

/// A frame's length and that of its headers, once they are there and proven.
fn lengths(bytes: &[u8]) -> Result<Option<(usize, usize)>, Damage> {
    let Some(mut prelude) = bytes.get(..PRELUDE) else { return Ok(None) };
    let proven = crc32fast::hash(&bytes[..PRELUDE - 4]);
    let (length, headers) = (prelude.get_u32() as usize, prelude.get_u32() as usize);
    if prelude.get_u32() != proven {
        return Err(Damage::Lengths);
    }
    if headers > MOST_HEADERS {
        return Err(Damage::HeadersTooLong(headers));
    }
    if length > AROUND + headers + MOST_PAYLOAD {
        return Err(Damage::TooLong(length));
    }
    if length < AROUND + headers {
        return Err(Damage::TooShort(length));
    }
    Ok(Some((length, headers)))
}

/// A header is: the length of its name, one byte; its name; its type, one byte; its value, whose length the type tells
/// or, of bytes and strings, two bytes before it.
fn read_headers(mut bytes: Bytes) -> Option<Vec<(String, String)>> {
    let mut headers = Vec::with_capacity(4);
    while !bytes.is_empty() {
        let length = usize::from(bytes.try_get_u8().ok()?);
        let name = split(&mut bytes, length)?;
        let kind = bytes.try_get_u8().ok()?;
        let length = match kind {
            0 | 1 => 0, // true, false
            2 => 1,
            3 => 2,
            4 => 4,
            5 | 8 => 8, // a long, a time
            6 | 7 => usize::from(bytes.try_get_u16().ok()?),
            9 => 16, // a UUID
            _ => return None,
        };
        let value = split(&mut bytes, length)?;
        if kind == 7 {
            headers.push((text(&name)?, text(&value)?));
        }
    }
    Some(headers)
}

fn split(bytes: &mut Bytes, length: usize) -> Option<Bytes> {
    (bytes.len() >= length).then(|| bytes.split_to(length))
}

fn text(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

#[cfg(test)]
#[path = "frames_tests.rs"]
pub(super) mod tests;
