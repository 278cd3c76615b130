//! The file as written: its tables, with the keys of each. Meaning, unit and default of every key stand in
//! `config/production.toml`; rules that span keys are in [`check`](super::check).
//!
//! A key after `later` belongs to the schema, but its feature does not exist yet: it is refused, not ignored.

mod wording;

use std::net::SocketAddr;
use std::time::Duration;

use super::telemetry::{Protocol, Semconv, Signal};
use super::tree::{List, table};
use super::units::{Count, Day, Limit, Moment, Pause, Size};
pub(crate) use super::words::{Checked, CredentialKind, Pace, Reset, Text};
use super::{
    After, By, Charge, MeterKind, OnOutage, Period, Priority, Regions, ReservePolicy, Statistic, Strategy,
};
use crate::dialect::ability::Ability;
pub(crate) use wording::{
    Affinity, Complexity, Entry, Headers, Hedge, NamedBy, Prompt, Quality, Table, Target, Weight, Words,
};

table! {
    /// The file.
    File, "the file" {
        version: Count = required,
        providers_dir: String,
        prices: String,
        server: Server,
        limits: Limits,
        state: State,
        defaults: Defaults,
        accounts: List<Account>,
        deployments: List<Deployment>,
        models: List<Model>,
        rules: List<Rule>,
        experiments: List<Experiment>,
        tenants: List<Tenant>,
        alerts: Alerts,
        telemetry: Telemetry,
    } later {}
}

table! {
    Server, "`[server]`" {
        listen: SocketAddr,
        admin_listen: SocketAddr,
        metrics_listen: SocketAddr,
        admin_token: String,
        anonymous: bool,
        max_body: Size,
        max_calls: Count,
        max_buffered: Size,
        unread_timeout: Duration,
        stream_keepalive: Pause,
        remember_responses: Duration,
        drain_delay: Pause,
        drain_timeout: Duration,
        tls: Listener,
        proxy_protocol: bool,
        region: String,
    } later {}
}

table! {
    Listener, "the listener's `tls`" {
        /// File with the certificate in PEM form, and behind it those between it and the authority.
        cert: String,
        /// File with its key in PEM form.
        key: String,
    } later {}
}

table! {
    State, "`[state]`" {
        url: String,
        sentinel: Sentinel,
        cluster: List<String>,
        tls: TlsFiles,
        namespace: String,
        timeout: Duration,
        on_outage: OnOutage,
        expected_replicas: Count,
    } later {}
}

table! {
    Sentinel, "`sentinel`" {
        nodes: List<String> = required,
        master: String = required,
        username: String,
        password: String,
        data_username: String,
        data_password: String,
        data_db: u32,
        tls: bool,
    } later {}
}

table! {
    TlsFiles, "`tls`" { ca: String, cert: String, key: String } later {}
}

table! {
    Alerts, "`[alerts]`" { webhook: String } later {}
}

table! {
    Telemetry, "`[telemetry]`" {
        otlp_endpoint: String,
        otlp_protocol: Protocol,
        otlp_headers: Headers,
        otlp_signals: List<Signal>,
        otlp_tls: TlsFiles,
        service_name: String,
        resource_attributes: Table<String>,
        sample_ratio: f64,
        trust_traceparent: bool,
        semconv: Semconv,
        capture_content: bool,
        metrics_interval: Duration,
        tenant_labels: Count,
    } later {}
}

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

table! {
    Account, "`[[accounts]]`" {
        name: String = required,
        provider: String = required,
        base_url: String,
        region: String,
        resource: String,
        project: String,
        api_version: String,
        api_key: String,
        credentials: Credentials,
        headers: Headers,
        limits: Limits,
        meters: List<Meter>,
        charge: Charge,
        limits_preset: String,
        pools: List<AccountPool>,
        traceparent: bool,
        budgets: List<Budget>,
    } later { proxy, ca }
}

table! {
    Credentials, "`credentials`" {
        /// aws for bedrock, google for vertex, entra for azure. Without other keys: whatever the process finds around it.
        kind: CredentialKind = required,
        /// aws: a key; with `secret_access_key`.
        access_key_id: String,
        /// aws: its secret.
        secret_access_key: String,
        /// aws: for temporary keys.
        session_token: String,
        /// aws: a role that is taken with the token in `token_file`.
        role_arn: String,
        /// aws, entra: file with a token of the platform, such as Kubernetes'.
        token_file: String,
        /// google: the key file of a service account.
        file: String,
        /// google: its text.
        json: String,
        /// entra: the directory; with `client`, and `secret` or `token_file`.
        tenant: String,
        /// entra: the application; alone, the managed identity of that id.
        client: String,
        /// entra: a secret of the application.
        secret: String,
        /// entra: where tokens are given out in other clouds, default "https://login.microsoftonline.com".
        authority: String,
    } later {}
}

table! {
    AccountPool, "an account's `pools`" {
        name: String = required,
        models: List<String> = required,
        limits: Limits,
        meters: List<Meter>,
        pace: Pace,
        slow_start: SlowStart,
        reserve: ReservePolicy,
        charge: Charge,
        on_outage: OnOutage,
        budgets: List<Budget>,
    } later {}
}

table! {
    Deployment, "`[[deployments]]`" {
        name: String = required,
        account: String = required,
        model: String = required,
        limits: Limits,
        meters: List<Meter>,
        pace: Pace,
        slow_start: SlowStart,
        reserve: ReservePolicy,
        charge: Charge,
        on_outage: OnOutage,
        price: Price,
        context_window: Count,
        max_output: Count,
        timeouts: Timeouts,
        cooldown: Cooldown,
        circuit: Circuit,
        supports: List<Ability>,
        quality: Quality,
        tags: List<String>,
        health_check: HealthCheck,
    } later { params, metadata, region }
}

table! {
    Price, "`price`" {
        input: f64 = required,
        output: f64 = required,
        cache_read: f64,
        cache_write: f64,
        cache_write_1h: f64,
        request: f64,
        long: LongPrice,
        service: ServiceFactors,
    } later {}
}

table! {
    LongPrice, "a price's `long`" {
        above: Count = required,
        input: f64 = required,
        output: f64 = required,
        cache_read: f64,
        cache_write: f64,
        cache_write_1h: f64,
    } later {}
}

table! {
    ServiceFactors, "a price's `service`" { flex: f64, priority: f64, fast: f64, batch: f64 } later {}
}

table! {
    /// A price table, which is a file of its own.
    PriceTable, "the price table" {
        version: Count = required,
        prices: List<ListedPrice> = required,
    } later {}
}

table! {
    ListedPrice, "`[[prices]]`" {
        providers: List<String> = required,
        models: List<String> = required,
        from: Moment,
        until: Moment,
        hours: Words,
        price: Price = required,
        source: String = required,
        checked: Day = required,
        verified: bool,
    } later {}
}

table! {
    Model, "`[[models]]`" {
        name: String = required,
        aliases: List<String>,
        strategy: Strategy,
        tiebreak: Strategy,
        tiebreak_within: f64,
        latency: Latency,
        deployments: List<Target> = required,
        tiers: List<Tier>,
        affinity: Affinity,
        fallbacks: List<String>,
        context_fallbacks: List<String>,
        content_fallbacks: List<String>,
        timeouts: Timeouts,
        retry: Retry,
        headroom: Headroom,
        min_quality: f64,
        regions: Regions,
        queue: Queue,
        hedge: Hedge,
        baseline: String,
    } later {}
}

table! {
    TargetTable, "a model's `deployments`" {
        /// Of a deployment.
        name: String = required,
        weight: Weight,
        priority: u32,
        min_share: f64,
    } later {}
}

table! {
    Tier, "a model's `tiers`" { priority: u32 = required, attempts: Count, timeouts: Timeouts } later {}
}

table! {
    Rule, "`[[rules]]`" {
        name: String,
        when: When = required,
        r#use: String = required,
        tier: u32,
        require: List<String>,
    } later {}
}

table! {
    When, "a rule's `when`" {
        model: Words,
        min_tokens: Count,
        max_tokens: Count,
        tools: bool,
        images: bool,
        schema: bool,
        tags: Words,
        tenant: Words,
        prompt: Prompt,
        complexity: Complexity,
        metadata: Table<Words>,
        hours: Words,
    } later {}
}

table! {
    PromptTable, "`prompt`" { pattern: String = required, text: Text } later {}
}

table! {
    ComplexityTable, "`complexity`" {
        /// From here on.
        min: f64,
        /// Below this.
        max: f64,
    } later {}
}

table! {
    Experiment, "`[[experiments]]`" {
        name: String = required,
        model: String = required,
        by: By,
        variants: List<Variant> = required,
    } later {}
}

table! {
    Variant, "an experiment's `variants`" {
        name: String = required,
        share: f64 = required,
        deployments: List<String>,
        strategy: Strategy,
        tiebreak: Strategy,
    } later {}
}

table! {
    Tenant, "`[[tenants]]`" {
        name: String = required,
        parent: String,
        keys: List<String>,
        models: List<String>,
        tags: List<String>,
        limits: Limits,
        meters: List<Meter>,
        weight: f64,
        priority: Priority,
        budgets: List<Budget>,
    } later {}
}

/// Every key of the schema that works, table by table.
pub(crate) const KEYS: &[&[&str]] = &[
    File::KEYS,
    Server::KEYS,
    Listener::KEYS,
    State::KEYS,
    Sentinel::KEYS,
    TlsFiles::KEYS,
    Alerts::KEYS,
    Telemetry::KEYS,
    Limits::KEYS,
    Meter::KEYS,
    Budget::KEYS,
    Defaults::KEYS,
    Queue::KEYS,
    Latency::KEYS,
    Timeouts::KEYS,
    Retry::KEYS,
    Cooldown::KEYS,
    Circuit::KEYS,
    HealthCheck::KEYS,
    HedgeTable::KEYS,
    SlowStart::KEYS,
    Headroom::KEYS,
    AffinityTable::KEYS,
    Account::KEYS,
    Credentials::KEYS,
    AccountPool::KEYS,
    Deployment::KEYS,
    Price::KEYS,
    LongPrice::KEYS,
    ServiceFactors::KEYS,
    PriceTable::KEYS,
    ListedPrice::KEYS,
    Model::KEYS,
    TargetTable::KEYS,
    Tier::KEYS,
    Rule::KEYS,
    When::KEYS,
    PromptTable::KEYS,
    ComplexityTable::KEYS,
    Experiment::KEYS,
    Variant::KEYS,
    Tenant::KEYS,
];
