//! Where a walk over JSON text stands, and what the objects around it say that they hold.
//!
//! What a file is stands in members beside it, before it or behind, and two of them may disagree: a reader takes the one or
//! the other. So what an object holds is kept until the object ends, and then costs the most of all that it can be
//! read as. An object that only wraps another (`source`, `image_url`) speaks for the one around it.

use super::held::{Held, Told};
use super::media::{Cost, Medium};
use crate::dialect::ability::Abilities;

/// What the value of a member is, in any of the dialects.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Label {
    #[default]
    Text,
    /// Where something is, or an object that says so.
    Link(Option<Medium>),
    /// An object that holds what the one around it is about.
    Source,
    /// An object that says where something was found.
    Citation,
    /// A file in base64, or the text of one.
    Data,
    /// A file, or its name.
    File,
    /// What a file is.
    MediaType,
    /// What the object is.
    Type,
    /// Only its provider can read it.
    Sealed,
    /// Of a tool.
    Arguments,
    Ignored,
}

impl Label {
    /// By the name of the member.
    pub(super) fn of(name: &[u8]) -> Label {
        match name {
            b"url" => Label::Link(None),
            b"image_url" => Label::Link(Some(Medium::Image)),
            b"video_url" => Label::Link(Some(Medium::Video)),
            b"audio_url" | b"input_audio" => Label::Link(Some(Medium::Audio)),
            b"file" | b"file_url" | b"document_url" => Label::Link(Some(Medium::Document)),
            b"source" => Label::Source,
            b"url_citation" => Label::Citation,
            b"data" => Label::Data,
            b"file_data" | b"file_id" | b"fileUri" | b"file_uri" => Label::File,
            b"media_type" | b"mimeType" | b"mime_type" => Label::MediaType,
            b"type" => Label::Type,
            b"signature" | b"thoughtSignature" | b"thought_signature" | b"encrypted_content"
            | b"encrypted_index" => Label::Sealed,
            b"input" | b"args" | b"response" => Label::Arguments,
            b"role" | b"id" | b"tool_call_id" | b"tool_use_id" | b"call_id" | b"status" | b"detail"
            | b"format" | b"filename" | b"model" | b"taskType" | b"task_type" => Label::Ignored,
            _ => Label::Text,
        }
    }

    /// Does an object under this name speak for the one around it?
    fn wraps(self) -> bool {
        matches!(self, Label::Link(_) | Label::Source | Label::Citation)
    }
}

/// An open bracket.
#[derive(Default)]
struct Frame {
    object: bool,
    /// What it says, it says of the object around it.
    wraps: bool,
    told: Told,
    /// How many were held before it.
    held: usize,
}

/// Where a walk over JSON text stands.
#[derive(Default)]
pub(super) struct Walk<'a> {
    /// The open brackets.
    frames: Vec<Frame>,
    held: Vec<Held<'a>>,
    pub(super) name_next: bool,
    pub(super) label: Label,
    /// Objects that stand directly in the text.
    pub(super) objects: u64,
    /// What a model must be able to read.
    pub(super) uses: Abilities,
}

impl<'a> Walk<'a> {
    pub(super) fn open(&mut self, object: bool) {
        self.objects += u64::from(object && self.frames.len() == 1);
        let wraps = object && self.in_object() && self.label.wraps();
        if let (true, Some(around)) = (wraps, self.frames.last_mut()) {
            around.told.found |= self.label == Label::Citation;
            if let Label::Link(medium) = self.label {
                around.told.add(medium);
            }
        }
        self.frames.push(Frame { object, wraps, told: Told::default(), held: self.held.len() });
        self.name_next = object;
    }

    /// Ends what is open; returns what that costs which it held.
    pub(super) fn close(&mut self) -> Cost {
        (self.name_next, self.label) = (false, Label::Text);
        let mut cost = Cost::default();
        let Some(frame) = self.frames.pop() else { return cost };
        match self.frames.last_mut().filter(|_| frame.wraps) {
            Some(around) => around.told.join(frame.told),
            None => {
                for held in self.held.drain(frame.held..) {
                    cost.add(held.cost(frame.told));
                    self.uses = self.uses.and(held.uses(frame.told));
                }
            }
        }
        cost
    }

    pub(super) fn is_open(&self) -> bool {
        !self.frames.is_empty()
    }

    pub(super) fn in_object(&self) -> bool {
        self.frames.last().is_some_and(|frame| frame.object)
    }

    /// Keeps a string until the object that it is in has said what it is.
    pub(super) fn hold(&mut self, string: &'a [u8]) {
        self.held.push(Held { string, label: self.label });
    }

    pub(super) fn media_type(&mut self, media_type: &[u8]) {
        self.tell(|told| told.add(Medium::of_type(media_type)));
    }

    /// The object around is of this `type`.
    pub(super) fn kind(&mut self, kind: &[u8]) {
        self.tell(|told| told.kind(kind));
    }

    fn tell(&mut self, tell: impl FnOnce(&mut Told)) {
        if let Some(frame) = self.frames.last_mut() {
            tell(&mut frame.told);
        }
    }
}
