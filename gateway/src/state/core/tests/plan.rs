//! What a simulated world is made of: pools with their meters, a few knobs, and a list of things that happen.
//!
//! Everything is small integers with 0 as the tamest value, so that a failing world shrinks to a readable one.

use std::sync::Arc;

use proptest::prelude::*;

use crate::config::{Charge, Counted, MeterKind, OnOutage, ReservePolicy, Side};
use crate::state::PoolInfo;
use crate::state::core::{Declared, Mode, Ms, PoolDecl, Shape, Stage};

/// Properties of a whole world.
#[derive(Clone, Debug, Default)]
pub(super) struct Knobs {
    /// Of the network's noise.
    pub seed: u64,
    /// Replicas besides the first two.
    pub more: u8,
    /// Which windows the meters have.
    pub windows: u8,
    /// Which deadlines calls have.
    pub deadlines: u8,
    /// How long answers to the first replica take besides, ms; below the time-out.
    pub lag: u8,
    /// Messages lost, percent.
    pub loss: u8,
    /// Messages doubled, percent.
    pub double: u8,
    /// Messages that come late, percent.
    pub slow: u8,
    /// Calls that kill their replica at some point, percent.
    pub deadly: u8,
    /// Whether replicas besides the first know only a higher limit.
    pub configs: bool,
    /// Whether calls may cost more than estimated.
    pub excess: bool,
    /// Whether the server's clock may step.
    pub clock: bool,
    /// Whether the common pool is scarce.
    pub scarce: bool,
    /// Whether the shared state loses data; nothing else bad then happens to replicas, for those that live must tell.
    pub losses: bool,
    /// How providers count, see [`super::providers`].
    pub provider: u8,
    /// When within a call they charge.
    pub moment: u8,
    /// Whether use is kept even over a sixtieth of a window, not a sixth.
    pub fine: bool,
    /// Whether replicas die, freeze and are cut off also where data are lost.
    pub harsh: bool,
    /// Whether the shared state is away from everybody at times, and replicas share what was left. Nobody dies then, for
    /// who used a part must tell of it.
    pub outages: bool,
    /// Whether replicas are lent room, and if so, how many times as large limits are: of next to nothing nothing is lent. No call then
    /// costs more than estimated, for nobody knows here when its room was granted.
    pub borrows: u64,
}

impl Knobs {
    /// Where data are lost all that live must be able to tell in time.
    fn feasible(mut self) -> Knobs {
        if self.losses || self.outages {
            // What a guard bucket pays for is either a step of the clock or the age of what was seen. The lowest
            // limit may have been known to the dead only.
            (self.clock, self.configs) = (false, false);
        }
        if self.windows == MINUTE {
            // Buckets are narrower than a step of the clock, and the world outlives a lower limit.
            (self.clock, self.configs) = (false, false);
        }
        if self.is_mild() {
            (self.deadly, self.lag) = (0, 0);
            (self.loss, self.slow) = (self.loss.min(10), self.slow.min(10));
        }
        self
    }

    /// Are data lost or is the state away, and everybody lives to tell?
    pub(super) fn is_mild(&self) -> bool {
        self.outages || self.losses && !self.harsh
    }
}

/// Something that happens `wait` ms after the one before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Op {
    pub wait: u16,
    pub what: u8,
    pub who: u8,
    /// Seed of its details.
    pub n: u64,
}

/// Kinds of [`Op::what`]; the rest of the numbers up to [`Op::KINDS`] are calls.
pub(super) mod what {
    pub(in super::super) const BURST: u8 = 24;
    pub(in super::super) const CRASH: u8 = 25;
    pub(in super::super) const STALL: u8 = 26;
    pub(in super::super) const MUTE: u8 = 27;
    pub(in super::super) const DEAFEN: u8 = 28;
    pub(in super::super) const STEP: u8 = 29;
    pub(in super::super) const REST: u8 = 30;
    pub(in super::super) const LEAVE: u8 = 31;
    pub(in super::super) const LIE: u8 = 32;
    pub(in super::super) const REPLAY: u8 = 33;
    pub(in super::super) const CUT: u8 = 34;
    pub(in super::super) const PAUSE: u8 = 35;
    pub(in super::super) const FREEZE: u8 = 36;
    pub(in super::super) const FELL: u8 = 37;
    pub(in super::super) const LOSE: u8 = 38;
}

impl Op {
    pub(super) const KINDS: u8 = 39;
    /// Those that there were when the first seeds were written down.
    const FIRST_KINDS: u8 = 34;

    fn any() -> impl Strategy<Value = Op> {
        (0u16..60, 0..Op::KINDS, 0u8..4, any::<u64>()).prop_map(|(wait, what, who, n)| Op {
            wait,
            what,
            who,
            n,
        })
    }

    fn random(rng: &mut fastrand::Rng) -> Op {
        let wait = if rng.u8(..4) == 0 { rng.u16(..120) } else { rng.u16(..12) };
        Op { wait, what: rng.u8(..Op::FIRST_KINDS), who: rng.u8(..4), n: rng.u64(..) }
    }

    /// Several calls for one, now and then.
    fn crowded(self, rng: &mut fastrand::Rng) -> Op {
        let many = self.what < what::BURST && rng.u8(..3) == 0;
        if many { Op { what: what::BURST, ..self } } else { self }
    }

    /// One of the kinds that came later.
    fn late(self, rng: &mut fastrand::Rng) -> Op {
        let what = rng.u8(Op::FIRST_KINDS..Op::KINDS);
        if rng.u8(..10) == 0 { Op { what, ..self } } else { self }
    }
}

/// A world to be: shrinks as a whole.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub knobs: Knobs,
    pub ops: Vec<Op>,
}

impl Plan {
    /// For proptest.
    pub(super) fn any() -> impl Strategy<Value = Plan> {
        let shape = (any::<u64>(), 0u8..3, 0u8..4, 0u8..4, prop_oneof![3 => Just(0u8), 1 => 0u8..95]);
        let net = (0u8..25, 0u8..15, 0u8..25, 0u8..10);
        let late = (0u8..3, 0u8..4, any::<bool>(), any::<bool>(), 0u8..4);
        let knobs = (shape, net, any::<[bool; 4]>(), 0u8..4, late).prop_map(|parts| {
            let (shape, net, flags, losses, late) = parts;
            Knobs {
                seed: shape.0,
                more: shape.1,
                windows: shape.2,
                deadlines: shape.3,
                lag: shape.4,
                loss: net.0,
                double: net.1,
                slow: net.2,
                deadly: net.3,
                configs: flags[0],
                excess: flags[1],
                clock: flags[2],
                scarce: flags[3],
                losses: losses == 3,
                provider: late.0,
                moment: late.1,
                fine: late.2,
                harsh: late.3,
                outages: late.4 == 3,
                borrows: 0,
            }
            .feasible()
        });
        (knobs, prop::collection::vec(Op::any(), 0..150)).prop_map(|(knobs, ops)| Plan { knobs, ops })
    }

    /// From a seed; faults come in different mixtures, sometimes none.
    pub(super) fn random(seed: u64) -> Plan {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut rare = |most: u8| if rng.bool() { 0 } else { rng.u8(..most) };
        let (loss, double, slow, deadly) = (rare(30), rare(20), rare(30), rare(12));
        let knobs = Knobs {
            seed: rng.u64(..),
            more: rng.u8(..3),
            windows: rng.u8(..4),
            deadlines: rng.u8(..4),
            lag: if rng.u8(..8) == 0 { rng.u8(..95) } else { 0 },
            loss,
            double,
            slow,
            deadly,
            configs: rng.u8(..4) == 0,
            excess: rng.u8(..4) == 0,
            clock: rng.bool(),
            scarce: rng.bool(),
            ..Knobs::default()
        };
        let knobs = Knobs { losses: rng.u8(..4) == 0, ..knobs };
        let ops = (0..rng.usize(40..120)).map(|_| Op::random(&mut rng)).collect();
        Plan { knobs, ops }.late(seed)
    }

    /// The same, with replicas that are lent room.
    pub(super) fn borrowing(seed: u64) -> Plan {
        Plan::random(seed).with_loans([4, 10, 30][(seed % 3) as usize])
    }

    /// With many calls, for few are worth no loan.
    pub(super) fn with_loans(self, borrows: u64) -> Plan {
        let many = |(at, op): (usize, Op)| {
            if op.what < what::BURST && at % 3 > 0 { Op { what: what::BURST, ..op } } else { op }
        };
        let again = |op: &Op| Op { n: !op.n, ..*op };
        let twice: Vec<Op> = self.ops.iter().copied().chain(self.ops.iter().map(again)).collect();
        let ops = twice.into_iter().enumerate().map(many).collect();
        Plan { knobs: Knobs { borrows, excess: false, ..self.knobs }, ops }
    }

    /// What came later is drawn apart, so that a seed goes on to mean what it meant, as far as it can.
    fn late(self, seed: u64) -> Plan {
        let mut rng = fastrand::Rng::with_seed(!seed);
        let (provider, moment, fine, harsh) = (rng.u8(..3), rng.u8(..4), rng.bool(), rng.bool());
        let outages = fastrand::Rng::with_seed(seed.rotate_left(17)).u8(..5) == 0;
        // Learning outlasts short windows: what was forgotten shows in long ones.
        let long = self.knobs.losses && harsh && !outages && rng.bool();
        let windows = if long { MINUTE } else { self.knobs.windows };
        let knobs = Knobs { provider, moment, fine, harsh, windows, outages, ..self.knobs }.feasible();
        let (late, crowded) = (rng.bool(), rng.bool());
        let change = |op: Op| {
            let op = if crowded { op.crowded(&mut rng) } else { op };
            let op = if late { op.late(&mut rng) } else { op };
            Op { wait: op.wait * if long { 3 } else { 1 }, ..op }
        };
        Plan { knobs, ops: self.ops.into_iter().map(change).collect() }
    }

    /// How long things happen at most, ms. Short enough that the lowest limit counts all the time.
    pub(super) fn active(&self) -> Ms {
        match (self.knobs.windows, self.knobs.outages) {
            (MINUTE, _) => 300_000,
            (_, true) => 12_000,
            _ => 4_000,
        }
    }

    /// From RESERVE to head and end at most, ms.
    pub(super) fn deadlines(&self) -> (Ms, Ms) {
        [(120, 240), (120, 900), (400, 400), (1_500, 3_000)][self.knobs.deadlines as usize % 4]
    }

    /// Pools as the replica `who` declares them.
    pub(super) fn pools(&self, who: usize) -> Vec<Arc<PoolInfo>> {
        let factor = if self.knobs.configs && who > 0 { 2 } else { 1 };
        universe(&self.knobs)
            .into_iter()
            .map(|(name, side, meters)| {
                let declared = |m: &MeterPlan| Declared { cap: m.cap * factor, shape: m.shape, pace: m.pace };
                let decl = PoolDecl {
                    key: Arc::from(name),
                    meters: meters.iter().map(declared).collect(),
                    slow_start: None,
                };
                let kinds = meters.iter().map(|m| m.kind).collect();
                Arc::new(PoolInfo {
                    name: Arc::from(name),
                    side,
                    counted: Counted::ALL,
                    reserve: ReservePolicy::Max,
                    on_outage: OnOutage::Share,
                    learned_permille: 950,
                    ..PoolInfo::of(decl, kinds)
                })
            })
            .collect()
    }

    /// Length of the window of a pool's meter, ms, as its provider counts it; 1 for a gauge.
    pub(super) fn per(&self, pool: usize, meter: usize) -> Ms {
        universe(&self.knobs)[pool].2[meter].per
    }

    /// The longest window.
    pub(super) fn longest(&self) -> Ms {
        universe(&self.knobs)
            .iter()
            .flat_map(|(_, _, meters)| meters.iter().map(|m| m.per))
            .max()
            .unwrap_or(0)
    }
}

struct MeterPlan {
    kind: MeterKind,
    shape: Shape,
    per: Ms,
    cap: u64,
    pace: Ms,
}

/// [`Knobs::windows`]: windows as long as a tenth of a minute, in a long world.
pub(super) const MINUTE: u8 = 4;

/// Index of the pool that every call draws on, then of those of the three deployments.
pub(super) const TENANT: usize = 0;
pub(super) const SHARED: usize = 4;
pub(super) const BARE: usize = 5;

/// Pools of the world: a tenant's, three deployments', one shared by two deployments, one without limits.
fn universe(knobs: &Knobs) -> Vec<(&'static str, Side, Vec<MeterPlan>)> {
    use MeterKind::{Concurrency, Requests, Tokens};
    use Stage::{End, Head};
    let (short, long) = windows(knobs);
    let meter = |kind, stage, (shape, per): (Shape, Ms), cap| MeterPlan {
        kind,
        shape: Shape { stage, ..shape },
        per,
        cap: cap * knobs.borrows.max(1),
        pace: 0,
    };
    let gauge = |cap| meter(Concurrency, End, (Shape::gauge(), 1), cap);
    let paced =
        MeterPlan { pace: short.1 / if knobs.fine { 60 } else { 6 }, ..meter(Tokens, Head, short, 400) };
    let tenant = if knobs.scarce { 5 } else { 40 };
    vec![
        ("tenant", Side::Ours, vec![meter(Requests, Head, short, tenant), gauge(tenant)]),
        ("a", end_actual(), vec![meter(Requests, Head, short, 4), meter(Tokens, End, long, 300)]),
        ("b", Side::Provider(Charge::AdmissionMax), vec![meter(Requests, Head, long, 5), paced]),
        ("c", end_actual(), vec![gauge(2), meter(Tokens, End, short, 200)]),
        ("shared", end_actual(), vec![meter(Requests, Head, long, 7)]),
        ("bare", Side::Ours, vec![]),
    ]
}

fn end_actual() -> Side {
    Side::Provider(Charge::EndActual)
}

/// Two windows. Where the clock may step, buckets are as wide as the largest step that is believed.
fn windows(knobs: &Knobs) -> ((Shape, Ms), (Shape, Ms)) {
    let shape =
        |width, buckets| (Shape { mode: Mode::Window, stage: Stage::Head, width, buckets }, width * buckets);
    let of = |per| (Shape::window(per, Stage::Head), per);
    match (knobs.clock, knobs.windows) {
        (_, MINUTE) => (of(6_000), of(6_000)),
        // Longer than it takes to be granted anything after an outage.
        (_, 0 | 1) if knobs.outages => (of(3_000), of(4_500)),
        (_, _) if knobs.outages => (shape(250, 16), shape(400, 10)),
        (true, 0 | 1) => (shape(1_000, 2), shape(1_000, 3)),
        (true, _) => (shape(1_000, 1), shape(1_100, 2)),
        (false, 0) => (shape(50, 12), shape(20, 20)),
        (false, 1) => (of(700), of(1_000)),
        (false, 2) => (shape(10, 60), shape(100, 8)),
        (false, _) => (of(300), shape(250, 3)),
    }
}
