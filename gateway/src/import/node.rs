//! A value of the file that is imported, where it stands, and whether anybody has looked at it: what nobody asked for at the end
//! was not translated.

use std::cell::Cell;

/// A value.
pub(super) struct Node {
    /// `model_list[0].model_name`.
    pub(super) path: String,
    /// Of its key, counted from 1.
    pub(super) line: usize,
    value: Value,
    seen: Cell<bool>,
}

pub(super) enum Value {
    Null,
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    pub(super) fn new(path: String, line: usize, value: Value) -> Node {
        Node { path, line, value, seen: Cell::new(false) }
    }

    /// One key of a table; `null` is as good as none.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        let (_, found) = self.entries().iter().find(|(own, _)| own == key)?;
        if matches!(found.value, Value::Null) {
            found.seen.set(true);
            return None;
        }
        Some(found)
    }

    /// The keys of a table; none of what is no table.
    pub(super) fn entries(&self) -> &[(String, Node)] {
        match &self.value {
            Value::Map(entries) => {
                self.seen.set(true);
                entries
            }
            Value::Null | Value::Scalar(_) | Value::List(_) => &[],
        }
    }

    /// The elements of a list; none of what is no list.
    pub(super) fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => {
                self.seen.set(true);
                items
            }
            Value::Null | Value::Scalar(_) | Value::Map(_) => &[],
        }
    }

    pub(super) fn is_map(&self) -> bool {
        matches!(self.value, Value::Map(_))
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self.value, Value::List(_))
    }

    /// A scalar as it is written.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(text) => {
                self.seen.set(true);
                Some(text)
            }
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// A number, also one in quotes: so does LiteLLM take it. (`0100` is 64 to PyYAML, and a hundred to whoever reads it.)
    pub(super) fn number(&self) -> Option<f64> {
        let text = self.text()?.trim().replace('_', "");
        let digits = text.trim_start_matches(['+', '-']);
        if digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        text.parse::<f64>().ok().filter(|number| number.is_finite())
    }

    /// Yes or no, in YAML's old words too.
    pub(super) fn flag(&self) -> Option<bool> {
        match self.text()?.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Some(true),
            "false" | "no" | "off" => Some(false),
            _ => None,
        }
    }

    /// It and all in it is dealt with.
    pub(super) fn done(&self) {
        self.seen.set(true);
        match &self.value {
            Value::Null | Value::Scalar(_) => {}
            Value::List(items) => items.iter().for_each(Node::done),
            Value::Map(entries) => entries.iter().for_each(|(_, node)| node.done()),
        }
    }

    /// What nobody has looked at, each as a whole. `null` says nothing.
    pub(super) fn unseen<'n>(&'n self, found: &mut Vec<&'n Node>) {
        match &self.value {
            Value::Null => {}
            _ if !self.seen.get() => found.push(self),
            Value::Scalar(_) => {}
            Value::List(items) => items.iter().for_each(|node| node.unseen(found)),
            Value::Map(entries) => entries.iter().for_each(|(_, node)| node.unseen(found)),
        }
    }
}

#[cfg(test)]
impl Node {
    /// A copy in which the value at a path is another text, or is not there; nobody has seen any of it.
    pub(super) fn edited(&self, at: &str, text: Option<&str>) -> Option<Node> {
        let value = match &self.value {
            _ if self.path == at && !at.is_empty() => Value::Scalar(text?.to_owned()),
            Value::Null => Value::Null,
            Value::Scalar(text) => Value::Scalar(text.clone()),
            Value::List(items) => {
                Value::List(items.iter().filter_map(|node| node.edited(at, text)).collect())
            }
            Value::Map(entries) => Value::Map(
                entries
                    .iter()
                    .filter_map(|(key, node)| Some((key.clone(), node.edited(at, text)?)))
                    .collect(),
            ),
        };
        Some(Node::new(self.path.clone(), self.line, value))
    }

    /// The paths of all keys and elements, with whether each is a scalar.
    pub(super) fn paths(&self) -> Vec<(String, bool)> {
        let inner: Vec<&Node> = match &self.value {
            Value::Null | Value::Scalar(_) => Vec::new(),
            Value::List(items) => items.iter().collect(),
            Value::Map(entries) => entries.iter().map(|(_, node)| node).collect(),
        };
        let own = (self.path.clone(), matches!(self.value, Value::Scalar(_)));
        std::iter::once(own)
            .filter(|(path, _)| !path.is_empty())
            .chain(inner.into_iter().flat_map(Node::paths))
            .collect()
    }
}
