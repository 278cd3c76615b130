//! From a file as written to a [`Preset`]: every rule that serde cannot show. Checks go on after a problem, so that
//! one run finds them all.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::DeTable;
use toml::value::Datetime;

use super::super::mask;
use super::super::report::{Problem, Report};
use super::super::suggest;
use super::file::{self, File};
use super::fill::is_value_name;
use super::{BaseUrlWhen, Call, Dialect, Preset, Quirk, Template, ValueSpec, parts, tier};

/// Placeholders that a call fills, not an account.
const OF_CALLS: &[&str] = &["model", "id"];

/// What was found wrong so far.
#[derive(Default)]
pub(super) struct Found(Vec<Problem>);

impl Found {
    pub(super) fn at(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.0.push(Problem { span: Some(span), message: message.into() });
    }

    /// The value, or `None` and a problem.
    pub(super) fn take<T, M: Into<String>>(&mut self, span: Range<usize>, read: Result<T, M>) -> Option<T> {
        read.map_err(|message| self.at(span, message)).ok()
    }
}

/// Reads and checks one file; `expected` is the name that it must give its preset.
pub(super) fn read(path: &Path, text: &str, expected: &str) -> Result<Preset, Report> {
    let (tree, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let problem = |err: &toml::de::Error| Problem { span: err.span(), message: err.message().to_owned() };
        let masked = mask::hide_unparsed(text, file::SHOWN);
        return Err(Report::new(path, masked, errors.iter().map(problem).collect()));
    }
    // A preset holds no secrets, but somebody may put one into `headers`, or an `api_key` that does not belong here.
    let mut hidden = Vec::new();
    mask::secrets_of(tree.get_ref(), &mut hidden);
    let written: File = match toml::from_str(text) {
        Ok(written) => written,
        Err(err) => {
            if let Some(span) = err.span() {
                misplaced(tree.get_ref(), &span, &mut hidden);
            }
            return Err(Report::new(path, mask::hide(text, &hidden), vec![unquoted(&err)]));
        }
    };
    let mut found = Found::default();
    let preset = preset(&written, expected, &mut found);
    if found.0.is_empty() { Ok(preset) } else { Err(Report::new(path, mask::hide(text, &hidden), found.0)) }
}

/// Hides the strings at the place of serde's complaint, and those under the key if it is about a key.
fn misplaced(table: &DeTable<'_>, at: &Range<usize>, hidden: &mut Vec<Range<usize>>) {
    for (key, node) in table.iter() {
        if key.span() == *at || node.span() == *at {
            mask::strings_of(node, hidden);
        }
        let inner = node.get_ref().as_array().into_iter().flat_map(|list| list.iter()).chain([node]);
        for table in inner.filter_map(|node| node.get_ref().as_table()) {
            misplaced(table, at, hidden);
        }
    }
}

/// serde's first complaint, without the value that it quotes.
fn unquoted(err: &toml::de::Error) -> Problem {
    let message = match err.message().split_once(", expected ") {
        Some((start, expected)) if start.starts_with("invalid ") => {
            format!("{}: expected {expected}", start.split(':').next().unwrap_or_default())
        }
        _ => err.message().to_owned(),
    };
    Problem { span: err.span(), message }
}

/// Checks every part; what is returned is only meaningful if no problem was added.
fn preset(written: &File, expected: &str, found: &mut Found) -> Preset {
    name(&written.name, expected, found);
    let as_of = as_of(&written.as_of, found);
    let sources = sources(&written.sources, found);
    let base_url = written.base_url.as_ref().and_then(|url| parts::base_url(url, found));
    let base_url_when = base_url_when(written, found);
    let paths = paths(&written.paths, found);
    let dialects = dialects(written, &paths, found);
    let mut addresses: Vec<&Template> = base_url.iter().chain(paths.values()).collect();
    addresses.extend(base_url_when.iter().map(|when| &when.base_url));
    let values = values(written, &addresses, found);
    let counting = parts::counting(&written.counting, found);
    Preset {
        name: written.name.get_ref().clone(),
        as_of,
        sources,
        base_url,
        base_url_when,
        dialects,
        auth: parts::auth(&written.auth, found),
        headers: parts::headers(&written.headers, found),
        values,
        paths,
        quirks: quirks(&written.quirks, found),
        counting,
        pools_per: written.pools_per.clone(),
        limit_headers: written.limit_headers.iter().map(|limit| parts::limit_headers(limit, found)).collect(),
        retry_after: written.retry_after.iter().filter_map(|name| parts::header(name, found)).collect(),
        request_id: written.request_id.as_ref().and_then(|name| parts::header(name, found)),
        tiers: tier::tiers(&written.tiers, counting.charge, found),
    }
}

fn name(name: &Spanned<String>, expected: &str, found: &mut Found) {
    let text = name.get_ref();
    if !is_word(text) {
        found.at(name.span(), "a name is small letters, digits and `-`, at least one");
    } else if text != expected {
        found.at(name.span(), format!("the file of this preset must be called `{text}.toml`"));
    }
}

/// Small letters, digits and `-`.
pub(super) fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn as_of(written: &Spanned<Datetime>, found: &mut Found) -> String {
    let Datetime { date, time, offset } = written.get_ref();
    let sensible = date.is_some_and(|date| (2020..2100).contains(&date.year));
    if !sensible || time.is_some() || offset.is_some() {
        found.at(written.span(), "expected a date such as 2026-11-29, without a time");
    }
    written.get_ref().to_string()
}

fn sources(written: &Spanned<Vec<Spanned<String>>>, found: &mut Found) -> Vec<String> {
    if written.get_ref().is_empty() {
        found.at(written.span(), "a preset without sources: say where its facts stand");
    }
    for url in written.get_ref() {
        let _ = found.take(url.span(), parts::web_address(url.get_ref()));
    }
    written.get_ref().iter().map(|url| url.get_ref().clone()).collect()
}

fn base_url_when(written: &File, found: &mut Found) -> Vec<BaseUrlWhen> {
    let mut all = Vec::new();
    for when in &written.base_url_when {
        let name = when.value.get_ref();
        if !written.values.keys().any(|key| key.get_ref() == name) {
            found.at(when.value.span(), format!("`values` has no `{name}`"));
        }
        let Some(base_url) = parts::base_url(&when.base_url, found) else { continue };
        all.push(BaseUrlWhen { value: name.clone(), is: when.is.clone(), base_url });
    }
    all
}

fn paths(written: &BTreeMap<Call, Spanned<String>>, found: &mut Found) -> BTreeMap<Call, Template> {
    let mut all = BTreeMap::new();
    for (call, path) in written {
        if let Some(template) = found.take(path.span(), parts::path(path.get_ref())) {
            all.insert(*call, template);
        }
    }
    all
}

/// Dialects and paths must fit: a dialect without a call, or a call of another dialect, is a slip.
fn dialects(written: &File, paths: &BTreeMap<Call, Template>, found: &mut Found) -> BTreeSet<Dialect> {
    let mut all = BTreeSet::new();
    for dialect in &written.dialects {
        if !all.insert(*dialect.get_ref()) {
            found.at(dialect.span(), "this dialect is named twice");
        }
        if !paths.keys().any(|call| call.dialect() == Some(*dialect.get_ref())) {
            found.at(dialect.span(), "`paths` has no call of this dialect");
        }
    }
    for (call, path) in &written.paths {
        if call.dialect().is_some_and(|dialect| !all.contains(&dialect)) {
            found.at(path.span(), "the dialect of this call is not among `dialects`");
        }
    }
    all
}

/// Every placeholder must be declared, and every declared one be used.
fn values(written: &File, addresses: &[&Template], found: &mut Found) -> BTreeMap<String, ValueSpec> {
    let used: BTreeSet<&str> = addresses.iter().flat_map(|address| address.names()).collect();
    for (key, value) in &written.values {
        let name = key.get_ref().as_str();
        if !is_value_name(name) || OF_CALLS.contains(&name) {
            found.at(
                key.span(),
                "a value is named with small letters, digits and `_`, and not `model` or `id`",
            );
        } else if !used.contains(name) {
            found.at(key.span(), format!("no address has `{{{name}}}`"));
        }
        if let Some(default) = value.default.as_ref().filter(|default| default.get_ref().is_empty()) {
            found.at(default.span(), "an empty default: leave it out if accounts must say");
        }
    }
    let known: Vec<&str> =
        written.values.keys().map(|key| key.get_ref().as_str()).chain(OF_CALLS.iter().copied()).collect();
    for text in addresses_of(written) {
        let names = Template::parse(text.get_ref());
        let Ok(names) = names.as_ref().map(Template::names) else { continue };
        for name in names.filter(|name| !known.contains(name)) {
            let hint = suggest::did_you_mean(name, &known);
            found.at(text.span(), format!("`{{{name}}}` is not among `values`{hint}"));
        }
    }
    let spec = |value: &file::Value| ValueSpec {
        about: value.about.clone(),
        default: value.default.as_ref().map(|default| default.get_ref().clone()),
    };
    written.values.iter().map(|(key, value)| (key.get_ref().clone(), spec(value))).collect()
}

fn addresses_of(written: &File) -> impl Iterator<Item = &Spanned<String>> {
    let others = written.base_url_when.iter().map(|when| &when.base_url);
    written.base_url.iter().chain(others).chain(written.paths.values())
}

fn quirks(written: &[Spanned<Quirk>], found: &mut Found) -> BTreeSet<Quirk> {
    let mut all = BTreeSet::new();
    for quirk in written {
        if !all.insert(*quirk.get_ref()) {
            found.at(quirk.span(), "this quirk is named twice");
        }
    }
    let refuses = written.iter().find(|quirk| *quirk.get_ref() == Quirk::NoStreamOptions);
    if let Some(quirk) = refuses.filter(|_| !all.contains(&Quirk::UsageUnasked)) {
        found.at(
            quirk.span(),
            "without `usage-unasked` no stream tells what it used, and none could be settled",
        );
    }
    all
}
