//! Budgets whose periods are over are swept, when nobody needs them any more. What was broken on purpose to see these fail stands
//! in [`super::mutants`].

use std::sync::Arc;

use super::judge::Breach;
use crate::state::core::life::ended;
use crate::state::core::{
    Amounts, Caller, Candidate, Command, Declared, Draw, Incarnation, Join, Ms, PoolDecl, PoolReport, Reply,
    Reserve, Reserved, Shape, Stage, State, Sync, Tell,
};

const BORN: Ms = 1_000_000;
const UNTIL: Ms = BORN + 5_000;
/// Then it is over for all.
const OVER: Ms = UNTIL + 60_001;
const D_END: Ms = 30_000;

struct Cluster {
    state: State,
    now: Ms,
    decl: PoolDecl,
}

impl Cluster {
    fn new(key: &str) -> Cluster {
        let shape = Shape::window(172_800_000, Stage::End);
        let meters = [Declared { shape, cap: 100, pace: 0 }].into();
        let decl = PoolDecl { key: key.into(), meters, slow_start: None };
        Cluster { state: State::new(1, BORN), now: BORN, decl }
    }

    fn caller(&self, name: &str) -> Caller {
        let inc = Incarnation { name: name.to_owned(), k: 1 };
        Caller { epoch: 1, inc, l_ack: self.state.now(), x: self.now.saturating_sub(self.state.clock.wall) }
    }

    fn begin(&mut self, name: &str) {
        let join = Join { inc: self.caller(name).inc, d_head: 2_000, d_end: D_END, ..Join::default() };
        assert!(matches!(self.state.step(&Command::Join(join), self.now), Reply::Joined(_)));
    }

    fn spend(&mut self, name: &str, amount: u64) {
        let draws = vec![Draw { pool: 0, amounts: Amounts::from_iter([amount]) }];
        let candidate = Candidate { tag: 1, tier: 0, threshold: 1_000_000, circuit: None, account: 0, draws };
        let ask = Reserve {
            caller: self.caller(name),
            pools: vec![self.decl.clone()],
            common: vec![],
            candidates: vec![candidate],
            session: None,
            tell: Tell::default(),
            luck: 0,
            most: crate::state::core::meter::WHOLE,
            turn: None,
        };
        let reply = self.state.step(&Command::Reserve(ask.into()), self.now);
        assert!(matches!(reply, Reply::Reserved(Reserved::Granted(_))), "{reply:?}");
    }

    fn tell(&mut self, name: &str, returned: u64) {
        let report = PoolReport {
            key: self.decl.key.clone(),
            returned: vec![returned],
            posted: vec![returned],
            look: false,
            said: vec![],
            wants: vec![],
        };
        let caller = self.caller(name);
        let reports = vec![report];
        let sync = Sync { caller, reports, rests: vec![], outcomes: vec![], telling: None, count: false };
        assert!(matches!(self.state.step(&Command::Sync(sync), self.now), Reply::Synced(_)));
    }

    fn leave(&mut self, name: &str) {
        let reply = self.state.step(&Command::Bye(self.caller(name)), self.now);
        assert_eq!(reply, Reply::Left(true));
    }

    fn is_kept(&self) -> bool {
        self.state.pools.contains_key(&self.decl.key)
    }

    /// Time passes, and these replicas are heard of meanwhile.
    fn until(&mut self, at: Ms, living: &[&str]) {
        while self.now < at {
            self.now = at.min(self.now + 200);
            for name in living {
                let caller = self.caller(name);
                let (reports, rests, outcomes) = Default::default();
                let sync = Sync { caller, reports, rests, outcomes, telling: None, count: false };
                self.state.step(&Command::Sync(sync), self.now);
            }
        }
    }
}

fn key() -> String {
    format!("tenant/a/budget/day@{UNTIL}|u172800000e")
}

#[test]
fn who_draws_on_it_last_takes_it_along() {
    let mut cluster = Cluster::new(&key());
    ["a", "b"].iter().for_each(|name| cluster.begin(name));
    ["a", "b"].iter().for_each(|name| cluster.spend(name, 3));
    cluster.until(OVER, &["a", "b"]);
    cluster.tell("a", 3);
    cluster.leave("a");
    assert!(cluster.is_kept(), "another life draws on it");
    cluster.tell("b", 3);
    cluster.leave("b");
    assert!(!cluster.is_kept());
}

#[test]
fn what_may_be_needed_stays() {
    for (key, at) in [(key(), OVER - 1), ("account/a/gpt|r60000".to_owned(), OVER)] {
        let mut cluster = Cluster::new(&key);
        cluster.begin("a");
        cluster.spend("a", 3);
        cluster.tell("a", 3);
        cluster.until(at, &["a"]);
        cluster.leave("a");
        assert!(cluster.is_kept(), "{key}");
    }
}

/// The dead one's call may still run: what it holds is posted when it must be over.
#[test]
fn what_the_dead_hold_is_waited_for() {
    let mut cluster = Cluster::new(&key());
    ["a", "b"].iter().for_each(|name| cluster.begin(name));
    ["a", "b"].iter().for_each(|name| cluster.spend(name, 3));
    cluster.until(OVER, &["a", "b"]);
    cluster.tell("b", 3);
    cluster.until(OVER + 5_000, &["b"]); // a is dead
    cluster.leave("b");
    assert!(cluster.is_kept());
    assert_eq!(cluster.state.pools[&*cluster.decl.key].meters[0].hold, 3);
}

#[test]
fn only_keys_of_budgets_tell_of_an_end() {
    let of = |key: &str| ended(&Arc::<str>::from(key));
    assert_eq!(of("tenant/a/budget/day@12|u172800000e"), Some(12));
    assert_eq!(of("tenant/x@y@12|u1e"), Some(12));
    for other in
        ["tenant/a@12|r60000", "a@12", "a@|u1e", "a@12|ue", "a@1x|u1e", "a@12|u1", "a@1234567890123456|u1e"]
    {
        assert_eq!(of(other), None, "{other}");
    }
}

/// For [`super::mutants`].
pub(super) fn all() -> Result<(), Breach> {
    who_draws_on_it_last_takes_it_along();
    Ok(())
}
