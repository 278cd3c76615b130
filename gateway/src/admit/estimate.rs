//! How many tokens a call may use, decided before it is sent.
//!
//! The estimate is what a call holds on every pool until its usage is known. Too low breaks a limit, too high
//! wastes it, and an exact tokenizer costs more than the rest of admission and has bad worst cases. So the input
//! is weighed by [`text`] in one pass over the raw JSON: strings by the classes of their characters, images,
//! sounds and files by flat costs, the frame of each message by a constant; and never below what providers
//! themselves assume, a token for four characters. The output is what the request bounds it by, else what the
//! pool's policy says: the deployment's maximum, or what such calls used so far ([`Predictor`]).

mod media;
mod predict;
mod text;
mod weights;

pub use predict::Predictor;

use crate::config::{MeterKind, ReservePolicy};
use crate::dialect::voice::Voice;
use text::Tally;

/// What a call is expected to use, tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// Input.
    pub input: u64,
    /// Output over all choices.
    pub output: u64,
    /// The request itself bounds the output.
    pub explicit_output: bool,
}

/// Frame of one message: role, separators.
const PER_MESSAGE: u64 = 4;
/// Frame of the conversation: the opening of the answer.
const PER_CALL: u64 = 3;

/// Tokens of the input of a call in the dialects of `voice`: raw values with text in them (messages, prompts, items,
/// documents), of which the first is read `repeats` times; and raw values that are put before the model as they are (tools,
/// functions, the form of the answer), tools first. Empty where absent.
pub fn input_tokens(voice: Voice, texts: [&[u8]; 2], repeats: u64, schemas: &[&[u8]]) -> u64 {
    let [mut first, mut rest] = [Tally::new(voice); 2];
    let count = first.texts(texts[0]) + rest.texts(texts[1]);
    if schemas.first().is_some_and(|tools| tools.len() > "[]".len()) {
        rest.tools();
    }
    for schema in schemas {
        rest.schema(schema);
    }
    let tokens = first.tokens().saturating_mul(repeats).saturating_add(rest.tokens());
    tokens.saturating_add(PER_MESSAGE * count + PER_CALL)
}

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

/// More than any limit, and little enough that sums of it are exact in the state's numbers.
const MOST: u64 = 1 << 50;

/// What a call holds on a meter with room for `cap` when idle.
///
/// A call must not be refused for ever because we guessed its output: if only the guess makes it larger than the
/// meter, it holds the whole meter. A bound that the client set is a demand, not a guess, and is not lowered.
pub fn amount(kind: MeterKind, estimate: &Estimate, cap: u64) -> u64 {
    let clamp = |amount: u64, sure: u64| {
        let guessed = !estimate.explicit_output && sure <= cap;
        if guessed { amount.min(cap) } else { amount }
    };
    let amount = match kind {
        MeterKind::Requests | MeterKind::Concurrency => 1,
        MeterKind::InputTokens => estimate.input,
        MeterKind::OutputTokens => clamp(estimate.output, 0),
        MeterKind::Tokens => clamp(estimate.input.saturating_add(estimate.output), estimate.input),
    };
    amount.min(MOST)
}

#[cfg(test)]
mod media_tests;
#[cfg(test)]
mod tests;
