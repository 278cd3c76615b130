//! Configurations of other gateways as Weir's: text in, text and a list of notes out. Nothing is lost silently: whatever of the
//! other file is not in Weir's is in the list, by its place and with the reason. No note shows a value, for it may be a secret.

mod litellm;
mod node;
mod page;
#[cfg(test)]
mod tests;
mod yaml;

use std::fmt;

pub use litellm::litellm;

/// What came of a file.
#[derive(Debug)]
pub struct Imported {
    /// Weir's configuration, with the notes as comments at its end.
    pub toml: String,
    /// In the order of the file.
    pub notes: Vec<Note>,
}

/// Something about one key of the file that was read.
#[derive(Debug, PartialEq, Eq)]
pub struct Note {
    /// Counted from 1; 0 for what the file does not say.
    pub line: usize,
    /// The way to the key: `model_list[0].litellm_params.timeout`.
    pub path: String,
    /// What became of it.
    pub sort: Sort,
    /// Why, or what is to be done.
    pub text: String,
}

/// What became of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sort {
    /// It is not in Weir's file.
    Left,
    /// It is, and means something a little different there.
    Differs,
    /// Something is to be done by hand before Weir starts.
    ToDo,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sort = match self.sort {
            Sort::Left => "not translated",
            Sort::Differs => "differs",
            Sort::ToDo => "to do",
        };
        match self.line {
            0 => write!(f, "{sort}: {}", self.text),
            line => write!(f, "{line}: {}: {sort}: {}", self.path, self.text),
        }
    }
}

/// Why a file could not be read at all. It does not show what stands there.
#[derive(Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Counted from 1, if it is about a place.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{line}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for Unreadable {}

/// Notes as they are found.
#[derive(Default)]
struct Notes {
    list: Vec<Note>,
}

impl Notes {
    /// `node`, and all in it, is not translated.
    fn left(&mut self, node: &node::Node, reason: impl Into<String>) {
        node.done();
        self.add(node, Sort::Left, reason.into());
    }

    /// `node` is translated, but.
    fn differs(&mut self, node: &node::Node, how: impl Into<String>) {
        node.done();
        self.add(node, Sort::Differs, how.into());
    }

    /// The same of a list or a table, of which each is translated, or listed.
    fn differs_at(&mut self, node: &node::Node, how: impl Into<String>) {
        self.add(node, Sort::Differs, how.into());
    }

    fn todo(&mut self, node: &node::Node, what: impl Into<String>) {
        node.done();
        self.todo_at(node, what);
    }

    /// The same of a table whose keys each are translated, or listed.
    fn todo_at(&mut self, node: &node::Node, what: impl Into<String>) {
        self.add(node, Sort::ToDo, what.into());
    }

    /// Yes or no; listed if it is neither, for then nobody knows here what is meant.
    fn flag(&mut self, node: &node::Node) -> Option<bool> {
        let flag = node.flag();
        if flag.is_none() {
            self.left(node, "neither yes nor no, or one from the environment: it stands in the file here");
        }
        flag
    }

    /// A secret stands in clear: what is to become of it.
    fn set_variable(&mut self, line: usize, path: &str, name: &str) {
        let text = format!("stands in clear there: set the environment variable {name} to it");
        self.list.push(Note { line, path: path.to_owned(), sort: Sort::ToDo, text });
    }

    /// About the file as a whole.
    fn todo_for_all(&mut self, what: impl Into<String>) {
        self.list.push(Note { line: 0, path: String::new(), sort: Sort::ToDo, text: what.into() });
    }

    fn differs_for_all(&mut self, how: impl Into<String>) {
        self.list.push(Note { line: 0, path: String::new(), sort: Sort::Differs, text: how.into() });
    }

    fn add(&mut self, node: &node::Node, sort: Sort, text: String) {
        let note = Note { line: node.line, path: node.path.clone(), sort, text };
        if !self.list.contains(&note) {
            self.list.push(note);
        }
    }

    /// In the order of the file.
    fn sorted(mut self) -> Vec<Note> {
        self.list.sort_by(|a, b| (a.line, &a.path, a.sort).cmp(&(b.line, &b.path, b.sort)));
        self.list
    }
}
