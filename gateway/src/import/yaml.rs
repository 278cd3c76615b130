//! YAML as a tree of [`Node`]s that know their lines, as PyYAML reads it: aliases are what they stand for, `<<` merges, and of a
//! key that is given twice the last one counts. Scalars stay text; whoever asks says what they are to be.

use std::collections::HashMap;
use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError};

use super::Unreadable;
use super::node::{Node, Value};

/// So deep may a file be nested.
const DEEPEST: usize = 64;
/// So many values may come of it, aliases and what is merged counted each time.
const MOST: usize = 200_000;
/// So many bytes may it have.
const LONGEST: usize = 8 << 20;

/// Reads the one document of `text`; `None` if it is empty.
pub(super) fn read(text: &str) -> Result<Option<Node>, Unreadable> {
    // What is missing at the end is missing behind the last line.
    let within = |err: Unreadable| Unreadable {
        line: err.line.map(|line| line.min(text.lines().count().max(1))),
        ..err
    };
    document(text).map_err(within)
}

fn document(text: &str) -> Result<Option<Node>, Unreadable> {
    if text.len() > LONGEST {
        return Err(Unreadable { line: None, message: format!("longer than {} MiB", LONGEST >> 20) });
    }
    let mut reader = Reader { parser: Parser::new_from_str(text), anchors: HashMap::new() };
    let mut root = None;
    while let Some(event) = reader.next()? {
        match event {
            (Event::StreamEnd, _) => break,
            (Event::DocumentStart(_), line) if root.is_some() => {
                return Err(at(line, "a second document: only one is read"));
            }
            (Event::Nothing | Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd, _) => {}
            (event, line) => root = Some(reader.value(event, line, 0)?),
        }
    }
    let mut left = MOST;
    root.map(|root| plant(&root, String::new(), root.line, 0, &mut left)).transpose()
}

fn at(line: usize, message: &str) -> Unreadable {
    Unreadable { line: Some(line), message: message.to_owned() }
}

/// A value before it has a place in the tree: aliases share it.
struct Raw {
    line: usize,
    /// So many levels are below it, aliases included: what is deep is dropped deep, so it must not become that.
    height: usize,
    kind: Kind,
}

impl Raw {
    fn new(line: usize, kind: Kind) -> Result<Rc<Raw>, Unreadable> {
        let tallest = match &kind {
            Kind::Scalar { .. } => None,
            Kind::List(items) => items.iter().map(|item| item.height + 1).max(),
            Kind::Map(entries) => entries.iter().map(|(_, _, value)| value.height + 1).max(),
        };
        match tallest.unwrap_or(0) {
            height if height > DEEPEST => Err(at(line, "nested too deeply")),
            height => Ok(Rc::new(Raw { line, height, kind })),
        }
    }
}

enum Kind {
    Scalar {
        text: String,
        is_plain: bool,
    },
    List(Vec<Rc<Raw>>),
    /// Keys with their lines.
    Map(Vec<(String, usize, Rc<Raw>)>),
}

struct Reader<'t> {
    parser: Parser<'t, saphyr_parser::StrInput<'t>>,
    anchors: HashMap<usize, Rc<Raw>>,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<Option<(Event<'t>, usize)>, Unreadable> {
        match self.parser.next_event() {
            None => Ok(None),
            Some(Ok((event, span))) => Ok(Some((event, span.start.line()))),
            Some(Err(err)) => Err(no_yaml(&err)),
        }
    }

    fn value(&mut self, event: Event<'t>, line: usize, depth: usize) -> Result<Rc<Raw>, Unreadable> {
        if depth > DEEPEST {
            return Err(at(line, "nested too deeply"));
        }
        let (kind, anchor) = match event {
            Event::Alias(id) => {
                let found = self.anchors.get(&id).cloned();
                return found.ok_or_else(|| at(line, "an alias inside of what it stands for"));
            }
            Event::Scalar(text, style, anchor, _) => {
                (Kind::Scalar { text: text.into_owned(), is_plain: style == ScalarStyle::Plain }, anchor)
            }
            Event::SequenceStart(anchor, _) => (Kind::List(self.list(depth)?), anchor),
            Event::MappingStart(anchor, _) => (Kind::Map(self.map(depth)?), anchor),
            _ => return Err(at(line, "this is no YAML")),
        };
        let raw = Raw::new(line, kind)?;
        if anchor > 0 {
            self.anchors.insert(anchor, raw.clone());
        }
        Ok(raw)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Rc<Raw>>, Unreadable> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                Some((Event::SequenceEnd, _)) | None => return Ok(items),
                Some((event, line)) => items.push(self.value(event, line, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Vec<(String, usize, Rc<Raw>)>, Unreadable> {
        let mut entries: Vec<(String, usize, Rc<Raw>)> = Vec::new();
        loop {
            let (event, line) = match self.next()? {
                Some((Event::MappingEnd, _)) | None => return Ok(entries),
                Some(key) => key,
            };
            let key = self.value(event, line, depth + 1)?;
            let Kind::Scalar { text, .. } = &key.kind else { return Err(at(line, "a key that is no word")) };
            let value = match self.next()? {
                Some((event, line)) => self.value(event, line, depth + 1)?,
                None => return Err(at(line, "a key without a value")),
            };
            entries.push((text.clone(), line, value));
        }
    }
}

fn no_yaml(err: &ScanError) -> Unreadable {
    at(err.marker().line(), &format!("no YAML: {}", err.info()))
}

/// Gives a value its place in the tree.
fn plant(raw: &Raw, path: String, line: usize, depth: usize, left: &mut usize) -> Result<Node, Unreadable> {
    if depth > DEEPEST {
        return Err(at(line, "nested too deeply"));
    }
    count(left, line)?;
    let value = match &raw.kind {
        Kind::Scalar { text, is_plain: true } if is_null(text) => Value::Null,
        Kind::Scalar { text, .. } => Value::Scalar(text.clone()),
        Kind::List(items) => {
            let plant = |(index, item): (usize, &Rc<Raw>)| {
                plant(item, format!("{path}[{index}]"), item.line, depth + 1, left)
            };
            Value::List(items.iter().enumerate().map(plant).collect::<Result<_, _>>()?)
        }
        Kind::Map(entries) => {
            let mut merged = Merged::default();
            merged.merge(entries, 0, left)?;
            let mut nodes = Vec::new();
            for (key, line, value) in merged.entries.into_iter().flatten() {
                let shown = if is_word(key) { key } else { "?" };
                let path = if path.is_empty() { shown.to_owned() } else { format!("{path}.{shown}") };
                nodes.push((key.to_owned(), plant(value, path, line, depth + 1, left)?));
            }
            Value::Map(nodes)
        }
    };
    Ok(Node::new(path, line, value))
}

/// One value more has come of the file.
fn count(left: &mut usize, line: usize) -> Result<(), Unreadable> {
    *left = left.checked_sub(1).ok_or_else(|| at(line, "too many values"))?;
    Ok(())
}

/// The entries of a table: those it has itself, the last of a name, then those of what it merges that it does not have.
#[derive(Default)]
struct Merged<'r> {
    /// None where another one of the name came later.
    entries: Vec<Option<(&'r str, usize, &'r Raw)>>,
    places: HashMap<&'r str, usize>,
}

impl<'r> Merged<'r> {
    fn merge(
        &mut self,
        entries: &'r [(String, usize, Rc<Raw>)],
        depth: usize,
        left: &mut usize,
    ) -> Result<(), Unreadable> {
        let before = self.entries.len();
        for (key, line, value) in entries.iter().filter(|(key, ..)| key != "<<") {
            count(left, *line)?;
            match self.places.get(key.as_str()) {
                Some(place) if *place < before => continue, // somebody nearer has it
                Some(place) => self.entries[*place] = None,
                None => {}
            }
            self.places.insert(key, self.entries.len());
            self.entries.push(Some((key, *line, value)));
        }
        for (_, line, value) in entries.iter().filter(|(key, ..)| key == "<<") {
            if depth > DEEPEST {
                return Err(at(*line, "nested too deeply"));
            }
            let tables: Vec<&Raw> = match &value.kind {
                Kind::List(tables) => tables.iter().map(|table| &**table).collect(),
                Kind::Map(_) | Kind::Scalar { .. } => vec![value],
            };
            for table in tables {
                count(left, *line)?;
                let Kind::Map(entries) = &table.kind else {
                    return Err(at(*line, "`<<` merges tables only"));
                };
                self.merge(entries, depth + 1, left)?;
            }
        }
        Ok(())
    }
}

/// Paths are shown, and what is no name may be a value in the wrong place.
fn is_word(key: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.*/:@".contains(c);
    key.len() <= 60 && key.chars().all(allowed)
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}
