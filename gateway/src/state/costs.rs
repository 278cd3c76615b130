//! What replicas tell each other of costs, by the hour, through keys of its own (`lua/costs.lua`). No decision about a limit
//! rests on it, so no script of the limits knows of it.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;

use super::Away;
use super::port::Port;

const COSTS: &str = include_str!("../../../lua/costs.lua");

/// How long what an hour cost is kept after it was told last.
const KEPT: Duration = Duration::from_secs(32 * 24 * 3600);
/// Series of an hour's sum that are told apart, of all replicas together. What comes after is added to that of other tenants: costs
/// must not fill the server that limits rest on.
const MOST: usize = 2_000;
/// Under which an hour has how many series its sum has.
const COUNT: &str = "#";

/// What one hour came to, as it stands in the state: fields by name, see `lua/costs.lua`.
pub(super) type Fields = BTreeMap<String, String>;

/// What became of something told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToldCosts {
    /// It was taken; so often the book was told by now.
    Taken(u64),
    /// The book is becoming a part of the sum: no level of it is taken any more.
    Closing,
    /// The book is a part of the sum.
    Over,
    /// The state does not know what the teller thinks it does: all of it is to be told.
    Unknown,
}

impl ToldCosts {
    fn of(answer: i64) -> ToldCosts {
        match (u64::try_from(answer), answer) {
            (Ok(0), _) => ToldCosts::Over,
            (Ok(times), _) => ToldCosts::Taken(times),
            (_, -2) => ToldCosts::Closing,
            _ => ToldCosts::Unknown,
        }
    }
}

/// What is done with a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Its levels are taken.
    Levels,
    /// Some of it becomes a part of the sum.
    Close,
    /// The last of it does.
    Last,
}

impl Step {
    fn word(self) -> &'static str {
        match self {
            Step::Levels => "levels",
            Step::Close => "close",
            Step::Last => "last",
        }
    }
}

impl Port {
    /// Tells what series of a book came to; `before`: how often it was told, none if that is not known.
    pub async fn tell_costs(
        &self,
        book: (u64, &str),
        before: Option<u64>,
        series: &[(&str, String)],
    ) -> Result<ToldCosts, Away> {
        self.step_costs(book, before, Step::Levels, series).await
    }

    /// Makes series of a book a part of the sum, each once: under their names, or, where there are too many, under those beside
    /// them. `before`: how often the book was told, none if it is closing already; `last`: these are the last of it.
    pub async fn close_costs(
        &self,
        book: (u64, &str),
        before: Option<u64>,
        last: bool,
        series: &[(&str, String)],
    ) -> Result<ToldCosts, Away> {
        self.step_costs(book, before, if last { Step::Last } else { Step::Close }, series).await
    }

    async fn step_costs(
        &self,
        (hour, id): (u64, &str),
        before: Option<u64>,
        step: Step,
        series: &[(&str, String)],
    ) -> Result<ToldCosts, Away> {
        let before = before.map_or(String::new(), |times| times.to_string());
        match self {
            Port::Redis(lane) => {
                let mut tell = redis::pipe();
                tell.cmd("EVAL").arg(COSTS).arg(1).arg(lane.keys().costs(hour));
                tell.arg(id).arg(&before).arg(step.word()).arg(KEPT.as_millis() as u64).arg(MOST);
                for (name, with) in series {
                    tell.arg(name).arg(with);
                }
                lane.plain::<(i64,)>(&tell).await.map(|(answer,)| ToldCosts::of(answer))
            }
            Port::Local(local) => Ok(ToldCosts::of(local.costs.step((hour, id), &before, step, series))),
        }
    }

    /// How often a book of this hour was told, as the state knows; the inner none: it is over. The outer none: it knows nothing of
    /// it, or it is becoming a part of the sum.
    pub async fn costs_mark(&self, hour: u64, id: &str) -> Result<Option<Option<u64>>, Away> {
        let field = format!("@{id}");
        let mark = match self {
            Port::Redis(lane) => {
                let mut look = redis::pipe();
                look.cmd("HGET").arg(lane.keys().costs(hour)).arg(field);
                lane.plain::<(Option<String>,)>(&look).await?.0
            }
            Port::Local(local) => local.costs.hour(hour).remove(&field),
        };
        Ok(mark.and_then(|mark| if mark == OVER { Some(None) } else { mark.parse().ok().map(Some) }))
    }

    /// What stands there of an hour.
    pub async fn costs(&self, hour: u64) -> Result<BTreeMap<String, String>, Away> {
        match self {
            Port::Redis(lane) => {
                let mut get = redis::pipe();
                get.cmd("HGETALL").arg(lane.keys().costs(hour));
                lane.read::<(Fields,)>(&get).await.map(|(fields,)| fields)
            }
            Port::Local(local) => Ok(local.costs.hour(hour)),
        }
    }
}

/// Marks of a book, besides how often it was told.
const CLOSING: &str = "closing";
const OVER: &str = "over";

/// The same in this process.
#[derive(Debug, Default)]
pub(super) struct Shelf(Mutex<BTreeMap<u64, Fields>>); // short sections

impl Shelf {
    /// What `lua/costs.lua` does.
    fn step(&self, (hour, id): (u64, &str), before: &str, step: Step, series: &[(&str, String)]) -> i64 {
        let mut hours = self.0.lock();
        let oldest = hour.saturating_sub(KEPT.as_secs() / 3600);
        hours.retain(|hour, _| *hour >= oldest);
        let fields = hours.entry(hour).or_default();
        let mark = format!("@{id}");
        let known = fields.get(&mark).cloned();
        match (known.as_deref(), step) {
            (Some(OVER), _) => return 0,
            (Some(CLOSING), Step::Levels) => return -2,
            (Some(CLOSING), _) => {}
            (known, Step::Levels) if before.is_empty() || before == known.unwrap_or("0") => {}
            (Some(known), _) if step != Step::Levels && before == known => {}
            _ => return -1,
        }
        for (name, with) in series {
            if step == Step::Levels {
                fields.insert(format!("{id} {name}"), with.clone());
            } else {
                close(fields, (id, name), with);
            }
        }
        let times = known.and_then(|known| known.parse::<i64>().ok()).unwrap_or(0) + 1;
        let (mark_now, answer) = match step {
            Step::Levels => (times.to_string(), times),
            Step::Close => (CLOSING.to_owned(), -2),
            Step::Last => (OVER.to_owned(), 0),
        };
        fields.insert(mark, mark_now);
        answer
    }

    fn hour(&self, hour: u64) -> Fields {
        self.0.lock().get(&hour).cloned().unwrap_or_default()
    }
}

/// Makes a series of a book a part of the sum, if it is not one yet.
fn close(fields: &mut Fields, (id, name): (&str, &str), folded: &str) {
    let Some(numbers) = fields.remove(&format!("{id} {name}")) else { return };
    let count = fields.get(COUNT).and_then(|count| count.parse::<usize>().ok()).unwrap_or(0);
    let mut sum = format!("= {name}");
    if count >= MOST && !fields.contains_key(&sum) {
        sum = format!("= {folded}");
    }
    let before = fields.get(&sum);
    let is_new = before.is_none();
    let after = add(before.map_or("", |sum| sum), &numbers);
    fields.insert(sum, after);
    if is_new {
        fields.insert(COUNT.to_owned(), (count + 1).to_string());
    }
}

/// Numbers by their places; one that is in one of them only counts as it is.
fn add(sum: &str, more: &str) -> String {
    let read = |text: &str| -> Vec<f64> {
        text.split_ascii_whitespace().map(|word| word.parse().unwrap_or(0.0)).collect()
    };
    let (mut sum, more) = (read(sum), read(more));
    sum.resize(sum.len().max(more.len()), 0.0);
    sum.iter_mut().zip(&more).for_each(|(sum, more)| *sum += more);
    sum.iter().map(f64::to_string).collect::<Vec<_>>().join(" ")
}
