//! What a client asks.

use serde_json::{Map, Value};

use super::shared_list::SharedList;
use super::{Dialect, Own};

/// A request for an answer. A copy is cheap: what is long is shared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// The model asked for; empty where the path names it.
    pub model: String,
    /// The conversation, instructions included, oldest first.
    pub messages: SharedList<Message>,
    /// Tools that the model may call.
    pub tools: SharedList<Tool>,
    /// Which it may or must call.
    pub tool_choice: Option<ToolChoice>,
    /// May it call several at once?
    pub parallel_calls: Option<bool>,
    /// The form of the answer's text.
    pub format: Option<Format>,
    /// How much to reason.
    pub thinking: Thinking,
    /// How much to say: `low`, `medium`, `high` (OpenAI).
    pub verbosity: Option<String>,
    /// The longest answer, tokens, reasoning included.
    pub max_output: Option<u64>,
    /// Answers wanted, if it is said.
    pub choices: Option<u64>,
    /// 0 to 2 in most dialects, to 1 in Anthropic's.
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    pub top_p: Option<f64>,
    /// Sampling from so many tokens.
    pub top_k: Option<u64>,
    /// Against tokens that were used at all.
    pub presence_penalty: Option<f64>,
    /// Against tokens the more they were used.
    pub frequency_penalty: Option<f64>,
    /// For answers that repeat.
    pub seed: Option<i64>,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// Log probabilities wanted: of the tokens chosen, and of so many others each.
    pub logprobs: Option<u64>,
    /// Who the end user is, opaque.
    pub user: Option<String>,
    /// The client's own notes.
    pub metadata: Map<String, Value>,
    /// The tier of service that is asked for.
    pub service_tier: Option<Own<String>>,
    /// What groups requests for the provider's prompt cache.
    pub cache_key: Option<String>,
    /// The answer is to be streamed.
    pub stream: bool,
    /// A Chat stream is to end with its usage; others always say it.
    pub stream_usage: bool,
    /// What only one dialect can say.
    pub extra: Extra,
}

/// Fields that only one dialect knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extra(pub Option<Box<(Dialect, Map<String, Value>)>>);

impl Extra {
    /// Of `dialect`; none if there are none.
    pub fn of(dialect: Dialect, fields: Map<String, Value>) -> Extra {
        Extra((!fields.is_empty()).then(|| Box::new((dialect, fields))))
    }

    /// Those that `dialect` knows.
    pub fn fields(&self, dialect: Dialect) -> impl Iterator<Item = (&String, &Value)> {
        self.0.iter().filter(move |of| of.0 == dialect).flat_map(|of| &of.1)
    }

    /// One of those that `dialect` knows.
    pub fn get(&self, dialect: Dialect, name: &str) -> Option<&Value> {
        self.0.as_ref().filter(|of| of.0 == dialect)?.1.get(name)
    }
}

/// Who says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The application, to the model; above everybody.
    System,
    /// The same, one rank below, where a dialect has both.
    Developer,
    /// The user, and what tools returned.
    User,
    /// The model.
    Assistant,
}

/// What one says in one turn. Results of tools stand in turns of [`Role::User`], in the order in which they came; turns of
/// one role may follow one another.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Who.
    pub role: Role,
    /// What.
    pub pieces: Vec<Piece>,
    /// Which of several with one role (Chat: `name`).
    pub name: Option<String>,
    /// What only one dialect can say.
    pub extra: Extra,
}

/// A part of a message and what is said about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// The part itself.
    pub part: Part,
    /// The prompt cache is to hold everything up to here.
    pub cache: Option<Cache>,
    /// What only one dialect can say.
    pub extra: Extra,
}

impl From<Part> for Piece {
    fn from(part: Part) -> Piece {
        Piece { part, cache: None, extra: Extra::default() }
    }
}

/// A mark for the provider's prompt cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cache {
    /// For how long, seconds, if it is said (Anthropic: 300 or 3600).
    pub ttl: Option<u64>,
}

/// What a message is made of.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Text.
    Text {
        /// The text.
        text: String,
        /// What proves to the provider that the model wrote it (Gemini: a thought signature on text).
        signature: Option<Own<String>>,
        /// Sources that the model cites for it.
        citations: Vec<Citation>,
    },
    /// An image, audio, a video, a file.
    Media(Media),
    /// The model calls a tool.
    Call(Call),
    /// What a tool returned.
    Result(ToolResult),
    /// What the model thought.
    Reasoning(Reasoning),
    /// The model declines, in its own words.
    Refusal(String),
    /// What only one dialect can say: its JSON.
    Foreign(Dialect, Value),
}

impl Part {
    /// Plain text.
    pub fn text(text: impl Into<String>) -> Part {
        Part::Text { text: text.into(), signature: None, citations: Vec::new() }
    }
}

/// A source that is cited.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Citation {
    /// Its address, if it is on the web.
    pub url: Option<String>,
    /// Its title.
    pub title: Option<String>,
    /// The words cited.
    pub text: Option<String>,
    /// Where in the answer's text it belongs, characters from and to.
    pub range: Option<(u64, u64)>,
    /// The citation as its dialect has it.
    pub original: Option<(Dialect, Value)>,
}

/// What kind of media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaKind {
    /// An image.
    Image,
    /// Sound.
    Audio,
    /// Moving images.
    Video,
    /// A file: PDF, text, office documents.
    Document,
}

/// Where its bytes are.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// Here, in base64 (the standard alphabet, padded).
    Base64(String),
    /// Here, as text (plain documents).
    Text(String),
    /// At an address that the provider fetches (`https:`, `gs:`, `s3:`).
    Url(String),
    /// In a provider's store of files, by its id.
    File(Own<String>),
}

/// An image, audio, a video, a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Media {
    /// What it is.
    pub kind: MediaKind,
    /// `image/png` and the like; empty if nobody said.
    pub mime: String,
    /// Where its bytes are.
    pub source: Source,
    /// The file's name or the document's title.
    pub name: Option<String>,
    /// How closely to look (OpenAI: `low`, `high`, `auto`).
    pub detail: Option<String>,
    /// What a document is about or where it comes from, which the model reads but does not cite (Claude).
    pub context: Option<String>,
    /// The model is to cite it (Claude), if it is said.
    pub cited: Option<bool>,
}

/// The model calls a tool.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Call {
    /// What the result names; empty in dialects without ids (Gemini), whose writers of others make one up.
    pub id: String,
    /// The tool.
    pub name: String,
    /// JSON text of its arguments, as the model wrote it (it may be damaged); of a custom tool plain text.
    pub arguments: String,
    /// A tool that takes text instead of JSON (OpenAI: custom).
    pub custom: bool,
    /// What proves to the provider that the model wrote it (Gemini: a thought signature).
    pub signature: Option<Own<String>>,
}

impl Call {
    /// Does it give its tool nothing? Some models write nothing, or `null`, where all others write `{}`.
    pub fn is_bare(&self) -> bool {
        !self.custom && matches!(self.arguments.trim(), "" | "null")
    }
}

/// What a tool returned.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToolResult {
    /// The call's id; empty in dialects without ids.
    pub id: String,
    /// The tool, where a dialect says it (Gemini) or the call was seen before.
    pub name: String,
    /// Text and media.
    pub pieces: Vec<Piece>,
    /// It is structured: JSON that the tool returned (Gemini's `response`, Converse's `json`). `pieces` stand behind it.
    pub json: Option<Value>,
    /// The tool failed, if it is said.
    pub failed: Option<bool>,
    /// Of a custom tool.
    pub custom: bool,
}

/// What the model thought before it spoke. Providers that sign it want it back unchanged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reasoning {
    /// Its id (Responses).
    pub id: Option<String>,
    /// In full, if it was told.
    pub text: String,
    /// Summaries, where those are told instead (Responses).
    pub summary: Vec<String>,
    /// Proves that the model wrote it (Anthropic, Converse: over the text).
    pub signature: Option<Own<String>>,
    /// It is told only encrypted (Anthropic: redacted; Responses: encrypted content).
    pub encrypted: Option<Own<String>>,
}

/// A tool that the model may call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// What it is.
    pub kind: ToolKind,
    /// Arguments must follow the schema.
    pub strict: Option<bool>,
    /// The prompt cache is to hold everything up to here.
    pub cache: Option<Cache>,
    /// What only one dialect can say.
    pub extra: Extra,
}

/// What a tool takes, or who runs it.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum ToolKind {
    /// Takes JSON by this JSON Schema; none: no arguments.
    #[default]
    Bare,
    /// Takes JSON by this JSON Schema.
    Function(Value),
    /// Takes text, in this format if one is given (OpenAI: custom).
    Custom(Option<Value>),
    /// Only one dialect has it (its provider runs it: web search and the like): its JSON.
    Foreign(Dialect, Value),
}

/// Which tools the model may or must call.
#[derive(Clone, Debug, PartialEq)]
pub enum ToolChoice {
    /// It decides.
    Auto,
    /// None.
    None,
    /// Some tool.
    Required,
    /// This one.
    Tool(String),
    /// It decides (or, `true`, must call one) among these.
    Among(Vec<String>, bool),
}

/// The form of the answer's text.
#[derive(Clone, Debug, PartialEq)]
pub enum Format {
    /// Prose.
    Text,
    /// Any JSON object.
    Json,
    /// JSON by a schema.
    Schema {
        /// Its name; some dialects require one.
        name: Option<String>,
        /// What it is for.
        description: Option<String>,
        /// The JSON Schema.
        schema: Value,
        /// It must be followed exactly.
        strict: Option<bool>,
    },
}

/// How much to reason. All unset: as the model does by itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Thinking {
    /// Whether at all.
    pub enabled: Option<bool>,
    /// In words.
    pub effort: Option<Effort>,
    /// At most so many tokens; none and enabled: as the model sees fit (adaptive, dynamic).
    pub budget: Option<u64>,
    /// It is to be told (Gemini: include thoughts; Responses: a summary, which `summary` words).
    pub told: Option<bool>,
    /// Responses: `auto`, `concise`, `detailed`.
    pub summary: Option<String>,
    /// The effort is of the whole answer and asks for no thinking (Claude's `effort` without `thinking`).
    pub overall: bool,
}

/// How much to reason, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    /// Not at all.
    None,
    /// As little as possible.
    Minimal,
    /// Little.
    Low,
    /// As usual.
    Medium,
    /// Much.
    High,
    /// More than much (`xhigh`).
    Higher,
    /// As much as possible (`max`).
    Max,
}
