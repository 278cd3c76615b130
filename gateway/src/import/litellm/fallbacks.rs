//! Fallbacks of models. Here they must not lead back, so that who would close a circle is left out.

use std::collections::BTreeMap;

use super::super::Notes;
use super::super::node::Node;
use super::Import;
use super::model::Model;

/// Weir's keys, and LiteLLM's.
const KINDS: [(&str, &str); 3] = [
    ("fallbacks", "fallbacks"),
    ("context_fallbacks", "context_window_fallbacks"),
    ("content_fallbacks", "content_policy_fallbacks"),
];

/// From model to models, by kind.
pub(super) struct Fallbacks {
    kinds: [Edges; 3],
}

type Edges = BTreeMap<String, Vec<String>>;

impl Fallbacks {
    /// Those of a model, with Weir's keys.
    pub(super) fn of(&self, model: &str) -> Vec<(&'static str, &Vec<String>)> {
        let kinds = KINDS.iter().zip(&self.kinds);
        kinds.filter_map(|((key, _), edges)| Some((*key, edges.get(model)?))).collect()
    }
}

/// All of them.
pub(super) fn fallbacks(models: &[Model<'_>], import: &mut Import<'_>) -> Fallbacks {
    let kinds = KINDS.map(|(_, key)| {
        let node = import.either(key, None);
        let mut edges = Edges::new();
        let mut default: Vec<&Node> = Vec::new();
        unheeded(node, &mut import.notes);
        for (from, targets) in node.map_or(&[][..], Node::items).iter().flat_map(Node::entries) {
            if from == "*" {
                default.extend(listed(targets));
                continue;
            }
            match find(from, models) {
                Some(model) => {
                    for target in listed(targets) {
                        add(model, target, models, &mut edges, &mut import.notes, true);
                    }
                }
                None => import.notes.left(targets, "no model of Weir's file"),
            }
        }
        if key == "fallbacks" {
            default.extend(import.either("default_fallbacks", None).map_or(&[][..], Node::items));
        }
        defaults(&default, models, &mut edges, &mut import.notes);
        edges
    });
    Fallbacks { kinds }
}

/// What LiteLLM does not come to: it takes the first entry of a model, and of an entry the first model.
fn unheeded(node: Option<&Node>, notes: &mut Notes) {
    let mut said: Vec<&str> = Vec::new();
    for entry in node.map_or(&[][..], Node::items) {
        for (at, (from, targets)) in entry.entries().iter().enumerate() {
            if at > 0 || said.contains(&from.as_str()) {
                let how = "LiteLLM takes the first entry of a model, and the first model of an entry: here this one holds too";
                notes.differs_at(targets, how);
            }
            said.push(from);
        }
    }
}

/// For models that have none of their own.
fn defaults(default: &[&Node], models: &[Model<'_>], edges: &mut Edges, notes: &mut Notes) {
    let without: Vec<&Model<'_>> = models.iter().filter(|model| !edges.contains_key(&model.name)).collect();
    for model in without {
        for target in default {
            add(&model.name, target, models, edges, notes, false);
        }
    }
}

/// One name or several.
fn listed(node: &Node) -> Vec<&Node> {
    if node.is_list() { node.items().iter().collect() } else { vec![node] }
}

/// The name here of a model, or of what an alias of the other file stands for.
fn find<'m>(name: &str, models: &'m [Model<'_>]) -> Option<&'m str> {
    let exact = models.iter().find(|model| model.written == name);
    let found = exact.or_else(|| models.iter().find(|model| model.aliases.iter().any(|alias| alias == name)));
    found.map(|model| model.name.as_str())
}

/// One way from a model to another. Of `default_fallbacks` a model's own name is no mistake.
fn add(from: &str, target: &Node, models: &[Model<'_>], edges: &mut Edges, notes: &mut Notes, own: bool) {
    let to = target.text().and_then(|name| find(name, models));
    match to {
        Some(to) if to == from => {
            if own {
                notes.left(target, "a model is no fallback of its own");
            }
        }
        Some(to) if leads(to, from, edges) => {
            if own {
                notes.left(target, "fallbacks must not lead back here: this one would");
            } else {
                notes.differs(target, "left out where it would lead back");
            }
        }
        Some(to) => {
            let targets = edges.entry(from.to_owned()).or_default();
            if !targets.iter().any(|other| other == to) {
                targets.push(to.to_owned());
            }
        }
        None if target.is_map() => notes.left(target, "a fallback is the name of a model here"),
        None => notes.left(target, "no model of Weir's file"),
    }
}

/// Does a way lead from one model to another?
fn leads(from: &str, to: &str, edges: &Edges) -> bool {
    let (mut todo, mut seen) = (vec![from], Vec::new());
    while let Some(next) = todo.pop() {
        if next == to {
            return true;
        }
        if !seen.contains(&next) {
            seen.push(next);
            todo.extend(edges.get(next).into_iter().flatten().map(String::as_str));
        }
    }
    false
}
