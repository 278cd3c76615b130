//! Where a walk over JSON text stands, and what the objects around it say that they hold.
//!
//! What a file is stands in members beside it, before it or behind, and two of them may disagree: a reader takes the one or
//! the other. So what an object holds is kept until the object ends, and then costs the most of all that it can be
//! read as. An object that only wraps another (`source`, `image_url`) speaks for the one around it.

use super::media::{Cost, Medium, inline_data, is_base64};
use super::text::Tally;

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

/// What an object says that it holds.
#[derive(Clone, Copy, Default)]
struct Told {
    /// One bit for each [`Medium`].
    media: u8,
    /// It was found by a search, or is cited: the address of such is read, and nothing behind it.
    found: bool,
    /// What looks like a file may be text.
    words: bool,
}

impl Told {
    const MEDIA: [Medium; 6] =
        [Medium::Image, Medium::Audio, Medium::Video, Medium::Document, Medium::Text, Medium::Sealed];

    fn add(&mut self, medium: Option<Medium>) {
        self.media |= medium.map_or(0, |medium| 1 << medium as u8);
    }

    fn join(&mut self, other: Told) {
        self.media |= other.media;
        self.found |= other.found;
        self.words |= other.words;
    }

    fn is(&self, medium: Medium) -> bool {
        self.media & 1 << medium as u8 != 0
    }

    /// The most of what it can be, or of `else_taken_for` if nothing is told.
    fn most(mut self, else_taken_for: Medium, cost: impl Fn(Medium) -> Cost) -> Cost {
        if self.media == 0 {
            self.add(Some(else_taken_for));
        }
        let costs = Told::MEDIA.into_iter().filter(|medium| self.is(*medium)).map(cost);
        costs.fold(Cost::default(), Cost::max)
    }
}

/// A string that may be a file, or where one is.
struct Held<'a> {
    string: &'a [u8],
    label: Label,
}

/// Longest name of a file, bytes; what is longer, and could be base64, is the file itself.
const LONGEST_NAME: usize = 256;

impl Held<'_> {
    /// What it costs in an object that says this.
    fn cost(&self, mut told: Told) -> Cost {
        if let Label::Link(medium) = self.label {
            told.add(medium);
        }
        if let Some((media_type, content)) = inline_data(self.string) {
            told.add(Medium::of_type(media_type));
            return self.of_content(told, content);
        }
        match self.label {
            Label::Data => self.of_content(told, self.string),
            _ if self.string.len() > LONGEST_NAME && is_base64(self.string) => {
                self.of_content(told, self.string)
            }
            _ => self.named(told),
        }
    }

    fn of_content(&self, told: Told, content: &[u8]) -> Cost {
        let as_text = || Cost::sure(Tally::of_string(self.string));
        if !is_base64(content) {
            let image = if told.is(Medium::Image) { Medium::Image.content(content) } else { 0 };
            return as_text().max(Cost::sure(image));
        }
        let untold = Medium::of_content(content).unwrap_or(Medium::Sealed);
        let cost = told.most(untold, |medium| Cost::sure(medium.content(content)));
        if told.words { cost.max(as_text()) } else { cost }
    }

    fn named(&self, mut told: Told) -> Cost {
        let as_text = Cost::sure(Tally::of_string(self.string));
        if told.found && told.media == 0 {
            return as_text;
        }
        // Google takes an address of YouTube's for a film. In a name with escapes anything may be hidden.
        let is_film = |part: &[u8]| memchr::memmem::find(self.string, part).is_some();
        if self.label == Label::File && (is_film(b"youtu") || is_film(b"\\u")) {
            told.add(Some(Medium::Video));
        }
        let untold = if self.label == Label::File { Medium::Document } else { Medium::Image };
        told.most(untold, Medium::named).max(as_text)
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
            None => self.held.drain(frame.held..).for_each(|held| cost.add(held.cost(frame.told))),
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

    /// What is inline in a list of texts: an image, or a text.
    pub(super) fn embedded(&self, string: &[u8]) -> Cost {
        Held { string, label: Label::Text }.cost(Told { words: true, ..Told::default() })
    }

    pub(super) fn media_type(&mut self, media_type: &[u8]) {
        self.tell(|told| told.add(Medium::of_type(media_type)));
    }

    /// The object is of this `type`.
    pub(super) fn kind(&mut self, kind: &[u8]) {
        let medium = match kind {
            b"image" | b"input_image" | b"image_url" | b"computer_screenshot" => Medium::Image,
            b"audio" | b"input_audio" | b"audio_url" => Medium::Audio,
            b"video" | b"input_video" | b"video_url" => Medium::Video,
            b"document" | b"file" | b"input_file" | b"document_url" | b"container_upload" => Medium::Document,
            b"text" => return self.tell(|told| told.words = true),
            b"url_citation" | b"open_page" | b"find_in_page" => return self.tell(|told| told.found = true),
            _ if kind.starts_with(b"web_") => return self.tell(|told| told.found = true),
            _ => return,
        };
        self.tell(|told| told.add(Some(medium)));
    }

    fn tell(&mut self, tell: impl FnOnce(&mut Told)) {
        if let Some(frame) = self.frames.last_mut() {
            tell(&mut frame.told);
        }
    }
}
