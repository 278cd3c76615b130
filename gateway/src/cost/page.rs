//! What was spent in the last hours, for people: by tenant, model or deployment. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::{Hour, Level, Sums};

/// The most hours that are shown: 31 days.
pub const MOST_HOURS: u64 = 31 * 24;

/// What spending is told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Who asked.
    Tenant,
    /// What for.
    Model,
    /// Who served it.
    Deployment,
}

impl By {
    /// All of them.
    pub const ALL: [By; 3] = [By::Tenant, By::Model, By::Deployment];

    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            By::Tenant => "tenant",
            By::Model => "model",
            By::Deployment => "deployment",
        }
    }

    fn of(self, [tenant, model, deployment]: &[String; 3]) -> &str {
        match self {
            By::Tenant => tenant,
            By::Model => model,
            By::Deployment => deployment,
        }
    }
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// A row for each.
    pub by: By,
    /// So many hours, the one that goes on included; 1 to [`MOST_HOURS`].
    pub hours: u64,
    /// Of these alone.
    pub only: Vec<(By, String)>,
}

impl Query {
    /// The hours that are asked for, the newest last: with the next one, for clocks differ.
    pub fn span(&self, now: Hour) -> Vec<Hour> {
        (now.saturating_sub(self.hours - 1)..=now + 1).collect()
    }
}

/// What stands in the state of one hour.
pub type Stored = BTreeMap<String, String>;

/// What came to one row.
#[derive(Debug, Default)]
struct Row {
    sums: Sums,
    hours: BTreeMap<Hour, Sums>,
}

impl Row {
    fn add(&mut self, hour: Hour, sums: &Sums) {
        self.sums.add(sums);
        self.hours.entry(hour).or_default().add(sums);
    }

    fn shown(&self) -> Map<String, Value> {
        let mut fields = shown(&self.sums);
        let hour = |(hour, sums): (&Hour, &Sums)| json!({"hour": time(*hour), "attempts": sums.attempts, "cost_usd": sums.usd, "usd_per_mtok": sums.blended()});
        fields.insert("by_hour".to_owned(), self.hours.iter().map(hour).collect());
        fields
    }
}

/// The page; `stored`: what all replicas told of the hours that are asked for, none if the state is away; `own`: the books of this
/// replica, which are newer than what it told.
pub fn page(query: &Query, now: Hour, stored: Option<&[Stored]>, own: &[Level]) -> Value {
    let span = query.span(now);
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    let mut total = Row::default();
    let mut take = |hour: Hour, series: &str, sums: &Sums| {
        let Ok(names) = serde_json::from_str::<[String; 3]>(series) else { return };
        if query.only.iter().any(|(by, name)| by.of(&names) != name) {
            return;
        }
        total.add(hour, sums);
        rows.entry(query.by.of(&names).to_owned()).or_default().add(hour, sums);
    };
    let nothing = Stored::new();
    for (at, hour) in span.iter().enumerate() {
        let fields = stored.and_then(|stored| stored.get(at)).unwrap_or(&nothing);
        let is_over = |level: &&Level| fields.get(&format!("@{}", level.id)).is_some_and(|was| was == "over");
        let here: Vec<&Level> =
            own.iter().filter(|level| level.hour == *hour).filter(|level| !is_over(level)).collect();
        let ids: BTreeSet<&str> = here.iter().map(|level| level.id.as_str()).collect();
        for (field, text) in fields.iter().filter(|(field, _)| !field.starts_with('@')) {
            let Some((id, series)) = field.split_once(' ') else { continue };
            // (What cannot be read is of a version that tells otherwise.)
            if let Some(sums) = Sums::read(text).filter(|_| !ids.contains(id)) {
                take(*hour, series, &sums);
            }
        }
        for (series, sums) in here.iter().flat_map(|level| level.series.iter()) {
            take(*hour, series, sums);
        }
    }
    let mut rows: Vec<(String, Row)> = rows.into_iter().collect();
    rows.sort_by(|(_, a), (_, b)| b.sums.usd.total_cmp(&a.sums.usd));
    json!({
        "by": query.by.word(), "hours": query.hours,
        "from": time(now.saturating_sub(query.hours - 1)), "whole_cluster": stored.is_some(),
        "total": Value::Object(total.shown()),
        "rows": rows.iter().map(|(name, row)| row_of(query.by, name, row)).collect::<Vec<_>>(),
    })
}

fn row_of(by: By, name: &str, row: &Row) -> Value {
    let mut fields = Map::new();
    fields.insert(by.word().to_owned(), json!(name));
    fields.append(&mut row.shown());
    Value::Object(fields)
}

fn shown(sums: &Sums) -> Map<String, Value> {
    let fields = [
        ("attempts", json!(sums.attempts)),
        ("cost_usd", json!(sums.usd)),
        ("usd_per_mtok", json!(sums.blended())),
        ("unknown", json!({"attempts": sums.unknown, "tokens": sums.unpriced})),
        ("estimated", json!({"attempts": sums.estimated, "cost_usd": sums.estimated_usd})),
        ("saved_usd", json!({"baseline": sums.saved_baseline, "dearest": sums.saved_dearest})),
        (
            "tokens",
            json!({
                "input": sums.input, "cached": sums.cached, "written": sums.written, "output": sums.output,
                "reasoning": sums.reasoning,
            }),
        ),
    ];
    fields.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()
}

/// When an hour began.
fn time(hour: Hour) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(hour * 3600)).to_string()
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
