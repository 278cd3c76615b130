//! A pool that starts slowly, as three replicas draw on it.

use crate::state::core::{
    Caller, Candidate, Command, Declared, Draw, Incarnation, Join, Ms, PoolDecl, PoolReport, Reply, Reserve,
    Reserved, Shape, SlowStart, Stage, State, Sync, Tell,
};

const BORN: Ms = 1_000_000;
const MINUTE: Ms = 60_000;
const SLOW: SlowStart = SlowStart { from: 100, factor: 1_500, per: 30_000 };

struct Cluster {
    state: State,
    now: Ms,
    decl: PoolDecl,
    drawn: [u64; 3],
    /// Calls in flight are done with their next SYNC.
    ends: bool,
}

impl Cluster {
    fn new(shape: Shape, cap: u64, slow: Option<SlowStart>) -> Cluster {
        let decl =
            PoolDecl { key: "p".into(), meters: [Declared { shape, cap, pace: 0 }].into(), slow_start: slow };
        let mut cluster = Cluster { state: State::new(1, BORN), now: BORN, decl, drawn: [0; 3], ends: true };
        for who in 0..3 {
            let inc = cluster.caller(who).inc;
            let join = Join { inc, d_head: 2_000, d_end: 10 * MINUTE, ..Join::default() };
            cluster.state.step(&Command::Join(join), BORN);
        }
        cluster
    }

    fn caller(&self, who: usize) -> Caller {
        Caller { epoch: 1, inc: Incarnation { name: format!("r{who}"), k: 1 }, l_ack: self.state.now(), x: 0 }
    }

    /// A call of so much: granted, or how long it must wait and whether that is known.
    fn ask(&mut self, who: usize, amount: u64) -> Result<(), (Ms, bool)> {
        let draws = vec![Draw { pool: 0, amounts: [amount].into_iter().collect() }];
        let ask = Reserve {
            caller: self.caller(who),
            pools: vec![self.decl.clone()],
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
            tell: Tell::default(),
            luck: 0,
            most: crate::state::core::meter::WHOLE,
            turn: None,
        };
        match self.state.step(&Command::Reserve(ask.into()), self.now) {
            Reply::Reserved(Reserved::Granted(_)) => {
                self.drawn[who] += amount;
                Ok(())
            }
            Reply::Reserved(Reserved::Denied(denied)) => Err((denied.retry_in, denied.exact)),
            other => panic!("{other:?}"),
        }
    }

    /// Time passes, and all live on.
    fn wait(&mut self, ms: Ms) {
        let until = self.now + ms;
        while self.now < until {
            self.now = until.min(self.now + 500);
            for who in 0..3 {
                let all = if self.ends && self.drawn[who] > 0 { vec![self.drawn[who]] } else { vec![] };
                let report = PoolReport {
                    key: "p".into(),
                    returned: all.clone(),
                    posted: all.clone(),
                    look: false,
                    said: vec![],
                    wants: vec![],
                };
                let reports = if all.is_empty() { vec![] } else { vec![report] };
                let caller = self.caller(who);
                let (rests, outcomes, telling) = (vec![], vec![], None);
                let sync = Sync { caller, reports, rests, outcomes, telling, count: true };
                self.state.step(&Command::Sync(sync), self.now);
            }
        }
    }

    /// As many calls of `amount` as get through in so many seconds, tried ten times a second; how many per second.
    fn flood(&mut self, amount: u64, seconds: u64) -> Vec<u64> {
        let second = |cluster: &mut Cluster| {
            let granted = (0..30).filter(|at| {
                if at % 3 == 0 {
                    cluster.wait(100);
                }
                cluster.ask(at % 3, amount).is_ok()
            });
            granted.count() as u64
        };
        (0..seconds).map(|_| second(self)).collect()
    }
}

fn minute() -> Shape {
    Shape::window(MINUTE, Stage::Head)
}

#[test]
fn what_all_replicas_use_grows_by_a_half_in_a_period_and_comes_to_the_whole() {
    let mut cluster = Cluster::new(minute(), 600, Some(SLOW));
    let per_second = cluster.flood(1, 400);
    let used = |second: usize| per_second[second.saturating_sub(59)..=second].iter().sum::<u64>();
    for second in 0..per_second.len() {
        let periods = second as i32 / 30;
        let top = (0..periods).fold(60u64, |top, _| (top * 3).div_ceil(2)).min(600);
        assert!(used(second) <= top, "{} in the minute before second {second}, at most {top}", used(second));
    }
    assert!(used(29) >= 59 && used(59) >= 88, "as much as may be is used: {} and {}", used(29), used(59));
    let all: u64 = per_second[400 - 62..].iter().sum();
    assert!(all >= 590, "all of it in the end, in the time that buckets are kept: {all}");
}

#[test]
fn a_refusal_names_the_next_period_and_says_that_it_is_a_guess() {
    let mut cluster = Cluster::new(minute(), 100, Some(SLOW));
    (0..10).for_each(|_| cluster.ask(0, 1).unwrap());
    cluster.wait(4_000);
    assert_eq!(cluster.ask(1, 1), Err((26_000, false)));
    cluster.wait(26_000);
    assert_eq!((0..10).filter(|at| cluster.ask(at % 3, 1).is_ok()).count(), 5);
}

#[test]
fn who_was_hot_lately_takes_more_than_who_was_cold() {
    let most = |idle: Ms| {
        let mut cluster = Cluster::new(minute(), 1_000, None);
        cluster.flood(1, 65); // 30 a second, nearly all of it
        cluster.decl.slow_start = Some(SLOW);
        cluster.ask(0, 1).ok();
        cluster.wait(idle);
        (0..1_200).filter(|at| cluster.ask(at % 3, 1).is_ok()).count()
    };
    // What was used is gone after a minute and a bit; tops are a thousand, 666, 444, 296 and so on, down to a tenth.
    let idle = [65, 95, 125, 155, 1_000];
    assert_eq!(idle.map(|seconds| most(seconds * 1_000)), [444, 296, 197, 131, 100]);
}

#[test]
fn a_call_larger_than_the_beginning_goes_alone_and_makes_room_for_more() {
    let mut cluster = Cluster::new(minute(), 60_000, Some(SLOW));
    cluster.ask(0, 20_000).unwrap();
    assert!(cluster.ask(1, 20_000).is_err());
    let minutes: Vec<u64> = (0..6).map(|_| cluster.flood(20_000, 62).iter().sum()).collect();
    assert!(minutes[0] >= 1 && minutes[5] == 3, "{minutes:?}");
}

#[test]
fn calls_that_last_longer_than_a_period_are_not_held_up_once_they_are_there() {
    let mut cluster = Cluster::new(Shape::gauge(), 100, Some(SLOW));
    cluster.ends = false;
    let mut counts = Vec::new();
    for _ in 0..8 {
        counts.push((0..100).filter(|at| cluster.ask(at % 3, 1).is_ok()).count());
        cluster.wait(30_000);
    }
    assert_eq!(counts, [10, 5, 8, 12, 18, 27, 20, 0]);
}

#[test]
fn what_is_in_use_is_no_start_though_nobody_remembers_it() {
    let mut cluster = Cluster::new(minute(), 600, None);
    cluster.flood(1, 62);
    cluster.decl.slow_start = Some(SLOW);
    let per_second = cluster.flood(1, 60);
    assert!(per_second.iter().sum::<u64>() >= 570, "{per_second:?}");
    cluster.state.starts.clear(); // as after a loss of data, when uses were told
    let per_second = cluster.flood(1, 60);
    assert!(per_second.iter().sum::<u64>() >= 570, "{per_second:?}");
}

#[test]
fn a_days_limit_has_no_start() {
    let mut cluster = Cluster::new(Shape::window(86_400_000, Stage::Head), 50, Some(SLOW));
    assert_eq!((0..100).filter(|at| cluster.ask(at % 3, 1).is_ok()).count(), 50);
}
