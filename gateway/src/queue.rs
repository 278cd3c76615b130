//! Calls that wait at this replica for room, model by model.
//!
//! Calls of one tenant in one order of urgency that the same deployments can take are a *flow*: they wait behind each other,
//! and the first of them asks the shared state for room again and again; where it finds plenty, all of them ask. Which flow
//! gets it, the state says ([`crate::state::core::fair`]). So nothing here
//! decides between tenants, but for who must go when the queue is full: the newest call of a flow of the tenant that has most
//! waiting for its weight, among the least urgent.
//!
//! Whoever leaves, however it leaves, calls up who is behind it.

mod asking;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::timeout_at;

use crate::config;
pub use asking::Asking;

/// After room was scarce, calls say for so long whose they are.
const STAYS_SCARCE: Duration = Duration::from_secs(1);
/// What is known of a flow's pace is of use for so long.
const PACE: Duration = Duration::from_secs(10);
/// How much the time between the last two weighs in a flow's pace.
const NEWEST: f64 = 0.2;

/// Room is scarce from here on, millionths of a limit in use.
pub const SCARCE: u64 = 800_000;
/// Whose calls, and how urgent.
#[derive(Clone, Debug, PartialEq)]
pub struct Flow {
    /// The tenant.
    pub tenant: Arc<str>,
    /// Lower goes first.
    pub rank: u64,
    /// The tenant's weight.
    pub weight: f64,
    /// Which deployments can take them: one that only a full one can take holds nobody up who can go elsewhere.
    pub set: u64,
}

/// The calls of one model that wait.
#[derive(Debug, Default)]
pub struct Queue {
    inner: Mutex<Inner>, // short sections
}

#[derive(Debug, Default)]
struct Inner {
    scarce_until: Option<Instant>,
    flows: Vec<Waiting>,
    size: usize,
}

/// A flow and its calls, oldest first.
#[derive(Debug)]
struct Waiting {
    flow: Flow,
    places: VecDeque<Arc<Place>>,
    /// The usual time between two that got room while others waited behind, seconds.
    pace: Option<f64>,
    /// When the last got room; and whether others waited behind it.
    served: Option<(Instant, bool)>,
    /// When there may be room for the first, as it was told last.
    room_at: Option<Instant>,
}

#[derive(Debug)]
struct Place {
    /// It may be the first now, or need not be, or is out.
    called: Called,
    /// There was plenty of room: it asks, whoever is before it.
    free: AtomicBool,
    out: AtomicBool,
}

/// How a call learns that it is called up.
#[derive(Debug)]
enum Called {
    /// It is a task, which waits for it.
    Task(Notify),
    /// It is of a world in simulated time, which keeps a list of those that were called.
    Listed(Arc<Mutex<Vec<usize>>>, usize),
}

impl Place {
    fn call(&self) {
        match &self.called {
            Called::Task(task) => task.notify_one(),
            Called::Listed(list, number) => list.lock().push(*number),
        }
    }

    /// Waits to be called up; whoever is listed is not waited for.
    async fn called(&self) {
        if let Called::Task(task) = &self.called {
            task.notified().await;
        }
    }
}

/// Why a call does not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The queue is full of calls that have as much of a right to be there.
    Full,
    /// Its turn would come so late, as things go.
    TooLate(Duration),
}

/// What ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It is the first of its flow and may ask.
    Ours,
    /// Its time is over.
    Over,
    /// It made room for another.
    Out,
}

impl Queue {
    /// Notes that there is hardly any room left, or none.
    pub fn note_scarce(&self, now: Instant) {
        self.inner.lock().scarce_until = Some(now + STAYS_SCARCE);
    }

    /// Must calls say whose they are? Else nobody waits and there is room.
    pub fn competes(&self, now: Instant) -> bool {
        let inner = self.inner.lock();
        inner.size > 0 || inner.scarce_until.is_some_and(|until| until > now)
    }

    /// Does a call of the flow wait?
    pub fn holds(&self, flow: &Flow) -> bool {
        self.inner.lock().find(flow).is_some_and(|waiting| !waiting.places.is_empty())
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.inner.lock().size
    }

    /// Does nobody wait?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A place behind the others of the flow, until then.
    pub fn enter(
        self: &Arc<Self>,
        flow: &Flow,
        bounds: config::Queue,
        until: Instant,
    ) -> Result<Ticket, Refusal> {
        self.enter_as(flow, bounds, (Instant::now(), until), Called::Task(Notify::new()))
    }

    /// The same for a call `number` of a world in simulated time, where it is `now`: when it may be the first, or is out, its number
    /// is put on the list.
    pub fn enter_listed(
        self: &Arc<Self>,
        flow: &Flow,
        bounds: config::Queue,
        times: (Instant, Instant),
        (list, number): (&Arc<Mutex<Vec<usize>>>, usize),
    ) -> Result<Ticket, Refusal> {
        self.enter_as(flow, bounds, times, Called::Listed(list.clone(), number))
    }

    fn enter_as(
        self: &Arc<Self>,
        flow: &Flow,
        bounds: config::Queue,
        (now, until): (Instant, Instant),
        called: Called,
    ) -> Result<Ticket, Refusal> {
        let mut inner = self.inner.lock();
        inner.flows.retain(|waiting| !waiting.places.is_empty() || waiting.lately(now).is_some());
        let at = inner.flows.iter().position(|waiting| waiting.flow == *flow).unwrap_or_else(|| {
            inner.flows.push(Waiting::of(flow));
            inner.flows.len() - 1
        });
        if let Some(wait) = inner.flows[at].expected(now).filter(|wait| now + *wait > until) {
            return Err(Refusal::TooLate(wait));
        }
        if inner.size >= bounds.max && !inner.put_out(at) {
            return Err(Refusal::Full);
        }
        let place = Arc::new(Place { called, free: AtomicBool::new(false), out: AtomicBool::new(false) });
        inner.flows[at].places.push_back(place.clone());
        inner.size += 1;
        Ok(Ticket { queue: self.clone(), flow: flow.clone(), place })
    }

    fn leave(&self, flow: &Flow, place: &Arc<Place>) {
        let mut inner = self.inner.lock();
        let Some(waiting) = inner.find_mut(flow) else { return };
        let Some(at) = waiting.places.iter().position(|other| Arc::ptr_eq(other, place)) else { return };
        waiting.places.remove(at);
        if waiting.places.is_empty()
            && let Some((_, behind)) = &mut waiting.served
        {
            *behind = false; // nobody waits on: the time until the next one comes is not its wait
        }
        if let Some(first) = waiting.places.front().filter(|_| at == 0) {
            first.call();
        }
        inner.size -= 1;
    }
}

impl Inner {
    fn find(&self, flow: &Flow) -> Option<&Waiting> {
        self.flows.iter().find(|waiting| waiting.flow == *flow)
    }

    fn find_mut(&mut self, flow: &Flow) -> Option<&mut Waiting> {
        self.flows.iter_mut().find(|waiting| waiting.flow == *flow)
    }

    /// Puts a call out for one of flow `at`, unless that flow itself has too many.
    fn put_out(&mut self, at: usize) -> bool {
        let crowd = |index: usize| {
            let Flow { tenant, rank, weight, .. } = &self.flows[index].flow;
            let of = |flow: &Flow| flow.tenant == *tenant && flow.rank == *rank;
            let own = self.flows.iter().filter(|waiting| of(&waiting.flow));
            let size = own.map(|own| own.places.len()).sum::<usize>() + usize::from(of(&self.flows[at].flow));
            (*rank, size as f64 / weight)
        };
        let others =
            (0..self.flows.len()).filter(|index| *index != at && !self.flows[*index].places.is_empty());
        let most = others.max_by(|a, b| {
            let (a, b) = (crowd(*a), crowd(*b));
            a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
        });
        let Some(most) = most.filter(|most| {
            let (theirs, ours) = (crowd(*most), crowd(at));
            theirs.0 > ours.0 || theirs.0 == ours.0 && theirs.1 > ours.1
        }) else {
            return false;
        };
        let Some(newest) = self.flows[most].places.pop_back() else { return false };
        newest.out.store(true, Ordering::Release);
        newest.call();
        self.size -= 1;
        true
    }
}

impl Waiting {
    fn of(flow: &Flow) -> Waiting {
        Waiting { flow: flow.clone(), places: VecDeque::new(), pace: None, served: None, room_at: None }
    }

    fn lately(&self, now: Instant) -> Option<f64> {
        self.pace.filter(|_| self.served.is_some_and(|(last, _)| now.duration_since(last) < PACE))
    }

    /// How long one that comes now must wait, as things go; none if nobody knows.
    fn expected(&self, now: Instant) -> Option<Duration> {
        let ahead = self.places.len();
        let told = self.room_at.filter(|_| ahead > 0).map(|at| at.saturating_duration_since(now));
        let paced = self.lately(now).filter(|_| ahead > 1).map(|pace| pace * ahead as f64);
        told.max(paced.map(Duration::from_secs_f64))
    }
}

/// A call's place in a queue. To drop it is to leave.
#[derive(Debug)]
pub struct Ticket {
    queue: Arc<Queue>,
    flow: Flow,
    place: Arc<Place>,
}

impl Ticket {
    /// Do others of its flow wait behind it?
    pub fn has_more_behind(&self) -> bool {
        self.queue.inner.lock().find(&self.flow).is_some_and(|waiting| waiting.places.len() > 1)
    }

    /// Waits until it is the first of its flow, or until then at most.
    pub async fn first(&self, until: Instant) -> Ended {
        loop {
            match self.look() {
                Some(Ended::Ours) if Instant::now() >= until => return Ended::Over,
                Some(ended) => return ended,
                None => {}
            }
            if timeout_at(until.into(), self.place.called()).await.is_err() {
                return Ended::Over;
            }
        }
    }

    /// Waits to ask again, `until` then at most: the first of its flow until `again`, another until it is the first. It was told
    /// that there may be room at `room_at`.
    pub async fn next(&self, again: Instant, room_at: Instant, until: Instant) -> Ended {
        if self.told(room_at) == Some(Ended::Ours) {
            // Called, it is out, or was first already; either way it is looked at below.
            let _ = timeout_at(again.into(), self.place.called()).await;
        }
        self.first(until).await
    }

    /// It asked, and was told that there may be room at `room_at`: is it still the first?
    pub fn told(&self, room_at: Instant) -> Option<Ended> {
        if let Some(waiting) = self.queue.inner.lock().find_mut(&self.flow) {
            waiting.room_at = Some(room_at);
        }
        self.place.free.store(false, Ordering::Release);
        self.look()
    }

    /// It got room; if there is `plenty`, the others of its flow need not wait for each other.
    pub fn served(self, plenty: bool) {
        self.served_at(plenty, Instant::now());
    }

    /// The same where it is `now`.
    pub fn served_at(self, plenty: bool, now: Instant) {
        let mut inner = self.queue.inner.lock();
        if let Some(waiting) = inner.find_mut(&self.flow) {
            // A longer gap says that there was no room for anybody, not how fast the flow goes.
            let before = waiting.served.filter(|(last, _)| now.duration_since(*last) < PACE);
            if let Some((last, true)) = before {
                let gap = now.duration_since(last).as_secs_f64();
                waiting.pace = Some(waiting.pace.map_or(gap, |pace| pace + NEWEST * (gap - pace)));
            }
            waiting.served = Some((now, waiting.places.len() > 1));
            for place in waiting.places.iter().filter(|_| plenty) {
                place.free.store(true, Ordering::Release);
                place.call();
            }
        }
    }

    /// What ended its wait, if something has.
    pub fn look(&self) -> Option<Ended> {
        if self.place.out.load(Ordering::Acquire) {
            return Some(Ended::Out);
        }
        if self.place.free.load(Ordering::Acquire) {
            return Some(Ended::Ours);
        }
        let inner = self.queue.inner.lock();
        let first = inner.find(&self.flow).and_then(|waiting| waiting.places.front());
        first.is_some_and(|first| Arc::ptr_eq(first, &self.place)).then_some(Ended::Ours)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.queue.leave(&self.flow, &self.place);
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
