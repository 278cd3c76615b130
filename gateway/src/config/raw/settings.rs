//! Limits, and what `[defaults]` may say of every model and deployment.

use super::*;

table! {
    Limits, "`limits`" {
        rpm: Limit,
        rps: Limit,
        rpd: Limit,
        tpm: Limit,
        tpd: Limit,
        itpm: Limit,
        otpm: Limit,
        concurrency: Limit,
    } later {}
}

table! {
    Meter, "`meters`" {
        kind: MeterKind = required,
        limit: Limit = required,
        per: Duration,
        reset: Reset,
    } later {}
}

table! {
    Budget, "`budgets`" {
        /// US dollars, from 0.000001 to 1,000,000.
        usd: f64 = required,
        /// "day" or "month", in UTC.
        per: Period = required,
    } later {}
}

table! {
    Defaults, "`[defaults]`" {
        strategy: Strategy,
        tiebreak: Strategy,
        tiebreak_within: f64,
        latency: Latency,
        timeouts: Timeouts,
        retry: Retry,
        cooldown: Cooldown,
        circuit: Circuit,
        headroom: Headroom,
        affinity: Affinity,
        regions: Regions,
        queue: Queue,
        health_check: HealthCheck,
        hedge: Hedge,
        slow_start: SlowStart,
    } later {}
}

table! {
    HealthCheck, "`health_check`" {
        kind: Checked,
        interval: Duration,
        timeout: Duration,
        successes: Count,
    } later {}
}

table! {
    HedgeTable, "`hedge`" { after: After, budget: f64 } later {}
}

table! {
    SlowStart, "`slow_start`" { from: f64, factor: f64, per: Duration } later {}
}

table! {
    Queue, "`queue`" {
        max: u32,
        wait: Duration,
    } later {}
}

table! {
    Latency, "`latency`" { window: Count, statistic: Statistic, choices: Count } later {}
}

table! {
    Timeouts, "`timeouts`" {
        connect: Duration,
        first_token: Duration,
        steady: Duration,
        idle: Duration,
        total: Duration,
    } later {}
}

table! {
    Retry, "`retry`" {
        attempts: Count,
        budget: f64,
        base: Duration,
        max: Duration,
        slow_after: Pause,
    } later {}
}

table! {
    Cooldown, "`cooldown`" { default: Duration, max: Duration } later {}
}

table! {
    Circuit, "`circuit`" {
        enabled: bool,
        failures: Count,
        ratio: f64,
        min_calls: Count,
        window: Duration,
        open: Duration,
        successes: Count,
        ramp: Pause,
    } later {}
}

table! {
    Headroom, "`headroom`" { soft: f64, hard: f64, learned: f64 } later {}
}

table! {
    AffinityTable, "`affinity`" { header: String, ttl: Duration, fields: NamedBy, prefix: bool } later {}
}
