//! MessagePack, as much of it as the scripts and their replies use: arrays, unsigned integers, strings.

use super::{Malformed, malformed};

/// A writer of MessagePack: arrays, unsigned integers, strings; all that the scripts need.
#[derive(Default)]
pub(super) struct Pack(Vec<u8>);

impl Pack {
    pub(super) fn with_capacity(bytes: usize) -> Pack {
        Pack(Vec::with_capacity(bytes))
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(super) fn array(&mut self, len: usize) -> &mut Pack {
        match len {
            0..=15 => self.0.push(0x90 | len as u8),
            16..=0xffff => {
                self.0.push(0xdc);
                self.0.extend((len as u16).to_be_bytes());
            }
            _ => {
                self.0.push(0xdd);
                self.0.extend((len as u32).to_be_bytes());
            }
        }
        self
    }

    pub(super) fn uint(&mut self, n: u64) -> &mut Pack {
        match n {
            0..=0x7f => self.0.push(n as u8),
            0x80..=0xffff => {
                self.0.push(0xcd);
                self.0.extend((n as u16).to_be_bytes());
            }
            0x1_0000..=0xffff_ffff => {
                self.0.push(0xce);
                self.0.extend((n as u32).to_be_bytes());
            }
            _ => {
                self.0.push(0xcf);
                self.0.extend(n.to_be_bytes());
            }
        }
        self
    }

    pub(super) fn text(&mut self, s: &str) -> &mut Pack {
        match s.len() {
            0..=31 => self.0.push(0xa0 | s.len() as u8),
            32..=0xffff => {
                self.0.push(0xda);
                self.0.extend((s.len() as u16).to_be_bytes());
            }
            _ => {
                self.0.push(0xdb);
                self.0.extend((s.len() as u32).to_be_bytes());
            }
        }
        self.0.extend(s.as_bytes());
        self
    }

    pub(super) fn uints(&mut self, numbers: &[u64]) -> &mut Pack {
        self.array(numbers.len());
        numbers.iter().for_each(|n| {
            self.uint(*n);
        });
        self
    }
}

/// A reader of the same.
pub(super) struct Unpack<'a>(&'a [u8]);

impl<'a> Unpack<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Unpack<'a> {
        Unpack(bytes)
    }

    /// The length of an array that begins here.
    pub(super) fn array(&mut self) -> Result<usize, Malformed> {
        let len = match self.number(1)? {
            tag @ 0x90..=0x9f => tag & 0x0f,
            0x80 => 0, // an empty Lua table is packed as an empty map
            0xdc => self.number(2)?,
            0xdd => self.number(4)?,
            _ => return Err(malformed("msgpack")),
        };
        Ok(len as usize)
    }

    pub(super) fn uint(&mut self) -> Result<u64, Malformed> {
        match self.number(1)? {
            tag @ 0..=0x7f => Ok(tag),
            0xcc => self.number(1),
            0xcd => self.number(2),
            0xce => self.number(4),
            0xcf => self.number(8),
            _ => Err(malformed("msgpack")), // nothing here is negative or a fraction
        }
    }

    pub(super) fn uints(&mut self) -> Result<Vec<u64>, Malformed> {
        (0..self.array()?).map(|_| self.uint()).collect()
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| malformed("msgpack"))
    }

    /// A string of any bytes.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let len = match self.number(1)? {
            tag @ 0xa0..=0xbf => tag & 0x1f,
            0xd9 => self.number(1)?,
            0xda => self.number(2)?,
            0xdb => self.number(4)?,
            _ => return Err(malformed("msgpack")),
        };
        self.take(len as usize)
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.0.split_at_checked(n).ok_or(malformed("msgpack"))?;
        self.0 = rest;
        Ok(head)
    }

    /// A big-endian number of `n` bytes.
    fn number(&mut self, n: usize) -> Result<u64, Malformed> {
        Ok(self.take(n)?.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }
}
