//! Messages that are one text each, as in nearly all plain calls: written straight, without a map for each.

use bytes::Bytes;

use super::super::fields::Fields;
use super::Manners;
use crate::dialect::json::{Object, push_each};
use crate::dialect::talk::{Dialect, Extra, Message, Part, Piece, Role};

/// Who says what, if every message is one text and there is no more about it that this dialect could say.
pub fn texts(messages: &[Message]) -> Option<Vec<(Role, &str)>> {
    messages.iter().map(|message| Some((message.role, text(message)?))).collect()
}

fn text(message: &Message) -> Option<&str> {
    let Message { role: _, pieces, name: None, extra } = message else { return None };
    let [Piece { part, cache: None, extra: of_piece }] = pieces.as_slice() else { return None };
    let Part::Text { text, signature: None, citations } = part else { return None };
    (citations.is_empty() && is_foreign(extra) && is_foreign(of_piece)).then_some(text)
}

fn is_foreign(extra: &Extra) -> bool {
    extra.0.as_ref().is_none_or(|of| of.0 != Dialect::Chat)
}

/// The body of a request that says these texts, with its other fields; about `near` bytes.
pub fn body_of_texts(texts: &[(Role, &str)], settings: &Fields, manners: Manners, near: usize) -> Bytes {
    let mut out = Vec::with_capacity(near);
    let mut body = Object::new(&mut out);
    for (name, value) in settings {
        body.value(name, value);
    }
    push_each(body.name("messages"), texts, |out, (role, text)| {
        let mut message = Object::new(out);
        message.json("role", name(*role, manners));
        message.text("content", text);
        message.end();
    });
    body.end();
    out.into()
}

fn name(role: Role, manners: Manners) -> &'static str {
    match role {
        Role::Developer if manners.developer => r#""developer""#,
        Role::System | Role::Developer => r#""system""#,
        Role::User => r#""user""#,
        Role::Assistant => r#""assistant""#,
    }
}
