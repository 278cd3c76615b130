//! Room for an attempt: what a call asks of the shared state, and what its answer means to the client.

use std::sync::Arc;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::tried::Tried;
use super::{AWAY_RETRY, Call, explain, limits, note};
use crate::admit::estimate::{self, Estimate, Weight};
use crate::admit::{self, AskFor};
use crate::clock::{unix_ms, unix_now};
use crate::config::preset;
use crate::config::{Deployment, ModelId, ReservePolicy};
use crate::error::{Error, Kind};
use crate::keys::table;
use crate::route::Ranked;
use crate::state::core::{Denied, SessionRef};
use crate::state::pools::tenant_of;
use crate::state::{Away, Outcome, PoolInfo, Reservation, Wish};
use crate::telemetry::{Record, Why};

/// What calls in flight hold of a budget is guessed to be free within a second; what was spent leaves after a day at least.
const HELD: Duration = Duration::from_secs(3_600);

/// What a call draws on whoever serves it.
type Common<'a> = SmallVec<[&'a Arc<PoolInfo>; 4]>;

impl Call<'_> {
    /// Room for one of the candidates, or why there is none; none of both if it is to be looked anew who they are.
    pub(super) async fn admit(
        &self,
        id: ModelId,
        ranked: &[Ranked<'_>],
        session: Option<SessionRef>,
        (tried, may_wait): (&Tried, bool),
        record: &mut Option<Record>,
    ) -> Result<Option<(Option<Reservation>, usize)>, Error> {
        let (config, common) = (&self.snapshot.config, self.common());
        // A call that its first candidate does not serve is explained, asked for or not.
        let why = record.as_ref().is_some_and(|r| r.explanation.wanted || !r.explanation.is_empty());
        let left = common.iter().rposition(|pool| {
            is_own(&pool.name, &self.tenant_name) && limits::are_told(pool) // the key's is the last
        });
        let (luck, most) = (fastrand::u64(0..1_000_000), self.priority.most());
        let ask_for = AskFor { left, why, luck, most, ..AskFor::default() };
        let mut wish = self.wish(id, ranked, session.clone(), ask_for);
        match self.room(id, &mut wish, tried, may_wait, record).await {
            Ok(None) => Ok(None),
            Ok(Some(Outcome::Granted(reservation, told))) => {
                let index = reservation.index;
                self.tell_admitted(&reservation, ranked, &common);
                self.told(&wish, ranked, told, Some(index), record);
                Ok(Some((Some(reservation), index)))
            }
            Ok(Some(Outcome::Denied(mut denied))) => {
                let told = std::mem::take(&mut denied.told);
                let was_asked = denied.open || denied.pool < wish.infos.len(); // else it is told of already
                if was_asked && (denied.common || told.why.is_empty()) {
                    note(record, |record| explain::every(explain::denial(&wish, &denied), record));
                }
                self.told(&wish, ranked, told, None, record);
                if denied.may_be_waited_for() {
                    self.missed(id, ranked);
                }
                Err(self.denied(&wish.infos, &common, &denied))
            }
            Ok(Some(Outcome::TooBig { pool, .. })) => {
                self.explain_too_large(&wish, ranked, pool, record);
                let name = public(&wish.infos[pool].name, &self.tenant_name);
                let message = format!("This request asks for more than the whole limit of {name}.");
                Err(Error::new(Kind::TooBigForLimit, message))
            }
            Ok(Some(Outcome::Unlimited(usable))) => {
                let pin = session.and_then(|session| self.worker.shared.client.recall_pin(&session.key));
                let tag = |at: &usize| config.deployments[ranked[*at].target.deployment.0].tag;
                // (Outside of the call's variant no session is kept.)
                let is_out = |at: &usize| self.is_spilled(id, ranked[*at].target);
                let stays = |at: &&usize| Some(tag(at)) == pin && (!is_out(at) || is_out(&usable[0]));
                let pinned = usable.iter().find(stays);
                Ok(Some((None, *pinned.unwrap_or(&usable[0]))))
            }
            Err(_) if Instant::now() >= self.deadline => Err(Error::late()),
            Err(_) => {
                note(record, |record| explain::every(Why::StateAway, record));
                let message = "The gateway's shared state is not reachable.";
                Err(Error::new(Kind::StateAway, message).retry_after(AWAY_RETRY))
            }
        }
    }

    /// What is drawn on whoever serves the call: the limits of the gateway, of its tenant and those above that, of its key.
    fn common(&self) -> Common<'_> {
        let tenants = self.who.tenant.iter().flat_map(|tenant| tenant.pools.iter().chain(&tenant.budgets));
        let configured = self.snapshot.config.gateway_pool.iter().chain(tenants);
        let own = self.who.key.iter().filter_map(|key| key.pool.as_ref());
        configured.map(|id| &self.snapshot.pools[id.0]).chain(own).collect()
    }

    /// The request for room.
    pub(super) fn wish(
        &self,
        id: ModelId,
        ranked: &[Ranked<'_>],
        session: Option<SessionRef>,
        ask_for: AskFor,
    ) -> Wish {
        let key = (self.snapshot.model_names[id.0].clone(), self.tenant_name.clone());
        let predicted = self.worker.shared.predicted(&key);
        let estimate = |deployment: &Deployment, policy| self.estimate(deployment, policy, predicted);
        let (config, infos) = (&self.snapshot.config, &self.snapshot.pools);
        let ask_for = AskFor { at: unix_now(), ..ask_for };
        admit::wish(config, infos, &self.common(), ranked, estimate, session, ask_for)
    }

    /// None of these has room: what a forecast goes by is what is asked of them, not what they could serve.
    fn missed(&self, id: ModelId, ranked: &[Ranked<'_>]) {
        let output = self.expected_output(id).saturating_mul(self.peek.choices);
        for ranked in ranked {
            let standing = &self.snapshot.standings[ranked.target.deployment.0];
            standing.missed(self.input - self.guessed, output);
        }
    }

    /// Asks the state. What a failed attempt held is given back in the books and may not be told yet: it must not stand in
    /// its own call's way.
    pub(super) async fn reserve(&self, wish: &mut Wish, tried: &Tried) -> Result<Outcome, Away> {
        let (client, port) = (&self.worker.shared.client, &self.worker.port);
        let outcome = client.reserve(port, wish, self.deadline).await;
        if tried.deployments.is_empty() || !matches!(outcome, Ok(Outcome::Denied(_))) {
            return outcome;
        }
        match tokio::time::timeout_at(self.deadline.into(), client.tell_now(port)).await {
            Ok(Ok(())) => client.reserve(port, wish, self.deadline).await,
            _ => outcome,
        }
    }

    fn estimate(&self, deployment: &Deployment, policy: ReservePolicy, predicted: Option<u64>) -> Estimate {
        let (explicit, choices) = (self.peek.max_output, self.peek.choices);
        let output = estimate::output_tokens(explicit, choices, policy, deployment.max_output, predicted);
        let offered = self.peek.has_tools && self.peek.api.reads();
        let tools = if offered && adds_to_tools(deployment) { estimate::TOOLS } else { 0 };
        let sure = (self.input - self.guessed).saturating_add(tools);
        let weight = Weight { sure, guessed: self.guessed };
        let weight = weight.within(deployment.context_window);
        let (input, guessed_input) = (weight.total(), weight.guessed);
        let (explicit_output, service) = (explicit.is_some(), self.peek.service);
        Estimate { input, guessed_input, output, explicit_output, service }
    }

    /// Tells a collector of the reservation.
    fn tell_admitted(&self, reservation: &Reservation, ranked: &[Ranked<'_>], common: &[&Arc<PoolInfo>]) {
        if !self.trace.is_told() {
            return;
        }
        let deployments = &self.snapshot.config.deployments;
        let of = |ranked: &Ranked<'_>| ranked.target.deployment.0;
        let names = ranked.iter().map(|ranked| &deployments[of(ranked)].name);
        let drawn = ranked.get(reservation.index).map_or(&[][..], |taken| &deployments[of(taken)].pools);
        let drawn = drawn.iter().map(|id| &self.snapshot.pools[id.0]);
        let pools = drawn.chain(common.iter().copied());
        self.trace.admitted(reservation, names, pools.map(|info| &info.name));
    }

    fn denied(&self, infos: &[Arc<PoolInfo>], common: &[&Arc<PoolInfo>], denied: &Denied) -> Error {
        let mut wait = Duration::from_millis(denied.retry_in.max(1));
        if denied.open {
            self.worker.shared.metrics.denied("circuit", &"".into());
            self.trace.denied("circuit", &"".into(), wait);
            let message = "Every deployment of this model that has room has failed lately.";
            return Error::new(Kind::UpstreamFailed, message).retry_after(wait);
        }
        let pool = infos.get(denied.pool);
        let name = pool.map_or_else(|| "".into(), |pool| pool.name.clone());
        let ours = denied.common || pool.is_some_and(|pool| common.iter().any(|info| info.name == pool.name));
        let scope = match (ours, &*name) {
            _ if pool.is_none() => "queue", // it did not come to ask
            (true, "gateway") => "gateway",
            (true, name) if name.starts_with(table::POOLS) => "key",
            (true, _) => "tenant",
            (false, _) => "capacity",
        };
        // (There may be more keys than a metric should have series.)
        let series = if scope == "key" { "".into() } else { name.clone() };
        // A budget whose calls hold it is free again soon; one that is spent begins anew with its period.
        let spent = pool.and_then(|pool| pool.until).filter(|_| wait > HELD);
        if let Some(until) = spent {
            wait = wait.min(Duration::from_millis(until.saturating_sub(unix_ms()).max(1)));
        }
        let told = if spent.is_some() { "budget" } else { scope };
        self.worker.shared.metrics.denied(told, &series);
        self.trace.denied(told, &name, wait);
        if spent.is_some() && scope == "tenant" {
            let message = "The budget of this key is spent.";
            return Error::new(Kind::BudgetSpent, message).retry_after(wait);
        }
        let (kind, whose) = match scope {
            "tenant" | "key" => (Kind::RateLimited, "Rate limit reached for this key"),
            "gateway" => (Kind::RateLimited, "Rate limit reached for this gateway"),
            _ => (Kind::NoCapacity, "Every deployment of this model is at its limit"),
        };
        let message = format!("{whose}. Please try again in {:.3}s.", wait.as_secs_f64());
        Error::new(kind, message).retry_after(wait)
    }
}

/// Has its provider models that it gives a prompt of its own along with tools? None of OpenAI's dialects does.
fn adds_to_tools(deployment: &Deployment) -> bool {
    let dialects = &deployment.account.preset.dialects;
    ![preset::Dialect::OpenaiChat, preset::Dialect::OpenaiResponses].iter().any(|own| dialects.contains(own))
}

/// Is it the pool of a call's own key or tenant? What is left of others, those of a tenant above included, says what others use.
fn is_own(pool: &str, tenant: &str) -> bool {
    pool.starts_with(table::POOLS) || pool.strip_prefix("tenant/") == Some(tenant)
}

/// A pool's name without the account behind it, nor a tenant that is not the caller's.
fn public<'n>(pool: &'n str, tenant: &str) -> &'n str {
    if pool.starts_with(table::POOLS) {
        "this key"
    } else if pool == "gateway" || tenant_of(pool) == Some(tenant) {
        pool
    } else if pool.starts_with("tenant/") {
        "a tenant above"
    } else {
        "this model"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Broken on purpose to see it fail: the pools of tenants above taken for their own.
    #[test]
    fn who_calls_hears_of_its_own_limits_alone() {
        let own = |pool: &str| is_own(pool, "app");
        assert_eq!(
            ["key/key_1", "tenant/app", "tenant/org", "tenant/application", "gateway"].map(own),
            [true, true, false, false, false]
        );
        for (pool, said) in [
            ("key/key_1", "this key"),
            ("tenant/app", "tenant/app"),
            ("tenant/app/budget/day", "tenant/app/budget/day"),
            ("tenant/org", "a tenant above"),
            ("tenant/org/budget/month", "a tenant above"),
            ("gateway", "gateway"),
            ("account/a", "this model"),
        ] {
            assert_eq!(public(pool, "app"), said);
        }
    }
}
