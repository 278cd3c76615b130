//! A LiteLLM proxy's `config.yaml`. Its keys as of 2026: `model_list`, `litellm_settings`, `router_settings`, `general_settings`,
//! `credential_list` and `environment_variables`.

mod access;
mod account;
mod address;
mod budget;
mod deployment;
mod fallbacks;
mod model;
mod price;
mod provider;
mod reasons;
mod settings;
mod state;
mod telling;
mod tenant;
mod times;
mod words;

use std::sync::Arc;

use super::node::Node;
use super::page::{self, Page};
use super::{Imported, Note, Notes, Unreadable, yaml};
use crate::config::Prices;
use crate::config::preset::Presets;
use account::{Account, Params};
use deployment::Deployment;
use provider::provider_of;
use settings::{Line, Strategy};
use telling::Telling;
use times::Times;
use words::{Environment, Worded};

/// Translates the text of a file; `name` is what it is called in the result.
pub fn litellm(name: &str, text: &str) -> Result<Imported, Unreadable> {
    let root = yaml::read(text)?.filter(Node::is_map).ok_or_else(|| no("no table of sections"))?;
    of_tree(name, &root, text)
}

fn no(message: &str) -> Unreadable {
    Unreadable { line: None, message: message.to_owned() }
}

/// The same of a file that has been read; of its text only the names of environment variables count.
pub(super) fn of_tree(name: &str, root: &Node, text: &str) -> Result<Imported, Unreadable> {
    let presets = Presets::built_in().map_err(|_| no("the presets of this program cannot be read"))?;
    let prices = Prices::built_in().map_err(|_| no("the prices of this program cannot be read"))?;
    let mut import = Import::new(root, presets, prices, Environment::of(text));
    let page = import.translate(name);
    let mut notes = import.notes;
    let mut unseen = Vec::new();
    root.unseen(&mut unseen);
    unseen.into_iter().for_each(|node| notes.left(node, reasons::reason(&node.path)));
    Ok(finish(page, notes.sorted()))
}

/// Adds the notes.
fn finish(mut page: Page, notes: Vec<Note>) -> Imported {
    page.gap();
    page.say("Of the other file, by line: what was not translated, what means something else here, and what is to be done.");
    if notes.is_empty() {
        page.say("Nothing.");
    }
    notes.iter().for_each(|note| page.say(&note.to_string()));
    Imported { toml: page.into_text(), notes }
}

/// What is known while a file is translated.
struct Import<'y> {
    root: &'y Node,
    notes: Notes,
    environment: Environment,
    presets: Presets,
    /// The table that is built in.
    prices: Arc<Prices>,
    accounts: Vec<Account>,
    deployments: Vec<Deployment<'y>>,
    strategy: Strategy,
    /// Those of `[defaults]`.
    times: Times,
    /// LiteLLM kept within `rpm` and `tpm`, and did not only weigh by them.
    keeps_limits: bool,
    has_loose_limits: bool,
    /// A limit of tokens, and nothing said of how many a call writes at most.
    holds_unsaid: bool,
    /// `enable_pre_call_checks`.
    checks_before: bool,
    routes_by_tags: bool,
    by_entra: bool,
    cools_down: bool,
    checks_health: bool,
}

impl<'y> Import<'y> {
    fn new(root: &'y Node, presets: Presets, prices: Arc<Prices>, environment: Environment) -> Import<'y> {
        Import {
            root,
            notes: Notes::default(),
            environment,
            presets,
            prices,
            accounts: Vec::new(),
            deployments: Vec::new(),
            strategy: Strategy::Weighted,
            times: times::BUILT_IN,
            keeps_limits: false,
            has_loose_limits: false,
            holds_unsaid: false,
            checks_before: false,
            routes_by_tags: false,
            by_entra: false,
            cools_down: true,
            checks_health: false,
        }
    }

    fn router(&self, key: &str) -> Option<&'y Node> {
        self.root.get("router_settings")?.get(key)
    }

    fn litellm(&self, key: &str) -> Option<&'y Node> {
        self.root.get("litellm_settings")?.get(key)
    }

    fn general(&self, key: &str) -> Option<&'y Node> {
        self.root.get("general_settings")?.get(key)
    }

    /// Does it say yes?
    fn is_on(&mut self, node: Option<&Node>) -> bool {
        node.and_then(|node| self.notes.flag(node)) == Some(true)
    }

    /// Of the router, else of LiteLLM as a whole, where the key may have another name.
    fn either(&mut self, key: &str, otherwise: Option<&str>) -> Option<&'y Node> {
        let (router, whole) = (self.router(key), self.litellm(otherwise.unwrap_or(key)));
        if let (Some(_), Some(whole)) = (router, whole) {
            self.notes.left(whole, "`router_settings` says it too, and goes before");
        }
        router.or(whole)
    }

    /// The values of the credential that a deployment names.
    fn credential(&mut self, params: &Node) -> Option<&'y Node> {
        let name = params.get("litellm_credential_name")?;
        let list = self.root.get("credential_list").map_or(&[][..], Node::items);
        let is_it = |node: &&Node| node.get("credential_name").and_then(Node::text) == name.text();
        let values = list.iter().find(is_it).and_then(|credential| credential.get("credential_values"));
        if values.is_none() {
            self.notes.left(name, "no credential of this name is in `credential_list`");
        }
        values
    }

    /// Attempts of a number of retries.
    fn attempts(&mut self, node: &Node) -> Option<u64> {
        match node.number().filter(|retries| (0.0..100.0).contains(retries)) {
            Some(retries) => Some(retries as u64 + 1),
            None => {
                self.notes.left(node, "no number of retries below 100, or one from the environment");
                None
            }
        }
    }

    /// The most attempts of a retry policy, of the kinds of failures that are tried elsewhere here.
    fn attempts_by_kind(&mut self, policy: &Node) -> Option<u64> {
        const COUNTED: [&str; 5] =
            ["TimeoutError", "RateLimitError", "InternalServerError", "ServiceUnavailableError", "Default"];
        let mut most = None;
        for (key, node) in policy.entries() {
            let kind = key.strip_suffix("Retries").unwrap_or(key);
            match kind {
                "BadRequestError" | "ContentPolicyViolationError" | "NotFoundError" => {
                    self.notes.left(node, "what a provider refuses of the request itself is tried nowhere else, but for fallbacks by kind");
                }
                "AuthenticationError" => {
                    self.notes.left(node, "a refused key leads to the next account at once")
                }
                kind if COUNTED.contains(&kind) => {
                    most = most.max(self.attempts(node));
                    self.notes.differs(
                        node,
                        "one number of attempts for all kinds of failures here: the largest of these",
                    );
                }
                _ => self.notes.left(node, "no kind of failures that is known here"),
            }
        }
        most
    }

    /// `cooldown_time` of a deployment, as keys of it.
    fn left_alone(&mut self, node: &Node) -> Vec<(&'static str, String)> {
        if node.number() == Some(0.0) {
            self.notes.differs(
                node,
                "so its failures open no circuit; what a provider refuses with 429 rests nevertheless",
            );
            return vec![("circuit", page::table([("enabled", "false".to_owned())]))];
        }
        let Some(time) = times::seconds(node, &mut self.notes) else { return Vec::new() };
        let mut keys = vec![("cooldown", settings::cooldown(time))];
        if self.cools_down {
            keys.push(("circuit", page::table([("open", page::duration(settings::open(time)))])));
        }
        keys
    }

    /// Variables that deployments take their keys from though the file does not name them: what stands in clear elsewhere
    /// must not get their names.
    fn reserve(&mut self) {
        for element in self.root.get("model_list").map_or(&[][..], Node::items) {
            let Some(own) = element.get("litellm_params") else { continue };
            let params = Params { own, credential: self.credential(own) };
            let key = params.get("api_key").and_then(Worded::of);
            let model = own.get("model").and_then(Node::text).unwrap_or_default();
            let custom = own.get("custom_llm_provider").and_then(Node::text);
            if key.is_none_or(|key| key.clear() == Some(""))
                && let Some((known, _)) = provider_of(model, custom)
            {
                self.environment.reserve(known.key);
            }
        }
    }

    fn translate(&mut self, name: &str) -> Page {
        settings::basics(self);
        self.reserve();
        for element in self.root.get("model_list").map_or(&[][..], Node::items) {
            match deployment::deployment(element, self) {
                Ok(deployment) => self.deployments.push(deployment),
                Err(reason) => self.notes.left(element, format!("this deployment: {reason}")),
            }
        }
        budget::of_deployments(self);
        let models = model::models(self);
        let fallbacks = fallbacks::fallbacks(&models, self);
        let defaults = settings::defaults(self);
        let mut body = Page::default();
        let telling = Telling::read(self);
        self.server(&telling, &mut body);
        self.state(&mut body);
        telling.sections(self, &mut body);
        body.section("[defaults]");
        defaults.iter().for_each(|Line { key, value, comment }| body.set_because(key, value, comment));
        for (index, account) in self.accounts.iter().enumerate() {
            let own = self.deployments.iter().filter(|deployment| deployment.account == index);
            let budgets: Vec<_> = own.filter_map(|own| Some((own.model.as_str(), own.budget?))).collect();
            account.write(&budgets, &mut body);
        }
        self.deployments.iter().for_each(|deployment| self.deployment(deployment, &mut body));
        for model in &models {
            model.write(&fallbacks, self, &mut body);
        }
        self.tenant(&mut body);
        self.about_limits();
        self.head(name, body)
    }

    /// One, and whether it can be checked as the others are.
    fn deployment(&self, deployment: &Deployment<'_>, page: &mut Page) {
        let account = &self.accounts[deployment.account];
        deployment.write(&account.name, page);
        let why = match account.lists_models(&self.presets) {
            false => Some("its provider has no list of models"),
            true if deployment.stays => Some("it has no circuit"),
            true => None,
        };
        if let Some(why) = why.filter(|_| self.checks_health) {
            page.set_because("health_check", page::table([("kind", page::text("off"))]), why);
        }
    }

    /// What stands above all: where it is from, and which variables it names.
    fn head(&self, name: &str, body: Page) -> Page {
        let mut page = Page::default();
        page.say(&format!("Translated from {name}, a configuration of LiteLLM's proxy, by `weir import litellm`. What was not translated stands at the end."));
        if !self.environment.named().is_empty() {
            page.say("These environment variables must be set:");
        }
        for (name, about) in self.environment.named() {
            page.say(&if about.is_empty() { format!("  {name}") } else { format!("  {name}   {about}") });
        }
        page.gap();
        page.set("version", "1");
        page.append(body);
        page
    }

    fn server(&mut self, telling: &Telling, page: &mut Page) {
        page.section("[server]");
        page.set_because("listen", page::text("0.0.0.0:4000"), "LiteLLM's own port");
        telling.server(page);
        if let Some(node) = self.general("max_request_size_mb") {
            match node.number().filter(|size| (0.001..1e6).contains(size)) {
                Some(size) => {
                    let bytes = (size * 1_048_576.0) as u64;
                    page.set_because("max_body", page::whole(bytes), "bytes; max_request_size_mb");
                    if bytes > 256 << 20 {
                        page.set_because(
                            "max_buffered",
                            page::whole(bytes),
                            "all bodies of a replica together, at least one",
                        );
                    }
                }
                None => self.notes.left(node, "no size in MB"),
            }
        }
        if let Some(node) = self.general("global_max_parallel_requests") {
            match node.number().filter(|calls| (1.0..1e12).contains(calls)) {
                Some(calls) => {
                    page.section("[limits]");
                    page.set_because(
                        "concurrency",
                        page::whole(calls as u64),
                        "global_max_parallel_requests",
                    );
                }
                None => self.notes.left(node, "no number of calls"),
            }
        }
    }

    fn state(&mut self, page: &mut Page) {
        let keys = state::state(self);
        if keys.is_empty() {
            page.gap();
            page.say("Without a Redis this is for one replica. Several share their limits by it:");
            page.say("[state]");
            page.say("url = \"redis://127.0.0.1:6379/0\"");
            return;
        }
        page.section("[state]");
        keys.iter().for_each(|(key, value)| page.set(key, value));
    }

    fn about_limits(&mut self) {
        if self.holds_unsaid {
            self.notes.differs_for_all(
                "a limit of tokens is charged on arrival here, with 4096 tokens of output for a call that sets no `max_tokens` (LiteLLM \
                 counts afterwards): give deployments their `max_output`, or have clients set `max_tokens`, lest a small limit bears few calls",
            );
        }
        if self.has_loose_limits {
            self.notes.differs_for_all(
                "`rpm` and `tpm` of deployments are limits here, which no call goes beyond; by this strategy, without \
                 `enable_pre_call_checks`, LiteLLM only weighs by them: see that they are what the providers allow",
            );
        }
    }
}
