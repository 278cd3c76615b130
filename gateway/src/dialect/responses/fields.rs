//! Members of JSON objects, and what only this dialect knows of them.

use serde_json::Value;

use crate::dialect::talk::{Dialect, Extra, fields};

pub(super) use crate::dialect::talk::fields::{
    Fields, MOST, at, need_text, object, put, take, take_bool, take_count, take_list, take_object, take_real,
    take_text, wrong,
};

/// What is left of an object, and the marks. A foreign field that looks like a mark is nobody's.
pub(super) fn extra(left: Fields, marks: Fields) -> Extra {
    fields::extra(Dialect::Responses, left, marks)
}

/// A mark of this folder's, or another field that only this dialect knows.
pub(super) fn mark<'a>(extra: &'a Extra, name: &str) -> Option<&'a Value> {
    extra.get(Dialect::Responses, name)
}

/// One mark.
pub(super) fn marks(name: &str, value: impl Into<Value>) -> Fields {
    Fields::from_iter([(name.to_owned(), value.into())])
}

/// Does anything in it come from this dialect?
pub(super) fn is_own(extra: &Extra) -> bool {
    extra.0.as_ref().is_some_and(|of| of.0 == Dialect::Responses)
}

/// Puts the fields that only this dialect knows back where they stood.
pub(super) fn put_extra(out: &mut Fields, extra: &Extra) {
    fields::put_extra(Dialect::Responses, out, extra);
}

/// Are there fields, marks aside, that only this dialect knows?
pub(super) fn has_extra(extra: &Extra) -> bool {
    fields::has_extra(Dialect::Responses, extra)
}

/// Puts `value` unless there is one already.
pub(super) fn put_default(out: &mut Fields, name: &str, value: impl Into<Value>) {
    if !out.contains_key(name) {
        out.insert(name.to_owned(), value.into());
    }
}

/// Adds a mark to those that are there.
pub(super) fn add_mark(extra: &mut Extra, name: &str, value: impl Into<Value>) {
    match &mut extra.0 {
        Some(of) if of.0 == Dialect::Responses => {
            of.1.insert(name.to_owned(), value.into());
        }
        _ => *extra = Extra::of(Dialect::Responses, marks(name, value)),
    }
}
