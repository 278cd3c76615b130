//! A call of the world: what it asks for, and what becomes of it.

use std::sync::Arc;

use super::plan::{BARE, Plan, SHARED, TENANT};
use super::provide::Owed;
use super::world::Process;
use crate::config::MeterKind;
use crate::state::core::{Amounts, Caller, Candidate, Draw, Kin, Ms, Reserve, SessionRef};
use crate::state::ledger::{Ledger, Outstanding};
use crate::state::{PoolInfo, Reservation};

/// How an attempt ends, once it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// With the provider's word on its use.
    Told,
    /// Cut off after its head: nobody knows its use.
    Cut,
    /// With an error instead of a head.
    Error,
    /// Provably not a byte was sent.
    NotSent,
}

/// Where a call takes its replica down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Point {
    Asked,
    Answered,
    Booked,
    Sent,
    AtHead,
    HeadPosted,
    AtEnd,
    Settled,
}

const POINTS: [Point; 8] = [
    Point::Asked,
    Point::Answered,
    Point::Booked,
    Point::Sent,
    Point::AtHead,
    Point::HeadPosted,
    Point::AtEnd,
    Point::Settled,
];

/// Everything about a call that is decided beforehand.
#[derive(Clone, Debug)]
pub(super) struct Fate {
    /// From sending to the head, ms; at least 1.
    pub head_after: Ms,
    /// From the head to the end, ms.
    pub end_after: Ms,
    pub ending: Ending,
    pub deadly: Option<Point>,
    /// How often it asks again, at the very time it is told.
    pub insist: u8,
    pub input: u64,
    /// Largest output; the estimate is input and this.
    pub most: u64,
    /// Real output; above `most` only where that is allowed.
    pub output: u64,
}

impl Fate {
    /// Tokens held.
    pub(super) fn estimate(&self) -> u64 {
        self.input + self.most
    }

    /// Tokens used.
    pub(super) fn actual(&self) -> u64 {
        self.input + self.output
    }

    pub(super) fn of(n: u64, plan: &Plan) -> Fate {
        let mut rng = fastrand::Rng::with_seed(n);
        let (d_head, d_end) = plan.deadlines();
        let head_after = match rng.u8(..10) {
            0..6 => rng.u64(1..20),
            6..8 => rng.u64(1..d_head),
            8 => rng.u64(d_head * 9 / 10..d_head),
            _ => rng.u64(d_head..2 * d_head),
        };
        let end_after = if rng.bool() { rng.u64(0..40) } else { rng.u64(0..d_end) };
        let ending = match rng.u8(..12) {
            0 => Ending::Cut,
            1 => Ending::Error,
            2 => Ending::NotSent,
            _ => Ending::Told,
        };
        let deadly = (rng.u8(..100) < plan.knobs.deadly).then(|| POINTS[rng.usize(..POINTS.len())]);
        let insist = if rng.bool() { 0 } else { rng.u8(1..4) };
        let input = rng.u64(1..60);
        let most = if rng.u8(..30) == 0 { 400 } else { rng.u64(1..140) };
        let over = plan.knobs.excess && rng.u8(..4) == 0;
        let output = match rng.u8(..4) {
            _ if over => most + rng.u64(1..80),
            0 | 1 => most,
            _ => rng.u64(0..=most),
        };
        Fate { head_after, end_after, ending, deadly, insist, input, most, output }
    }
}

/// A call under way.
#[derive(Debug)]
pub(super) struct Call {
    pub of: Process,
    pub n: u64,
    pub fate: Fate,
    pub ask: Arc<Reserve>,
    pub infos: Vec<Arc<PoolInfo>>,
    /// When RESERVE was sent.
    pub asked: Ms,
    /// When it was granted, at the server.
    pub granted: Ms,
    /// Every grant, for a RESERVE may come twice: logical time and time.
    pub grants: Vec<(Ms, Ms)>,
    /// The books of the life that it was asked in.
    pub ledger: Arc<Ledger>,
    pub outstanding: Option<Outstanding>,
    pub reservation: Option<Reservation>,
    /// Its charges: pool, meter, and index at the judge.
    pub charges: Vec<(usize, usize, usize)>,
    /// What its provider has not charged yet.
    pub owed: Vec<Option<Owed>>,
    pub index: usize,
    pub headed: bool,
    /// How often it was asked before.
    pub times: u8,
}

/// What a call asks for: some of three deployments, in some order, now and then in odd ways.
pub(super) fn ask(n: u64, fate: &Fate, infos: &[Arc<PoolInfo>], caller: Caller) -> Reserve {
    let mut rng = fastrand::Rng::with_seed(!n);
    let amounts = |pool: usize| -> Amounts {
        let of = |kind: &MeterKind| if *kind == MeterKind::Tokens { fate.estimate() } else { 1 };
        infos[pool].kinds.iter().map(of).collect()
    };
    let draw = |pool: usize| Draw { pool, amounts: amounts(pool) };
    let first = rng.usize(..3);
    let tiers = rng.bool();
    let candidate = |at: usize, threshold: u64| {
        let deployment = (first + at) % 3;
        let own = [vec![draw(1), draw(SHARED)], vec![draw(2), draw(SHARED), draw(BARE)], vec![draw(3)]];
        Candidate {
            circuit: None,
            account: 0,
            tag: deployment as u64 + 1,
            tier: if tiers { at as u64 } else { 0 },
            threshold,
            draws: own[deployment].clone(),
        }
    };
    let mut candidates: Vec<Candidate> =
        (0..1 + rng.usize(..3)).map(|at| candidate(at, rng.u64(..4) * 333_333)).collect();
    match rng.u8(..24) {
        0 => candidates[0].draws.push(draw(SHARED)), // the same pool twice
        1 => candidates[0].draws.push(draw(TENANT)), // the common one again
        _ => {}
    }
    let common = if rng.u8(..4) == 0 { vec![] } else { vec![draw(TENANT)] };
    let session = (rng.u8(..3) == 0).then(|| SessionRef {
        key: format!("s{}", rng.u8(..3)),
        ttl: rng.u64(200..2_000),
        kin: Kin::default(),
    });
    let pools = infos.iter().map(|info| info.decl.clone()).collect();
    let mut ask = Reserve {
        caller,
        pools,
        common,
        candidates,
        session,
        tell: Default::default(),
        luck: 0,
        most: crate::state::core::meter::WHOLE,
        turn: None,
    };
    ask.normalise();
    ask
}
