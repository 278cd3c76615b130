//! The variant of an experiment that a call falls to, and what that changes: where it goes first, and by which strategy.
//!
//! An experiment costs nobody an answer. Where a variant's deployments have no room, have failed or cannot serve the call, the
//! model's others take it, as a later tier would; it counts for its variant all the same, as spilled. A model that is tried as a
//! fallback of another is served as if there were no experiment.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{Call, note};
use crate::config::{By, Model, ModelId, Target, Variant};
use crate::route::Ranked;
use crate::route::experiment::unit;
use crate::route::rotation::Rotation;
use crate::telemetry::Record;

/// What a call's variant says of how it is served.
#[derive(Clone, Copy)]
pub(super) struct Falls<'a> {
    variant: &'a Variant,
    rotation: &'a Mutex<Rotation>,
}

/// Deployments that are ranked together, and whose turn it is among them.
pub(super) type Part<'a> = (&'a Model, &'a Mutex<Rotation>);

impl<'a> Call<'a> {
    /// The variant that the call falls to, if there is an experiment of its model. Counting tokens is no answer to compare.
    pub(super) fn falls(&self, record: &mut Option<Record>) -> Option<Falls<'a>> {
        let snapshot = self.snapshot;
        if snapshot.config.experiments.is_empty() || !self.peek.api.reads() {
            return None;
        }
        let (at, experiment) =
            snapshot.config.experiments.iter().enumerate().find(|(_, e)| e.model == self.chosen)?;
        let unit = match experiment.by {
            By::Tenant => unit(&experiment.name, &self.tenant_name),
            By::Session => {
                let session = self.session(self.chosen, &snapshot.config.models[self.chosen.0]);
                session.map_or_else(|| fastrand::u64(..), |session| unit(&experiment.name, &session.key))
            }
            By::Call => fastrand::u64(..),
        };
        let trial = &snapshot.trials[at];
        let assigned = trial.assign(unit);
        let variant = assigned.variant;
        note(record, |record| {
            record.explanation.variant = Some((assigned.name.clone(), assigned.experiment.clone()));
            record.assigned = Some(Box::new(assigned));
        });
        Some(Falls { variant: &experiment.variants[variant], rotation: &trial.rotations[variant] })
    }

    /// The deployments of a model that are ranked first, and those that serve what these cannot.
    pub(super) fn parts(&self, id: ModelId) -> (Part<'a>, Option<Part<'a>>) {
        let snapshot: &'a Arc<_> = self.snapshot;
        let (model, rotation) = (&snapshot.config.models[id.0], &snapshot.rotations[id.0]);
        match self.falls.filter(|_| id == self.chosen) {
            None => ((model, rotation), None),
            Some(Falls { variant, rotation: own }) => {
                ((&variant.own, own), variant.rest.as_ref().map(|rest| (rest, rotation)))
            }
        }
    }

    /// Is a deployment outside of the call's variant?
    pub(super) fn is_spilled(&self, id: ModelId, target: &Target) -> bool {
        self.falls.is_some_and(|falls| id != self.chosen || !falls.variant.has(target))
    }
}

/// Ranks `rest` behind what is ranked already.
pub(super) fn behind<'m>(ranked: &mut Vec<Ranked<'m>>, rest: Vec<Ranked<'m>>) {
    let next = ranked.last().map_or(0, |last| last.tier + 1);
    ranked.extend(rest.into_iter().map(|one| Ranked { tier: next + one.tier, ..one }));
}
