//! A call that finds no room waits for some, if that comes in time.
//!
//! It waits behind the calls of its tenant that are as urgent ([`crate::queue`]); the first of them asks the state
//! again whenever that says there may be room. Who else waits elsewhere, the state knows ([`crate::state::core::fair`]). A
//! call waits only where nothing else is left to it: no fallback, and no limit of its tenant's own that stands in the way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;

use super::tried::Tried;
use super::{Call, note};
use crate::config::{Deployment, ModelId, Priority, Tenant};
use crate::error::{Error, Kind};
use crate::queue::{Flow, Queue, Refusal, Ticket, Turn};
use crate::state::core::fair::ASKS;
use crate::state::core::{self, Denied, Told};
use crate::state::{Away, Outcome, Wish};
use crate::telemetry::Record;

/// Room is scarce from here on, millionths of a limit in use.
const SCARCE: u64 = 800_000;
/// What a call counts for beside others: thousandths of a token at weight 1, below this.
const DEAREST: f64 = (1u64 << 40) as f64;
/// Where nobody knows when room comes.
const UNKNOWN: Duration = Duration::from_secs(1);

/// How urgent a call is: as its tenant's calls are, or less if the client says so.
pub(super) fn priority(tenant: Option<&Tenant>, headers: &HeaderMap) -> Result<Priority, Error> {
    let most = tenant.map_or(Priority::Normal, |tenant| tenant.priority);
    let Some(said) = headers.get("x-weir-priority") else { return Ok(most) };
    let word = said.to_str().unwrap_or_default().trim();
    let known = Priority::WORDS.iter().find(|(known, _)| *known == word);
    let message = "x-weir-priority must be high, normal or low.";
    known.map(|(_, said)| most.max(*said)).ok_or_else(|| Error::new(Kind::Malformed, message))
}

impl Call<'_> {
    /// Asks for room; if there is none and the call `may_wait`, until there is.
    pub(super) async fn room(
        &self,
        id: ModelId,
        wish: &mut Wish,
        tried: &Tried,
        may_wait: bool,
        record: &mut Option<Record>,
    ) -> Result<Outcome, Away> {
        let queue = &self.snapshot.queues[id.0];
        let bounds = self.snapshot.config.models[id.0].queue;
        let began = Instant::now();
        let until = (began + bounds.wait).min(self.deadline);
        let flow = self.flow();
        let waits = may_wait && bounds.max > 0;
        let mut ticket: Option<Ticket> = None;
        if waits && queue.holds(&flow) {
            match queue.enter(&flow, bounds, until) {
                Ok(behind) => match behind.first(until).await {
                    Turn::Ours => ticket = Some(behind),
                    Turn::Over | Turn::Out => return Ok(self.gives_up(UNKNOWN, began, record)),
                },
                Err(refusal) => return Ok(self.gives_up(later(refusal), began, record)),
            }
        }
        loop {
            self.say_whose(id, queue, &flow, ticket.as_ref(), waits, wish);
            let outcome = self.ask_for_room(wish, tried, record).await;
            let mut denied = match outcome {
                Ok(Outcome::Denied(denied)) => denied,
                Ok(Outcome::Granted(reservation, told)) => {
                    if reservation.share >= SCARCE {
                        queue.note_scarce(Instant::now());
                    }
                    if let Some(ticket) = ticket.take() {
                        ticket.served();
                        self.note_wait(id, began, record);
                    }
                    return Ok(Outcome::Granted(reservation, told));
                }
                other => return other,
            };
            let now = Instant::now();
            let again = now + Duration::from_millis(denied.retry_in.max(1));
            if !denied.common && !denied.open {
                queue.note_scarce(now);
            }
            if !waits || denied.common || denied.open || again >= until {
                return Ok(Outcome::Denied(denied));
            }
            let waiting = match ticket.take().map_or_else(|| queue.enter(&flow, bounds, until), Ok) {
                Ok(waiting) => waiting,
                Err(refusal) => {
                    let least = later(refusal).as_millis() as u64;
                    denied.retry_in = denied.retry_in.max(least);
                    return Ok(Outcome::Denied(denied));
                }
            };
            match waiting.pause(again.min(now + Duration::from_millis(ASKS)), again).await {
                Turn::Ours => ticket = Some(waiting),
                Turn::Over => match waiting.first(until).await {
                    // others came before it
                    Turn::Ours => ticket = Some(waiting),
                    Turn::Over | Turn::Out => return Ok(Outcome::Denied(denied)),
                },
                Turn::Out => return Ok(Outcome::Denied(denied)),
            }
        }
    }

    /// A call that waited behind others and did not come to ask.
    fn gives_up(&self, again: Duration, began: Instant, record: &mut Option<Record>) -> Outcome {
        note(record, |record| record.waited += began.elapsed());
        Outcome::Denied(Denied {
            retry_in: again.as_millis() as u64,
            exact: false,
            pool: usize::MAX, // it was not asked which
            common: false,
            open: false,
            told: Told::default(),
        })
    }

    fn note_wait(&self, id: ModelId, began: Instant, record: &mut Option<Record>) {
        let waited = began.elapsed();
        self.worker.shared.metrics.waited(&self.snapshot.model_names[id.0], waited);
        note(record, |record| record.waited += waited);
    }

    async fn ask_for_room(
        &self,
        wish: &mut Wish,
        tried: &Tried,
        record: &mut Option<Record>,
    ) -> Result<Outcome, Away> {
        let asked = Instant::now();
        let outcome = self.reserve(wish, tried).await;
        let took = asked.elapsed();
        self.worker.shared.metrics.state_call(took);
        note(record, |record| record.state += took);
        outcome
    }

    /// Whose call it is.
    fn flow(&self) -> Flow {
        Flow {
            tenant: self.tenant_name.clone(),
            rank: self.priority.rank(),
            weight: self.tenant.map_or(1.0, |tenant| tenant.weight),
        }
    }

    /// Where room is scarce, the state is told whose the call is.
    fn say_whose(
        &self,
        id: ModelId,
        queue: &Arc<Queue>,
        flow: &Flow,
        ticket: Option<&Ticket>,
        waits: bool,
        wish: &mut Wish,
    ) {
        let is_on = self.snapshot.config.models[id.0].queue.max > 0;
        if !is_on || ticket.is_none() && !queue.competes(Instant::now()) {
            return;
        }
        let tokens = self.needs(self.expected_output(id));
        let cost = 1_000.0 * tokens.input.saturating_add(tokens.expected).max(1) as f64 / flow.weight;
        Arc::make_mut(&mut wish.ask).turn = Some(core::Turn {
            line: (*self.snapshot.model_names[id.0]).to_owned(),
            flow: Deployment::tag_of(&flow.tenant),
            rank: flow.rank,
            cost: cost.min(DEAREST) as u64,
            waits,
            more: ticket.is_some_and(Ticket::has_more_behind),
        });
    }
}

/// When one that may not wait should come again.
fn later(refusal: Refusal) -> Duration {
    match refusal {
        Refusal::Full => UNKNOWN,
        Refusal::TooLate(wait) => wait,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use http::HeaderValue;

    use super::*;

    /// Broken on purpose to see it fail: the client's word taken whatever the tenant's is.
    #[test]
    fn a_client_may_make_its_calls_less_urgent_and_not_more() {
        let tenant = |priority| Tenant {
            name: "t".into(),
            keys: Vec::new(),
            models: Vec::new(),
            pool: None,
            weight: 1.0,
            priority,
        };
        let said = |tenant: Option<&Tenant>, word: &'static str| {
            let headers =
                HeaderMap::from_iter([("x-weir-priority".parse().unwrap(), HeaderValue::from_static(word))]);
            priority(tenant, &headers).map_err(|error| error.kind)
        };
        use Priority::{High, Low, Normal};
        let words = BTreeMap::from([("high", High), ("normal", Normal), ("low", Low)]);
        for own in [High, Normal, Low] {
            let tenant = tenant(own);
            assert_eq!(priority(Some(&tenant), &HeaderMap::new()).map_err(|error| error.kind), Ok(own));
            for (word, asked) in &words {
                assert_eq!(said(Some(&tenant), word), Ok(own.max(*asked)), "{own:?}, {word}");
            }
        }
        assert_eq!(said(None, "high"), Ok(Normal), "without tenants nobody is more urgent than others");
        for wrong in ["", "urgent", "HIGH"] {
            assert_eq!(said(None, wrong), Err(Kind::Malformed), "{wrong}");
        }
    }
}
