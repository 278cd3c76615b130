//! Settings that stand in `[defaults]` and again nearer to where they apply; key by key, the nearest wins.

use std::time::Duration;

use http::HeaderName;

use super::super::tree::{At, Field, Reading};
use super::super::units::{Count, Pause};
use super::super::{
    Affinity, Circuit, Cooldown, Headroom, Hedge, Latency, Measure, Queue, Ranking, Regions, Retry,
    SlowStart, Statistic, Strategy, Timeouts, raw,
};
use super::slow_start::slow_start;
use super::{circuit, health, hedge, queue};
use crate::dialect::request::{Hint, Hints};

/// More attempts than this are a mistake: each may take a whole timeout.
const MOST_ATTEMPTS: u64 = 100;

/// `[defaults]`, with the built-in value of what it leaves out.
pub(super) struct Defaults {
    pub(super) ranking: Ranking,
    pub(super) timeouts: Timeouts,
    pub(super) retry: Retry,
    pub(super) cooldown: Cooldown,
    pub(super) circuit: Circuit,
    pub(super) headroom: Headroom,
    pub(super) affinity: Option<Affinity>,
    pub(super) regions: Regions,
    pub(super) queue: Queue,
    pub(super) health_check: health::Written,
    pub(super) slow_start: Option<SlowStart>,
    pub(super) hedge: Option<Hedge>,
}

/// What holds if the file says nothing.
fn built_in() -> Defaults {
    let seconds = Duration::from_secs;
    Defaults {
        ranking: Ranking {
            strategy: Strategy::Capacity,
            tiebreak: Strategy::Latency,
            tiebreak_within: 0.02,
            latency: Latency {
                measure: Measure { window: 100, statistic: Statistic::Quantile(0.95) },
                choices: 2,
            },
        },
        timeouts: Timeouts {
            connect: seconds(2),
            first_token: seconds(30),
            steady: None,
            idle: seconds(60),
            total: seconds(600),
        },
        retry: Retry {
            attempts: 3,
            budget: 200_000,
            base: Duration::from_millis(500),
            max: seconds(8),
            slow_after: None,
        },
        cooldown: Cooldown { default: seconds(5), max: seconds(600) },
        circuit: circuit::built_in(),
        headroom: Headroom { soft: 800, hard: 1000, learned: 950 },
        affinity: Some(built_in_affinity()),
        regions: Regions::Any,
        queue: queue::built_in(),
        health_check: health::built_in(),
        slow_start: None,
        hedge: None,
    }
}

fn built_in_affinity() -> Affinity {
    Affinity {
        header: HeaderName::from_static("x-session-id"),
        ttl: Duration::from_secs(3600),
        // What says of itself that calls belong together. A user has many conversations, and an application may send
        // one user for all; and how prompts begin must not undo, unasked, what a strategy promises.
        fields: Hints::NONE.and(Hint::Conversation).and(Hint::CacheKey),
        prefix: false,
    }
}

/// Resolves `[defaults]`.
pub(super) fn defaults(field: &Field<raw::Defaults>, cx: &mut Reading<'_>) -> Defaults {
    let base = built_in();
    let Some(At { value: written, .. }) = field.get() else { return base };
    Defaults {
        ranking: ranking(
            (&written.strategy, &written.tiebreak, &written.tiebreak_within, &written.latency),
            base.ranking,
            cx,
        ),
        timeouts: timeouts(&written.timeouts, base.timeouts, cx),
        retry: retry(&written.retry, base.retry, cx),
        cooldown: cooldown(&written.cooldown, base.cooldown, cx),
        circuit: circuit::circuit(&written.circuit, base.circuit, cx),
        headroom: headroom(&written.headroom, base.headroom, cx),
        affinity: affinity(&written.affinity, &base.affinity, cx),
        regions: written.regions.or(base.regions),
        queue: queue::queue(&written.queue, base.queue, cx),
        health_check: health::written(&written.health_check, base.health_check, cx),
        slow_start: slow_start(&written.slow_start, base.slow_start, cx),
        hedge: hedge::hedge(&written.hedge, base.hedge, cx),
    }
}

/// Does this level say anything about these keys, and nothing unreadable? Otherwise a conflict of theirs has been
/// reported where it was made.
fn is_ours_to_judge<T>(fields: &[&Field<T>]) -> bool {
    fields.iter().any(|field| field.get().is_some()) && !fields.iter().any(|field| field.is_bad())
}

/// `timeouts` over those of the level above.
pub(super) fn timeouts(field: &Field<raw::Timeouts>, base: Timeouts, cx: &mut Reading<'_>) -> Timeouts {
    let Some(At { value: written, span }) = field.get() else { return base };
    let raw::Timeouts { connect, first_token, steady, idle, total } = written;
    let resolved = Timeouts {
        connect: connect.or(base.connect),
        first_token: first_token.or(base.first_token),
        steady: steady.value().copied().or(base.steady),
        idle: idle.or(base.idle),
        total: total.or(base.total),
    };
    if is_ours_to_judge(&[connect, first_token, total])
        && resolved.connect + resolved.first_token > resolved.total
    {
        let Timeouts { connect, first_token, total, .. } = resolved;
        let [connect, first_token, total] = [connect, first_token, total].map(humantime::format_duration);
        cx.problem(
            span,
            format!("`connect` ({connect}) and `first_token` ({first_token}) exceed `total` ({total})"),
        );
    }
    resolved
}

/// `retry` over that of the level above.
pub(super) fn retry(field: &Field<raw::Retry>, base: Retry, cx: &mut Reading<'_>) -> Retry {
    let Some(At { value: written, span }) = field.get() else { return base };
    let raw::Retry { attempts: count, budget: share, base: first, max, slow_after } = written;
    let resolved = Retry {
        attempts: attempts(count, cx).unwrap_or(base.attempts),
        budget: budget(share, cx).unwrap_or(base.budget),
        base: first.or(base.base),
        max: max.or(base.max),
        slow_after: match slow_after.value() {
            Some(Pause(time)) => Some(*time).filter(|time| !time.is_zero()),
            None => base.slow_after,
        },
    };
    if is_ours_to_judge(&[first, max]) && resolved.base > resolved.max {
        let [base, max] = [resolved.base, resolved.max].map(humantime::format_duration);
        cx.problem(span, format!("`base` ({base}) exceeds `max` ({max})"));
    }
    resolved
}

/// A share of the calls, as whole millionths; none if there is none, or one that is reported.
fn budget(field: &Field<f64>, cx: &mut Reading<'_>) -> Option<u64> {
    let At { value, span } = field.get()?;
    if !(0.0..=100.0).contains(value) {
        cx.problem(span, "expected from 0 to 100 further attempts per call");
        return None;
    }
    Some((value * 1e6).round() as u64)
}

/// A number of attempts; none if there is none, or one that is reported.
pub(super) fn attempts(field: &Field<Count>, cx: &mut Reading<'_>) -> Option<u32> {
    let At { value: Count(count), span } = field.get()?;
    match u32::try_from(*count) {
        Ok(count) if u64::from(count) <= MOST_ATTEMPTS => Some(count),
        _ => {
            cx.problem(span, format!("more than {MOST_ATTEMPTS} attempts"));
            None
        }
    }
}

/// `cooldown` over that of the level above.
pub(super) fn cooldown(field: &Field<raw::Cooldown>, base: Cooldown, cx: &mut Reading<'_>) -> Cooldown {
    let Some(At { value: written, span }) = field.get() else { return base };
    let raw::Cooldown { default, max } = written;
    let resolved = Cooldown { default: default.or(base.default), max: max.or(base.max) };
    if is_ours_to_judge(&[default, max]) && resolved.default > resolved.max {
        let [default, max] = [resolved.default, resolved.max].map(humantime::format_duration);
        cx.problem(span, format!("`default` ({default}) exceeds `max` ({max})"));
    }
    resolved
}

/// `headroom` over that of the level above.
pub(super) fn headroom(field: &Field<raw::Headroom>, base: Headroom, cx: &mut Reading<'_>) -> Headroom {
    let Some(At { value: written, span }) = field.get() else { return base };
    let raw::Headroom { soft, hard, learned } = written;
    let before = cx.problems.len();
    let resolved = Headroom {
        soft: permille(soft, cx).unwrap_or(base.soft),
        hard: permille(hard, cx).unwrap_or(base.hard),
        learned: permille(learned, cx).unwrap_or(base.learned),
    };
    if is_ours_to_judge(&[soft, hard]) && cx.problems.len() == before && resolved.soft > resolved.hard {
        let [soft, hard] = [resolved.soft, resolved.hard].map(|permille| f64::from(permille) / 1000.0);
        cx.problem(span, format!("`soft` ({soft}) exceeds `hard` ({hard})"));
    }
    resolved
}

/// A share of a limit, in (0, 1], as whole per mille.
fn permille(field: &Field<f64>, cx: &mut Reading<'_>) -> Option<u32> {
    let At { value, span } = field.get()?;
    let permille = (value * 1000.0).round();
    if *value > 1.0 || permille < 1.0 {
        cx.problem(span, "expected a share from 0.001 to 1");
        return None;
    }
    Some(permille as u32)
}

/// `strategy`, `tiebreak`, `tiebreak_within` and `latency` over those of the level above.
pub(super) fn ranking(
    (strategy, tiebreak, within, times): (
        &Field<Strategy>,
        &Field<Strategy>,
        &Field<f64>,
        &Field<raw::Latency>,
    ),
    base: Ranking,
    cx: &mut Reading<'_>,
) -> Ranking {
    Ranking {
        strategy: strategy.or(base.strategy),
        tiebreak: tiebreak.or(base.tiebreak),
        tiebreak_within: share(within, base.tiebreak_within, cx),
        latency: latency(times, base.latency, cx),
    }
}

/// `tiebreak_within` over that of the level above.
fn share(field: &Field<f64>, base: f64, cx: &mut Reading<'_>) -> f64 {
    match field.get() {
        Some(At { value, .. }) if (0.0..=1.0).contains(value) => *value,
        Some(At { span, .. }) => {
            cx.problem(span, "expected a share from 0 to 1");
            base
        }
        None => base,
    }
}

/// `latency` over that of the level above.
fn latency(field: &Field<raw::Latency>, base: Latency, cx: &mut Reading<'_>) -> Latency {
    let Some(At { value: written, .. }) = field.get() else { return base };
    let raw::Latency { window, statistic, choices } = written;
    let mut count = |field: &Field<Count>, base: usize| {
        let Some(At { value: Count(count), span }) = field.get() else { return base };
        match usize::try_from(*count) {
            Ok(count) if count <= Measure::MOST_WINDOW => count,
            _ => {
                cx.problem(span, format!("expected at most {}", Measure::MOST_WINDOW));
                base
            }
        }
    };
    let (window, choices) = (count(window, base.measure.window), count(choices, base.choices));
    Latency { measure: Measure { window, statistic: statistic.or(base.measure.statistic) }, choices }
}

/// `affinity` over that of the level above; `None` if it is off.
pub(super) fn affinity(
    field: &Field<raw::Affinity>,
    base: &Option<Affinity>,
    cx: &mut Reading<'_>,
) -> Option<Affinity> {
    let written = match field.value() {
        None => return base.clone(),
        Some(raw::Affinity::Off) => return None,
        Some(raw::Affinity::On(written)) => written,
    };
    let mut resolved = base.clone().unwrap_or_else(built_in_affinity);
    resolved.ttl = written.ttl.or(resolved.ttl);
    resolved.fields = written.fields.value().map_or(resolved.fields, |named| named.0);
    resolved.prefix = written.prefix.or(resolved.prefix);
    if let Some(At { value, span }) = written.header.get() {
        match value.parse() {
            Ok(header) => resolved.header = header,
            Err(_) => cx.problem(span, "this cannot be the name of a header"),
        }
    }
    Some(resolved)
}
