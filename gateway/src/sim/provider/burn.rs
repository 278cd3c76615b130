//! Somebody else who uses the same keys: takes a share of every limit, evenly over the window, and has done so for a window
//! when the first call comes. What does not fit is refused to them as well.

/// So many times in a window they call.
const STEPS: u64 = 200;

/// Of one key.
#[derive(Debug)]
pub(super) struct Burner {
    /// Of each limit, millionths.
    share: u64,
    window_us: u64,
    /// Calls so far, and when the first of them was; `None`: none yet.
    calls: u64,
    since_us: Option<u64>,
}

impl Burner {
    /// One that takes this share, 0 to 1.
    pub(super) fn new(share: f64, window_us: u64) -> Burner {
        Burner { share: (share * 1e6) as u64, window_us, calls: 0, since_us: None }
    }

    /// Their next call until `now_us`: when it was, and its number.
    pub(super) fn next(&mut self, now_us: u64) -> Option<(u64, u64)> {
        if self.share == 0 {
            return None;
        }
        let since = *self.since_us.get_or_insert(now_us.saturating_sub(self.window_us));
        let at = |call: u64| since + self.window_us * call / STEPS;
        if at(self.calls) + 2 * self.window_us < now_us {
            // Nobody has looked for long: what has left every window since need not be told.
            self.calls += (now_us - at(self.calls)) / self.window_us.max(1) * STEPS - STEPS;
        }
        let at = at(self.calls);
        (at <= now_us).then(|| {
            self.calls += 1;
            (at, self.calls - 1)
        })
    }

    /// What a call takes of a limit: in whole numbers, so that all of them together take the share.
    pub(super) fn amount(&self, call: u64, limit: u64) -> u64 {
        let until = |calls: u64| {
            let whole = u128::from(limit) * u128::from(self.share) * u128::from(calls);
            (whole / u128::from(STEPS * 1_000_000)) as u64
        };
        until(call + 1) - until(call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_limit_is_taken_in_every_window_evenly() {
        let mut burner = Burner::new(0.4, 6_000_000);
        let mut taken = Vec::new();
        for now in (10_000_000..40_000_000).step_by(77_777) {
            while let Some((at, call)) = burner.next(now) {
                assert!(at <= now && taken.last().is_none_or(|(before, _)| *before < at));
                taken.push((at, burner.amount(call, 25)));
            }
        }
        for from in (4_000_000..33_000_000).step_by(500_000) {
            let within = taken.iter().filter(|(at, _)| (from..from + 6_000_000).contains(at));
            assert_eq!(within.map(|(_, n)| n).sum::<u64>(), 10, "from {from}");
        }
        let (at, _) = burner.next(4_000_000_000).unwrap();
        assert!(
            (3_988_000_000..=4_000_000_000).contains(&at),
            "{at}: after a long time only what still counts"
        );
        assert!(Burner::new(0.0, 1_000).next(5_000).is_none());
    }
}
