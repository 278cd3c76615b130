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
    /// Tags that a deployment must have: those of the call that some deployment has, and those that who calls and its rule require.
    /// They hold for fallback models as well, or data would leave its region when a provider fails.
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
    /// Of a call with these tags that uses so much, of one whose calls require tags, and for which this rule has chosen the model.
    pub fn new(
        config: &Config,
        uses: Abilities,
        tags: Vec<&'c str>,
        (own, rule): (impl Iterator<Item = &'c str>, Option<&'c Rule>),
    ) -> Demands<'c> {
        let is_demand = |tag: &&&str| config.deployment_tags.iter().any(|known| **known == ***tag);
        let mut required: Vec<&str> = tags.iter().filter(is_demand).copied().collect();
        required.extend(own);
        required.extend(rule.iter().flat_map(|rule| rule.require.iter().map(|tag| &**tag)));
        Demands { uses, tags, required, rule }
    }

    /// What the deployment of a target lacks; `chosen` says that the model is the one that was chosen and no fallback.
    pub fn lack(
        &self,
        model: &Model,
        target: &Target,
        deployment: &Deployment,
        chosen: bool,
    ) -> Option<Lack> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::check;

    fn config() -> Config {
        let text = "version = 1\naccounts = [{ name = \"a\", provider = \"openai\", api_key = \"k\" }]\n\
            deployments = [{ name = \"all\", account = \"a\", model = \"x\", tags = [\"us\", \"fast\"], quality = { default = 0.9, code = 0.7, law = 0.6 } },\n\
            { name = \"words\", account = \"a\", model = \"x\", supports = [], tags = [\"eu\"], quality = { default = 0.7 } },\n\
            { name = \"sees\", account = \"a\", model = \"x\", supports = [\"images\", \"tools\"], quality = { default = 0.8, code = 1.0, law = 0.5 } }]\n\
            models = [{ name = \"m\", deployments = [\"all\", { name = \"words\", priority = 1 }, \"sees\"] },\n\
            { name = \"good\", deployments = [\"all\", \"sees\"], min_quality = 0.8 }]\n\
            rules = [{ when = { model = \"r\" }, use = \"m\", tier = 1, require = [\"eu\"] }]";
        check::check(std::path::Path::new("weir.toml"), text, &|_| None)
            .unwrap_or_else(|report| panic!("{report}"))
    }

    /// What each deployment of a model lacks.
    fn lacks(
        config: &Config,
        model: usize,
        uses: &[Ability],
        tags: &[&'static str],
        rule: bool,
        chosen: bool,
    ) -> Vec<String> {
        let rule = rule.then(|| &config.rules[0]);
        let demands = Demands::new(
            config,
            Abilities::of(uses.iter().copied()),
            tags.to_vec(),
            (std::iter::empty(), rule),
        );
        let model = &config.models[model];
        let lack =
            |target: &Target| demands.lack(model, target, &config.deployments[target.deployment.0], chosen);
        model
            .targets
            .iter()
            .map(|target| lack(target).map_or(String::new(), |lack| lack.to_string()))
            .collect()
    }

    /// Broken on purpose to see it fail: absent `supports` taken for nothing; every tag of a call taken for a demand; a rule's tier
    /// kept for a fallback; the best of several tasks counted.
    #[test]
    fn what_a_deployment_lacks_keeps_it_from_being_asked() {
        let config = &config();
        let (fine, no) = ("", |what: &str| format!("it does not support {what}"));
        let tag = |tag: &str| format!("it does not have the tag {tag}");
        assert_eq!(lacks(config, 0, &[], &[], false, true), [fine; 3]);
        assert_eq!(lacks(config, 0, &[Ability::Images], &[], false, true), ["", &no("images"), ""]);
        let both = [Ability::Audio, Ability::Images];
        assert_eq!(lacks(config, 0, &both, &[], false, true), ["", &no("images"), &no("audio")]);
        assert_eq!(lacks(config, 0, &[], &["us", "batch"], false, true), ["", &tag("us"), &tag("us")]);
        assert_eq!(lacks(config, 0, &[], &["batch"], false, true), [fine; 3]);
        assert_eq!(lacks(config, 0, &[], &["us", "fast"], false, false), ["", &tag("us"), &tag("us")]);
        assert_eq!(lacks(config, 0, &[], &["us", "eu"], false, true), [tag("eu"), tag("us"), tag("us")]);
        let low = "its quality is too low for the task";
        assert_eq!(lacks(config, 1, &[], &[], false, true), [fine; 2]);
        assert_eq!(lacks(config, 1, &[], &["code"], false, true), [low, fine]);
        assert_eq!(lacks(config, 1, &[], &["law"], false, true), [low, low]);
        assert_eq!(lacks(config, 1, &[], &["law", "code"], false, true), [low, low]);
        assert_eq!(lacks(config, 1, &[], &["other", "code"], false, true), [low, fine]);
        assert_eq!(lacks(config, 0, &[], &["law"], false, true), [fine; 3], "no least quality");
        assert_eq!(lacks(config, 0, &[], &[], true, true), [&*tag("eu"), "", &tag("eu")]);
        let tier = "it is not of priority 1";
        let rules = &Rule {
            require: Vec::new(),
            name: "r".into(),
            when: crate::config::When::default(),
            model: crate::config::ModelId(0),
            tier: Some(1),
        };
        let demands =
            Demands::new(config, Abilities::default(), Vec::new(), (std::iter::empty(), Some(rules)));
        let model = &config.models[0];
        let of = |at: usize, chosen| {
            let lack = demands.lack(model, &model.targets[at], &config.deployments[at], chosen);
            lack.map_or(String::new(), |lack| lack.to_string())
        };
        assert_eq!([of(0, true), of(1, true), of(0, false)], [tier, "", ""]);
    }

    /// Broken on purpose to see it fail: what no deployment has taken for a name, as in a call's own tags.
    #[test]
    fn what_who_calls_requires_is_demanded_though_nobody_has_it() {
        let config = &config();
        let missing = |own: &[&'static str], tags: &[&'static str]| {
            let demands =
                Demands::new(config, Abilities::default(), tags.to_vec(), (own.iter().copied(), None));
            let model = &config.models[0];
            let lack =
                |target: &Target| demands.lack(model, target, &config.deployments[target.deployment.0], true);
            model.targets.iter().map(|target| lack(target).is_some()).collect::<Vec<_>>()
        };
        assert_eq!(missing(&["us"], &[]), [false, true, true]);
        assert_eq!(missing(&["us"], &["eu"]), [true; 3], "a call cannot take it back");
        assert_eq!(missing(&["gone"], &[]), [true; 3]);
    }
}
