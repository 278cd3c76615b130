//! An object that is read field by field; what nobody takes is left over for `Extra`.

use serde_json::{Map, Value};

use crate::dialect::talk::Refused;

/// Counts above this are a mistake or an attack: no limit, budget or length of any provider comes near.
const MOST: u64 = 1 << 40;

/// The fields of an object and where it stands. A `null` counts as absent.
pub(super) struct Fields {
    map: Map<String, Value>,
    at: String,
}

impl Fields {
    /// The fields of `value`, which stands at `at`.
    pub(super) fn of(value: Value, at: String) -> Result<Fields, Refused> {
        match value {
            Value::Object(map) => Ok(Fields { map, at }),
            _ => Err(wrong(at, "an object")),
        }
    }

    /// The path of the field `name`.
    pub(super) fn at(&self, name: &str) -> String {
        if self.at.is_empty() { name.to_owned() } else { format!("{}.{name}", self.at) }
    }

    /// A look at a field.
    pub(super) fn peek(&self, name: &str) -> Option<&Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// The field as it is.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.map.remove(name).filter(|value| !value.is_null())
    }

    /// Puts a field back.
    pub(super) fn put(&mut self, name: &str, value: Value) {
        self.map.insert(name.to_owned(), value);
    }

    /// A string.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Refused> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(wrong(self.at(name), "a string")),
        }
    }

    /// A string that must be there.
    pub(super) fn need_text(&mut self, name: &str) -> Result<String, Refused> {
        self.text(name)?.ok_or_else(|| missing(self.at(name)))
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, name: &str) -> Result<Option<bool>, Refused> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(wrong(self.at(name), "true or false")),
        }
    }

    /// A whole number from 0; clients in languages without integers write `1024.0`.
    pub(super) fn count(&mut self, name: &str) -> Result<Option<u64>, Refused> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let real = || value.as_f64().filter(|real| *real >= 0.0 && real.fract() == 0.0);
        let count = value.as_u64().or_else(|| real().map(|real| real as u64));
        match count.filter(|count| *count <= MOST) {
            Some(count) => Ok(Some(count)),
            None => Err(wrong(self.at(name), "a whole number in reason")),
        }
    }

    /// A number.
    pub(super) fn real(&mut self, name: &str) -> Result<Option<f64>, Refused> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => match value.as_f64().filter(|real| real.abs() <= 1e6) {
                Some(real) => Ok(Some(real)),
                None => Err(wrong(self.at(name), "a number in reason")),
            },
        }
    }

    /// A list.
    pub(super) fn list(&mut self, name: &str) -> Result<Option<Vec<Value>>, Refused> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Array(list)) => Ok(Some(list)),
            Some(_) => Err(wrong(self.at(name), "a list")),
        }
    }

    /// A list of strings.
    pub(super) fn texts(&mut self, name: &str) -> Result<Vec<String>, Refused> {
        let list = self.list(name)?.unwrap_or_default();
        let texts = list.into_iter().enumerate().map(|(index, value)| match value {
            Value::String(text) => Ok(text),
            _ => Err(wrong(format!("{}[{index}]", self.at(name)), "a string")),
        });
        texts.collect()
    }

    /// An object.
    pub(super) fn fields(&mut self, name: &str) -> Result<Option<Fields>, Refused> {
        let at = self.at(name);
        self.take(name).map(|value| Fields::of(value, at)).transpose()
    }

    /// What nobody took.
    pub(super) fn rest(mut self) -> Map<String, Value> {
        self.map.retain(|_, value| !value.is_null());
        self.map
    }
}

/// A field of the wrong type.
pub(super) fn wrong(at: String, wanted: &str) -> Refused {
    let name = if at.is_empty() { "The body" } else { at.as_str() };
    let message = format!("{name} must be {wanted}.");
    Refused { message, field: (!at.is_empty()).then_some(at) }
}

/// A field that must be there.
pub(super) fn missing(at: String) -> Refused {
    let message = format!("{at} is required.");
    Refused { message, field: Some(at) }
}

/// A body as JSON.
pub(super) fn parse(body: &[u8]) -> Result<Value, Refused> {
    serde_json::from_slice(body).map_err(|error| Refused::whole(format!("The body is not JSON: {error}.")))
}
