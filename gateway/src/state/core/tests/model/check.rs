//! What must hold in every state of the model.

use std::collections::HashSet;

use super::cluster::{Action, Cluster, Left, Slow};
use super::print::print;
use super::replica::Replica;
use crate::state::core::learn::LEARN;
use crate::state::core::tests::audit::{self, Audit};
use crate::state::core::tests::judge::{Breach, breach};
use crate::state::core::{Caller, Command, Incarnation, Reply, Reserved, State, TTL};

/// The shared state's own books, from one step to the next.
pub(super) fn step(before: &State, after: &State, command: &Command, reply: &Reply) -> Result<(), Breach> {
    let inc = match command {
        Command::Join(join) => &join.inc,
        other => other.caller().map_or(&NOBODY, |caller| &caller.inc),
    };
    Audit::since(before, before.epoch != FIRST_EPOCH).after(after, inc)?;
    if let (Command::Reserve(ask), Reply::Reserved(Reserved::Granted(granted))) = (command, reply) {
        audit::within_caps(after, ask, granted.index)?;
        if before.learn.is_some() && before.epoch == after.epoch && after.learn.is_some() {
            return Err(breach("nothing is granted while learning", format!("{:?}", after.learn)));
        }
    }
    Ok(())
}

pub(super) const FIRST_EPOCH: u64 = 1;
static NOBODY: Incarnation = Incarnation { name: String::new(), k: 0 };

/// The life of a replica that has heard nothing lately is not prolonged.
pub(super) fn deaf(state: &State, replica: &Replica) -> Result<(), Breach> {
    let Some(books) = replica.books().filter(|books| books.epoch == state.epoch) else { return Ok(()) };
    let inc = Incarnation { name: replica.name.into(), k: books.k };
    match state.lives.get(&inc) {
        Some(life) if life.exp > replica.heard_at() + TTL / 2 + TTL => {
            let detail = format!("{inc} heard {} and lives until {}", replica.heard_at(), life.exp);
            Err(breach("a deaf replica's life ends", detail))
        }
        _ => Ok(()),
    }
}

/// Whichever moments providers choose, no window up to now holds more than the limit. What the shared state did not
/// know of at the last of the grants does not count: after a loss it knows what it was told, and nothing else.
pub(super) fn window(cluster: &Cluster) -> Result<(), Breach> {
    let last = cluster.charges.iter().map(|charge| charge.grant).max().unwrap_or(0);
    let unknown = cluster.unknown[last as usize];
    let counted =
        cluster.charges.iter().filter(|charge| unknown & (1 << charge.grant) == 0 || charge.grant == last);
    let total: u64 = counted.map(|charge| charge.units).sum();
    if total > cluster.rules.setting.limit {
        return Err(breach("I1 no window above its limit", format!("{total} units: {:?}", cluster.charges)));
    }
    Ok(())
}

/// Is nothing under way, nothing awaited, and no call at a provider? Every state leads to such a one without a step of
/// the shared state, so that it is enough to see that these come to rest.
pub(super) fn is_idle(cluster: &Cluster) -> bool {
    let idle =
        |r: &Replica| r.joining.is_none() && r.asking.is_none() && r.syncing.is_none() && r.calls.is_empty();
    cluster.wire.is_empty() && cluster.slow == Slow::No && cluster.replicas.iter().all(idle)
}

/// States that are known to come to rest.
#[derive(Debug, Default)]
pub(super) struct Rest(HashSet<u64>);

impl Rest {
    /// When nothing bad happens any more, nothing is left after a while, and the whole limit is there to be had: whether
    /// the replicas live on or have all been replaced.
    pub(super) fn comes_from(&mut self, cluster: &Cluster) -> Result<(), Breach> {
        let mut lives_on = cluster.clone();
        lives_on.left = Left::default();
        let mut replaced = lives_on.clone();
        replaced.replace(0);
        replaced.replace(1);
        self.comes(lives_on)?;
        self.comes(replaced)
    }

    fn comes(&mut self, mut cluster: Cluster) -> Result<(), Breach> {
        let setting = cluster.rules.setting;
        let time = LEARN + 2 * TTL + setting.d_end + setting.span() + 3 * setting.width;
        let mut way = Vec::new();
        for _ in 0..time / setting.tick + 3 {
            let print = print(&cluster);
            if self.0.contains(&print) {
                break;
            }
            way.push(print);
            (0..4).try_for_each(|turn| converse(&mut cluster, turn % 2))?;
            cluster.act(Action::Tick)?;
        }
        if way.len() as u64 == time / setting.tick + 3 {
            at_rest(&cluster)?;
        }
        self.0.extend(way);
        Ok(())
    }
}

fn at_rest(cluster: &Cluster) -> Result<(), Breach> {
    audit::nothing_left(&cluster.server, 2)?;
    if cluster.server.learn.is_some() {
        return Err(breach("learning ends", format!("{:?}", cluster.server.learn)));
    }
    all_is_to_be_had(cluster)
}

/// A JOIN if one is due, else a SYNC; and the answer.
fn converse(cluster: &mut Cluster, who: u8) -> Result<(), Breach> {
    let lives = cluster.replicas[who as usize].books().is_some();
    cluster.converse(if lives { Action::Sync(who, 0) } else { Action::Join(who, 0) })
}

fn all_is_to_be_had(cluster: &Cluster) -> Result<(), Breach> {
    let replica = &cluster.replicas[0];
    let caller = replica.books().map(|books| replica.caller(books, cluster.t));
    let nobody = || Caller { epoch: 0, inc: NOBODY.clone(), l_ack: 0, x: 0 };
    let rules = &cluster.rules;
    let ask = super::replica::reserve(rules, caller.unwrap_or_else(nobody), rules.setting.limit);
    let mut state = (*cluster.server).clone();
    match state.step(&Command::Reserve(ask.into()), cluster.now()) {
        Reply::Reserved(Reserved::Granted(_)) => Ok(()),
        reply => Err(breach("the whole limit is to be had", format!("{reply:?}"))),
    }
}
