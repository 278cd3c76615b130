//! What only the providers of one dialect understand, with the name of that dialect.

use serde::{Deserialize, Serialize};

use super::Dialect;

/// A signature, encrypted reasoning, the id of a stored file, a word for a tier of service: of use only where it comes
/// from. The dialect is that of whoever made it, not of who passed it on: a signature of Google's stays one in Chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Own<T> {
    /// Whose it is.
    pub dialect: Dialect,
    /// The thing itself.
    pub value: T,
}

/// Dialects whose providers take one another's signatures and encrypted reasoning: Claude's are the same at Anthropic and
/// at Bedrock ("signature values are compatible across platforms", Anthropic's documentation of extended thinking).
const PROVEN_ALIKE: [Dialect; 2] = [Dialect::Messages, Dialect::Converse];

/// Dialects with one store of files: OpenAI's.
const STORED_ALIKE: [Dialect; 2] = [Dialect::Chat, Dialect::Responses];

impl Own<String> {
    /// Of `dialect`.
    pub fn new(dialect: Dialect, value: impl Into<String>) -> Own<String> {
        Own { dialect, value: value.into() }
    }

    /// The signature or the encrypted reasoning, if providers of `dialect` take it for their own.
    pub fn proof_for(&self, dialect: Dialect) -> Option<&str> {
        self.shared(dialect, &PROVEN_ALIKE)
    }

    /// The id of a file, if it names one in the store of `dialect`'s providers.
    pub fn file_for(&self, dialect: Dialect) -> Option<&str> {
        self.shared(dialect, &STORED_ALIKE)
    }

    fn shared(&self, dialect: Dialect, alike: &[Dialect]) -> Option<&str> {
        let both = alike.contains(&dialect) && alike.contains(&self.dialect);
        (dialect == self.dialect || both).then_some(&self.value)
    }

    /// Adds one more part of what comes in parts.
    pub fn grow(whole: &mut Option<Own<String>>, part: &Own<String>) {
        whole.get_or_insert_with(|| Own::new(part.dialect, "")).value.push_str(&part.value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Broken on purpose: with every dialect taking every signature it fails.
    #[test]
    fn only_claudes_two_dialects_share_signatures_and_only_openais_share_files() {
        let all = [Dialect::Chat, Dialect::Responses, Dialect::Messages, Dialect::Gemini, Dialect::Converse];
        let pairs = |shares: fn(&Own<String>, Dialect) -> bool| {
            let of = |from: Dialect| all.into_iter().filter(move |to| shares(&Own::new(from, "x"), *to));
            all.into_iter()
                .flat_map(|from| of(from).map(move |to| (from, to)))
                .filter(|(a, b)| a < b)
                .collect()
        };
        let proofs: Vec<_> = pairs(|own, to| own.proof_for(to).is_some());
        assert_eq!(proofs, [(Dialect::Messages, Dialect::Converse)]);
        let files: Vec<_> = pairs(|own, to| own.file_for(to).is_some());
        assert_eq!(files, [(Dialect::Chat, Dialect::Responses)]);
        assert!(all.into_iter().all(|of| Own::new(of, "x").proof_for(of) == Some("x")));
    }
}
