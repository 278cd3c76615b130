//! The price table: what models of providers cost, as dated data.
//!
//! One is built in (`config/prices.toml`); a file of the same form that the configuration names takes its place. Which entry
//! is a deployment's is settled when the configuration is read, which of its prices holds at each call.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::report::{Problem, Report};
use super::sources::Sources;
use super::tree::{At, Read, Reading};
use super::{Listed, Pattern, Price, Pricing, check, mask, raw};

/// The table that is built in.
const BUILT_IN: &str = include_str!("../../../config/prices.toml");
/// Where it stands.
const BUILT_IN_PATH: &str = "config/prices.toml";
/// No table is longer, bytes.
pub const LONGEST: u64 = 8 << 20;
/// No table has more prices, each provider's of each model counted.
const MOST: usize = 100_000;

/// A table of prices. Without entries: one that could not be read.
#[derive(Debug, Default)]
pub struct Prices {
    /// Its file; none: built in.
    pub file: Option<PathBuf>,
    entries: Vec<Entry>,
}

/// `[[prices]]`.
#[derive(Debug)]
struct Entry {
    providers: Vec<String>,
    models: Vec<Pattern>,
    listed: Arc<Listed>,
}

/// One price of one provider's models.
#[derive(Clone, Copy, Debug)]
pub struct Row<'p> {
    /// The preset's name.
    pub provider: &'p str,
    /// The provider's name for the model, or how it begins.
    pub model: &'p Pattern,
    /// The price.
    pub listed: &'p Listed,
}

impl Prices {
    /// The table that is built in, read once.
    pub fn built_in() -> Result<Arc<Prices>, Report> {
        static READ: LazyLock<Result<Arc<Prices>, Report>> =
            LazyLock::new(|| Prices::read(Path::new(BUILT_IN_PATH), BUILT_IN).map(Arc::new));
        READ.clone()
    }

    /// The table of a file, which is added to `sources`.
    pub fn load(file: &Path, sources: &mut Sources) -> Result<Arc<Prices>, Report> {
        let whole = |message: String| Report::whole_file(file, message);
        let text = sources.read_text(file).map_err(|err| whole(format!("cannot be read: {err}")))?;
        if text.len() as u64 > LONGEST {
            return Err(whole(format!("longer than {} MiB", LONGEST >> 20)));
        }
        let prices = Prices::read(file, &text)?;
        Ok(Arc::new(Prices { file: Some(file.to_owned()), ..prices }))
    }

    /// Reads and checks a table; `file` only names it in the report.
    pub fn read(file: &Path, text: &str) -> Result<Prices, Report> {
        let (tree, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            let problem =
                |err: &toml::de::Error| Problem { span: err.span(), message: err.message().to_owned() };
            let masked = mask::hide_unparsed(text, raw::KEYS);
            return Err(Report::new(file, masked, errors.iter().map(problem).collect()));
        }
        // There is no secret in it, unless another file was named by mistake.
        let mut cx = Reading::literal(text);
        mask::secrets_of(tree.get_ref(), &mut cx.hidden);
        let root = Spanned::new(tree.span(), DeValue::Table(tree.into_inner()));
        let entries = raw::PriceTable::read(&root, &mut cx).map(|written| entries(&written, &mut cx));
        match entries {
            Some(entries) if cx.problems.is_empty() => Ok(Prices { file: None, entries }),
            _ => Err(Report::new(file, mask::hide(text, &cx.hidden), cx.problems)),
        }
    }

    /// What a provider's model costs. The entry whose pattern says most of the model's name counts; of those that say as much
    /// the one that began last, and before it those that hold at some hours only.
    pub fn of(&self, provider: &str, model: &str) -> Pricing {
        let fits = |entry: &&Entry| entry.providers.iter().any(|name| name == provider);
        let says = |entry: &Entry| {
            let patterns = entry.models.iter().filter(|pattern| pattern.matches(model));
            patterns.map(|pattern| (!pattern.prefix, pattern.text.len())).max()
        };
        let found: Vec<_> = self.entries.iter().filter(fits).filter_map(|e| Some((says(e)?, e))).collect();
        let most = found.iter().map(|(says, _)| *says).max();
        let mut listed: Vec<Arc<Listed>> =
            found.iter().filter(|(says, _)| Some(*says) == most).map(|(_, e)| e.listed.clone()).collect();
        listed.sort_by_key(|listed| (listed.hours.is_empty(), std::cmp::Reverse(listed.from)));
        Pricing::Listed(listed)
    }

    /// Every price, for each provider and pattern that has it, in the order of the table.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.entries.iter().flat_map(|entry| {
            let of = |provider| {
                let listed = &*entry.listed;
                entry.models.iter().map(move |model| Row { provider, model, listed })
            };
            entry.providers.iter().map(String::as_str).flat_map(of)
        })
    }

    /// Could it be read?
    pub fn is_read(&self) -> bool {
        !self.entries.is_empty()
    }
}

fn entries(written: &raw::PriceTable, cx: &mut Reading<'_>) -> Vec<Entry> {
    if let Some(version) = written.version.get().filter(|version| version.value.0 != 1) {
        cx.problem(&version.span, "this is not version 1, the only one so far");
    }
    if let Some(list) = written.prices.get().filter(|list| list.value.written == 0) {
        cx.problem(&list.span, "a table without prices");
    }
    let entries: Vec<Entry> = written.prices.items().iter().map(|at| entry(at, cx)).collect();
    let rows = |entry: &Entry| entry.providers.len().saturating_mul(entry.models.len());
    if entries.iter().map(rows).fold(0, usize::saturating_add) > MOST {
        let span = written.prices.get().map_or(0..0, |list| list.span.clone());
        cx.problem(&span, format!("more than {MOST} prices, each provider's of each model counted"));
        return entries;
    }
    let mut seen = HashMap::new();
    for (at, entry) in written.prices.items().iter().zip(&entries) {
        let Listed { from, hours, .. } = &*entry.listed;
        for (provider, model) in entry.providers.iter().flat_map(|p| entry.models.iter().map(move |m| (p, m)))
        {
            let key = (provider, &model.text, model.prefix, from, format!("{hours:?}"));
            if let Some(line) = seen.insert(key, entry.listed.line) {
                let name = if model.prefix { format!("{}*", model.text) } else { model.text.clone() };
                let message =
                    format!("{name:?} of {provider:?} has a price from that time on already, at line {line}");
                cx.problem(&at.span, message);
            }
        }
    }
    entries
}

fn entry(at: &At<raw::ListedPrice>, cx: &mut Reading<'_>) -> Entry {
    let raw::ListedPrice { providers, models, from, until, hours, price, source, checked, verified } =
        &at.value;
    for list in [providers, models].into_iter().filter_map(|list| list.get()) {
        if list.value.written == 0 {
            cx.problem(&list.span, "an empty list");
        }
    }
    for empty in providers.items().iter().chain(models.items()).filter(|at| at.value.trim().is_empty()) {
        cx.problem(&empty.span, "an empty name");
    }
    let begins = from.value().map_or(0, |from| from.0);
    let ends = until.value().map(|until| until.0);
    if let Some(until) = until.get().filter(|until| until.value.0 <= begins) {
        cx.problem(&until.span, "`until` is not after `from`");
    }
    let price = price.get().map(|at| check::price::price(at, cx));
    // Providers have prices of their own for other ways to be served; what the table does not say of them nobody knows.
    let price = price.map(|price| Price { service: Some(price.service.unwrap_or_default()), ..price });
    let listed = Listed {
        price: price.unwrap_or(Price::flat(super::Rates::default())),
        from: begins,
        until: ends,
        hours: hours.words().iter().filter_map(|at| check::hours(at, cx)).collect(),
        source: source.value().cloned().unwrap_or_default(),
        checked: checked.value().map_or(0, |day| day.0),
        verified: verified.or(true),
        line: cx.line(&at.span),
    };
    Entry {
        providers: providers.items().iter().map(|at| at.value.clone()).collect(),
        models: models.items().iter().map(|at| Pattern::new(&at.value)).collect(),
        listed: Arc::new(listed),
    }
}

#[cfg(test)]
#[path = "prices_tests.rs"]
mod tests;
