//! When each deployment is checked, and what is known of its checks. Pure: time and draws in, names out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use crate::config::HealthCheck;

/// How a check ended, in metrics and logs.
pub(super) type Outcome = &'static str;

/// The deployments that are checked, by name.
#[derive(Debug, Default)]
pub(super) struct Plan(BTreeMap<Arc<str>, Entry>);

#[derive(Debug)]
struct Entry {
    check: HealthCheck,
    due: Instant,
    running: bool,
    last: Option<Outcome>,
}

impl Plan {
    /// These are checked from now on, and no others. The first check comes within an interval, as `luck` will; who was checked
    /// as it is now goes on.
    pub(super) fn adopt(
        &mut self,
        checks: impl Iterator<Item = (Arc<str>, HealthCheck)>,
        now: Instant,
        luck: &mut impl FnMut() -> f64,
    ) {
        let mut before = std::mem::take(&mut self.0);
        for (name, check) in checks {
            let entry = match before.remove(&name) {
                Some(known) if known.check.interval == check.interval => Entry { check, ..known },
                Some(known) => Entry { check, due: now + check.interval.mul_f64(luck()), ..known },
                None => {
                    let due = now + check.interval.mul_f64(luck());
                    Entry { check, due, running: false, last: None }
                }
            };
            self.0.insert(name, entry);
        }
    }

    /// When the next is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.values().map(|entry| entry.due).min()
    }

    /// Those that are due, each once per interval, give or take a tenth; but none that is still running.
    pub(super) fn due(&mut self, now: Instant, luck: &mut impl FnMut() -> f64) -> Vec<Arc<str>> {
        let mut due = Vec::new();
        for (name, entry) in self.0.iter_mut().filter(|(_, entry)| entry.due <= now) {
            entry.due = now + entry.check.interval.mul_f64(0.9 + 0.2 * luck());
            if !entry.running {
                due.push(name.clone());
            }
        }
        due
    }

    /// A check begins.
    pub(super) fn begun(&mut self, name: &str) {
        if let Some(entry) = self.0.get_mut(name) {
            entry.running = true;
        }
    }

    /// It ended; how the one before it had, if otherwise.
    pub(super) fn ended(&mut self, name: &str, outcome: Outcome) -> Option<Option<Outcome>> {
        let entry = self.0.get_mut(name)?;
        entry.running = false;
        let before = entry.last.replace(outcome);
        (before != Some(outcome)).then_some(before)
    }

    /// Nothing became of it, or another replica is to check.
    pub(super) fn forget(&mut self, name: &str) {
        if let Some(entry) = self.0.get_mut(name) {
            (entry.running, entry.last) = (false, None);
        }
    }

    /// Did the last check fail?
    pub(super) fn has_failed(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|entry| entry.last == Some("failed"))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::CheckKind;

    fn every(seconds: u64) -> HealthCheck {
        let interval = Duration::from_secs(seconds);
        HealthCheck { kind: CheckKind::Models, interval, timeout: interval / 2, successes: 2 }
    }

    fn plan(names: &[(&str, u64)], plan: &mut Plan, now: Instant) {
        plan.adopt(names.iter().map(|(name, s)| ((*name).into(), every(*s))), now, &mut || 0.5);
    }

    #[test]
    fn each_is_due_once_per_interval_give_or_take_a_tenth_and_never_beside_itself() {
        let (start, mut luck) = (Instant::now(), fastrand::Rng::with_seed(1));
        let mut all = Plan::default();
        plan(&[("a", 10)], &mut all, start);
        let (mut now, mut gaps) = (start, Vec::new());
        for _ in 0..1_000 {
            let next = all.next().unwrap();
            gaps.push(next.duration_since(now).as_secs_f64());
            now = next;
            assert_eq!(all.due(now, &mut || luck.f64()).len(), 1);
            assert!(all.due(now, &mut || luck.f64()).is_empty());
        }
        assert_eq!(gaps.remove(0), 5.0, "the first comes within an interval");
        assert!(gaps.iter().all(|gap| (8.999..11.001).contains(gap)));
        assert!(gaps.iter().any(|gap| *gap < 9.5) && gaps.iter().any(|gap| *gap > 10.5));
        all.begun("a");
        assert!(all.due(now + Duration::from_secs(60), &mut || 0.5).is_empty(), "it runs");
        all.ended("a", "ok");
        assert_eq!(all.due(now + Duration::from_secs(120), &mut || 0.5).len(), 1);
    }

    #[test]
    fn a_reload_begins_and_ends_checks_and_leaves_the_others() {
        let start = Instant::now();
        let mut all = Plan::default();
        plan(&[("a", 10), ("b", 10)], &mut all, start);
        all.ended("a", "failed");
        plan(&[("a", 10), ("c", 2)], &mut all, start + Duration::from_secs(3));
        assert!(all.has_failed("a"));
        assert_eq!(all.next(), Some(start + Duration::from_secs(4)), "half of c's interval later");
        let due = all.due(start + Duration::from_secs(5), &mut || 0.5);
        assert_eq!(due.iter().map(|name| &**name).collect::<Vec<_>>(), ["a", "c"], "as it was due before");
        plan(&[], &mut all, start);
        assert_eq!(all.next(), None);
    }

    #[test]
    fn only_a_change_is_told() {
        let mut all = Plan::default();
        plan(&[("a", 10)], &mut all, Instant::now());
        assert_eq!(all.ended("a", "ok"), Some(None));
        assert_eq!(all.ended("a", "ok"), None);
        assert_eq!(all.ended("a", "failed"), Some(Some("ok")));
        assert_eq!(all.ended("a", "failed"), None);
        assert_eq!(all.ended("gone", "failed"), None);
    }
}
