//! Accounts and deployments, and what they cost.

use super::*;

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
