//! Which deployments may serve a call, and in which order they are tried. Pure: facts and draws in, an order out.

pub mod rotation;

use crate::config::{Config, DeploymentId, Model, Strategy, Target};
use rotation::Rotation;

/// Candidates that a capacity choice compares at most; the rest follow as a tier of their own.
const COMPARED: usize = 8;

/// A target, ranked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranked<'a> {
    /// Which.
    pub target: &'a Target,
    /// Lower first.
    pub tier: u64,
    /// Taken at first sight while its share in use stays at or under this, millionths; 0: always compared.
    pub threshold: u64,
}

/// What a call asks of a deployment.
#[derive(Clone, Copy, Debug)]
pub struct Needs {
    /// Estimated input tokens.
    pub input: u64,
    /// Output tokens that the client asks for, if it says so.
    pub output: u64,
}

/// Ranks the targets of a model that can serve the call and were not tried. `draw` yields numbers in [0, 1).
///
/// Between `headroom.soft` and `hard` each candidate is passed over with a probability that grows with its load:
/// its threshold is drawn uniformly between the two. A capacity choice compares instead of taking the first.
pub fn rank<'a>(
    config: &Config,
    model: &'a Model,
    rotation: &mut Rotation,
    needs: Needs,
    tried: &[DeploymentId],
    draw: &mut dyn FnMut() -> f64,
) -> Vec<Ranked<'a>> {
    let able = |target: &&Target| {
        let deployment = &config.deployments[target.deployment.0];
        !tried.contains(&target.deployment)
            && deployment
                .context_window
                .is_none_or(|window| needs.input.saturating_add(needs.output) <= window)
    };
    let mut targets: Vec<&Target> = model.targets.iter().filter(able).collect();
    match model.strategy {
        Strategy::Capacity => shuffle(&mut targets, draw),
        Strategy::Weighted => rotation.order(&mut targets, |target| target.weight, draw),
        Strategy::RoundRobin => rotation.order(&mut targets, |_| 1.0, draw),
    }
    targets.sort_by_key(|target| target.tier); // stable: the order within a tier stays
    let mut ranked = Vec::with_capacity(targets.len());
    let mut in_tier = (u32::MAX, 0);
    for target in targets {
        in_tier = if in_tier.0 == target.tier { (target.tier, in_tier.1 + 1) } else { (target.tier, 0) };
        let late = model.strategy == Strategy::Capacity && in_tier.1 >= COMPARED;
        ranked.push(Ranked {
            target,
            tier: 2 * u64::from(target.tier) + u64::from(late),
            threshold: threshold(model, draw),
        });
    }
    ranked
}

fn threshold(model: &Model, draw: &mut dyn FnMut() -> f64) -> u64 {
    if model.strategy == Strategy::Capacity {
        return 0;
    }
    let (soft, hard) = (f64::from(model.headroom.soft), f64::from(model.headroom.hard));
    // Shares are counted against the cap, which is hard * limit already.
    ((soft + (hard - soft) * draw()) / hard * 1e6) as u64
}

fn shuffle<T>(items: &mut [T], draw: &mut dyn FnMut() -> f64) {
    for at in (1..items.len()).rev() {
        items.swap(at, ((at + 1) as f64 * draw()) as usize);
    }
}
