//! Names: what they may consist of, that each is given once, and what a reference finds.

use std::collections::HashMap;

use super::super::suggest;
use super::super::tree::{At, Field, List, Reading, Span};

/// The names of one kind of thing, each with its index.
pub(super) struct Names<'f> {
    /// What is named, for messages: `account`.
    what: &'static str,
    found: HashMap<&'f str, (usize, Span)>,
    /// A name could not be read, so what a reference does not find may exist.
    incomplete: bool,
}

impl<'f> Names<'f> {
    pub(super) fn new(what: &'static str) -> Names<'f> {
        Names { what, found: HashMap::new(), incomplete: false }
    }

    /// Names of the elements of `list` in their order, checked.
    pub(super) fn collect<T>(
        what: &'static str,
        list: &'f Field<List<T>>,
        name: impl Fn(&'f T) -> &'f Field<String>,
        cx: &mut Reading<'_>,
    ) -> Names<'f> {
        let mut names = Names::new(what);
        names.incomplete = list.is_incomplete();
        for (index, item) in list.items().iter().enumerate() {
            match name(&item.value).get() {
                Some(at) if is_name(&at.value) => names.add(at, index, cx),
                Some(at) => {
                    names.incomplete = true;
                    bad_name(at, cx);
                }
                None => names.incomplete = true,
            }
        }
        names
    }

    /// Some names could not be read.
    pub(super) fn set_incomplete(&mut self) {
        self.incomplete = true;
    }

    /// Adds a name; a second thing of the same name is a problem.
    pub(super) fn add(&mut self, at: &'f At<String>, index: usize, cx: &mut Reading<'_>) {
        match self.found.get(at.value.as_str()) {
            Some((_, first)) => {
                let message = format!("this {} exists already, at line {}", self.what, cx.line(first));
                cx.problem(&at.span, message);
            }
            None => {
                self.found.insert(&at.value, (index, at.span.clone()));
            }
        }
    }

    /// The index behind a reference; an unknown one is reported.
    pub(super) fn find(&self, at: &At<String>, cx: &mut Reading<'_>) -> Option<usize> {
        match self.found.get(at.value.as_str()) {
            Some((index, _)) => Some(*index),
            None => {
                if !self.incomplete {
                    self.unknown(at, cx);
                }
                None
            }
        }
    }

    /// Reports a reference that finds nothing. Candidates are shown as the file spells them, unexpanded.
    pub(super) fn unknown(&self, at: &At<String>, cx: &mut Reading<'_>) {
        let names: Vec<&str> = self.found.keys().copied().collect();
        let near = suggest::nearest(&at.value, &names).and_then(|near| self.found.get(near));
        let hint = match near {
            Some((_, span)) => format!(" (did you mean {}?)", cx.written(span)),
            None => String::new(),
        };
        cx.problem(&at.span, format!("there is no {} of this name{hint}", self.what));
    }

    /// The index of a name, if it is one.
    pub(super) fn index(&self, name: &str) -> Option<usize> {
        self.found.get(name).map(|(index, _)| *index)
    }

    pub(super) fn is_incomplete(&self) -> bool {
        self.incomplete
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.found.contains_key(name)
    }
}

/// Letters, digits and `._:/@+-`: safe in headers, labels, URLs and keys of shared state.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "._:/@+-".contains(c))
}

/// Reports a name that is none.
pub(super) fn bad_name(at: &At<String>, cx: &mut Reading<'_>) {
    cx.problem(&at.span, "a name consists of letters, digits and `._:/@+-`, at least one");
}
