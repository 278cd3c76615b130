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
/// Hours that are read at once.
const STEP: usize = 4;

/// What one hour came to, as it stands in the state: fields by name, see `lua/costs.lua`.
pub(super) type Fields = BTreeMap<String, String>;

/// What became of something told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToldCosts {
    /// It was taken; so often the book was told by now.
    Taken(u64),
    /// The book was over before.
    WasOver,
    /// The state does not know what the teller thinks it does: all of it is to be told.
    Unknown,
}

impl ToldCosts {
    fn of(answer: i64) -> ToldCosts {
        match u64::try_from(answer) {
            Err(_) => ToldCosts::Unknown,
            Ok(0) => ToldCosts::WasOver,
            Ok(times) => ToldCosts::Taken(times),
        }
    }
}

impl Port {
    /// Tells what series of a book came to; `before`: how often it was told, none if this is all of it; `over`: nothing comes
    /// after.
    pub async fn tell_costs(
        &self,
        (hour, id): (u64, &str),
        before: Option<u64>,
        over: bool,
        series: &[(&str, String)],
    ) -> Result<ToldCosts, Away> {
        let before = before.map_or(String::new(), |times| times.to_string());
        match self {
            Port::Redis(lane) => {
                let mut tell = redis::pipe();
                tell.cmd("EVAL").arg(COSTS).arg(1).arg(lane.keys().costs(hour));
                tell.arg(id).arg(&before).arg(if over { "over" } else { "" }).arg(KEPT.as_millis() as u64);
                for (name, numbers) in series {
                    tell.arg(name).arg(numbers);
                }
                lane.plain::<(i64,)>(&tell).await.map(|(answer,)| ToldCosts::of(answer))
            }
            Port::Local(local) => Ok(ToldCosts::of(local.costs.tell((hour, id), &before, over, series))),
        }
    }

    /// Does the state know of a book of this hour?
    pub async fn knows_costs(&self, hour: u64, id: &str) -> Result<bool, Away> {
        match self {
            Port::Redis(lane) => {
                let mut look = redis::pipe();
                look.cmd("HEXISTS").arg(lane.keys().costs(hour)).arg(format!("@{id}"));
                lane.plain::<(bool,)>(&look).await.map(|(known,)| known)
            }
            Port::Local(local) => Ok(local.costs.hour(hour).contains_key(&format!("@{id}"))),
        }
    }

    /// What stands there of these hours, in their order; in small steps, between which the server does other things.
    pub async fn costs(&self, hours: &[u64]) -> Result<Vec<BTreeMap<String, String>>, Away> {
        match self {
            Port::Redis(lane) => {
                let mut all = Vec::with_capacity(hours.len());
                for some in hours.chunks(STEP) {
                    let mut get = redis::pipe();
                    for hour in some {
                        get.cmd("HGETALL").arg(lane.keys().costs(*hour));
                    }
                    all.append(&mut lane.read::<Vec<Fields>>(&get).await?);
                }
                Ok(all)
            }
            Port::Local(local) => Ok(hours.iter().map(|hour| local.costs.hour(*hour)).collect()),
        }
    }
}

/// The same in this process.
#[derive(Debug, Default)]
pub(super) struct Shelf(Mutex<BTreeMap<u64, Fields>>); // short sections

impl Shelf {
    /// What `lua/costs.lua` does.
    fn tell(&self, (hour, id): (u64, &str), before: &str, over: bool, series: &[(&str, String)]) -> i64 {
        let mut hours = self.0.lock();
        let oldest = hour.saturating_sub(KEPT.as_secs() / 3600);
        hours.retain(|hour, _| *hour >= oldest);
        let fields = hours.entry(hour).or_default();
        let known = fields.get(&format!("@{id}")).cloned();
        if known.as_deref() == Some("over") {
            return 0;
        }
        if !before.is_empty() && before != known.as_deref().unwrap_or("0") {
            return -1;
        }
        for (name, numbers) in series {
            if over {
                let sum = fields.entry(format!("= {name}")).or_default();
                *sum = add(sum, numbers);
                fields.remove(&format!("{id} {name}"));
            } else {
                fields.insert(format!("{id} {name}"), numbers.clone());
            }
        }
        let times = known.and_then(|known| known.parse::<i64>().ok()).unwrap_or(0) + 1;
        fields.insert(format!("@{id}"), if over { "over".to_owned() } else { times.to_string() });
        times
    }

    fn hour(&self, hour: u64) -> Fields {
        self.0.lock().get(&hour).cloned().unwrap_or_default()
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
