//! Steps of a random sequence: as they are drawn, and as commands that mostly make sense.

use std::sync::Arc;

use proptest::prelude::*;
use weir::state::core::*;

/// Kinds of [`Op`]: the data are lost; they are on another server.
pub(crate) const FLUSH: u8 = 18;
pub(crate) const MOVE: u8 = 19;

/// Lines in which calls compete.
pub(crate) const LINES: [&str; 2] = ["m0", "m1"];

/// A step as drawn; numbers are resolved against the state so that most of them make sense.
#[derive(Clone, Debug)]
pub(crate) struct Op {
    pub(crate) kind: u8,
    pub(crate) who: u8,
    pub(crate) step: i64,
    ack: u8,
    x: u64,
    numbers: [u64; 12],
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    let step = prop_oneof![
        6 => 0i64..120,
        3 => 0i64..900,
        1 => prop_oneof![19 => 0i64..1_000, 1 => 0i64..20_000],
        1 => -3_000i64..0,
        1 => prop_oneof![19 => Just(1_000i64), 1 => prop::sample::select(vec![1_001, 6_000, 6_200, 4_000_000])],
    ];
    let x = prop_oneof![12 => 0u64..3_000, 1 => Just(4_000_000u64)]; // as long as names are remembered
    let kind = prop_oneof![200 => 0u8..16, 8 => 16u8..18, 1 => Just(FLUSH), 1 => Just(MOVE)];
    (kind, 0u8..4, step, 0u8..8, x, prop::array::uniform12(any::<u64>()))
        .prop_map(|(kind, who, step, ack, x, numbers)| Op { kind, who, step, ack, x, numbers })
}

/// When sequences begin, Unix time, ms.
pub(crate) const BORN: u64 = 1_700_000_000_000;

/// The largest limit that a configuration may name.
const HUGE: u64 = (1 << 40) - 1;

fn universe() -> Vec<PoolDecl> {
    let window = |per, stage, cap, pace| Declared { shape: Shape::window(per, stage), cap, pace };
    let gauge = |cap| Declared { shape: Shape::gauge(), cap, pace: 0 };
    // Two seconds from the begin on it is over for everybody.
    let budget = format!("paid@{}|u172800000e", BORN - 58_000);
    let pools: Vec<(&str, Vec<Declared>)> = vec![
        ("tenant", vec![window(6_000, Stage::Head, 12, 0), gauge(5)]),
        ("a", vec![window(6_000, Stage::Head, 5, 0), window(6_000, Stage::End, 500, 0)]),
        ("b", vec![window(60_000, Stage::Head, 7, 1_000), window(1_000, Stage::Head, 900, 0)]),
        ("c", vec![window(86_400_000, Stage::End, 2_000, 10_000), gauge(2)]),
        ("bare", vec![]),
        (&budget, vec![window(172_800_000, Stage::End, 3_000, 0)]),
        // as large as the configuration allows: products pass 2^53, sums do not
        (
            "huge",
            vec![
                window(31 * 86_400_000, Stage::End, HUGE, 10_000),
                window(7_000, Stage::Head, HUGE / 2, 900),
            ],
        ),
    ];
    pools
        .into_iter()
        .map(|(name, meters)| PoolDecl { key: Arc::from(name), meters: meters.into(), slow_start: None })
        .collect()
}

fn reserve(op: &Op, caller: Caller) -> Reserve {
    let n = &op.numbers;
    let mut pools = universe();
    if n[0].is_multiple_of(5) {
        let mut meters = pools[1].meters.to_vec();
        meters[0].cap = 1 + n[1] % 8; // another configuration of the same pool
        pools[1].meters = meters.into();
    }
    for (at, pool) in pools.iter_mut().enumerate().filter(|(at, _)| n[4] >> at & 3 == 3) {
        let (from, factor) =
            ([1, 100, 330, 999][(n[1] >> at) as usize % 4], [1_001, 1_500, 4_000][(n[2] >> at) as usize % 3]);
        let per = [1_000, 1_500, 30_000, 3_600_000][(n[3] >> at) as usize % 4];
        pool.slow_start = Some(SlowStart { from, factor, per });
    }
    let many = n[7].is_multiple_of(11); // more than a script reads at once
    if many {
        let meters: Arc<[Declared]> = pools[0].meters[..1].into();
        pools.extend((0..14).map(|at| PoolDecl {
            key: format!("extra{at}").into(),
            meters: meters.clone(),
            slow_start: None,
        }));
    }
    let draw = |pool: usize, seed: u64| Draw {
        pool,
        amounts: (0..pools[pool].meters.len())
            .map(|m| match (pools[pool].meters[m].shape.mode, pools[pool].meters[m].cap) {
                (Mode::Gauge, _) | (_, 0..=12) => 1 + (seed >> m) % 7 / 6,
                (_, cap) => (seed >> (8 * m)) % (cap / 3) + u64::from(seed.is_multiple_of(31)) * cap,
            })
            .collect(),
    };
    let thresholds = [0, 500_000, 800_000, 1_000_000];
    let mut candidates: Vec<Candidate> = (0..1 + n[2] % 3)
        .map(|at| Candidate {
            tag: 1 + (n[3] + at) % 3,
            tier: at * (n[4] % 2),
            threshold: thresholds[(n[5] >> at) as usize % 4],
            circuit: (!(n[10] >> at).is_multiple_of(5)).then(|| trip(n)),
            account: [0, 4, 4, 6][((n[9] >> at) % 4) as usize],
            draws: vec![draw(1 + ((n[3] + at) % 3) as usize, n[6] >> at), draw(4, 0)],
        })
        .collect();
    if n[7].is_multiple_of(6) {
        candidates[0].draws.push(draw(1, n[8])); // possibly the same pool twice
    }
    if n[7].is_multiple_of(5) {
        let last = candidates.len() - 1;
        candidates[last].draws.push(draw(5, n[11]));
    }
    if n[7].is_multiple_of(7) {
        candidates[0].draws.push(draw(0, n[8])); // a common pool
    }
    if many {
        candidates[0].draws.push(draw(pools.len() - 1 - (n[8] % 5) as usize, n[11]));
    }
    let session = n[9].is_multiple_of(2).then(|| SessionRef {
        key: format!("s{}", n[10] % 3),
        ttl: 500 + n[11] % 20_000,
        kin: kin(n, candidates.len()),
    });
    let left = n[5].is_multiple_of(3).then_some(n[6] as usize % pools.len());
    let tell = Tell { left, why: n[5].is_multiple_of(4), used: n[5].is_multiple_of(7) };
    let mut ask = Reserve {
        caller,
        common: vec![draw(0, n[8])],
        candidates,
        session,
        pools,
        tell,
        luck: n[1] % 1_000_000,
        most: [1_000_000, 1_000_000, 700_000, 333_333][(n[0] % 4) as usize],
        turn: n[11].is_multiple_of(2).then(|| turn(n)),
    };
    ask.normalise();
    ask
}

/// Who is like whom: mostly something is known. Sometimes one is of the lost one's model, the next of its provider.
fn kin(n: &[u64], candidates: usize) -> Kin {
    let crossed = n[7] % 9 == 3; // then one is lost, and the others are known
    let like = |at: usize| {
        let n = n[8].rotate_right(7 * at as u32);
        let (model, provider) = match at {
            _ if !crossed => (n % 3, n / 3 % 3),
            home if home == candidates => (1, 1),
            even if even % 2 == 0 => (2, 1),
            _ => (1, 2),
        };
        Likeness { model, provider, set: at as u64 * (n / 9 % 2), cold: n / 18 % 5, worth: n / 90 % 5 }
    };
    let lost = n[7].is_multiple_of(3).then(|| like(candidates));
    let of = if n[7].is_multiple_of(4) { vec![] } else { (0..candidates).map(like).collect() };
    Kin { of, lost, within: n[6] % 3 * 100_000, spare: n[6] % 4 * 300_000 }
}

/// Mostly of few flows, sometimes of more than a line remembers.
fn turn(n: &[u64; 12]) -> Turn {
    let flow = if n[4].is_multiple_of(3) { 4 + n[5] % 100 } else { n[5] % 4 };
    Turn {
        line: LINES[(n[10] % 2) as usize].to_owned(),
        flow,
        rank: n[3] % 3,
        cost: n[9] % 5_000,
        waits: !n[8].is_multiple_of(3),
        more: n[7].is_multiple_of(2),
    }
}

fn sync(op: &Op, caller: Caller, state: &State) -> Sync {
    let n = &op.numbers;
    let mut reports = Vec::new();
    for (at, decl) in universe().into_iter().enumerate().filter(|(at, _)| !(n[0] >> at).is_multiple_of(3)) {
        let own = state.lives.get(&caller.inc).and_then(|life| life.counters.get(&decl.key));
        let part = |most: u64, seed: u64| if most == 0 { 0 } else { seed % (most + 1) };
        let counters: Vec<Counters> = own.cloned().unwrap_or(vec![Counters::default(); decl.meters.len()]);
        let lie = n[1].is_multiple_of(23);
        reports.push(PoolReport {
            key: decl.key.clone(),
            returned: counters
                .iter()
                .map(|c| part(c.granted, n[2] >> at) + u64::from(lie) * c.granted + u64::from(lie))
                .collect(),
            posted: counters.iter().map(|c| c.posted + part(c.granted, n[3] >> at)).collect(),
            look: (n[7] >> at).is_multiple_of(2),
            said: said(op, state, &decl.meters, at),
            wants: wants(n, &counters, &decl.meters, at),
        });
    }
    let rests = universe()
        .into_iter()
        .enumerate()
        .filter(|(at, _)| (n[4] >> at).is_multiple_of(9))
        .map(|(at, decl)| {
            let for_ms = if n[5].is_multiple_of(3) { 0 } else { n[5] % 4_000 };
            Rest { key: decl.key, for_ms, refused: (n[6] >> at).is_multiple_of(2) }
        })
        .collect();
    let telling = (!n[8].is_multiple_of(3)).then(|| telling(n, state));
    Sync { caller, reports, rests, outcomes: outcomes(n, state), telling, count: n[6].is_multiple_of(2) }
}

/// How deployments behave; some of it as large as it may be.
fn telling(n: &[u64; 12], state: &State) -> Telling {
    let shown = |tag: u64| Shown {
        tag,
        busy: (n[9] >> tag) % 4,
        sums: std::array::from_fn(|at| match (n[10] >> at) % 9 {
            0 => n[11] % (1 << 51),
            small => small * (n[11] % 1_000),
        }),
        demand: [1, n[2] % 4_000, n[3] % 900],
    };
    let tags = (1..6).filter(|tag| (n[7] >> (2 * tag)).is_multiple_of(3));
    let since = [0, state.clock.l, state.clock.l.saturating_sub(n[4] % 9_000)][(n[5] % 3) as usize];
    Telling { since, shown: tags.map(shown).collect() }
}

/// What the providers of some pools are said to have said: lately, long ago, or in the future of another data set.
fn said(op: &Op, state: &State, meters: &[Declared], seed: usize) -> Vec<Said> {
    let n = &op.numbers;
    if !(n[8] >> seed).is_multiple_of(3) {
        return Vec::new();
    }
    let word = |(at, meter): (usize, &Declared)| {
        let n = |from: usize| n[from] >> (seed + 3 * at);
        let ages = [0, 0, n(2) % 40, n(3) % 20_000];
        let at =
            state.clock.l.saturating_sub(ages[(n(4) % 4) as usize]) + u64::from(n(5).is_multiple_of(29)) * 50;
        let for_ms = [0, 1 + n(6) % 300, n(7) % 20_000, n(8) % 300_000][(n(9) % 4) as usize];
        Said { cap: n(10) % (meter.cap * 5 / 4), at, for_ms }
    };
    meters.iter().enumerate().map(word).collect()
}

/// What is to be lent: a little, all, or nothing more; by a cap of now, and at times of another configuration.
fn wants(n: &[u64; 12], counters: &[Counters], meters: &[Declared], seed: usize) -> Vec<Want> {
    if !(n[9] >> seed).is_multiple_of(2) {
        return Vec::new();
    }
    let want = |(at, meter): (usize, &Declared)| {
        let n = |from: usize| n[from] >> (seed + 2 * at);
        let more = [0, 1 + n(2) % 9, n(3) % (meter.cap + 1), meter.cap][(n(10) % 4) as usize];
        let cap = if n(11).is_multiple_of(13) { 1 + n(4) % (2 * meter.cap) } else { meter.cap };
        Want { level: counters[at].granted + more, cap }
    };
    meters.iter().enumerate().map(want).collect()
}

fn trip(n: &[u64; 12]) -> Trip {
    Trip {
        failures: 2 + n[9] % 3,
        ratio: 400_000,
        min_calls: 4 + n[9] % 5,
        window: [7, 3_000, 20_000][(n[9] % 3) as usize],
        open: 300 + n[10] % 2_000,
        successes: 1 + n[10] % 2,
        ramp: [0, 700, 9_000][(n[10] % 3) as usize],
        most: [0, 1_000, 9_000][(n[11] % 3) as usize],
    }
}

/// How attempts at the candidates ended, also of probes that were never let through.
fn outcomes(n: &[u64; 12], state: &State) -> Vec<Outcome> {
    let trip = trip(n);
    let endings = [Ending::Unknown, Ending::Well, Ending::Wrong];
    let outcome = |tag: u64| {
        let n = |at: usize| n[at] >> (5 * tag);
        let permit = match state.circuits.known.get(&tag) {
            Some(Circuit::Open { permit, since, .. }) => {
                [*permit, *permit, *permit, since - 1][(n(8) % 4) as usize]
            }
            _ => state.clock.l,
        };
        let (ok, failed) = (n(9) % 4 / 2, n(8) % 4);
        let permit = if n(6).is_multiple_of(3) { 0 } else { permit }; // a check
        let probes = if n(6) % 5 > 0 { vec![(permit, endings[(n(10) % 3) as usize])] } else { vec![] };
        Outcome { tag, ok, failed, run: failed.min(n(11) % 4), probes, trip }
    };
    (1..8).filter(|tag| (n[7] >> (3 * tag)).is_multiple_of(6)).map(outcome).collect()
}

/// What a replica says that it knows; some of it may be so.
fn memory(op: &Op, state: &State, inc: &Incarnation) -> Memory {
    let n = &op.numbers;
    let told = |(at, decl): (usize, PoolDecl)| {
        let own = state.lives.get(inc).and_then(|life| life.counters.get(&decl.key));
        let seldom = |n: u64| if own.is_some() || n.is_multiple_of(17) { n } else { 0 };
        let more = |c: &Counters| Counters {
            granted: c.granted + seldom(n[1] >> at) % 4,
            returned: c.returned + seldom(n[1] >> at) % 3,
            posted: c.posted + seldom(n[2] >> at) % 7,
        };
        let counters: Vec<Counters> = own.cloned().unwrap_or(vec![Counters::default(); decl.meters.len()]);
        let counters: Vec<Counters> =
            counters.iter().map(more).map(|c| Counters { granted: c.granted.max(c.returned), ..c }).collect();
        let image = !(n[3] >> at).is_multiple_of(3);
        let each = |seed: u64, most: u64| {
            decl.meters.iter().filter(|_| image).map(|_| seed % most).collect::<Vec<_>>()
        };
        let window = |_| vec![(n[5] % 7_000, n[6] % 5), (n[7] % 500, n[8] % 4), (0, n[9] % 3)];
        PoolMemory {
            counters: if n[4].is_multiple_of(if own.is_some() { 4 } else { 2 }) { vec![] } else { counters },
            age: n[10] % 3_000,
            seen: each(n[2] >> at, 4),
            posted: each(n[11] >> at, 60),
            others: each(n[9] >> at, 9),
            kept: each(n[8] >> at, 4),
            window: decl.meters.iter().filter(|_| image).map(window).collect(),
            rest: if image { n[5] % 900 } else { 0 },
            decl,
        }
    };
    let pools = universe()
        .into_iter()
        .enumerate()
        .filter(|(at, decl)| (n[0] >> at).is_multiple_of(2) && !decl.meters.is_empty());
    let over = |inc: &Incarnation| Incarnation { k: inc.k.saturating_sub(1), ..inc.clone() };
    let lives = state.lives.keys().flat_map(|inc| [inc.clone(), over(inc)]).enumerate();
    let roster = lives.filter(|(at, _)| (n[0] >> at).is_multiple_of(3)).map(|(_, inc)| inc).collect();
    Memory { age: n[6] % 2_000, roster, pools: pools.map(told).collect() }
}

pub(crate) fn resolve(op: &Op, state: &State) -> Command {
    let name = ["one", "two"][(op.who % 2) as usize].to_owned();
    let k = match (state.names.get(&name), op.numbers[11] % 12) {
        (Some((k, _)), 0) => k.saturating_sub(1),
        (Some((k, _)), 1) => k + 1,
        (Some((k, _)), _) => *k,
        (None, seed) => 1 + seed % 2,
    };
    let inc = Incarnation { name, k };
    let l_ack = match op.ack {
        0 => 0,
        1 => state.clock.l.saturating_sub(op.x),
        _ => state.clock.l,
    };
    let epoch = if op.ack == 7 && op.x.is_multiple_of(9) { state.epoch + 1 } else { state.epoch };
    let caller = Caller { epoch, inc: inc.clone(), l_ack, x: if op.ack > 4 { op.x } else { 0 } };
    if !state.lives.contains_key(&inc) && !op.numbers[10].is_multiple_of(5) {
        let k = state.names.get(&inc.name).map_or(inc.k, |(k, _)| k + 1);
        let memory = memory(op, state, &inc);
        return Command::Join(Join {
            inc: Incarnation { k, ..inc },
            d_head: 700,
            d_end: 2_500,
            epoch: 0,
            memory,
            more: op.numbers[3].is_multiple_of(5),
        });
    }
    match op.kind {
        0 => Command::Join(Join {
            inc: Incarnation { k: inc.k + op.numbers[0] % 2, ..inc },
            d_head: 700,
            d_end: 2_500,
            ..Join::default()
        }),
        16 | 17 => {
            let memory = memory(op, state, &inc);
            Command::Join(Join {
                inc,
                d_head: 700 + op.numbers[4] % 2 * 100, // of a life that is known they stay as they were
                d_end: 2_500,
                epoch,
                memory,
                more: op.numbers[3].is_multiple_of(5),
            })
        }
        1 => Command::Bye(caller),
        2..=6 => Command::Sync(sync(op, caller, state)),
        _ => Command::Reserve(Arc::new(reserve(op, caller))),
    }
}
