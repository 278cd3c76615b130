//! Prices of deployments: US$ per token there, per million tokens here.

use super::super::node::Node;
use super::super::page;
use super::Import;
use super::deployment::Deployment;

/// LiteLLM's keys and ours.
const PER_TOKEN: [(&str, &str); 5] = [
    ("input_cost_per_token", "input"),
    ("output_cost_per_token", "output"),
    ("cache_read_input_token_cost", "cache_read"),
    ("cache_creation_input_token_cost", "cache_write"),
    ("cache_creation_input_token_cost_above_1hr", "cache_write_1h"),
];
const PER_REQUEST: &str = "input_cost_per_request";
/// Endings of keys that hold for calls with more than so many tokens of input.
const LONG: [(&str, u64); 3] =
    [("_above_128k_tokens", 128_000), ("_above_200k_tokens", 200_000), ("_above_272k_tokens", 272_000)];

/// Its own; without one the table's that is built in, if that has one.
pub(super) fn price(built: &mut Deployment<'_>, import: &mut Import<'_>) {
    let provider = import.accounts[built.account].preset;
    built.has_price = import.prices.of(provider, &built.model).is_known();
    let own = own(built, import);
    if let Some(own) = own {
        built.has_price = true;
        built.written.push(("price", own));
    }
}

/// Where LiteLLM looks for it.
fn find<'y>(built: &Deployment<'y>, key: &str) -> Option<&'y Node> {
    built.params.get(key).or_else(|| built.info.and_then(|info| info.get(key)))
}

fn own(built: &Deployment<'_>, import: &mut Import<'_>) -> Option<String> {
    let mut entries = rates(built, "", import);
    if !has_both(&entries) {
        for key in PER_TOKEN.iter().map(|(key, _)| *key).chain([PER_REQUEST]) {
            if let Some(node) = find(built, key).filter(|node| node.number().is_some()) {
                import.notes.left(node, "a price has input and output here");
            }
        }
        return None;
    }
    if let Some(node) = find(built, PER_REQUEST) {
        match node.number().filter(|cost| (0.0..=1e6).contains(cost)) {
            Some(cost) => entries.push(("request", page::number(cost))),
            None => import.notes.left(node, "no price"),
        }
    }
    for (ending, above) in LONG {
        let long = rates(built, ending, import);
        if !has_both(&long) || entries.iter().any(|(key, _)| *key == "long") {
            for node in PER_TOKEN.iter().filter_map(|(key, _)| find(built, &format!("{key}{ending}"))) {
                import.notes.left(node, "above one number of tokens input and output cost something else here, and both are said (`long`)");
            }
            continue;
        }
        let above = [("above", page::whole(above))];
        entries.push(("long", page::table(above.into_iter().chain(long))));
    }
    Some(page::table(entries))
}

/// Prices per token by keys with this ending.
fn rates(built: &Deployment<'_>, ending: &str, import: &mut Import<'_>) -> Vec<(&'static str, String)> {
    let mut rates = Vec::new();
    for (key, ours) in PER_TOKEN {
        let Some(node) = find(built, &format!("{key}{ending}")) else { continue };
        match node.number().filter(|cost| (0.0..=1.0).contains(cost)) {
            Some(cost) => rates.push((ours, page::number(cost * 1e6))),
            None => import.notes.left(node, "no price, from 0 to 1 US dollar per token"),
        }
    }
    rates
}

fn has_both(rates: &[(&str, String)]) -> bool {
    ["input", "output"].iter().all(|key| rates.iter().any(|(own, _)| own == key))
}
