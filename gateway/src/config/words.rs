//! Settings that are one word of a closed list. A word without a value belongs to the schema, but its feature does
//! not exist yet.

use std::time::Duration;

use super::telemetry::{Protocol, Semconv, Signal};
use super::tree::{Node, Read, Reading};
use super::{
    After, By, Charge, CheckKind, MeterKind, OnOutage, Period, Priority, Regions, ReservePolicy, Statistic,
    Strategy,
};
use crate::dialect::ability::Ability;
use crate::dialect::request::Hint;

/// `pace`: 0 = the window only, else milliseconds.
#[derive(Clone, Copy)]
pub(crate) struct Pace(pub(crate) u64);

impl Read for Pace {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        let words = [("window", Some(Pace(0))), ("10s", Some(Pace(10_000))), ("1s", Some(Pace(1_000)))];
        cx.word(node, &words)
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
}

impl Read for MeterKind {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        let words = [
            ("requests", Some(MeterKind::Requests)),
            ("tokens", Some(MeterKind::Tokens)),
            ("input_tokens", Some(MeterKind::InputTokens)),
            ("output_tokens", Some(MeterKind::OutputTokens)),
            ("concurrency", Some(MeterKind::Concurrency)),
            ("usd", None),
        ];
        cx.word(node, &words)
    }
}

impl Read for Protocol {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        cx.word(node, &[("grpc", Some(Protocol::Grpc)), ("http", Some(Protocol::Http))])
    }
}

impl Read for Signal {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        let words = [
            ("traces", Some(Signal::Traces)),
            ("metrics", Some(Signal::Metrics)),
            ("logs", Some(Signal::Logs)),
        ];
        cx.word(node, &words)
    }
}

impl Read for Semconv {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        let words = [
            ("v1.41", Some(Semconv::V141)),
            ("latest", Some(Semconv::Latest)),
            ("both", Some(Semconv::Both)),
        ];
        cx.word(node, &words)
    }
}

impl Read for Charge {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        let words = [
            ("admission-max", Some(Charge::AdmissionMax)),
            ("admission-actual", Some(Charge::AdmissionActual)),
            ("end-actual", Some(Charge::EndActual)),
        ];
        cx.word(node, &words)
    }
}

impl Read for ReservePolicy {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        cx.word(node, &[("max", Some(ReservePolicy::Max)), ("predicted", Some(ReservePolicy::Predicted))])
    }
}

impl Read for Period {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        cx.word(node, &[Period::Day, Period::Month].map(|period| (period.word(), Some(period))))
    }
}

impl Read for OnOutage {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        let words = [
            ("share", Some(OnOutage::Share)),
            ("closed", Some(OnOutage::Closed)),
            ("open", Some(OnOutage::Open)),
        ];
        cx.word(node, &words)
    }
}

/// `health_check.kind`; none: off.
#[derive(Clone, Copy)]
pub(crate) struct Checked(pub(crate) Option<CheckKind>);

impl Read for Checked {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        let kinds = [CheckKind::Models, CheckKind::Chat].map(|kind| (kind.word(), Some(Checked(Some(kind)))));
        let [models, chat] = kinds;
        cx.word(node, &[models, chat, ("off", Some(Checked(None)))])
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

impl Read for CredentialKind {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        let kinds = [CredentialKind::Aws, CredentialKind::Google, CredentialKind::Entra];
        cx.word(node, &kinds.map(|kind| (kind.word(), Some(kind))))
    }
}

impl Read for Statistic {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        let quantile = |rank| Some(Statistic::Quantile(rank));
        let words = [
            ("p50", quantile(0.5)),
            ("p95", quantile(0.95)),
            ("p99", quantile(0.99)),
            ("peak-ewma", Some(Statistic::PeakEwma)),
        ];
        cx.word(node, &words)
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
}

impl Read for Ability {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        cx.word(node, &Ability::ALL.map(|ability| (ability.word(), Some(ability))))
    }
}

impl Read for Priority {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        cx.word(node, &Priority::WORDS.map(|(word, priority)| (word, Some(priority))))
    }
}

impl Read for By {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        cx.word(node, &By::WORDS.map(|(word, by)| (word, Some(by))))
    }
}

impl Read for Regions {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        cx.word(node, &[("any", Some(Regions::Any)), ("nearest", Some(Regions::Nearest))])
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

impl Read for Text {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        cx.word(node, &[("last", Some(Text::Last)), ("all", Some(Text::All))])
    }
}

impl Read for Hint {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        cx.word(node, &Hint::ORDER.map(|hint| (hint.name(), Some(hint))))
    }
}

impl Read for Strategy {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        let words = [
            ("capacity", Some(Strategy::Capacity)),
            ("weighted", Some(Strategy::Weighted)),
            ("round-robin", Some(Strategy::RoundRobin)),
            ("latency", Some(Strategy::Latency)),
            ("cost", Some(Strategy::Cost)),
            ("error-rate", Some(Strategy::ErrorRate)),
            ("least-busy", Some(Strategy::LeastBusy)),
            ("predictive", Some(Strategy::Predictive)),
            ("composite", Some(Strategy::Composite)),
        ];
        cx.word(node, &words)
    }
}
