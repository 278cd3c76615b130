//! `[[rules]]`: which model serves a call, by what is known of the call.

use std::sync::Arc;

use super::{Hours, ModelId, Pattern};

/// One rule. The first of the file that a call meets chooses its model.
#[derive(Clone, Debug)]
pub struct Rule {
    /// As the file calls it, else `rule N` by its place, from 1.
    pub name: Arc<str>,
    /// What a call must be like.
    pub when: When,
    /// The model that serves it.
    pub model: ModelId,
    /// Of that model only the deployments of this priority.
    pub tier: Option<u32>,
    /// Tags that a deployment must have to serve the call, whichever of its models it belongs to.
    pub require: Vec<Arc<str>>,
}

/// `when`: all of it must hold; what is absent holds for every call.
#[derive(Clone, Debug, Default)]
pub struct When {
    /// The name that the client asks for, or that of the model which answers to it, is one of these; empty: any.
    pub models: Vec<Pattern>,
    /// Least estimated input, tokens.
    pub min_tokens: Option<u64>,
    /// Most estimated input, tokens.
    pub max_tokens: Option<u64>,
    /// It offers tools, or does not.
    pub tools: Option<bool>,
    /// It holds images, or does not.
    pub images: Option<bool>,
    /// It asks for an answer by a schema, or does not.
    pub schema: Option<bool>,
    /// It has all of these tags.
    pub tags: Vec<String>,
    /// It is of one of these tenants; empty: of any, or of none.
    pub tenants: Vec<Arc<str>>,
    /// What it says.
    pub prompt: Option<Prompt>,
    /// How hard it seems.
    pub complexity: Option<Complexity>,
    /// Each of these names of its metadata has one of the values.
    pub metadata: Vec<(String, Vec<String>)>,
    /// It comes in one of these hours; empty: at any time.
    pub hours: Vec<Hours>,
}

/// `prompt`: a pattern in what is said.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// Found somewhere in the text. Its time is linear in the text, whatever the pattern.
    pub pattern: regex::Regex,
    /// In all that is said, not only in what the user said last.
    pub all: bool,
}

/// `complexity`: a score in [0, 1] from `min` to below `max`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Complexity {
    /// From here.
    pub min: f64,
    /// Below this; none: to the end.
    pub max: Option<f64>,
}

impl Complexity {
    /// Is the score among them?
    pub fn holds(&self, score: f64) -> bool {
        score >= self.min && self.max.is_none_or(|max| score < max)
    }
}

/// What rules want to know of a call besides what is found anyway: a second look through its body each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// What it says.
    pub words: bool,
    /// Its metadata.
    pub metadata: bool,
}

impl When {
    /// What must be known to tell whether a call meets it.
    pub fn wants(&self) -> Wants {
        Wants {
            words: self.prompt.is_some() || self.complexity.is_some(),
            metadata: !self.metadata.is_empty(),
        }
    }

    /// Is one of these names among its models?
    pub fn is_for(&self, asked: &str, answers: Option<&str>) -> bool {
        let matches = |name: &str| self.models.iter().any(|pattern| pattern.matches(name));
        self.models.is_empty() || matches(asked) || answers.is_some_and(matches)
    }

    /// Does it make `name` one that may be asked for? A rule for any model makes none.
    pub fn names(&self, name: &str) -> bool {
        self.models.iter().any(|pattern| !pattern.text.is_empty() && pattern.matches(name))
    }
}
