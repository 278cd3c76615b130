//! Pools: limits that calls draw on together, and how a provider charges for it.

use std::sync::Arc;
use std::time::Duration;

use super::{OnOutage, Period};
use crate::dialect::openai::answer::Usage;

/// A quota pool: meters that calls draw on together.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolSpec {
    /// Unique, readable: `gateway`, `account/A`, `account/A/POOL`, `deployment/D`, `tenant/T`.
    pub name: Arc<str>,
    /// May be empty (a deployment without limits still has a pool, for its cooldown).
    pub meters: Vec<MeterSpec>,
    /// Whose limits these are.
    pub side: Side,
    /// Which tokens count.
    pub counted: Counted,
    /// What is held for the answer of a call.
    pub reserve: ReservePolicy,
    /// Finest interval over which the limit is kept even: 0 = the window only, else milliseconds (1_000, 10_000).
    pub pace_ms: u64,
    /// How slowly it is used at first.
    pub slow_start: Option<SlowStart>,
    /// Share of the limit that calls may use (`headroom.hard`), per mille; 1000 for our own limits.
    pub hard_permille: u32,
    /// Share of its limit at which to stop by what the provider says is used (`headroom.learned`), per mille.
    pub learned_permille: u32,
    /// What becomes of the limit while the shared state is away.
    pub on_outage: OnOutage,
    /// Of a budget: after each of them it begins anew.
    pub period: Option<Period>,
}

/// `slow_start`: how fast the use of a pool may grow ([`crate::state::core::slow`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowStart {
    /// What may be used of each limit at once, per mille.
    pub from_permille: u64,
    /// By what that grows, per mille,
    pub factor_permille: u64,
    /// in this time.
    pub per: Duration,
}

impl PoolSpec {
    /// Limits of ours: all of them, at any pace, never exceeded.
    pub fn ours(name: Arc<str>, mut meters: Vec<MeterSpec>, on_outage: OnOutage) -> PoolSpec {
        MeterSpec::sort(&mut meters);
        PoolSpec {
            name,
            meters,
            side: Side::Ours,
            counted: Counted::ALL,
            reserve: ReservePolicy::Max,
            pace_ms: 0,
            slow_start: None,
            hard_permille: 1000,
            learned_permille: 1000,
            on_outage,
            period: None,
        }
    }
}

/// One limit of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeterSpec {
    /// What is counted.
    pub kind: MeterKind,
    /// Units per window (or at once, for concurrency); at least 1.
    pub limit: u64,
    /// Window in milliseconds; 0 for concurrency.
    pub per_ms: u64,
}

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const DAY: u64 = 24 * 3600 * SECOND;

impl MeterSpec {
    /// The keys of `limits`: what each counts, and in which window, ms.
    pub const LIMITS: [(&'static str, MeterKind, u64); 8] = [
        ("rpm", MeterKind::Requests, MINUTE),
        ("rps", MeterKind::Requests, SECOND),
        ("rpd", MeterKind::Requests, DAY),
        ("tpm", MeterKind::Tokens, MINUTE),
        ("tpd", MeterKind::Tokens, DAY),
        ("itpm", MeterKind::InputTokens, MINUTE),
        ("otpm", MeterKind::OutputTokens, MINUTE),
        ("concurrency", MeterKind::Concurrency, 0),
    ];
    /// Limits are below this, so that sums of them stay exact integers everywhere.
    pub const END: u64 = super::units::COUNT_END;

    /// Puts meters into the order in which a pool has them, wherever and however they are written: its key names them so.
    pub fn sort(meters: &mut [MeterSpec]) {
        meters.sort_by_key(|spec| (spec.kind as u8, spec.per_ms != MINUTE, spec.per_ms));
    }
}

/// What a meter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MeterKind {
    /// Attempts sent.
    Requests,
    /// Input plus output tokens.
    Tokens,
    /// Input tokens.
    InputTokens,
    /// Output tokens.
    OutputTokens,
    /// Attempts in flight.
    Concurrency,
    /// What providers bill, millionths of a US dollar.
    Usd,
}

impl MeterKind {
    /// How much of it calls, input tokens and output tokens are.
    pub fn of(self, [calls, input, output]: [f64; 3]) -> f64 {
        match self {
            MeterKind::Requests => calls,
            MeterKind::Tokens => input + output,
            MeterKind::InputTokens => input,
            MeterKind::OutputTokens => output,
            MeterKind::Concurrency | MeterKind::Usd => 0.0,
        }
    }
}

/// Whose limit a pool states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Ours (gateway, tenant): what happened is what counts.
    Ours,
    /// The provider's: count as it does.
    Provider(Charge),
}

/// Which tokens count toward a limit of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Input that the provider read from its prompt cache.
    pub cached_input: bool,
    /// Input that it wrote to it.
    pub cache_write: bool,
    /// A token of output counts as so many; 0: output does not count.
    pub output: u32,
}

impl Counted {
    /// Every token, once.
    pub const ALL: Counted = Counted { cached_input: true, cache_write: true, output: 1 };

    /// What counts of the input that was used.
    pub fn input(self, usage: &Usage) -> u64 {
        let not = |counts: bool, tokens: u64| if counts { 0 } else { tokens };
        let excluded =
            not(self.cached_input, usage.cached_input) + not(self.cache_write, usage.written_input);
        usage.input.saturating_sub(excluded)
    }

    /// What so many tokens of output count as on a meter; one of output alone counts them in any case.
    pub fn output(self, kind: MeterKind, tokens: u64) -> u64 {
        let factor = if kind == MeterKind::OutputTokens { self.output.max(1) } else { self.output };
        tokens.saturating_mul(factor.into())
    }
}

/// When and what a provider charges for tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charge {
    /// Input + max_tokens when the request arrives, never refunded (OpenAI, Azure).
    AdmissionMax,
    /// The tokens really used, but counted from arrival on.
    AdmissionActual,
    /// The tokens really used, counted at the end of the answer.
    EndActual,
}

/// `reserve = "max" | "predicted"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReservePolicy {
    /// max_tokens of the call, else the deployment's max_output.
    Max,
    /// Learnt from past answers when the call sets no max_tokens.
    Predicted,
}
