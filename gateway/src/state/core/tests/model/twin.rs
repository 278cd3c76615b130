//! Holds the model's replica to the real one: on random ways through the model, `Side` and `Ledger` do the same and must
//! say the same, word for word.

use std::sync::Arc;

use super::cluster::{About, Action, Body, Cluster, Letter};
use super::replica::reserve;
use super::setting::{PLAIN, Setting};
use crate::state::Deadlines;
use crate::state::books::PoolBooks;
use crate::state::core::mutant::{Mutant, without};
use crate::state::core::tests::judge::{Breach, breach};
use crate::state::core::{Command, Join, Ms, Reply, Reserve, Reserved};
use crate::state::ledger::{Ledger, Outstanding};
use crate::state::side::{Side, Told};

/// The real process beside the model's.
struct Real {
    side: Side,
    joining: Option<Join>,
    asking: Option<(Outstanding, Arc<Reserve>, Arc<Ledger>)>,
    syncing: Option<Told>,
    calls: Vec<(Arc<Ledger>, Arc<PoolBooks>, u64)>,
}

struct Twins {
    cluster: Cluster,
    reals: [Real; 2],
    /// Broken in the real ones, and not in the model.
    broken: Option<Mutant>,
}

impl Real {
    fn new(cluster: &Cluster, who: usize) -> Real {
        let (setting, replica) = (cluster.rules.setting, &cluster.replicas[who]);
        let deadlines = Deadlines { head: setting.d_head, end: setting.d_end };
        let side = Side::new(replica.name.into(), deadlines, replica.last_k, 0, cluster.t);
        Real { side, joining: None, asking: None, syncing: None, calls: Vec::new() }
    }

    fn end(&mut self, ended: u8) {
        for at in (0..self.calls.len()).rev().filter(|at| ended >> at & 1 == 1) {
            let (ledger, books, units) = self.calls.remove(at);
            ledger.settle(&books, 0, units, units);
        }
    }

    /// What it says where the model did `action`.
    fn say(&mut self, cluster: &Cluster, action: Action, t: Ms) -> Option<Command> {
        match action {
            Action::Join(_, ended) => {
                self.end(ended);
                let join = self.side.due(t)?;
                self.joining = Some(join.clone());
                Some(Command::Join(join))
            }
            Action::Sync(_, ended) => {
                self.end(ended);
                if let Some(told) = self.syncing.take() {
                    self.side.unanswered(told, t);
                }
                let (sync, told) = self.side.sync(t, cluster.may_lose())?;
                self.syncing = Some(told);
                Some(Command::Sync(sync))
            }
            Action::Reserve(_) => {
                let units = cluster.rules.setting.calls[cluster.left.calls as usize];
                self.ask(cluster, units, t)
            }
            Action::Leave(_) => {
                let bye = self.side.ledger().map(|ledger| self.side.caller(ledger, t))?;
                Some(Command::Bye(bye))
            }
            _ => None,
        }
    }

    fn ask(&mut self, cluster: &Cluster, units: u64, t: Ms) -> Option<Command> {
        let ledger = self.side.ledger()?.clone();
        let ask = Arc::new(reserve(&cluster.rules, self.side.caller(&ledger, t), units));
        self.asking = Some((ledger.sending(ask.clone()), ask.clone(), ledger));
        Some(Command::Reserve(ask))
    }

    /// Hears a reply; `sends`: there is time to send the call that it grants.
    fn hear(&mut self, about: About, reply: &Reply, sends: bool, t: Ms) {
        match about {
            About::Join => {
                let Some(join) = self.joining.take() else { return };
                self.side.joined(&join, reply, t);
            }
            About::Sync => {
                let Some(told) = self.syncing.take() else { return };
                self.side.synced(told, reply.clone(), t);
            }
            About::Reserve => self.hear_of_call(reply, sends, t),
            About::Bye => {}
        }
    }

    fn hear_of_call(&mut self, reply: &Reply, sends: bool, t: Ms) {
        let Some((outstanding, ask, ledger)) = self.asking.take() else { return };
        let Reply::Reserved(Reserved::Granted(granted)) = reply else {
            drop(outstanding);
            self.side.refused(&ask.caller.inc, reply, t);
            return;
        };
        let Some(drawn) = outstanding.granted(granted.index, granted.share) else { return };
        self.side.saw(ask.caller.epoch, granted.l, t);
        for (_, books, amounts) in drawn {
            if sends {
                self.calls.push((ledger.clone(), books, amounts[0]));
            } else {
                ledger.settle(&books, 0, amounts[0], 0);
            }
        }
    }
}

impl Twins {
    fn new(setting: Setting, broken: Option<Mutant>) -> Result<Twins, Breach> {
        let cluster = Cluster::unborn(&setting.rules());
        let reals = [Real::new(&cluster, 0), Real::new(&cluster, 1)];
        let mut twins = Twins { cluster, reals, broken };
        for who in 0..2 {
            [Action::Join(who, 0), Action::Arrive(0), Action::Arrive(0)]
                .into_iter()
                .try_for_each(|a| twins.act(a))?;
            twins.cluster.declare(who as usize)?;
            let real = &mut twins.reals[who as usize];
            drop(real.ask(&twins.cluster, 0, twins.cluster.t));
            real.asking = None;
        }
        Ok(twins)
    }

    /// The model does it, and the real ones with it.
    fn act(&mut self, action: Action) -> Result<(), Breach> {
        let letter = match action {
            Action::Arrive(at) => self.cluster.wire.get(at as usize).cloned(),
            _ => None,
        };
        let (letters, calls) = (self.cluster.wire.len(), self.calls());
        self.cluster.act(action)?;
        match self.broken {
            Some(mutant) => without(mutant, || self.mirror(action, letter, self.calls() > calls)),
            None => self.mirror(action, letter, self.calls() > calls),
        }
        .map_err(|said| breach("the model says what the code says", format!("{letters} {action:?}: {said}")))
    }

    fn calls(&self) -> usize {
        self.cluster.replicas.iter().map(|replica| replica.calls.len()).sum()
    }

    fn mirror(&mut self, action: Action, letter: Option<Letter>, sends: bool) -> Result<(), String> {
        let t = self.cluster.t;
        if let Some(Letter { who, about, body: Body::Reply(reply), .. }) = &letter {
            self.reals[*who as usize].hear(*about, reply, sends, t);
        }
        if let Some(who) = action.speaker() {
            let said = self.reals[who].say(&self.cluster, action, t);
            let Some(Body::Command(model)) = self.cluster.wire.last().map(|letter| &letter.body) else {
                return Err(format!("{said:?} and nothing"));
            };
            if said.as_ref() != Some(&**model) {
                return Err(format!("{said:?} and {model:?}"));
            }
        }
        if let Action::Crash(who) | Action::Leave(who) = action {
            self.reals[who as usize] = Real::new(&self.cluster, who as usize);
        }
        (0..2).for_each(|who| self.give_up(who));
        (0..2).try_for_each(|who| self.agree(who))
    }

    /// What the model does not wait for any more.
    fn give_up(&mut self, who: usize) {
        let (replica, real) = (&self.cluster.replicas[who], &mut self.reals[who]);
        if replica.joining.is_none() {
            real.joining = None;
        }
        if replica.asking.is_none() {
            real.asking = None;
        }
        if let Some(told) = real.syncing.take_if(|_| replica.syncing.is_none()) {
            real.side.unanswered(told, self.cluster.t);
        }
    }

    fn agree(&self, who: usize) -> Result<(), String> {
        let (replica, real) = (&self.cluster.replicas[who], &self.reals[who]);
        let model = (replica.last_k, replica.heard_at(), replica.books().map(|b| (b.k, b.epoch)));
        let ledger = real.side.ledger().map(|ledger| (ledger.inc().k, ledger.epoch()));
        let code = (real.side.last_k(), real.side.heard_at(), ledger);
        if model == code { Ok(()) } else { Err(format!("code {code:?}, model {model:?}")) }
    }
}

/// Everything may happen, often.
const WILD: Setting = Setting {
    calls: &[1, 2, 1, 1, 2, 1, 1, 1],
    wire: 3,
    lives: 9,
    crashes: 2,
    doubles: 3,
    flushes: 2,
    failovers: 1,
    faults_within: 20_000,
    steps: 1,
    ..PLAIN
};

/// Every second thing being a fault, little else would happen.
fn is_fault(action: Action) -> bool {
    use Action::*;
    matches!(action, Crash(_) | Leave(_) | Flush | FailOver | StepClock | Lose(_) | GiveUp(_))
}

fn walk(seed: u64, broken: Option<Mutant>) -> Result<usize, Breach> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut twins = Twins::new(WILD, broken)?;
    for _ in 0..150 {
        let mut actions = twins.cluster.actions();
        if actions.is_empty() {
            break;
        }
        let faults = rng.u8(..24) == 0;
        actions.retain(|action| faults || !is_fault(*action));
        twins.act(actions[rng.usize(..actions.len())])?;
    }
    Ok(twins.cluster.grants.into())
}

#[test]
fn the_models_replica_says_what_the_real_one_says() {
    let first = fastrand::u64(..) >> 16;
    let mut grants = 0;
    for seed in first..first + 300 {
        match walk(seed, None) {
            Ok(granted) => grants += granted,
            Err(breach) => panic!("{seed}: {}\n{}", breach.rule, breach.detail),
        }
    }
    assert!(grants > 600, "{grants} grants are too few to tell");
}

#[test]
fn another_replica_would_say_something_else() {
    use Mutant::*;
    for mutant in [SettledTwice, LostGrantKept, BalanceTakenTwice, OldEpochGrantUsed] {
        let differs = |seed| walk(seed, Some(mutant)).is_err_and(|b| b.rule.starts_with("the model says"));
        assert!((0..500).any(differs), "{mutant:?}");
    }
}
