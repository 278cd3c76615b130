//! How pieces begin, and those that come whole.

use serde_json::{Value, json};

use super::super::super::{calls, media, message};
use super::{Open, Writer};
use crate::dialect::talk::{Call, Dialect, MediaKind, Opening, Part, Piece, Source};

impl Writer {
    pub(super) fn begin(&mut self, index: u64, piece: usize, opening: &Opening, to: &mut Vec<u8>) {
        let at = self.choice(index);
        let Some(choice) = self.choices.get_mut(at) else { return };
        let open = match opening {
            Opening::Text => Open::Text(choice.chars),
            Opening::Refusal => {
                choice.refusal = true;
                Open::Refusal
            }
            Opening::Reasoning { id } => {
                choice.details += 1;
                Open::Reasoning { id: id.clone(), index: choice.details - 1, summary: 0 }
            }
            Opening::Call { id, name, custom, signature } => {
                choice.calls += 1;
                let number = choice.calls - 1;
                choice.open.push((piece, Open::Call { index: number, custom: *custom, empty: true }));
                let (id, name, signature) = (id.clone(), name.clone(), signature.clone());
                let call = Call { id, name, custom: *custom, signature, ..Call::default() };
                return self.begin_call(index, number, &call, to);
            }
            Opening::Whole(whole) => return self.whole(index, whole, to),
        };
        choice.open.push((piece, open));
    }

    fn begin_call(&mut self, index: u64, number: usize, call: &Call, to: &mut Vec<u8>) {
        let id = self.ids.call(call);
        let (kind, text) = if call.custom { ("custom", "input") } else { ("function", "arguments") };
        let inner = json!({"name": call.name, text: ""});
        let mut begun = json!({"index": number, "id": id, "type": kind, kind: inner});
        if let Some(signed) = call.signature.as_ref().and_then(calls::extra_content) {
            begun["extra_content"] = signed;
        }
        self.member(index, to, "tool_calls", &vec![begun].into());
    }

    fn whole(&mut self, index: u64, piece: &Piece, to: &mut Vec<u8>) {
        match &piece.part {
            Part::Text { text, .. } => self.text(index, to, "content", text),
            Part::Media(said) if said.kind == MediaKind::Image => {
                if let Ok(image) = media::write(said, &piece.extra, "image") {
                    self.member(index, to, "images", &vec![Value::Object(image)].into());
                }
            }
            Part::Media(said) => {
                if let (MediaKind::Audio, Source::Base64(data)) = (said.kind, &said.source) {
                    self.member(index, to, "audio", &message::audio(data));
                }
            }
            Part::Foreign(Dialect::Chat, value) => self.foreign(index, value, to),
            _ => {}
        }
    }

    /// What the reader kept under the name of its field, or a part of `content`.
    fn foreign(&mut self, index: u64, value: &Value, to: &mut Vec<u8>) {
        if let Some(audio) = value.get("audio").filter(|_| value.get("type").is_none()) {
            self.member(index, to, "audio", audio);
        } else if let Some(detail) = value.get("reasoning_detail") {
            self.member(index, to, "reasoning_details", &vec![detail.clone()].into());
        } else {
            self.member(index, to, "content", &vec![value.clone()].into());
        }
    }
}
