//! What operators say of a deployment at run time: whether it serves (a *drain* ends that), and its weight.
//!
//! It is told through the shared state as the shares of experiments are ([`told`]). A drain holds until it is ended, whatever the
//! file says meanwhile. A weight holds beside the file's own weights of the deployment as they were when it was set. Calls look at a
//! duty without a lock, and at that of the snapshot that they began with: it is the same one after a reload.

pub mod told;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::config::{Config, DeploymentId};
use crate::state::{Board, Post};

/// The largest weight.
pub const MOST_WEIGHT: f64 = 1e6;
/// The weight of the file holds.
const OF_THE_FILE: u64 = u64::MAX; // the bits of a number that is none

/// What was set at run time, as all replicas are told it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// The newest counts; from 1.
    #[serde(skip)]
    pub version: u64,
    /// It gets no new calls.
    pub drained: bool,
    /// In place of the file's, in every model; none: the file's.
    pub weight: Option<f64>,
    /// The file's weights of it as they were then: when they change, the file counts again.
    pub basis: String,
}

impl Post for Told {
    const BOARD: Board = Board::Duties;

    fn version(&self) -> u64 {
        self.version
    }

    fn numbered(self, version: u64) -> Told {
        Told { version, ..self }
    }

    fn is_sound(&self) -> bool {
        self.weight.is_none_or(is_weight)
    }
}

/// Is it one? Nothing is sent by a weight of 0, and that is what a drain is for.
pub fn is_weight(weight: f64) -> bool {
    weight > 0.0 && weight <= MOST_WEIGHT
}

/// What is to be set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// Whether it is drained.
    Drained(bool),
    /// Its weight; none: that of the file.
    Weight(Option<f64>),
}

/// One deployment's, at one replica. It outlives reloads.
#[derive(Debug)]
pub struct Duty {
    /// The deployment.
    pub name: Arc<str>,
    drained: AtomicBool,
    weight: AtomicU64,   // its bits, or OF_THE_FILE
    known: Mutex<Known>, // short sections
}

#[derive(Debug)]
struct Known {
    basis: String,
    told: Option<Told>,
}

impl Duty {
    /// Of a deployment whose weights in the file are `basis`; nothing was told of it.
    pub fn new(name: Arc<str>, basis: String) -> Duty {
        Duty {
            name,
            drained: AtomicBool::new(false),
            weight: AtomicU64::new(OF_THE_FILE),
            known: Mutex::new(Known { basis, told: None }),
        }
    }

    /// Does it get no new calls?
    pub fn is_drained(&self) -> bool {
        self.drained.load(Ordering::Relaxed)
    }

    /// The weight that was set, if one was.
    pub fn weight(&self) -> Option<f64> {
        let bits = self.weight.load(Ordering::Relaxed);
        (bits != OF_THE_FILE).then(|| f64::from_bits(bits))
    }

    /// Which number what was told last has; 0 if nothing was.
    pub fn version(&self) -> u64 {
        self.known.lock().told.as_ref().map_or(0, |told| told.version)
    }

    /// What was told last.
    pub fn told(&self) -> Option<Told> {
        self.known.lock().told.clone()
    }

    /// The file's weights of it are these from now on.
    pub fn rebase(&self, basis: String) {
        let mut known = self.known.lock();
        known.basis = basis;
        self.show(&known);
    }

    /// Something was told by the shared state. Returns whether it is news.
    pub fn adopt(&self, told: &Told) -> bool {
        let mut known = self.known.lock();
        let is_news = told.is_news_to(known.told.as_ref());
        if is_news {
            known.told = Some(told.clone());
            self.show(&known);
        }
        is_news
    }

    /// What is to be told, for the change to be made to what is known here.
    fn after(&self, change: Change) -> Told {
        let known = self.known.lock();
        let nothing = || Told { version: 0, drained: false, weight: None, basis: known.basis.clone() };
        let told = known.told.clone().unwrap_or_else(nothing);
        let version = told.version + 1;
        match change {
            // (In a rollout the weight may hold at replicas of another file, though not here.)
            Change::Drained(drained) => Told { version, drained, ..told },
            Change::Weight(weight) => {
                Told { version, weight, basis: known.basis.clone(), drained: told.drained }
            }
        }
    }

    fn show(&self, known: &Known) {
        let told = known.told.as_ref();
        self.drained.store(told.is_some_and(|told| told.drained), Ordering::Relaxed);
        let weight = told.filter(|told| told.basis == known.basis).and_then(|told| told.weight);
        self.weight.store(weight.map_or(OF_THE_FILE, f64::to_bits), Ordering::Relaxed);
    }
}

/// The duties of a configuration, by [`DeploymentId`]: as before, where there was a deployment of the name. (Of the others it is
/// known what the board says: [`told::Heard`].)
pub fn of(config: &Config, before: Option<&[Arc<Duty>]>) -> Vec<Arc<Duty>> {
    let kept = |name: &str| before?.iter().find(|duty| *duty.name == *name).cloned();
    let new = |at: usize, name: &Arc<str>| Arc::new(Duty::new(name.clone(), basis(config, DeploymentId(at))));
    let all = config.deployments.iter().enumerate();
    all.map(|(at, deployment)| kept(&deployment.name).unwrap_or_else(|| new(at, &deployment.name))).collect()
}

/// The file's weights of a deployment, by model, whatever the order of the file. (Of an automatic one what it comes to does not
/// count: it follows from limits.)
pub fn basis(config: &Config, id: DeploymentId) -> String {
    let mut weights = Vec::new();
    for model in &config.models {
        for target in model.targets.iter().filter(|target| target.deployment == id) {
            let weight = if target.auto { "auto".to_owned() } else { target.weight.to_string() };
            let star = if model.wildcard { "*" } else { "" };
            weights.push(format!("{}{star}={weight} ", model.name));
        }
    }
    weights.sort_unstable();
    weights.concat()
}

#[cfg(test)]
mod tests;
