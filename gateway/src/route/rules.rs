//! Which rule a call meets first. Pure: what is known of the call in, the rule out.

use std::cell::OnceCell;

use super::complexity::complexity;
use crate::config::{Rule, When};
use crate::dialect::ability::{Abilities, Ability};
use crate::dialect::request::{Pairs, Words};

/// What is known of a call.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The name that it asks for.
    pub asked: &'a str,
    /// That of the model which answers to it, if one does.
    pub answers: Option<&'a str>,
    /// Estimated input, tokens.
    pub input: u64,
    /// What a model must be able to do for it.
    pub uses: Abilities,
    /// Its tags.
    pub tags: &'a [&'a str],
    /// Who calls, then the tenant above, and so on; empty if nobody is told apart.
    pub tenants: &'a [&'a str],
    /// What it says; empty where no rule asks.
    pub words: &'a Words,
    /// Its metadata; empty where no rule asks.
    pub metadata: &'a Pairs,
    /// Unix time, seconds.
    pub now: u64,
}

/// The rules that a call meets, in their order: the first one counts.
pub fn met<'c>(rules: &'c [Rule], facts: &Facts<'_>) -> impl Iterator<Item = &'c Rule> {
    let score = OnceCell::new(); // computed once, if any rule asks
    rules.iter().filter(move |rule| meets(facts, &rule.when, &score))
}

/// Does the call meet all of it? What is cheap to tell comes first.
fn meets(facts: &Facts<'_>, when: &When, score: &OnceCell<f64>) -> bool {
    let When {
        models: _, // by `is_for`
        min_tokens,
        max_tokens,
        tools,
        images,
        schema,
        tags,
        tenants,
        prompt,
        complexity: hard,
        metadata,
        hours,
    } = when;
    let is = |ability, wanted: &Option<bool>| wanted.is_none_or(|wanted| facts.uses.has(ability) == wanted);
    when.is_for(facts.asked, facts.answers)
        && min_tokens.is_none_or(|min| facts.input >= min)
        && max_tokens.is_none_or(|max| facts.input <= max)
        && is(Ability::Tools, tools)
        && is(Ability::Images, images)
        && is(Ability::JsonSchema, schema)
        && tags.iter().all(|tag| facts.tags.contains(&tag.as_str()))
        && (tenants.is_empty() || tenants.iter().any(|tenant| facts.tenants.contains(&&**tenant)))
        && (hours.is_empty() || hours.iter().any(|hours| hours.hold(facts.now)))
        && metadata.iter().all(|(name, values)| {
            facts.metadata.iter().any(|(said, value)| said == name && values.contains(value))
        })
        && hard.is_none_or(|hard| hard.holds(*score.get_or_init(|| complexity(facts.words, facts.input))))
        && prompt.as_ref().is_none_or(|prompt| {
            let text = if prompt.all { &facts.words.all } else { &facts.words.last };
            prompt.pattern.is_match(text)
        })
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
