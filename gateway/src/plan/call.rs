//! The way of a call through the simulated cluster, as `pipeline.rs` and `pipeline/room.rs` go it: model after model, each with one
//! request for room, and a wait where nothing else is left. What those do in tasks that wait is done here in steps.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::load::Coming;
use super::replica::Replica;
use super::service::Us;
use super::tally::{Served, Why};
use super::world::World;
use crate::admit::estimate::{Estimate, expected_output, output_tokens};
use crate::admit::{self, AskFor};
use crate::auth::Who;
use crate::config::{Config, Deployment, DeploymentId, Model, ModelId, ReservePolicy, Rule, Target};
use crate::dialect::ability::Abilities;
use crate::dialect::openai::answer::{Service, Usage};
use crate::dialect::request::Words;
use crate::queue::{Asking, Ended, Flow, Refusal, SCARCE, Ticket};
use crate::route::able::Demands;
use crate::route::behaviour::Answered;
use crate::route::predict::Size;
use crate::route::rules::{Facts, met};
use crate::route::{self, Needs, Ranked};
use crate::standing::Look;
use crate::state::core::{Command, Denied, Granted, Reply, Reserved};
use crate::state::ledger::{Drawn, Ledger};
use crate::state::{Actual, Reservation, Wish};

/// A call under way.
#[derive(Debug)]
pub(super) struct Call {
    number: u64,
    coming: Coming,
    replica: usize,
    /// The model asked for, and those that it may fall back to; so many of them have been begun.
    models: Vec<ModelId>,
    begun: usize,
    rule: Option<usize>, // that has chosen the model
    /// Why the first of them did not serve it.
    refused: Option<(Why, Option<usize>)>,
    /// Deployments that had no room for it.
    could: Vec<usize>,
    stay: Option<Stay>,
    running: Option<Running>,
}

/// A call that asks for room, or waits to.
#[derive(Debug)]
struct Stay {
    model: ModelId,
    wish: Wish,
    targets: Vec<DeploymentId>, // in the order of the wish's candidates
    flow: Flow,
    until: Instant,
    may_wait: bool,
    ticket: Option<Ticket>,
    asking: Asking,
    wait: u32,        // which one, so that the end of an earlier one says nothing
    first_asks: bool, // it may ask when it is called up or its time has come; else only when it is the first
}

/// A call at a deployment.
#[derive(Debug)]
struct Running {
    reservation: Reservation,
    model: ModelId,
    load: u64,
    since: Us,
    first: Option<Us>,
}

/// Who calls, by the index of its tenant.
fn who<'c>(config: &'c Config, coming: &Coming) -> Who<'c> {
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
    fn next_model(&mut self, slot: usize) {
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
        let (model, now, replicas) = (&config.models[id.0], self.ms(), self.replicas.len() as u64);
        let replica = &self.replicas[call.replica];
        let expected = expected(replica, id, &call.coming);
        let needs = self.needs(&call.coming, expected);
        let look = Look {
            input: needs.input,
            output: expected,
            by: model.ranking.latency.measure,
            expects: route::expects(model),
            replicas,
        };
        let outlook = |id: DeploymentId| replica.standings[id.0].outlook_at(look, now);
        let (chosen, demands) = (id == call.models[0], demands(config, &call.coming, call.rule));
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

    /// Asks for room, behind those of its flow that wait for it.
    fn begin(&mut self, slot: usize, id: ModelId, targets: Vec<DeploymentId>, wish: Wish) {
        let (config, now) = (self.set.config.clone(), self.instant());
        let Some(call) = self.calls[slot].as_mut() else { return };
        let (bounds, who) = (config.models[id.0].queue, who(&config, &call.coming));
        let flow = Flow {
            set: wish.ask.candidates.iter().fold(0u64, |set, candidate| set.wrapping_add(candidate.tag)),
            tenant: who.name(),
            rank: who.priority().rank(),
            weight: who.tenant.map_or(1.0, |tenant| tenant.weight),
        };
        let over = self.set_time(slot, config.models[id.0].total);
        let Some(call) = self.calls[slot].as_mut() else { return };
        let may_wait = bounds.max > 0 && !call.may_fall_back(&config);
        let queue = self.replicas[call.replica].queues[id.0].clone();
        let stay = Stay {
            model: id,
            wish,
            targets,
            until: (now + bounds.wait).min(over),
            may_wait,
            ticket: None,
            asking: Asking::default(),
            wait: 0,
            first_asks: false,
            flow,
        };
        let is_behind = may_wait && queue.holds(&stay.flow);
        call.stay = Some(stay);
        if !is_behind {
            return self.ask(slot);
        }
        match self.enter(slot) {
            Ok(()) => self.wait(slot, None),
            Err(_) => self.denied(slot, Why::Queue, None),
        }
    }

    /// When a call that came then is over at the latest.
    fn set_time(&self, slot: usize, total: Duration) -> Instant {
        let came = self.calls[slot].as_ref().map_or(self.now, |call| call.coming.at);
        self.instant() + total.saturating_sub(Duration::from_micros(self.now - came))
    }

    /// Takes a place in the queue.
    fn enter(&mut self, slot: usize) -> Result<(), Refusal> {
        let (now, list, config) = (self.instant(), self.called.clone(), self.set.config.clone());
        let Some(call) = self.calls[slot].as_mut() else { return Ok(()) };
        let queues = &self.replicas[call.replica].queues;
        let Some(stay) = call.stay.as_mut() else { return Ok(()) };
        let bounds = config.models[stay.model.0].queue;
        let entered = queues[stay.model.0].enter_listed(&stay.flow, bounds, (now, stay.until), (&list, slot));
        stay.ticket = Some(entered?);
        self.waiting += 1;
        Ok(())
    }

    /// Waits to be called up, until its time is over; with a time to ask `again`, until that at most.
    fn wait(&mut self, slot: usize, again: Option<Instant>) {
        let now = self.instant();
        let Some(call) = self.calls[slot].as_mut() else { return };
        let Some(stay) = call.stay.as_mut() else { return };
        stay.wait += 1;
        stay.first_asks = again.is_some();
        let until = again.unwrap_or(stay.until).min(stay.until);
        let (number, wait) = (call.number, stay.wait);
        let at = self.now + until.saturating_duration_since(now).as_micros() as Us;
        self.wake(at, (slot, number, wait));
    }

    /// The end of a wait that nobody ended before.
    pub(super) fn again(&mut self, slot: usize, number: u64, wait: u32) {
        let call = self.calls[slot].as_ref().filter(|call| call.number == number);
        if call.and_then(|call| call.stay.as_ref()).is_some_and(|stay| stay.wait == wait) {
            self.look_at_turn(slot);
        }
    }

    /// Those that were called up see why.
    pub(super) fn call_up(&mut self) {
        loop {
            let called = std::mem::take(&mut *self.called.lock());
            if called.is_empty() {
                return;
            }
            called.into_iter().for_each(|slot| self.look_at_turn(slot));
        }
    }

    /// A call that waits asks if it may, gives up if its time is over, and waits on if neither.
    fn look_at_turn(&mut self, slot: usize) {
        let now = self.instant();
        let Some(stay) = self.calls[slot].as_ref().and_then(|call| call.stay.as_ref()) else { return };
        let Some(ticket) = &stay.ticket else { return };
        match ticket.look() {
            Some(Ended::Out) => self.denied(slot, Why::Queue, None),
            _ if now >= stay.until => {
                self.denied(slot, if stay.first_asks { Why::Room } else { Why::Queue }, None)
            }
            Some(_) => self.ask(slot),
            None => self.wait(slot, None),
        }
    }

    /// Asks for room, on what its replica was lent or the state.
    fn ask(&mut self, slot: usize) {
        let (now, instant) = (self.ms(), self.instant());
        let Some(call) = self.calls[slot].as_mut() else { return };
        let replica = &self.replicas[call.replica];
        let expected =
            expected(replica, call.stay.as_ref().map_or(ModelId(0), |stay| stay.model), &call.coming);
        let Some(stay) = call.stay.as_mut() else { return };
        let competes = stay.ticket.is_some() || replica.queues[stay.model.0].competes(instant);
        if competes && self.set.config.models[stay.model.0].queue.max > 0 {
            let more = stay.ticket.as_ref().is_some_and(Ticket::has_more_behind);
            let tokens = call.coming.weighs.saturating_add(expected);
            let turn = stay.flow.turn(&self.model_names[stay.model.0], tokens, stay.may_wait, more);
            Arc::make_mut(&mut stay.wish.ask).turn = Some(turn);
        }
        if let Some((ledger, granted, drawn)) = replica.side.borrow(&stay.wish.ask, now) {
            self.tally.messages[1] += 1;
            return self.granted(slot, &ledger, &granted, drawn);
        }
        let Some(ledger) = replica.side.ledger().cloned() else { return self.denied(slot, Why::Room, None) };
        Arc::make_mut(&mut stay.wish.ask).caller = replica.side.caller(&ledger, now);
        let outstanding = ledger.sending(stay.wish.ask.clone());
        self.tally.messages[0] += 1;
        match self.state.step(&Command::Reserve(stay.wish.ask.clone()), now) {
            Reply::Reserved(Reserved::Granted(granted)) => {
                match outstanding.granted(granted.index, granted.share) {
                    Some(drawn) => self.granted(slot, &ledger, &granted, drawn),
                    None => self.denied(slot, Why::Room, None),
                }
            }
            Reply::Reserved(Reserved::Denied(denied)) => {
                outstanding.refused();
                self.in_vain(slot, &denied);
            }
            Reply::Reserved(Reserved::TooBig { pool, .. }) => {
                outstanding.refused();
                self.denied(slot, Why::TooBig, Some(pool));
            }
            _ => {
                outstanding.refused();
                self.denied(slot, Why::Room, None);
            }
        }
    }

    /// There was no room: waits to ask again, if it may and that is of use.
    fn in_vain(&mut self, slot: usize, denied: &Denied) {
        let now = self.instant();
        let Some(call) = self.calls[slot].as_mut() else { return };
        let queue = &self.replicas[call.replica].queues;
        let Some(stay) = call.stay.as_mut() else { return };
        let patience = stay.asking.again_in(denied);
        let room_at = now + Duration::from_millis(denied.retry_in.max(1));
        if denied.may_be_waited_for() {
            queue[stay.model.0].note_scarce(now);
            let pool = stay.wish.infos.get(denied.pool).and_then(|info| self.pool_of.get(&info.name));
            call.refused.get_or_insert((Why::Room, pool.copied()));
        }
        let own = !denied.may_be_waited_for();
        if own || !stay.may_wait || room_at >= stay.until {
            return self.denied(slot, if own { Why::Own } else { Why::Room }, Some(denied.pool));
        }
        if stay.ticket.is_none() && self.enter(slot).is_err() {
            return self.denied(slot, Why::Queue, Some(denied.pool));
        }
        let Some(stay) = self.calls[slot].as_ref().and_then(|call| call.stay.as_ref()) else { return };
        match stay.ticket.as_ref().and_then(|ticket| ticket.told(room_at)) {
            Some(Ended::Ours) => self.wait(slot, Some(now + Duration::from_millis(patience))),
            Some(Ended::Out) => self.denied(slot, Why::Queue, None),
            Some(Ended::Over) | None => self.wait(slot, None),
        }
    }

    /// This model does not serve it: the next one may. `pool`: the one that stands in the way, by its place in the request.
    fn denied(&mut self, slot: usize, why: Why, pool: Option<usize>) {
        let config = self.set.config.clone();
        let Some(call) = self.calls[slot].as_mut() else { return };
        let Some(stay) = call.stay.take() else { return };
        self.waiting -= u64::from(stay.ticket.is_some());
        let name = pool.and_then(|at| stay.wish.infos.get(at)).map(|info| &info.name);
        let pool = name.and_then(|name| self.pool_of.get(name)).copied();
        if why.is_room() {
            let (weighs, standings) = (call.coming.weighs, &self.replicas[call.replica].standings);
            let output = call.coming.max_tokens.unwrap_or(call.coming.output);
            stay.targets.iter().for_each(|target| standings[target.0].missed(weighs, output));
            call.could.extend(stay.targets.iter().map(|target| target.0));
        }
        // What it heard first stands in the way first; a queue is full because of it.
        call.refused = match call.refused {
            Some((before, of)) if before != Why::Room || call.begun > 1 => Some((before, of.or(pool))),
            Some((_, of)) => Some((why, pool.or(of))),
            None => Some((why, pool)),
        };
        if why == Why::Own {
            call.models.truncate(call.begun); // another model would draw on the same
        } else {
            call.further(&config.models[call.models[0].0].fallbacks, &config);
        }
        self.next_model(slot);
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

    /// There was room: it is sent.
    fn granted(&mut self, slot: usize, ledger: &Arc<Ledger>, granted: &Granted, drawn: Vec<Drawn>) {
        let (now, ms) = (self.instant(), self.ms());
        let Some(call) = self.calls[slot].as_mut() else { return };
        let Some(mut stay) = call.stay.take() else { return };
        let replica = &self.replicas[call.replica];
        let plenty = granted.share < SCARCE;
        if !plenty {
            replica.queues[stay.model.0].note_scarce(now);
        }
        if let Some(ticket) = stay.ticket.take() {
            self.waiting -= 1;
            ticket.served_at(plenty, now);
        }
        let reservation = Reservation::simulated(ledger, &replica.bell, &stay.wish, granted, drawn);
        let to = stay.targets[granted.index].0;
        let load = replica.standings[to].begin(ms);
        call.running = Some(Running { reservation, model: stay.model, load, since: self.now, first: None });
        let service = self.set.services[to];
        let chance = if service.spread > 0.0 { super::draws::normal(&mut self.rng) } else { 0.0 };
        let times = service.times(call.coming.input, call.coming.output, chance);
        let (first, whole) = call.coming.took.unwrap_or(times);
        let first = call.coming.stream.then_some(first);
        self.send(to, slot, (first, whole));
    }

    /// Its first token has come: what its provider has charged by then is posted.
    pub(super) fn began(&mut self, slot: usize) {
        let now = self.now;
        let Some(call) = self.calls[slot].as_mut() else { return };
        if let Some(running) = call.running.as_mut() {
            running.first = Some(now);
            running.reservation.head();
        }
        let at = call.replica;
        self.ring(at);
    }

    /// It is over.
    pub(super) fn ended(&mut self, slot: usize, deployment: usize) {
        let (now, ms) = (self.now, self.ms());
        let Some(Call { coming, replica: at, running, .. }) = self.forget(slot) else { return };
        let Some(mut running) = running else { return };
        let usage = Usage { input: coming.input, output: coming.output, ..Usage::default() };
        running.reservation.head();
        running.reservation.settle(Actual::Used(usage));
        let since = |at: Us| Duration::from_micros(at - running.since);
        let replica = &mut self.replicas[at];
        let size = Size { input: coming.weighs, output: coming.output, load: running.load as f64 };
        let answered =
            Answered { first: running.first.map(since), whole: since(now), output: Some(coming.output) };
        replica.standings[deployment].answered(size, answered, ms);
        replica.standings[deployment].end();
        replica.learn(running.model.0, tenant(&coming), coming.output);
        let price = self.set.config.deployments[deployment].pricing.at(self.set.unix);
        let served = Served {
            waited: running.since - coming.at,
            took: now - coming.at,
            first: running.first.map(|first| first - coming.at),
            tokens: (coming.input, coming.output),
            cost: price.map(|price| price.about(&usage)),
        };
        let of = self.of(&coming);
        self.tally.served(of, deployment, &served);
        self.ring(at);
    }
}

impl Call {
    /// Others may serve it, those that its tenant may use.
    fn further(&mut self, models: &[ModelId], config: &Config) {
        for id in models {
            if !self.models.contains(id) && may_use(config, &self.coming, *id) {
                self.models.push(*id);
            }
        }
    }

    /// Is there a deployment to try in the models that come after the current one?
    fn may_fall_back(&self, config: &Config) -> bool {
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
fn tenant(coming: &Coming) -> usize {
    coming.tenant.unwrap_or(usize::MAX)
}

fn expected(replica: &Replica, id: ModelId, coming: &Coming) -> u64 {
    expected_output(coming.max_tokens, replica.predicted(id.0, tenant(coming)).1)
}
