//! Taking an object apart: each field is taken once, wrong types are refused by name, and the rest is left over.

use serde_json::{Map, Value};

use crate::dialect::talk::Refused;

/// An object and where it stands. A `null` counts as absent.
pub(super) struct Fields {
    at: String,
    map: Map<String, Value>,
}

impl Fields {
    /// Of `value`, which stands at `at`.
    pub(super) fn of(value: Value, at: impl Into<String>) -> Result<Fields, Refused> {
        let at = at.into();
        match value {
            Value::Object(map) => Ok(Fields { at, map }),
            _ => Err(wrong(&at, "an object")),
        }
    }

    /// Of the whole body.
    pub(super) fn body(body: &[u8]) -> Result<Fields, Refused> {
        let value = serde_json::from_slice(body)
            .map_err(|fault| Refused::whole(format!("The body is not JSON: {fault}.")))?;
        match value {
            Value::Object(map) => Ok(Fields { at: String::new(), map }),
            _ => Err(Refused::whole("The body is not a JSON object.")),
        }
    }

    /// Where a field of it stands.
    pub(super) fn path(&self, name: &str) -> String {
        if self.at.is_empty() { name.to_owned() } else { format!("{}.{name}", self.at) }
    }

    /// Any value, left where it is.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.map.get(name)
    }

    /// Any value.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.map.remove(name).filter(|value| !value.is_null())
    }

    /// A string.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Refused> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(wrong(&self.path(name), "a string")),
        }
    }

    /// A string that must be there.
    pub(super) fn needed_text(&mut self, name: &str) -> Result<String, Refused> {
        self.text(name)?.ok_or_else(|| wrong(&self.path(name), "a string"))
    }

    /// A whole number.
    pub(super) fn count(&mut self, name: &str) -> Result<Option<u64>, Refused> {
        let value = self.take(name);
        value.map(|value| value.as_u64().ok_or_else(|| wrong(&self.path(name), "a whole number"))).transpose()
    }

    /// A number.
    pub(super) fn number(&mut self, name: &str) -> Result<Option<f64>, Refused> {
        let value = self.take(name);
        value.map(|value| value.as_f64().ok_or_else(|| wrong(&self.path(name), "a number"))).transpose()
    }

    /// True or false.
    pub(super) fn flag(&mut self, name: &str) -> Result<Option<bool>, Refused> {
        let value = self.take(name);
        value.map(|value| value.as_bool().ok_or_else(|| wrong(&self.path(name), "true or false"))).transpose()
    }

    /// A list; absent, it is empty.
    pub(super) fn list(&mut self, name: &str) -> Result<Vec<Value>, Refused> {
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => Ok(items),
            Some(_) => Err(wrong(&self.path(name), "a list")),
        }
    }

    /// A list of strings; absent, it is empty.
    pub(super) fn texts(&mut self, name: &str) -> Result<Vec<String>, Refused> {
        let at = self.path(name);
        let text = |value| match value {
            Value::String(text) => Ok(text),
            _ => Err(wrong(&at, "a list of strings")),
        };
        self.list(name)?.into_iter().map(text).collect()
    }

    /// An object.
    pub(super) fn within(&mut self, name: &str) -> Result<Option<Fields>, Refused> {
        let at = self.path(name);
        self.take(name).map(|value| Fields::of(value, at)).transpose()
    }

    /// Puts a field back, or in.
    pub(super) fn put(&mut self, name: impl Into<String>, value: Value) {
        self.map.insert(name.into(), value);
    }

    /// What was not taken.
    pub(super) fn rest(self) -> Map<String, Value> {
        self.map
    }
}

/// A refusal of a field that has the wrong type.
pub(super) fn wrong(at: &str, wanted: &str) -> Refused {
    Refused::field(at, format!("`{at}` must be {wanted}."))
}
