//! What deployments and the proxy as a whole may spend. Here budgets belong to accounts, some of their models, or tenants, and
//! everything that draws on one has a price.

use super::super::Notes;
use super::super::node::Node;
use super::super::page;

/// US dollars per day or month.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Budget {
    usd: f64,
    per: &'static str,
}

impl Budget {
    /// `max_budget` and `budget_duration`; none if nothing is said, or what cannot be had here.
    pub(super) fn read(usd: Option<&Node>, duration: Option<&Node>, notes: &mut Notes) -> Option<Budget> {
        let usd = usd?;
        let per = match duration.and_then(Node::text) {
            Some("1d" | "24h") => Some("day"),
            Some("30d" | "31d" | "1mo" | "1M") => Some("month"),
            _ => None,
        };
        let amount = usd.number().filter(|usd| (0.000_001..=1_000_000.0).contains(usd));
        match (amount, per) {
            (Some(amount), Some(per)) => {
                for node in [Some(usd), duration].into_iter().flatten() {
                    notes.differs(node, "a budget is of a day or a month in UTC here, and begins anew with it");
                }
                Some(Budget { usd: amount, per })
            }
            _ => {
                Budget::leave(Some(usd), duration, "a budget is of a day or a month here, from 0.000001 to 1,000,000 US dollars", notes);
                None
            }
        }
    }

    /// It is not translated.
    pub(super) fn leave(usd: Option<&Node>, duration: Option<&Node>, reason: &str, notes: &mut Notes) {
        for node in [usd, duration].into_iter().flatten() {
            notes.left(node, reason);
        }
    }

    /// `budgets`.
    pub(super) fn written(&self) -> String {
        page::list([page::table([("usd", page::number(self.usd)), ("per", page::text(self.per))])])
    }
}
