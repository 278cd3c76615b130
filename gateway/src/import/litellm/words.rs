//! Strings of the file that may stand for environment variables, and secrets, which never go into Weir's file in clear: what
//! stands in clear there gets the name of a variable, and the notes say that it is to be set.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::super::Notes;
use super::super::node::Node;
use super::super::page;

const REFERENCE: &str = "os.environ/";

/// A string as it is meant.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Worded {
    /// `os.environ/NAME`.
    Env(String),
    /// Whatever else.
    Clear(String),
}

impl Worded {
    /// Of a scalar; `None` for what is none, or names no variable.
    pub(super) fn of(node: &Node) -> Option<Worded> {
        let text = node.text()?.trim();
        match text.strip_prefix(REFERENCE) {
            Some(name) if is_variable(name) => Some(Worded::Env(name.to_owned())),
            Some(_) => None,
            None => Some(Worded::Clear(text.to_owned())),
        }
    }

    /// A part of a string of Weir's file.
    pub(super) fn part(&self) -> String {
        match self {
            Worded::Env(name) => format!("${{{name}}}"),
            Worded::Clear(text) => page::literal(text),
        }
    }

    pub(super) fn clear(&self) -> Option<&str> {
        match self {
            Worded::Clear(text) => Some(text),
            Worded::Env(_) => None,
        }
    }
}

fn is_variable(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The variables that Weir's file names.
#[derive(Default)]
pub(super) struct Environment {
    /// Names that stand for something already: those that the other file has, and those that it means without naming them.
    theirs: BTreeSet<String>,
    /// Names of secrets that stand in clear there.
    given: HashMap<String, String>,
    /// Those that Weir's file names, and what is to be known of them.
    named: BTreeMap<String, String>,
}

impl Environment {
    pub(super) fn of(text: &str) -> Environment {
        let after = text.match_indices(REFERENCE).map(|(at, _)| &text[at + REFERENCE.len()..]);
        let name = |rest: &str| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        Environment { theirs: after.map(name).collect(), ..Environment::default() }
    }

    /// A variable that holds something of its own, though the other file names it nowhere.
    pub(super) fn reserve(&mut self, name: &str) {
        self.theirs.insert(name.to_owned());
    }

    /// What stands for a string in Weir's file, as a reference; `hint` becomes the name of a variable if it is a secret that
    /// stands in clear at `place`, and the notes say that it is to be set.
    pub(super) fn secret(
        &mut self,
        worded: &Worded,
        hint: &str,
        place: (usize, &str),
        notes: &mut Notes,
    ) -> String {
        let text = match worded {
            Worded::Env(name) => return self.name(name, ""),
            Worded::Clear(text) => text,
        };
        if let Some(name) = self.given.get(text) {
            return format!("${{{name}}}");
        }
        let name = self.free(hint);
        self.given.insert(text.clone(), name.clone());
        notes.set_variable(place.0, place.1, &name);
        self.name(&name, "in clear in the other file")
    }

    /// A variable for what is nowhere in the other file, by no name that is taken.
    pub(super) fn fresh(&mut self, hint: &str, about: &str) -> String {
        let name = self.free(hint);
        self.name(&name, about)
    }

    /// A variable that Weir's file names, as a reference.
    pub(super) fn name(&mut self, name: &str, about: &str) -> String {
        let known = self.named.entry(name.to_owned()).or_default();
        if known.is_empty() {
            about.clone_into(known);
        }
        format!("${{{name}}}")
    }

    pub(super) fn named(&self) -> &BTreeMap<String, String> {
        &self.named
    }

    fn free(&self, hint: &str) -> String {
        let upper = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        let base: String = hint.chars().map(upper).collect();
        let base = if base.starts_with(|c: char| c.is_ascii_digit()) { format!("_{base}") } else { base };
        let is_free = |name: &String| !self.theirs.contains(name) && !self.named.contains_key(name);
        let numbered = (2..).map(|number| format!("{base}_{number}"));
        std::iter::once(base.clone()).chain(numbered).find(is_free).unwrap_or(base)
    }
}

/// What may not stand in a name, replaced; the rest of it if nothing is left.
pub(super) fn named(text: &str, otherwise: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || "._:/@+-".contains(c) { c } else { '-' };
    let name: String = text.chars().map(allowed).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { otherwise.to_owned() } else { name.to_owned() }
}

/// `base`, or with a number behind it if that is taken.
pub(super) fn unique<'n>(base: &str, taken: impl Iterator<Item = &'n str> + Clone) -> String {
    let is_free = |name: &String| !taken.clone().any(|other| other == name);
    let numbered = (2..).map(|number| format!("{base}-{number}"));
    std::iter::once(base.to_owned()).chain(numbered).find(is_free).unwrap_or_else(|| base.to_owned())
}
