//! What deployments and the proxy as a whole may spend. Here budgets belong to accounts, some of their models, or tenants, and
//! everything that draws on one has a price.

use super::super::Notes;
use super::super::node::Node;
use super::super::page;
use super::Import;

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
                    notes.differs(
                        node,
                        "a budget is of a day or a month in UTC here, and begins anew with it",
                    );
                }
                Some(Budget { usd: amount, per })
            }
            _ => {
                Budget::leave(
                    Some(usd),
                    duration,
                    "a budget is of a day or a month here, from 0.000001 to 1,000,000 US dollars",
                    notes,
                );
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

/// `max_budget` of deployments. The pool is by account and upstream model, so only the one deployment of those may have it.
pub(super) fn of_deployments(import: &mut Import<'_>) {
    for at in 0..import.deployments.len() {
        let own = &import.deployments[at];
        let (usd, duration) = (own.params.get("max_budget"), own.params.get("budget_duration"));
        let alike = import
            .deployments
            .iter()
            .filter(|other| other.account == own.account && other.model == own.model);
        let reason = match (own.has_price, alike.count()) {
            (false, _) => Some(
                "a budget needs the deployment's price: `input_cost_per_token` and `output_cost_per_token`, or one in Weir's table \
                 (`weir prices show`)",
            ),
            (true, 1) => None,
            (true, _) => Some("another deployment is of the same account and model, and they would share it"),
        };
        match reason.filter(|_| usd.is_some()) {
            Some(reason) => Budget::leave(usd, duration, reason, &mut import.notes),
            None => import.deployments[at].budget = Budget::read(usd, duration, &mut import.notes),
        }
    }
}
