//! `[[rules]]`: whose names are found, whose patterns are compiled, and which can ever be met.

use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use super::super::rule::{Complexity, Prompt, Rule, When};
use super::super::tree::{At, Field, List, Reading};
use super::super::units::Count;
use super::super::{Hours, Model, ModelId, Pattern, raw};
use super::abilities;
use super::deployments::Deployments;
use super::models::Models;
use super::names::{Names, is_name};

/// Most memory of a compiled pattern, bytes: its automaton, and what its search keeps.
const MOST_PATTERN: usize = 1 << 20;

/// Resolves all rules.
pub(super) fn rules(
    field: &Field<List<raw::Rule>>,
    models: &Models<'_>,
    tenants: &Names<'_>,
    deployments: &Deployments<'_>,
    cx: &mut Reading<'_>,
) -> Vec<Rule> {
    Names::collect("rule", field, |rule| &rule.name, cx);
    let mut rules = Vec::new();
    for (at, written) in field.items().iter().enumerate() {
        let rule = &written.value;
        let model = rule.r#use.get().and_then(|name| models.names.find(name, cx));
        if let (Some(tier), Some(model)) = (rule.tier.get(), model) {
            has_tier(tier, &models.list[model], cx);
        }
        let require = abilities::demanded(rule.require.items(), deployments, cx);
        rules.push(Rule {
            name: rule
                .name
                .value()
                .map_or_else(|| format!("rule {}", at + 1).into(), |name| name.as_str().into()),
            when: rule.when.value().map(|when| self::when(when, tenants, cx)).unwrap_or_default(),
            model: ModelId(model.unwrap_or(0)),
            tier: rule.tier.value().copied(),
            require,
        });
    }
    never_met(field, cx);
    rules
}

/// The names that rules are for, as written.
pub(super) fn called(field: &Field<List<raw::Rule>>) -> Vec<Pattern> {
    let whens = field.items().iter().filter_map(|rule| rule.value.when.value());
    let written = whens.flat_map(|when| when.model.words());
    written.map(|at| Pattern::new(&at.value)).filter(|pattern| !pattern.text.is_empty()).collect()
}

/// Those of them that no model has, each once.
pub(super) fn names(called: &[Pattern], models: &Models<'_>) -> Vec<String> {
    let is_new = |name: &str| {
        let wildcard = |model: &Model| model.wildcard && name.starts_with(&model.name);
        !models.names.contains(name) && !models.list.iter().any(wildcard)
    };
    let mut names: Vec<String> = Vec::new();
    for pattern in called.iter().filter(|pattern| !pattern.prefix && is_new(&pattern.text)) {
        if !names.contains(&pattern.text) {
            names.push(pattern.text.clone());
        }
    }
    names
}

fn has_tier(tier: &At<u32>, model: &Model, cx: &mut Reading<'_>) {
    // (A model whose deployments could not be read has none.)
    if !model.targets.is_empty() && !model.targets.iter().any(|target| target.tier == tier.value) {
        cx.problem(&tier.span, "no deployment of the model has this priority");
    }
}

fn when(written: &raw::When, tenants: &Names<'_>, cx: &mut Reading<'_>) -> When {
    let (min, max) = (&written.min_tokens, &written.max_tokens);
    if let (Some(Count(min)), Some(max)) = (min.value(), max.get())
        && max.value.0 < *min
    {
        cx.problem(&max.span, "less than `min_tokens`: no call is so");
    }
    let count = |field: &Field<Count>| field.value().map(|Count(tokens)| *tokens);
    let found = |at: &&At<String>, cx: &mut Reading<'_>| tenants.find(at, cx).is_some();
    let of_tenants = written.tenant.words().iter().filter(|at| found(at, cx));
    let tenants: Vec<Arc<str>> = of_tenants.map(|at| at.value.as_str().into()).collect();
    empty("model", &written.model, cx);
    empty("tenant", &written.tenant, cx);
    empty("hours", &written.hours, cx);
    When {
        models: written.model.words().iter().filter_map(|at| pattern(at, cx)).collect(),
        min_tokens: count(min),
        max_tokens: count(max),
        tools: written.tools.value().copied(),
        images: written.images.value().copied(),
        schema: written.schema.value().copied(),
        tags: abilities::tags(written.tags.words(), cx).iter().map(|tag| tag.to_string()).collect(),
        tenants,
        prompt: written.prompt.value().and_then(|prompt| self::prompt(prompt, cx)),
        complexity: written.complexity.value().map(|written| complexity(written, cx)),
        metadata: metadata(&written.metadata, cx),
        hours: written.hours.words().iter().filter_map(|at| hours(at, cx)).collect(),
    }
}

/// A list of nothing would hold for every call, or for none: who reads it cannot know.
fn empty(key: &str, field: &Field<raw::Words>, cx: &mut Reading<'_>) {
    if let Some(at) = field.get().filter(|at| at.value.0.written == 0) {
        cx.problem(&at.span, format!("an empty list: leave `{key}` out if it may be any"));
    }
}

fn pattern(at: &At<String>, cx: &mut Reading<'_>) -> Option<Pattern> {
    let pattern = Pattern::new(&at.value);
    if !is_name(&pattern.text) && at.value != "*" {
        super::names::bad_name(at, cx);
        return None;
    }
    Some(pattern)
}

fn prompt(raw::Prompt(written): &raw::Prompt, cx: &mut Reading<'_>) -> Option<Prompt> {
    let At { value, span } = written.pattern.get()?;
    let built = RegexBuilder::new(value).size_limit(MOST_PATTERN).dfa_size_limit(MOST_PATTERN).build();
    let pattern: Regex = match built {
        Ok(pattern) => pattern,
        Err(error) => {
            cx.problem(span, no_pattern(&error));
            return None;
        }
    };
    Some(Prompt { pattern, all: written.text.or(raw::Text::Last) == raw::Text::All })
}

/// Why it cannot be used, in a line. (The error itself shows the pattern, which may have been expanded.)
fn no_pattern(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => {
            "this regular expression is too large when it is compiled".to_owned()
        }
        other => {
            let text = other.to_string();
            let last = text.lines().last().unwrap_or_default();
            format!("this is no regular expression: {}", last.trim_start_matches("error: "))
        }
    }
}

fn complexity(raw::Complexity(written): &raw::Complexity, cx: &mut Reading<'_>) -> Complexity {
    for at in [&written.min, &written.max].into_iter().filter_map(Field::get) {
        if !(0.0..=1.0).contains(&at.value) {
            cx.problem(&at.span, "a complexity is from 0 to 1");
        }
    }
    let (min, max) = (written.min.or(0.0), written.max.get());
    if let Some(at) = max.filter(|max| max.value <= min) {
        cx.problem(&at.span, "not above `min`: no call is so");
    }
    Complexity { min, max: max.map(|at| at.value) }
}

fn metadata(field: &Field<raw::Table<raw::Words>>, cx: &mut Reading<'_>) -> Vec<(String, Vec<String>)> {
    let Some(raw::Table(entries)) = field.value() else { return Vec::new() };
    let mut pairs = Vec::new();
    for raw::Entry { key, value, .. } in entries {
        empty(key, value, cx);
        pairs.push((key.clone(), value.words().iter().map(|at| at.value.clone()).collect()));
    }
    pairs
}

/// Hours of rules and of prices.
pub(in crate::config) fn hours(at: &At<String>, cx: &mut Reading<'_>) -> Option<Hours> {
    let hours = Hours::read(&at.value);
    if hours.is_none() {
        let expected = "expected hours such as \"09:00-17:00\" or \"mon-fri 22:00-06:00 +02:00\"";
        cx.problem(&at.span, expected);
    }
    hours
}

fn is_empty(when: &raw::When) -> bool {
    let raw::When {
        model,
        min_tokens,
        max_tokens,
        tools,
        images,
        schema,
        tags,
        tenant,
        prompt,
        complexity,
        metadata,
        hours,
    } = when;
    let words = [model, tags, tenant, hours].iter().all(|field| field.is_absent());
    let counts = min_tokens.is_absent() && max_tokens.is_absent() && complexity.is_absent();
    let flags = [tools, images, schema].iter().all(|field| field.is_absent());
    words && counts && flags && prompt.is_absent() && metadata.is_absent()
}

/// A rule after one that every call meets.
fn never_met(field: &Field<List<raw::Rule>>, cx: &mut Reading<'_>) {
    let asks_nothing = |rule: &At<raw::Rule>| rule.value.when.value().is_some_and(is_empty);
    let Some(first) = field.items().iter().position(asks_nothing) else { return };
    let line = cx.line(&field.items()[first].span);
    for rule in &field.items()[first + 1..] {
        cx.problem(&rule.span, format!("never asked: every call meets the rule at line {line}"));
    }
}
