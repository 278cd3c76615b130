//! Metrics of what is configured and how the cluster stands, made when they are asked for. Nothing here costs a call anything.

use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge};
use parking_lot::Mutex;

use super::Metrics;
use super::instruments::Make;
use super::levels::Levels;
use crate::state::failures::Failures;

/// Their instruments.
#[derive(Debug)]
pub(super) struct Overview {
    config: Gauge<u64>,
    replicas: Gauge<u64>,
    deployments: Levels,
    used: Levels,
    shares: Levels,
    down: Levels,
    failures: Counter<u64>,
    alerts: Counter<u64>,
    counted: Mutex<Failures>, // of those that the state's client counts; short sections
}

impl Overview {
    pub(super) fn new(make: Make<'_>) -> Overview {
        let build = make.level("weir_build_info", "1, with the version of this replica");
        build.record(1, &[KeyValue::new("version", env!("CARGO_PKG_VERSION"))]);
        let config = "Which configuration is in force: the same number, the same file";
        let deployments = "1 for each deployment, with its account and provider";
        let used = "How full a deployment is: of all limits that it draws on the fullest";
        let shares = "The share of a model's calls that a deployment is due by its weight";
        let down = "1 while every deployment of a model is left alone";
        let failures = "Messages to the shared state that were not answered, by reason";
        Overview {
            config: make.level("weir_config_hash", config),
            replicas: make.level("weir_replicas_alive", "Replicas alive, as this one has heard last"),
            deployments: make.levels("weir_deployment_info", deployments, 0.0),
            used: make.levels("weir_deployment_utilisation_ratio", used, 0.0),
            shares: make.levels("weir_deployment_share_ratio", shares, 0.0),
            down: make.levels("weir_model_down", down, 0.0),
            failures: make.count("weir_redis_failures", failures),
            alerts: make.count("weir_alert_posts", "Messages of alerts, by what became of them"),
            counted: Mutex::default(),
        }
    }

    /// Those that come and go. (All fields are named, so that a new one is thought of.)
    pub(super) fn levels(&self) -> [&Levels; 4] {
        let Overview {
            deployments,
            used,
            shares,
            down,
            config: _,
            replicas: _,
            failures: _,
            alerts: _,
            counted: _,
        } = self;
        [deployments, used, shares, down]
    }
}

impl Metrics {
    /// The hash of the configuration in force, hexadecimal, of which so much is shown as a number holds exactly; how many
    /// replicas there are; what failed so far.
    pub fn replica(&self, hash: &str, replicas: usize, failures: Failures) {
        let first = hash.get(..12).and_then(|digits| u64::from_str_radix(digits, 16).ok());
        self.overview.config.record(first.unwrap_or_default(), &[]);
        self.overview.replicas.record(replicas as u64, &[]);
        let before = std::mem::replace(&mut *self.overview.counted.lock(), failures);
        for (reason, more) in failures.since(before) {
            self.overview.failures.add(more, &[KeyValue::new("reason", reason)]);
        }
    }

    /// A deployment that is configured.
    pub fn deployment(&self, name: &Arc<str>, account: &str, provider: &str) {
        let labels = [
            KeyValue::new("deployment", name.clone()),
            KeyValue::new("account", account.to_owned()),
            KeyValue::new("provider", provider.to_owned()),
        ];
        self.overview.deployments.show(1.0, &labels);
    }

    /// How full a deployment is, of all limits that it draws on the fullest.
    pub fn used(&self, deployment: &Arc<str>, share: f64) {
        self.overview.used.show(share, &[KeyValue::new("deployment", deployment.clone())]);
    }

    /// The share of a model's calls that a deployment is due.
    pub fn share(&self, model: &Arc<str>, deployment: &Arc<str>, share: f64) {
        let labels = [KeyValue::new("model", model.clone()), KeyValue::new("deployment", deployment.clone())];
        self.overview.shares.show(share, &labels);
    }

    /// Whether every deployment of a model is left alone.
    pub fn down(&self, model: &Arc<str>, is_down: bool) {
        self.overview.down.show(f64::from(u8::from(is_down)), &[KeyValue::new("model", model.clone())]);
    }

    /// A message of alerts was sent.
    pub fn alerts_posted(&self, taken: bool) {
        self.overview.alerts.add(1, &[KeyValue::new("outcome", if taken { "taken" } else { "failed" })]);
    }
}
