//! Strings that may be files, or say where one is, and what the objects around them say of that.

use super::media::{Cost, Medium, inline_data, is_base64};
use super::text::Tally;
use super::walk::Label;
use crate::dialect::ability::{Abilities, Ability};

/// What an object says that it holds.
#[derive(Clone, Copy, Default)]
pub(super) struct Told {
    /// One bit for each [`Medium`].
    media: u8,
    /// It was found by a search, or is cited: the address of such is read, and nothing behind it.
    pub(super) found: bool,
    /// What looks like a file may be text.
    pub(super) words: bool,
}

impl Told {
    const MEDIA: [Medium; 6] =
        [Medium::Image, Medium::Audio, Medium::Video, Medium::Document, Medium::Text, Medium::Sealed];

    pub(super) fn add(&mut self, medium: Option<Medium>) {
        self.media |= medium.map_or(0, |medium| 1 << medium as u8);
    }

    /// The object is of this `type`.
    pub(super) fn kind(&mut self, kind: &[u8]) {
        self.add(Some(match kind {
            b"image" | b"input_image" | b"image_url" | b"computer_screenshot" => Medium::Image,
            b"audio" | b"input_audio" | b"audio_url" => Medium::Audio,
            b"video" | b"input_video" | b"video_url" => Medium::Video,
            b"document" | b"file" | b"input_file" | b"document_url" | b"container_upload" => Medium::Document,
            _ => {
                self.words |= kind == b"text";
                let found = [&b"url_citation"[..], b"open_page", b"find_in_page"];
                self.found |= found.contains(&kind) || kind.starts_with(b"web_");
                return;
            }
        }));
    }

    /// All that is said of another object is said of this one.
    pub(super) fn join(&mut self, other: Told) {
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
pub(super) struct Held<'a> {
    pub(super) string: &'a [u8],
    pub(super) label: Label,
}

/// Longest name of a file, bytes; what is longer, and could be base64, is the file itself.
const LONGEST_NAME: usize = 256;

/// What is inline in a list of texts, an image to be embedded or a text: what it costs, and what it asks of a model.
pub(super) fn embedded(string: &[u8]) -> (Cost, Abilities) {
    let held = Held { string, label: Label::Text };
    (held.cost(Told { words: true, ..Told::default() }), held.uses(Told::default()))
}

impl Held<'_> {
    /// What a model must be able to read for it, in an object that says this; nothing where nothing is told, for an address may
    /// stand there to be read as text.
    pub(super) fn uses(&self, mut told: Told) -> Abilities {
        if let Label::Link(medium) = self.label {
            told.add(medium);
        }
        let inline = inline_data(self.string);
        told.add(inline.and_then(|(media_type, _)| Medium::of_type(media_type)));
        if told.media == 0 {
            told.add(Medium::of_content(inline.map_or(self.string, |(_, content)| content)));
        }
        let uses = |ability, medium| Abilities::default().with(ability, told.is(medium));
        let seen = uses(Ability::Images, Medium::Image).and(uses(Ability::Audio, Medium::Audio));
        let seen = seen.and(uses(Ability::Video, Medium::Video));
        // (An image may be called a file, or come from one.)
        if seen == Abilities::default() { uses(Ability::Files, Medium::Document) } else { seen }
    }

    /// What it costs in an object that says this.
    pub(super) fn cost(&self, mut told: Told) -> Cost {
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
