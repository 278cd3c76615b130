//! Tiers of service: each dialect has words of its own, and some of them mean the same.

use super::{Dialect, Own};

/// The words of one tier: OpenAI's (Chat, Responses), Anthropic's when it is asked for and when it is given, Google's,
/// Bedrock's.
struct Words {
    openai: &'static str,
    asked: &'static str,
    given: &'static str,
    gemini: &'static str,
    converse: &'static str,
}

/// Empty where a dialect has no word for it.
const TIERS: [Words; 6] = [
    Words { openai: "auto", asked: "auto", given: "", gemini: "", converse: "" },
    Words {
        openai: "default",
        asked: "standard_only",
        given: "standard",
        gemini: "standard",
        converse: "default",
    },
    Words { openai: "flex", asked: "", given: "", gemini: "flex", converse: "flex" },
    Words { openai: "priority", asked: "", given: "priority", gemini: "priority", converse: "priority" },
    Words { openai: "scale", asked: "", given: "", gemini: "", converse: "" },
    Words { openai: "", asked: "", given: "batch", gemini: "", converse: "" },
];

impl Words {
    fn of(&self, dialect: Dialect, given: bool) -> &'static str {
        match dialect {
            Dialect::Chat | Dialect::Responses => self.openai,
            Dialect::Messages if given => self.given,
            Dialect::Messages => self.asked,
            Dialect::Gemini => self.gemini,
            Dialect::Converse => self.converse,
        }
    }
}

/// The tier that a request asks for, in the words of `to`; none if `to` has no word for it.
pub fn asked_tier(tier: &Own<String>, to: Dialect) -> Option<&str> {
    word(tier, to, false)
}

/// The tier that an answer was given, in the words of `to`; none if `to` has no word for it.
pub fn given_tier(tier: &Own<String>, to: Dialect) -> Option<&str> {
    word(tier, to, true)
}

fn word(tier: &Own<String>, to: Dialect, given: bool) -> Option<&str> {
    if tier.dialect == to {
        return Some(&tier.value);
    }
    let same = TIERS.iter().find(|words| words.of(tier.dialect, given) == tier.value)?;
    Some(same.of(to, given)).filter(|word| !word.is_empty() && !tier.value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Broken on purpose: with the word passed on as it is it fails.
    #[test]
    fn a_tier_is_said_in_the_words_of_each_dialect() {
        for (from, word, to, wanted) in [
            (Dialect::Chat, "performance", Dialect::Chat, Some("performance")),
            (Dialect::Chat, "performance", Dialect::Responses, None),
            (Dialect::Chat, "default", Dialect::Messages, Some("standard_only")),
            (Dialect::Messages, "standard_only", Dialect::Responses, Some("default")),
            (Dialect::Responses, "priority", Dialect::Messages, None),
            (Dialect::Converse, "flex", Dialect::Gemini, Some("flex")),
            (Dialect::Gemini, "standard", Dialect::Converse, Some("default")),
            (Dialect::Messages, "", Dialect::Gemini, None),
        ] {
            assert_eq!(asked_tier(&Own::new(from, word), to), wanted, "{from:?} {word} {to:?}");
        }
        let given = Own::new(Dialect::Messages, "priority");
        assert_eq!(given_tier(&given, Dialect::Chat), Some("priority"));
        assert_eq!(given_tier(&Own::new(Dialect::Chat, "default"), Dialect::Messages), Some("standard"));
    }
}
