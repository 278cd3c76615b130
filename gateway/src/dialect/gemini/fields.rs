//! The members of a JSON object, taken out one by one; what is left at the end is what we do not know.

use std::fmt;

use serde_json::{Map, Value};

use crate::dialect::talk::Refused;

/// No count in a request is larger: Google's fields are of 32 bits.
const MOST: u64 = u32::MAX as u64;

/// Where in a body something stands; it costs nothing until an error names it.
pub(super) enum Path<'a> {
    Root,
    Field(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Field(Path::Root, name) => f.write_str(name),
            Path::Field(parent, name) => write!(f, "{parent}.{name}"),
            Path::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

impl Path<'_> {
    /// What stands here is wrong.
    pub(super) fn refuse(&self, message: impl fmt::Display) -> Refused {
        match self {
            Path::Root => Refused::whole(format!("The body {message}.")),
            _ => Refused::field(self.to_string(), format!("`{self}` {message}.")),
        }
    }
}

/// An object's members.
pub(super) struct Fields<'p> {
    map: Map<String, Value>,
    at: &'p Path<'p>,
    /// Some name is in snake_case, so both spellings are looked for.
    snake: bool,
}

impl<'p> Fields<'p> {
    pub(super) fn new(value: Value, at: &'p Path<'p>) -> Result<Fields<'p>, Refused> {
        match value {
            Value::Object(map) => {
                let snake = map.keys().any(|key| key.contains('_'));
                Ok(Fields { map, at, snake })
            }
            _ => Err(at.refuse("must be an object")),
        }
    }

    /// A member by its camelCase name, in either spelling; `null` is none.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        let camel = self.map.remove(name).filter(|value| !value.is_null());
        if !self.snake {
            return camel;
        }
        let snake = self.map.remove(&snake_case(name)).filter(|value| !value.is_null());
        camel.or(snake)
    }

    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Refused> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(name, "must be a string")),
        }
    }

    pub(super) fn flag(&mut self, name: &str) -> Result<Option<bool>, Refused> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(self.wrong(name, "must be true or false")),
        }
    }

    /// A number, also one in a string.
    pub(super) fn real(&mut self, name: &str) -> Result<Option<f64>, Refused> {
        let number = match self.take(name) {
            None => return Ok(None),
            Some(Value::Number(number)) => number.as_f64(),
            Some(Value::String(text)) => text.parse().ok(),
            Some(_) => None,
        };
        let finite = number.filter(|number| number.is_finite());
        finite.map(Some).ok_or_else(|| self.wrong(name, "must be a number"))
    }

    /// A whole number; some clients write `40.0`.
    pub(super) fn whole(&mut self, name: &str) -> Result<Option<i64>, Refused> {
        let Some(real) = self.real(name)? else { return Ok(None) };
        let whole = real as i64;
        let fits = whole as f64 == real && whole.unsigned_abs() <= MOST;
        if fits { Ok(Some(whole)) } else { Err(self.wrong(name, "must be a whole number of 32 bits")) }
    }

    /// A whole number from 0.
    pub(super) fn count(&mut self, name: &str) -> Result<Option<u64>, Refused> {
        match self.whole(name)? {
            None => Ok(None),
            Some(whole) => match u64::try_from(whole) {
                Ok(count) => Ok(Some(count)),
                Err(_) => Err(self.wrong(name, "must not be negative")),
            },
        }
    }

    /// A repeated field: an array, or its single element.
    pub(super) fn list(&mut self, name: &str) -> Vec<Value> {
        match self.take(name) {
            None => Vec::new(),
            Some(Value::Array(items)) => items,
            Some(single) => vec![single],
        }
    }

    pub(super) fn texts(&mut self, name: &str) -> Result<Vec<String>, Refused> {
        let text = |item| if let Value::String(text) = item { Some(text) } else { None };
        let texts: Option<Vec<String>> = self.list(name).into_iter().map(text).collect();
        texts.ok_or_else(|| self.wrong(name, "must be a list of strings"))
    }

    pub(super) fn object(&mut self, name: &str) -> Result<Option<Map<String, Value>>, Refused> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(map)),
            Some(_) => Err(self.wrong(name, "must be an object")),
        }
    }

    /// Puts back what shall stay as it is.
    pub(super) fn keep(&mut self, name: &str, value: impl Into<Value>) {
        self.map.insert(name.to_owned(), value.into());
    }

    /// What nobody took.
    pub(super) fn rest(self) -> Map<String, Value> {
        self.map.into_iter().filter(|(_, value)| !value.is_null()).collect()
    }

    pub(super) fn wrong(&self, name: &str, message: &str) -> Refused {
        Path::Field(self.at, name).refuse(message)
    }
}

/// Reads a body.
pub(super) fn parse(body: &[u8]) -> Result<Value, Refused> {
    serde_json::from_slice(body).map_err(|error| Refused::whole(format!("The body is not JSON: {error}.")))
}

/// Adds to `map` what it does not have.
pub(super) fn add<'a>(map: &mut Map<String, Value>, fields: impl Iterator<Item = (&'a String, &'a Value)>) {
    for (name, value) in fields {
        if !map.contains_key(name) {
            map.insert(name.clone(), value.clone());
        }
    }
}

fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}
