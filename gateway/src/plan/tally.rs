//! What is counted while the cluster runs. Pure.

use super::service::Us;
use super::spread::Spread;
use crate::config::Config;

/// Why a call was not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Why {
    /// A limit or budget of its tenant, a tenant above that, or the gateway.
    Own,
    /// No deployment of its models had room, and it did not wait, or waited in vain.
    Room,
    /// It would have waited, but the queue was full, or its turn would have come too late.
    Queue,
    /// It asks for more than a whole limit.
    TooBig,
    /// No deployment can serve it: too long, or tags that none has.
    Nobody,
    /// Its model does not exist, or its tenant may not use it.
    Unknown,
}

impl Why {
    /// All of them.
    pub const ALL: [Why; 6] = [Why::Own, Why::Room, Why::Queue, Why::TooBig, Why::Nobody, Why::Unknown];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Why::Own => "own_limit",
            Why::Room => "no_room",
            Why::Queue => "queue",
            Why::TooBig => "too_big",
            Why::Nobody => "no_deployment",
            Why::Unknown => "unknown_model",
        }
    }

    /// Would more room at providers have helped?
    pub fn is_room(self) -> bool {
        matches!(self, Why::Room | Why::Queue)
    }
}

/// What became of some calls.
#[derive(Clone, Debug, Default)]
pub struct Count {
    /// How many came.
    pub came: u64,
    /// How many were served.
    pub served: u64,
    /// How many were not, by [`Why::ALL`].
    pub refused: [u64; 6],
    /// How long those that were served waited for room, microseconds.
    pub waits: Spread,
    /// How long they took in all.
    pub took: Spread,
    /// To the first token, of streams.
    pub first: Spread,
    /// Tokens of those that were served.
    pub tokens: (u64, u64),
    /// US$.
    pub cost: f64,
    /// How many had no price.
    pub unpriced: u64,
}

impl Count {
    /// How many were refused.
    pub fn refusals(&self) -> u64 {
        self.refused.iter().sum()
    }

    /// The share that was served; 1 where none came.
    pub fn share(&self) -> f64 {
        if self.came == 0 { 1.0 } else { self.served as f64 / self.came as f64 }
    }

    /// How many were refused for want of room at providers.
    pub fn for_want_of_room(&self) -> u64 {
        Why::ALL.iter().zip(self.refused).filter(|(why, _)| why.is_room()).map(|(_, count)| count).sum()
    }
}

/// A call that was served.
#[derive(Clone, Copy, Debug)]
pub struct Served {
    /// Waited for room.
    pub waited: Us,
    /// In all.
    pub took: Us,
    /// To the first token, if it was a stream.
    pub first: Option<Us>,
    /// Input and output tokens.
    pub tokens: (u64, u64),
    /// US$, if its deployment has a price.
    pub cost: Option<f64>,
}

impl Count {
    /// Those of another as well.
    pub fn add(&mut self, other: &Count) {
        self.came += other.came;
        self.served += other.served;
        self.refused.iter_mut().zip(other.refused).for_each(|(own, more)| *own += more);
        self.waits.merge(&other.waits);
        self.took.merge(&other.took);
        self.first.merge(&other.first);
        self.tokens = (self.tokens.0 + other.tokens.0, self.tokens.1 + other.tokens.1);
        self.cost += other.cost;
        self.unpriced += other.unpriced;
    }

    fn serve(&mut self, served: &Served) {
        self.served += 1;
        self.waits.add(served.waited);
        self.took.add(served.took);
        served.first.into_iter().for_each(|first| self.first.add(first));
        self.tokens.0 += served.tokens.0;
        self.tokens.1 += served.tokens.1;
        self.cost += served.cost.unwrap_or(0.0);
        self.unpriced += u64::from(served.cost.is_none());
    }
}

/// One limit while the cluster runs: shares of it in use, as they were looked at.
#[derive(Clone, Debug, Default)]
pub struct Use {
    sum: f64,
    looks: u64,
    /// The highest.
    pub most: f64,
    /// Posted ever, at the first look and at the last.
    posted: (u64, u64),
}

impl Use {
    /// So much is in use now.
    pub fn look(&mut self, share: f64, posted: u64) {
        if self.looks == 0 {
            self.posted.0 = posted;
        }
        self.sum += share;
        self.looks += 1;
        self.most = self.most.max(share);
        self.posted.1 = posted;
    }

    /// What was posted in a second, looks being a second apart; none after a single look.
    pub fn posted_per_second(&self) -> Option<f64> {
        let posted = self.posted.1.saturating_sub(self.posted.0) as f64;
        (self.looks > 1).then(|| posted / (self.looks - 1) as f64)
    }

    /// The mean share in use.
    pub fn mean(&self) -> f64 {
        if self.looks == 0 { 0.0 } else { self.sum / self.looks as f64 }
    }
}

/// A point of the plots.
#[derive(Clone, Debug, Default)]
pub struct Point {
    /// Calls that came, were served and were refused in its time.
    pub calls: [u64; 3],
    /// Calls that waited, at most.
    pub waiting: u64,
    /// The share in use of each pool's fullest limit, at most.
    pub pools: Vec<f64>,
}

/// Everything that is counted.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Calls that came before this are left out, but for the plots.
    pub from: Us,
    /// When nothing comes any more.
    pub until: Us,
    /// Of all.
    pub all: Count,
    /// By what is asked for ([`super::load::Load::names`]).
    pub names: Vec<Count>,
    /// By tenant; the last are nobody's.
    pub tenants: Vec<Count>,
    /// By who served; `came` are those that it served and those that it could have served but for want of room.
    pub deployments: Vec<Count>,
    /// By pool: how many calls were refused because of it.
    pub refusals: Vec<u64>,
    /// By pool and meter.
    pub uses: Vec<Vec<Use>>,
    /// The time of a point.
    pub step: Us,
    /// In time.
    pub points: Vec<Point>,
    /// Questions to the state for room, grants on loans, SYNCs.
    pub messages: [u64; 3],
    /// All calls, those that are left out included.
    pub simulated: u64,
}

impl Tally {
    /// Nothing has come; the measured time goes from `from` to `until`.
    pub fn new(config: &Config, names: usize, (from, until): (Us, Us)) -> Tally {
        let step = (until / 240).max(1_000_000).next_multiple_of(1_000_000);
        let pools = config.pools.len();
        let point = Point { pools: vec![0.0; pools], ..Point::default() };
        Tally {
            from,
            until,
            all: Count::default(),
            names: vec![Count::default(); names],
            tenants: vec![Count::default(); config.tenants.len() + 1],
            deployments: vec![Count::default(); config.deployments.len()],
            refusals: vec![0; pools],
            uses: config.pools.iter().map(|pool| vec![Use::default(); pool.meters.len()]).collect(),
            step,
            points: vec![point; (until.div_ceil(step)) as usize],
            messages: [0; 3],
            simulated: 0,
        }
    }

    fn point(&mut self, at: Us, which: usize) {
        if let Some(point) = self.points.get_mut((at / self.step) as usize) {
            point.calls[which] += 1;
        }
    }

    /// Those of whom a call is counted, if it is counted at all.
    fn counted(&mut self, of: Of) -> Option<[&mut Count; 3]> {
        let is_counted = of.came >= self.from;
        let nobody = self.tenants.len() - 1;
        is_counted.then_some([
            &mut self.all,
            &mut self.names[of.name],
            &mut self.tenants[of.tenant.unwrap_or(nobody)],
        ])
    }

    /// A call comes.
    pub fn came(&mut self, of: Of) {
        self.simulated += 1;
        self.point(of.came, 0);
        self.counted(of).into_iter().flatten().for_each(|count| count.came += 1);
    }

    /// It was served, there.
    pub fn served(&mut self, of: Of, deployment: usize, served: &Served) {
        self.point(of.came + served.waited, 1);
        let Some(counts) = self.counted(of) else { return };
        counts.into_iter().for_each(|count| count.serve(served));
        self.deployments[deployment].came += 1;
        self.deployments[deployment].serve(served);
    }

    /// It was refused, because of that pool if it is known; these deployments could have served it with more room.
    pub fn refused(&mut self, of: Of, why: Why, pool: Option<usize>, could: &[usize], now: Us) {
        self.point(now, 2);
        let at = Why::ALL.iter().position(|other| *other == why).unwrap_or_default();
        let Some(counts) = self.counted(of) else { return };
        counts.into_iter().for_each(|count| count.refused[at] += 1);
        for deployment in could {
            self.deployments[*deployment].came += 1;
            self.deployments[*deployment].refused[at] += 1;
        }
        if let Some(pool) = pool {
            self.refusals[pool] += 1;
        }
    }

    /// So much of each meter of a pool is in use, and was posted ever.
    pub fn looked(&mut self, now: Us, pool: usize, meters: &[(f64, u64)]) {
        let most = meters.iter().map(|(share, _)| *share).fold(0.0, f64::max);
        if let Some(point) = self.points.get_mut((now / self.step) as usize) {
            point.pools[pool] = point.pools[pool].max(most);
        }
        if now >= self.from && now <= self.until {
            let looks = self.uses[pool].iter_mut().zip(meters);
            looks.for_each(|(of, (share, posted))| of.look(*share, *posted));
        }
    }

    /// So many wait.
    pub fn waits(&mut self, now: Us, waiting: u64) {
        if let Some(point) = self.points.get_mut((now / self.step) as usize) {
            point.waiting = point.waiting.max(waiting);
        }
    }
}

/// Which call.
#[derive(Clone, Copy, Debug)]
pub struct Of {
    /// When it came.
    pub came: Us,
    /// What it asks for.
    pub name: usize,
    /// Whose it is.
    pub tenant: Option<usize>,
}
