//! Making up an answer: what each choice says, piece by piece, one token per piece.

use super::options::Span;
use super::request::{Ask, Wanted};
use super::schema;
use std::borrow::Cow;

/// Words of made-up texts. Each is one token.
const WORDS: [&str; 32] = [
    " water",
    " over",
    " the",
    " weir",
    " keeps",
    " its",
    " level",
    " while",
    " every",
    " gate",
    " below",
    " takes",
    " a",
    " measured",
    " share",
    " of",
    " what",
    " comes",
    " down",
    " and",
    " nothing",
    " is",
    " lost",
    " on",
    " its",
    " way",
    " to",
    " sea",
    " when",
    " rivers",
    " rise",
    " slowly",
];

/// Characters of JSON per token.
const JSON_TOKEN_CHARS: usize = 4;

/// A complete answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) choices: Vec<Choice>,
}

/// One choice of an answer.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) tools: Vec<ToolCall>,
    pub(super) pieces: Vec<Piece>,
    pub(super) finish: &'static str,
}

/// A call of one of the client's tools; its arguments are among the pieces.
#[derive(Debug)]
pub(super) struct ToolCall {
    pub(super) id: String,
    pub(super) name: String,
}

/// What one token adds to a choice.
#[derive(Debug)]
pub(super) enum Piece {
    Text(Cow<'static, str>),
    /// A tool call begins (index into the choice's tools).
    ToolStart(usize),
    ToolArguments(usize, String),
}

impl Answer {
    /// `length` is where the length of a text is drawn from, `cap` the most tokens per choice.
    pub(super) fn make(ask: &Ask, length: Span, cap: u64, rng: &mut fastrand::Rng) -> Self {
        Self { choices: (0..ask.choices).map(|_| Choice::make(&ask.content, length, cap, rng)).collect() }
    }

    /// Output tokens of all choices.
    pub(super) fn tokens(&self) -> u64 {
        self.choices.iter().map(|choice| choice.pieces.len() as u64).sum()
    }
}

impl Choice {
    fn make(content: &Wanted, length: Span, cap: u64, rng: &mut fastrand::Rng) -> Self {
        let cap = usize::try_from(cap).unwrap_or(usize::MAX);
        let mut choice = match content {
            Wanted::Text => text(length, cap, rng),
            Wanted::Json(schema) => {
                let pieces = split(&schema::instance(schema).to_string());
                let pieces = pieces.map(|piece| Piece::Text(Cow::Owned(piece))).collect();
                Self { tools: Vec::new(), pieces, finish: "stop" }
            }
            Wanted::Tools(calls) => tool_calls(calls, rng),
        };
        if choice.pieces.len() > cap {
            choice.pieces.truncate(cap);
            choice.finish = "length";
        }
        choice
    }

    /// The text of a choice without tool calls.
    pub(super) fn text(&self) -> Option<String> {
        if !self.tools.is_empty() {
            return None;
        }
        let mut joined = String::with_capacity(8 * self.pieces.len());
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => joined.push_str(text),
                Piece::ToolStart(_) | Piece::ToolArguments(..) => {}
            }
        }
        Some(joined)
    }

    /// The arguments of one tool call, joined.
    pub(super) fn arguments(&self, tool: usize) -> String {
        let part = |piece: &Piece| match piece {
            Piece::ToolArguments(of, text) if *of == tool => Some(text.clone()),
            Piece::Text(_) | Piece::ToolStart(_) | Piece::ToolArguments(..) => None,
        };
        self.pieces.iter().filter_map(part).collect()
    }

    /// Tool calls that have begun before the answer was cut off by its length.
    pub(super) fn begun(&self) -> usize {
        self.pieces.iter().filter(|piece| matches!(piece, Piece::ToolStart(_))).count()
    }
}

/// One word more than the cap is made at most, so that the cap shows as `length`.
fn text(length: Span, cap: usize, rng: &mut fastrand::Rng) -> Choice {
    let drawn = usize::try_from(rng.u64(length.low..=length.high)).unwrap_or(usize::MAX);
    let from = rng.usize(0..WORDS.len());
    let words = WORDS.iter().cycle().skip(from).take(drawn.min(cap.saturating_add(1)));
    let pieces = words.enumerate().map(|(i, word)| {
        let word: &'static str = if i == 0 { word.trim_start() } else { word };
        Piece::Text(Cow::Borrowed(word))
    });
    Choice { tools: Vec::new(), pieces: pieces.collect(), finish: "stop" }
}

fn tool_calls(calls: &[(String, serde_json::Value)], rng: &mut fastrand::Rng) -> Choice {
    let mut choice = Choice { tools: Vec::new(), pieces: Vec::new(), finish: "tool_calls" };
    for (index, (name, schema)) in calls.iter().enumerate() {
        choice.tools.push(ToolCall { id: format!("call_{}", alphanumeric(rng, 24)), name: name.clone() });
        choice.pieces.push(Piece::ToolStart(index));
        let arguments =
            split(&schema::instance(schema).to_string()).map(|part| Piece::ToolArguments(index, part));
        choice.pieces.extend(arguments);
    }
    choice
}

fn split(json: &str) -> impl Iterator<Item = String> + use<> {
    let chars: Vec<char> = json.chars().collect();
    let parts: Vec<String> = chars.chunks(JSON_TOKEN_CHARS).map(|part| part.iter().collect()).collect();
    parts.into_iter()
}

/// Random letters and digits, as in OpenAI's ids.
pub(super) fn alphanumeric(rng: &mut fastrand::Rng, length: usize) -> String {
    (0..length).map(|_| rng.alphanumeric()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const LENGTH: Span = Span { low: 5, high: 9 };

    fn make(content: Wanted, choices: u64, cap: u64) -> Answer {
        let ask = Ask {
            model: "m".into(),
            stream: false,
            include_usage: false,
            prompt_tokens: 1,
            max_tokens: None,
            choices,
            content,
        };
        Answer::make(&ask, LENGTH, cap, &mut fastrand::Rng::with_seed(3))
    }

    #[test]
    fn a_text_has_the_drawn_length_or_the_cap() {
        let answer = make(Wanted::Text, 3, 100);
        assert_eq!(answer.choices.len(), 3);
        assert!(answer.choices.iter().all(|c| (5..=9).contains(&c.pieces.len()) && c.finish == "stop"));
        let capped = make(Wanted::Text, 1, 4);
        assert_eq!((capped.tokens(), capped.choices[0].finish), (4, "length"));
        let exact = Answer::make(
            &Ask {
                model: "m".into(),
                stream: false,
                include_usage: false,
                prompt_tokens: 1,
                max_tokens: None,
                choices: 1,
                content: Wanted::Text,
            },
            Span { low: 4, high: 4 },
            4,
            &mut fastrand::Rng::with_seed(1),
        );
        assert_eq!((exact.tokens(), exact.choices[0].finish), (4, "stop"));
    }

    #[test]
    fn json_pieces_join_to_an_instance_of_the_schema() {
        let schema =
            json!({"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}});
        let answer = make(Wanted::Json(schema), 1, 100);
        assert_eq!(answer.choices[0].text().unwrap(), r#"{"name":"text"}"#);
    }

    #[test]
    fn tool_calls_begin_with_their_name_and_carry_arguments() {
        let answer = make(Wanted::Tools(vec![("a".into(), json!({})), ("b".into(), json!({}))]), 1, 100);
        let choice = &answer.choices[0];
        assert_eq!((choice.begun(), choice.finish), (2, "tool_calls"));
        assert_eq!((choice.arguments(0), choice.arguments(1)), ("{}".into(), "{}".into()));
        assert_eq!(choice.text(), None);
    }
}
