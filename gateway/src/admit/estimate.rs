//! How many tokens a call may use, decided before it is sent.
//!
//! The estimate is what a call holds on every pool until its usage is known. Too low breaks a limit, too high
//! wastes it, and an exact tokenizer costs more than the rest of admission and has bad worst cases. So the input
//! is weighed by [`text`] in one pass over the raw JSON: strings by the classes of their characters, images,
//! sounds and files by flat costs, the frame of each message by a constant; and never below what providers
//! themselves assume, a token for four characters. What is known by its address only is partly a guess. The output is what the request bounds it by, else what the
//! pool's policy says: the deployment's maximum, or what such calls used so far ([`Predictor`]).

mod held;
mod media;
mod predict;
mod text;
mod walk;
mod weights;

pub use predict::Predictor;

use crate::config::{MeterKind, Price, ReservePolicy};
use crate::dialect::ability::Abilities;
use crate::dialect::openai::answer::Service;
use text::Tally;

/// What a call is expected to use, tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// Input.
    pub input: u64,
    /// How much of the input is only guessed.
    pub guessed_input: u64,
    /// Output over all choices.
    pub output: u64,
    /// The request itself bounds the output.
    pub explicit_output: bool,
    /// In which way the request asks to be served, which may cost more.
    pub service: Service,
}

impl Estimate {
    /// The larger input and the larger output of both, for what either of two deployments may use.
    pub fn widest(self, other: Estimate) -> Estimate {
        let input = if other.input > self.input { other } else { self };
        Estimate { output: self.output.max(other.output), ..input }
    }
}

/// What the input of a call weighs, tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight {
    /// By what the request holds.
    pub sure: u64,
    /// By what may stand behind the addresses in it, on top of that.
    pub guessed: u64,
}

impl Weight {
    /// All of it.
    pub fn total(self) -> u64 {
        self.sure.saturating_add(self.guessed)
    }

    /// As a deployment can read it: what is guessed never fills more than its context.
    pub fn within(self, context_window: Option<u64>) -> Weight {
        let room = context_window.map_or(u64::MAX, |window| window.saturating_sub(self.sure));
        Weight { guessed: self.guessed.min(room), ..self }
    }
}

/// Assumed of input that the provider keeps and the request only names, tokens: ten pages.
pub const UNSEEN: u64 = 30_000;

/// Frame of one message: role, separators.
const PER_MESSAGE: u64 = 4;
/// Frame of the conversation: the opening of the answer.
const PER_CALL: u64 = 3;

/// The weight of the input of a call, and what a model must be able to read of it: raw values with text in them (messages, prompts, items, documents), of which the
/// first is read `repeats` times; and raw values that are put before the model as they are (tools, functions, the form of the
/// answer). Empty where absent.
pub fn input_weight(texts: [&[u8]; 2], repeats: u64, schemas: &[&[u8]]) -> (Weight, Abilities) {
    let [mut first, mut rest] = [Tally::default(); 2];
    let count = first.texts(texts[0]) + rest.texts(texts[1]);
    for schema in schemas {
        rest.schema(schema);
    }
    let tokens = first.tokens().saturating_mul(repeats).saturating_add(rest.tokens());
    let weight = Weight {
        sure: tokens.saturating_add(PER_MESSAGE * count + PER_CALL),
        guessed: first.guessed().saturating_mul(repeats).saturating_add(rest.guessed()),
    };
    (weight, first.uses().and(rest.uses()))
}

/// What a provider that does not speak OpenAI's dialects may itself say to the model where tools are offered, tokens.
pub const TOOLS: u64 = media::TOOLS;

/// Output assumed for a call without a bound, while nothing is learnt, tokens per choice.
const UNLEARNT: u64 = 1024;

/// Tokens of the output over all choices. `explicit` is the bound that the request sets, `max_output` the
/// deployment's, `predicted` what [`Predictor::p95`] says of such calls; all three are tokens per choice.
pub fn output_tokens(
    explicit: Option<u64>,
    choices: u64,
    reserve: ReservePolicy,
    max_output: u64,
    predicted: Option<u64>,
) -> u64 {
    let per_choice = match (explicit, reserve) {
        (Some(bound), _) => bound,
        (None, ReservePolicy::Max) => max_output,
        (None, ReservePolicy::Predicted) => predicted.unwrap_or(UNLEARNT).min(max_output),
    };
    per_choice.saturating_mul(choices)
}

/// Output expected of a call while nothing is learnt, tokens per choice: answers are mostly much shorter than what is held.
const USUAL: u64 = 250;

/// What a call's output will probably be, tokens per choice: what half of such calls stay within ([`Predictor::median`]), but
/// not more than it asks for.
pub fn expected_output(explicit: Option<u64>, learnt: Option<u64>) -> u64 {
    learnt.unwrap_or(USUAL).min(explicit.unwrap_or(u64::MAX))
}

/// What a call may cost, millionths of a US dollar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spend {
    /// All of it.
    pub all: u64,
    /// What is not only guessed.
    pub sure: u64,
}

impl Spend {
    /// The more of both, for what either of two deployments may cost.
    pub fn widest(self, other: Spend) -> Spend {
        Spend { all: self.all.max(other.all), sure: self.sure.max(other.sure) }
    }

    /// What it holds of a budget: as [`amount`], the whole of it if only a guess makes it more.
    pub fn amount(self, cap: u64) -> u64 {
        let amount = if self.sure <= cap { self.all.min(cap) } else { self.all };
        amount.min(MOST)
    }
}

/// What a call that uses as much as is estimated costs, served in the way that it asks for, and how much of that is not only
/// guessed; rounded up.
pub fn spend(price: &Price, estimate: &Estimate) -> Spend {
    let sure_output = if estimate.explicit_output { estimate.output } else { 0 };
    let factor = price.most_factor(estimate.service);
    let millionths =
        |price: &Price, input, output| (factor * price.of(input, 0, 0, output) * 1e6).ceil() as u64;
    Spend {
        all: millionths(&price.at_most(), estimate.input, estimate.output),
        sure: millionths(price, estimate.input.saturating_sub(estimate.guessed_input), sure_output),
    }
}

/// More than any limit, and little enough that sums of it are exact in the state's numbers.
const MOST: u64 = 1 << 50;

/// What a call holds on a meter with room for `cap` when idle.
///
/// A call must not be refused for ever because we guessed its output, or what is behind an address: if only the guess makes
/// it larger than the meter, it holds the whole meter. A bound that the client set is a demand, not a guess, and is not lowered.
pub fn amount(kind: MeterKind, estimate: &Estimate, cap: u64) -> u64 {
    let clamp = |amount: u64, sure: u64| if sure <= cap { amount.min(cap) } else { amount };
    let sure_input = estimate.input.saturating_sub(estimate.guessed_input);
    let sure_output = if estimate.explicit_output { estimate.output } else { 0 };
    let amount = match kind {
        MeterKind::Requests | MeterKind::Concurrency => 1,
        MeterKind::Usd => 0, // known by its price: `Spend`
        MeterKind::InputTokens => clamp(estimate.input, sure_input),
        MeterKind::OutputTokens => clamp(estimate.output, sure_output),
        MeterKind::Tokens => {
            let sure = sure_input.saturating_add(sure_output);
            clamp(estimate.input.saturating_add(estimate.output), sure)
        }
    };
    amount.min(MOST)
}

#[cfg(test)]
mod attack_tests;
#[cfg(test)]
mod media_tests;
#[cfg(test)]
mod tests;
