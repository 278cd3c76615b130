//! A call that finds no room waits for some, if that comes in time.
//!
//! It waits behind the calls of its tenant that are as urgent ([`crate::queue`]); the first of them asks the state
//! again whenever that says there may be room. Who else waits elsewhere, the state knows ([`crate::state::core::fair`]). A
//! call waits only where nothing else is left to it: no fallback, and no limit of its tenant's own that stands in the way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;

use super::explain::every;
use super::tried::Tried;
use super::{Call, note};
use crate::auth::Who;
use crate::config::{self, ModelId, Priority};
use crate::error::{Error, Kind};
use crate::queue::{Asking, Ended, Flow, Queue, Refusal, SCARCE, Ticket};
use crate::state::core::{Denied, Ms, Told};
use crate::state::{Away, Outcome, Wish};
use crate::telemetry::{Record, Why};

/// Where nobody knows when room comes.
const UNKNOWN: Duration = Duration::from_secs(1);

/// How urgent a call is: as its tenant's and its key's calls are, or less if the client says so.
pub(super) fn priority(who: &Who<'_>, headers: &HeaderMap) -> Result<Priority, Error> {
    let most = who.priority();
    let Some(said) = headers.get("x-weir-priority") else { return Ok(most) };
    let word = said.to_str().unwrap_or_default().trim();
    let known = Priority::WORDS.iter().find(|(known, _)| *known == word);
    let message = "x-weir-priority must be high, normal or low.";
    known.map(|(_, said)| most.max(*said)).ok_or_else(|| Error::new(Kind::Malformed, message))
}

/// A call's stay where it asks for room.
struct Stay<'a> {
    model: ModelId,
    queue: &'a Arc<Queue>,
    bounds: config::Queue,
    flow: Flow,
    /// It waits until then at most.
    until: Instant,
    /// Nothing else is left to it but to wait.
    may_wait: bool,
    /// Its place, if it waits.
    ticket: Option<Ticket>,
    asking: Asking,
    /// Whom operators kept calls from when it came ([`Call::kept_from`]).
    kept_from: u64,
}

impl Stay<'_> {
    /// Waits behind the others of its flow, if there are any; why it will not come to ask.
    async fn behind_others(&mut self, record: &mut Option<Record>) -> Result<(), Why> {
        if !self.may_wait || !self.queue.holds(&self.flow) {
            return Ok(());
        }
        let ticket = self.queue.enter(&self.flow, self.bounds, self.until).map_err(why)?;
        note(record, |record| record.waits("".into()));
        match ticket.first(self.until).await {
            Ended::Ours => self.ticket = Some(ticket),
            Ended::Over => return Err(Why::TurnTooLate { time: UNKNOWN }),
            Ended::Out => return Err(Why::PutOut),
        }
        Ok(())
    }

    /// There was room.
    fn served(&mut self, share: u64) {
        let plenty = share < SCARCE;
        if !plenty {
            self.queue.note_scarce(Instant::now());
        }
        if let Some(ticket) = self.ticket.take() {
            ticket.served(plenty);
        }
    }

    /// There was none in `pool`: waits to ask again, or it is refused; if not for that alone, why.
    async fn again(
        &mut self,
        denied: Denied,
        pool: Arc<str>,
        record: &mut Option<Record>,
    ) -> Result<(), (Denied, Option<Why>)> {
        let now = Instant::now();
        let patience = self.asking.again_in(&denied);
        let room_at = now + Duration::from_millis(denied.retry_in.max(1));
        if denied.may_be_waited_for() {
            self.queue.note_scarce(now);
        }
        if !self.may_wait || !denied.may_be_waited_for() || room_at >= self.until {
            return Err((denied, None));
        }
        let entered = match self.ticket.take() {
            Some(ticket) => Ok(ticket),
            None => self.queue.enter(&self.flow, self.bounds, self.until),
        };
        let ticket = match entered {
            Ok(ticket) => ticket,
            Err(refusal) => return Err((denied, Some(why(refusal)))),
        };
        note(record, |record| record.waits(pool));
        let again = (now + Duration::from_millis(patience)).min(self.until);
        match ticket.next(again, room_at, self.until).await {
            Ended::Ours => self.ticket = Some(ticket),
            Ended::Over => return Err((denied, None)),
            Ended::Out => return Err((denied, Some(Why::PutOut))),
        }
        Ok(())
    }
}

impl Call<'_> {
    /// Asks for room; if there is none and the call `may_wait`, until there is. None: it waited, and may go elsewhere than it asked for, or
    /// may not go there any more, for something was drained or resumed.
    pub(super) async fn room(
        &self,
        id: ModelId,
        wish: &mut Wish,
        tried: &Tried,
        may_wait: bool,
        record: &mut Option<Record>,
    ) -> Result<Option<Outcome>, Away> {
        let bounds = self.snapshot.config.models[id.0].queue;
        let may_wait = may_wait && bounds.max > 0;
        let mut stay = Stay {
            model: id,
            queue: &self.snapshot.queues[id.0],
            bounds,
            flow: self.flow(wish),
            until: (Instant::now() + bounds.wait).min(self.deadline),
            may_wait,
            ticket: None,
            asking: Asking::default(),
            kept_from: if may_wait { self.kept_from(id) } else { 0 },
        };
        let outcome = match stay.behind_others(record).await {
            Ok(()) => self.ask_until_served(&mut stay, wish, tried, record).await,
            Err(why) => Ok(Some(Outcome::Denied(unasked(why, record)))),
        };
        if matches!(outcome, Ok(None)) {
            return outcome; // it looks anew, and waits on
        }
        let served = matches!(outcome, Ok(Some(Outcome::Granted(..) | Outcome::Unlimited(_))));
        note(record, |record| record.waits_no_more(if served { "served" } else { "refused" }));
        outcome
    }

    async fn ask_until_served(
        &self,
        stay: &mut Stay<'_>,
        wish: &mut Wish,
        tried: &Tried,
        record: &mut Option<Record>,
    ) -> Result<Option<Outcome>, Away> {
        loop {
            // (Who comes after it in the queue sees the same when it is called.)
            if stay.ticket.is_some() && self.kept_from(stay.model) != stay.kept_from {
                return Ok(None);
            }
            self.say_whose(stay, wish);
            let denied = match self.ask_for_room(wish, tried, record).await {
                Ok(Outcome::Denied(denied)) => denied,
                Ok(Outcome::Granted(reservation, told)) => {
                    stay.served(reservation.share);
                    return Ok(Some(Outcome::Granted(reservation, told)));
                }
                other => return other.map(Some),
            };
            let pool = wish.infos.get(denied.pool).map_or_else(|| "".into(), |pool| pool.name.clone());
            if let Err((mut denied, why)) = stay.again(denied, pool, record).await {
                if let Some(why) = why {
                    denied.retry_in = denied.retry_in.max(least(&why));
                    note(record, |record| every(why, record));
                }
                return Ok(Some(Outcome::Denied(denied)));
            }
        }
    }

    /// Which deployments of a model operators keep calls from, as a sum of their tags.
    fn kept_from(&self, id: ModelId) -> u64 {
        let (first, rest) = self.parts(id);
        let targets = std::iter::once(first).chain(rest).flat_map(|(model, _)| &model.targets);
        let kept = targets.map(|target| target.deployment).filter(|id| self.is_drained(*id));
        kept.fold(0, |sum, id| sum.wrapping_add(self.snapshot.config.deployments[id.0].tag))
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
        if matches!(&outcome, Ok(Outcome::Granted(reservation, _)) if reservation.leased) {
            self.worker.shared.metrics.leased();
        } else {
            self.worker.shared.metrics.state_call(took);
        }
        note(record, |record| record.state += took);
        outcome
    }

    /// Whose call it is, and who can take it.
    fn flow(&self, wish: &Wish) -> Flow {
        let set = wish.ask.candidates.iter().fold(0u64, |set, candidate| set.wrapping_add(candidate.tag));
        Flow {
            set,
            tenant: self.tenant_name.clone(),
            rank: self.priority.rank(),
            weight: self.who.tenant.map_or(1.0, |tenant| tenant.weight),
        }
    }

    /// Where room is scarce, the state is told whose the call is.
    fn say_whose(&self, stay: &Stay<'_>, wish: &mut Wish) {
        if stay.bounds.max == 0 || stay.ticket.is_none() && !stay.queue.competes(Instant::now()) {
            return;
        }
        let needs = self.needs(self.expected_output(stay.model));
        let tokens = needs.input.saturating_add(needs.expected);
        let more = stay.ticket.as_ref().is_some_and(Ticket::has_more_behind);
        let model = &self.snapshot.model_names[stay.model.0];
        Arc::make_mut(&mut wish.ask).turn = Some(stay.flow.turn(model, tokens, stay.may_wait, more));
    }
}

/// Why a call does not wait.
fn why(refusal: Refusal) -> Why {
    match refusal {
        Refusal::Full => Why::QueueFull,
        Refusal::TooLate(time) => Why::TurnTooLate { time },
    }
}

/// When one that may not wait, or not any longer, should come again, ms.
fn least(why: &Why) -> Ms {
    let time = if let Why::TurnTooLate { time } = why { *time } else { UNKNOWN };
    time.as_millis() as Ms
}

/// A call that did not come to ask.
fn unasked(why: Why, record: &mut Option<Record>) -> Denied {
    let retry_in = least(&why);
    note(record, |record| every(why, record));
    // It is not known which pool.
    Denied { retry_in, exact: false, pool: usize::MAX, common: false, open: false, told: Told::default() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use http::HeaderValue;

    use super::*;
    use crate::config::Tenant;

    /// Broken on purpose to see it fail: the client's word taken whatever the tenant's is.
    #[test]
    fn a_client_may_make_its_calls_less_urgent_and_not_more() {
        let tenant = |priority| Tenant {
            name: "t".into(),
            above: Vec::new(),
            keys: Vec::new(),
            models: Vec::new(),
            tags: Vec::new(),
            pools: Vec::new(),
            budgets: Vec::new(),
            weight: 1.0,
            priority,
        };
        let said = |tenant: Option<&Tenant>, word: &'static str| {
            let headers =
                HeaderMap::from_iter([("x-weir-priority".parse().unwrap(), HeaderValue::from_static(word))]);
            priority(&Who { tenant, ..Who::default() }, &headers).map_err(|error| error.kind)
        };
        use Priority::{High, Low, Normal};
        let words = BTreeMap::from([("high", High), ("normal", Normal), ("low", Low)]);
        for own in [High, Normal, Low] {
            let tenant = tenant(own);
            let who = Who { tenant: Some(&tenant), ..Who::default() };
            assert_eq!(priority(&who, &HeaderMap::new()).map_err(|error| error.kind), Ok(own));
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
