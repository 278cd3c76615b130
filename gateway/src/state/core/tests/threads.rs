//! A replica's books under real threads: workers reserve, settle, give up and lose answers while SYNC reconciles.
//! Whatever interleaves, no report may contradict the grants and nothing may be left held.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::state::core::*;
use crate::state::ledger::Ledger;

const CALLS: u64 = 3_000;
const WORKERS: u64 = 4;

struct Shared {
    state: Mutex<State>,
    ledger: Arc<Ledger>,
}

impl Shared {
    fn run(&self, command: &Command) -> Reply {
        let mut state = self.state.lock();
        let now = state.clock.wall;
        state.step(command, now)
    }

    fn caller(&self) -> Caller {
        Caller { epoch: 1, inc: self.ledger.inc(), l_ack: 1, x: 0 }
    }

    /// One call of a worker; sometimes its answer is lost, sometimes its message comes twice.
    fn call(&self, rng: &mut fastrand::Rng, pools: &[PoolDecl]) {
        let pool = rng.usize(..pools.len());
        let draws = |pool| vec![Draw { pool, amounts: [1, rng.clone().u64(1..9)].into_iter().collect() }];
        let candidate = |pool: usize| Candidate {
            tag: 1,
            tier: 0,
            threshold: 1_000_000,
            circuit: None,
            account: 0,
            draws: draws(pool),
        };
        let ask = Arc::new(Reserve {
            caller: self.caller(),
            pools: pools.to_vec(),
            common: vec![],
            candidates: vec![candidate(pool), candidate((pool + 1) % pools.len())],
            session: None,
            tell: Default::default(),
            luck: 0,
            most: meter::WHOLE,
            turn: None,
        });
        let outstanding = self.ledger.sending(ask.clone());
        let command = Command::Reserve(ask);
        let reply = self.run(&command);
        match rng.u8(..8) {
            0 => return drop(outstanding),
            1 => drop(self.run(&command)),
            _ => {}
        }
        std::thread::yield_now();
        let Reply::Reserved(Reserved::Granted(granted)) = reply else { return outstanding.refused() };
        for (_, books, amounts) in outstanding.granted(granted.index, granted.share).into_iter().flatten() {
            for (meter, amount) in amounts.iter().enumerate() {
                self.ledger.settle(&books, meter, *amount, *amount);
            }
        }
    }

    fn sync(&self) {
        let (pools, reports) = self.ledger.report(false, None);
        let (caller, told) = (self.caller(), reports.clone());
        let sync =
            Sync { caller, reports: told, rests: vec![], outcomes: vec![], telling: None, count: false };
        let reply = self.run(&Command::Sync(sync));
        let Reply::Synced(synced) = reply else { panic!("reports contradict grants: {reply:?}") };
        std::thread::yield_now();
        self.ledger.heard(&pools, &reports, synced.pools, 1, 1);
    }
}

#[test]
fn books_agree_with_grants_whatever_threads_interleave() {
    let inc = Incarnation { name: "r".into(), k: 1 };
    let mut state = State::new(1, 1);
    state.step(&Command::Join(Join { inc: inc.clone(), d_head: 1_000, d_end: 1_000, ..Join::default() }), 1);
    let declared = |stage| Declared { shape: Shape::window(6_000, stage), cap: 1 << 30, pace: 0 };
    let pools: Vec<PoolDecl> = ["a", "b", "c"]
        .map(|key| PoolDecl {
            key: key.into(),
            meters: [declared(Stage::Head), declared(Stage::End)].into(),
            slow_start: None,
        })
        .into();
    let ledger = Arc::new(Ledger::new(inc, 1));
    let shared = Shared { state: Mutex::new(state), ledger };
    let working = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let syncing = scope.spawn(|| {
            while working.load(Ordering::Relaxed) {
                shared.sync();
            }
        });
        let workers: Vec<_> = (0..WORKERS)
            .map(|seed| {
                let (shared, pools) = (&shared, &pools);
                scope.spawn(move || {
                    let mut rng = fastrand::Rng::with_seed(seed);
                    (0..CALLS).for_each(|_| shared.call(&mut rng, pools));
                })
            })
            .collect();
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        working.store(false, Ordering::Relaxed);
        syncing.join().unwrap();
    });
    (0..8).for_each(|_| shared.sync());
    assert!(shared.ledger.is_idle());
    let state = shared.state.lock();
    assert!(
        state.pools.values().flat_map(|pool| &pool.meters).all(|meter| meter.hold == 0 && meter.posted > 0)
    );
}
