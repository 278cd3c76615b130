//! From a call to a reservation: what it would draw on every pool that any of its candidates touches.

pub mod estimate;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::config::{Circuit, Config, Cooldown, Deployment, MeterKind, ReservePolicy};
use crate::route::Ranked;
use crate::state::core::meter::WHOLE;
use crate::state::core::{Amounts, Caller, Candidate, Draw, Incarnation, Reserve, SessionRef, Tell, Trip};
use crate::state::{PoolInfo, Wish};
use estimate::{Estimate, Spend};

/// What the answer shall tell besides.
#[derive(Clone, Copy, Debug)]
pub struct AskFor {
    /// What is left of one of the `common` pools: its index.
    pub left: Option<usize>,
    /// What became of each candidate.
    pub why: bool,
    /// Drawn evenly from 0 to 999,999, for deployments whose calls are coming back.
    pub luck: u64,
    /// Of the candidates' caps at most this share may be used with it, millionths.
    pub most: u64,
    /// When, Unix seconds: prices change.
    pub at: u64,
}

impl Default for AskFor {
    fn default() -> AskFor {
        AskFor { left: None, why: false, luck: 0, most: WHOLE, at: 0 }
    }
}

/// Builds the request for room: `common` pools whoever serves it, each candidate's own pools besides.
pub fn wish(
    config: &Config,
    infos: &[Arc<PoolInfo>],
    common: &[&Arc<PoolInfo>],
    ranked: &[Ranked<'_>],
    estimate: impl Fn(&Deployment, ReservePolicy) -> Estimate,
    session: Option<SessionRef>,
    ask_for: AskFor,
) -> Wish {
    let at = ask_for.at;
    let mut pools = Pools { index: Vec::with_capacity(common.len() + 3 * ranked.len()) };
    // A pool of ours counts what any candidate could use.
    let deployments = || ranked.iter().map(|ranked| &config.deployments[ranked.target.deployment.0]);
    let widest = |policy| deployments().map(|d| estimate(d, policy)).reduce(Estimate::widest);
    let dearest = |deployment: &Deployment, policy| {
        let price = deployment.pricing.latest(at)?;
        Some(estimate::spend(price, &estimate(deployment, policy)))
    };
    let common: Vec<Draw> = common
        .iter()
        .filter_map(|info| {
            let spend = || deployments().filter_map(|d| dearest(d, info.reserve)).reduce(Spend::widest);
            let spend = if info.is_budget() { spend() } else { None };
            Some(pools.draw(info, widest(info.reserve)?, spend))
        })
        .collect();
    let left = ask_for.left.and_then(|at| common.get(at)).map(|draw| draw.pool);
    let candidates = ranked
        .iter()
        .map(|ranked| {
            let deployment = &config.deployments[ranked.target.deployment.0];
            Candidate {
                tag: deployment.tag,
                tier: ranked.tier,
                threshold: ranked.threshold,
                circuit: trip(deployment),
                account: deployment.account.tag,
                draws: deployment
                    .pools
                    .iter()
                    .map(|pool| {
                        let info = &infos[pool.0];
                        let estimate = estimate(deployment, info.reserve);
                        let price = if info.is_budget() { deployment.pricing.latest(at) } else { None };
                        pools.draw(info, estimate, price.map(|price| estimate::spend(price, &estimate)))
                    })
                    .collect(),
            }
        })
        .collect();
    let infos: Vec<Arc<PoolInfo>> = pools.index.into_iter().cloned().collect();
    let used = infos.iter().any(|info| info.is_watched.load(Ordering::Relaxed));
    let tell = Tell { left, why: ask_for.why, used };
    let decls = infos.iter().map(|info| info.decl.clone()).collect();
    let AskFor { luck, most, .. } = ask_for;
    let (caller, turn) = (nobody(), None);
    let mut ask = Reserve { caller, pools: decls, common, candidates, session, tell, luck, most, turn };
    ask.normalise();
    let prices = if infos.iter().any(|info| info.is_budget()) {
        deployments().map(|d| d.pricing.latest(at).copied()).collect()
    } else {
        Vec::new()
    };
    Wish { infos, prices, ask: Arc::new(ask) }
}

/// The request for one request's room on these pools and on nothing else: by what is no call, uses no tokens, runs beside calls, and goes
/// to one place only. So it waits for limits of requests, and for no others.
pub fn one_request(pools_of: &[&Arc<PoolInfo>]) -> Wish {
    let mut pools = Pools { index: Vec::with_capacity(pools_of.len()) };
    let requests = |info: &PoolInfo| -> Amounts {
        info.kinds.iter().map(|kind| u64::from(*kind == MeterKind::Requests)).collect()
    };
    let common: Vec<Draw> =
        pools_of.iter().map(|info| Draw { pool: pools.at(info), amounts: requests(info) }).collect();
    let place = Candidate { tag: 0, tier: 0, threshold: WHOLE, circuit: None, account: 0, draws: Vec::new() };
    let infos: Vec<Arc<PoolInfo>> = pools.index.into_iter().cloned().collect();
    let decls = infos.iter().map(|info| info.decl.clone()).collect();
    let (caller, candidates, tell) = (nobody(), vec![place], Tell::default());
    let (session, turn, luck, most) = (None, None, 0, WHOLE);
    let mut ask = Reserve { caller, pools: decls, common, candidates, session, tell, luck, most, turn };
    ask.normalise();
    Wish { infos, prices: Vec::new(), ask: Arc::new(ask) }
}

/// Pools in the order in which draws name them.
struct Pools<'a> {
    index: Vec<&'a Arc<PoolInfo>>,
}

impl<'a> Pools<'a> {
    fn at(&mut self, info: &'a Arc<PoolInfo>) -> usize {
        self.index.iter().position(|known| Arc::ptr_eq(known, info)).unwrap_or_else(|| {
            self.index.push(info);
            self.index.len() - 1
        })
    }

    fn draw(&mut self, info: &'a Arc<PoolInfo>, estimate: Estimate, spend: Option<Spend>) -> Draw {
        let at = self.at(info);
        let counted = |kind| Estimate { output: info.counted.output(kind, estimate.output), ..estimate };
        let amounts: Amounts = info
            .kinds
            .iter()
            .zip(info.decl.meters.iter())
            .map(|(kind, meter)| match kind {
                MeterKind::Usd => spend.unwrap_or_default().amount(meter.cap),
                kind => estimate::amount(*kind, &counted(*kind), meter.cap),
            })
            .collect();
        Draw { pool: at, amounts }
    }
}

/// By what a deployment's circuit opens; none if it never does.
pub fn trip(deployment: &Deployment) -> Option<Trip> {
    let Circuit { enabled, failures, ratio, min_calls, window, open, successes, ramp } = deployment.circuit;
    // While checks go on none of its clients' calls is a probe: each check puts that off by so much.
    let check = deployment.health_check.as_ref();
    let open = check.map_or(open, |check| open.max(check.by_then()));
    let successes = check.map_or(successes, |check| check.successes);
    let (window, open, ramp) = (ms(window), ms(open), ms(ramp));
    enabled.then_some(Trip { failures, ratio, min_calls, window, open, successes, ramp, most: 0 })
}

/// The first time for which an account is left alone whose key is refused, or whose credit is spent.
const SHUT: Duration = Duration::from_secs(30);

/// By what an account's circuits open: at once, at first for half a minute, then from probe to probe for twice as long, up to
/// `cooldown.max`; or for as long as its provider says, within these bounds.
pub fn shuts(cooldown: Cooldown, said: Option<Duration>) -> Trip {
    let most = cooldown.max;
    let first = SHUT.min(most);
    let open = said.map_or(first, |time| time.clamp(first, most));
    let most = if said.is_some() { Duration::ZERO } else { most };
    let (open, most) = (ms(open), ms(most));
    Trip { failures: 1, ratio: 0, min_calls: 1, window: 30_000, open, successes: 1, ramp: 0, most }
}

fn ms(time: Duration) -> u64 {
    time.as_millis() as u64
}

/// The client fills the caller in.
fn nobody() -> Caller {
    Caller { epoch: 0, inc: Incarnation { name: String::new(), k: 0 }, l_ack: 0, x: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_left_alone_as_its_provider_says_or_longer_from_try_to_try() {
        let seconds = Duration::from_secs;
        let cooldown = |max| Cooldown { default: seconds(1), max };
        let times = |max, said| {
            let trip = shuts(cooldown(max), said);
            (trip.open / 1_000, trip.most / 1_000)
        };
        assert_eq!(times(seconds(600), None), (30, 600));
        assert_eq!(times(seconds(10), None), (10, 10), "no rest is longer");
        assert_eq!(times(seconds(600), Some(seconds(90))), (90, 0), "told, it is as long each time");
        assert_eq!(times(seconds(600), Some(seconds(86_400))), (600, 0));
        assert_eq!(times(seconds(600), Some(seconds(1))), (30, 0));
    }
}
