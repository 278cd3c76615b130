//! Accounts: LiteLLM's deployments each bring their own address and key; those that show the same are one account here.

use super::super::Notes;
use super::super::node::Node;
use super::super::page::{self, Page};
use super::access::{self, Shown};
use super::address::{self, Place};
use super::budget::Budget;
use super::provider::Known;
use super::words::{Environment, Worded, named, unique};
use crate::config::preset::Call;
use crate::config::preset::Presets;

/// `litellm_params`, and behind them the credential that they name.
#[derive(Clone, Copy)]
pub(super) struct Params<'y> {
    pub(super) own: &'y Node,
    pub(super) credential: Option<&'y Node>,
}

impl<'y> Params<'y> {
    pub(super) fn get(&self, key: &str) -> Option<&'y Node> {
        self.own.get(key).or_else(|| self.credential.and_then(|credential| credential.get(key)))
    }

    /// A string; one that is none is not translated.
    pub(super) fn worded(&self, key: &str, notes: &mut Notes) -> Option<(Worded, &'y Node)> {
        let node = self.get(key)?;
        let worded = Worded::of(node).filter(|worded| worded.clear() != Some(""));
        if worded.is_none() {
            notes.left(node, "no string, or no name of an environment variable");
        }
        worded.map(|worded| (worded, node))
    }
}

/// One account of Weir's.
pub(super) struct Account {
    pub(super) name: String,
    pub(super) preset: &'static str,
    place: Place,
    shown: Shown,
    /// What its calls show, as Weir's file has it.
    written: Vec<(&'static str, String)>,
}

impl Account {
    /// Does its provider have a list of models, which health checks may ask for without cost?
    pub(super) fn lists_models(&self, presets: &Presets) -> bool {
        presets.get(self.preset).is_some_and(|preset| preset.paths.contains_key(&Call::Models))
    }

    /// `budgets` are those of some upstream models.
    pub(super) fn write(&self, budgets: &[(&str, Budget)], page: &mut Page) {
        page.section("[[accounts]]");
        page.set("name", page::text(&self.name));
        page.set("provider", page::text(self.preset));
        for (key, value) in self.place.written().into_iter().chain(self.written.clone()) {
            page.set(key, value);
        }
        if budgets.is_empty() {
            return;
        }
        let mut names: Vec<String> = Vec::new();
        let mut pools = Vec::new();
        for (model, budget) in budgets {
            let name = unique(&named(model, "model"), names.iter().map(String::as_str));
            let models = page::list([page::text(model)]);
            pools.push(page::table([
                ("name", page::text(&name)),
                ("models", models),
                ("budgets", budget.written()),
            ]));
            names.push(name);
        }
        page.set("pools", page::list(pools));
    }
}

/// What an account is found or made by.
pub(super) struct Wanted<'y> {
    pub(super) params: Params<'y>,
    pub(super) known: &'static Known,
    /// A region that the model's name holds.
    pub(super) region: Option<String>,
    /// `litellm_settings.enable_azure_ad_token_refresh`.
    pub(super) by_entra: bool,
}

/// The account of a deployment, by its index; none if its address cannot be translated, with the reason.
pub(super) fn account(
    wanted: &Wanted<'_>,
    accounts: &mut Vec<Account>,
    environment: &mut Environment,
    notes: &mut Notes,
) -> Result<usize, &'static str> {
    let (preset, place) = address::place(wanted, environment, notes)?;
    let shown = access::shown(wanted, preset, notes);
    if let Some(index) =
        accounts.iter().position(|own| own.preset == preset && own.place == place && own.shown == shown)
    {
        return Ok(index);
    }
    let base = match place.label() {
        Some(label) if preset == "openai-compatible" => named(&label, preset),
        Some(label) => named(&format!("{preset}-{label}"), preset),
        None => preset.to_owned(),
    };
    let name = unique(&base, accounts.iter().map(|account| account.name.as_str()));
    let written = shown.write(&name, environment, notes);
    accounts.push(Account { name, preset, place, shown, written });
    Ok(accounts.len() - 1)
}
