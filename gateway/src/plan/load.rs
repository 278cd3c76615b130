//! What comes: one call after the other, drawn from a mix or read from a log.

use super::draws::{self, Pattern, Size};
use super::service::Us;

/// A stream of like calls.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// The name that they ask for.
    pub model: String,
    /// Calls a second.
    pub rate: f64,
    /// How that goes with time.
    pub pattern: Pattern,
    /// All as far apart as the rate says; else each comes by itself.
    pub even: bool,
    /// Whose they are: index of the tenant, and its share.
    pub tenants: Vec<(usize, f64)>,
    /// Tokens.
    pub input: Size,
    /// Tokens.
    pub output: Size,
    /// What calls say that they want at most.
    pub max_tokens: Option<u64>,
    /// The input that the gateway weighs beside the one that the provider counts.
    pub weighs: f64,
    /// The share of calls whose answers stream.
    pub stream_share: f64,
}

/// A call as it comes.
#[derive(Clone, Debug, PartialEq)]
pub struct Coming {
    /// When.
    pub at: Us,
    /// Index among [`Load::names`]: what it asks for.
    pub name: usize,
    /// Whose it is.
    pub tenant: Option<usize>,
    /// Tokens, as its provider counts them.
    pub input: u64,
    /// Tokens, as the gateway weighs them.
    pub weighs: u64,
    /// Tokens.
    pub output: u64,
    /// What it says that it wants at most.
    pub max_tokens: Option<u64>,
    /// Its answer streams.
    pub stream: bool,
    /// Seconds to its first token and to its end, if they are known; else deployments serve by their formula.
    pub took: Option<(f64, f64)>,
}

/// All that comes, in time.
#[derive(Clone, Debug)]
pub struct Load {
    /// The names that calls ask for.
    pub names: Vec<String>,
    of: Of,
    until: Us,
}

#[derive(Clone, Debug)]
enum Of {
    /// (When each source's next call comes is kept in seconds as it was drawn: whole microseconds would add up to a higher rate.)
    Mix {
        sources: Vec<Source>,
        next: Vec<Option<(f64, Coming)>>,
        has_begun: bool,
    },
    Log {
        calls: Vec<Coming>,
        at: usize,
    },
}

impl Load {
    /// Drawn from these sources for so long.
    pub fn mix(sources: Vec<Source>, until: Us) -> Load {
        let names = sources.iter().map(|source| source.model.clone()).collect();
        let next = sources.iter().map(|_| None).collect();
        Load { names, of: Of::Mix { sources, next, has_begun: false }, until }
    }

    /// These calls, in the order of their times.
    pub fn log(names: Vec<String>, mut calls: Vec<Coming>) -> Load {
        calls.sort_by_key(|call| call.at);
        let until = calls.last().map_or(0, |call| call.at + 1);
        Load { names, of: Of::Log { calls, at: 0 }, until }
    }

    /// When nothing comes any more.
    pub fn until(&self) -> Us {
        self.until
    }

    /// About how many calls come in all.
    pub fn expected(&self) -> f64 {
        match &self.of {
            Of::Log { calls, .. } => calls.len() as f64,
            Of::Mix { sources, .. } => {
                let (time, steps) = (self.until as f64 / 1e6, 1_000);
                let at = |step: usize| time * (step as f64 + 0.5) / steps as f64;
                let mean = |pattern: Pattern| (0..steps).map(|step| pattern.at(at(step))).sum::<f64>();
                sources.iter().map(|source| source.rate * time * mean(source.pattern) / steps as f64).sum()
            }
        }
    }

    /// The next call.
    pub fn next(&mut self, rng: &mut fastrand::Rng) -> Option<Coming> {
        match &mut self.of {
            Of::Log { calls, at } => {
                *at += 1;
                calls.get(*at - 1).cloned()
            }
            Of::Mix { sources, next, has_begun } => {
                if !std::mem::replace(has_begun, true) {
                    for (name, source) in sources.iter().enumerate() {
                        next[name] = after(source, name, (0.0, self.until), rng);
                    }
                }
                let coming = |at: &usize| next[*at].as_ref().map(|(_, call)| call.at);
                let first = (0..next.len()).filter(|at| next[*at].is_some()).min_by_key(coming)?;
                let (at, call) = next[first].take()?;
                next[first] = after(&sources[first], first, (at, self.until), rng);
                Some(call)
            }
        }
    }
}

/// The call of a source that comes after so many seconds, and after how many.
fn after(
    source: &Source,
    name: usize,
    (from, until): (f64, Us),
    rng: &mut fastrand::Rng,
) -> Option<(f64, Coming)> {
    let Source { rate, pattern, even, .. } = *source;
    let at = draws::next(rate, pattern, even, (from, until as f64 / 1e6), rng)?;
    let input = source.input.draw(rng);
    let output = source.output.draw(rng).min(source.max_tokens.unwrap_or(u64::MAX));
    let coming = Coming {
        at: (at * 1e6) as Us,
        name,
        tenant: drawn(&source.tenants, rng),
        input,
        weighs: (input as f64 * source.weighs).round() as u64,
        output,
        max_tokens: source.max_tokens,
        stream: rng.f64() < source.stream_share,
        took: None,
    };
    Some((at, coming))
}

/// One of these by its share; none if there are none.
fn drawn(of: &[(usize, f64)], rng: &mut fastrand::Rng) -> Option<usize> {
    let mut luck = rng.f64() * of.iter().map(|(_, share)| share).sum::<f64>();
    let found = of.iter().find(|(_, share)| {
        luck -= share;
        luck < 0.0
    });
    found.or(of.last()).map(|(which, _)| *which)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::plan) fn source(model: &str, rate: f64) -> Source {
        Source {
            model: model.to_owned(),
            rate,
            pattern: Pattern::Constant,
            even: false,
            tenants: Vec::new(),
            input: Size::Fixed(100),
            output: Size::Fixed(50),
            max_tokens: None,
            weighs: 1.0,
            stream_share: 0.5,
        }
    }

    fn all(mut load: Load) -> Vec<Coming> {
        let mut rng = fastrand::Rng::with_seed(3);
        std::iter::from_fn(|| load.next(&mut rng)).collect()
    }

    /// Broken on purpose to see it fail: the sources one after the other; an answer longer than its call wants.
    #[test]
    fn what_several_sources_bring_comes_in_the_order_of_time_and_by_shares() {
        let tenants = vec![(0, 3.0), (2, 1.0)];
        let output = Size::LogNormal { median: 200.0, sigma: 1.0, most: 10_000 };
        let one = Source { tenants, output, max_tokens: Some(300), stream_share: 0.25, ..source("a", 100.0) };
        let load = Load::mix(vec![one, source("b", 50.0)], 100_000_000);
        assert_eq!(load.expected(), 15_000.0);
        let all = all(load);
        assert!(
            all.is_sorted_by_key(|call| call.at) && (14_500..15_500).contains(&all.len()),
            "{}",
            all.len()
        );
        let of = |is: &dyn Fn(&Coming) -> bool| all.iter().filter(|call| is(call)).count() as f64;
        let first = of(&|call| call.name == 0);
        assert!((first / all.len() as f64 - 2.0 / 3.0).abs() < 0.02);
        assert!((of(&|call| call.tenant == Some(0)) / first - 0.75).abs() < 0.02);
        assert!((of(&|call| call.name == 0 && call.stream) / first - 0.25).abs() < 0.02);
        assert!(all.iter().all(|call| call.name == 1 || call.output <= 300));
        assert!(of(&|call| call.name == 0 && call.output == 300) / first > 0.3);
    }

    /// Broken on purpose to see it fail: the next drawn from the whole microsecond in which the last came.
    #[test]
    fn so_many_come_that_whole_microseconds_matter() {
        let count = all(Load::mix(vec![source("a", 200_000.0)], 500_000)).len();
        assert!((98_700..101_300).contains(&count), "{count}");
    }

    #[test]
    fn a_log_is_brought_in_the_order_of_its_times() {
        let mut calls = all(Load::mix(vec![source("a", 10.0)], 10_000_000));
        let sorted = calls.clone();
        calls.reverse();
        assert_eq!(all(Load::log(vec!["a".into()], calls)), sorted);
    }
}
