//! Settings that are one word of a closed list. A word without a value belongs to the schema, but its feature does
//! not exist yet.

use std::time::Duration;

use super::form::Form;
use super::telemetry::{Protocol, Semconv, Signal};
use super::tree::{Node, Read, Reading, Vocabulary, Word};
use super::{
    After, By, Charge, CheckKind, MeterKind, OnOutage, Period, Priority, Regions, ReservePolicy, Statistic,
    Strategy,
};
use crate::dialect::ability::Ability;
use crate::dialect::request::Hint;

/// `pace`: 0 = the window only, else milliseconds.
#[derive(Clone, Copy)]
pub(crate) struct Pace(pub(crate) u64);

impl Word for Pace {
    fn words() -> Vocabulary<Self> {
        vec![("window", Some(Pace(0))), ("10s", Some(Pace(10_000))), ("1s", Some(Pace(1_000)))]
    }
}

/// `reset`: only rolling windows exist yet.
#[derive(Clone, Copy)]
pub(crate) struct Reset;

impl Read for Reset {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        if cx.string(node, "\"rolling\"")? == "rolling" {
            return Some(Reset);
        }
        cx.problem(&node.span(), "a `reset` at a time of day is not available yet: use `rolling`");
        None
    }

    fn form() -> Form {
        Form::Words(vec!["rolling"])
    }
}

impl Word for MeterKind {
    fn words() -> Vocabulary<Self> {
        vec![
            ("requests", Some(MeterKind::Requests)),
            ("tokens", Some(MeterKind::Tokens)),
            ("input_tokens", Some(MeterKind::InputTokens)),
            ("output_tokens", Some(MeterKind::OutputTokens)),
            ("concurrency", Some(MeterKind::Concurrency)),
            ("usd", None),
        ]
    }
}

impl Word for Protocol {
    fn words() -> Vocabulary<Self> {
        vec![("grpc", Some(Protocol::Grpc)), ("http", Some(Protocol::Http))]
    }
}

impl Word for Signal {
    fn words() -> Vocabulary<Self> {
        vec![
            ("traces", Some(Signal::Traces)),
            ("metrics", Some(Signal::Metrics)),
            ("logs", Some(Signal::Logs)),
        ]
    }
}

impl Word for Semconv {
    fn words() -> Vocabulary<Self> {
        vec![("v1.41", Some(Semconv::V141)), ("latest", Some(Semconv::Latest)), ("both", Some(Semconv::Both))]
    }
}

impl Word for Charge {
    fn words() -> Vocabulary<Self> {
        vec![
            ("admission-max", Some(Charge::AdmissionMax)),
            ("admission-actual", Some(Charge::AdmissionActual)),
            ("end-actual", Some(Charge::EndActual)),
        ]
    }
}

impl Word for ReservePolicy {
    fn words() -> Vocabulary<Self> {
        vec![("max", Some(ReservePolicy::Max)), ("predicted", Some(ReservePolicy::Predicted))]
    }
}

impl Word for Period {
    fn words() -> Vocabulary<Self> {
        [Period::Day, Period::Month].map(|period| (period.word(), Some(period))).to_vec()
    }
}

impl Word for OnOutage {
    fn words() -> Vocabulary<Self> {
        vec![
            ("share", Some(OnOutage::Share)),
            ("closed", Some(OnOutage::Closed)),
            ("open", Some(OnOutage::Open)),
        ]
    }
}

/// `health_check.kind`; none: off.
#[derive(Clone, Copy)]
pub(crate) struct Checked(pub(crate) Option<CheckKind>);

impl Word for Checked {
    fn words() -> Vocabulary<Self> {
        let kind = |kind: CheckKind| (kind.word(), Some(Checked(Some(kind))));
        vec![kind(CheckKind::Models), kind(CheckKind::Chat), ("off", Some(Checked(None)))]
    }
}

/// `credentials.kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CredentialKind {
    Aws,
    Google,
    Entra,
}

impl CredentialKind {
    /// As it is written.
    pub(crate) fn word(self) -> &'static str {
        match self {
            CredentialKind::Aws => "aws",
            CredentialKind::Google => "google",
            CredentialKind::Entra => "entra",
        }
    }
}

impl Word for CredentialKind {
    fn words() -> Vocabulary<Self> {
        let kinds = [CredentialKind::Aws, CredentialKind::Google, CredentialKind::Entra];
        kinds.map(|kind| (kind.word(), Some(kind))).to_vec()
    }
}

impl Word for Statistic {
    fn words() -> Vocabulary<Self> {
        let quantile = |rank| Some(Statistic::Quantile(rank));
        vec![
            ("p50", quantile(0.5)),
            ("p95", quantile(0.95)),
            ("p99", quantile(0.99)),
            ("peak-ewma", Some(Statistic::PeakEwma)),
        ]
    }
}

impl Read for After {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        match node.get_ref().as_str() {
            Some("p95") => Some(After::P95),
            Some(text) if humantime::parse_duration(text).is_err() => {
                cx.problem(&node.span(), "expected \"p95\" or a duration such as \"800ms\"");
                None
            }
            _ => Duration::read(node, cx).map(After::Time),
        }
    }

    fn form() -> Form {
        Form::OneOf(vec![Form::Words(vec!["p95"]), Duration::form()])
    }
}

impl Word for Ability {
    fn words() -> Vocabulary<Self> {
        Ability::ALL.map(|ability| (ability.word(), Some(ability))).to_vec()
    }
}

impl Word for Priority {
    fn words() -> Vocabulary<Self> {
        Priority::WORDS.map(|(word, priority)| (word, Some(priority))).to_vec()
    }
}

impl Word for By {
    fn words() -> Vocabulary<Self> {
        By::WORDS.map(|(word, by)| (word, Some(by))).to_vec()
    }
}

impl Word for Regions {
    fn words() -> Vocabulary<Self> {
        vec![("any", Some(Regions::Any)), ("nearest", Some(Regions::Nearest))]
    }
}

/// `prompt.text`: where a pattern is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Text {
    /// In what the user said last.
    Last,
    /// In all that was said.
    All,
}

impl Word for Text {
    fn words() -> Vocabulary<Self> {
        vec![("last", Some(Text::Last)), ("all", Some(Text::All))]
    }
}

impl Word for Hint {
    fn words() -> Vocabulary<Self> {
        Hint::ORDER.map(|hint| (hint.name(), Some(hint))).to_vec()
    }
}

impl Word for Strategy {
    fn words() -> Vocabulary<Self> {
        vec![
            ("capacity", Some(Strategy::Capacity)),
            ("weighted", Some(Strategy::Weighted)),
            ("round-robin", Some(Strategy::RoundRobin)),
            ("latency", Some(Strategy::Latency)),
            ("cost", Some(Strategy::Cost)),
            ("error-rate", Some(Strategy::ErrorRate)),
            ("least-busy", Some(Strategy::LeastBusy)),
            ("predictive", Some(Strategy::Predictive)),
            ("composite", Some(Strategy::Composite)),
        ]
    }
}
