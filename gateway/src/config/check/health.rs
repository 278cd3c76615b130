//! `health_check`; key by key, the nearest wins.

use std::time::Duration;

use super::super::preset::{Call, Preset};
use super::super::tree::{At, Field, Reading};
use super::super::units::Count;
use super::super::words::Checked;
use super::super::{CheckKind, HealthCheck, raw};

/// Oftener nobody means to ask a provider.
const SHORTEST: Duration = Duration::from_millis(100);
/// The longest that anybody means.
const LONGEST: Duration = Duration::from_secs(86_400);

/// What is written so far; off while no kind is.
#[derive(Clone, Copy)]
pub(super) struct Written {
    kind: Option<CheckKind>,
    interval: Duration,
    timeout: Duration,
    successes: u64,
}

/// What holds if the file says nothing.
pub(super) fn built_in() -> Written {
    let seconds = Duration::from_secs;
    Written { kind: None, interval: seconds(30), timeout: seconds(5), successes: 2 }
}

/// `health_check` over that of the level above.
pub(super) fn written(field: &Field<raw::HealthCheck>, base: Written, cx: &mut Reading<'_>) -> Written {
    let Some(At { value, span }) = field.get() else { return base };
    let raw::HealthCheck { kind, interval, timeout, successes } = value;
    let kind = kind.value().map_or(base.kind, |Checked(kind)| *kind);
    let [interval, timeout] = [(interval, base.interval), (timeout, base.timeout)].map(|(field, base)| {
        let Some(At { value, span }) = field.get() else { return base };
        if *value < SHORTEST || *value > LONGEST {
            cx.problem(span, "expected a time from 100ms to 1day");
            return base;
        }
        *value
    });
    if timeout > interval {
        let [interval, timeout] = [interval, timeout].map(humantime::format_duration);
        cx.problem(span, format!("`timeout` ({timeout}) exceeds `interval` ({interval})"));
    }
    let successes = successes.value().map_or(base.successes, |Count(count)| *count);
    Written { kind, interval, timeout, successes }
}

/// That of a deployment, if its provider can be asked so.
pub(super) fn of_deployment(
    written: &At<raw::Deployment>,
    base: Written,
    preset: Option<&Preset>,
    has_circuit: bool,
    cx: &mut Reading<'_>,
) -> Option<HealthCheck> {
    let field = &written.value.health_check;
    let Written { kind, interval, timeout, successes } = self::written(field, base, cx);
    let span = field.get().map_or(&written.span, |At { span, .. }| span);
    if field.get().is_some_and(|At { value, .. }| value.kind.is_absent()) && kind.is_none() {
        cx.problem(span, "`kind` is missing: \"models\", or \"chat\", which costs tokens");
    }
    let kind = kind?;
    if !has_circuit {
        cx.problem(
            span,
            "a `health_check` opens and closes the deployment's `circuit`, which is not enabled",
        );
    }
    if let Some(preset) = preset.filter(|preset| !can_be_asked(kind, preset)) {
        let name = &preset.name;
        cx.problem(
            span,
            match kind {
                CheckKind::Models => {
                    format!(
                        "provider `{name}` has no list of models to ask for without cost: use kind = \"chat\""
                    )
                }
                CheckKind::Chat => {
                    format!("provider `{name}` has no call for conversations: use kind = \"models\"")
                }
            },
        );
    }
    Some(HealthCheck { kind, interval, timeout, successes })
}

fn can_be_asked(kind: CheckKind, preset: &Preset) -> bool {
    let calls: &[Call] = match kind {
        CheckKind::Models => &[Call::Models],
        CheckKind::Chat => {
            &[Call::Chat, Call::Responses, Call::Messages, Call::GenerateContent, Call::Converse]
        }
    };
    calls.iter().any(|call| preset.paths.contains_key(call))
}
