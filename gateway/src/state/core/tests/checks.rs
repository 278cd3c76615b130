//! Promises of a single reply, tried out on copies of the state.

use super::judge::{Breach, breach};
use crate::state::core::{Command, Ms, Reply, Reserve, Reserved, SessionOutcome, State, TTL};

const FAR: Ms = 1 << 40;

/// A session's pin moves only when the pinned deployment does not fit; the outcome says what happened to it.
pub(super) fn sessions(
    before: Option<State>,
    after: &State,
    ask: &Reserve,
    reply: &Reserved,
    now: Ms,
) -> Result<(), Breach> {
    let (Some(mut before), Some(session), Reserved::Granted(granted)) = (before, &ask.session, reply) else {
        return Ok(());
    };
    let wrong = |why: &str| Err(breach("a pin moves only when it must", why));
    let tag = ask.candidates[granted.index].tag;
    let pin = before.pins.get(&session.key).copied().filter(|pin| pin.expires > after.clock.l);
    let said = match (pin, granted.session) {
        (None, SessionOutcome::New) => true,
        (Some(pin), SessionOutcome::Hit) => pin.tag == tag,
        (Some(pin), SessionOutcome::Moved) => pin.tag != tag,
        _ => false,
    };
    if !said || after.pins.get(&session.key).is_none_or(|pin| pin.tag != tag) {
        return wrong("the outcome does not say what happened");
    }
    let Some(pinned) = pin.filter(|_| granted.session == SessionOutcome::Moved) else { return Ok(()) };
    let mut only = ask.clone();
    only.session = None;
    only.candidates.retain(|candidate| candidate.tag == pinned.tag);
    if only.candidates.is_empty() {
        return Ok(());
    }
    match before.step(&Command::Reserve(only.into()), now) {
        Reply::Reserved(Reserved::Granted(_)) => wrong("the pinned deployment had room"),
        _ => Ok(()),
    }
}

/// An exact denial: refused until just before the time it names, admitted then, if nobody else does anything.
/// Returns whether that could be tried.
pub(super) fn denial(state: &State, ask: &Reserve, reply: &Reserved) -> Result<u64, Breach> {
    if let Some(held_off) = lost(state, ask, reply) {
        return held_off;
    }
    too_big(state, ask, reply)?;
    let Reserved::Denied(denied) = reply else { return Ok(0) };
    let same = |pool: &crate::state::core::PoolDecl| {
        let meters = state.pools.get(&pool.key).map_or(&[][..], |p| &p.meters);
        meters.iter().zip(pool.meters.iter()).all(|(meter, declared)| meter.cap == declared.cap)
    };
    if !denied.exact || !ask.pools.iter().all(same) {
        return Ok(0);
    }
    let mut later = state.clone();
    later.lives.values_mut().for_each(|life| life.exp += FAR);
    later.pending.iter_mut().for_each(|pending| pending.due += FAR);
    let (l, wall) = (later.clock.l, later.clock.wall);
    let mut again = ask.clone();
    let mut at = |wait: Ms| {
        again.caller.l_ack = l;
        again.caller.x = wait;
        later.step(&Command::Reserve(again.clone().into()), wall + wait)
    };
    let early = denied.retry_in.checked_sub(1).map(&mut at);
    if !matches!(early, Some(Reply::Reserved(Reserved::Denied(_)))) {
        return Err(breach("refused just before retry_at", format!("{denied:?} {ask:?} {early:?}")));
    }
    match at(denied.retry_in) {
        Reply::Reserved(Reserved::Granted(_)) => Ok(1),
        other => Err(breach("admitted at retry_at", format!("{denied:?} {ask:?} {other:?}"))),
    }
}

/// A replica that lapsed and has heard nothing lately is put off, whatever it asks.
fn lost(state: &State, ask: &Reserve, reply: &Reserved) -> Option<Result<u64, Breach>> {
    let l = state.clock.l;
    let lapsed = state.lives.get(&ask.caller.inc).is_some_and(|life| l > life.exp);
    let deaf = l.saturating_sub(ask.caller.l_ack) > TTL / 2;
    match reply {
        _ if !lapsed || !deaf => None,
        Reserved::Denied(denied) if !denied.exact => Some(Ok(0)),
        _ => Some(Err(breach("a lapsed replica hears before it draws", format!("{reply:?}")))),
    }
}

/// A draw above the cap is refused for ever, not put off.
fn too_big(state: &State, ask: &Reserve, reply: &Reserved) -> Result<(), Breach> {
    let fits = |draws: &[crate::state::core::Draw]| {
        draws.iter().all(|draw| {
            let meters = state.pools.get(&ask.pools[draw.pool].key).map_or(&[][..], |p| &p.meters);
            meters.iter().zip(&draw.amounts).all(|(meter, amount)| *amount <= meter.cap)
        })
    };
    let possible = fits(&ask.common) && ask.candidates.iter().any(|candidate| fits(&candidate.draws));
    match reply {
        Reserved::Denied(_) | Reserved::Granted(_) if !possible => {
            Err(breach("larger than a cap is never, not later", format!("{reply:?} to {ask:?}")))
        }
        Reserved::TooBig { .. } if possible => {
            Err(breach("what may fit later is not refused for ever", format!("{reply:?} to {ask:?}")))
        }
        _ => Ok(()),
    }
}
