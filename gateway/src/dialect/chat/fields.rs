//! Taking members out of JSON objects with their types checked, and what remains of them.

use serde_json::{Map, Value};

use crate::dialect::talk::{Dialect, Extra, Refused};

/// The members of an object.
pub(super) type Fields = Map<String, Value>;

/// No count in a request or answer is higher: contexts are of some ten million tokens.
pub(super) const MOST: u64 = 1 << 30;

/// The path of a member.
pub(super) fn at(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn wrong(path: &str, name: &str, must: &str) -> Refused {
    let field = at(path, name);
    Refused::field(field.clone(), format!("`{field}` must be {must}."))
}

/// Takes a member; `null` counts as absent, as everywhere in this dialect.
pub(super) fn take(fields: &mut Fields, name: &str) -> Option<Value> {
    fields.remove(name).filter(|value| !value.is_null())
}

/// The members of `value`, which must be an object.
pub(super) fn object(value: Value, path: &str) -> Result<Fields, Refused> {
    match value {
        Value::Object(fields) => Ok(fields),
        _ => Err(Refused::field(path, format!("`{path}` must be an object."))),
    }
}

pub(super) fn take_text(fields: &mut Fields, path: &str, name: &str) -> Result<Option<String>, Refused> {
    match take(fields, name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(wrong(path, name, "a string")),
    }
}

pub(super) fn need_text(fields: &mut Fields, path: &str, name: &str) -> Result<String, Refused> {
    take_text(fields, path, name)?.ok_or_else(|| wrong(path, name, "given, as a string"))
}

pub(super) fn take_bool(fields: &mut Fields, path: &str, name: &str) -> Result<Option<bool>, Refused> {
    match take(fields, name) {
        None => Ok(None),
        Some(Value::Bool(said)) => Ok(Some(said)),
        Some(_) => Err(wrong(path, name, "true or false")),
    }
}

/// A count of at most `most`; clients without integers write `100.0`.
pub(super) fn take_count(
    fields: &mut Fields,
    path: &str,
    name: &str,
    most: u64,
) -> Result<Option<u64>, Refused> {
    let Some(value) = take(fields, name) else { return Ok(None) };
    let whole = |real: &f64| *real >= 0.0 && *real <= most as f64 && real.fract() == 0.0;
    let count = value.as_u64().or_else(|| value.as_f64().filter(whole).map(|real| real as u64));
    match count.filter(|count| *count <= most) {
        Some(count) => Ok(Some(count)),
        None => Err(wrong(path, name, &format!("a whole number from 0 to {most}"))),
    }
}

/// A number between `-most` and `most`.
pub(super) fn take_real(
    fields: &mut Fields,
    path: &str,
    name: &str,
    most: f64,
) -> Result<Option<f64>, Refused> {
    let Some(value) = take(fields, name) else { return Ok(None) };
    match value.as_f64().filter(|real| real.abs() <= most) {
        Some(real) => Ok(Some(real)),
        None => Err(wrong(path, name, &format!("a number from -{most} to {most}"))),
    }
}

pub(super) fn take_whole(fields: &mut Fields, path: &str, name: &str) -> Result<Option<i64>, Refused> {
    let Some(value) = take(fields, name) else { return Ok(None) };
    value.as_i64().map(Some).ok_or_else(|| wrong(path, name, "a whole number"))
}

pub(super) fn take_list(fields: &mut Fields, path: &str, name: &str) -> Result<Vec<Value>, Refused> {
    match take(fields, name) {
        None => Ok(Vec::new()),
        Some(Value::Array(list)) => Ok(list),
        Some(_) => Err(wrong(path, name, "a list")),
    }
}

pub(super) fn take_object(fields: &mut Fields, path: &str, name: &str) -> Result<Option<Fields>, Refused> {
    match take(fields, name) {
        None => Ok(None),
        Some(Value::Object(members)) => Ok(Some(members)),
        Some(_) => Err(wrong(path, name, "an object")),
    }
}

/// What is left of an object, and the marks. A foreign field that looks like a mark is nobody's.
pub(super) fn extra(mut left: Fields, marks: Fields) -> Extra {
    left.retain(|name, _| !name.starts_with('#'));
    left.extend(marks);
    Extra::of(Dialect::Chat, left)
}

/// A mark of this folder's.
pub(super) fn mark<'a>(extra: &'a Extra, name: &str) -> Option<&'a Value> {
    extra.get(Dialect::Chat, name)
}

/// The members that a mark of this folder's keeps.
pub(super) fn marked(extra: &Extra, name: &str) -> Option<Fields> {
    mark(extra, name)?.as_object().cloned()
}

/// Puts the fields that only this dialect knows back where they stood; they were read last, so they count.
pub(super) fn put_extra(out: &mut Fields, extra: &Extra) {
    for (name, value) in extra.fields(Dialect::Chat) {
        if !name.starts_with('#') {
            out.insert(name.clone(), value.clone());
        }
    }
}

/// Are there fields, marks aside, that only this dialect knows?
pub(super) fn has_extra(extra: &Extra) -> bool {
    extra.fields(Dialect::Chat).any(|(name, _)| !name.starts_with('#'))
}

/// Puts `value` if there is one.
pub(super) fn put(out: &mut Fields, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        out.insert(name.to_owned(), value.into());
    }
}
