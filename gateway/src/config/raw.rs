//! The file as written: its tables, with the keys of each. Meaning, unit and default of every key stand in
//! `config/production.toml`; rules that span keys are in [`check`](super::check).
//!
//! A key after `later` belongs to the schema, but its feature does not exist yet: it is refused, not ignored.

mod accounts;
mod models;
mod server;
mod settings;
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
pub(crate) use accounts::*;
pub(crate) use models::*;
pub(crate) use server::*;
pub(crate) use settings::*;
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
