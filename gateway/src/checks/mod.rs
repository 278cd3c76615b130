//! Health checks: deployments that are looked after without clients' calls, each by one replica of the cluster.
//!
//! Who that is follows from who lives, which every replica hears with each SYNC (`Client::is_elected`): nothing is asked and
//! nothing held. Every replica keeps the times of all checks and lets those pass that are another's. Whoever dies is not among
//! the living a second later; while views differ, a deployment may be checked twice in an interval, or once in two.

mod one;
mod plan;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tracing::Instrument;
use tracing::field::Empty;

use crate::config::{Deployment, HealthCheck, Target};
use crate::shared::{Snapshot, Worker};
use crate::state::core::Gates;
use crate::state::core::circuit::Gate;
use one::Found;
use plan::Plan;

/// Checks what is to be checked, whatever the configuration says by then, until told to stop; then what runs is dropped.
pub async fn keep(worker: Arc<Worker>, mut stop: watch::Receiver<bool>) {
    let mut adopted = worker.shared.adopted.subscribe();
    let mut keeper = Keeper { worker, plan: Plan::default(), running: JoinSet::new(), names: HashMap::new() };
    keeper.adopt();
    while !*stop.borrow() {
        let next = keeper.plan.next();
        let due = async {
            match next {
                Some(next) => tokio::time::sleep_until(next.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => keeper.begin(),
            Some(ended) = keeper.running.join_next_with_id() => keeper.end(ended),
            changed = adopted.changed() => match changed {
                Ok(()) => keeper.adopt(),
                Err(_) => return,
            },
            _ = stop.changed() => {}
        }
    }
}

/// A check that ended: by which configuration, of which of its deployments, and what it found.
type Ended = (Arc<Snapshot>, usize, Found);

struct Keeper {
    worker: Arc<Worker>,
    plan: Plan,
    running: JoinSet<Ended>,
    names: HashMap<Id, Arc<str>>, // of what runs
}

impl Keeper {
    fn adopt(&mut self) {
        let snapshot = self.worker.shared.snapshot.load();
        let checked = |deployment: &Deployment| Some((deployment.name.clone(), deployment.health_check?));
        let checks = snapshot.config.deployments.iter().filter_map(checked);
        self.plan.adopt(checks, Instant::now(), &mut fastrand::f64);
    }

    /// Begins the checks that are due and this replica's.
    fn begin(&mut self) {
        let snapshot = self.worker.shared.snapshot.load_full();
        for name in self.plan.due(Instant::now(), &mut fastrand::f64) {
            let Some((at, check, target)) = find(&snapshot, &name) else { continue };
            let deployment = &snapshot.config.deployments[at];
            // Nothing goes to one that an operator has drained: it may be about to end.
            if snapshot.duties[at].is_drained() || !self.worker.shared.client.is_elected(deployment.tag) {
                self.plan.forget(&name);
                continue;
            }
            if self.waits(deployment) {
                continue;
            }
            self.plan.begun(&name);
            let (worker, held) = (self.worker.clone(), snapshot.clone());
            let span = tracing::info_span!(
                target: "weir::health", "check health", otel.kind = "client", deployment = %name, outcome = Empty
            );
            let task = self.running.spawn(async move {
                let found = one::check(&worker, &held, &target, check).instrument(span.clone()).await;
                span.record("outcome", found.outcome());
                (held, at, found)
            });
            self.names.insert(task.id(), name);
        }
    }

    /// Is its account left alone for now? One call of the cluster tries it, or one check, when it is time.
    fn waits(&self, deployment: &Deployment) -> bool {
        let gates = Gates { own: 0, account: deployment.account.tag };
        matches!(self.worker.shared.client.gate(gates), Gate::Open { .. })
    }

    fn end(&mut self, ended: Result<(Id, Ended), JoinError>) {
        let (id, ended) = match ended {
            Ok((id, ended)) => (id, Some(ended)),
            Err(err) => (err.id(), None),
        };
        let Some(name) = self.names.remove(&id) else { return };
        let Some((snapshot, at, found)) = ended else {
            tracing::error!(target: "weir::health", deployment = %name, "a health check panicked");
            return self.plan.forget(&name);
        };
        let deployment = &snapshot.config.deployments[at];
        let Some(check) = deployment.health_check else { return };
        one::tell(&self.worker, deployment, check, &found, self.plan.has_failed(&name));
        self.worker.shared.metrics.checked(&name, found.outcome());
        if let Some(before) = self.plan.ended(&name, found.outcome()) {
            log(&name, before, &found);
        }
    }
}

/// A deployment that is checked, and one of the models' targets that it is; none if no model has it.
fn find(snapshot: &Snapshot, name: &str) -> Option<(usize, HealthCheck, Target)> {
    let config = &snapshot.config;
    let at = config.deployments.iter().position(|deployment| &*deployment.name == name)?;
    let targets = config.models.iter().flat_map(|model| &model.targets);
    let target = targets.into_iter().find(|target| target.deployment.0 == at)?;
    Some((at, config.deployments[at].health_check?, target.clone()))
}

/// Only what changes is told.
fn log(deployment: &str, before: Option<&str>, found: &Found) {
    let outcome = found.outcome();
    match found {
        Found::Well if before.is_none() => {}
        Found::Well => tracing::info!(target: "weir::health", deployment, outcome, "health check"),
        Found::Wrong(detail) => {
            tracing::warn!(target: "weir::health", deployment, outcome, detail, "health check");
        }
        Found::Refused(..) | Found::Nothing(_) => {
            tracing::warn!(target: "weir::health", deployment, outcome, "health check");
        }
    }
}
