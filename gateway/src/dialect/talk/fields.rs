//! Taking members out of JSON objects of OpenAI's dialects with their types checked, and what remains of them. Names that
//! begin with `#` are marks: they remember how a thing was said where a dialect has several ways.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::{Dialect, Extra, Refused};

/// The members of an object.
pub(in crate::dialect) type Fields = Map<String, Value>;

/// No count in a request or answer is higher: contexts are of some ten million tokens, and who wants no bound says 2^31 - 1.
pub(in crate::dialect) const MOST: u64 = u32::MAX as u64;

/// The path of a member.
pub(in crate::dialect) fn at(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

pub(in crate::dialect) fn wrong(path: &str, name: &str, must: &str) -> Refused {
    let field = at(path, name);
    Refused::field(field.clone(), format!("`{field}` must be {must}."))
}

/// Takes a member; `null` counts as absent, as everywhere in this dialect.
pub(in crate::dialect) fn take(fields: &mut Fields, name: &str) -> Option<Value> {
    fields.remove(name).filter(|value| !value.is_null())
}

/// The members of `value`, which must be an object.
pub(in crate::dialect) fn object(value: Value, path: &str) -> Result<Fields, Refused> {
    match value {
        Value::Object(fields) => Ok(fields),
        _ => Err(Refused::field(path, format!("`{path}` must be an object."))),
    }
}

pub(in crate::dialect) fn take_text(
    fields: &mut Fields,
    path: &str,
    name: &str,
) -> Result<Option<String>, Refused> {
    match take(fields, name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(wrong(path, name, "a string")),
    }
}

pub(in crate::dialect) fn need_text(fields: &mut Fields, path: &str, name: &str) -> Result<String, Refused> {
    take_text(fields, path, name)?.ok_or_else(|| wrong(path, name, "given, as a string"))
}

pub(in crate::dialect) fn take_bool(
    fields: &mut Fields,
    path: &str,
    name: &str,
) -> Result<Option<bool>, Refused> {
    match take(fields, name) {
        None => Ok(None),
        Some(Value::Bool(said)) => Ok(Some(said)),
        Some(_) => Err(wrong(path, name, "true or false")),
    }
}

/// A count of at most `most`; clients without integers write `100.0`.
pub(in crate::dialect) fn take_count(
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

/// A number within `bounds`.
pub(in crate::dialect) fn take_real(
    fields: &mut Fields,
    path: &str,
    name: &str,
    bounds: RangeInclusive<f64>,
) -> Result<Option<f64>, Refused> {
    let Some(value) = take(fields, name) else { return Ok(None) };
    match value.as_f64().filter(|real| bounds.contains(real)) {
        Some(real) => Ok(Some(real)),
        None => Err(wrong(path, name, &format!("a number from {} to {}", bounds.start(), bounds.end()))),
    }
}

pub(in crate::dialect) fn take_list(
    fields: &mut Fields,
    path: &str,
    name: &str,
) -> Result<Vec<Value>, Refused> {
    match take(fields, name) {
        None => Ok(Vec::new()),
        Some(Value::Array(list)) => Ok(list),
        Some(_) => Err(wrong(path, name, "a list")),
    }
}

pub(in crate::dialect) fn take_object(
    fields: &mut Fields,
    path: &str,
    name: &str,
) -> Result<Option<Fields>, Refused> {
    match take(fields, name) {
        None => Ok(None),
        Some(Value::Object(members)) => Ok(Some(members)),
        Some(_) => Err(wrong(path, name, "an object")),
    }
}

pub(in crate::dialect) fn take_whole(
    fields: &mut Fields,
    path: &str,
    name: &str,
) -> Result<Option<i64>, Refused> {
    let Some(value) = take(fields, name) else { return Ok(None) };
    value.as_i64().map(Some).ok_or_else(|| wrong(path, name, "a whole number"))
}

/// Puts `value` if there is one.
pub(in crate::dialect) fn put(out: &mut Fields, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        out.insert(name.to_owned(), value.into());
    }
}

/// What is left of an object, and the marks. A foreign field that looks like a mark is nobody's.
pub(in crate::dialect) fn extra(dialect: Dialect, mut left: Fields, marks: Fields) -> Extra {
    left.retain(|name, _| !name.starts_with('#'));
    left.extend(marks);
    Extra::of(dialect, left)
}

/// Puts the fields that only `dialect` knows back where they stood; they were read last, so they count.
pub(in crate::dialect) fn put_extra(dialect: Dialect, out: &mut Fields, extra: &Extra) {
    for (name, value) in extra.fields(dialect) {
        if !name.starts_with('#') {
            out.insert(name.clone(), value.clone());
        }
    }
}

/// Are there fields, marks aside, that only `dialect` knows?
pub(in crate::dialect) fn has_extra(dialect: Dialect, extra: &Extra) -> bool {
    extra.fields(dialect).any(|(name, _)| !name.starts_with('#'))
}
