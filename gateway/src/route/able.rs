//! What a call demands of a deployment besides the length that it must read, and what of that one lacks.

use std::fmt;
use std::sync::Arc;

use crate::config::{Config, Deployment, Model, Rule, Target};
use crate::dialect::ability::{Abilities, Ability};

/// What a call demands.
#[derive(Clone, Debug, Default)]
pub struct Demands<'c> {
    /// What a model must be able to do.
    pub uses: Abilities,
    /// The tags of the call, by which tasks have their quality.
    pub tags: Vec<&'c str>,
    /// Tags that a deployment must have: those of the call that some deployment has, and those that its rule requires. They
    /// hold for fallback models as well, or data would leave its region when a provider fails.
    pub required: Vec<&'c str>,
    /// The rule that has chosen the model.
    pub rule: Option<&'c Rule>,
}

/// What a deployment lacks for a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lack {
    /// It cannot do this.
    Ability(Ability),
    /// It does not have this tag.
    Tag(Arc<str>),
    /// It is not good enough at the call's task.
    Quality,
    /// It has another priority than the rule wants.
    Tier(u32),
}

impl<'c> Demands<'c> {
    /// Of a call with these tags that uses so much and for which this rule has chosen the model.
    pub fn new(config: &Config, uses: Abilities, tags: Vec<&'c str>, rule: Option<&'c Rule>) -> Demands<'c> {
        let is_demand = |tag: &&&str| config.deployment_tags.iter().any(|known| **known == ***tag);
        let mut required: Vec<&str> = tags.iter().filter(is_demand).copied().collect();
        required.extend(rule.iter().flat_map(|rule| rule.require.iter().map(|tag| &**tag)));
        Demands { uses, tags, required, rule }
    }

    /// What the deployment of a target lacks; `chosen` says that the model is the one that was chosen and no fallback.
    pub fn lack(&self, model: &Model, target: &Target, deployment: &Deployment, chosen: bool) -> Option<Lack> {
        let missing = deployment.supports.and_then(|supports| self.uses.beyond(supports));
        if let Some(ability) = missing {
            return Some(Lack::Ability(ability));
        }
        let has = |tag: &str| deployment.tags.iter().any(|own| **own == *tag);
        if let Some(tag) = self.required.iter().find(|tag| !has(tag)) {
            return Some(Lack::Tag((*tag).into()));
        }
        // (Where a model has a least quality, its deployments have theirs.)
        let quality = deployment.quality.as_ref().filter(|_| model.min_quality > 0.0);
        if quality.is_some_and(|quality| quality.of(&self.tags) < model.min_quality) {
            return Some(Lack::Quality);
        }
        let tier = self.rule.filter(|_| chosen).and_then(|rule| rule.tier);
        tier.filter(|tier| *tier != target.tier).map(Lack::Tier)
    }
}

/// For clients and operators.
impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lack::Ability(ability) => write!(f, "it does not support {}", ability.word()),
            Lack::Tag(tag) => write!(f, "it does not have the tag {tag}"),
            Lack::Quality => f.write_str("its quality is too low for the task"),
            Lack::Tier(tier) => write!(f, "it is not of priority {tier}"),
        }
    }
}
