//! What this dialect has no field for, but must survive a trip through its clients: they give the ids of calls and the
//! encrypted content of reasoning back unchanged, so it travels in those.

use crate::dialect::talk::{Call, Reasoning, ToolResult};

/// Between a call's id and the signature of a provider that signs calls (Gemini refuses a call that comes back without).
const SIGNED: &str = "__sig__";

/// Before the encrypted content of reasoning that no provider of this dialect made.
const FOREIGN: &str = "weir:";

/// The id of a call as a client sees it: with the signature, in the letters that ids may have. A signature that is not
/// base64 cannot go along.
pub(super) fn signed_id(id: &str, signature: Option<&str>) -> String {
    let base64 = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'+' | b'/');
    let bare = signature.map(|signature| signature.trim_end_matches('='));
    match bare.filter(|bare| !bare.is_empty() && bare.bytes().all(base64)) {
        None => id.to_owned(),
        Some(bare) => format!("{id}{SIGNED}{}", bare.replace('+', "-").replace('/', "_")),
    }
}

/// The id and the signature that [`signed_id`] made one of.
pub(super) fn split_id(id: String) -> (String, Option<String>) {
    let Some((before, signature)) = id.split_once(SIGNED) else { return (id, None) };
    let mut signature = signature.replace('-', "+").replace('_', "/");
    while signature.len() % 4 != 0 {
        signature.push('=');
    }
    (before.to_owned(), Some(signature))
}

/// The `encrypted_content` under which a client keeps reasoning that no provider of this dialect made: its signature, or
/// what is told only encrypted. All such reasoning has one, so that it is known when it comes back.
pub(super) fn foreign(signature: Option<&str>, encrypted: Option<&str>) -> String {
    match (signature, encrypted) {
        (Some(signature), _) => format!("{FOREIGN}s:{signature}"),
        (None, Some(encrypted)) => format!("{FOREIGN}e:{encrypted}"),
        (None, None) => format!("{FOREIGN}t:"),
    }
}

/// Undoes [`foreign`]: the id was made up here, so it goes.
pub(super) fn known(mut reasoning: Reasoning) -> Reasoning {
    let parts = reasoning.encrypted.as_deref().and_then(|text| text.strip_prefix(FOREIGN)?.split_once(':'));
    let Some((kind, rest)) = parts else { return reasoning };
    let (signature, encrypted) = match kind {
        "s" => (Some(rest.to_owned()), None),
        "e" => (None, Some(rest.to_owned())),
        "t" => (None, None),
        _ => return reasoning,
    };
    (reasoning.id, reasoning.signature, reasoning.encrypted) = (None, signature, encrypted);
    reasoning
}

/// The ids of calls in one request: every call must have one here, and every result must name it.
#[derive(Default)]
pub(super) struct Ids {
    made: usize,
    /// Calls without ids that have no result yet: the tool and the id that was made up.
    open: Vec<(String, String)>,
}

impl Ids {
    /// A call's id.
    pub(super) fn call(&mut self, call: &Call) -> String {
        if !call.id.is_empty() {
            return call.id.clone();
        }
        let id = self.make();
        self.open.push((call.name.clone(), id.clone()));
        id
    }

    /// The id of the call that a result belongs to: without ids, the first one of that tool that has no result.
    pub(super) fn result(&mut self, result: &ToolResult) -> String {
        if !result.id.is_empty() {
            return result.id.clone();
        }
        let fits = |(name, _): &(String, String)| result.name.is_empty() || *name == result.name;
        match self.open.iter().position(fits) {
            Some(at) => self.open.remove(at).1,
            None => self.make(),
        }
    }

    fn make(&mut self) -> String {
        self.made += 1;
        format!("call_{}", self.made)
    }
}
