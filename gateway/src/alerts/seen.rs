//! What needs a person, as far as it shows in the shared state. Pure.

use std::sync::Arc;

use crate::config::{Account, Config, DeploymentId, Model};
use crate::duty::Duty;
use crate::state::PoolInfo;
use crate::state::core::{Cause, Circuit, Circuits, Pool, State};

/// A budget is nearly spent: this share of it is.
const NEAR: f64 = 0.8;
/// It is spent: less is left than calls need.
const SPENT: f64 = 0.99;

/// What is the matter; the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The shared state is away from the replica.
    StateAway,
    /// None of the model's deployments takes calls: their circuits are open, their accounts refused, or they are drained.
    ModelDown,
    /// The provider refuses the account's key.
    KeyRefused,
    /// The provider says that the account's credit is spent.
    CreditSpent,
    /// The budget is spent.
    BudgetSpent,
    /// Four fifths of it are.
    BudgetNear,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 6] = [
        Kind::StateAway,
        Kind::ModelDown,
        Kind::KeyRefused,
        Kind::CreditSpent,
        Kind::BudgetSpent,
        Kind::BudgetNear,
    ];

    /// In messages.
    pub fn name(self) -> &'static str {
        match self {
            Kind::StateAway => "state_away",
            Kind::ModelDown => "model_down",
            Kind::KeyRefused => "account_key_refused",
            Kind::CreditSpent => "account_credit_spent",
            Kind::BudgetSpent => "budget_spent",
            Kind::BudgetNear => "budget_near",
        }
    }

    /// What happened to `subject`, for people.
    pub fn says(self, subject: &str) -> String {
        match self {
            Kind::StateAway => {
                format!("replica {subject} cannot reach the shared state; on_outage decides what calls get")
            }
            Kind::ModelDown => format!("model {subject}: every deployment fails or is refused"),
            Kind::KeyRefused => format!("account {subject}: the provider refuses its key"),
            Kind::CreditSpent => format!("account {subject}: the provider says that its credit is spent"),
            Kind::BudgetSpent => format!("budget {subject} is spent; its calls are refused"),
            Kind::BudgetNear => format!("budget {subject}: 80 % of it are spent"),
        }
    }

    /// Does each replica tell it of itself?
    pub fn is_own(self) -> bool {
        self == Kind::StateAway
    }
}

/// Something that is the matter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Alert {
    /// What.
    pub kind: Kind,
    /// With whom: a name of the configuration, or a replica's.
    pub subject: String,
    /// Both, for receivers: the same as long as it is the same alert.
    pub key: String,
}

impl Alert {
    /// Of a kind, about `subject`.
    pub fn of(kind: Kind, subject: &str) -> Alert {
        Alert { kind, subject: subject.to_owned(), key: format!("{}/{subject}", kind.name()) }
    }

    /// By its key; none if it is none.
    pub fn read(key: &str) -> Option<Alert> {
        let (name, subject) = key.split_once('/')?;
        Kind::ALL.into_iter().find(|kind| kind.name() == name).map(|kind| Alert::of(kind, subject))
    }
}

/// The keys of the pools that are looked at: budgets.
pub fn pools(all: &[Arc<PoolInfo>]) -> Vec<Arc<str>> {
    all.iter().filter(|info| info.is_budget()).map(|info| info.decl.key.clone()).collect()
}

/// All that is the matter with the cluster, the gravest first.
pub fn seen(config: &Config, duties: &[Arc<Duty>], infos: &[Arc<PoolInfo>], state: &State) -> Vec<Alert> {
    let circuits = &state.circuits;
    let down = config.models.iter().filter(|model| is_down(model, config, duties, circuits));
    let mut seen: Vec<Alert> = down.map(|model| Alert::of(Kind::ModelDown, &model.name)).collect();
    for account in &config.accounts {
        let causes = [(Cause::Key, Kind::KeyRefused), (Cause::Quota, Kind::CreditSpent)];
        let shut = causes.into_iter().filter(|(cause, _)| is_shut(account, *cause, circuits));
        seen.extend(shut.map(|(_, kind)| Alert::of(kind, &account.name)));
    }
    for info in infos.iter().filter(|info| info.is_budget()) {
        let spent = state.pools.get(&info.decl.key).map_or(0.0, fullest);
        seen.extend(of_budget(spent).map(|kind| Alert::of(kind, &info.name)));
    }
    seen.sort_unstable();
    seen.dedup();
    seen
}

/// What there is to say of a budget of which this share is spent.
fn of_budget(spent: f64) -> impl Iterator<Item = Kind> {
    let kinds = [(Kind::BudgetSpent, SPENT), (Kind::BudgetNear, NEAR)];
    kinds.into_iter().filter(move |(_, share)| spent >= *share).map(|(kind, _)| kind)
}

/// Does a model have nothing but deployments that are left alone, by all replicas or by an operator's word?
pub fn is_down(model: &Model, config: &Config, duties: &[Arc<Duty>], circuits: &Circuits) -> bool {
    let is_left_alone = |id: DeploymentId| {
        let deployment = &config.deployments[id.0];
        duties.get(id.0).is_some_and(|duty| duty.is_drained())
            || is_open(deployment.tag, circuits)
            || [Cause::Key, Cause::Quota]
                .into_iter()
                .any(|cause| is_shut(&deployment.account, cause, circuits))
    };
    !model.targets.is_empty() && model.targets.iter().all(|target| is_left_alone(target.deployment))
}

fn is_shut(account: &Account, cause: Cause, circuits: &Circuits) -> bool {
    is_open(cause.tag(account.tag), circuits)
}

fn is_open(tag: u64, circuits: &Circuits) -> bool {
    circuits.known.get(&tag).is_some_and(Circuit::is_open)
}

/// How much of a pool is used, of several meters the fullest. What is held may be given back, so it does not
/// count; what was used before a data set was lost does.
fn fullest(pool: &Pool) -> f64 {
    pool.meters.iter().map(|meter| meter.spent() as f64 / meter.cap as f64).fold(0.0, f64::max)
}

#[cfg(test)]
#[path = "seen_tests.rs"]
mod tests;
