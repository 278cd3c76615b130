//! `tiers` of a model: what is set for all of its deployments of one `priority`.

use super::super::tree::{At, Field, Reading};
use super::super::units::Count;
use super::super::{Retry, Tier, Timeouts, raw};
use super::settings;

/// What a model says of its tiers.
pub(super) struct ModelTiers {
    /// Those with a bound on attempts.
    pub(super) bounded: Vec<Tier>,
    timeouts: Vec<(u32, Timeouts)>,
}

impl ModelTiers {
    /// Of a model with these settings, over which those of a tier go.
    pub(super) fn of(
        model: &raw::Model,
        retry: Retry,
        timeouts: Timeouts,
        cx: &mut Reading<'_>,
    ) -> ModelTiers {
        let mut tiers = ModelTiers { bounded: Vec::new(), timeouts: Vec::new() };
        for (at, tier) in model.tiers.items().iter().enumerate() {
            let tier = &tier.value;
            let own = settings::timeouts(&tier.timeouts, timeouts, cx);
            let attempts = settings::attempts(&tier.attempts, cx);
            let Some(priority) = tier.priority.get() else { continue };
            named_once(priority, &model.tiers.items()[..at], cx);
            named_rightly(priority, model, cx);
            tiers.timeouts.push((priority.value, own));
            if let Some(attempts) = attempts {
                within(&tier.attempts, model, retry, cx);
                tiers.bounded.push(Tier { priority: priority.value, attempts });
            }
        }
        tiers
    }

    /// The time-outs of a tier, if it has some of its own.
    pub(super) fn timeouts(&self, priority: u32) -> Option<Timeouts> {
        self.timeouts.iter().find(|(of, _)| *of == priority).map(|(_, timeouts)| *timeouts)
    }
}

fn named_once(priority: &At<u32>, before: &[At<raw::Tier>], cx: &mut Reading<'_>) {
    let mut others = before.iter().filter_map(|at| at.value.priority.get());
    if let Some(first) = others.find(|other| other.value == priority.value) {
        let line = cx.line(&first.span);
        cx.problem(&priority.span, format!("this priority has a tier already, at line {line}"));
    }
}

/// Has some deployment of the model this priority? What could not be read of them may.
fn named_rightly(priority: &At<u32>, model: &raw::Model, cx: &mut Reading<'_>) {
    let targets = model.deployments.items();
    let is_unknown = model.deployments.is_incomplete() || targets.iter().any(|at| at.value.priority.is_bad());
    if !is_unknown && !targets.iter().any(|at| at.value.priority.or(0) == priority.value) {
        cx.problem(&priority.span, "no deployment of this model has this priority");
    }
}

/// A tier cannot have more attempts than the whole call.
fn within(field: &Field<Count>, model: &raw::Model, retry: Retry, cx: &mut Reading<'_>) {
    let Some(At { value: Count(count), span }) = field.get() else { return };
    let is_unknown = match &model.retry {
        Field::Absent => false,
        Field::Bad => true,
        Field::Is(at) => {
            at.value.attempts.get().is_some_and(|most| cx.has_problem_at(&most.span))
                || at.value.attempts.is_bad()
        }
    };
    if !is_unknown && *count > u64::from(retry.attempts) {
        let most = retry.attempts;
        cx.problem(span, format!("more than `retry.attempts` of the model ({most}), which bounds the call"));
    }
}
