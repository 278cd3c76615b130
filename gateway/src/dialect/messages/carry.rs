//! What this dialect has no field for, but must survive a trip through its clients: they give ids and signatures back
//! unchanged, so it travels in those.

use crate::dialect::talk::{Call, Reasoning, ToolResult};

/// Between a call's id and the signature of a provider that signs calls (Gemini refuses a call that comes back without).
const SIGNED: &str = "__sig__";

/// Before the id and the encrypted content of reasoning that is no Anthropic model's (Responses).
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

/// What stands in the `signature` of a thinking block.
pub(super) fn thinking_signature(reasoning: &Reasoning) -> String {
    if let Some(signature) = &reasoning.signature {
        return signature.clone();
    }
    foreign_signature(reasoning.id.as_deref(), reasoning.encrypted.as_deref(), reasoning.text.is_empty())
}

/// The same of reasoning without a signature: its id and encrypted content; `summary`: the text is one.
pub(super) fn foreign_signature(id: Option<&str>, encrypted: Option<&str>, summary: bool) -> String {
    if id.is_none() && encrypted.is_none() {
        return String::new();
    }
    let kind = if summary { 's' } else { 't' };
    format!("{FOREIGN}{kind}:{}:{}", id.unwrap_or_default(), encrypted.unwrap_or_default())
}

/// The reasoning of a thinking block.
pub(super) fn reasoning(text: String, signature: Option<String>) -> Reasoning {
    let signature = signature.filter(|signature| !signature.is_empty());
    let foreign = signature.as_deref().and_then(|signature| signature.strip_prefix(FOREIGN));
    let parts = foreign.and_then(|foreign| foreign.split_once(':'));
    let Some((kind, (id, encrypted))) = parts.and_then(|(kind, rest)| Some((kind, rest.split_once(':')?)))
    else {
        return Reasoning { text, signature, ..Reasoning::default() };
    };
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let (id, encrypted) = (some(id), some(encrypted));
    if kind == "s" {
        let summary = if text.is_empty() { Vec::new() } else { vec![text] };
        return Reasoning { id, encrypted, summary, ..Reasoning::default() };
    }
    Reasoning { id, encrypted, text, ..Reasoning::default() }
}

/// The ids of calls in one request. Anthropic wants every call to have one, of letters, digits, `_` and `-`, and every
/// result to name it.
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
            return clean(&call.id);
        }
        let id = self.make();
        self.open.push((call.name.clone(), id.clone()));
        id
    }

    /// The id of the call that a result belongs to: without ids, the first one of that tool that has no result.
    pub(super) fn result(&mut self, result: &ToolResult) -> String {
        if !result.id.is_empty() {
            return clean(&result.id);
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

/// The id in the letters that Anthropic allows (`^[a-zA-Z0-9_-]+$`); one that had others is told apart by a hash (FNV-1a).
fn clean(id: &str) -> String {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    if id.chars().all(allowed) {
        return id.to_owned();
    }
    let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let bare: String = id.chars().map(|letter| if allowed(letter) { letter } else { '_' }).collect();
    format!("{bare}_{hash:016x}")
}

/// An id for the `nth` call of an answer whose provider gives none: new in every answer, so that a conversation has no two.
pub(super) fn answer_id(answer: &str, nth: usize) -> String {
    let bare: String = answer.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("toolu_{bare}_{nth}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_travels_in_the_id() {
        let id = signed_id("call_1", Some("a+b/cQ=="));
        assert_eq!(id, "call_1__sig__a-b_cQ");
        assert_eq!(split_id(id), ("call_1".to_owned(), Some("a+b/cQ==".to_owned())));
        assert_eq!(signed_id("call_1", Some("no base64!")), "call_1");
        assert_eq!(split_id("call_1".to_owned()), ("call_1".to_owned(), None));
    }

    #[test]
    fn reasoning_of_responses_travels_in_the_signature() {
        let summary = Reasoning {
            id: Some("rs_1".to_owned()),
            summary: vec!["short".to_owned()],
            encrypted: Some("gAAA:x".to_owned()),
            ..Reasoning::default()
        };
        let signature = thinking_signature(&summary);
        assert_eq!(reasoning("short".to_owned(), Some(signature)), summary);
        let told = Reasoning { text: "long".to_owned(), id: Some("rs_2".to_owned()), ..Reasoning::default() };
        assert_eq!(reasoning("long".to_owned(), Some(thinking_signature(&told))), told);
        assert_eq!(
            reasoning("x".to_owned(), Some("weir:odd".to_owned())).signature.as_deref(),
            Some("weir:odd")
        );
    }

    #[test]
    fn calls_without_ids_are_paired_with_their_results() {
        let call = |name: &str| Call { name: name.to_owned(), ..Call::default() };
        let result = |name: &str| ToolResult { name: name.to_owned(), ..ToolResult::default() };
        let mut ids = Ids::default();
        let (a, b, again) = (ids.call(&call("a")), ids.call(&call("b")), ids.call(&call("a")));
        assert_eq!(ids.result(&result("b")), b);
        assert_eq!(ids.result(&result("a")), a);
        assert_eq!(ids.result(&result("a")), again);
        assert!(a != b && b != again);
    }

    #[test]
    fn ids_of_other_providers_are_cleaned_and_told_apart() {
        assert_eq!(clean("toolu_01-x"), "toolu_01-x");
        assert!(clean("functions.f:0").starts_with("functions_f_0_"));
        assert_ne!(clean("f:0"), clean("f.0"));
        assert_eq!(answer_id("chatcmpl-1_x", 2), "toolu_chatcmpl1x_2");
    }
}
