//! Reading the spanned TOML tree into the tables of [`raw`](super::raw).
//!
//! serde stops at the first mistake, and a file with five mistakes would need five runs to mend. So the tables are
//! declared with [`table!`], which generates a reader that goes on after a mistake: every unknown key, every value
//! of a wrong type and every missing key of the whole file becomes a [`Problem`], and what could be read is still
//! linked and checked. A field knows whether it is absent or only wrong, so that one mistake is reported once.

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::form::Form;
use super::report::{Problem, Report};
use super::sources::Sources;
use super::{expand, mask, suggest};

/// Byte range in the file.
pub(crate) type Span = Range<usize>;
/// A value of the tree and its place.
pub(crate) type Node<'t> = Spanned<DeValue<'t>>;

/// A value and where it stands.
#[derive(Clone)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

/// One key of a table. `Bad` has been reported already: whoever meets it stays silent.
pub(crate) enum Field<T> {
    Absent,
    Bad,
    Is(At<T>),
}

impl<T> Field<T> {
    pub(crate) fn of(value: T, span: Span) -> Field<T> {
        Field::Is(At { value, span })
    }

    /// The value, if it is there and was readable.
    pub(crate) fn get(&self) -> Option<&At<T>> {
        match self {
            Field::Is(at) => Some(at),
            Field::Absent | Field::Bad => None,
        }
    }

    pub(crate) fn value(&self) -> Option<&T> {
        self.get().map(|at| &at.value)
    }

    pub(crate) fn is_bad(&self) -> bool {
        matches!(self, Field::Bad)
    }

    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Field::Absent)
    }
}

impl<T: Clone> Field<T> {
    pub(crate) fn or(&self, default: T) -> T {
        self.value().cloned().unwrap_or(default)
    }
}

/// An array; its unreadable elements have been reported and are left out.
pub(crate) struct List<T> {
    pub(crate) items: Vec<At<T>>,
    /// How many elements the file has, readable or not.
    pub(crate) written: usize,
}

impl<T> Field<List<T>> {
    /// Something was written here that could not be read.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.is_bad() || self.value().is_some_and(|list| list.items.len() < list.written)
    }

    /// The readable elements; none if the key is absent.
    pub(crate) fn items(&self) -> &[At<T>] {
        self.value().map_or(&[], |list| &list.items)
    }
}

/// What can be read from a value. `None` means that the problem has been reported.
pub(crate) trait Read: Sized {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self>;

    /// What may be written for it, for the schema.
    fn form() -> Form;
}

/// What is one word of a closed list. A word without a value belongs to the schema, but its feature does not exist yet.
pub(crate) trait Word: Copy {
    fn words() -> Vocabulary<Self>;
}

/// The words, and what each means.
pub(crate) type Vocabulary<T> = Vec<(&'static str, Option<T>)>;

impl<T: Word> Read for T {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        cx.word(node, &T::words())
    }

    fn form() -> Form {
        let usable = |(word, value): (&'static str, Option<T>)| value.map(|_| word);
        Form::Words(T::words().into_iter().filter_map(usable).collect())
    }
}

/// A key of the schema whose feature does not exist yet, and which values of it ask for nothing.
pub(crate) struct Later {
    pub(crate) key: &'static str,
    pub(crate) off: fn(&DeValue<'_>) -> bool,
}

/// Values of a [`Later`] key that ask for nothing and therefore pass.
pub(crate) mod off {
    use toml::de::DeValue;

    /// The key alone asks for the feature.
    pub(crate) fn never(_: &DeValue<'_>) -> bool {
        false
    }
}

/// The state of reading one file: where values come from, and what was found wrong.
pub(crate) struct Reading<'a> {
    text: &'a str,
    env: &'a dyn Fn(&str) -> Option<String>,
    pub(crate) problems: Vec<Problem>,
    /// Files that values came from.
    pub(crate) sources: Sources,
    /// Places whose text no report may show.
    pub(crate) hidden: Vec<Span>,
    /// What is wrong in other files that this one names.
    pub(crate) others: Vec<Report>,
    /// Strings are what is written: the file may be anybody's, and names no variables or files.
    literal: bool,
}

impl<'a> Reading<'a> {
    pub(crate) fn new(text: &'a str, env: &'a dyn Fn(&str) -> Option<String>) -> Reading<'a> {
        Reading {
            text,
            env,
            problems: Vec::new(),
            sources: Sources::default(),
            hidden: Vec::new(),
            others: Vec::new(),
            literal: false,
        }
    }

    /// Of a file in which nothing stands for anything else.
    pub(crate) fn literal(text: &'a str) -> Reading<'a> {
        Reading { literal: true, ..Reading::new(text, &|_| None) }
    }

    pub(crate) fn problem(&mut self, span: &Span, message: impl Into<String>) {
        // The root table has no place of its own.
        let span = Some(span.clone()).filter(|span| !span.is_empty());
        self.problems.push(Problem { span, message: message.into() });
    }

    /// The file's own text at a place: unlike the value it never holds an expanded secret.
    pub(crate) fn written(&self, span: &Span) -> &'a str {
        self.text.get(span.clone()).unwrap_or_default()
    }

    /// Line of a place, counted from 1.
    pub(crate) fn line(&self, span: &Span) -> usize {
        1 + self.text.get(..span.start).unwrap_or_default().matches('\n').count()
    }

    /// Reports a value of a wrong type without showing it.
    pub(crate) fn wrong<T>(&mut self, node: &Node<'_>, expected: &str) -> Option<T> {
        let found = match node.get_ref() {
            DeValue::Array(_) | DeValue::Integer(_) => format!("an {}", node.get_ref().type_str()),
            other => format!("a {}", other.type_str()),
        };
        self.problem(&node.span(), format!("expected {expected}, found {found}"));
        None
    }

    /// A string with its `${}` references replaced.
    pub(crate) fn string(&mut self, node: &Node<'_>, expected: &str) -> Option<String> {
        let Some(text) = node.get_ref().as_str() else { return self.wrong(node, expected) };
        if self.literal {
            return Some(text.to_owned());
        }
        let (value, failures) = expand::expand(text, self.env, &mut self.sources);
        for failure in &failures {
            let span = place_of(&failure.reference, self.written(&node.span()), node.span());
            self.problem(&span, failure.message.clone());
        }
        failures.is_empty().then_some(value)
    }

    /// One of a closed list of words; a word with `None` belongs to the schema but works only later.
    pub(crate) fn word<T: Copy>(&mut self, node: &Node<'_>, words: &[(&str, Option<T>)]) -> Option<T> {
        let usable: Vec<&str> =
            words.iter().filter(|(_, value)| value.is_some()).map(|(word, _)| *word).collect();
        let expected = format!("one of {}", suggest::quoted(&usable));
        let text = self.string(node, &expected)?;
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, Some(value))) => Some(*value),
            Some((word, None)) => {
                let message = format!("`{word}` is not available yet: use {}", suggest::either(&usable));
                self.problem(&node.span(), message);
                None
            }
            None => {
                let message = format!("expected {expected}{}", suggest::did_you_mean(&text, &usable));
                self.problem(&node.span(), message);
                None
            }
        }
    }

    /// One key of a table.
    pub(crate) fn field<T: Read>(&mut self, table: &Node<'_>, key: &str, required: bool) -> Field<T> {
        match table.get_ref().get(key) {
            Some(node) => match T::read(node, self) {
                Some(value) => Field::Is(At { value, span: node.span() }),
                None => Field::Bad,
            },
            None if required => {
                self.problem(&table.span(), format!("`{key}` is missing"));
                Field::Bad
            }
            None => Field::Absent,
        }
    }

    /// Reports the keys of a table that do not exist (`place` names the table) or do not work yet.
    pub(crate) fn other_keys(&mut self, table: &DeTable<'_>, place: &str, keys: &[&str], later: &[Later]) {
        for (key, value) in table.iter() {
            let name: &str = key.get_ref();
            if keys.contains(&name) {
                continue;
            }
            match later.iter().find(|later| later.key == name) {
                Some(later) if (later.off)(value.get_ref()) => {}
                Some(_) => self.problem(&key.span(), format!("`{name}` is not available yet")),
                None => {
                    self.unknown_key(key, place, keys, later);
                    // A misspelt `api_key` holds a secret all the same.
                    mask::strings_of(value, &mut self.hidden);
                }
            }
        }
    }

    /// A key in quotes may be a value in the wrong place, so it is not shown.
    fn unknown_key(&mut self, key: &Spanned<Cow<'_, str>>, place: &str, keys: &[&str], later: &[Later]) {
        let all: Vec<&str> = keys.iter().copied().chain(later.iter().map(|later| later.key)).collect();
        let hint = suggest::did_you_mean(key.get_ref(), &all);
        let shown = if self.written(&key.span()).starts_with(['"', '\'']) {
            self.hidden.push(key.span());
            String::new()
        } else {
            format!(" `{}`", key.get_ref())
        };
        let expected = suggest::quoted(keys);
        self.problem(&key.span(), format!("unknown key{shown} in {place}{hint}: expected one of {expected}"));
    }

    /// Has a problem been reported at exactly this place?
    pub(crate) fn has_problem_at(&self, span: &Span) -> bool {
        self.problems.iter().any(|problem| problem.span.as_ref() == Some(span))
    }
}

/// Narrows `span` to the reference in it, if the file spells it there without escapes.
fn place_of(reference: &str, written: &str, span: Span) -> Span {
    match written.find(reference) {
        Some(at) => span.start + at..span.start + at + reference.len(),
        None => span,
    }
}

impl<T: Read> Read for List<T> {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        let Some(array) = node.get_ref().as_array() else { return cx.wrong(node, "an array") };
        let read = |node: &Node<'_>| T::read(node, cx).map(|value| At { value, span: node.span() });
        Some(List { items: array.iter().filter_map(read).collect(), written: array.len() })
    }

    fn form() -> Form {
        Form::List(Box::new(T::form()))
    }
}

/// The key of a field: a Rust keyword stands in the code as `r#use`.
pub(crate) const fn key_of(field: &'static str) -> &'static str {
    match field.as_bytes() {
        [b'r', b'#', key @ ..] => match std::str::from_utf8(key) {
            Ok(key) => key,
            Err(_) => field,
        },
        _ => field,
    }
}

/// Declares a table of the schema: its fields (`= required`), and after `later` the keys that are known but refused
/// until their feature exists.
macro_rules! table {
    (
        $(#[$doc:meta])*
        $name:ident, $place:literal {
            $( $(#[doc = $field_doc:literal])* $field:ident : $type:ty $(= $required:ident)? ),* $(,)?
        } later { $( $later:ident $(: $off:ident)? ),* $(,)? }
    ) => {
        $(#[$doc])*
        pub(crate) struct $name {
            $( $(#[doc = $field_doc])* pub(crate) $field: $crate::config::tree::Field<$type>, )*
        }

        impl $name {
            pub(crate) const KEYS: &[&str] = &[$( $crate::config::tree::key_of(stringify!($field)) ),*];
        }

        impl $crate::config::tree::Read for $name {
            fn read(
                node: &$crate::config::tree::Node<'_>,
                cx: &mut $crate::config::tree::Reading<'_>,
            ) -> Option<Self> {
                const LATER: &[$crate::config::tree::Later] = &[$(
                    $crate::config::tree::Later {
                        key: stringify!($later),
                        off: table!(@off $($off)?),
                    }
                ),*];
                let Some(table) = node.get_ref().as_table() else { return cx.wrong(node, "a table") };
                cx.other_keys(table, $place, Self::KEYS, LATER);
                Some($name { $( $field: cx.field(node, $crate::config::tree::key_of(stringify!($field)), table!(@required $($required)?)), )* })
            }

            fn form() -> $crate::config::form::Form {
                $crate::config::form::Form::Table(|| $crate::config::form::Layout {
                    name: stringify!($name),
                    keys: vec![$(
                        $crate::config::form::Key {
                            name: $crate::config::tree::key_of(stringify!($field)),
                            form: <$type as $crate::config::tree::Read>::form,
                            is_required: table!(@required $($required)?),
                            doc: concat!("", $($field_doc),*).trim_ascii(),
                        }
                    ),*],
                })
            }
        }
    };
    (@required) => { false };
    (@required required) => { true };
    (@off) => { $crate::config::tree::off::never };
    (@off $off:ident) => { $crate::config::tree::off::$off };
}
pub(crate) use table;
