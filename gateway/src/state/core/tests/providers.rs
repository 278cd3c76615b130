//! Providers that count for themselves and answer 429 to the first call too many: one meter for each window of a
//! deployment's pools, by one of the rules that providers use. Each call is charged at one definite moment of its
//! life. (The judge knows no rule and no moment: it tries the worst of all.)
//!
//! Why none of them ever has a reason to refuse. Let L be the limit and W its window. What the state admits obeys
//! A(I) <= L for the charges A in every half-open interval I of length W, whatever moment of its life charges a call
//! (hold, then post; L + what calls cost beyond their estimate, and L + what was forgotten with the dead).
//! - *Sliding log*: that is the rule itself.
//! - *Fixed windows*: each is such an interval, whatever the phase.
//! - *Token bucket*, B = L, r = L / W: its level after a charge at t is the largest A(s..=t) - r (t - s) over all s. An
//!   interval of length x is covered by floor(x / W) + 1 windows, so A <= L (floor(x / W) + 1) <= L + r x = B + r x.
//! - *A grain of q* (some enforce a minute's limit by the second): a bucket of B = L q / W. The pacing at admission lets
//!   through b + r x in any x, b being L q / W or a single larger draw. Charges within x were admitted within x + J, J
//!   being the spread of the times from admission to charge: A <= b + r (x + J), a bucket of b + r J. (A believed step of
//!   the clock adds to J; a loss of data forgets the level, so each one adds b.)
//!
//! A provider may also look at all its limits when the call arrives, long before it charges it: the same holds with
//! the call's estimate charged at that moment instead.

use std::collections::{BTreeMap, VecDeque};

use super::plan::Plan;
use crate::config::Side;
use crate::state::core::{GAP, Ms};

/// Pool and meter.
pub(super) type At = (usize, usize);

/// All meters of all deployments.
#[derive(Debug)]
pub(super) struct Providers {
    meters: BTreeMap<At, Meter>,
}

/// What the world knows of a charge.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    pub amount: u64,
    /// From admission to now.
    pub delay: Ms,
}

/// What allows for more at a paced meter.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slack {
    pub stepped: bool,
    pub losses: u64,
}

#[derive(Debug)]
struct Meter {
    limit: u64,
    per: Ms,
    rule: Rule,
    grain: Option<Grain>,
}

#[derive(Debug)]
enum Rule {
    Fixed { phase: Ms, window: Ms, used: u64 },
    Log(VecDeque<(Ms, u64)>),
    Bucket(Bucket),
}

/// Its level in units times the window, so that the rate is the limit, in whole numbers.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    level: u64,
    at: Ms,
}

#[derive(Debug)]
struct Grain {
    q: Ms,
    bucket: Bucket,
    /// The largest draw, and the range of delays, so far.
    largest: u64,
    delays: Option<(Ms, Ms)>,
}

impl Providers {
    pub(super) fn new(plan: &Plan, born: Ms) -> Providers {
        let mut rng = fastrand::Rng::with_seed(!plan.knobs.seed);
        let mut meters = BTreeMap::new();
        let pools = plan.pools(0);
        let theirs = |side: Side| matches!(side, Side::Provider(_));
        for (pool, info) in pools.iter().enumerate().filter(|(_, info)| theirs(info.side)) {
            for (at, declared) in info.decl.meters.iter().enumerate().filter(|(_, d)| d.shape.span() > 0) {
                let per = plan.per(pool, at);
                let bucket = Bucket { level: 0, at: born };
                let rule = match plan.knobs.provider % 3 {
                    0 => Rule::Fixed { phase: rng.u64(0..per), window: 0, used: 0 },
                    1 => Rule::Log(VecDeque::new()),
                    _ => Rule::Bucket(bucket),
                };
                let grain = Grain { q: declared.pace, bucket, largest: 0, delays: None };
                let grain = Some(grain).filter(|grain| grain.q > 0);
                meters.insert((pool, at), Meter { limit: declared.cap, per, rule, grain });
            }
        }
        Providers { meters }
    }

    pub(super) fn count(&self, at: At) -> bool {
        self.meters.contains_key(&at)
    }

    /// Would a charge of so much now be too much?
    pub(super) fn refuses(&mut self, at: At, t: Ms, due: Due, slack: Slack) -> bool {
        self.meters.get_mut(&at).is_some_and(|meter| meter.refuses(t, due, slack))
    }

    /// Charges, whether or not it was too much.
    pub(super) fn charge(&mut self, at: At, t: Ms, due: Due) {
        if let Some(meter) = self.meters.get_mut(&at) {
            meter.charge(t, due);
        }
    }

    /// Since when charges count that are still part of what is full at `t`; a bucket may remember for ever.
    pub(super) fn since(&self, at: At, t: Ms) -> Ms {
        match self.meters.get(&at) {
            Some(Meter { rule: Rule::Fixed { .. } | Rule::Log(_), per, grain: None, .. }) => t + 1 - per,
            _ => 0,
        }
    }
}

impl Meter {
    fn refuses(&mut self, t: Ms, due: Due, slack: Slack) -> bool {
        let (limit, per) = (self.limit, self.per);
        let over = match &mut self.rule {
            Rule::Fixed { phase, window, used } => {
                let used = if *window == (t + *phase) / per { *used } else { 0 };
                used + due.amount > limit
            }
            Rule::Log(charges) => {
                while charges.front().is_some_and(|(at, _)| at + per <= t) {
                    charges.pop_front();
                }
                charges.iter().map(|(_, amount)| amount).sum::<u64>() + due.amount > limit
            }
            Rule::Bucket(bucket) => bucket.drained(t, limit) + due.amount * per > limit * per,
        };
        over || self.grain.as_mut().is_some_and(|grain| {
            grain.note(due);
            grain.bucket.drained(t, limit) + due.amount * per > grain.depth(limit, per, slack)
        })
    }

    fn charge(&mut self, t: Ms, due: Due) {
        match &mut self.rule {
            Rule::Fixed { phase, window, used } => {
                let now = (t + *phase) / self.per;
                *used = if *window == now { *used + due.amount } else { due.amount };
                *window = now;
            }
            Rule::Log(charges) => charges.push_back((t, due.amount)),
            Rule::Bucket(bucket) => bucket.fill(t, self.limit, due.amount * self.per),
        }
        if let Some(grain) = &mut self.grain {
            grain.note(due);
            grain.bucket.fill(t, self.limit, due.amount * self.per);
        }
    }
}

impl Bucket {
    fn drained(&self, t: Ms, rate: u64) -> u64 {
        self.level.saturating_sub((t - self.at) * rate)
    }

    fn fill(&mut self, t: Ms, rate: u64, amount: u64) {
        *self = Bucket { level: self.drained(t, rate) + amount, at: t };
    }
}

impl Grain {
    fn note(&mut self, due: Due) {
        self.largest = self.largest.max(due.amount);
        let (least, most) = self.delays.unwrap_or((due.delay, due.delay));
        self.delays = Some((least.min(due.delay), most.max(due.delay)));
    }

    /// `b + r J`.
    fn depth(&self, limit: u64, per: Ms, slack: Slack) -> u64 {
        let (least, most) = self.delays.unwrap_or_default();
        let spread = most - least + if slack.stepped { GAP } else { 0 };
        (limit * self.q).max(self.largest * per) * (1 + slack.losses) + limit * spread
    }
}
