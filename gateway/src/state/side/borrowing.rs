//! Calls on what this replica was lent ([`crate::state::lease`]): without a question to the state.

use std::sync::Arc;

use super::Side;
use crate::state::core::circuit::Gate;
use crate::state::core::{Amounts, Candidate, Granted, Ms, Reserve, SessionOutcome, TTL, Told};
use crate::state::lease::{Lent, Policy, Takes};
use crate::state::ledger::{Drawn, Ledger};

/// Loans are not used in the last part of a life: for what clocks do not agree on.
const MARGIN: Ms = 50;

/// What becomes of a call that would be on loans.
#[derive(Debug)]
pub enum Borrowed {
    /// It is granted, as if the state had done so now.
    Granted(Arc<Ledger>, Granted, Vec<Drawn>),
    /// It must ask, for want of loans.
    Lacks,
    /// It must ask.
    Asks,
}

impl Side {
    /// Borrows what is worth it.
    pub fn borrowing(self, policy: Policy) -> Side {
        Side { borrows: Some(policy), ..self }
    }

    /// A call on loans, as if the state had granted it now; `home`: the tag of the deployment where its session is, as heard lately.
    pub fn borrow(&self, ask: &Reserve, home: Option<u64>, now: Ms) -> Borrowed {
        let (Some(ledger), Some(policy), None) = (self.ledger(), self.borrows, &self.share) else {
            return Borrowed::Asks;
        };
        if !ledger.lasts(now) {
            return Borrowed::Lacks;
        }
        let Lent { index, drawn, share, left, why } = match ledger.take_lent(
            ask,
            home,
            |candidate| self.gate_here(candidate, ask.luck, now),
            (policy, now),
        ) {
            Takes::Lent(lent) => lent,
            Takes::Lacks => return Borrowed::Lacks,
            Takes::Asks => return Borrowed::Asks,
        };
        let granted = Granted {
            index,
            session: if ask.session.is_some() { SessionOutcome::Hit } else { SessionOutcome::None },
            share,
            l: self.heard_at(),
            permit: 0,
            used: Amounts::new(),
            told: Told { left, why },
        };
        Borrowed::Granted(ledger.clone(), granted, drawn)
    }

    /// What a candidate's circuits say; after a failure the state is asked what that means, until it has told.
    fn gate_here(&self, candidate: &Candidate, luck: u64, now: Ms) -> Gate {
        let gates = candidate.gates();
        if !self.failed.is_empty() && gates.tags().any(|(tag, _)| self.failed.contains_key(&tag)) {
            return Gate::Probe;
        }
        self.circuits.gate(gates, now, luck)
    }

    /// What had failed when a SYNC was sent that brought the circuits is known by these.
    pub(super) fn circuits_were_told(&mut self, sent: Ms) {
        self.failed.retain(|_, at| *at >= sent);
    }

    /// The state renewed the life of these books when it took what was sent then.
    pub(super) fn renewed(ledger: &Ledger, sent: Ms) {
        ledger.renewed(sent + TTL - MARGIN);
    }
}
