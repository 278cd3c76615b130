//! Smooth weighted round robin: every target gets its share, interleaved as evenly as possible (nginx's
//! algorithm). Each replica starts at a random place, or N replicas would march in step.

use ahash::AHashMap;

use crate::config::{DeploymentId, Target};

/// The state of one model's rotation in this replica.
#[derive(Debug, Default)]
pub struct Rotation {
    current: AHashMap<DeploymentId, f64>,
}

impl Rotation {
    /// Puts the target whose turn it is first and the others after it by how near their turn is.
    pub fn order(
        &mut self,
        targets: &mut [&Target],
        weight: impl Fn(&Target) -> f64,
        draw: &mut dyn FnMut() -> f64,
    ) {
        let total: f64 = targets.iter().map(|target| weight(target)).sum();
        for target in targets.iter() {
            let current = self.current.entry(target.deployment).or_insert_with(|| draw() * total);
            *current += weight(target);
        }
        let of = |target: &Target| self.current.get(&target.deployment).copied().unwrap_or(0.0);
        targets.sort_by(|a, b| of(b).total_cmp(&of(a)));
        if let Some(first) = targets.first() {
            self.current.entry(first.deployment).and_modify(|current| *current -= total);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Timeouts;
    use std::time::Duration;

    fn target(index: usize, weight: f64) -> Target {
        let second = Duration::from_secs(1);
        let timeouts =
            Timeouts { connect: second, first_token: second, steady: None, idle: second, total: second };
        Target { deployment: DeploymentId(index), weight, tier: 0, timeouts }
    }

    #[test]
    fn every_target_gets_its_share_within_one_call() {
        let targets = [target(0, 5.0), target(1, 3.0), target(2, 2.0)];
        let mut rotation = Rotation::default();
        let mut counts = [0i32; 3];
        for _ in 0..1_000 {
            let mut order: Vec<&Target> = targets.iter().collect();
            rotation.order(&mut order, |t| t.weight, &mut || 0.3);
            counts[order[0].deployment.0] += 1;
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
            let mut order: Vec<&Target> = targets.iter().collect();
            rotation.order(&mut order, |t| t.weight, &mut || 0.0);
            picks.push(order[0].deployment.0);
        }
        assert!(picks.windows(3).all(|w| w.contains(&1)), "the light one comes once in any three");
    }
}
