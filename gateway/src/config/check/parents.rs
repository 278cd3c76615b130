//! Parents of tenants: found, never leading back, and not too many above each other.

use super::super::raw;
use super::super::tree::{At, Reading};
use super::names::Names;

/// A tenant has so many above it at most: each is another limit that every call of it draws on.
pub(super) const MOST_ABOVE: usize = 7;

/// Of each tenant those above it, the nearest first.
pub(super) fn above(list: &[At<raw::Tenant>], names: &Names<'_>, cx: &mut Reading<'_>) -> Vec<Vec<usize>> {
    let mut parents = Vec::new();
    for (index, tenant) in list.iter().enumerate() {
        let parent = tenant.value.parent.get().and_then(|at| Some((names.find(at, cx)?, at)));
        let own = parent.filter(|(found, _)| *found == index);
        if let Some((_, at)) = own {
            cx.problem(&at.span, "a tenant cannot be its own parent");
        }
        parents.push(parent.map(|(found, _)| found).filter(|_| own.is_none()));
    }
    (0..list.len()).map(|index| line(index, &parents, list, cx)).collect()
}

/// Those above one tenant; none where the way leads back to where it was.
fn line(
    index: usize,
    parents: &[Option<usize>],
    list: &[At<raw::Tenant>],
    cx: &mut Reading<'_>,
) -> Vec<usize> {
    let mut above = Vec::new();
    let mut next = parents[index];
    while let Some(up) = next {
        if up == index {
            // Told once, of the one that comes first in the file.
            if above.iter().all(|other| *other > index) {
                let name = |at: &usize| list[*at].value.name.get().map_or("", |name| cx.written(&name.span));
                let way: Vec<&str> = [&index].into_iter().chain(&above).chain([&index]).map(name).collect();
                let message = format!("parents lead back: {}", way.join(" -> "));
                problem(index, list, message, cx);
            }
            return Vec::new();
        }
        if above.contains(&up) {
            return Vec::new(); // below such a circle
        }
        if above.len() == MOST_ABOVE {
            problem(index, list, format!("there are more than {MOST_ABOVE} tenants above this one"), cx);
            break;
        }
        above.push(up);
        next = parents[up];
    }
    above
}

fn problem(index: usize, list: &[At<raw::Tenant>], message: String, cx: &mut Reading<'_>) {
    if let Some(at) = list[index].value.parent.get() {
        cx.problem(&at.span, message);
    }
}
