//! What the attempts of a series came to: numbers that add up, whoever tells them.

use super::Spent;

/// How many there are.
const NUMBERS: usize = 13;

/// Sums over attempts. All are doubles: counts are exact below 2^53, and Lua knows nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sums {
    /// Attempts that may have cost something.
    pub attempts: f64,
    /// Those whose cost nobody knows.
    pub unknown: f64,
    /// Those whose tokens are estimated.
    pub estimated: f64,
    /// Input tokens, all.
    pub input: f64,
    /// Read from a cache.
    pub cached: f64,
    /// Written to one.
    pub written: f64,
    /// Output tokens, all.
    pub output: f64,
    /// Reasoning.
    pub reasoning: f64,
    /// Of input and output: what nobody knows the cost of.
    pub unpriced: f64,
    /// US$.
    pub usd: f64,
    /// Of them: for estimated tokens.
    pub estimated_usd: f64,
    /// US$ less than at the model's baseline, on balance.
    pub saved_baseline: f64,
    /// US$ less than at the dearest of the model's deployments, on balance.
    pub saved_dearest: f64,
}

impl Sums {
    /// Of one attempt.
    pub fn of(spent: &Spent) -> Sums {
        let usage = spent.usage.unwrap_or_default();
        let tokens = usage.input as f64 + usage.output as f64;
        let (known, usd) = (spent.usd.is_some(), spent.usd.unwrap_or(0.0));
        let count = |is: bool| f64::from(u8::from(is));
        Sums {
            attempts: 1.0,
            unknown: count(!known),
            estimated: count(spent.estimated),
            input: usage.input as f64,
            cached: usage.cached_input as f64,
            written: usage.written_input as f64,
            output: usage.output as f64,
            reasoning: usage.reasoning as f64,
            unpriced: if known { 0.0 } else { tokens },
            usd,
            estimated_usd: if spent.estimated { usd } else { 0.0 },
            saved_baseline: spent.saved.baseline.unwrap_or(0.0),
            saved_dearest: spent.saved.dearest.unwrap_or(0.0),
        }
    }

    /// Adds what others came to.
    pub fn add(&mut self, more: &Sums) {
        let mut numbers = self.numbers();
        numbers.iter_mut().zip(more.numbers()).for_each(|(number, more)| *number += more);
        *self = Sums::from(numbers);
    }

    /// US$ for a million tokens, of any kind, of those whose cost is known.
    pub fn blended(&self) -> Option<f64> {
        let priced = self.input + self.output - self.unpriced;
        (priced > 0.0).then(|| self.usd / priced * 1e6)
    }

    /// As it is told.
    pub fn text(&self) -> String {
        self.numbers().map(|number| number.to_string()).join(" ")
    }

    /// What was told; none of what is no numbers. What a version before does not tell is 0.
    pub fn read(text: &str) -> Option<Sums> {
        let mut numbers = [0.0; NUMBERS];
        for (number, word) in numbers.iter_mut().zip(text.split_ascii_whitespace()) {
            *number = word.parse::<f64>().ok().filter(|number| number.is_finite())?;
        }
        Some(Sums::from(numbers))
    }

    /// In the order in which they are told, which stays: what is new comes last.
    fn numbers(&self) -> [f64; NUMBERS] {
        let Sums { attempts, unknown, estimated, input, cached, written, output, reasoning, .. } = *self;
        let Sums { unpriced, usd, estimated_usd, saved_baseline, saved_dearest, .. } = *self;
        [
            attempts,
            unknown,
            estimated,
            input,
            cached,
            written,
            output,
            reasoning,
            unpriced,
            usd,
            estimated_usd,
            saved_baseline,
            saved_dearest,
        ]
    }
}

impl From<[f64; NUMBERS]> for Sums {
    fn from(numbers: [f64; NUMBERS]) -> Sums {
        let [attempts, unknown, estimated, input, cached, written, output, reasoning, rest @ ..] = numbers;
        let [unpriced, usd, estimated_usd, saved_baseline, saved_dearest] = rest;
        Sums {
            attempts,
            unknown,
            estimated,
            input,
            cached,
            written,
            output,
            reasoning,
            unpriced,
            usd,
            estimated_usd,
            saved_baseline,
            saved_dearest,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Broken on purpose to see it fail: `{:.6}` for the shortest text that reads back the same.
        #[test]
        fn what_is_told_is_read_back_to_the_last_digit(numbers in proptest::array::uniform13(-1e12..1e12f64)) {
            let sums = Sums::from(numbers);
            prop_assert_eq!(Sums::read(&sums.text()), Some(sums));
        }

        /// In whichever order and through whomever.
        #[test]
        fn sums_come_to_the_same_in_any_order(usd in proptest::collection::vec(0.0..10.0f64, 1..50)) {
            let spent = |usd: &f64| Spent { usd: Some(*usd), ..Spent::UNKNOWN };
            let fold = |all: &mut dyn Iterator<Item = &f64>| {
                all.fold(Sums::default(), |mut sums, usd| { sums.add(&Sums::of(&spent(usd))); sums })
            };
            let (there, back) = (fold(&mut usd.iter()), fold(&mut usd.iter().rev()));
            prop_assert!((there.usd - back.usd).abs() <= 1e-9 * there.usd);
            prop_assert!(there.usd.is_finite() && there.usd >= 0.0 && there.attempts == usd.len() as f64);
        }
    }

    #[test]
    fn what_another_version_tells_is_read_as_far_as_it_goes() {
        assert_eq!(Sums::read("3 1"), Some(Sums { attempts: 3.0, unknown: 1.0, ..Sums::default() }));
        let more = format!("{} 7 8", Sums::default().text());
        assert_eq!(Sums::read(&more), Some(Sums::default()));
        assert_eq!((Sums::read("x"), Sums::read("1 NaN")), (None, None));
    }

    /// Broken on purpose to see it fail: tokens without a price in the denominator.
    #[test]
    fn a_blended_price_is_of_what_has_a_price() {
        let sums =
            Sums { input: 900_000.0, output: 200_000.0, unpriced: 100_000.0, usd: 3.0, ..Sums::default() };
        assert_eq!(sums.blended(), Some(3.0));
        assert_eq!(Sums::default().blended(), None);
    }
}
