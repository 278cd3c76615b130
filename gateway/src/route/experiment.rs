//! Which variant of an experiment a call falls to: by a hash of what stays together, so that all replicas say the same without
//! a word between them.
//!
//! Weighted rendezvous hashing, as in [`warm`]: each variant draws a time from an exponential distribution with its share as
//! rate, and the earliest wins. Two variants move exactly what their shares moved by, and whoever is in one stays there while it
//! grows beside all others. Of more, any rule that knows the shares of now alone moves up to 2d / (1 + d) in the worst case where d
//! is what had to move, and this one does not move more (Bavarian et al., 2016). Ranges in the order of the file would: where the
//! first gives to the last, all between them move on.

use sha2::{Digest, Sha256};

use super::warm;

/// What stays together, as a number: what it is called, in this experiment. In another one it falls elsewhere.
pub fn unit(experiment: &str, name: &str) -> u64 {
    let mut hash = Sha256::new();
    for part in [experiment, name] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let bytes: [u8; 32] = hash.finalize().into();
    bytes.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The variant of a unit, of variants with these numbers of their names and these shares; 0 if no share is above 0.
pub fn assign(unit: u64, variants: impl Iterator<Item = (u64, f64)>) -> usize {
    let time = |(tag, share): (u64, f64)| {
        if share > 0.0 { -warm::draw(unit, tag).ln() / share } else { f64::INFINITY }
    };
    let times = variants.map(time).enumerate();
    times.min_by(|(_, a), (_, b)| a.total_cmp(b)).map_or(0, |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Deployment;

    const UNITS: usize = 100_000;

    fn assigned(experiment: &str, names: &[&str], shares: &[f64]) -> Vec<usize> {
        let tags: Vec<u64> = names.iter().map(|name| Deployment::tag_of(name)).collect();
        let variants = || tags.iter().copied().zip(shares.iter().copied());
        (0..UNITS).map(|at| assign(unit(experiment, &format!("session-{at}")), variants())).collect()
    }

    fn count(of: &[usize], variant: usize) -> f64 {
        of.iter().filter(|at| **at == variant).count() as f64
    }

    fn within_four_sigma(count: f64, of: f64, share: f64) -> bool {
        (count - of * share).abs() <= 4.0 * (of * share * (1.0 - share)).sqrt()
    }

    /// Broken on purpose to see it fail: shares taken for equal.
    #[test]
    fn shares_are_met_and_a_share_of_nothing_gets_nothing() {
        let of = assigned("e", &["control", "a", "b", "off"], &[7.0, 2.0, 1.0, 0.0]);
        for (variant, share) in [0.7, 0.2, 0.1].into_iter().enumerate() {
            let count = count(&of, variant);
            assert!(within_four_sigma(count, UNITS as f64, share), "variant {variant}: {count}");
        }
        assert_eq!(count(&of, 3), 0.0);
    }

    /// Broken on purpose to see it fail: ranges in the order of the file (from 70/20/10 to 50/20/30 all of `a` moved).
    #[test]
    fn a_variant_that_grows_keeps_whom_it_has_and_few_others_move() {
        let two = |share: f64| assigned("e", &["control", "b"], &[100.0 - share, share]);
        let steps: Vec<Vec<usize>> = [0.0, 1.0, 10.0, 50.0, 100.0].map(two).to_vec();
        for pair in steps.windows(2) {
            let gone =
                pair[0].iter().zip(&pair[1]).filter(|(before, now)| **before == 1 && **now == 0).count();
            assert_eq!(gone, 0, "who was in b left it though it grew");
        }
        let names = ["control", "a", "b"];
        let (before, now) =
            (assigned("e", &names, &[70.0, 20.0, 10.0]), assigned("e", &names, &[50.0, 20.0, 30.0]));
        let gone = before.iter().zip(&now).filter(|(before, now)| **before == 2 && **now != 2).count();
        assert_eq!(gone, 0, "who was in b left it though it grew");
        let moved = before.iter().zip(&now).filter(|(before, now)| before != now).count() as f64;
        let least = 0.2 * UNITS as f64;
        assert!(moved >= 0.9 * least && moved <= 1.3 * least, "{moved} moved, {least} had to");
    }

    /// Broken on purpose to see it fail: the experiment's name left out of the hash.
    #[test]
    fn experiments_draw_apart() {
        let (one, other) =
            (assigned("one", &["a", "b"], &[1.0, 1.0]), assigned("other", &["a", "b"], &[1.0, 1.0]));
        let same = one.iter().zip(&other).filter(|(one, other)| one == other).count() as f64;
        assert!(within_four_sigma(same, UNITS as f64, 0.5), "{same} of {UNITS} fall alike");
    }

    /// Replicas of two versions must agree: these are facts, not results.
    #[test]
    fn the_hash_is_the_same_for_ever() {
        assert_eq!(unit("e", "session-1"), 4_294_511_688_486_392_373);
        let tags = ["control", "b"].map(Deployment::tag_of);
        let of =
            |at: usize| assign(unit("latency-vs-b", &format!("s{at}")), tags.into_iter().zip([50.0, 50.0]));
        assert_eq!((1..=12).map(of).collect::<Vec<_>>(), [1, 1, 1, 0, 1, 1, 1, 1, 0, 1, 1, 0]);
    }
}
