//! Values of the file that may be written in two ways, or have keys of the user's own.

use toml::de::DeValue;

use super::super::form::Form;
use super::super::tree::{At, Field, List, Node, Read, Reading, Span};
use super::{AffinityTable, ComplexityTable, HedgeTable, PromptTable, TargetTable};
use crate::dialect::request::{Hint, Hints};

/// A text or a list of texts.
pub(crate) struct Words(pub(crate) List<String>);

impl Read for Words {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        if node.get_ref().is_array() {
            return List::read(node, cx).map(Words);
        }
        let value = cx.string(node, "a string or an array of strings")?;
        Some(Words(List { items: vec![At { value, span: node.span() }], written: 1 }))
    }

    fn form() -> Form {
        Form::OneOf(vec![Form::Text, Form::List(Box::new(Form::Text))])
    }
}

impl Field<Words> {
    /// The readable texts; none if the key is absent.
    pub(crate) fn words(&self) -> &[At<String>] {
        self.value().map_or(&[], |words| &words.0.items)
    }
}

/// A table whose keys are the user's own.
pub(crate) struct Table<T>(pub(crate) Vec<Entry<T>>);

/// One key of it.
pub(crate) struct Entry<T> {
    pub(crate) key: String,
    pub(crate) span: Span,
    pub(crate) value: Field<T>,
}

impl<T: Read> Read for Table<T> {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        let Some(table) = node.get_ref().as_table() else { return cx.wrong(node, "a table") };
        let entry = |(key, _): (&toml::Spanned<_>, _)| {
            let name: &std::borrow::Cow<'_, str> = key.get_ref();
            Entry { key: name.to_string(), span: key.span(), value: cx.field(node, name, true) }
        };
        Some(Table(table.iter().map(entry).collect()))
    }

    fn form() -> Form {
        Form::Map(Box::new(T::form()))
    }
}

/// `quality`: numbers by the tag of a task, and `default`.
pub(crate) type Quality = Table<f64>;

/// `prompt`: a pattern alone, or a table.
pub(crate) struct Prompt(pub(crate) PromptTable);

impl Read for Prompt {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        if node.get_ref().is_table() {
            return PromptTable::read(node, cx).map(Prompt);
        }
        let pattern = cx.string(node, "a regular expression or a table { pattern, text }")?;
        Some(Prompt(PromptTable { pattern: Field::of(pattern, node.span()), text: Field::Absent }))
    }

    fn form() -> Form {
        Form::OneOf(vec![Form::Text, PromptTable::form()])
    }
}

/// `complexity`: where it begins, or a table.
pub(crate) struct Complexity(pub(crate) ComplexityTable);

impl Read for Complexity {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        match node.get_ref() {
            DeValue::Integer(_) | DeValue::Float(_) => {
                let min = Field::of(f64::read(node, cx)?, node.span());
                Some(Complexity(ComplexityTable { min, max: Field::Absent }))
            }
            DeValue::Table(_) => ComplexityTable::read(node, cx).map(Complexity),
            _ => cx.wrong(node, "a number from 0 to 1 or a table { min, max }"),
        }
    }

    fn form() -> Form {
        Form::OneOf(vec![Form::Number, ComplexityTable::form()])
    }
}

/// `affinity.fields`: all of them or none, or a list of names.
pub(crate) struct NamedBy(pub(crate) Hints);

impl Read for NamedBy {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        match node.get_ref() {
            DeValue::Boolean(true) => Some(NamedBy(Hints::ALL)),
            DeValue::Boolean(false) => Some(NamedBy(Hints::NONE)),
            DeValue::Array(_) => {
                let names = List::<Hint>::read(node, cx)?;
                Some(NamedBy(names.items.iter().fold(Hints::NONE, |hints, at| hints.and(at.value))))
            }
            _ => cx.wrong(node, "`true`, `false` or an array of names"),
        }
    }

    fn form() -> Form {
        Form::OneOf(vec![Form::Bool, List::<Hint>::form()])
    }
}

/// A deployment of a model: its name alone, or a table.
pub(crate) struct Target {
    pub(crate) name: Field<String>,
    pub(crate) weight: Field<Weight>,
    pub(crate) priority: Field<u32>,
    pub(crate) min_share: Field<f64>,
}

impl Read for Target {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        if node.get_ref().is_table() {
            let TargetTable { name, weight, priority, min_share } = TargetTable::read(node, cx)?;
            return Some(Target { name, weight, priority, min_share });
        }
        let name = cx.string(node, "a deployment's name or a table { name, weight, priority, min_share }")?;
        let name = Field::of(name, node.span());
        Some(Target { name, weight: Field::Absent, priority: Field::Absent, min_share: Field::Absent })
    }

    fn form() -> Form {
        Form::OneOf(vec![Form::Text, TargetTable::form()])
    }
}

/// `weight`.
#[derive(Clone, Copy)]
pub(crate) enum Weight {
    Auto,
    Fixed(f64),
}

impl Read for Weight {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        const EXPECTED: &str = "a number above 0 or \"auto\"";
        match node.get_ref() {
            DeValue::Integer(_) | DeValue::Float(_) => {
                let weight = f64::read(node, cx)?;
                if weight <= 0.0 {
                    cx.problem(&node.span(), format!("expected {EXPECTED}"));
                    return None;
                }
                Some(Weight::Fixed(weight))
            }
            DeValue::String(_) if cx.string(node, EXPECTED)? == "auto" => Some(Weight::Auto),
            DeValue::String(_) => {
                cx.problem(&node.span(), format!("expected {EXPECTED}"));
                None
            }
            _ => cx.wrong(node, EXPECTED),
        }
    }

    fn form() -> Form {
        Form::OneOf(vec![Form::Positive, Form::Words(vec!["auto"])])
    }
}

/// `affinity`: a table, or `false` for none.
pub(crate) enum Affinity {
    Off,
    On(AffinityTable),
}

impl Read for Affinity {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        match node.get_ref() {
            DeValue::Boolean(false) => Some(Affinity::Off),
            DeValue::Table(_) => AffinityTable::read(node, cx).map(Affinity::On),
            _ => cx.wrong(node, "a table { header, ttl, fields, prefix } or `false`"),
        }
    }

    fn form() -> Form {
        Form::OneOf(vec![Form::Only(false), AffinityTable::form()])
    }
}

/// `hedge`: a table, or `false` for none.
pub(crate) enum Hedge {
    Off,
    On(HedgeTable),
}

impl Read for Hedge {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        match node.get_ref() {
            DeValue::Boolean(false) => Some(Hedge::Off),
            DeValue::Table(_) => HedgeTable::read(node, cx).map(Hedge::On),
            _ => cx.wrong(node, "a table { after, budget } or `false`"),
        }
    }

    fn form() -> Form {
        Form::OneOf(vec![Form::Only(false), HedgeTable::form()])
    }
}

/// `headers`: name and value of each; the values are secret.
pub(crate) struct Headers(pub(crate) Vec<Header>);

/// One extra header.
pub(crate) struct Header {
    pub(crate) name: String,
    pub(crate) name_span: Span,
    pub(crate) value: Field<String>,
}

impl Read for Headers {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        let Some(table) = node.get_ref().as_table() else {
            return cx.wrong(node, "a table of header = \"value\"");
        };
        let header = |(key, _): (&toml::Spanned<_>, _)| {
            let name: &std::borrow::Cow<'_, str> = key.get_ref();
            let value = cx.field(node, name, true);
            Header { name: name.to_string(), name_span: key.span(), value }
        };
        Some(Headers(table.iter().map(header).collect()))
    }

    fn form() -> Form {
        Form::Map(Box::new(Form::Text))
    }
}
