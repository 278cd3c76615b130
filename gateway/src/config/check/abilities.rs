//! What deployments can do, how well, and what calls may demand of them besides.

use std::sync::Arc;

use super::super::raw;
use super::super::tree::{At, Field, List, Reading};
use super::super::{Quality, raw::Entry};
use super::deployments::Deployments;
use super::names::is_name;
use crate::dialect::ability::{Abilities, Ability};

/// `supports`; everything where it is absent.
pub(super) fn supports(field: &Field<List<Ability>>) -> Option<Abilities> {
    field.get().map(|at| Abilities::of(at.value.items.iter().map(|at| at.value)))
}

/// `quality`: from 0 to 1 by the tag of a task; `default` for all others.
pub(super) fn quality(field: &Field<raw::Quality>, cx: &mut Reading<'_>) -> Option<Quality> {
    let At { value: raw::Table(entries), span } = field.get()?;
    let mut quality = Quality { default: 0.0, by_task: Vec::new() };
    if !entries.iter().any(|entry| entry.key == "default") {
        cx.problem(span, "`default` is missing: the quality at every other task");
    }
    for Entry { key, span, value } in entries {
        if !is_name(key) {
            cx.problem(span, BAD_TAG);
        }
        let Some(at) = value.get() else { continue };
        if !(0.0..=1.0).contains(&at.value) {
            cx.problem(&at.span, "a quality is from 0 to 1");
        }
        match key.as_str() {
            "default" => quality.default = at.value,
            task => quality.by_task.push((task.to_owned(), at.value)),
        }
    }
    Some(quality)
}

const BAD_TAG: &str = "a tag consists of letters, digits and `._:/@+-`, at least one";

/// Tags that are demanded of deployments, each once. One that none has would leave nobody to serve a call.
pub(super) fn demanded(
    written: &[At<String>],
    deployments: &Deployments<'_>,
    cx: &mut Reading<'_>,
) -> Vec<Arc<str>> {
    let (tags, known) = (tags(written, cx), deployments.tags());
    for tag in written.iter().filter(|at| is_name(&at.value)) {
        if !deployments.has_other_tags && !known.iter().any(|known| **known == *tag.value) {
            cx.problem(&tag.span, "no deployment has this tag");
        }
    }
    tags
}

/// Tags, each once.
pub(super) fn tags(written: &[At<String>], cx: &mut Reading<'_>) -> Vec<Arc<str>> {
    let mut tags: Vec<Arc<str>> = Vec::new();
    for at in written {
        if !is_name(&at.value) {
            cx.problem(&at.span, BAD_TAG);
        } else if tags.iter().any(|tag| **tag == *at.value) {
            cx.problem(&at.span, "this tag is given already");
        } else {
            tags.push(at.value.as_str().into());
        }
    }
    tags
}
