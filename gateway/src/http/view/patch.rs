//! What has changed between two documents, as a JSON merge patch (RFC 7396): with hundreds of deployments most of a document is as it
//! was. Documents hold no `null`, for in a patch that means that something is gone.

use serde_json::{Map, Value};

/// What makes `after` of `before`; none if they are the same.
pub(super) fn between(before: &Value, after: &Value) -> Option<Value> {
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        return (before != after).then(|| after.clone());
    };
    let mut patch = Map::new();
    for (name, value) in new {
        let changed = match old.get(name) {
            Some(old) => between(old, value),
            None => Some(value.clone()),
        };
        if let Some(changed) = changed {
            patch.insert(name.clone(), changed);
        }
    }
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// Leaves out what is `null`.
pub(super) fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// As the page does it.
    fn apply(before: &mut Value, patch: &Value) {
        let Value::Object(patch) = patch else {
            *before = patch.clone();
            return;
        };
        if !before.is_object() {
            *before = json!({});
        }
        let Value::Object(members) = before else { unreachable!() };
        for (name, value) in patch {
            if value.is_null() {
                members.remove(name);
            } else {
                apply(members.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
    }

    fn documents() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            (0..4u64).prop_map(Value::from),
            "[a-c]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                proptest::collection::btree_map("[a-d]", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// Broken on purpose to see it fail: what is gone left out; an object that takes the place of a number told as its members.
        #[test]
        fn what_a_patch_makes_of_a_document_is_the_other_one(before in documents(), after in documents()) {
            let mut made = before.clone();
            match between(&before, &after) {
                Some(patch) => apply(&mut made, &patch),
                None => prop_assert_eq!(&before, &after),
            }
            prop_assert_eq!(made, after);
        }
    }

    #[test]
    fn what_is_the_same_is_not_told() {
        let before = json!({"a": {"b": 1, "c": [1, 2]}, "d": 1});
        let after = json!({"a": {"b": 2, "c": [1, 2]}, "e": {}});
        assert_eq!(between(&before, &after), Some(json!({"a": {"b": 2}, "d": null, "e": {}})));
        assert_eq!(between(&after, &after), None);
        let mut holed = json!({"a": null, "b": [{"c": null, "d": 1}]});
        without_nulls(&mut holed);
        assert_eq!(holed, json!({"b": [{"d": 1}]}));
    }
}
