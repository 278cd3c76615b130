//! How values spread: a histogram whose quantiles are right within a hundredth, however many there are. Pure.

/// Buckets of an octave.
const PARTS: u64 = 64;
/// Bits below which each value has a bucket of its own.
const EXACT: u32 = 6;

/// Values of any size, of which zero is told apart.
#[derive(Clone, Debug, Default)]
pub struct Spread {
    buckets: Vec<u64>,
    count: u64,
    sum: f64,
    most: u64,
}

impl Spread {
    /// One more.
    pub fn add(&mut self, value: u64) {
        let at = bucket(value);
        if at >= self.buckets.len() {
            self.buckets.resize(at + 1, 0);
        }
        self.buckets[at] += 1;
        self.count += 1;
        self.sum += value as f64;
        self.most = self.most.max(value);
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their mean; 0 if there are none.
    pub fn mean(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum / self.count as f64 }
    }

    /// The value that this share of all stays within (the nearest rank); 0 if there are none.
    pub fn within(&self, share: f64) -> f64 {
        let rank = ((share * self.count as f64).ceil() as u64).clamp(1, self.count.max(1));
        let mut below = 0;
        let found = self.buckets.iter().position(|count| {
            below += count;
            below >= rank
        });
        found.map_or(0.0, |at| middle(at).min(self.most as f64))
    }

    /// Those of the other as well.
    pub fn merge(&mut self, other: &Spread) {
        if other.buckets.len() > self.buckets.len() {
            self.buckets.resize(other.buckets.len(), 0);
        }
        self.buckets.iter_mut().zip(&other.buckets).for_each(|(own, more)| *own += more);
        self.count += other.count;
        self.sum += other.sum;
        self.most = self.most.max(other.most);
    }
}

fn bucket(value: u64) -> usize {
    if value < 1 << (EXACT + 1) {
        return value as usize;
    }
    let octave = value.ilog2();
    let part = (value >> (octave - EXACT)) & (PARTS - 1);
    (u64::from(octave - EXACT) * PARTS + PARTS + part) as usize
}

fn middle(bucket: usize) -> f64 {
    let bucket = bucket as u64;
    if bucket < 2 * PARTS {
        return bucket as f64;
    }
    let (octave, part) = ((bucket - PARTS) / PARTS, bucket % PARTS);
    let width = (1u64 << octave) as f64;
    (PARTS + part) as f64 * width + width / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Broken on purpose to see it fail: a bucket's begin taken for all of it, octaves of 16 parts.
    #[test]
    fn quantiles_are_within_a_hundredth_of_the_true_ones() {
        let (mut rng, mut spread) = (fastrand::Rng::with_seed(1), Spread::default());
        let mut all: Vec<u64> = (0..50_000).map(|_| (10.0_f64.powf(rng.f64() * 7.0)) as u64).collect();
        all.iter().for_each(|value| spread.add(*value));
        all.sort_unstable();
        for share in [0.001, 0.1, 0.5, 0.95, 0.99, 1.0] {
            let rank = (share * all.len() as f64).ceil() as usize - 1;
            let (found, due) = (spread.within(share), all[rank] as f64);
            assert!((found - due).abs() <= 0.01 * due, "{share}: {found}, not {due}");
        }
        let mean = all.iter().sum::<u64>() as f64 / all.len() as f64;
        assert!((spread.mean() / mean - 1.0).abs() < 1e-9);
    }

    #[test]
    fn small_values_are_exact_and_nothing_is_zero() {
        let mut spread = Spread::default();
        assert_eq!((spread.within(0.95), spread.mean()), (0.0, 0.0));
        (0..100).for_each(|value| spread.add(value));
        assert_eq!((spread.within(0.5), spread.within(0.95), spread.within(1.0)), (49.0, 94.0, 99.0));
        let mut both = Spread::default();
        both.add(1_000_000);
        both.merge(&spread);
        assert_eq!((both.count(), both.within(0.5)), (101, 50.0));
        assert_eq!(both.within(1.0), 1_000_000.0, "never more than the largest");
    }
}
