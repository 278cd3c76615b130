//! Models, rules, experiments and tenants.

use super::*;

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
