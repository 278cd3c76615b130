//! Requests and plain answers of each dialect.

use serde_json::{Map, Value};
use weir::dialect::chat::{self, Manners};
use weir::dialect::talk::{Answer, Dialect, Extra, Part, Piece, Refused, Request, Role};
use weir::dialect::{gemini, messages};

use super::cut::short;

const DIALECTS: [Dialect; 5] =
    [Dialect::Chat, Dialect::Responses, Dialect::Messages, Dialect::Gemini, Dialect::Converse];

/// What was read is written in every dialect, which reads it. In its own all of the conversation is still there, and
/// writing it once more changes nothing. (Written for the first time it is put in order: what a provider requires is there,
/// what says nothing is not.)
pub(crate) fn request(own: Dialect, input: &[u8]) {
    let read = own.read_request(input);
    assert!(read == own.read_any_request(input), "read otherwise than by the general reader: {read:.900?}");
    let Ok(read) = read else { return };
    texts(&read);
    for to in DIALECTS {
        let Ok(written) = to.write_request(&read, Manners::default()) else { continue };
        let again = match to.read_request(written.to_string().as_bytes()) {
            Ok(again) => again,
            Err(refused) if to != own && is_the_clients(&refused) => continue,
            Err(refused) => panic!("{to:?} does not read what it wrote: {refused:?}: {written:.900}"),
        };
        if to == own {
            let (had, has) = (said_in(&read), said_in(&again));
            assert!(
                had.is_kept(&has),
                "not said any more: {} became {}: {written:.900}",
                short(&had),
                short(&has)
            );
            let twice = to.write_request(&again, Manners::default());
            assert!(
                twice.as_ref() == Ok(&written),
                "{to:?} writes it otherwise: {twice:?} not {written:.900}"
            );
        }
    }
}

/// What is written straight of a request is what its map says.
fn texts(request: &Request) {
    for manners in [Manners::default(), Manners { parts: false, developer: false, ..Manners::default() }] {
        let Some(texts) = chat::texts(&request.messages) else { return };
        let straight = chat::write_settings(request, manners)
            .map(|settings| chat::body_of_texts(&texts, &settings, manners, 0))
            .map(|body| serde_json::from_slice::<Value>(&body).expect("JSON"));
        let written = Dialect::Chat.write_request(request, manners);
        // (Through text, for a number may be written in a shorter form.)
        let again = written.map(|value| serde_json::from_str::<Value>(&value.to_string()).expect("JSON"));
        assert!(straight == again, "written otherwise: {straight:.900?} not {again:.900?}");
    }
}

/// What [`request`] holds requests to, of answers.
pub(crate) fn answer(own: Dialect, input: &[u8]) {
    // (For others it may be read all the same: a number that nobody can hold, in a field that nobody reads, is hopped over.)
    let Ok(read) = own.read_answer(input) else { return };
    let for_others = own.read_answer_for_others(input).expect("read for all");
    assert!(portable(&for_others) == portable(&read), "read otherwise for others: {for_others:.900?}");
    told_straight(&for_others);
    // What failed is told as an error; Bedrock's errors are known by their status.
    for to in DIALECTS.into_iter().filter(|to| read.failed.is_none() || *to != Dialect::Converse) {
        let body = to.write_answer(&read, &Map::new(), 0);
        let written: Value = serde_json::from_slice(&body).expect("JSON");
        let again = to.read_answer(&body);
        let again = match again {
            Ok(again) => again,
            Err(refused) => panic!("{to:?} does not read what it wrote: {refused:?}: {written:.900}"),
        };
        if to == own {
            let said = |choice: &weir::dialect::talk::Choice| said(Role::Assistant, &choice.pieces);
            let had: Vec<Said> = read.choices.iter().map(said).collect();
            let has: Vec<Said> = again.choices.iter().map(said).collect();
            let kept = had.len() == has.len() && had.iter().zip(&has).all(|(had, has)| had.is_kept(has));
            assert!(kept, "not said any more: {} became {}: {written:.900}", short(&had), short(&has));
            // (Anthropic's must have a usage.)
            let counted = read.usage.is_none() || again.usage == read.usage;
            assert!(counted, "{:?} became {:?}", read.usage, again.usage);
            let twice = to.write_answer(&again, &Map::new(), 0);
            let twice = serde_json::from_slice(&twice).expect("JSON");
            assert!(alike(&twice, &written), "{to:?} writes it otherwise: {twice:.900} not {written:.900}");
        }
    }
}

/// What is written straight of an answer is what its map says.
fn told_straight(answer: &Answer) {
    let told = |to: Dialect| to.write_answer(answer, &Map::new(), 0);
    for (body, map) in [
        (told(Dialect::Messages), messages::write_answer(answer)),
        (told(Dialect::Gemini), gemini::write_answer(answer)),
    ] {
        let (straight, map): (Value, Value) = (
            serde_json::from_slice(&body).expect("JSON"),
            serde_json::from_str(&map.to_string()).expect("JSON"),
        );
        assert!(straight == map, "written otherwise: {straight:.900} not {map:.900}");
    }
}

/// An answer without what only its own dialect knows of it as a whole.
fn portable(answer: &Answer) -> Answer {
    let mut portable = Answer { extra: Extra::default(), ..answer.clone() };
    portable.choices.iter_mut().for_each(|choice| choice.extra = Extra::default());
    portable
}

/// Schemas are passed as they came, and how far a number may go is another thing in each dialect: the upstream refuses
/// what is none of its own.
fn is_the_clients(refused: &Refused) -> bool {
    let field = refused.field.as_deref().unwrap_or_default();
    let schema = ["parameters", "schema", "Schema"].iter().any(|name| field.contains(name));
    schema
        || ["number from", "number in reason", "number of 32 bits", "must be at least"]
            .iter()
            .any(|w| refused.message.contains(w))
}

/// The same, but for the last digit of a fraction: serde_json reads fractions fast, not exactly.
fn alike(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(ones), Value::Array(others)) => {
            ones.len() == others.len() && ones.iter().zip(others).all(|(one, other)| alike(one, other))
        }
        (Value::Object(ones), Value::Object(others)) => {
            let same =
                |(name, one): (&String, &Value)| others.get(name).is_some_and(|other| alike(one, other));
            ones.len() == others.len() && ones.iter().all(same)
        }
        (Value::Number(one), Value::Number(other)) if one.is_f64() && other.is_f64() => {
            let (one, other) = (one.as_f64().unwrap_or_default(), other.as_f64().unwrap_or_default());
            (one - other).abs() <= one.abs() * 1e-12
        }
        _ => one == other,
    }
}

/// What no dialect may lose of its own.
#[derive(Debug, Default, PartialEq)]
struct Said {
    texts: Vec<(Role, String)>,
    calls: Vec<String>,
    results: Vec<Said>,
    reasoning: String,
    media: usize,
}

fn said_in(request: &Request) -> Said {
    let mut all = Said::default();
    request.messages.iter().for_each(|message| all.add(message.role, &message.pieces));
    // (Where only instructions say something, they are written as what the user says: providers want a turn of it.)
    let instructs = |role: &Role| matches!(role, Role::System | Role::Developer);
    let mut turns = request.messages.iter().filter(|message| !instructs(&message.role));
    let alone = !all.texts.is_empty() && all.texts.iter().all(|(role, _)| instructs(role));
    if alone && turns.all(|turn| said(turn.role, &turn.pieces) == Said::default()) {
        all.texts = vec![(Role::User, all.texts.iter().map(|(_, text)| text.as_str()).collect())];
    }
    all
}

fn said(role: Role, pieces: &[Piece]) -> Said {
    let mut all = Said::default();
    all.add(role, pieces);
    all
}

impl Said {
    /// Is all of it there? More may be: providers want a text beside a document, or a format told in words.
    fn is_kept(&self, has: &Said) -> bool {
        let told = |(role, text): &(Role, String)| {
            has.texts.iter().any(|(by, all)| by == role && all.contains(text))
        };
        self.texts.iter().all(told)
            && (&self.calls, &self.reasoning, self.media) == (&has.calls, &has.reasoning, has.media)
            && self.results.len() == has.results.len()
            && self.results.iter().zip(&has.results).all(|(had, has)| had.is_kept(has))
    }

    fn add(&mut self, role: Role, pieces: &[Piece]) {
        for piece in pieces {
            match &piece.part {
                Part::Text { text, .. } | Part::Refusal(text) => self.text(role, text),
                // No dialect but Chat and Gemini has media that a model said; the others are told of them in words.
                Part::Media(_) if role == Role::Assistant => {}
                Part::Media(_) => self.media += 1,
                Part::Call(call) => self.calls.push(call.name.clone()),
                Part::Result(result) => {
                    // A call or a result within a result is nobody's.
                    let within = said(role, &result.pieces);
                    self.results.push(Said { calls: Vec::new(), results: Vec::new(), ..within });
                }
                // What the model did not sign, no provider takes back.
                Part::Reasoning(reasoning) if reasoning.signature.is_some() => {
                    self.reasoning.push_str(&reasoning.text);
                }
                Part::Reasoning(_) => {}
                Part::Foreign(..) => {}
            }
        }
    }

    /// Without white space, of which dialects want none alone.
    fn text(&mut self, role: Role, text: &str) {
        let text: String = text.split_whitespace().collect();
        match self.texts.last_mut() {
            _ if text.is_empty() => {}
            Some((last, all)) if *last == role => all.push_str(&text),
            _ => self.texts.push((role, text)),
        }
    }
}
