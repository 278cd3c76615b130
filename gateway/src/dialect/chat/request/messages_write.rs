//! Messages, written.

use serde_json::Value;

use super::super::content::{self, How};
use super::super::fields::{Fields, mark, put, put_extra};
use super::super::message::{self, Manner};
use super::Manners;
use crate::dialect::talk::ids::Ids;
use crate::dialect::talk::{Extra, Media, Message, Part, Piece, Refused, Role, Source, ToolResult};

/// Writes `messages`.
pub(super) fn write(messages: &[Message], manners: Manners) -> Result<Vec<Value>, Refused> {
    let out = Vec::with_capacity(messages.len());
    let mut writer = Writer { manners, ids: Ids::new(str::to_owned), media: Vec::new(), out };
    for (n, message) in messages.iter().enumerate() {
        let path = format!("messages[{n}]");
        if message.role != Role::User {
            writer.show_media(&path)?;
        }
        match message.role {
            Role::Developer if manners.developer => writer.plain("developer", message, &path)?,
            Role::System | Role::Developer => writer.plain("system", message, &path)?,
            Role::User => writer.user(message, &path)?,
            Role::Assistant => writer.assistant(message, &path)?,
        }
    }
    writer.show_media("messages")?;
    Ok(writer.out)
}

struct Writer {
    manners: Manners,
    ids: Ids,
    /// What tools returned and only a user can show: not before all their results are told.
    media: Vec<Piece>,
    out: Vec<Value>,
}

impl Writer {
    fn how(&self, joint: &'static str) -> How {
        How { cache: self.manners.cache_marks, joint: (!self.manners.parts).then_some(joint) }
    }

    fn push(&mut self, role: &str, mut fields: Fields, message: &Message) {
        fields.insert("role".into(), role.into());
        if !matches!(role, "tool" | "function") {
            put(&mut fields, "name", message.name.as_deref());
        }
        put_extra(&mut fields, &message.extra);
        if !self.manners.cache_marks {
            fields.remove("cache_control");
        }
        if !self.manners.reasoning {
            for name in ["reasoning", "reasoning_content", "reasoning_details"] {
                fields.remove(name);
            }
        }
        self.out.push(Value::Object(fields));
    }

    fn plain(&mut self, role: &str, message: &Message, path: &str) -> Result<(), Refused> {
        let content = content::write(&message.pieces.iter().collect::<Vec<_>>(), self.how("\n\n"), path)?;
        self.push(role, Fields::from_iter([("content".to_owned(), content)]), message);
        Ok(())
    }

    fn show_media(&mut self, path: &str) -> Result<(), Refused> {
        if self.media.is_empty() {
            return Ok(());
        }
        let pieces = std::mem::take(&mut self.media);
        self.plain("user", &Message { role: Role::User, pieces, name: None, extra: Extra::default() }, path)
    }

    fn assistant(&mut self, message: &Message, path: &str) -> Result<(), Refused> {
        let (content, reasoning) = (self.how(""), self.manners.reasoning);
        let manner = Manner { answer: false, cut: false, content, reasoning, extra: &message.extra, path };
        let fields = message::write(&message.pieces, &manner, &mut self.ids)?;
        self.push("assistant", fields, message);
        Ok(())
    }

    /// What tools returned must come at once behind the calls, so it goes first; then what the user says.
    fn user(&mut self, message: &Message, path: &str) -> Result<(), Refused> {
        let mut said = Vec::new();
        for piece in &message.pieces {
            match &piece.part {
                Part::Result(result) => self.result(message, result, piece, path)?,
                _ => said.push(piece),
            }
        }
        // No words of the user's stand behind results alone.
        if said.is_empty() && !message.pieces.is_empty() {
            return Ok(());
        }
        let media = std::mem::take(&mut self.media);
        let pieces: Vec<&Piece> = media.iter().chain(said).collect();
        let content = content::write(&pieces, self.how("\n\n"), path)?;
        self.push("user", Fields::from_iter([("content".to_owned(), content)]), message);
        Ok(())
    }

    fn result(
        &mut self,
        message: &Message,
        result: &ToolResult,
        piece: &Piece,
        path: &str,
    ) -> Result<(), Refused> {
        let mut told = told(result);
        let id = self.ids.result(result);
        let moved: Vec<Piece> = told.extract_if(.., |piece| is_moved(piece)).collect();
        if !moved.is_empty() {
            told.push(
                Part::text("(The next message of the user shows the media that this tool returned.)").into(),
            );
            self.media.push(Part::text(format!("Media that the tool call {id} returned:")).into());
            self.media.extend(moved);
        }
        if let (Some(cache), Some(last)) = (piece.cache, told.last_mut()) {
            last.cache = last.cache.or(Some(cache));
        }
        let parts: Vec<&Piece> = told.iter().collect();
        let content = content::write(&parts, self.how("\n\n"), path)?;
        let mut out = Fields::from_iter([("content".to_owned(), content)]);
        let legacy = mark(&message.extra, "#function").is_some();
        if legacy || mark(&message.extra, "#name").is_some() {
            out.insert("name".into(), result.name.as_str().into());
        }
        if !legacy {
            out.insert("tool_call_id".into(), id.into());
        }
        self.push(if legacy { "function" } else { "tool" }, out, message);
        Ok(())
    }
}

/// Media of tools, which OpenAI does not take in their place, are shown by the user.
fn is_moved(piece: &Piece) -> bool {
    matches!(&piece.part, Part::Media(media) if !is_plain(media)) && mark(&piece.extra, "#here").is_none()
}

fn is_plain(media: &Media) -> bool {
    matches!(media.source, Source::Text(_))
}

/// What a result tells: JSON as text, and a failure in words where the tool's own have none.
fn told(result: &ToolResult) -> Vec<Piece> {
    let json = result.json.as_ref().map(|json| Part::text(json.to_string()).into());
    let mut told: Vec<Piece> = json.into_iter().chain(result.pieces.iter().cloned()).collect();
    if result.failed == Some(true) {
        match told.first_mut().map(|piece| &mut piece.part) {
            Some(Part::Text { text, .. }) if text.to_ascii_lowercase().contains("error") => {}
            Some(Part::Text { text, .. }) => text.insert_str(0, "Error: "),
            _ => told.insert(0, Part::text("Error: the tool failed.").into()),
        }
    }
    told
}
