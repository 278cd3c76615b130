//! The events of a stream as bytes: their framing, and what stands in every one.

use serde_json::Map;

use crate::dialect::gemini::failed::error;
use crate::dialect::gemini::{time, usage};
use crate::dialect::json::{push_string, push_value};
use crate::dialect::openai::answer::Usage;
use crate::dialect::talk::tier::given_tier;
use crate::dialect::talk::{Dialect, Own};

/// How the events of a stream stand in its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events: the client asked for `alt=sse`.
    Sse,
    /// The elements of a JSON array: it did not.
    Array,
}

/// Writes events into a body.
pub(super) struct Frames {
    framing: Framing,
    begun: bool,
    /// What stands in every event: the model, the id, the time. Each with a comma behind it.
    about: Vec<u8>,
    tier: Option<String>,
    /// What was used so far.
    pub(super) usage: Option<Usage>,
}

impl Frames {
    pub(super) fn new(framing: Framing) -> Frames {
        Frames { framing, begun: false, about: Vec::new(), tier: None, usage: None }
    }

    /// What the answer's start says of it.
    pub(super) fn start(&mut self, id: &str, model: &str, created: Option<u64>, tier: Option<&Own<String>>) {
        let moment = created.and_then(time::text).unwrap_or_default();
        for (name, value) in [("modelVersion", model), ("createTime", &moment), ("responseId", id)] {
            if !value.is_empty() {
                push_string(&mut self.about, name);
                self.about.push(b':');
                push_string(&mut self.about, value);
                self.about.push(b',');
            }
        }
        self.tier(tier);
    }

    /// One event; `members` appends what it says, each member with a comma behind it. The tier of service stands in the
    /// first and wherever there is usage.
    pub(super) fn event(&mut self, counts: bool, to: &mut Vec<u8>, members: impl FnOnce(&mut Vec<u8>)) {
        let mut metadata = Map::new();
        if let Some(tier) = self.tier.as_deref().filter(|_| counts || !self.begun) {
            metadata.insert("serviceTier".into(), tier.into());
        }
        if let Some(counts) = self.usage.as_ref().filter(|_| counts) {
            metadata.extend(usage::write(counts, 0));
        }
        self.open(to);
        to.push(b'{');
        members(to);
        if !metadata.is_empty() {
            to.extend_from_slice(b"\"usageMetadata\":");
            push_value(to, &metadata.into());
            to.push(b',');
        }
        to.extend_from_slice(&self.about);
        if to.last() == Some(&b',') {
            to.pop();
        }
        to.push(b'}');
        self.end(to);
    }

    /// An error in the stream's place.
    pub(super) fn fail(&mut self, kind: &str, message: &str, to: &mut Vec<u8>) {
        self.open(to);
        push_value(to, &error(kind, message));
        self.end(to);
    }

    /// A sign of life: space between events is allowed in both framings; a comment would stop old clients. Before an array there
    /// is none, for whoever ends the body sees by what is in it that the array has begun.
    pub(super) fn ping(&self, to: &mut Vec<u8>) {
        if self.begun || self.framing == Framing::Sse {
            to.extend_from_slice(b"\r\n");
        }
    }

    /// The tier of service, when it is known only late.
    pub(super) fn tier(&mut self, tier: Option<&Own<String>>) {
        let word = tier.and_then(|tier| given_tier(tier, Dialect::Gemini));
        self.tier = word.map(str::to_owned).or(self.tier.take());
    }

    /// The body is complete.
    pub(super) fn close(&self, to: &mut Vec<u8>) {
        if self.framing == Framing::Array {
            to.push(b']');
        }
    }

    fn open(&mut self, to: &mut Vec<u8>) {
        to.extend_from_slice(match (self.framing, self.begun) {
            (Framing::Sse, _) => b"data: ".as_slice(),
            (Framing::Array, false) => b"[",
            (Framing::Array, true) => b",\r\n",
        });
        self.begun = true;
    }

    fn end(&self, to: &mut Vec<u8>) {
        if self.framing == Framing::Sse {
            to.extend_from_slice(b"\r\n\r\n");
        }
    }
}
