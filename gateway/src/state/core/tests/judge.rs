//! The outside judge. It knows only what providers charged: for each sent call and meter, the time within which
//! the charge fell and its amount. Whatever instants an adversary picks there, no window may exceed the limit.

use std::collections::BTreeMap;

use crate::state::core::Ms;

/// A rule that was broken, and how.
#[derive(Clone, Debug)]
pub(super) struct Breach {
    /// Which invariant, in a few words.
    pub rule: &'static str,
    pub detail: String,
}

pub(super) fn breach(rule: &'static str, detail: impl Into<String>) -> Breach {
    Breach { rule, detail: detail.into() }
}

/// A call's charge on one meter.
#[derive(Clone, Debug)]
pub(super) struct Charge {
    /// It falls at `lo` or later,
    pub lo: Ms,
    /// and at `hi` or earlier.
    pub hi: Ms,
    pub amount: u64,
    /// What it is above the estimate.
    pub excess: u64,
    /// Of which call.
    pub call: usize,
    /// When the estimate was admitted.
    pub granted: Ms,
    /// When the shared state learnt of the whole amount.
    pub known: Option<Ms>,
}

/// All charges, by pool and meter.
#[derive(Debug, Default)]
pub(super) struct Judge {
    pub charges: BTreeMap<(usize, usize), Vec<Charge>>,
}

impl Judge {
    /// Largest amount above `limit` (plus the excess then unknown) in a window of `per` ms of a meter.
    pub(super) fn verdict(&self, meter: (usize, usize), per: Ms, limit: u64) -> Result<u64, Breach> {
        let Some(charges) = self.charges.get(&meter) else { return Ok(0) };
        let mut worst = 0;
        // A fullest window begins where some charge can last fall.
        for start in charges.iter().map(|charge| charge.hi) {
            let meets = |charge: &&Charge| charge.hi >= start && charge.lo < start + per;
            let total: u64 = charges.iter().filter(meets).map(|charge| charge.amount).sum();
            let last = charges.iter().filter(meets).map(|charge| charge.granted).max().unwrap_or(0);
            let unknown = |charge: &&Charge| charge.known.is_none_or(|known| known >= last);
            let excess: u64 = charges.iter().filter(meets).filter(unknown).map(|charge| charge.excess).sum();
            if total > limit + excess {
                let detail = format!(
                    "meter {meter:?}: {total} of {limit} (+ {excess}) within {per} ms from {start}; {:?}",
                    charges.iter().filter(meets).collect::<Vec<_>>()
                );
                return Err(breach("I1 no window above its limit", detail));
            }
            worst = worst.max(total);
        }
        Ok(worst)
    }

    /// Everything charged on a meter, excess that nobody could report left out.
    pub(super) fn reported(&self, meter: (usize, usize)) -> u64 {
        let sure = |charge: &Charge| charge.amount - if charge.known.is_none() { charge.excess } else { 0 };
        self.charges.get(&meter).map_or(0, |charges| charges.iter().map(sure).sum())
    }
}
