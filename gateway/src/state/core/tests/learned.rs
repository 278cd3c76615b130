//! What is learned of a provider's limits, as three replicas meet it. What was broken on purpose to see it fail: all of it
//! ignored ([`super::mutants`]); the later word losing; no rising back; a fallen cap that does not recover.

use super::judge::{Breach, breach};
use crate::state::core::learned::{AGAIN, LEAST};
use crate::state::core::{
    Caller, Candidate, Command, Declared, Draw, Granted, Incarnation, Join, Ms, PoolDecl, PoolReport, Reply,
    Reserve, Reserved, Rest, Said, Shape, Stage, State, Sync, Tell,
};

const BORN: Ms = 1_000_000;
const CAP: u64 = 100;
const MINUTE: Ms = 60_000;

struct Cluster {
    state: State,
    now: Ms,
    posted: [u64; 3],
}

impl Cluster {
    fn new() -> Cluster {
        let mut cluster = Cluster { state: State::new(1, BORN), now: BORN, posted: [0; 3] };
        for who in 0..3 {
            let inc = cluster.caller(who).inc;
            let join = Join { inc, d_head: 2_000, d_end: MINUTE, ..Join::default() };
            cluster.state.step(&Command::Join(join), BORN);
        }
        cluster
    }

    fn caller(&self, who: usize) -> Caller {
        Caller { epoch: 1, inc: Incarnation { name: format!("r{who}"), k: 1 }, l_ack: self.state.now(), x: 0 }
    }

    fn decl() -> PoolDecl {
        let meter = Declared { shape: Shape::window(MINUTE, Stage::Head), cap: CAP, pace: 0 };
        PoolDecl { key: "p".into(), meters: [meter].into(), slow_start: None }
    }

    /// A call that counts `amount`: what is counted then and when, or how long it must wait and whether that is known.
    fn ask(&mut self, who: usize, amount: u64) -> Result<(u64, Ms), (Ms, bool)> {
        let draws = vec![Draw { pool: 0, amounts: [amount].into_iter().collect() }];
        let ask = Reserve {
            caller: self.caller(who),
            pools: vec![Cluster::decl()],
            common: vec![],
            candidates: vec![Candidate {
                tag: 1,
                tier: 0,
                threshold: 1_000_000,
                circuit: None,
                account: 0,
                draws,
            }],
            session: None,
            tell: Tell { used: true, ..Tell::default() },
            luck: 0,
            most: crate::state::core::meter::WHOLE,
            turn: None,
        };
        match self.state.step(&Command::Reserve(ask.into()), self.now) {
            Reply::Reserved(Reserved::Granted(Granted { used, l, .. })) => {
                self.posted[who] += amount;
                Ok((used[0], l))
            }
            Reply::Reserved(Reserved::Denied(denied)) => Err((denied.retry_in, denied.exact)),
            other => panic!("{other:?}"),
        }
    }

    /// A replica tells all that it posted, what its provider said, and a refusal that makes the pool rest so long.
    fn tell(&mut self, who: usize, said: Option<Said>, refused: Option<Ms>) -> Vec<u64> {
        let counters = self.state.lives[&self.caller(who).inc].counters.get("p").map(|c| c[0].granted);
        let (returned, posted) = (vec![counters.unwrap_or(0)], vec![self.posted[who]]);
        let said = said.into_iter().collect();
        let reports =
            vec![PoolReport { key: "p".into(), returned, posted, look: false, said, wants: vec![] }];
        let rests =
            refused.map(|for_ms| Rest { key: "p".into(), for_ms, refused: true }).into_iter().collect();
        let sync =
            Sync { caller: self.caller(who), reports, rests, outcomes: vec![], telling: None, count: true };
        match self.state.step(&Command::Sync(sync), self.now) {
            Reply::Synced(synced) => synced.pools[0].bounds.clone(),
            other => panic!("{other:?}"),
        }
    }

    /// Time passes, and all live on.
    fn wait(&mut self, ms: Ms) {
        let until = self.now + ms;
        while self.now < until {
            self.now = until.min(self.now + 400);
            (0..3).for_each(|who| drop(self.tell(who, None, None)));
        }
    }

    /// How many calls of 1 fit now.
    fn fit(&self) -> u64 {
        let mut copy = Cluster { state: self.state.clone(), ..*self };
        (0..).take_while(|_| copy.ask(0, 1).is_ok()).count() as u64
    }
}

/// All of it, for the mutant.
pub(super) fn all() -> Result<(), Breach> {
    let mut cluster = Cluster::new();
    let (used, at) = cluster.ask(0, 30).map_err(|_| breach("by hand", "no room"))?;
    // 40 are others': 30 are left, and 5 of them stay free.
    cluster.tell(0, Some(Said { cap: used + 25, at, for_ms: MINUTE }), None);
    if cluster.fit() != 25 {
        return Err(breach("what the provider has left is not exceeded", format!("{} fit", cluster.fit())));
    }
    Ok(())
}

#[test]
fn a_word_lowers_the_cap_for_every_replica_and_rises_back_by_itself() {
    all().unwrap();
    let mut cluster = Cluster::new();
    let (used, at) = cluster.ask(0, 30).unwrap();
    assert_eq!(used, 30, "this call included");
    let bounds = cluster.tell(0, Some(Said { cap: 55, at, for_ms: MINUTE }), None);
    assert_eq!(bounds, [55]);
    cluster.ask(1, 25).unwrap();
    let (wait, exact) = cluster.ask(2, 1).unwrap_err();
    assert!(!exact, "another word may change it");
    // 45 come back in a minute, as its square: the first of them after 8,944 ms.
    assert_eq!(wait, 8_945);
    cluster.tell(1, None, None);
    cluster.wait(wait - 1);
    assert!(cluster.ask(2, 1).is_err());
    cluster.wait(1);
    cluster.ask(2, 1).unwrap();
    cluster.wait(MINUTE / 2);
    assert_eq!(cluster.fit(), 55 + 18 - 56, "0.65 of the time, 0.42 of what is missing");
    cluster.wait(MINUTE);
    assert_eq!(cluster.fit(), CAP);
    assert_eq!(cluster.tell(0, None, None), [] as [u64; 0], "nothing of it is in force");
}

#[test]
fn the_word_of_the_later_grant_wins_and_never_allows_more_than_the_cap() {
    let mut cluster = Cluster::new();
    cluster.ask(0, 10).unwrap();
    cluster.wait(400);
    let (_, first) = cluster.ask(0, 10).unwrap();
    cluster.wait(400);
    let (_, later) = cluster.ask(1, 10).unwrap();
    let said = |cap, at| Some(Said { cap, at, for_ms: MINUTE });
    cluster.tell(1, said(70, later), None);
    cluster.tell(0, said(40, first), None);
    assert_eq!(cluster.fit(), 40, "the earlier word came later, and is out of date");
    cluster.tell(0, said(60, later), None);
    assert_eq!(cluster.fit(), 40, "of two at once the higher");
    cluster.wait(5);
    cluster.tell(0, said(30, later + 9), None);
    assert_eq!(cluster.state.learned.pools["p"].said[0].at, later + 5, "what was not yet cannot be later");
    cluster.wait(5);
    cluster.tell(0, said(1_000, later + 10), None);
    assert_eq!(cluster.fit(), CAP - 30, "whatever is said, our own count holds");
    cluster.tell(2, said(40, later + 7), None);
    assert_eq!(cluster.fit(), CAP - 30, "it came too late");
}

/// 70 are used, and the provider refuses: 90 % of the cap, which comes back at 1 a minute.
#[test]
fn an_unexpected_refusal_lowers_every_cap_and_it_recovers() {
    let mut cluster = Cluster::new();
    cluster.ask(0, 70).unwrap();
    assert_eq!(cluster.tell(0, None, Some(100)), [90]);
    assert_eq!(
        cluster.tell(1, None, Some(100)),
        [90],
        "the pool rests: calls in flight were refused with it"
    );
    cluster.wait(AGAIN + 100);
    assert_eq!(cluster.tell(1, None, Some(0)), [82], "81 %, and a second's recovery");
    cluster.wait(AGAIN);
    assert_eq!(cluster.tell(1, None, Some(0)), [73]);
    cluster.wait(AGAIN);
    assert_eq!(cluster.tell(1, None, Some(0)), [73], "70 of 73: to be expected");
    cluster.wait(10 * MINUTE);
    assert_eq!(cluster.tell(1, None, None), [83], "ten minutes later, ten more");
    cluster.wait(20 * MINUTE);
    assert_eq!(cluster.tell(1, None, None), [] as [u64; 0]);
}

#[test]
fn a_refusal_at_a_full_window_teaches_nothing_and_none_lowers_for_ever() {
    let mut cluster = Cluster::new();
    cluster.ask(0, 95).unwrap();
    assert_eq!(cluster.tell(0, None, Some(100)), [] as [u64; 0]);
    cluster.wait(2 * MINUTE);
    for _ in 0..40 {
        cluster.wait(2_000);
        cluster.tell(0, None, Some(100));
    }
    let least = CAP * LEAST / 1_000_000;
    assert_eq!(cluster.tell(0, None, None), [least]);
}

#[test]
fn both_may_lower_at_once_and_the_lower_counts() {
    let mut cluster = Cluster::new();
    let (_, at) = cluster.ask(0, 50).unwrap();
    cluster.tell(0, Some(Said { cap: 95, at, for_ms: MINUTE }), Some(0));
    assert_eq!(cluster.fit(), 40, "90 %");
    cluster.wait(1);
    let (_, at) = cluster.ask(0, 1).unwrap();
    cluster.tell(0, Some(Said { cap: 60, at, for_ms: MINUTE }), None);
    assert_eq!(cluster.fit(), 9);
}
