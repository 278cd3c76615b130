//! Smooth weighted round robin: every target gets its share, interleaved as evenly as possible (nginx's
//! algorithm). Each replica starts at a random place, or N replicas would march in step.

use ahash::AHashMap;

use crate::config::DeploymentId;

/// The state of one model's rotation in this replica.
#[derive(Debug, Default)]
pub struct Rotation {
    current: AHashMap<DeploymentId, f64>,
}

impl Rotation {
    /// Puts the item whose turn it is first and the others after it by how near their turn is; `weight` tells an item's
    /// deployment and its weight.
    pub fn order<T>(
        &mut self,
        items: &mut [T],
        weight: impl Fn(&T) -> (DeploymentId, f64),
        draw: &mut dyn FnMut() -> f64,
    ) {
        let total: f64 = items.iter().map(|item| weight(item).1).sum();
        for (deployment, weight) in items.iter().map(&weight) {
            *self.current.entry(deployment).or_insert_with(|| draw() * total) += weight;
        }
        let of = |item: &T| self.current.get(&weight(item).0).copied().unwrap_or(0.0);
        items.sort_by(|a, b| of(b).total_cmp(&of(a)));
        if let Some(first) = items.first() {
            self.current.entry(weight(first).0).and_modify(|current| *current -= total);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Item = (DeploymentId, f64);

    fn target(index: usize, weight: f64) -> Item {
        (DeploymentId(index), weight)
    }

    #[test]
    fn every_target_gets_its_share_within_one_call() {
        let targets = [target(0, 5.0), target(1, 3.0), target(2, 2.0)];
        let mut rotation = Rotation::default();
        let mut counts = [0i32; 3];
        for _ in 0..1_000 {
            let mut order = targets;
            rotation.order(&mut order, |item| *item, &mut || 0.3);
            counts[order[0].0.0] += 1;
        }
        for (count, expected) in counts.iter().zip([500, 300, 200]) {
            assert!((count - expected).abs() <= 2, "{counts:?}");
        }
    }

    #[test]
    fn heavy_targets_are_interleaved_not_bunched() {
        let targets = [target(0, 2.0), target(1, 1.0)];
        let mut rotation = Rotation::default();
        let mut picks = Vec::new();
        for _ in 0..300 {
            let mut order = targets;
            rotation.order(&mut order, |item| *item, &mut || 0.0);
            picks.push(order[0].0.0);
        }
        assert!(picks.windows(3).all(|w| w.contains(&1)), "the light one comes once in any three");
    }
}
