//! The members of a request by name. A member that we read may be there once, under its exact name: what one
//! reader overlooks and another takes is how limits are got round.

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{BadRequest, bad};

/// The members that we read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Model,
    Messages,
    Stream,
    StreamOptions,
    MaxTokens,
    MaxCompletionTokens,
    MaxOutputTokens,
    Choices,
    Tools,
    Functions,
    ResponseFormat,
}

const FIELDS: [(Field, &str); 11] = [
    (Field::Model, "model"),
    (Field::Messages, "messages"),
    (Field::Stream, "stream"),
    (Field::StreamOptions, "stream_options"),
    (Field::MaxTokens, "max_tokens"),
    (Field::MaxCompletionTokens, "max_completion_tokens"),
    (Field::MaxOutputTokens, "max_output_tokens"),
    (Field::Choices, "n"),
    (Field::Tools, "tools"),
    (Field::Functions, "functions"),
    (Field::ResponseFormat, "response_format"),
];

/// The raw values of [`FIELDS`], and the first fault among the names.
#[derive(Default)]
pub(super) struct Fields<'a> {
    values: [Option<&'a RawValue>; FIELDS.len()],
    fault: Option<BadRequest>,
}

impl<'a> Fields<'a> {
    /// The value of a field; `null` counts as a value here.
    pub(super) fn get(&self, field: Field) -> Option<&'a RawValue> {
        self.values[field as usize]
    }

    fn fault(&mut self, field: &'static str, message: String) {
        self.fault.get_or_insert_with(|| bad(Some(field), message));
    }
}

pub(super) fn read_fields(text: &str) -> Result<Fields<'_>, BadRequest> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let fields = reader.deserialize_map(FieldsVisitor).and_then(|fields| reader.end().map(|()| fields));
    let fields = fields.map_err(|err| {
        let what = if err.is_data() { "must be a JSON object" } else { "is not valid JSON" };
        bad(None, format!("The request body {what}: {err}."))
    })?;
    match fields.fault {
        Some(fault) => Err(fault),
        None => Ok(fields),
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Fields::default();
        while let Some(Key(known)) = map.next_key()? {
            let Known::Exactly(field, name) = known else {
                if let Known::Almost(name) = known {
                    fields.fault(name, format!("Unknown field that differs from '{name}' only in case."));
                }
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if fields.values[field as usize].replace(map.next_value()?).is_some() {
                fields.fault(name, format!("Duplicate field '{name}'."));
            }
        }
        Ok(fields)
    }
}

/// A member's name, as far as we know it.
struct Key(Known);

enum Known {
    Exactly(Field, &'static str),
    /// Not the name, but a reader that ignores case takes it for it.
    Almost(&'static str),
    No,
}

impl<'de> serde::Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Key, D::Error> {
        struct NameVisitor;
        impl Visitor<'_> for NameVisitor {
            type Value = Key;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a member name")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Key, E> {
                Ok(Key(known(name)))
            }
        }
        reader.deserialize_str(NameVisitor)
    }
}

fn known(name: &str) -> Known {
    for (field, exact) in FIELDS {
        if name == exact {
            return Known::Exactly(field, exact);
        }
    }
    let folded = FIELDS.iter().find(|(_, exact)| same_when_folded(name, exact));
    folded.map_or(Known::No, |(_, exact)| Known::Almost(exact))
}

/// Equal without regard to case, as readers that fold Unicode see it: they also take U+017F for `s` and U+212A
/// for `k`.
pub(super) fn same_when_folded(name: &str, exact: &str) -> bool {
    let fold = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    name.chars().map(fold).eq(exact.chars())
}
