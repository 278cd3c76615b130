//! Pools: limits and meters of gateway, accounts, deployments and tenants become one list.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::raw;
use super::super::tree::{Field, List, Reading, Span};
use super::super::units::Limit;
use super::super::{
    Charge, Counted, Headroom, MeterKind, MeterSpec, OnOutage, Period, PoolId, PoolSpec, ReservePolicy, Side,
    SlowStart,
};

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;

/// All pools so far.
pub(super) struct Pools {
    on_outage: OnOutage, // of those that do not say
    pub(super) specs: Vec<PoolSpec>,
    named: HashMap<Arc<str>, Span>,
}

/// A pool's name and the place in the file that gives it.
pub(super) struct Origin {
    pub(super) name: String,
    pub(super) span: Span,
}

/// How a pool counts.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    pub(super) side: Side,
    pub(super) counted: Counted,
    pub(super) reserve: ReservePolicy,
    pub(super) pace_ms: u64,
    pub(super) slow_start: Option<SlowStart>,
    pub(super) hard_permille: u32,
    pub(super) learned_permille: u32,
    pub(super) on_outage: Option<OnOutage>,
    pub(super) period: Option<Period>,
}

impl Terms {
    /// A limit of ours: the whole of it, at any pace, never exceeded.
    pub(super) fn ours(side: Side) -> Terms {
        let counted = Counted::ALL;
        Terms {
            side,
            counted,
            reserve: ReservePolicy::Max,
            pace_ms: 0,
            slow_start: None,
            hard_permille: 1000,
            learned_permille: 1000,
            on_outage: None,
            period: None,
        }
    }

    /// A limit of the provider's, unless the pool says otherwise.
    pub(super) fn provider(charge: Charge, headroom: Headroom, slow_start: Option<SlowStart>) -> Terms {
        let Headroom { hard: hard_permille, learned: learned_permille, .. } = headroom;
        Terms {
            side: Side::Provider(charge),
            slow_start,
            hard_permille,
            learned_permille,
            ..Terms::ours(Side::Ours)
        }
    }

    /// With what a pool says itself.
    pub(super) fn with(
        self,
        pace: &Field<raw::Pace>,
        reserve: &Field<ReservePolicy>,
        charge: &Field<Charge>,
        on_outage: &Field<OnOutage>,
    ) -> Terms {
        let side = charge.value().map_or(self.side, |charge| Side::Provider(*charge));
        Terms {
            side,
            counted: self.counted,
            reserve: reserve.or(self.reserve),
            pace_ms: pace.or(raw::Pace(self.pace_ms)).0,
            slow_start: self.slow_start,
            hard_permille: self.hard_permille,
            learned_permille: self.learned_permille,
            on_outage: on_outage.value().copied().or(self.on_outage),
            period: None,
        }
    }
}

impl Pools {
    /// None yet; `on_outage` of those that do not say.
    pub(super) fn new(on_outage: OnOutage) -> Pools {
        Pools { on_outage, specs: Vec::new(), named: HashMap::new() }
    }

    /// Adds a pool. Names contain `/`, so two of them can meet: `account/a/b` of the account `a/b` or of `a`.
    pub(super) fn add(
        &mut self,
        origin: Origin,
        meters: Vec<MeterSpec>,
        terms: Terms,
        cx: &mut Reading<'_>,
    ) -> PoolId {
        let name: Arc<str> = origin.name.into();
        // A name that is missing (it ends in `/`) or given twice has been reported.
        if let Some(first) = self.named.get(&name)
            && !name.ends_with('/')
            && !cx.has_problem_at(&origin.span)
        {
            let message = format!("its pool would have the same name as the pool at line {}", cx.line(first));
            cx.problem(&origin.span, message);
        }
        self.named.insert(name.clone(), origin.span);
        let Terms {
            side,
            counted,
            reserve,
            pace_ms,
            slow_start,
            hard_permille,
            learned_permille,
            on_outage,
            period,
        } = terms;
        let on_outage = on_outage.unwrap_or(self.on_outage);
        self.specs.push(PoolSpec {
            name,
            meters,
            side,
            counted,
            reserve,
            pace_ms,
            slow_start,
            hard_permille,
            learned_permille,
            on_outage,
            period,
        });
        PoolId(self.specs.len() - 1)
    }

    /// Adds a pool that exists only for its limits.
    pub(super) fn add_if_limited(
        &mut self,
        origin: Origin,
        meters: Vec<MeterSpec>,
        terms: Terms,
        cx: &mut Reading<'_>,
    ) -> Option<PoolId> {
        (!meters.is_empty()).then(|| self.add(origin, meters, terms, cx))
    }
}

/// The meters of `limits` and `meters` together; two of one kind and window are a problem.
pub(super) fn meters(
    limits: &Field<raw::Limits>,
    written: &Field<List<raw::Meter>>,
    cx: &mut Reading<'_>,
) -> Vec<MeterSpec> {
    let mut found: Vec<(MeterSpec, Span)> = limits.value().map(of_limits).unwrap_or_default();
    for meter in written.items() {
        let Some(spec) = of_meter(&meter.value, &meter.span, cx) else { continue };
        let same = |(other, _): &&(MeterSpec, Span)| other.kind == spec.kind && other.per_ms == spec.per_ms;
        match found.iter().find(same) {
            Some((_, first)) => {
                let line = cx.line(first);
                let message = format!("a second limit of this kind and window; the first is at line {line}");
                cx.problem(&meter.span, message);
            }
            None => found.push((spec, meter.span.clone())),
        }
    }
    let mut meters: Vec<MeterSpec> = found.into_iter().map(|(spec, _)| spec).collect();
    MeterSpec::sort(&mut meters);
    meters
}

fn of_limits(limits: &raw::Limits) -> Vec<(MeterSpec, Span)> {
    let raw::Limits { rpm, rps, rpd, tpm, tpd, itpm, otpm, concurrency } = limits;
    let written = [rpm, rps, rpd, tpm, tpd, itpm, otpm, concurrency];
    let meter = |(limit, (_, kind, per_ms)): (&Field<Limit>, (_, MeterKind, u64))| {
        limit.get().map(|at| (MeterSpec { kind, limit: at.value.0, per_ms }, at.span.clone()))
    };
    written.into_iter().zip(MeterSpec::LIMITS).filter_map(meter).collect()
}

fn of_meter(meter: &raw::Meter, span: &Span, cx: &mut Reading<'_>) -> Option<MeterSpec> {
    let raw::Meter { kind, limit, per, reset } = meter;
    let kind = *kind.value()?;
    if reset.is_bad() {
        return None;
    }
    let per_ms = match (per, kind) {
        (Field::Bad, _) => return None,
        (Field::Absent, MeterKind::Concurrency) => 0,
        (Field::Is(per), MeterKind::Concurrency) => {
            cx.problem(&per.span, "`concurrency` has no window: leave `per` out");
            return None;
        }
        (Field::Absent, _) => {
            cx.problem(span, "`per` is missing");
            return None;
        }
        (Field::Is(per), _) => match u64::try_from(per.value.as_millis()) {
            Ok(ms) if ms >= SECOND => ms,
            _ => {
                cx.problem(&per.span, "a window lasts from 1 second to 31 days");
                return None;
            }
        },
    };
    Some(MeterSpec { kind, limit: limit.value()?.0, per_ms })
}

/// The tightest limit of a list of meters as requests per minute, a request counted as 1000 tokens.
pub(super) fn requests_per_minute<'m>(meters: impl Iterator<Item = &'m MeterSpec>) -> Option<f64> {
    let rate = |meter: &MeterSpec| {
        let per_minute = meter.limit as f64 * MINUTE as f64 / meter.per_ms as f64;
        match meter.kind {
            MeterKind::Requests => Some(per_minute),
            MeterKind::Tokens | MeterKind::InputTokens | MeterKind::OutputTokens => Some(per_minute / 1000.0),
            MeterKind::Concurrency | MeterKind::Usd => None,
        }
    };
    meters.filter_map(rate).min_by(f64::total_cmp)
}
