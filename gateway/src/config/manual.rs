//! What `config/production.toml` says of each key, for the schema: the file is the only description of the settings.
//!
//! A key is described by the comment above it, by the one behind it (which may go on, far to the right, in the lines below), and
//! its words or inner keys by *entries*: lines below it, or at the end of the comment above it, that begin with three blanks, the
//! names and two blanks. An entry may have entries of its own, further to the right. That every key
//! has something said of it is tested (`schema_tests.rs`).

use std::collections::BTreeMap;

const PRODUCTION: &str = include_str!("../../../config/production.toml");
/// A comment this far to the right goes on with what was said before.
const FAR: usize = 20;

/// What is said of a key, or of a section.
#[derive(Default)]
struct Said {
    text: String,
    entries: Vec<Entry>,
}

impl Said {
    /// What stands above a key may be about it and those that stand beside it, each with an entry.
    fn has_entry(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.is_of(key))
    }
}

/// What is said of one or more words.
#[derive(Clone)]
struct Entry {
    /// Blanks before it.
    depth: usize,
    names: Vec<String>,
    text: String,
}

impl Entry {
    fn is_of(&self, name: &str) -> bool {
        self.names.iter().any(|own| own == name)
    }
}

/// Descriptions by the way to what they are about: `defaults.timeouts`.
pub(crate) struct Manual {
    said: BTreeMap<String, Said>,
    /// The file itself, for what it shows of each key.
    shown: toml::Table,
}

impl Manual {
    /// That of this version.
    pub(crate) fn of_production() -> Manual {
        Manual::read(PRODUCTION)
    }

    fn read(text: &str) -> Manual {
        let mut reader = Reader::default();
        text.lines().for_each(|line| reader.line(line));
        Manual { said: reader.said, shown: toml::from_str(text).unwrap_or_default() }
    }

    /// What is said of the key at the end of `way`; `None`: nothing. Its entries are not in it.
    pub(crate) fn description(&self, way: &str) -> Option<String> {
        let (table, key) = split(way);
        let own = self.said.get(way).filter(|said| !said.text.is_empty() && !said.has_entry(key));
        if let Some(said) = own {
            return Some(said.text.clone());
        }
        self.entries(table).into_iter().find(|entry| entry.is_of(key)).map(|entry| entry.text)
    }

    /// The entries of the key at the end of `way`, for words: "name: what it means".
    pub(crate) fn words(&self, way: &str) -> Vec<String> {
        let own = self.said.get(way).filter(|said| !said.has_entry(split(way).1));
        let entries = own.map_or(&[][..], |said| &said.entries);
        entries.iter().map(|entry| format!("{}: {}", entry.names.join(", "), entry.text)).collect()
    }

    /// A value that the file shows for the key at the end of `way`.
    pub(crate) fn example(&self, way: &str) -> Option<&toml::Value> {
        let mut found: Vec<&toml::Value> = Vec::new();
        for (depth, step) in way.split('.').enumerate() {
            found = match depth {
                0 => self.shown.get(step).into_iter().collect(),
                _ => found.into_iter().flat_map(each).filter_map(|value| value.get(step)).collect(),
            };
        }
        found.into_iter().next()
    }

    /// What is said of the keys of the table at the end of `way`: at the table, at its keys, or below its name in the table
    /// that it stands in.
    fn entries(&self, way: &str) -> Vec<Entry> {
        let begin = format!("{way}.");
        let inside = self
            .said
            .iter()
            .filter(|(key, _)| key.strip_prefix(&begin).is_some_and(|rest| !rest.contains('.')));
        let own = self.said.get(way).into_iter().chain(inside.map(|(_, said)| said));
        let own: Vec<Entry> = own.flat_map(|said| said.entries.iter().cloned()).collect();
        let (table, key) = split(way);
        if way.is_empty() || table.is_empty() {
            return own;
        }
        own.into_iter().chain(below(&self.entries(table), key)).collect()
    }
}

/// The entries below the one that names `key`.
fn below(entries: &[Entry], key: &str) -> Vec<Entry> {
    let Some(at) = entries.iter().position(|entry| entry.is_of(key)) else { return Vec::new() };
    let depth = entries[at].depth;
    entries[at + 1..].iter().take_while(|entry| entry.depth > depth).cloned().collect()
}

fn split(way: &str) -> (&str, &str) {
    way.rsplit_once('.').unwrap_or(("", way))
}

/// The elements of a list, or the value itself.
fn each(value: &toml::Value) -> Vec<&toml::Value> {
    value.as_array().map_or(vec![value], |items| items.iter().collect())
}

/// Goes through the file line by line.
#[derive(Default)]
struct Reader {
    said: BTreeMap<String, Said>,
    section: String,
    /// What was said since the last key: about the next one.
    pending: Said,
    /// The key that entries are about while nothing else was said.
    last: Option<String>,
}

impl Reader {
    fn line(&mut self, line: &str) {
        if line.trim().is_empty() {
            (self.pending, self.last) = (Said::default(), None);
        } else if let Some(section) = line.strip_prefix('[') {
            self.section = section.trim_start_matches('[').split(']').next().unwrap_or_default().to_owned();
            let way = self.section.clone();
            self.keep(way, "");
            self.last = None;
        } else if let Some((key, behind)) = key_line(line) {
            let way =
                if self.section.is_empty() { key.to_owned() } else { format!("{}.{key}", self.section) };
            self.keep(way, behind);
        } else if let Some(comment) = line.trim_start().strip_prefix('#') {
            let blanks = comment.len() - comment.trim_start().len();
            let before = line.len() - line.trim_start().len();
            self.comment(before + blanks, comment.trim());
        }
    }

    /// What was said before a key, and behind it. The first word about a key counts.
    fn keep(&mut self, way: String, behind: &str) {
        let mut said = std::mem::take(&mut self.pending);
        append(&mut said.text, behind);
        let kept = self.said.entry(way.clone()).or_default();
        if kept.text.is_empty() && kept.entries.is_empty() {
            *kept = said;
        }
        self.last = Some(way);
    }

    fn comment(&mut self, blanks: usize, text: &str) {
        if blanks < 3 {
            self.last = None;
            append(&mut self.pending.text, text);
            return;
        }
        let said = match &self.last {
            Some(way) => self.said.entry(way.clone()).or_default(),
            None => &mut self.pending,
        };
        match (entry(text), said.entries.last_mut()) {
            (Some((names, text)), _) if blanks < FAR => {
                said.entries.push(Entry { depth: blanks, names, text })
            }
            (_, Some(entry)) => append(&mut entry.text, text),
            (_, None) => append(&mut said.text, text),
        }
    }
}

fn append(text: &mut String, more: &str) {
    if !text.is_empty() && !more.is_empty() {
        text.push(' ');
    }
    text.push_str(more);
}

/// `key = value   # comment`, perhaps behind a `#` of its own: the key, and the comment.
fn key_line(line: &str) -> Option<(&str, &str)> {
    let line = line.strip_prefix("# ").unwrap_or(line);
    let (key, value) = line.split_once(" = ")?;
    let is_key = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_key.then(|| (key, comment_of(value)))
}

/// The comment behind a value.
fn comment_of(value: &str) -> &str {
    let mut quote = None;
    for (at, c) in value.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '#' => return value[at + 1..].trim(),
            None if c == '"' || c == '\'' => quote = Some(c),
            None => {}
        }
    }
    ""
}

/// `name, name   what it means`: the names, and that.
fn entry(text: &str) -> Option<(Vec<String>, String)> {
    let (names, text) = text.split_once("  ")?;
    let is_name =
        |name: &str| name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c));
    let names: Vec<String> =
        names.split([' ', ',']).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let all = !names.is_empty() && names.iter().all(|name| is_name(name));
    all.then(|| (names, text.trim().to_owned()))
}
