//! Models: the deployments of one `model_name`, who of them comes first, and other names.

use super::super::node::Node;
use super::super::page::{self, Page};
use super::Import;
use super::deployment::Deployment;
use super::fallbacks::Fallbacks;
use super::settings::Strategy;
use super::words::{named, unique};

/// A model of Weir's.
pub(super) struct Model<'y> {
    pub(super) name: String,
    /// Its name there.
    pub(super) written: &'y str,
    pub(super) at: &'y Node,
    /// Indices of its deployments.
    members: Vec<usize>,
    pub(super) aliases: Vec<String>,
    /// `model_group_retry_policy`.
    attempts: Option<u64>,
    /// Prices are missing.
    lacks_prices: bool,
}

/// All models, and names for all deployments.
pub(super) fn models<'y>(import: &mut Import<'y>) -> Vec<Model<'y>> {
    let mut models: Vec<Model<'y>> = Vec::new();
    for (index, deployment) in import.deployments.iter().enumerate() {
        match models.iter_mut().find(|model| model.written == deployment.group) {
            Some(model) => model.members.push(index),
            None => models.push(Model {
                name: String::new(),
                written: deployment.group,
                at: deployment.group_at,
                members: vec![index],
                aliases: Vec::new(),
                attempts: None,
                lacks_prices: false,
            }),
        }
    }
    for index in 0..models.len() {
        let name = name_of(models[index].written);
        if name != models[index].written {
            import.notes.differs(models[index].at, "a name consists of letters, digits and `._:/@+-` here, and perhaps a `*` at its end: it is another one");
        }
        models[index].name = number(&name, models[..index].iter().map(|model| model.name.as_str()));
    }
    name_deployments(&models, import);
    aliases(&mut models, import);
    retries(&mut models, import);
    prices(&mut models, import);
    models
}

/// With a `*` at most at the end.
fn name_of(written: &str) -> String {
    match written.strip_suffix('*') {
        Some("") => "*".to_owned(),
        Some(begin) if begin.chars().all(|c| named(&c.to_string(), "") == c.to_string()) => {
            written.to_owned()
        }
        Some(begin) => format!("{}*", named(begin, "model-")),
        None => named(written, "model"),
    }
}

/// `name`, or with a number if that is taken: behind it, but before its `*`.
fn number<'n>(name: &str, taken: impl Iterator<Item = &'n str> + Clone) -> String {
    let Some(begin) = name.strip_suffix('*').filter(|_| taken.clone().any(|other| other == name)) else {
        return unique(name, taken);
    };
    let begins = taken.filter_map(|other| other.strip_suffix('*'));
    format!("{}*", unique(if begin.is_empty() { "model" } else { begin }, begins))
}

/// By their ids, else by the model, and the account where a model has several.
fn name_deployments(models: &[Model<'_>], import: &mut Import<'_>) {
    let mut names: Vec<String> = vec![String::new(); import.deployments.len()];
    for model in models {
        let plain = named(model.name.trim_end_matches('*').trim_end_matches(['/', '-', '.', ':']), "any");
        for &index in &model.members {
            let deployment = &import.deployments[index];
            let by_account = || format!("{plain}-{}", import.accounts[deployment.account].name);
            let wanted = match &deployment.id {
                Some(id) => id.clone(),
                None if model.members.len() == 1 => plain.clone(),
                None => by_account(),
            };
            names[index] = unique(&wanted, names.iter().map(String::as_str));
        }
    }
    for (deployment, name) in import.deployments.iter_mut().zip(names) {
        deployment.name = name;
    }
}

/// `model_group_alias`.
fn aliases(models: &mut [Model<'_>], import: &mut Import<'_>) {
    let Some(node) = import.router("model_group_alias") else { return };
    for (alias, node) in node.entries() {
        let target = if node.is_map() { node.get("model") } else { Some(node) };
        let target = target.and_then(Node::text);
        if import.is_on(node.get("hidden")) {
            import.notes.differs(node, "it is listed among the models here");
        }
        let is_taken = models.iter().any(|model| model.name == *alias || model.aliases.contains(alias));
        let is_name = named(alias, "") == *alias && !alias.is_empty();
        let found = models.iter_mut().find(|model| Some(model.written) == target);
        match found {
            Some(model) if is_name && !is_taken => model.aliases.push(alias.clone()),
            Some(_) if is_taken => import.notes.left(node, "a model has this name already"),
            Some(_) => import.notes.left(node, "a name consists of letters, digits and `._:/@+-` here"),
            None => import.notes.left(node, "what it stands for is no model of Weir's file"),
        }
    }
}

/// `model_group_retry_policy`.
fn retries(models: &mut [Model<'_>], import: &mut Import<'_>) {
    let Some(node) = import.router("model_group_retry_policy") else { return };
    for (group, policy) in node.entries() {
        match models.iter_mut().find(|model| model.written == group) {
            Some(model) => model.attempts = import.attempts_by_kind(policy),
            None => import.notes.left(policy, "no model of Weir's file"),
        }
    }
}

/// What compares prices needs all of them.
fn prices(models: &mut [Model<'_>], import: &mut Import<'_>) {
    if import.strategy != Strategy::Cost {
        return;
    }
    for model in models {
        model.lacks_prices = model.members.iter().any(|index| !import.deployments[*index].has_price);
        if model.lacks_prices && model.members.len() > 1 {
            let what = "here `cost` needs a `price` at each deployment of the model, or one in the table that is built in (`weir prices \
                        show`; `weir prices update` reads LiteLLM's). Until there are all it goes by `capacity`";
            import.notes.todo(model.at, what);
        }
    }
}

impl Model<'_> {
    pub(super) fn write(&self, fallbacks: &Fallbacks, import: &mut Import<'_>, page: &mut Page) {
        page.section("[[models]]");
        page.set("name", page::text(&self.name));
        if !self.aliases.is_empty() {
            page.set("aliases", page::list(self.aliases.iter().map(|alias| page::text(alias))));
        }
        if self.lacks_prices {
            let why = if self.members.len() > 1 {
                "\"cost\" when every deployment has its `price`"
            } else {
                "nothing to compare"
            };
            page.set_because("strategy", page::text("capacity"), why);
        }
        page.set("deployments", page::list(self.targets(import)));
        for (key, models) in fallbacks.of(&self.name) {
            page.set(key, page::list(models.iter().map(|model| page::text(model))));
        }
        if let Some(attempts) = self.attempts {
            page.set("retry", page::table([("attempts", page::whole(attempts))]));
        }
    }

    /// Each deployment with its weight and priority.
    fn targets(&self, import: &mut Import<'_>) -> Vec<String> {
        let members: Vec<&Deployment<'_>> =
            self.members.iter().map(|index| &import.deployments[*index]).collect();
        let orders: Vec<Option<f64>> = members.iter().map(|member| member.order).collect();
        let weighted = import.strategy == Strategy::Weighted;
        let weights = if weighted { weights(&members) } else { vec![None; members.len()] };
        // Without an order it comes after all that have one; with a weight of 0 after those that weigh something.
        let key = |at: usize| (orders[at].unwrap_or(f64::INFINITY), weights[at] == Some(0.0));
        let mut ranks: Vec<(f64, bool)> = (0..members.len()).map(key).collect();
        ranks.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        ranks.dedup();
        let mut targets = Vec::new();
        for (at, member) in members.iter().enumerate() {
            let priority = ranks.iter().position(|rank| *rank == key(at)).unwrap_or(0);
            let mut entries = vec![("name", page::text(&member.name))];
            entries
                .extend(weights[at].filter(|weight| *weight > 0.0).map(|weight| ("weight", trimmed(weight))));
            if priority > 0 {
                entries.push(("priority", page::whole(priority as u64)));
            }
            targets.push(if entries.len() == 1 { page::text(&member.name) } else { page::table(entries) });
        }
        if !weighted {
            let given: Vec<&Node> = members.iter().filter_map(|member| member.params.get("weight")).collect();
            for node in given {
                import.notes.left(node, "LiteLLM heeds it with `simple-shuffle` only");
            }
        }
        targets
    }
}

fn trimmed(number: f64) -> String {
    if number.fract() == 0.0 { page::whole(number as u64) } else { page::number(number) }
}

/// What each weighs by `simple-shuffle`, which looks at the first of those that are chosen from: by `weight` if that has one, else by
/// `rpm`, else by `tpm`; `None`: by none of them.
fn weights(members: &[&Deployment<'_>]) -> Vec<Option<f64>> {
    let of = |member: &Deployment<'_>, by: usize| [member.weight, member.rpm, member.tpm][by];
    let weight = |member: &&Deployment<'_>| {
        let tier = members.iter().filter(|other| other.order == member.order);
        let by = (0..3).find(|by| {
            let first = tier.clone().next().and_then(|first| of(first, *by));
            first.is_some() && tier.clone().any(|other| of(other, *by).is_some_and(|weight| weight > 0.0))
        })?;
        Some(of(member, by).unwrap_or(0.0).max(0.0))
    };
    members.iter().map(weight).collect()
}
