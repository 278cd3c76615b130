//! Members of JSON objects, and what only this dialect knows of them.

use serde_json::Value;

use crate::dialect::talk::{Dialect, Extra, fields};

pub(super) use crate::dialect::talk::fields::{
    Fields, MOST, at, need_text, object, put, take, take_bool, take_count, take_list, take_object, take_real,
    take_text, take_whole, wrong,
};

/// What is left of an object, and the marks. A foreign field that looks like a mark is nobody's.
pub(super) fn extra(left: Fields, marks: Fields) -> Extra {
    fields::extra(Dialect::Chat, left, marks)
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
    fields::put_extra(Dialect::Chat, out, extra);
}

/// Are there fields, marks aside, that only this dialect knows?
pub(super) fn has_extra(extra: &Extra) -> bool {
    fields::has_extra(Dialect::Chat, extra)
}
