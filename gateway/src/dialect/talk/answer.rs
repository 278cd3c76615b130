//! What a model answers.

use serde_json::Value;

use super::request::{Extra, Part, Piece};
use super::{Dialect, Own};
use crate::dialect::openai::answer::Usage;

/// A whole answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// Its id, as the provider made it.
    pub id: String,
    /// The model that answered.
    pub model: String,
    /// When, Unix seconds, if it is said.
    pub created: Option<u64>,
    /// As many as were asked for.
    pub choices: Vec<Choice>,
    /// The provider failed, in its own words; what it had said by then stands in `choices`. To a client this is an error,
    /// not an answer.
    pub failed: Option<Failed>,
    /// What it used, if it is said.
    pub usage: Option<Usage>,
    /// The tier of service that was given.
    pub service_tier: Option<Own<String>>,
    /// What only one dialect can say.
    pub extra: Extra,
}

impl Answer {
    /// The choice and its text, if that is all that the answer says, and nothing about it is known to one dialect alone.
    pub(in crate::dialect) fn text_alone(&self) -> Option<(&Choice, &str)> {
        let Answer { choices, failed: None, extra: Extra(None), .. } = self else { return None };
        let [choice @ Choice { pieces, logprobs, extra: Extra(None), .. }] = choices.as_slice() else {
            return None;
        };
        let [Piece { part, extra: Extra(None), .. }] = pieces.as_slice() else { return None };
        let Part::Text { text, signature: None, citations } = part else { return None };
        (logprobs.is_empty() && citations.is_empty()).then_some((choice, text))
    }
}

/// A failure that is told in the place of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failed {
    /// The provider's own kind of error (`server_error`), or empty.
    pub kind: String,
    /// Its words.
    pub message: String,
}

impl Failed {
    /// With words, if the provider has some.
    pub fn new(kind: String, message: String) -> Failed {
        let message = if message.is_empty() { "The provider gave no reason.".to_owned() } else { message };
        Failed { kind, message }
    }
}

/// One of the answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choice {
    /// Which, from 0.
    pub index: u64,
    /// What the model says, in its order: reasoning, text, calls.
    pub pieces: Vec<Piece>,
    /// Why it ended; none if it did not yet, or nobody said.
    pub finish: Option<Finish>,
    /// Log probabilities of its tokens, if they were asked for: Chat's `logprobs.content`.
    pub logprobs: Vec<Value>,
    /// What only one dialect can say.
    pub extra: Extra,
}

/// Why an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The model had said all.
    Stop,
    /// It wrote one of the texts that end the answer: which, if it is said.
    StopText(Option<String>),
    /// The longest answer was reached.
    Length,
    /// The model's context was full.
    Context,
    /// It calls tools.
    Calls,
    /// A filter of the provider's held the answer, or the prompt, back.
    Filtered,
    /// The model declines.
    Refused,
    /// The provider paused a long turn: sending it back continues it (Anthropic: `pause_turn`).
    Paused,
    /// The model wrote a call that nobody can read (Gemini: `MALFORMED_FUNCTION_CALL`).
    Malformed,
    /// Something else, in the provider's word. To clients of other dialects it is a plain end: their SDKs refuse an answer
    /// with a word that they do not know.
    Other(Own<String>),
}

impl Finish {
    /// Something else, in a word of `dialect`.
    pub fn other(dialect: Dialect, word: impl Into<String>) -> Finish {
        Finish::Other(Own::new(dialect, word))
    }
}

#[cfg(test)]
pub(in crate::dialect) mod tests {
    use serde_json::json;

    use super::super::Citation;
    use super::*;

    fn text() -> Part {
        Part::text("Say \"hi\"\n\u{1}, é")
    }

    fn of(parts: Vec<Part>) -> Answer {
        let pieces = parts.into_iter().map(Piece::from).collect();
        let choice = Choice { pieces, finish: Some(Finish::Stop), ..Choice::default() };
        Answer { id: "a".to_owned(), model: "m".to_owned(), choices: vec![choice], ..Answer::default() }
    }

    /// Answers of one text, each said in another way.
    pub(in crate::dialect) fn texts_alone() -> Vec<Answer> {
        let finishes = [
            Finish::StopText(Some("\"".to_owned())),
            Finish::StopText(None),
            Finish::Length,
            Finish::Context,
            Finish::Calls,
            Finish::Filtered,
            Finish::Refused,
            Finish::Paused,
            Finish::Malformed,
            Finish::other(Dialect::Chat, "odd"),
        ];
        let finish = |finish: Option<Finish>| {
            let mut answer = of(vec![text()]);
            answer.choices[0].finish = finish;
            answer
        };
        let mut all: Vec<Answer> = finishes.into_iter().map(Some).chain([None]).map(finish).collect();
        let usage = Usage {
            input: 9,
            cached_input: 4,
            written_input: 2,
            output: 5,
            reasoning: 0,
            ..Usage::default()
        };
        for usage in [usage, Usage { reasoning: 3, cached_input: 0, ..usage }, Usage { input: 1, ..usage }] {
            all.push(Answer { usage: Some(usage), created: Some(1_700_000_000), ..of(vec![text()]) });
        }
        for tier in ["default", "priority", "odd"] {
            let service_tier = Some(Own::new(Dialect::Chat, tier));
            all.push(Answer { service_tier, created: Some(u64::MAX), ..of(vec![Part::text("")]) });
        }
        let mut bare = Answer { id: String::new(), model: String::new(), ..of(vec![text()]) };
        bare.choices[0].index = 3;
        all.push(bare);
        all
    }

    /// Broken on purpose to see it fail: citations, log probabilities and the choice's extra not looked at.
    #[test]
    fn a_text_alone_is_known_from_more() {
        assert!(texts_alone().iter().all(|answer| answer.text_alone().is_some()));
        let extra = || Extra::of(Dialect::Chat, [("x".to_owned(), json!(1))].into_iter().collect());
        let citations = vec![Citation::default()];
        let signature = Some(Own::new(Dialect::Gemini, "AAAA"));
        let mut more = vec![
            of(vec![]),
            of(vec![text(), text()]),
            of(vec![Part::Refusal("No.".to_owned())]),
            of(vec![Part::Text { text: "a".to_owned(), signature: None, citations }]),
            of(vec![Part::Text { text: "a".to_owned(), signature, citations: Vec::new() }]),
            Answer { failed: Some(Failed::default()), ..of(vec![text()]) },
            Answer { extra: extra(), ..of(vec![text()]) },
            Answer { choices: vec![], ..of(vec![]) },
        ];
        more.extend((0..4).map(|n| {
            let mut answer = of(vec![text()]);
            match n {
                0 => answer.choices.push(Choice::default()),
                1 => answer.choices[0].extra = extra(),
                2 => answer.choices[0].logprobs.push(json!({})),
                _ => answer.choices[0].pieces[0].extra = extra(),
            }
            answer
        }));
        for answer in more {
            assert_eq!(answer.text_alone(), None, "{answer:?}");
        }
    }
}
