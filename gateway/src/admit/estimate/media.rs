//! What images, sounds, films and documents cost. They are not text: an image costs by what is seen of it, whatever its
//! bytes, the others by how long they are, of which their bytes are all that we know.
//!
//! A call may be served in another dialect than its client's, so the largest number of all providers counts:
//! - OpenAI, <https://platform.openai.com/docs/guides/images-vision>: an image of 1024 by 1024 in high detail is 765 tokens,
//!   and larger ones are more. Sound is ten tokens a second.
//! - Anthropic, <https://platform.claude.com/docs/en/build-with-claude/vision>: an image is (width / 28) * (height / 28)
//!   tokens, and is made smaller to about 1600 before (a few models see more). A page of a PDF is 1,500 to 3,000 tokens
//!   and an image. Tools come with a prompt of its own of up to 530 tokens (`/agents-and-tools/tool-use/overview`, "Pricing"),
//!   and are in recorded calls some 500 more than their text.
//! - Google, <https://ai.google.dev/gemini-api/docs/tokens> and `/media-resolution`: an image is 1120 tokens for Gemini 3,
//!   and 258 for each tile of 768 by 768 before. A second of sound is 32 tokens, one of film 263.
//!
//! Of what is known by its address only the length is not known. It is taken for ten pages or ten minutes; what that is
//! above one page is a guess, and is told apart as such.

/// What the provider itself says to the model where tools are offered, tokens.
pub(super) const TOOLS: u64 = 500;
/// An image, tokens.
const IMAGE: u64 = 1600;
/// Bytes of compressed speech per token (4 kB a second and up), and of 16-bit samples.
const AUDIO_BYTES: u64 = 125;
const WAVE_BYTES: u64 = 1000;
/// Bytes of a document per token: pages cost their text and an image each, and range from 3 kB to 200 kB.
const FILE_BYTES: u64 = 16;
/// The least of a document: a page.
const FILE: u64 = 1600;
/// Bytes of film per token, at half a megabit a second.
const VIDEO_BYTES: u64 = 240;
/// Bytes of plain text in base64 per token.
const TEXT_BYTES: u64 = 3;
/// Characters of what only its provider can read (signatures, encrypted thoughts) per token: a bit more than the text in it.
const SEALED_CHARS: u64 = 4;
/// Ten pages, at 3,000 tokens of text each.
const PAGES: u64 = super::UNSEEN;
/// Ten minutes of sound.
const SOUND: u64 = 600 * 32;
/// Ten minutes of film with its sound, at 300 tokens a second.
const FILM: u64 = 600 * 300;

/// What a call is held for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cost {
    /// By what is there, tokens.
    pub(super) sure: u64,
    /// By what may be there besides, tokens.
    pub(super) guessed: u64,
}

impl Cost {
    pub(super) fn sure(tokens: u64) -> Cost {
        Cost { sure: tokens, guessed: 0 }
    }

    /// The larger of both, in each part.
    pub(super) fn max(self, other: Cost) -> Cost {
        Cost { sure: self.sure.max(other.sure), guessed: self.guessed.max(other.guessed) }
    }

    pub(super) fn add(&mut self, other: Cost) {
        self.sure += other.sure;
        self.guessed += other.guessed;
    }
}

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
    /// By a media type; `None` if it tells nothing. What is not known to be packed is text, which costs most.
    pub(super) fn of_type(media_type: &[u8]) -> Option<Medium> {
        let media_type = media_type.split(|byte| *byte == b';').next().unwrap_or_default();
        Some(match media_type {
            b"" | b"application/octet-stream" => return None,
            b"image/svg+xml" => Medium::Text,
            b"application/pdf" | b"application/msword" => Medium::Document,
            _ if media_type.starts_with(b"image/") => Medium::Image,
            _ if media_type.starts_with(b"audio/") => Medium::Audio,
            _ if media_type.starts_with(b"video/") => Medium::Video,
            // Of offices.
            _ if media_type.starts_with(b"application/vnd.") => Medium::Document,
            _ => Medium::Text,
        })
    }

    /// By the first bytes of a file, in base64.
    pub(super) fn of_content(content: &[u8]) -> Option<Medium> {
        const BEGINNINGS: [(&[u8], Medium); 5] = [
            (b"iVBORw0KGgo", Medium::Image), // PNG
            (b"/9j/", Medium::Image),        // JPEG
            (b"R0lGOD", Medium::Image),      // GIF
            (b"JVBERi", Medium::Document),   // PDF
            (b"UEsDB", Medium::Document),    // ZIP, as offices pack theirs
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

    /// Of `content` in base64, tokens.
    pub(super) fn content(self, content: &[u8]) -> u64 {
        let bytes = content.len() as u64 / 4 * 3;
        match self {
            Medium::Image => IMAGE,
            Medium::Audio if content.starts_with(b"UklGR") => bytes / WAVE_BYTES + 1,
            Medium::Audio => bytes / AUDIO_BYTES + 1,
            Medium::Video => bytes / VIDEO_BYTES + 1,
            Medium::Document => FILE.max(bytes / FILE_BYTES),
            Medium::Text => bytes / TEXT_BYTES + 1,
            Medium::Sealed => sealed(content),
        }
    }

    /// Of what is known by its name or place alone.
    pub(super) fn named(self) -> Cost {
        let whole = match self {
            Medium::Image => IMAGE,
            Medium::Audio => SOUND,
            Medium::Video => FILM,
            Medium::Document | Medium::Text | Medium::Sealed => PAGES,
        };
        Cost { sure: FILE, guessed: whole - FILE }
    }
}

/// Of what only its provider can read, tokens.
pub(super) fn sealed(string: &[u8]) -> u64 {
    string.len() as u64 / SEALED_CHARS
}

/// Can all of it be a file in base64? Some write `/` as `\/`, or break lines.
pub(super) fn is_base64(string: &[u8]) -> bool {
    // Whole pieces without a way out between them are what the compiler makes wide instructions of.
    const PIECE: usize = 64;
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=-_\\".contains(byte);
    let all = string.chunks(PIECE).all(|piece| piece.iter().fold(true, |all, byte| all & fits(byte)));
    all && memchr::memmem::find(string, b"\\u").is_none()
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
