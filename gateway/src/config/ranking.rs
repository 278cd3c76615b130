//! How the deployments of a model are ranked.

/// `strategy`, `tiebreak`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// In turn.
    RoundRobin,
    /// In proportion to weights, interleaved smoothly.
    Weighted,
    /// Where the share in use would be least.
    Capacity,
    /// Where the answer would be complete soonest.
    Latency,
    /// Where the call costs least.
    Cost,
    /// Where fewest attempts fail.
    ErrorRate,
    /// Where fewest calls are in flight, of all replicas.
    LeastBusy,
    /// Where this very call would be complete soonest, and not where it is about to be full.
    Predictive,
    /// Where the call costs least; of those that cost the same where it would be complete soonest and nobody crowds.
    Composite,
}

/// How the deployments of a model are ranked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranking {
    /// How.
    pub strategy: Strategy,
    /// How those are that the strategy holds for equal.
    pub tiebreak: Strategy,
    /// Scores that differ by no more than this share are equal.
    pub tiebreak_within: f64,
    /// How times are measured and compared.
    pub latency: Latency,
}

impl Ranking {
    /// Is the price of any use?
    pub fn compares_prices(&self) -> bool {
        let compares = |strategy| matches!(strategy, Strategy::Cost | Strategy::Composite);
        let ties = match self.strategy {
            Strategy::ErrorRate | Strategy::LeastBusy | Strategy::Predictive => true,
            Strategy::Cost | Strategy::Composite => false, // they are equal to it
            Strategy::RoundRobin | Strategy::Weighted | Strategy::Capacity | Strategy::Latency => false,
        };
        compares(self.strategy) || ties && compares(self.tiebreak)
    }

    /// Is one of the two strategies that in use?
    pub fn uses(&self, strategy: Strategy) -> bool {
        self.strategy == strategy || self.tiebreak == strategy
    }
}

/// `latency`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latency {
    /// How times are measured.
    pub measure: Measure,
    /// Of so many, drawn at random, the fastest is taken: all replicas would go to the fastest of all at once.
    pub choices: usize,
}

/// What of many times counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measure {
    /// The last so many.
    pub window: usize,
    /// Which.
    pub statistic: Statistic,
}

impl Measure {
    /// No `window` is larger.
    pub const MOST_WINDOW: usize = 1_000;
}

/// `latency.statistic`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Statistic {
    /// The time within which this share of all is.
    Quantile(f64),
    /// A mean that follows peaks at once and decays slowly.
    PeakEwma,
}
