//! The way of a call through the simulated cluster, as `pipeline.rs` goes it: model after model, each with one request for room
//! (`stay.rs`), until it is sent (`sent.rs`) or no model is left.

use super::load::Coming;
use super::replica::Replica;
use super::sent::Running;
use super::stay::Stay;
use super::tally::Why;
use super::world::World;
use crate::admit::estimate::{Estimate, expected_output, output_tokens};
use crate::admit::{self, AskFor};
use crate::auth::Who;
use crate::config::{Config, Deployment, DeploymentId, Model, ModelId, ReservePolicy, Rule, Target};
use crate::dialect::ability::Abilities;
use crate::dialect::openai::answer::Service;
use crate::dialect::request::Words;
use crate::route::able::Demands;
use crate::route::rules::{Facts, met};
use crate::route::{self, Needs, Ranked};
use crate::standing::Look;
use crate::state::Wish;

/// A call under way.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) number: u64,
    pub(super) coming: Coming,
    pub(super) replica: usize,
    /// The model asked for, and those that it may fall back to; so many of them have been begun.
    pub(super) models: Vec<ModelId>,
    pub(super) begun: usize,
    pub(super) rule: Option<usize>, // that has chosen the model
    /// Why the first of them did not serve it.
    pub(super) refused: Option<(Why, Option<usize>)>,
    /// Deployments that had no room for it.
    pub(super) could: Vec<usize>,
    pub(super) stay: Option<Stay>,
    pub(super) running: Option<Running>,
}

/// Who calls, by the index of its tenant.
pub(super) fn who<'c>(config: &'c Config, coming: &Coming) -> Who<'c> {
    Who { tenant: coming.tenant.map(|at| &config.tenants[at]), ..Who::default() }
}

/// May who calls use a model, by any of its names?
fn may_use(config: &Config, coming: &Coming, id: ModelId) -> bool {
    let (model, who) = (&config.models[id.0], who(config, coming));
    let mut names = std::iter::once(&model.name).chain(&model.aliases);
    names.any(|name| who.may_use(name))
}

impl World {
    /// A call comes to one of the replicas.
    pub(super) fn arrive(&mut self, coming: Coming) {
        let of = self.of(&coming);
        self.tally.came(of);
        let Some((model, rule)) = self.choose(&coming) else {
            return self.tally.refused(of, Why::Unknown, None, &[], self.now);
        };
        self.numbers += 1;
        let call = Call {
            number: self.numbers,
            coming,
            replica: self.rng.usize(..self.replicas.len()),
            models: vec![model],
            begun: 0,
            rule,
            refused: None,
            could: Vec::new(),
            stay: None,
            running: None,
        };
        let slot = self.keep(call);
        self.next_model(slot);
    }

    /// The model that serves a call, and the rule that says so; none if it may not be asked for.
    fn choose(&self, coming: &Coming) -> Option<(ModelId, Option<usize>)> {
        let (config, name) = (&self.set.config, self.load.names[coming.name].as_str());
        let (asked, who) = (self.models[coming.name], who(config, coming));
        if !who.may_use(name) || asked.is_none() && !config.is_rule_name(name) {
            return None;
        }
        if config.rules.is_empty() {
            return asked.map(|model| (model, None));
        }
        let line = who.tenant.iter().flat_map(|tenant| std::iter::once(&tenant.name).chain(&tenant.above));
        let tenants: Vec<&str> = line.map(|name| &**name).collect();
        let facts = Facts {
            asked: name,
            answers: asked.map(|model| config.models[model.0].name.as_str()),
            input: coming.weighs,
            uses: Abilities::default(),
            tags: &[],
            tenants: &tenants,
            words: &Words::default(),
            metadata: &Vec::new(),
            now: self.set.unix,
        };
        let Some(rule) = met(&config.rules, &facts).next() else {
            return asked.map(|model| (model, None));
        };
        let at = config.rules.iter().position(|other| std::ptr::eq(other, rule));
        (asked == Some(rule.model) || may_use(config, coming, rule.model)).then_some((rule.model, at))
    }

    /// Goes on with the next of its models, or is refused.
    pub(super) fn next_model(&mut self, slot: usize) {
        let config = self.set.config.clone();
        loop {
            let Some(call) = self.calls[slot].as_mut() else { return };
            let Some(id) = call.models.get(call.begun).copied() else { return self.refuse(slot) };
            call.begun += 1;
            let (targets, wish) = {
                let ranked = self.rank(slot, id, &config);
                if ranked.is_empty() {
                    self.no_deployment(slot, id, &config);
                    continue;
                }
                let targets = ranked.iter().map(|ranked| ranked.target.deployment).collect::<Vec<_>>();
                (targets, self.wish(slot, id, &ranked, &config))
            };
            return self.begin(slot, id, targets, wish);
        }
    }

    /// The deployments of a model that can serve the call, in the order in which they are tried.
    fn rank<'c>(&mut self, slot: usize, id: ModelId, config: &'c Config) -> Vec<Ranked<'c>> {
        let Some(call) = self.calls[slot].as_ref() else { return Vec::new() };
        let (at, chosen, rule) = (call.replica, id == call.models[0], call.rule);
        let coming = call.coming.clone();
        self.rank_at(at, &coming, (id, chosen, rule), config)
    }

    /// The same of any call that comes to a replica; `chosen`: the model is no fallback, and that rule says so.
    pub(crate) fn rank_at<'c>(
        &mut self,
        at: usize,
        coming: &Coming,
        (id, chosen, rule): (ModelId, bool, Option<usize>),
        config: &'c Config,
    ) -> Vec<Ranked<'c>> {
        let (model, now, replicas) = (&config.models[id.0], self.ms(), self.replicas.len() as u64);
        let replica = &self.replicas[at];
        let expected = expected(replica, id, coming);
        let needs = self.needs(coming, expected);
        let look = Look {
            input: needs.input,
            output: expected,
            by: model.ranking.latency.measure,
            expects: route::expects(model),
            replicas,
        };
        let outlook = |id: DeploymentId| replica.standings[id.0].outlook_at(look, now);
        let demands = demands(config, coming, rule);
        let able = |target: &Target| {
            let deployment = &config.deployments[target.deployment.0];
            demands.lack(model, target, deployment, chosen).is_none().then_some(target.weight)
        };
        let rng = &mut self.rng;
        route::rank(config, model, &replica.rotations[id.0], needs, &able, &outlook, &mut || rng.f64())
    }

    fn needs(&self, coming: &Coming, expected: u64) -> Needs {
        let output = coming.max_tokens.unwrap_or(0);
        Needs { input: coming.weighs, output, expected, beginning: None, at: self.set.unix }
    }

    /// No deployment of the model can serve the call: another may that reads more.
    fn no_deployment(&mut self, slot: usize, id: ModelId, config: &Config) {
        let needs = self.calls[slot].as_ref().map(|call| self.needs(&call.coming, 0));
        let Some((call, needs)) = self.calls[slot].as_mut().zip(needs) else { return };
        let window = |target: &Target| config.deployments[target.deployment.0].context_window;
        let is_too_long = config.models[id.0].targets.iter().any(|target| !needs.fit(window(target)));
        let further = if is_too_long { &config.models[call.models[0].0].context_fallbacks[..] } else { &[] };
        call.further(further, config);
        call.refused.get_or_insert((Why::Nobody, None));
    }

    /// The request for room.
    fn wish(&mut self, slot: usize, id: ModelId, ranked: &[Ranked<'_>], config: &Config) -> Wish {
        let luck = self.rng.u64(0..1_000_000);
        let Some(call) = self.calls[slot].as_ref() else { return admit::one_request(&[]) };
        let (coming, who) = (&call.coming, who(config, &call.coming));
        let predicted = self.replicas[call.replica].predicted(id.0, tenant(coming)).0;
        let estimate = |deployment: &Deployment, policy: ReservePolicy| Estimate {
            input: deployment.context_window.map_or(coming.weighs, |window| coming.weighs.min(window)),
            guessed_input: 0,
            output: output_tokens(coming.max_tokens, 1, policy, deployment.max_output, predicted),
            explicit_output: coming.max_tokens.is_some(),
            service: Service::Standard,
        };
        let own = who.tenant.iter().flat_map(|tenant| tenant.pools.iter().chain(&tenant.budgets));
        let common: Vec<_> = config.gateway_pool.iter().chain(own).map(|id| &self.infos[id.0]).collect();
        let ask_for = AskFor { luck, most: who.priority().most(), at: self.set.unix, ..AskFor::default() };
        admit::wish(config, &self.infos, &common, ranked, estimate, None, ask_for)
    }

    fn refuse(&mut self, slot: usize) {
        let Some(call) = self.forget(slot) else { return };
        let (why, pool) = call.refused.unwrap_or((Why::Nobody, None));
        let mut could = call.could;
        could.sort_unstable();
        could.dedup();
        let of = self.of(&call.coming);
        self.tally.refused(of, why, pool, &could, self.now);
    }
}

impl Call {
    /// Others may serve it, those that its tenant may use.
    pub(super) fn further(&mut self, models: &[ModelId], config: &Config) {
        for id in models {
            if !self.models.contains(id) && may_use(config, &self.coming, *id) {
                self.models.push(*id);
            }
        }
    }

    /// Is there a deployment to try in the models that come after the current one?
    pub(super) fn may_fall_back(&self, config: &Config) -> bool {
        let (begun, to_come) = self.models.split_at(self.begun);
        let fallbacks = &config.models[self.models[0].0].fallbacks;
        let added = fallbacks.iter().filter(|id| !begun.contains(id) && may_use(config, &self.coming, **id));
        let demands = demands(config, &self.coming, self.rule);
        let fits = |model: &Model, target: &Target| {
            let deployment = &config.deployments[target.deployment.0];
            let length = self.coming.weighs.saturating_add(self.coming.max_tokens.unwrap_or(0));
            deployment.context_window.is_none_or(|window| length <= window)
                && demands.lack(model, target, deployment, false).is_none()
        };
        let mut models = to_come.iter().chain(added).map(|id| &config.models[id.0]);
        models.any(|model| model.targets.iter().any(|target| fits(model, target)))
    }
}

/// What a call demands of deployments besides its length.
fn demands<'c>(config: &'c Config, coming: &Coming, rule: Option<usize>) -> Demands<'c> {
    let rule: Option<&Rule> = rule.map(|at| &config.rules[at]);
    let tenant = coming.tenant.map(|at| &config.tenants[at]);
    let tags = tenant.into_iter().flat_map(|tenant| tenant.tags.iter().map(|tag| &**tag));
    Demands::new(config, Abilities::default(), Vec::new(), (tags, rule))
}

/// Whose predictions a call goes by; nobody's are those of the number after the tenants'.
pub(super) fn tenant(coming: &Coming) -> usize {
    coming.tenant.unwrap_or(usize::MAX)
}

/// What half of such calls stay within, tokens of output.
pub(super) fn expected(replica: &Replica, id: ModelId, coming: &Coming) -> u64 {
    expected_output(coming.max_tokens, replica.predicted(id.0, tenant(coming)).1)
}
