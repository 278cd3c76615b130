//! The models of a call: the one that is asked for, then its fallbacks.

use axum::body::Body;
use http::Response;

use super::tried::Tried;
use super::{Call, note};
use crate::auth::Who;
use crate::config::{Model, ModelId};
use crate::error::{Error, Fault, Kind};
use crate::shared::Snapshot;
use crate::telemetry::Record;

/// The models of a call: those begun, those to come, and those that come if the current one does not answer in time.
#[derive(Clone, Copy)]
pub(super) struct Ahead<'m> {
    listed: &'m [ModelId],
    begun: usize,
    fallbacks: &'m [ModelId],
}

impl Call<'_> {
    /// The model asked for, then its fallbacks: those for the kind of its failure, and of theirs.
    pub(super) async fn serve(
        &self,
        asked: ModelId,
        record: &mut Option<Record>,
    ) -> Result<Response<Body>, Error> {
        let model = &self.snapshot.config.models[asked.0];
        let (mut tried, mut first) = (Tried::default(), None);
        let mut models = vec![asked];
        let mut next = 0;
        while let Some(id) = models.get(next).copied() {
            next += 1;
            let ahead = Ahead { listed: &models, begun: next, fallbacks: &model.fallbacks };
            let error = match self.serve_model(id, ahead, &mut tried, record).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            // (Who looks anew waits on, and may find nothing: its deployments were drained, or its time is over.)
            note(record, |record| record.waits_no_more("refused"));
            let chain = self.chain(model, error.kind).filter(|_| !tried.over);
            let Some(chain) = chain else { return Err(error) };
            for fallback in chain.iter().filter(|id| self.may_use(**id)) {
                if !models.contains(fallback) {
                    models.push(*fallback);
                }
            }
            // That a fallback cannot take the call says nothing of the model asked for.
            if error.kind.fault() != Fault::Client || first.is_none() {
                first = Some(sooner(first, error));
            }
        }
        Err(first.unwrap_or_else(|| Error::new(Kind::Internal, "No model was tried.")))
    }

    /// The models that may serve what another did not, by the kind of its failure; `None`: no other would.
    fn chain<'m>(&self, model: &'m Model, kind: Kind) -> Option<&'m [ModelId]> {
        match kind {
            // Without what is drained it would be the length that stands in the way.
            Kind::Drained if model.fallbacks.is_empty() && self.is_too_long(model) => {
                Some(&model.context_fallbacks)
            }
            Kind::NoCapacity
            | Kind::TooBigForLimit
            | Kind::UpstreamFailed
            | Kind::UpstreamTimeout
            | Kind::Drained => Some(&model.fallbacks),
            Kind::ContextTooLong(_) => Some(&model.context_fallbacks),
            Kind::NoCandidate if self.is_too_long(model) => Some(&model.context_fallbacks),
            Kind::NoCandidate => Some(&[]),
            Kind::ContentFiltered(_) => Some(&model.content_fallbacks),
            Kind::BadKey
            | Kind::ModelForbidden
            | Kind::ModelUnknown
            | Kind::NotFound
            | Kind::MethodNotAllowed
            | Kind::NotKept
            | Kind::NotStored
            | Kind::Malformed
            | Kind::TooLarge
            | Kind::Encoded
            | Kind::SlowClient
            | Kind::RateLimited
            | Kind::BudgetSpent
            | Kind::Refused(_)
            | Kind::StateAway
            | Kind::Overloaded
            | Kind::Draining
            | Kind::Internal => None,
        }
    }

    /// Is there a deployment to try in the models that come after the current one, if that does not answer in time?
    pub(super) fn may_fall_back(&self, ahead: Ahead<'_>, tried: &Tried) -> bool {
        let (begun, to_come) = ahead.listed.split_at(ahead.begun);
        let added = ahead.fallbacks.iter().filter(|id| !begun.contains(id) && self.may_use(**id));
        let models = to_come.iter().chain(added).map(|id| &self.snapshot.config.models[id.0]);
        models
            .flat_map(|model| model.targets.iter().map(move |t| (model, t)))
            .any(|(model, target)| self.is_candidate(model, target, tried))
    }

    /// Can some deployment of the model not read so much?
    fn is_too_long(&self, model: &Model) -> bool {
        let needs = self.needs(0);
        let deployments = &self.snapshot.config.deployments;
        model.targets.iter().any(|target| !needs.fit(deployments[target.deployment.0].context_window))
    }

    /// A fallback is a model like any other: the tenant must be allowed to use it.
    fn may_use(&self, id: ModelId) -> bool {
        may_use(self.snapshot, self.who, id)
    }
}

/// May who calls use a model, by any of its names?
pub(super) fn may_use(snapshot: &Snapshot, who: &Who<'_>, id: ModelId) -> bool {
    let model = &snapshot.config.models[id.0];
    let mut names = std::iter::once(&model.name).chain(&model.aliases);
    names.any(|name| who.may_use(name))
}

/// Of two errors the one that lets the client come back sooner; else the newer.
pub(super) fn sooner(first: Option<Error>, second: Error) -> Error {
    match first {
        Some(first) if first.retry_after.is_some() => match second.retry_after {
            Some(time) if Some(time) < first.retry_after => second,
            _ => first,
        },
        _ => second,
    }
}
