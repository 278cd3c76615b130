//! Calls on what this replica was lent ([`crate::state::lease`]): without a question to the state.

use std::sync::Arc;

use super::Side;
use crate::state::core::circuit::Gate;
use crate::state::core::{Amounts, Granted, Ms, Reserve, SessionOutcome, TTL, Told};
use crate::state::ledger::{Drawn, Ledger};

/// Loans are not used in the last part of a life: for what clocks do not agree on.
const MARGIN: Ms = 50;

impl Side {
    /// Borrows what so many calls draw at least, and for which a question each would cost more.
    pub fn borrowing(self, least: f64) -> Side {
        Side { borrows: Some(least), ..self }
    }

    /// A call on loans, as if the state had granted it now: on its first candidate, if nothing is to be known of that but that there is
    /// room. A session goes where it went, and only the state knows where; so it does what becomes of a probe.
    pub fn borrow(&self, ask: &Reserve, now: Ms) -> Option<(Arc<Ledger>, Granted, Vec<Drawn>)> {
        let ledger = self.ledger().filter(|ledger| self.borrows.is_some() && ledger.lasts(now))?;
        let first = ask.candidates.first()?;
        let is_plain = ask.session.is_none() && !ask.tell.why && self.share.is_none();
        if !is_plain || !matches!(self.circuits.gate(first.gates(), now, ask.luck), Gate::Closed) {
            return None;
        }
        let lent = ledger.take_lent(ask, now)?;
        let granted = Granted {
            index: 0,
            session: SessionOutcome::None,
            share: lent.share,
            l: self.heard_at(),
            permit: 0,
            used: Amounts::new(),
            told: Told { left: lent.left, why: Vec::new() },
        };
        Some((ledger.clone(), granted, lent.drawn))
    }

    /// The state renewed the life of these books when it took what was sent then.
    pub(super) fn renewed(ledger: &Ledger, sent: Ms) {
        ledger.renewed(sent + TTL - MARGIN);
    }
}
