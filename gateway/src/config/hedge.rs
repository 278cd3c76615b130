//! `hedge`: a second attempt for streams that are long in coming.

use std::time::Duration;

/// `hedge`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hedge {
    /// An attempt whose first content takes longer has a second one beside it.
    pub after: After,
    /// Second attempts, as a share of the model's calls, millionths.
    pub budget: u64,
}

/// `hedge.after`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// What 95 of a hundred attempts at the deployment stayed within lately.
    P95,
    /// So long.
    Time(Duration),
}
