//! Fallbacks of models: found, given once, and never leading back.

use super::super::tree::{At, Field, List, Reading, Span};
use super::super::{ModelId, raw};
use super::names::Names;

/// The fallbacks of one kind.
type Chain = fn(&raw::Model) -> &Field<List<String>>;
/// One way from a model to its fallback, with its place.
type Edge = (usize, Span);

/// The fallbacks of every model, in order: for want of room and for failures, for calls that are too long, for what they say.
pub(super) fn fallbacks(
    list: &[At<raw::Model>],
    names: &Names<'_>,
    cx: &mut Reading<'_>,
) -> Vec<[Vec<ModelId>; 3]> {
    let kinds: [Chain; 3] =
        [|model| &model.fallbacks, |model| &model.context_fallbacks, |model| &model.content_fallbacks];
    let [any, context, content] = kinds.map(|of| of_one_kind(list, of, names, cx));
    let of_model = |((any, context), content)| [any, context, content];
    any.into_iter().zip(context).zip(content).map(of_model).collect()
}

fn of_one_kind(
    list: &[At<raw::Model>],
    of: Chain,
    names: &Names<'_>,
    cx: &mut Reading<'_>,
) -> Vec<Vec<ModelId>> {
    let mut edges: Vec<Vec<Edge>> = Vec::new();
    for (index, model) in list.iter().enumerate() {
        let mut own: Vec<Edge> = Vec::new();
        for at in of(&model.value).items() {
            let Some(found) = names.find(at, cx) else { continue };
            if found == index {
                cx.problem(&at.span, "a model cannot be its own fallback");
            } else if own.iter().any(|(other, _)| *other == found) {
                cx.problem(&at.span, "this model has this fallback already");
            } else {
                own.push((found, at.span.clone()));
            }
        }
        edges.push(own);
    }
    for cycle in cycles(&edges) {
        let name = |index: &usize| list[*index].value.name.get().map_or("", |name| cx.written(&name.span));
        let path: Vec<&str> = cycle.models.iter().map(name).collect();
        cx.problem(&cycle.closed_by, format!("fallbacks lead back: {}", path.join(" -> ")));
    }
    edges.into_iter().map(|own| own.into_iter().map(|(found, _)| ModelId(found)).collect()).collect()
}

/// A way through fallbacks that ends where it begins.
struct Cycle {
    /// First and last are the same.
    models: Vec<usize>,
    /// The entry that leads back.
    closed_by: Span,
}

/// Every entry that closes a cycle, by depth-first search in file order.
fn cycles(edges: &[Vec<Edge>]) -> Vec<Cycle> {
    let mut search = Search { edges, done: vec![false; edges.len()], path: Vec::new(), found: Vec::new() };
    for start in 0..edges.len() {
        search.visit(start);
    }
    search.found
}

struct Search<'e> {
    edges: &'e [Vec<Edge>],
    /// Models from which everything has been searched.
    done: Vec<bool>,
    path: Vec<usize>,
    found: Vec<Cycle>,
}

impl Search<'_> {
    /// The depth is at most the number of models.
    fn visit(&mut self, model: usize) {
        if self.done[model] {
            return;
        }
        self.path.push(model);
        for (next, span) in &self.edges[model] {
            match self.path.iter().position(|on_path| on_path == next) {
                Some(start) => {
                    let models = self.path[start..].iter().copied().chain([*next]).collect();
                    self.found.push(Cycle { models, closed_by: span.clone() });
                }
                None => self.visit(*next),
            }
        }
        self.path.pop();
        self.done[model] = true;
    }
}
