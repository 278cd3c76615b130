//! What stands in the log, as a record for a collector.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry::logs::AnyValue;
use opentelemetry::trace::TraceContextExt;
use opentelemetry::{Context, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{self, Layer};

use super::session;
use crate::dialect::openai::answer::Usage;
use crate::state::core::SessionOutcome;
use crate::telemetry::otlp::Records;
use crate::telemetry::{Record, trace};

/// One record.
#[derive(Debug)]
pub(crate) struct Entry {
    /// When.
    pub(crate) at: SystemTime,
    /// How bad.
    pub(crate) level: Level,
    /// Of which part of the program.
    pub(crate) target: &'static str,
    /// What it belongs to.
    pub(crate) ids: Option<trace::Ids>,
    what: What,
}

#[derive(Debug)]
enum What {
    Event(Fields),
    Call(Box<Call>),
}

/// What a call's record says, taken out of the call's own when that is not needed any more.
#[derive(Debug)]
struct Call {
    id: String,
    client: Option<IpAddr>,
    api: &'static str,
    tenant: Arc<str>,
    key: Option<Arc<str>>,
    model: Arc<str>,
    deployment: Arc<str>,
    outcome: &'static str,
    session: SessionOutcome,
    stream: bool,
    status: u16,
    attempts: u32,
    usage: Usage,
    held_tokens: u64,
    cost: f64,
    is_cost_unknown: bool,
    times: [(&'static str, Option<Duration>); 5],
    rule: Option<Arc<str>>,
    /// Of which experiment, and whether it was left.
    variant: Option<(Arc<str>, Arc<str>, bool)>,
    candidates: Option<String>,
}

impl Entry {
    /// Of a call that is over.
    pub(super) fn of_call(record: &mut Record, duration: Duration) -> Entry {
        let explanation = &record.explanation;
        let call = Call {
            candidates: (!explanation.is_empty()).then(|| explanation.log()),
            rule: explanation.rule.as_ref().map(|(rule, _)| rule.clone()),
            variant: record.assigned.as_ref().map(|of| (of.experiment.clone(), of.name.clone(), of.spilled)),
            id: std::mem::take(&mut record.id),
            client: record.client,
            api: record.api,
            tenant: record.tenant.clone(),
            key: record.key.clone(),
            model: record.model.clone(),
            deployment: record.deployment.clone(),
            outcome: record.outcome,
            session: record.session,
            stream: record.stream,
            status: record.status,
            attempts: record.attempts,
            usage: record.usage.unwrap_or_default(),
            held_tokens: record.held_tokens,
            cost: record.cost,
            is_cost_unknown: record.is_cost_unknown,
            times: [
                ("duration_ms", Some(duration)),
                ("first_token_ms", record.first_token),
                ("upstream_ms", Some(record.upstream)),
                ("state_ms", Some(record.state)),
                ("waited_ms", Some(record.waited).filter(|time| !time.is_zero())),
            ],
        };
        let (at, ids) = (SystemTime::now(), record.trace.ids());
        Entry { at, level: Level::INFO, target: "weir::call", ids, what: What::Call(Box::new(call)) }
    }

    /// Its text.
    pub(crate) fn message(&self) -> &str {
        match &self.what {
            What::Event(fields) => &fields.message,
            What::Call(_) => "call",
        }
    }

    /// About how many bytes it takes.
    pub(crate) fn size(&self) -> usize {
        match &self.what {
            What::Event(fields) => {
                128 + fields.message.len() + fields.values.iter().map(of_field).sum::<usize>()
            }
            What::Call(call) => 512 + call.id.len() + call.candidates.as_ref().map_or(0, String::len),
        }
    }

    /// All that it says besides, under the names of the log's line.
    pub(crate) fn each(self, mut say: impl FnMut(&'static str, AnyValue)) {
        match self.what {
            What::Event(fields) => fields.values.into_iter().for_each(|(name, said)| say(name, said.into())),
            What::Call(call) => call.each(say),
        }
    }
}

impl Call {
    /// What stands in its line (`line.rs`), under the same names; a test compares them.
    fn each(self, mut say: impl FnMut(&'static str, AnyValue)) {
        let text = |text: &Arc<str>| AnyValue::String(text.clone().into());
        say("request_id", self.id.into());
        if let Some(client) = self.client {
            say("client", client.to_string().into());
        }
        say("api", self.api.into());
        for (name, value) in
            [("tenant", &self.tenant), ("model", &self.model), ("deployment", &self.deployment)]
        {
            say(name, text(value));
        }
        say("outcome", self.outcome.into());
        say("session", session(self.session).into());
        if let Some(key) = &self.key {
            say("key", text(key));
        }
        say("stream", self.stream.into());
        let usage = self.usage;
        for (name, value) in [
            ("status", u64::from(self.status)),
            ("attempts", u64::from(self.attempts)),
            ("input_tokens", usage.input),
            ("cached_tokens", usage.cached_input),
            ("output_tokens", usage.output),
            ("held_tokens", self.held_tokens),
            ("cost_micro_usd", (self.cost * 1e6).round() as u64),
        ] {
            say(name, i64::try_from(value).unwrap_or(i64::MAX).into());
        }
        if self.is_cost_unknown {
            say("cost_unknown", true.into());
        }
        for (name, time) in self.times {
            if let Some(time) = time {
                say(name, (time.as_secs_f64() * 1e3).into());
            }
        }
        if let Some(rule) = &self.rule {
            say("rule", text(rule));
        }
        if let Some((experiment, variant, spilled)) = &self.variant {
            say("experiment", text(experiment));
            say("variant", text(variant));
            say("spilled", (*spilled).into());
        }
        if let Some(candidates) = self.candidates {
            say("candidates", candidates.into());
        }
    }
}

/// What a field says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Said {
    Text(String),
    Whole(i64),
    Number(f64),
    Flag(bool),
}

impl From<Said> for AnyValue {
    fn from(said: Said) -> AnyValue {
        match said {
            Said::Text(text) => text.into(),
            Said::Whole(number) => number.into(),
            Said::Number(number) => number.into(),
            Said::Flag(flag) => flag.into(),
        }
    }
}

impl From<Said> for Value {
    fn from(said: Said) -> Value {
        match said {
            Said::Text(text) => text.into(),
            Said::Whole(number) => number.into(),
            Said::Number(number) => number.into(),
            Said::Flag(flag) => flag.into(),
        }
    }
}

fn of_field((name, said): &(&'static str, Said)) -> usize {
    64 + name.len() + if let Said::Text(text) = said { text.len() } else { 0 }
}

/// What an event says.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    /// Its text.
    pub(crate) message: String,
    /// All else.
    pub(crate) values: Vec<(&'static str, Said)>,
}

impl Fields {
    /// Of an event.
    pub(crate) fn of(event: &Event<'_>) -> Fields {
        let mut fields = Fields::default();
        event.record(&mut fields);
        fields
    }

    fn put(&mut self, field: &Field, said: Said) {
        match (field.name(), said) {
            ("message", Said::Text(text)) => self.message = text,
            (name, said) => self.values.push((name, said)),
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, Said::Text(value.to_owned()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Said::Whole(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, Said::Whole(i64::try_from(value).unwrap_or(i64::MAX)));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, Said::Number(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Said::Flag(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, Said::Text(format!("{value:?}")));
    }
}

/// The layer that takes events into the queue.
pub(super) struct Export(pub(super) Records);

impl<S: Subscriber> Layer<S> for Export {
    fn on_event(&self, event: &Event<'_>, _: layer::Context<'_, S>) {
        // What sends records does not tell of itself so.
        if Context::is_current_telemetry_suppressed() {
            return;
        }
        let meta = event.metadata();
        let ids = Context::map_current(|current| current.has_active_span().then(|| trace::ids_of(current)));
        self.0.push(Entry {
            at: SystemTime::now(),
            level: *meta.level(),
            target: meta.target(),
            ids,
            what: What::Event(Fields::of(event)),
        });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::line::write_call;
    use super::*;
    use crate::telemetry::Metrics;

    /// They had come to differ: keys, unknown costs and whether a variant was left stood in lines alone. Broken on purpose to see it
    /// fail: any one of them left out.
    #[test]
    fn a_calls_record_says_what_its_line_says() {
        let mut record = Record::new(Arc::new(Metrics::new().unwrap()), "req_1".into());
        record.client = Some([127, 0, 0, 1].into());
        (record.key, record.is_cost_unknown) = (Some("key_1".into()), true);
        record.first_token = Some(Duration::from_millis(3));
        record.waited = Duration::from_millis(2);
        record.explanation.rule = Some(("rule".into(), "m".into()));
        let duration = Duration::from_millis(5);
        let mut line = String::new();
        write_call(&mut line, &record, duration);
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let of_all = ["timestamp", "level", "target", "trace_id", "span_id"];
        let names = line.as_object().unwrap().keys().map(String::as_str);
        let expected: BTreeSet<&str> = names.filter(|name| !of_all.contains(name)).collect();
        let mut told = BTreeSet::new();
        Entry::of_call(&mut record, duration).each(|name, _| assert!(told.insert(name), "{name} twice"));
        assert_eq!(told, expected);
    }
}
