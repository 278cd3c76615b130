//! The search: every state that can be reached, each once, those with less time passed first.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use super::check;
use super::cluster::{Action, Cluster};
use super::print::print;
use super::setting::Setting;
use crate::state::core::tests::judge::{Breach, breach};

/// A broken rule, and the way there.
type Broken = (Breach, Vec<Action>);

/// What a search came to.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub states: usize,
    pub steps: usize,
    /// Ticks until nothing new was found, or the breach was.
    pub ticks: usize,
    /// Actions that lead to the state that is farthest.
    pub depth: usize,
    /// States whose way to rest was tried.
    pub rested: usize,
    /// Whether all that can be reached was.
    pub exhausted: bool,
    pub breach: Option<Broken>,
    pub seconds: f64,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { states, steps, ticks, depth, rested, .. } = self;
        write!(f, "{states} states, {steps} steps, {depth} deep in {ticks} ticks, {rested} brought to rest")?;
        write!(f, "; {:.1} s", self.seconds)
    }
}

/// Fingerprints are hashes already.
#[derive(Default)]
struct Same(u64);

impl Hasher for Same {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {}
    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}

/// How a state was found first: from which, and by what.
#[derive(Clone, Copy)]
struct Step {
    from: u32,
    depth: u16,
    action: Action,
}

struct Search {
    seen: HashSet<u64, BuildHasherDefault<Same>>,
    steps: Vec<Step>,
    rest: check::Rest,
    outcome: Outcome,
}

/// Visits at most `most` states.
pub(super) fn search(setting: Setting, most: usize) -> Outcome {
    let started = Instant::now();
    let mut search = Search {
        seen: HashSet::default(),
        steps: Vec::new(),
        rest: check::Rest::default(),
        outcome: Outcome::default(),
    };
    let found = search.run(setting, most);
    let mut outcome = search.outcome;
    outcome.breach = found.err();
    (outcome.states, outcome.seconds) = (search.steps.len(), started.elapsed().as_secs_f64());
    outcome
}

impl Search {
    fn run(&mut self, setting: Setting, most: usize) -> Result<(), Broken> {
        let start = Cluster::new(&setting.rules()).map_err(|breach| (breach, vec![]))?;
        self.seen.insert(print(&start));
        self.steps.push(Step { from: 0, depth: 0, action: Action::Tick });
        let mut later = vec![(0, start)];
        while !later.is_empty() {
            let mut queue = VecDeque::from(std::mem::take(&mut later));
            while let Some((at, cluster)) = queue.pop_front() {
                if self.steps.len() > most {
                    return Ok(());
                }
                self.visit(at, &cluster)?;
                for action in cluster.actions() {
                    let Some((next, state)) = self.follow(at, &cluster, action)? else { continue };
                    if action == Action::Tick {
                        later.push((next, state));
                    } else {
                        queue.push_back((next, state));
                    }
                }
            }
            self.outcome.ticks += 1;
        }
        self.outcome.exhausted = true;
        Ok(())
    }

    /// Sees that a state comes to rest, if it is one to be asked.
    fn visit(&mut self, at: u32, cluster: &Cluster) -> Result<(), Broken> {
        if !check::is_idle(cluster) {
            return Ok(());
        }
        self.outcome.rested += 1;
        guarded(|| self.rest.comes_from(cluster)).map_err(|breach| (breach, self.way(at)))
    }

    /// The state after an action, if it is new.
    fn follow(
        &mut self,
        at: u32,
        cluster: &Cluster,
        action: Action,
    ) -> Result<Option<(u32, Cluster)>, Broken> {
        self.outcome.steps += 1;
        let mut after = cluster.clone();
        if let Err(breach) = guarded(|| after.act(action)) {
            let mut way = self.way(at);
            way.push(action);
            return Err((breach, way));
        }
        if !self.seen.insert(print(&after)) {
            return Ok(None);
        }
        let depth = self.steps[at as usize].depth + 1;
        self.outcome.depth = self.outcome.depth.max(depth.into());
        self.steps.push(Step { from: at, depth, action });
        Ok(Some((self.steps.len() as u32 - 1, after)))
    }

    fn way(&self, mut at: u32) -> Vec<Action> {
        let mut way = Vec::new();
        while at > 0 {
            way.push(self.steps[at as usize].action);
            at = self.steps[at as usize].from;
        }
        way.reverse();
        way
    }
}

/// A count that falls below zero is a broken rule as well.
fn guarded(act: impl FnOnce() -> Result<(), Breach>) -> Result<(), Breach> {
    let outcome = catch_unwind(AssertUnwindSafe(act));
    outcome.unwrap_or_else(|_| Err(breach("arithmetic", "a count fell below zero")))
}

/// Holds the fingerprint to its promise: states that it does not tell apart lead to states that it does not tell
/// apart. Otherwise a search might leave out what it never saw.
pub(super) fn states_that_look_alike_go_on_alike(setting: Setting, most: usize) -> Result<usize, String> {
    let start = Cluster::new(&setting.rules()).map_err(|breach| breach.detail)?;
    let mut seen = HashMap::from([(print(&start), (onward(&start), Vec::new()))]);
    let mut queue = VecDeque::from([(start, Vec::new())]);
    let mut twins = 0;
    while let Some((cluster, way)) = queue.pop_front() {
        for action in cluster.actions() {
            let mut after = cluster.clone();
            after.act(action).map_err(|breach| breach.detail)?;
            let way: Vec<Action> = way.iter().copied().chain([action]).collect();
            match seen.get(&print(&after)) {
                None if seen.len() < most => {
                    seen.insert(print(&after), (onward(&after), way.clone()));
                    queue.push_back((after, way));
                }
                None => {}
                Some((onwards, other)) if *onwards != onward(&after) => {
                    return Err(format!("{other:?}\n{way:?}"));
                }
                Some(_) => twins += 1,
            }
        }
    }
    Ok(twins)
}

/// What a state leads to: a number that does not depend on the order of its actions.
fn onward(cluster: &Cluster) -> u64 {
    let after = |action: Action| {
        let mut after = cluster.clone();
        match guarded(|| after.act(action)) {
            Ok(()) => print(&after),
            Err(breach) => breach.rule.len() as u64,
        }
    };
    let prints = cluster.actions().into_iter().map(after).map(|print| print.wrapping_mul(print | 1));
    prints.fold(0, u64::wrapping_add)
}
