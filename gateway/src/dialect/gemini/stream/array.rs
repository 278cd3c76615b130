//! A JSON array that arrives in pieces: `[{...},\n{...}]`.

use crate::dialect::talk::Refused;

/// The longest element that is put together.
const LONGEST: usize = 1 << 20;

/// Finds the elements of a JSON array in chunks of its text, cut anywhere.
#[derive(Default)]
pub struct ArrayReader {
    place: Place,
    element: Vec<u8>,
    depth: usize,
    /// Inside a string, and behind its backslash.
    string: bool,
    escape: bool,
    /// It is an object alone, without an array around it: so come errors.
    alone: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Before,
    Between,
    Inside,
    Behind,
}

impl ArrayReader {
    /// Reads on, and gives the elements that are complete now.
    pub fn read(&mut self, chunk: &[u8], to: &mut Vec<Vec<u8>>) -> Result<(), Refused> {
        let mut rest = chunk;
        while let Some(&byte) = rest.first() {
            if self.place == Place::Inside {
                rest = self.inside(rest, to)?;
                continue;
            }
            match byte {
                b' ' | b'\n' | b'\r' | b'\t' => {}
                b'[' if self.place == Place::Before => self.place = Place::Between,
                b',' if self.place == Place::Between => {}
                b']' if self.place == Place::Between => self.place = Place::Behind,
                b'{' if self.place != Place::Behind => {
                    self.alone = self.place == Place::Before;
                    self.place = Place::Inside;
                    continue;
                }
                _ => return Err(Refused::whole("The stream is not a JSON array of objects.")),
            }
            rest = rest.get(1..).unwrap_or_default();
        }
        Ok(())
    }

    /// The stream has ended: an error if the array has not.
    pub fn end(&self) -> Result<(), Refused> {
        match self.place {
            Place::Behind => Ok(()),
            _ => Err(Refused::whole("The stream ended inside its JSON array.")),
        }
    }

    /// Takes the element's part of `chunk`, and gives what is behind it.
    fn inside<'a>(&mut self, chunk: &'a [u8], to: &mut Vec<Vec<u8>>) -> Result<&'a [u8], Refused> {
        let end = chunk.iter().position(|byte| self.ends(*byte));
        let (mine, rest) = chunk.split_at(end.map_or(chunk.len(), |end| end + 1));
        if self.element.len() + mine.len() > LONGEST {
            return Err(Refused::whole("An element of the stream is longer than 1 MiB."));
        }
        self.element.extend_from_slice(mine);
        if end.is_some() {
            to.push(std::mem::take(&mut self.element));
            self.place = if self.alone { Place::Behind } else { Place::Between };
        }
        Ok(rest)
    }

    /// Is this the last byte of the element?
    fn ends(&mut self, byte: u8) -> bool {
        if self.string {
            match byte {
                _ if self.escape => self.escape = false,
                b'\\' => self.escape = true,
                b'"' => self.string = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => return false,
        }
        self.depth == 0 && !self.string
    }
}
