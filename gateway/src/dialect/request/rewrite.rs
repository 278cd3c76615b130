//! The places of a request that change on its way: the model's name, and in OpenAI's streams the wish for usage at the
//! end, without which a streamed call could not be settled.

use std::ops::Range;

use bytes::Bytes;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::fields::same_when_folded;
use super::flaw::{BadRequest, Flaw, Shape, bad, flawed};
use super::values::read_bool;
use super::{Peek, range_in};
use crate::dialect::json;
use crate::dialect::voice::Voice;

/// The body for the upstream: its name of the model, and a stream that ends with its usage. All other bytes are
/// the client's; without a change it is the same buffer.
pub fn rewrite(body: &Bytes, peek: &Peek, upstream_model: &str) -> Bytes {
    with(body, peek, upstream_model, peek.usage_splice.as_ref())
}

/// The body with the upstream's name of the model, for one that tells the usage of a stream unasked and refuses to be asked.
pub fn rename(body: &Bytes, peek: &Peek, upstream_model: &str) -> Bytes {
    with(body, peek, upstream_model, None)
}

fn with(body: &Bytes, peek: &Peek, upstream_model: &str, usage: Option<&Splice>) -> Bytes {
    match &peek.names {
        Names::Member(place) => with_model(body, peek, place, upstream_model, usage),
        Names::Resources(places) => with_resource(body, places, upstream_model),
    }
}

/// Where the model is named in a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// In a member, which is put there if there is none.
    Member(ModelPlace),
    /// Google's: as a resource, in these raw values, in their order; perhaps nowhere.
    Resources(Vec<Range<usize>>),
}

/// The body with the resource of the upstream's model wherever one is named.
fn with_resource(body: &Bytes, places: &[Range<usize>], upstream_model: &str) -> Bytes {
    let mut name = Vec::new();
    // A name that is a resource already: `tunedModels/x`, `publishers/google/models/x`.
    match upstream_model.contains('/') {
        true => json::push_string(&mut name, upstream_model),
        false => json::push_string(&mut name, &["models/", upstream_model].concat()),
    }
    if places.iter().all(|place| body.get(place.clone()) == Some(&name)) {
        return body.clone();
    }
    let size = body.len() + places.len() * name.len();
    let mut out = Splicer { body, copied: 0, out: Vec::with_capacity(size) };
    for place in places {
        out.replace(place, |buf| buf.extend_from_slice(&name));
    }
    out.finish()
}

fn with_model(
    body: &Bytes,
    peek: &Peek,
    place: &ModelPlace,
    upstream_model: &str,
    usage: Option<&Splice>,
) -> Bytes {
    let rename = place.always || peek.model != upstream_model;
    if !rename && usage.is_none() {
        return body.clone();
    }
    let usage_first = usage.is_some_and(|s| s.range.start < place.range.start);
    let mut size = body.len();
    if rename {
        let frame = place.before.len() + place.behind.len();
        size = size - place.range.len() + frame + json::string_len(upstream_model);
    }
    if let Some(splice) = usage {
        size = size - splice.range.len() + splice.text.len();
    }
    let mut out = Splicer { body, copied: 0, out: Vec::with_capacity(size) };
    if let Some(splice) = usage.filter(|_| usage_first) {
        out.replace(&splice.range, |buf| buf.extend_from_slice(splice.text.as_bytes()));
    }
    if rename {
        out.replace(&place.range, |buf| {
            buf.extend_from_slice(place.before.as_bytes());
            json::push_string(buf, upstream_model);
            buf.extend_from_slice(place.behind.as_bytes());
        });
    }
    if let Some(splice) = usage.filter(|_| !usage_first) {
        out.replace(&splice.range, |buf| buf.extend_from_slice(splice.text.as_bytes()));
    }
    out.finish()
}

/// Where the model's name is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ModelPlace {
    /// Its raw JSON value, quotes included; empty where a member is to be inserted.
    pub(super) range: Range<usize>,
    before: &'static str,
    behind: &'static str,
    /// Also if the name asked for is the upstream's: the body has none, or another.
    always: bool,
}

impl ModelPlace {
    /// `written`: the value in the body, if any. `named`: the path names the model. `alone`: no member is there.
    pub(super) fn new(text: &str, written: Option<&RawValue>, named: bool, alone: bool) -> ModelPlace {
        match written.map(RawValue::get) {
            Some(raw) => ModelPlace { range: range_in(text, raw), before: "", behind: "", always: named },
            None => {
                let inside = text.find('{').map_or(0, |at| at + 1);
                let behind = if alone { "" } else { "," };
                ModelPlace { range: inside..inside, before: "\"model\":", behind, always: true }
            }
        }
    }
}

struct Splicer<'a> {
    body: &'a [u8],
    copied: usize,
    out: Vec<u8>,
}

impl Splicer<'_> {
    fn replace(&mut self, range: &Range<usize>, write: impl FnOnce(&mut Vec<u8>)) {
        self.out.extend_from_slice(self.body.get(self.copied..range.start).unwrap_or_default());
        write(&mut self.out);
        self.copied = range.end;
    }

    fn finish(mut self) -> Bytes {
        self.out.extend_from_slice(self.body.get(self.copied..).unwrap_or_default());
        // Exactly full, so this takes the buffer over without another allocation.
        Bytes::from(self.out)
    }
}

/// Puts `text` in place of `range`, to make a stream end with its usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Splice {
    range: Range<usize>,
    text: &'static str,
}

/// `stream_options`: what it says of usage, and where.
#[derive(Default)]
pub(super) struct StreamOptions<'a> {
    pub(super) raw: Option<&'a str>,
    pub(super) include_usage: bool,
    /// The raw value of `include_usage`.
    asked: Option<&'a str>,
    /// It is an object with members.
    has_members: bool,
}

impl<'a> StreamOptions<'a> {
    pub(super) fn read(raw: Option<&'a RawValue>) -> Result<StreamOptions<'a>, BadRequest> {
        const NAME: &str = "stream_options";
        let Some(raw) = raw.map(RawValue::get) else { return Ok(StreamOptions::default()) };
        let mut options = StreamOptions { raw: Some(raw), ..StreamOptions::default() };
        if raw == "null" {
            return Ok(options);
        }
        if !raw.starts_with('{') {
            return Err(flawed(Voice::OpenAi, NAME, Flaw::Not(Shape::Object, raw)));
        }
        let members: Vec<(String, &RawValue)> =
            members_of(raw).map_err(|err| bad(Some(NAME), err.to_string()))?;
        options.has_members = !members.is_empty();
        for (name, value) in members {
            let exact = name == "include_usage";
            if !exact && same_when_folded(&name, "include_usage") || exact && options.asked.is_some() {
                return Err(bad(Some(NAME), "Duplicate or misspelt field 'include_usage'.".to_owned()));
            }
            if exact {
                let asked = read_bool(Voice::OpenAi, Some(value), "stream_options.include_usage")?;
                options.include_usage = asked.unwrap_or(false);
                options.asked = Some(value.get());
            }
        }
        Ok(options)
    }

    /// The change that asks for usage, as a member behind the model's if there is none yet.
    pub(super) fn splice(&self, text: &str, model: &ModelPlace) -> Splice {
        if let Some(asked) = self.asked {
            return Splice { range: range_in(text, asked), text: "true" };
        }
        match self.raw.map(|raw| range_in(text, raw)) {
            // Before the comma that an inserted model ends with there is none yet.
            None if model.behind == "," => Splice {
                range: model.range.end..model.range.end,
                text: r#""stream_options":{"include_usage":true},"#,
            },
            None => Splice {
                range: model.range.end..model.range.end,
                text: r#","stream_options":{"include_usage":true}"#,
            },
            Some(range) if self.raw == Some("null") => Splice { range, text: r#"{"include_usage":true}"# },
            Some(range) => {
                let inside = range.start + 1;
                let text =
                    if self.has_members { r#""include_usage":true,"# } else { r#""include_usage":true"# };
                Splice { range: inside..inside, text }
            }
        }
    }
}

/// The members of an object in order, duplicates included.
fn members_of(raw: &str) -> serde_json::Result<Vec<(String, &RawValue)>> {
    struct MembersVisitor;
    impl<'de> Visitor<'de> for MembersVisitor {
        type Value = Vec<(String, &'de RawValue)>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(member) = map.next_entry()? {
                members.push(member);
            }
            Ok(members)
        }
    }
    serde_json::Deserializer::from_str(raw).deserialize_map(MembersVisitor)
}
