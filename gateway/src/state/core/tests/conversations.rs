//! Ten thousand conversations of six turns on five deployments, in simulated time: the real order of candidates (`route`), the
//! real state, three replicas that report with every SYNC. The judge is a provider's own count.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::path::Path;

use parking_lot::Mutex;

use crate::config::{Config, check};
use crate::route::{Needs, Outlook, Ranked, rank};
use crate::state::core::{
    Amounts, Caller, Candidate, Command, Declared, Denied, Draw, Incarnation, Join, Kin, Ms, PoolDecl,
    PoolReport, Reply, Reserve, Reserved, Rest, SessionRef, Shape, Stage, State, Sync, meter,
};

const BORN: Ms = 1_000_000;
const MINUTE: Ms = 60_000;
const REPLICAS: usize = 3;

/// What a call asks for, besides who and where.
pub(super) struct Turn<'a> {
    pub(super) tokens: u64,
    pub(super) session: Option<(&'a str, Kin)>,
}

/// Replicas on one state, and deployments that each have a limit of requests and one of tokens a minute.
pub(super) struct Cluster {
    state: State,
    pub(super) now: Ms,
    pools: Vec<PoolDecl>,
    /// Per replica and pool: what it has settled, as counters that only grow.
    books: Vec<Vec<[u64; 2]>>,
}

impl Cluster {
    /// So many deployments with these limits.
    pub(super) fn new(deployments: usize, caps: [u64; 2]) -> Cluster {
        let meter = |cap| Declared { shape: Shape::window(MINUTE, Stage::Head), cap, pace: 0 };
        let pool =
            |at| PoolDecl { key: format!("p{at}").into(), meters: caps.map(meter).into(), slow_start: None };
        let books = vec![vec![[0; 2]; deployments]; REPLICAS];
        let mut cluster = Cluster {
            state: State::new(1, BORN),
            now: BORN,
            pools: (0..deployments).map(pool).collect(),
            books,
        };
        for who in 0..REPLICAS {
            let inc = cluster.caller(who).inc;
            let join = Join { inc, d_head: 2_000, d_end: 60_000, ..Join::default() };
            cluster.state.step(&Command::Join(join), BORN);
        }
        cluster
    }

    fn caller(&self, who: usize) -> Caller {
        Caller { epoch: 1, inc: Incarnation { name: format!("r{who}"), k: 1 }, l_ack: self.state.now(), x: 0 }
    }

    /// Asks for one of the candidates: deployment, tier, threshold of each.
    pub(super) fn ask(
        &mut self,
        who: usize,
        among: &[(usize, u64, u64)],
        turn: Turn<'_>,
    ) -> Result<usize, Denied> {
        let draw = |pool: usize| Draw { pool, amounts: Amounts::from_slice(&[1, turn.tokens]) };
        let candidate = |&(deployment, tier, threshold): &(usize, u64, u64)| Candidate {
            tag: deployment as u64 + 1,
            tier,
            threshold,
            circuit: None,
            account: 0,
            draws: vec![draw(deployment)],
        };
        let ask = Reserve {
            caller: self.caller(who),
            pools: self.pools.clone(),
            common: vec![],
            candidates: among.iter().map(candidate).collect(),
            session: turn.session.map(|(key, kin)| SessionRef { key: key.into(), ttl: 3_600_000, kin }),
            tell: Default::default(),
            luck: 0,
            most: meter::WHOLE,
            turn: None,
        };
        match self.state.step(&Command::Reserve(ask.into()), self.now) {
            Reply::Reserved(Reserved::Granted(granted)) => {
                let taken = among[granted.index].0;
                let book = &mut self.books[who][taken];
                (book[0], book[1]) = (book[0] + 1, book[1] + turn.tokens);
                Ok(taken)
            }
            Reply::Reserved(Reserved::Denied(denied)) => Err(denied),
            other => panic!("{other:?}"),
        }
    }

    /// Every replica posts all that it was granted, and one lets these pools rest.
    pub(super) fn sync(&mut self, rests: &[(usize, Ms)]) {
        let mut rests: Vec<Rest> = rests
            .iter()
            .map(|(at, for_ms)| Rest {
                key: self.pools[*at].key.clone(),
                for_ms: *for_ms,
                refused: Default::default(),
            })
            .collect();
        for who in 0..REPLICAS {
            let report = |(pool, book): (&PoolDecl, &[u64; 2])| PoolReport {
                key: pool.key.clone(),
                returned: book.to_vec(),
                posted: book.to_vec(),
                look: false,
                said: Default::default(),
                wants: Default::default(),
            };
            let used = self.pools.iter().zip(&self.books[who]).filter(|(_, book)| book[0] > 0);
            let reports = used.map(report).collect();
            let rests = std::mem::take(&mut rests);
            let sync = Sync {
                caller: self.caller(who),
                reports,
                rests,
                outcomes: vec![],
                count: true,
                telling: Default::default(),
            };
            assert!(matches!(self.state.step(&Command::Sync(sync), self.now), Reply::Synced(_)));
        }
    }
}

/// What a provider counts by itself: all that came in the last minute.
#[derive(Default)]
struct Provider {
    recent: VecDeque<(Ms, u64)>,
    tokens: u64,
}

impl Provider {
    fn takes(&mut self, now: Ms, tokens: u64, caps: [u64; 2]) {
        while let Some((at, tokens)) = self.recent.front().copied().filter(|(at, _)| at + MINUTE <= now) {
            debug_assert!(at <= now);
            self.tokens -= tokens;
            self.recent.pop_front();
        }
        self.recent.push_back((now, tokens));
        self.tokens += tokens;
        assert!(self.recent.len() as u64 <= caps[0] && self.tokens <= caps[1], "beyond the limit at {now}");
    }
}

const DEPLOYMENTS: usize = 5;
const CONVERSATIONS: usize = 10_000;
const TURNS: u64 = 6;
/// From a conversation's beginning to the next one's, ms.
const APART: u64 = 100;
/// Between two turns of one, ms, on average.
const PAUSE: f64 = 10_000.0;
/// The tokens of a turn, on average: each brings the whole conversation along.
const TOKENS: u64 = 1_250;

fn tokens(turn: u64, rng: &mut fastrand::Rng) -> u64 {
    300 * turn + rng.u64(..400)
}

/// How conversations are held together.
#[derive(Clone, Copy, PartialEq)]
enum By {
    Session,
    Beginning,
    Nothing,
}

/// How many of 100 turns that are not the first went where the one before went. `load`: percent of all limits.
fn warm(strategy: &str, by: By, load: u64) -> f64 {
    let calls = MINUTE * TURNS / APART / DEPLOYMENTS as u64; // a minute, on each
    let caps = [calls * 100 / load, calls * TOKENS * 100 / load];
    let config = five(strategy);
    let (rotation, mut rng) = (Mutex::default(), fastrand::Rng::with_seed(load));
    let mut cluster = Cluster::new(DEPLOYMENTS, caps);
    let mut providers: [Provider; DEPLOYMENTS] = Default::default();
    let mut at: BTreeMap<usize, usize> = BTreeMap::new(); // where a conversation is warm
    let mut due: BinaryHeap<Reverse<(Ms, usize, u64)>> =
        (0..CONVERSATIONS).map(|n| Reverse((BORN + n as u64 * APART + rng.u64(..2 * APART), n, 1))).collect();
    let (mut stayed, mut later, mut next_sync) = (0, 0, BORN);
    while let Some(Reverse((time, conversation, turn))) = due.pop() {
        while next_sync < time {
            cluster.now = next_sync;
            cluster.sync(&[]);
            next_sync += 400;
        }
        cluster.now = time;
        let beginning = (by == By::Beginning).then_some(conversation as u64);
        let needs = Needs { input: 1_000, output: 0, expected: 100, beginning, at: 0 };
        let draw = &mut || rng.f64();
        let outlook = |_| Outlook::default();
        let ranked =
            rank(&config, &config.models[0], &rotation, needs, &|target| Some(target.weight), &outlook, draw);
        let among: Vec<_> = ranked.iter().map(of).collect();
        let key = conversation.to_string();
        let session = (by == By::Session).then(|| (&*key, Kin::default()));
        let tokens = tokens(turn, &mut rng);
        match cluster.ask(rng.usize(..REPLICAS), &among, Turn { tokens, session }) {
            Ok(taken) => {
                providers[taken].takes(time, tokens, caps);
                let before = at.insert(conversation, taken);
                later += u64::from(before.is_some());
                stayed += u64::from(before == Some(taken));
                if turn < TURNS {
                    let pause = (-rng.f64().max(1e-9).ln() * PAUSE) as Ms;
                    due.push(Reverse((time + 500 + pause, conversation, turn + 1)));
                }
            }
            Err(denied) => {
                let wait = denied.retry_in.max(1) + rng.u64(..50);
                due.push(Reverse((time + wait, conversation, turn)));
            }
        }
    }
    assert_eq!(later, CONVERSATIONS as u64 * (TURNS - 1), "every turn was served");
    stayed as f64 * 100.0 / later as f64
}

fn of(ranked: &Ranked<'_>) -> (usize, u64, u64) {
    (ranked.target.deployment.0, ranked.tier, ranked.threshold)
}

fn five(strategy: &str) -> Config {
    let deployment = |n| format!("[[deployments]]\nname = \"d{n}\"\naccount = \"a\"\nmodel = \"x\"\n");
    let all: String = (0..DEPLOYMENTS).map(deployment).collect();
    let text = format!(
        "version = 1\n[[accounts]]\nname = \"a\"\nprovider = \"openai-compatible\"\n\
         base_url = \"http://127.0.0.1:1/v1\"\n{all}[[models]]\nname = \"m\"\nstrategy = \"{strategy}\"\n\
         deployments = [\"d0\", \"d1\", \"d2\", \"d3\", \"d4\"]\n"
    );
    check::check(Path::new("weir.toml"), &text, &|_| None).unwrap_or_else(|report| panic!("{report}"))
}

/// Broken on purpose to see it fail: the pin not looked for; it is, but yields above `headroom.soft` (97.6 %).
#[test]
fn ten_thousand_conversations_stay_where_they_are_warm() {
    for strategy in ["capacity", "weighted"] {
        let warm = warm(strategy, By::Session, 60);
        println!("{strategy}: {warm:.2} %");
        assert!(warm >= 98.0, "{strategy}: {warm} %");
    }
}

/// Where most is in use too many conversations need room at once for all to stay, and no limit is exceeded for one.
/// Broken on purpose to see it fail: a pin that yields above `headroom.soft` (25 %).
#[test]
fn at_95_percent_limits_hold_and_most_conversations_stay() {
    let warm = warm("capacity", By::Session, 95);
    println!("{warm:.2} %");
    assert!(warm >= 90.0, "{warm} %");
}

/// Where all are above `headroom.soft`, load decides: how a prompt begins is a guess, and not advice that somebody gave.
/// Broken on purpose to see it fail: `beginning` not looked at by `order`.
#[test]
fn conversations_that_nobody_names_stay_by_how_they_begin() {
    for (by, load, least, most) in
        [(By::Beginning, 60, 98.0, 100.0), (By::Beginning, 95, 20.0, 60.0), (By::Nothing, 60, 0.0, 30.0)]
    {
        let warm = warm("capacity", by, load);
        println!("{load} %: {warm:.2} %");
        assert!((least..=most).contains(&warm), "{load} %: {warm} %");
    }
}
