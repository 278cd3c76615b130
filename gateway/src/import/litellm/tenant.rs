//! Who calls: the holder of the master key, which is all that LiteLLM's file says of that.

use super::super::node::Node;
use super::super::page::{self, Page};
use super::Import;
use super::budget::Budget;
use super::words::Worded;
use crate::auth;

impl Import<'_> {
    /// Who calls with the master key. Keys that LiteLLM gave out stand in its database.
    pub(super) fn tenant(&mut self, page: &mut Page) {
        if let Some(node) = self.general("database_url") {
            self.notes.left(node, "Weir has no database. Keys that LiteLLM gave out stand there: each needs a [[tenants]] with its hash (`weir keys hash`), or is made anew at run time (`/admin/v1/keys`)");
        }
        let budget = self.budget();
        let is_said = |node: &&Node| Worded::of(node).is_none_or(|key| key.clear() != Some(""));
        let Some(node) = self.general("master_key").filter(is_said) else {
            self.notes.todo_for_all(
                "the file has no `master_key`, so Weir's has no tenants, and calls are refused: add [[tenants]] with the hashes of their \
                 keys (`weir keys hash`), or `anonymous = true` in [server] to let in everybody who reaches it",
            );
            return;
        };
        let key = match Worded::of(node) {
            Some(Worded::Clear(key)) => page::text(&auth::hash(&key)),
            Some(Worded::Env(name)) => {
                let about = format!("SHA-256 of {name}: printf %s \"${name}\" | sha256sum | cut -c -64");
                let reference = self.environment.name(&format!("{name}_SHA256"), &about);
                page::quoted(&format!("sha256:{reference}"))
            }
            None => return self.notes.left(node, "no string, or no name of an environment variable"),
        };
        self.notes.differs(node, "clients go on calling with it, as one tenant; it opens no admin pages (`admin_token` in [server] does)");
        page.section("[[tenants]]");
        page.set("name", page::text("litellm"));
        page.set_because("keys", page::list([key]), "the hash of master_key");
        if let Some(budget) = budget {
            page.set_because("budgets", budget.written(), "litellm_settings.max_budget");
        }
    }

    /// That of the whole proxy, if a tenant can have it: by the master key all calls are one tenant's.
    fn budget(&mut self) -> Option<Budget> {
        let (usd, duration) = (self.litellm("max_budget"), self.litellm("budget_duration"));
        let key = self.general("master_key").and_then(Worded::of);
        if usd.is_some() && key.is_none_or(|key| key.clear() == Some("")) {
            Budget::leave(
                usd,
                duration,
                "a budget is a tenant's here, and there is none without `master_key`",
                &mut self.notes,
            );
            return None;
        }
        if usd.is_some() && !self.deployments.iter().all(|deployment| deployment.has_price) {
            let reason = "a budget needs the price of every deployment: `input_cost_per_token` and `output_cost_per_token`, or one in \
                          Weir's table (`weir prices show`)";
            Budget::leave(usd, duration, reason, &mut self.notes);
            return None;
        }
        Budget::read(usd, duration, &mut self.notes)
    }
}
