//! How a client is answered besides the model's own words: in the manner of the API that its SDK was made for. Errors
//! ([`Told`]), what keeps a stream alive before and between its events ([`Form`]), lists of models ([`models`]).

mod form;
pub mod models;
mod told;
mod words;

pub use form::Form;
pub use told::Told;

/// Whose errors and lists a client reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Voice {
    /// OpenAI's.
    #[default]
    OpenAi,
    /// Anthropic's.
    Anthropic,
    /// Google's.
    Google,
}
