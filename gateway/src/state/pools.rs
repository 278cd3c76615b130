//! The pools of a configuration as the state needs them, and what a call draws from and posts to each meter.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::core::mutant::{Mutant, on};
use super::core::{Declared, PoolDecl, Shape, SlowStart, Stage};
use super::layout;
use crate::config::{
    self, Charge, Config, Counted, MeterKind, OnOutage, PoolSpec, Price, ReservePolicy, Side,
};
use crate::dialect::openai::answer::Usage;

/// A pool, ready to be drawn on.
#[derive(Debug)]
pub struct PoolInfo {
    /// Name in the configuration.
    pub name: Arc<str>,
    /// Key, shapes and caps.
    pub decl: PoolDecl,
    /// What each meter counts.
    pub kinds: Vec<MeterKind>,
    /// Whose limit it is.
    pub side: Side,
    /// Which tokens count.
    pub counted: Counted,
    /// What is held for an answer of unknown length.
    pub reserve: ReservePolicy,
    /// What becomes of the limits while the shared state is away.
    pub on_outage: OnOutage,
    /// Of a budget: when its period ends, Unix time, ms.
    pub until: Option<u64>,
    /// Of a budget: what was spent and is not posted yet, for the state counts in millionths: billionths of a US dollar.
    pub unposted: AtomicU64,
    /// Where to stop by what the provider says is used (`headroom.learned`), per mille of its limit.
    pub learned_permille: u32,
    /// Does what the provider says matter, for half of a limit is used? Then the state is asked what it has counted.
    pub is_watched: AtomicBool,
}

/// Whose a pool called so is: a tenant's limits are `tenant/NAME`, its budgets `tenant/NAME/budget/day` or `.../month`.
pub fn tenant_of(pool: &str) -> Option<&str> {
    let tenant = pool.strip_prefix("tenant/")?;
    let budget = ["/budget/day", "/budget/month"].into_iter().find_map(|end| tenant.strip_suffix(end));
    Some(budget.unwrap_or(tenant))
}

impl PoolInfo {
    /// Is a part of it for each of so many replicas, while the shared state is away, less than one of what it counts?
    pub fn leaves_nothing_to_each_of(&self, replicas: u64) -> bool {
        self.on_outage == OnOutage::Share && self.decl.meters.iter().any(|meter| meter.cap < replicas)
    }

    /// A pool of ours, called as its key is, whose meters count that.
    pub fn of(decl: PoolDecl, kinds: Vec<MeterKind>) -> PoolInfo {
        PoolInfo {
            name: decl.key.clone(),
            kinds,
            decl,
            side: Side::Ours,
            counted: Counted::ALL,
            reserve: ReservePolicy::Max,
            on_outage: OnOutage::Share,
            until: None,
            unposted: AtomicU64::new(0),
            learned_permille: 1_000,
            is_watched: AtomicBool::new(false),
        }
    }

    /// Does it count money?
    pub fn is_budget(&self) -> bool {
        self.until.is_some()
    }

    /// Takes note of whether it matters what the provider says; mostly nothing changes.
    pub(super) fn watch(&self, matters: bool) {
        if self.is_watched.load(Ordering::Relaxed) != matters {
            self.is_watched.store(matters, Ordering::Relaxed);
        }
    }

    /// What to post on a meter for an attempt that held `held` on it, at a deployment with this price.
    pub fn charge(&self, meter: usize, held: u64, actual: Actual, price: Option<&Price>) -> u64 {
        match self.kinds[meter] {
            MeterKind::Usd => self.spend(held, actual, price),
            kind => charge(kind, self.side, self.counted, held, actual),
        }
    }

    /// Millionths of a US dollar; what is less than one is posted with what comes later.
    fn spend(&self, held: u64, actual: Actual, price: Option<&Price>) -> u64 {
        let spent = match actual {
            Actual::Used(usage) => price.map_or(0.0, |price| price.about(&usage)),
            Actual::Partial(usage) => price.map_or(0.0, |price| price.about(&usage)),
            Actual::TimedOut { input } => price.map_or(0.0, |price| price.of(input, 0, 0, 0)),
            Actual::Failed => 0.0,
            Actual::Abandoned => return held, // nobody knows
        };
        let billionths = (spent * 1e9).round() as u64;
        let before = self.unposted.fetch_add(billionths % 1_000, Ordering::Relaxed);
        let carried = (before % 1_000 + billionths % 1_000) / 1_000;
        billionths / 1_000 + carried
    }
}

/// What became of an attempt, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actual {
    /// The provider said what it used.
    Used(Usage),
    /// The answer began and ended without its usage in all: client gone, stream cut. What is known of it: the input as the
    /// provider told it, or as we estimate it, and the output that reached us, about. A provider may have generated all of it.
    Partial(Usage),
    /// Sent, and nothing came of it in time: the provider may have read it, and go on. Limits count it as one that failed, money
    /// counts its input.
    TimedOut {
        /// Estimated input tokens.
        input: u64,
    },
    /// Sent, and no answer came of it.
    Failed,
    /// Sent, and given up by the client before the answer began; the provider may go on.
    Abandoned,
}

/// The pools of `config`, by [`crate::config::PoolId`]; budgets are those of the periods that `now` is in, Unix time, ms.
pub fn table(config: &Config, now: u64) -> Vec<Arc<PoolInfo>> {
    config.pools.iter().map(|spec| Arc::new(info(spec, now))).collect()
}

/// One of them, or one that no configuration has: the state needs to know no more of it than each call tells.
pub fn info(spec: &PoolSpec, now: u64) -> PoolInfo {
    let until = spec.period.map(|period| period.ends(now));
    let meters: Arc<[Declared]> = spec
        .meters
        .iter()
        .map(|meter| Declared {
            shape: match meter.kind {
                MeterKind::Concurrency => Shape::gauge(),
                kind => Shape::window(meter.per_ms, stage(kind, spec.side)),
            },
            cap: cap(meter.limit, spec.hard_permille),
            pace: if meter.per_ms > spec.pace_ms { spec.pace_ms } else { 0 },
        })
        .collect();
    let letters = spec.meters.iter().zip(meters.iter()).map(|(spec, meter)| (letter(spec.kind), meter.shape));
    // The next period has another key: nothing is taken over, and calls that run at its begin are paid from the one before.
    let key = match until {
        Some(until) => layout::pool_key(&layout::dated(&spec.name, until), letters),
        None => layout::pool_key(&spec.name, letters),
    };
    let kinds = spec.meters.iter().map(|meter| meter.kind).collect();
    let slow_start = spec.slow_start.filter(|_| !spec.meters.is_empty()).map(slow_start);
    PoolInfo {
        name: spec.name.clone(),
        side: spec.side,
        counted: spec.counted,
        reserve: spec.reserve,
        on_outage: spec.on_outage,
        until,
        learned_permille: spec.learned_permille,
        ..PoolInfo::of(PoolDecl { key, meters, slow_start }, kinds)
    }
}

fn slow_start(of: config::SlowStart) -> SlowStart {
    SlowStart { from: of.from_permille, factor: of.factor_permille, per: of.per.as_millis() as u64 }
}

/// The share of a limit that calls may use: rounded up and at least 1, or a limit of 1, 2 or 3 would lose a call.
pub fn cap(limit: u64, hard_permille: u32) -> u64 {
    if on(Mutant::HardShareFloored) {
        return limit * u64::from(hard_permille) / 1000;
    }
    (limit * u64::from(hard_permille)).div_ceil(1000).max(1)
}

/// When the charge on a meter is known to have happened.
fn stage(kind: MeterKind, side: Side) -> Stage {
    match (kind, side) {
        (MeterKind::Requests, _) => Stage::Head,
        (MeterKind::Concurrency | MeterKind::Usd, _) => Stage::End,
        (_, Side::Provider(Charge::AdmissionMax)) => Stage::Head,
        (_, Side::Provider(Charge::AdmissionActual | Charge::EndActual) | Side::Ours) => Stage::End,
    }
}

fn letter(kind: MeterKind) -> char {
    match kind {
        MeterKind::Requests => 'r',
        MeterKind::Tokens => 't',
        MeterKind::InputTokens => 'i',
        MeterKind::OutputTokens => 'o',
        MeterKind::Concurrency => 'c',
        MeterKind::Usd => 'u',
    }
}

/// What to post on a meter for an attempt that held `held` on it.
///
/// A provider that charges on arrival keeps the larger of estimate and use. One that charges what was used is
/// posted that, and the whole estimate when nobody knows (it may have gone on generating). Our own limits count
/// what is known to have happened.
fn charge(kind: MeterKind, side: Side, counted: Counted, held: u64, actual: Actual) -> u64 {
    let tokens = |input: u64, output: u64| match kind {
        MeterKind::Requests => 1,
        MeterKind::Concurrency | MeterKind::Usd => 0,
        MeterKind::Tokens => input.saturating_add(output),
        MeterKind::InputTokens => input,
        MeterKind::OutputTokens => output,
    };
    let used = |usage: &Usage| tokens(counted.input(usage), counted.output(kind, usage.output));
    match (kind, side, actual) {
        (MeterKind::Requests | MeterKind::Concurrency, _, _) => tokens(0, 0),
        (_, Side::Provider(Charge::AdmissionMax), Actual::Used(usage)) => held.max(used(&usage)),
        (_, _, Actual::Used(usage)) => used(&usage),
        (
            _,
            Side::Provider(_),
            Actual::Partial(_) | Actual::TimedOut { .. } | Actual::Failed | Actual::Abandoned,
        ) => held,
        (_, Side::Ours, Actual::Abandoned) => held,
        (_, Side::Ours, Actual::Partial(usage)) => tokens(usage.input, usage.output),
        (_, Side::Ours, Actual::TimedOut { .. } | Actual::Failed) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(input: u64, output: u64) -> Actual {
        Actual::Used(Usage { input, output, ..Usage::default() })
    }

    /// Bedrock gives back what its cache served and counts output five times; Gemini's limit is one of input.
    /// Broken on purpose to see it fail: what was written to the cache left out with what was read from it.
    #[test]
    fn a_provider_is_posted_what_it_counts() {
        let usage = Usage {
            input: 100,
            cached_input: 60,
            written_input: 10,
            output: 7,
            reasoning: 0,
            ..Usage::default()
        };
        let post = |counted, kind| {
            charge(kind, Side::Provider(Charge::AdmissionActual), counted, 500, Actual::Used(usage))
        };
        let bedrock = Counted { cached_input: false, cache_write: true, output: 5 };
        assert_eq!(post(bedrock, MeterKind::Tokens), 40 + 35);
        assert_eq!(post(bedrock, MeterKind::InputTokens), 40);
        assert_eq!(post(bedrock, MeterKind::OutputTokens), 35);
        let gemini = Counted { output: 0, ..Counted::ALL };
        assert_eq!(post(gemini, MeterKind::Tokens), 100);
        assert_eq!(post(gemini, MeterKind::OutputTokens), 7);
        assert_eq!(post(Counted::ALL, MeterKind::Tokens), 107);
    }

    /// As costs count it (`settle/tab.rs`). Broken on purpose to see it fail: nothing for what timed out, which the page shows as
    /// spent; what is known of a cut stream's cache left out.
    #[test]
    fn a_budget_pays_for_the_input_of_what_timed_out_and_for_what_a_cut_stream_has_told() {
        let rates = config::Rates { input: 10.0, cache_read: 1.0, output: 20.0, ..config::Rates::default() };
        let price = Price::flat(rates);
        let decl = PoolDecl { key: "".into(), meters: [].into(), slow_start: None };
        let budget = PoolInfo::of(decl, vec![MeterKind::Usd]);
        let post = |actual| budget.charge(0, 5_000, actual, Some(&price));
        assert_eq!(post(Actual::TimedOut { input: 100 }), 1_000);
        assert_eq!(post(Actual::Failed), 0);
        assert_eq!(post(Actual::Abandoned), 5_000, "all that was held: nobody knows");
        let cut = Usage { input: 1_000, cached_input: 900, output: 5, ..Usage::default() };
        assert_eq!(post(Actual::Partial(cut)), 1_000 + 900 + 100);
    }

    #[test]
    fn a_share_of_a_small_limit_never_loses_a_call() {
        assert_eq!([1, 2, 3, 20, 100].map(|limit| cap(limit, 950)), [1, 2, 3, 19, 95]);
        assert_eq!(cap(7, 1000), 7);
    }

    #[test]
    fn a_provider_that_charges_on_arrival_keeps_the_estimate_and_any_excess() {
        let side = Side::Provider(Charge::AdmissionMax);
        let post = |actual| charge(MeterKind::Tokens, side, Counted::ALL, 100, actual);
        assert_eq!(post(used(10, 20)), 100);
        assert_eq!(post(used(10, 120)), 130);
        assert_eq!(post(Actual::Failed), 100);
    }

    #[test]
    fn a_provider_that_charges_use_is_posted_the_estimate_only_when_nobody_knows() {
        let side = Side::Provider(Charge::EndActual);
        let post = |actual| charge(MeterKind::Tokens, side, Counted::ALL, 100, actual);
        assert_eq!(post(used(10, 20)), 30);
        let partial = Actual::Partial(Usage { input: 10, output: 3, ..Usage::default() });
        assert_eq!(post(partial), 100);
        let ours = |actual| charge(MeterKind::Tokens, Side::Ours, Counted::ALL, 100, actual);
        assert_eq!((ours(partial), ours(Actual::TimedOut { input: 10 })), (13, 0));
        assert_eq!(charge(MeterKind::Requests, Side::Ours, Counted::ALL, 1, Actual::Failed), 1);
    }
}
