//! What the view shows, gathered from three witnesses: of limits the providers' own meters, of calls and money the
//! gateway's metrics, of waiting the clients.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::cast::{CALLERS, PARTS, WINDOW_S};
use super::load::Tally;
use super::scrape::Page;
use crate::shared::Shared;
use crate::sim::provider::{self, KeyStats};

/// Over how long calls per second are counted.
const RATE_OVER: Duration = Duration::from_secs(2);

/// One limit of a provider: its own count of what stands against it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Gauge {
    pub(super) used: u64,
    pub(super) limit: u64,
    /// The most that was seen to count at once.
    pub(super) fullest: u64,
}

/// A provider.
#[derive(Debug, Clone, Default)]
pub(super) struct Provider {
    pub(super) requests: Gauge,
    pub(super) tokens: Gauge,
    /// Requests that arrived.
    pub(super) arrivals: u64,
    pub(super) per_second: f64,
    /// Of the requests of all providers in their windows, 0 to 1.
    pub(super) share: f64,
    pub(super) first_token: Option<Duration>,
    /// Its refusals with 429.
    pub(super) refusals: u64,
    /// Calls that broke a limit, refused or found out at their end.
    pub(super) violations: u64,
    /// US$.
    pub(super) cost: f64,
}

/// Calls as the gateway counts them, of a replica or of a tenant.
#[derive(Debug, Clone, Default)]
pub(super) struct Calls {
    pub(super) served: u64,
    pub(super) refused: u64,
    pub(super) per_second: f64,
}

/// Sessions by what became of each call.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sessions {
    pub(super) hit: u64,
    pub(super) new: u64,
    pub(super) moved: u64,
}

/// Everything at one instant.
#[derive(Debug, Clone, Default)]
pub(super) struct Board {
    pub(super) elapsed: Duration,
    /// Calls per second that came in.
    pub(super) offered: f64,
    /// In the order of [`PARTS`].
    pub(super) providers: Vec<Provider>,
    pub(super) replicas: Vec<Calls>,
    /// In the order of [`CALLERS`].
    pub(super) tenants: Vec<Calls>,
    pub(super) sessions: Sessions,
    /// US$.
    pub(super) cost: f64,
    /// Calls that a replica neither served nor refused with 429.
    pub(super) failed: u64,
    /// Refusals by whose limit: the deployments', a tenant's.
    pub(super) no_capacity: u64,
    pub(super) tenant_limit: u64,
    /// Calls that clients gave up, and calls not made.
    pub(super) lost: u64,
    pub(super) skipped: u64,
    /// Refusals that did not say when to come back.
    pub(super) silent: u64,
    pub(super) median_wait_ms: Option<u64>,
    pub(super) longest_wait_ms: u64,
}

impl Board {
    /// Calls served by all replicas.
    pub(super) fn served(&self) -> u64 {
        self.replicas.iter().map(|calls| calls.served).sum()
    }

    /// Calls refused by all replicas.
    pub(super) fn refused(&self) -> u64 {
        self.replicas.iter().map(|calls| calls.refused).sum()
    }

    /// Did every provider find its limits kept?
    pub(super) fn limits_held(&self) -> bool {
        self.providers.iter().all(|provider| provider.violations == 0 && provider.refusals == 0)
    }
}

/// Looks at everything again and again.
#[derive(Debug)]
pub(super) struct Watcher {
    started: Instant,
    tally: Option<Arc<Mutex<Tally>>>,
    fullest: [(u64, u64); PARTS.len()],
    offered: Pace,
    providers: Vec<Pace>,
    replicas: Vec<Pace>,
    tenants: Vec<Pace>,
}

impl Watcher {
    /// `tally` is that of the load, if there is any.
    pub(super) fn new(replicas: usize, tally: Option<Arc<Mutex<Tally>>>) -> Watcher {
        Watcher {
            started: Instant::now(),
            tally,
            fullest: Default::default(),
            offered: Pace::default(),
            providers: vec![Pace::default(); PARTS.len()],
            replicas: vec![Pace::default(); replicas],
            tenants: vec![Pace::default(); CALLERS.len()],
        }
    }

    /// Notes how full the windows are now.
    pub(super) fn peek(&mut self, providers: &[provider::Handle]) -> Vec<Provider> {
        let stats: Vec<KeyStats> =
            providers.iter().map(|p| p.stats().keys.into_values().next().unwrap_or_default()).collect();
        let in_windows: u64 = stats.iter().filter_map(|stats| Some(stats.requests?.0)).sum();
        let seen = stats.into_iter().zip(&mut self.fullest).map(|(stats, fullest)| {
            let gauge = |pair: Option<(u64, u64)>, fullest: &mut u64| {
                let (used, limit) = pair.unwrap_or_default();
                *fullest = used.max(*fullest);
                Gauge { used, limit, fullest: *fullest }
            };
            let requests = gauge(stats.requests, &mut fullest.0);
            Provider {
                requests,
                tokens: gauge(stats.tokens, &mut fullest.1),
                arrivals: stats.arrivals,
                share: requests.used as f64 / in_windows.max(1) as f64,
                refusals: stats.statuses.get(&429).copied().unwrap_or(0),
                violations: stats.violations,
                ..Provider::default()
            }
        });
        seen.collect()
    }

    /// Everything as of now.
    pub(super) fn look(
        &mut self,
        providers: &[provider::Handle],
        replicas: &[Arc<Shared>],
    ) -> anyhow::Result<Board> {
        let now = Instant::now();
        let mut board = Board {
            elapsed: now - self.started,
            providers: self.peek(providers),
            replicas: vec![Calls::default(); replicas.len()],
            tenants: vec![Calls::default(); CALLERS.len()],
            ..Board::default()
        };
        for (at, replica) in replicas.iter().enumerate() {
            let text = String::from_utf8(replica.metrics.text()?)?;
            add(&mut board, at, &Page::read(&text));
        }
        self.clients(&mut board, now);
        let arrived: u64 = board.served() + board.refused() + board.failed;
        board.offered = self.offered.at(now, arrived);
        for (provider, pace) in board.providers.iter_mut().zip(&mut self.providers) {
            provider.per_second = pace.at(now, provider.arrivals);
        }
        for (calls, pace) in board.replicas.iter_mut().zip(&mut self.replicas) {
            calls.per_second = pace.at(now, calls.served);
        }
        for (calls, pace) in board.tenants.iter_mut().zip(&mut self.tenants) {
            calls.per_second = pace.at(now, calls.served);
        }
        Ok(board)
    }

    fn clients(&self, board: &mut Board, now: Instant) {
        let Some(tally) = &self.tally else { return };
        let tally = tally.lock();
        for (provider, part) in board.providers.iter_mut().zip(PARTS) {
            provider.first_token = tally.median_first_token(part.name, now);
        }
        (board.lost, board.skipped, board.silent) = (tally.failed, tally.skipped, tally.silent);
        (board.median_wait_ms, board.longest_wait_ms) = (tally.median_wait_ms(), tally.longest_wait_ms);
    }
}

/// Adds what one replica counted.
fn add(board: &mut Board, replica: usize, page: &Page<'_>) {
    const REQUESTS: &str = "weir_requests_total";
    let requests = |labels: &[(&str, &str)]| page.count(REQUESTS, labels);
    let (served, refused) = (requests(&[("status", "200")]), requests(&[("status", "429")]));
    board.failed += requests(&[]).saturating_sub(served + refused);
    board.replicas[replica].served = served;
    board.replicas[replica].refused = refused;
    for (calls, caller) in board.tenants.iter_mut().zip(CALLERS) {
        calls.served += requests(&[("tenant", caller.name), ("status", "200")]);
        calls.refused += requests(&[("tenant", caller.name), ("status", "429")]);
    }
    for (provider, part) in board.providers.iter_mut().zip(PARTS) {
        provider.cost += page.sum("weir_cost_usd_total", &[("deployment", part.name)]);
    }
    board.cost = board.providers.iter().map(|provider| provider.cost).sum();
    let sessions = |outcome| page.count("weir_sessions_total", &[("outcome", outcome)]);
    board.sessions.hit += sessions("hit");
    board.sessions.new += sessions("new");
    board.sessions.moved += sessions("moved");
    let denials = |scope| page.count("weir_denials_total", &[("scope", scope)]);
    board.no_capacity += denials("capacity");
    board.tenant_limit += denials("tenant");
}

/// How fast a count grows.
#[derive(Debug, Clone, Default)]
struct Pace(VecDeque<(Instant, u64)>);

impl Pace {
    /// Notes the count of now and returns its growth per second lately.
    fn at(&mut self, now: Instant, count: u64) -> f64 {
        while self.0.get(1).is_some_and(|(at, _)| *at + RATE_OVER <= now) {
            self.0.pop_front();
        }
        self.0.push_back((now, count));
        let Some((at, before)) = self.0.front() else { return 0.0 };
        let seconds = (now - *at).as_secs_f64();
        if seconds == 0.0 { 0.0 } else { count.saturating_sub(*before) as f64 / seconds }
    }
}

/// The window of every limit, as text.
pub(super) fn window() -> String {
    format!("{WINDOW_S} s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pace_is_the_growth_over_the_last_seconds() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        assert_eq!(pace.at(start, 100), 0.0);
        assert_eq!(pace.at(start + RATE_OVER / 2, 110), 10.0);
        assert_eq!(pace.at(start + RATE_OVER, 130), 15.0);
        assert_eq!(pace.at(start + 4 * RATE_OVER, 130), 0.0);
    }
}
