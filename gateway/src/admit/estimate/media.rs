//! What images, sounds, films and documents cost. They are not text: an image costs by what is seen of it, whatever its
//! bytes, the others by how long they are, of which their bytes are all that we know.
//!
//! The numbers, by whose dialect the client speaks:
//! - OpenAI, <https://platform.openai.com/docs/guides/images-vision>: an image of 1024 by 1024 in high detail is 765 tokens,
//!   and larger ones are more. Sound is ten tokens a second.
//! - Anthropic, <https://platform.claude.com/docs/en/build-with-claude/vision>: an image is (width / 28) * (height / 28)
//!   tokens, and is made smaller to about 1600 before (a few models see more). A page of a PDF is 1,500 to 3,000 tokens
//!   and an image. Tools come with a prompt of its own of up to 530 tokens (`/agents-and-tools/tool-use/overview`, "Pricing"),
//!   and are in recorded calls some 500 more than their text.
//! - Google, <https://ai.google.dev/gemini-api/docs/tokens> and `/media-resolution`: an image is 1120 tokens for Gemini 3,
//!   and 258 for each tile of 768 by 768 before. A second of sound is 32 tokens, one of film 263.

use crate::dialect::voice::Voice;

/// What media cost for clients of one dialect.
#[derive(Clone, Copy, Debug)]
pub(super) struct Costs {
    /// An image, tokens.
    image: u64,
    /// Bytes of compressed speech per token (4 kB a second and up), and of 16-bit samples.
    audio_bytes: u64,
    wave_bytes: u64,
    /// What `data` without a media type is.
    untold: Medium,
    /// What the provider itself says to the model where tools are offered, tokens.
    pub(super) tools: u64,
}

static OPENAI: Costs =
    Costs { image: 1105, audio_bytes: 400, wave_bytes: 1600, untold: Medium::Audio, tools: 0 };
static ANTHROPIC: Costs =
    Costs { image: 1600, audio_bytes: 400, wave_bytes: 1600, untold: Medium::Sealed, tools: 500 };
static GOOGLE: Costs =
    Costs { image: 1120, audio_bytes: 125, wave_bytes: 1000, untold: Medium::Sealed, tools: 0 };

/// Bytes of a document per token: pages cost their text and an image each, and range from 3 kB to 200 kB.
const FILE_BYTES: u64 = 16;
/// A document known by its name only.
const FILE: u64 = 1105;
/// Bytes of film per token, at half a megabit a second.
const VIDEO_BYTES: u64 = 240;
/// Bytes of plain text in base64 per token.
const TEXT_BYTES: u64 = 3;
/// Characters of what only its provider can read (signatures, encrypted thoughts) per token: a bit more than the text in it.
const SEALED_CHARS: u64 = 4;

/// What something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Medium {
    Image,
    Audio,
    Video,
    Document,
    Text,
    /// Nobody but its provider can read it.
    Sealed,
}

impl Medium {
    pub(super) fn of_type(media_type: &[u8]) -> Medium {
        match media_type.split(|byte| *byte == b'/').next() {
            Some(b"image") => Medium::Image,
            Some(b"audio") => Medium::Audio,
            Some(b"video") => Medium::Video,
            Some(b"text") => Medium::Text,
            _ => Medium::Document,
        }
    }

    /// By the first bytes of a file, in base64.
    fn of_content(content: &[u8]) -> Option<Medium> {
        const BEGINNINGS: [(&[u8], Medium); 4] = [
            (b"iVBORw0KGgo", Medium::Image), // PNG
            (b"/9j/", Medium::Image),        // JPEG
            (b"R0lGOD", Medium::Image),      // GIF
            (b"JVBERi", Medium::Document),   // PDF
        ];
        // `RIFF`, a length, then `WAVE` or `WEBP`.
        match content.get(12..16).filter(|_| content.starts_with(b"UklGR")) {
            Some(b"RUJQ") => Some(Medium::Image),
            Some(_) => Some(Medium::Audio),
            None => {
                let found = BEGINNINGS.iter().find(|(beginning, _)| content.starts_with(beginning));
                found.map(|(_, medium)| *medium)
            }
        }
    }
}

impl Costs {
    pub(super) fn of(voice: Voice) -> &'static Costs {
        match voice {
            Voice::OpenAi => &OPENAI,
            Voice::Anthropic => &ANTHROPIC,
            Voice::Google => &GOOGLE,
        }
    }

    /// Of a file in base64, of this media type if it is told.
    pub(super) fn data(&self, media_type: Option<&[u8]>, content: &[u8]) -> u64 {
        let told = media_type.map(Medium::of_type).or_else(|| Medium::of_content(content));
        self.content(told.unwrap_or(self.untold), content)
    }

    /// Of `content` in base64.
    pub(super) fn content(&self, medium: Medium, content: &[u8]) -> u64 {
        let bytes = content.len() as u64 / 4 * 3;
        match medium {
            Medium::Image => self.image,
            Medium::Audio if content.starts_with(b"UklGR") => bytes / self.wave_bytes + 1,
            Medium::Audio => bytes / self.audio_bytes + 1,
            Medium::Video => bytes / VIDEO_BYTES + 1,
            Medium::Document => FILE.max(bytes / FILE_BYTES),
            Medium::Text => bytes / TEXT_BYTES + 1,
            Medium::Sealed => content.len() as u64 / SEALED_CHARS,
        }
    }

    /// Of what is known by its name or place alone.
    pub(super) fn named(&self, medium: Medium) -> u64 {
        match medium {
            Medium::Image => self.image,
            _ => FILE,
        }
    }
}

/// Can it be a file in base64? Some write `/` as `\/`.
pub(super) fn is_base64(string: &[u8]) -> bool {
    const LOOKED_AT: usize = 256;
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=-_\\".contains(byte);
    string.iter().take(LOOKED_AT).all(fits)
}

/// The media type and the content of a `data:` URL in base64.
pub(super) fn inline_data(string: &[u8]) -> Option<(&[u8], &[u8])> {
    const LONGEST_TYPE: usize = 128;
    const MARK: &[u8] = b";base64,";
    let rest = string.strip_prefix(b"data:")?;
    let head = rest.get(..LONGEST_TYPE).unwrap_or(rest);
    let mark = memchr::memmem::find(head, MARK)?;
    Some((head.get(..mark)?, rest.get(mark + MARK.len()..)?))
}

/// The media type of an object whose members behind `at` are not read yet, if it is one of the next.
pub(super) fn type_behind(text: &[u8], at: usize) -> Option<&[u8]> {
    const LOOKED_AT: usize = 160;
    let rest = text.get(at..)?;
    let rest = rest.get(..LOOKED_AT).unwrap_or(rest);
    let rest = rest.split(|byte| *byte == b'}').next()?;
    let names = [&b"\"media_type\""[..], b"\"mimeType\"", b"\"mime_type\""];
    let behind = names.iter().find_map(|name| Some(memchr::memmem::find(rest, name)? + name.len()))?;
    rest.get(behind..)?.split(|byte| *byte == b'"').nth(1)
}
