//! Metrics of what is configured and how the cluster stands, made when they are asked for. Nothing here costs a call anything.

use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Meter};
use parking_lot::Mutex;

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
    pub(super) fn new(meter: &Meter) -> Overview {
        let level =
            |name: &'static str, text: &'static str| meter.u64_gauge(name).with_description(text).build();
        let levels = |name: &'static str, text: &'static str| {
            Levels::new(meter.f64_gauge(name).with_description(text).build(), 0.0)
        };
        let count =
            |name: &'static str, text: &'static str| meter.u64_counter(name).with_description(text).build();
        let build = level("weir_build_info", "1, with the version of this replica");
        build.record(1, &[KeyValue::new("version", env!("CARGO_PKG_VERSION"))]);
        Overview {
            config: level(
                "weir_config_hash",
                "Which configuration is in force: the same number, the same file",
            ),
            replicas: level("weir_replicas_alive", "Replicas alive, as this one has heard last"),
            deployments: levels(
                "weir_deployment_info",
                "1 for each deployment, with its account and provider",
            ),
            used: levels(
                "weir_deployment_utilisation_ratio",
                "How full a deployment is: of all limits that it draws on the fullest",
            ),
            shares: levels(
                "weir_deployment_share_ratio",
                "The share of a model's calls that a deployment is due by its weight",
            ),
            down: levels("weir_model_down", "1 while every deployment of a model is left alone"),
            failures: count(
                "weir_redis_failures",
                "Messages to the shared state that were not answered, by reason",
            ),
            alerts: count("weir_alert_posts", "Messages of alerts, by what became of them"),
            counted: Mutex::default(),
        }
    }

    /// The hash of the configuration in force, hexadecimal, of which so much is shown as a number holds exactly; how many
    /// replicas there are; what failed so far.
    pub(super) fn replica(&self, hash: &str, replicas: usize, failures: Failures) {
        let first = hash.get(..12).and_then(|digits| u64::from_str_radix(digits, 16).ok());
        self.config.record(first.unwrap_or_default(), &[]);
        self.replicas.record(replicas as u64, &[]);
        let before = std::mem::replace(&mut *self.counted.lock(), failures);
        for (reason, more) in failures.since(before) {
            self.failures.add(more, &[KeyValue::new("reason", reason)]);
        }
    }

    pub(super) fn deployment(&self, name: &Arc<str>, account: &str, provider: &str) {
        let labels = [
            KeyValue::new("deployment", name.clone()),
            KeyValue::new("account", account.to_owned()),
            KeyValue::new("provider", provider.to_owned()),
        ];
        self.deployments.show(1.0, &labels);
    }

    pub(super) fn used(&self, deployment: &Arc<str>, share: f64) {
        self.used.show(share, &[KeyValue::new("deployment", deployment.clone())]);
    }

    pub(super) fn share(&self, model: &Arc<str>, deployment: &Arc<str>, share: f64) {
        let labels = [KeyValue::new("model", model.clone()), KeyValue::new("deployment", deployment.clone())];
        self.shares.show(share, &labels);
    }

    pub(super) fn down(&self, model: &Arc<str>, is_down: bool) {
        self.down.show(f64::from(u8::from(is_down)), &[KeyValue::new("model", model.clone())]);
    }

    pub(super) fn alerts_posted(&self, taken: bool) {
        self.alerts.add(1, &[KeyValue::new("outcome", if taken { "taken" } else { "failed" })]);
    }

    /// Those that come and go.
    pub(super) fn levels(&self) -> [&Levels; 4] {
        [&self.deployments, &self.used, &self.shares, &self.down]
    }
}
