//! What calls cost: rates by what tokens are for, and what the rates change with.
//!
//! | who asks | by the price | what |
//! |---|---|---|
//! | the page and metrics of costs (`settle/tab.rs`) | [`Pricing::at`] | [`Price::cost`]: none if nobody knows |
//! | what is saved | [`Pricing::at`] | [`Price::as_usual`]: what others would have taken |
//! | what a budget is posted (`state/pools.rs`) | [`Pricing::latest`] | [`Price::about`]: never none, for it must be paid |
//! | what a budget holds (`admit/estimate.rs`) | [`Pricing::latest`] | [`Price::at_most`] by [`Price::most_factor`] |
//! | which deployment is the cheapest (`route/`) | [`Pricing::at`] | [`Price::of`] |

use std::sync::Arc;

use super::Hours;
use crate::dialect::openai::answer::{Service, Usage};

/// US$ per million tokens of each kind; `request`: US$ per request. None is negative.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Input that no cache had to do with.
    pub input: f64,
    /// Output, reasoning included.
    pub output: f64,
    /// Input read from the provider's prompt cache.
    pub cache_read: f64,
    /// Input written to it, for minutes.
    pub cache_write: f64,
    /// Input written to it, for an hour or longer.
    pub cache_write_long: f64,
    /// Per request.
    pub request: f64,
}

impl Rates {
    /// US$ of what was used. Counts that contradict each other are cut to the input that there was.
    fn of(&self, usage: &Usage) -> f64 {
        let cached = usage.cached_input.min(usage.input);
        let written = usage.written_input.min(usage.input - cached);
        let long = usage.written_long.min(written);
        let tokens = (usage.input - cached - written) as f64 * self.input
            + cached as f64 * self.cache_read
            + (written - long) as f64 * self.cache_write
            + long as f64 * self.cache_write_long
            + usage.output as f64 * self.output;
        tokens / 1e6 + self.request
    }
}

/// `price`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Price {
    /// What holds unless the two below say otherwise.
    pub rates: Rates,
    /// Of a call with more input than so many tokens: all of it costs this.
    pub long: Option<(u64, Rates)>,
    /// What the ways to be served cost, as a factor on all of it. None: the price is the same whichever way.
    pub service: Option<Factors>,
}

/// By the way an answer was served; none: it has no price.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Factors {
    /// When there was room for it.
    pub flex: Option<f64>,
    /// Before others.
    pub priority: Option<f64>,
    /// Faster.
    pub fast: Option<f64>,
    /// Some time later.
    pub batch: Option<f64>,
}

impl Price {
    /// One that is the same for all calls.
    pub fn flat(rates: Rates) -> Price {
        Price { rates, long: None, service: None }
    }

    /// US$ of a call that is served as usual: so much input, of which so much was read from the cache and written to it, and so
    /// much output, tokens.
    pub fn of(&self, input: u64, cached: u64, written: u64, output: u64) -> f64 {
        self.as_usual(&Usage {
            input,
            cached_input: cached,
            written_input: written,
            output,
            ..Usage::default()
        })
    }

    /// US$ of what was used, had it been served as usual.
    pub fn as_usual(&self, usage: &Usage) -> f64 {
        match &self.long {
            Some((above, rates)) if usage.input > *above => rates.of(usage),
            _ => self.rates.of(usage),
        }
    }

    /// US$ of what was used, the way it was served; as usual if that has no price of its own.
    pub fn about(&self, usage: &Usage) -> f64 {
        self.cost(usage).unwrap_or_else(|| self.as_usual(usage))
    }

    /// The same with all input at the highest rate that any may cost: what is written to a cache may cost more than plain
    /// input, and nobody knows how much of it will be.
    pub fn at_most(&self) -> Price {
        let dear = |rates: Rates| {
            let input = rates.input.max(rates.cache_write).max(rates.cache_write_long);
            Rates { input, ..rates }
        };
        Price { rates: dear(self.rates), long: self.long.map(|(above, rates)| (above, dear(rates))), ..*self }
    }

    /// The highest factor at which a call may be paid that asks to be served so. One that asks for more than the usual may be
    /// given any such way, and what it is given may have another name; one that asks for less may be served as usual.
    pub fn most_factor(&self, asked: Service) -> f64 {
        let Some(Factors { flex, priority, fast, batch }) = self.service else { return 1.0 };
        let most = match asked {
            Service::Standard => None,
            Service::Flex => flex,
            Service::Batch => batch,
            Service::Priority | Service::Fast | Service::Other => {
                [flex, priority, fast, batch].into_iter().flatten().max_by(f64::total_cmp)
            }
        };
        most.unwrap_or(1.0).max(1.0)
    }

    /// US$ of what was used, the way it was served; none if that has no price.
    pub fn cost(&self, usage: &Usage) -> Option<f64> {
        let factors = match (usage.service, &self.service) {
            (Service::Standard, _) | (_, None) => return Some(self.as_usual(usage)),
            (_, Some(factors)) => factors,
        };
        let factor = match usage.service {
            Service::Flex => factors.flex,
            Service::Priority => factors.priority,
            Service::Fast => factors.fast,
            Service::Batch => factors.batch,
            Service::Standard | Service::Other => None,
        };
        factor.map(|factor| factor * self.as_usual(usage))
    }
}

/// One price of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// The price.
    pub price: Price,
    /// Unix seconds from which it holds; 0: always has.
    pub from: u64,
    /// Unix seconds from which it holds no more.
    pub until: Option<u64>,
    /// When it holds; empty: all day.
    pub hours: Vec<Hours>,
    /// Where it was looked up.
    pub source: String,
    /// And when: Unix seconds, the beginning of the day.
    pub checked: u64,
    /// Has anybody confirmed all of its numbers?
    pub verified: bool,
    /// Its line in the table.
    pub line: usize,
}

impl Listed {
    /// Does it hold at a Unix time, in seconds?
    pub fn holds(&self, unix: u64) -> bool {
        let within = self.from <= unix && self.until.is_none_or(|until| unix < until);
        within && (self.hours.is_empty() || self.hours.iter().any(|hours| hours.hold(unix)))
    }

    /// Does it hold no more?
    pub fn is_over(&self, unix: u64) -> bool {
        self.until.is_some_and(|until| until <= unix)
    }
}

/// What a deployment's calls cost, at any time.
#[derive(Clone, Debug, PartialEq)]
pub enum Pricing {
    /// What it says itself.
    Own(Price),
    /// What the table says of its provider's model; the first that holds counts. Empty: nothing.
    Listed(Vec<Arc<Listed>>),
}

impl Pricing {
    /// Nobody says anything.
    pub const UNKNOWN: Pricing = Pricing::Listed(Vec::new());

    /// Does anybody say anything?
    pub fn is_known(&self) -> bool {
        !matches!(self, Pricing::Listed(listed) if listed.is_empty())
    }

    /// The price that holds at a Unix time, in seconds.
    pub fn at(&self, unix: u64) -> Option<&Price> {
        match self {
            Pricing::Own(price) => Some(price),
            Pricing::Listed(_) => self.listed_at(unix).map(|listed| &listed.price),
        }
    }

    /// The same with what else is known of it, if it is of the table.
    pub fn listed_at(&self, unix: u64) -> Option<&Listed> {
        match self {
            Pricing::Own(_) => None,
            Pricing::Listed(listed) => {
                listed.iter().find(|listed| listed.holds(unix)).map(|listed| &**listed)
            }
        }
    }

    /// The price that holds, or, if none does, the one that was the last to: a budget is counted by it all the same.
    pub fn latest(&self, unix: u64) -> Option<&Price> {
        let ended = |listed: &&Arc<Listed>| (listed.until.unwrap_or(u64::MAX), listed.from);
        match self {
            Pricing::Own(price) => Some(price),
            Pricing::Listed(listed) => self.at(unix).or_else(|| {
                let last = listed.iter().filter(|listed| listed.from <= unix).max_by_key(ended);
                last.or(listed.last()).map(|listed| &listed.price)
            }),
        }
    }

    /// Has the table a price for it that holds no more, and none that holds?
    pub fn is_over(&self, unix: u64) -> bool {
        match self {
            Pricing::Own(_) => false,
            Pricing::Listed(listed) => {
                self.at(unix).is_none() && listed.iter().any(|listed| listed.is_over(unix))
            }
        }
    }

    /// When, after a Unix time, does a price begin or end next?
    pub fn changes_after(&self, unix: u64) -> Option<u64> {
        let Pricing::Listed(listed) = self else { return None };
        let times = listed.iter().flat_map(|listed| [Some(listed.from), listed.until]);
        times.flatten().filter(|time| *time > unix).min()
    }
}

#[cfg(test)]
#[path = "price_tests.rs"]
mod tests;
