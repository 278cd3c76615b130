//! What was spent in the last hours, for people: by tenant, model or deployment. Pure.
//!
//! It is added up hour by hour, so that no more than one hour need be at hand, and whoever adds may do other things in between.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::{Hour, Level, Sums};

/// The most hours that are shown: 31 days.
pub const MOST_HOURS: u64 = 31 * 24;
/// The most hours of rows that are told one by one, in all.
const MOST_CELLS: usize = 50_000;

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

    fn shown(&self, by_hour: bool) -> Map<String, Value> {
        let mut fields = shown(&self.sums);
        let hour = |(hour, sums): (&Hour, &Sums)| json!({"hour": time(*hour), "attempts": sums.attempts, "cost_usd": sums.usd, "usd_per_mtok": sums.blended()});
        let hours = by_hour.then(|| self.hours.iter().map(hour).collect::<Vec<_>>());
        fields.insert("by_hour".to_owned(), json!(hours));
        fields
    }
}

/// A page in the making.
#[derive(Debug)]
pub struct Sheet {
    query: Query,
    total: Row,
    rows: BTreeMap<String, Row>,
    /// Hours of rows that are told one by one; none if there are too many for that.
    cells: Option<usize>,
}

impl Sheet {
    /// Of what is asked for.
    pub fn new(query: Query) -> Sheet {
        Sheet { query, total: Row::default(), rows: BTreeMap::new(), cells: Some(0) }
    }

    /// Adds what an hour came to; `fields`: what stands of it in the state, empty if that is away; `own`: the books of this replica,
    /// which are newer than what it told.
    pub fn add(&mut self, hour: Hour, fields: &Stored, own: &[Level]) {
        // What is a part of the sum, or becoming one, no longer changes, and the state has all of it.
        let is_there = |level: &&Level| {
            let mark = fields.get(&format!("@{}", level.id));
            mark.is_some_and(|mark| mark == "over" || mark == "closing")
        };
        let here: Vec<&Level> = own.iter().filter(|level| !is_there(level)).collect();
        let ids: BTreeSet<&str> = here.iter().map(|level| level.id.as_str()).collect();
        for (field, text) in fields.iter().filter(|(field, _)| !field.starts_with('@')) {
            let Some((id, series)) = field.split_once(' ') else { continue };
            // (What cannot be read is of a version that tells otherwise.)
            if let Some(sums) = Sums::read(text).filter(|_| !ids.contains(id)) {
                self.take(hour, series, &sums);
            }
        }
        for (series, sums) in here.iter().flat_map(|level| level.series.iter()) {
            self.take(hour, series, sums);
        }
    }

    fn take(&mut self, hour: Hour, series: &str, sums: &Sums) {
        let Ok(names) = serde_json::from_str::<[String; 3]>(series) else { return };
        if self.query.only.iter().any(|(by, name)| by.of(&names) != name) {
            return;
        }
        self.total.add(hour, sums);
        let row = self.rows.entry(self.query.by.of(&names).to_owned()).or_default();
        let Some(cells) = &mut self.cells else { return row.sums.add(sums) };
        let hours = row.hours.len();
        row.add(hour, sums);
        *cells += row.hours.len() - hours;
        if *cells > MOST_CELLS {
            self.cells = None;
            self.rows.values_mut().for_each(|row| row.hours.clear());
        }
    }

    /// The page, in the hour `now`; `whole_cluster`: what others told is in it.
    pub fn page(self, now: Hour, whole_cluster: bool) -> Value {
        let Sheet { query, total, rows, cells } = self;
        let mut rows: Vec<(String, Row)> = rows.into_iter().collect();
        rows.sort_by(|(_, a), (_, b)| b.sums.usd.total_cmp(&a.sums.usd));
        let row = |(name, row): &(String, Row)| row_of(query.by, name, row, cells.is_some());
        json!({
            "by": query.by.word(), "hours": query.hours,
            "from": time(now.saturating_sub(query.hours - 1)), "whole_cluster": whole_cluster,
            "total": Value::Object(total.shown(true)), "rows": rows.iter().map(row).collect::<Vec<_>>(),
        })
    }
}

fn row_of(by: By, name: &str, row: &Row, by_hour: bool) -> Value {
    let mut fields = Map::new();
    fields.insert(by.word().to_owned(), json!(name));
    fields.append(&mut row.shown(by_hour));
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
