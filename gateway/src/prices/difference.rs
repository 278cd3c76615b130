//! What one table says otherwise than another.

use std::collections::BTreeMap;

use super::moment;
use super::show::of_price;
use crate::config::{Listed, Prices};

/// By what prices are the same: provider, pattern, from when, at which hours.
type Key = (String, String, u64, String);

/// In lines: what is new, what is gone, what costs something else.
pub(super) fn lines(old: &Prices, new: &Prices) -> Vec<String> {
    let (old, new) = (by_key(old), by_key(new));
    let mut lines = Vec::new();
    for (key, listed) in &new {
        match old.get(key) {
            None => lines.push(format!("+ {}: {}", name(key), price(listed))),
            Some(before) if before.price != listed.price || before.until != listed.until => {
                lines.push(format!("- {}: {}", name(key), price(before)));
                lines.push(format!("+ {}: {}", name(key), price(listed)));
            }
            Some(_) => {}
        }
    }
    for (key, listed) in old.iter().filter(|(key, _)| !new.contains_key(*key)) {
        lines.push(format!("- {}: {}", name(key), price(listed)));
    }
    if lines.is_empty() {
        lines.push("the prices are the same".to_owned());
    }
    lines
}

fn by_key(prices: &Prices) -> BTreeMap<Key, &Listed> {
    let key = |row: crate::config::Row<'_>| {
        let star = if row.model.prefix { "*" } else { "" };
        let hours = format!("{:?}", row.listed.hours);
        (row.provider.to_owned(), format!("{}{star}", row.model.text), row.listed.from, hours)
    };
    prices.rows().map(|row| (key(row), row.listed)).collect()
}

fn name((provider, model, from, _): &Key) -> String {
    let since = if *from > 0 { format!(" from {}", moment(*from)) } else { String::new() };
    format!("{provider} {model}{since}")
}

fn price(listed: &Listed) -> String {
    let until = listed.until.map_or(String::new(), |until| format!("; until {}", moment(until)));
    let hours = if listed.hours.is_empty() { "" } else { "; at its hours" };
    format!("{}{until}{hours}", of_price(&listed.price).join("; "))
}
