//! Arguments that come value by value, each with its path: Vertex's `streamFunctionCallArguments`.

use serde_json::{Map, Value};

/// No path is longer.
const DEEPEST: usize = 32;

/// Puts a call's arguments together.
#[derive(Default)]
pub(super) struct Arguments {
    whole: Value,
    /// The path of a text that is to be continued.
    open: Option<String>,
}

enum Step {
    Key(String),
    Index(usize),
}

impl Arguments {
    /// Arguments that came whole, before or between the others.
    pub(super) fn set(&mut self, args: Map<String, Value>) {
        match &mut self.whole {
            Value::Object(whole) => whole.extend(args),
            whole => *whole = args.into(),
        }
    }

    /// Adds one value. None: its path makes no sense.
    pub(super) fn add(&mut self, partial: &Value) -> Option<()> {
        let path = partial.get("jsonPath")?.as_str()?;
        let value = ["stringValue", "numberValue", "boolValue"].iter().find_map(|name| partial.get(*name));
        let value = value.cloned().unwrap_or_default();
        let more = self.open.as_deref() == Some(path);
        let spot = reach(&mut self.whole, &steps(path)?)?;
        match (spot, value) {
            (Value::String(text), Value::String(next)) if more => text.push_str(&next),
            (spot, value) => *spot = value,
        }
        let continues = partial.get("willContinue").and_then(Value::as_bool) == Some(true);
        self.open = continues.then(|| path.to_owned());
        Some(())
    }

    /// The arguments' text.
    pub(super) fn text(&self) -> String {
        if self.whole.is_object() { self.whole.to_string() } else { "{}".to_owned() }
    }
}

/// `$.a.b[0]['c d']`.
fn steps(path: &str) -> Option<Vec<Step>> {
    let mut rest = path.strip_prefix('$').unwrap_or(path);
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if steps.len() == DEEPEST {
            return None;
        }
        let (step, left) = match rest.strip_prefix('[') {
            Some(inner) => bracket(inner)?,
            None => {
                let name = rest.strip_prefix('.').unwrap_or(rest);
                let (name, left) = name.split_at(name.find(['.', '[']).unwrap_or(name.len()));
                (Step::Key(name.to_owned()), left)
            }
        };
        steps.push(step);
        rest = left;
    }
    Some(steps)
}

fn bracket(inner: &str) -> Option<(Step, &str)> {
    for quote in ['\'', '"'] {
        if let Some(quoted) = inner.strip_prefix(quote) {
            let (name, left) = quoted.split_once(quote)?;
            return Some((Step::Key(name.to_owned()), left.strip_prefix(']')?));
        }
    }
    let (number, left) = inner.split_once(']')?;
    Some((Step::Index(number.parse().ok()?), left))
}

/// The place that a path names, made if it is not there. Lists grow by one: no path shall take memory for a thousand.
fn reach<'a>(whole: &'a mut Value, steps: &[Step]) -> Option<&'a mut Value> {
    let mut spot = whole;
    for step in steps {
        spot = match step {
            Step::Key(key) => {
                if spot.is_null() {
                    *spot = Value::Object(Map::new());
                }
                spot.as_object_mut()?.entry(key.as_str()).or_insert(Value::Null)
            }
            Step::Index(index) => {
                if spot.is_null() {
                    *spot = Value::Array(Vec::new());
                }
                let list = spot.as_array_mut()?;
                if list.len() == *index {
                    list.push(Value::Null);
                }
                list.get_mut(*index)?
            }
        };
    }
    Some(spot)
}
