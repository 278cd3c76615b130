//! Reading and writing JSON in place.
//!
//! A stream of tokens arrives as hundreds of small JSON objects of which we need three or four members. Building
//! a value, or even a typed struct, for each of them costs more than the rest of the path. [`Cursor`] walks the
//! bytes forward, hands out raw slices of the members asked for and hops over the others. It follows the
//! structure (strings are skipped as strings), so text that merely looks like a member cannot mislead it; it does
//! not validate what it hops over, so it is for bytes that pass through unchanged, never for deciding that a
//! client's request is well formed. Every function is total: damaged input ends in `None`.
//! [`write`] is for what is written.

mod write;

pub(crate) use write::{
    Object, body_of, push_each, push_list, push_members, push_string, push_value, string_len,
};

/// A position in JSON text.
pub(crate) struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Cursor<'a> {
        Cursor { text, at: 0 }
    }

    /// The first byte of the next value, after white space.
    pub(crate) fn next_byte(&mut self) -> Option<u8> {
        while let Some(&byte) = self.text.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    /// Consumes `byte` if it comes next.
    fn take(&mut self, byte: u8) -> bool {
        let found = self.next_byte() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Walks the members of an object; `visit` must consume the value. The cursor ends behind the object.
    pub(crate) fn members(
        &mut self,
        mut visit: impl FnMut(&mut Cursor<'a>, &'a [u8]) -> Option<()>,
    ) -> Option<()> {
        if !self.take(b'{') {
            return None;
        }
        if self.take(b'}') {
            return Some(());
        }
        loop {
            let key = self.string()?;
            if !self.take(b':') {
                return None;
            }
            visit(self, key)?;
            if self.take(b'}') {
                return Some(());
            }
            if !self.take(b',') {
                return None;
            }
        }
    }

    /// Walks the elements of an array; `visit` must consume each. The cursor ends behind the array.
    pub(crate) fn elements(&mut self, mut visit: impl FnMut(&mut Cursor<'a>) -> Option<()>) -> Option<()> {
        if !self.take(b'[') {
            return None;
        }
        if self.take(b']') {
            return Some(());
        }
        loop {
            visit(self)?;
            if self.take(b']') {
                return Some(());
            }
            if !self.take(b',') {
                return None;
            }
        }
    }

    /// A string's bytes between the quotes, escapes left as they are.
    pub(crate) fn string(&mut self) -> Option<&'a [u8]> {
        if !self.take(b'"') {
            return None;
        }
        let start = self.at;
        self.at = end_of_string(self.text, start)? + 1;
        self.text.get(start..self.at - 1)
    }

    /// A number, a bare word or nothing: the bytes up to the next delimiter.
    pub(crate) fn scalar(&mut self) -> Option<&'a [u8]> {
        self.next_byte()?;
        let rest = self.text.get(self.at..)?;
        let end = rest.iter().position(|b| matches!(b, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t'));
        let end = end.unwrap_or(rest.len());
        self.at += end;
        if end == 0 { None } else { rest.get(..end) }
    }

    /// The raw text of the next value, whatever it is.
    pub(crate) fn value(&mut self) -> Option<&'a [u8]> {
        self.next_byte()?;
        let start = self.at;
        self.skip()?;
        self.text.get(start..self.at)
    }

    /// Hops over the next value, however deep, without recursion.
    pub(crate) fn skip(&mut self) -> Option<()> {
        match self.next_byte()? {
            b'"' => self.string().map(|_| ()),
            b'{' | b'[' => self.skip_container(),
            _ => self.scalar().map(|_| ()),
        }
    }

    fn skip_container(&mut self) -> Option<()> {
        let mut depth = 0usize;
        loop {
            match *self.text.get(self.at)? {
                b'"' => self.at = end_of_string(self.text, self.at + 1)?,
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Some(());
            }
        }
    }
}

/// Where the quote that ends a string stands; `from` is just behind the opening quote.
pub(crate) fn end_of_string(text: &[u8], from: usize) -> Option<usize> {
    // Member names and most values of a stream are shorter than this: a plain loop beats the set-up of a vector
    // search on them.
    const SHORT: usize = 16;
    let mut at = from;
    for &byte in text.get(from..)?.iter().take(SHORT) {
        match byte {
            b'"' => return Some(at),
            b'\\' => break,
            _ => at += 1,
        }
    }
    loop {
        let found = at + memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[found] == b'"' {
            return Some(found);
        }
        at = found + 2;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_member_named_inside_a_string_is_not_a_member() {
        let text = br#"{"a":"\"usage\":{\"x\":1}","b":[{"usage":2}],"usage":3}"#;
        let mut found = None;
        let whole = Cursor::new(text).members(|c, key| {
            if key == b"usage" {
                found = c.scalar();
                return Some(());
            }
            c.skip()
        });
        assert_eq!((whole, found), (Some(()), Some(&b"3"[..])));
    }

    #[test]
    fn a_very_deep_value_is_skipped_without_recursion() {
        let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
        assert_eq!(Cursor::new(&deep).skip(), Some(()));
    }

    proptest! {
        #[test]
        fn damaged_input_never_panics(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Cursor::new(&text).skip();
            let _ = Cursor::new(&text).members(|c, _| c.skip());
            let _ = Cursor::new(&text).elements(|c| c.value().map(|_| ()));
        }

        #[test]
        fn json_like_noise_never_panics(text in "[\\[\\]{}\",:\\\\ a0]{0,60}") {
            let _ = Cursor::new(text.as_bytes()).skip();
            let _ = Cursor::new(text.as_bytes()).members(|c, _| c.value().map(|_| ()));
        }
    }
}
