//! What the readers of plain requests share.
//!
//! To read a body into maps, take their members out and drop them takes longer than all else that a short call in another
//! dialect needs. Most calls are texts and a few numbers, so each such dialect has a `text_alone.rs` that reads those
//! into types. It names few fields and gives up on any other, on what is there twice, and on what is written in another
//! way; then the dialect's general reader reads. What both read is the same (tests and fuzzing hold them to it).

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::talk::{Extra, Message, Part, Piece, Role};

/// An object. (A derived struct takes a list for one, too.)
pub(in crate::dialect) struct Object<T>(pub(in crate::dialect) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Object<T>, D::Error> {
        struct Of<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Of<T> {
            type Value = Object<T>;

            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, members: M) -> Result<Object<T>, M::Error> {
                T::deserialize(MapAccessDeserializer::new(members)).map(Object)
            }
        }
        from.deserialize_map(Of(PhantomData))
    }
}

/// A text or a list.
pub(in crate::dialect) enum TextOr<T> {
    /// A text.
    Text(String),
    /// A list.
    List(Vec<T>),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for TextOr<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<TextOr<T>, D::Error> {
        struct Of<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Of<T> {
            type Value = TextOr<T>;

            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("a text or a list")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<TextOr<T>, E> {
                Ok(TextOr::Text(text.to_owned()))
            }

            fn visit_seq<S: SeqAccess<'de>>(self, elements: S) -> Result<TextOr<T>, S::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(elements)).map(TextOr::List)
            }
        }
        from.deserialize_any(Of(PhantomData))
    }
}

/// A number that every dialect takes in its place: from 0 to `most`, or none.
pub(in crate::dialect) fn is_within(number: Option<f64>, most: f64) -> bool {
    number.is_none_or(|number| (0.0..=most).contains(&number))
}

/// A text as a piece.
pub(in crate::dialect) fn piece(text: String) -> Piece {
    Part::text(text).into()
}

/// What one says.
pub(in crate::dialect) fn said(role: Role, pieces: Vec<Piece>) -> Message {
    Message { role, pieces, name: None, extra: Extra::default() }
}

#[cfg(test)]
pub(in crate::dialect) mod tests {
    use crate::dialect::talk::{Dialect, Request};

    /// What the bodies in `plain` say is read as the general reader reads it; what those in `other` say is left to that one.
    pub(in crate::dialect) fn hold(
        own: Dialect,
        read: fn(&[u8]) -> Option<Request>,
        plain: &[String],
        other: &[String],
    ) {
        for body in plain {
            let read = read(body.as_bytes());
            assert!(read.is_some(), "left: {body}");
            assert_eq!(read, own.read_any_request(body.as_bytes()).ok(), "{body}");
        }
        for body in other {
            assert_eq!(read(body.as_bytes()), None, "{body}");
        }
        let cut = plain[0].len() - 1;
        let broken = [plain[0].as_bytes()[..cut].to_vec(), plain[0].replace("Hi", "\u{1}").into_bytes()];
        let mut bytes = plain[0].clone().into_bytes();
        let at = plain[0].find("Hi").unwrap();
        bytes[at] = 0xff;
        for broken in broken.into_iter().chain([bytes, [plain[0].as_bytes(), b"{}"].concat()]) {
            assert_eq!(read(&broken), None, "{}", String::from_utf8_lossy(&broken));
            assert!(own.read_any_request(&broken).is_err(), "{}", String::from_utf8_lossy(&broken));
        }
    }
}
