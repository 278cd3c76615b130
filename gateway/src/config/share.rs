//! The shares of a model's calls that its deployments are due.

use super::{Model, Strategy, Target};

impl Model {
    /// Of each target the share of the calls that it is due while all have room, by its weight; none by strategies that promise
    /// no shares, nor where a weight is automatic, which is what the moment makes of it. Later tiers, and what is further away, are due nothing: they serve what the first cannot.
    pub fn shares(&self) -> Option<Vec<f64>> {
        let weight: fn(&Target) -> f64 = match self.ranking.strategy {
            Strategy::Weighted => |target| target.weight,
            Strategy::RoundRobin => |_| 1.0,
            Strategy::LeastBusy
            | Strategy::Latency
            | Strategy::Cost
            | Strategy::Capacity
            | Strategy::ErrorRate
            | Strategy::Predictive
            | Strategy::Composite => return None,
        };
        let place = |target: &Target| (target.tier, target.distance);
        let first = self.targets.iter().map(place).min()?;
        let is_first = |target: &&Target| place(target) == first;
        if self.ranking.strategy == Strategy::Weighted
            && self.targets.iter().filter(is_first).any(|target| target.auto)
        {
            return None;
        }
        let all: f64 = self.targets.iter().filter(is_first).map(weight).sum();
        // As the rotation does: nobody's weight is less than `min_share` of all.
        let heeded = |target: &Target| weight(target).max(target.min_share * all);
        let sum: f64 = self.targets.iter().filter(is_first).map(heeded).sum();
        let share = |target: &Target| if place(target) == first { heeded(target) / sum } else { 0.0 };
        Some(self.targets.iter().map(share).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::check::check;

    fn shares(strategy: &str, deployments: &str) -> Option<Vec<f64>> {
        let deployment =
            |name: &str| format!("[[deployments]]\nname = \"{name}\"\naccount = \"a\"\nmodel = \"x\"\n");
        let text = format!(
            "version = 1\n[[accounts]]\nname = \"a\"\nprovider = \"openai\"\napi_key = \"k\"\n{}\
             [[models]]\nname = \"m\"\nstrategy = \"{strategy}\"\ndeployments = {deployments}\n",
            ["x", "y", "z"].map(deployment).concat()
        );
        let config = check(Path::new("weir.toml"), &text, &|_| None).unwrap();
        config.models[0].shares()
    }

    /// Broken on purpose to see it fail: later tiers counted among the first; automatic weights taken for written ones.
    #[test]
    fn by_weight_inside_the_first_tier() {
        let all = "[{ name = \"x\", weight = 3 }, { name = \"y\", weight = 1 }, { name = \"z\", weight = 4, priority = 1 }]";
        assert_eq!(shares("weighted", all), Some(vec![0.75, 0.25, 0.0]));
        assert_eq!(shares("round-robin", all), Some(vec![0.5, 0.5, 0.0]));
        assert_eq!(shares("capacity", all), None);
        assert_eq!(
            shares("weighted", "[\"x\", \"y\"]"),
            None,
            "automatic weights follow what is free and what fails"
        );
        let later =
            "[{ name = \"x\", weight = 3 }, { name = \"y\", weight = 1 }, { name = \"z\", priority = 1 }]";
        assert_eq!(shares("weighted", later), Some(vec![0.75, 0.25, 0.0]));
        let least = "[{ name = \"x\", weight = 99 }, { name = \"y\", weight = 1, min_share = 0.1 }]";
        let shares = shares("weighted", least).unwrap();
        assert!((shares[1] - 10.0 / 109.0).abs() < 1e-9, "{shares:?}");
    }
}
