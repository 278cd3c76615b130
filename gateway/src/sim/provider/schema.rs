//! The smallest instance of a JSON schema, for tool arguments and structured answers.
//!
//! Schemas may refer to themselves, so that a first answer by depth-first search might never end. The search is
//! by depth instead: depth 0 allows scalars only, and the first depth at which an instance exists gives the
//! shallowest one.

use serde_json::{Map, Value, json};

/// Deeper than any sensible schema; a schema without an instance down to here has none.
const DEEPEST: usize = 24;

/// An instance of `schema`, or null when it has none that this search finds.
pub(super) fn instance(schema: &Value) -> Value {
    (0..=DEEPEST).find_map(|depth| at_depth(schema, schema, depth)).unwrap_or(Value::Null)
}

fn at_depth(schema: &Value, root: &Value, depth: usize) -> Option<Value> {
    if let Some(constant) = schema.get("const") {
        return Some(constant.clone());
    }
    if let Some(first) = schema.get("enum").and_then(Value::as_array).and_then(|values| values.first()) {
        return Some(first.clone());
    }
    if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        let target = root.pointer(target.strip_prefix('#')?)?;
        return at_depth(target, root, depth.checked_sub(1)?);
    }
    for choice in ["anyOf", "oneOf"] {
        if let Some(branches) = schema.get(choice).and_then(Value::as_array) {
            return branches.iter().find_map(|branch| at_depth(branch, root, depth));
        }
    }
    if let Some(parts) = schema.get("allOf").and_then(Value::as_array) {
        return all_of(schema, parts, root, depth);
    }
    match kind(schema) {
        "object" => object(schema, root, depth),
        "array" => array(schema, root, depth),
        "integer" => Some(json!(number(schema).ceil() as i64)),
        "number" => Some(json!(number(schema))),
        "boolean" => Some(json!(true)),
        "null" => Some(Value::Null),
        _ => Some(json!(string(schema))),
    }
}

/// The type named, or the one that the other keywords imply.
fn kind(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(name)) => name,
        Some(Value::Array(names)) => names.first().and_then(Value::as_str).unwrap_or("null"),
        Some(_) | None if schema.get("properties").is_some() => "object",
        Some(_) | None if schema.get("items").is_some() => "array",
        Some(_) | None if schema.as_object().is_none_or(Map::is_empty) => "object",
        Some(_) | None => "string",
    }
}

/// Joins the objects of all parts with the schema's own properties; parts that are not objects stand alone.
fn all_of(schema: &Value, parts: &[Value], root: &Value, depth: usize) -> Option<Value> {
    let mut joined = Map::new();
    for part in parts {
        match at_depth(part, root, depth)? {
            Value::Object(members) => joined.extend(members),
            other => return Some(other),
        }
    }
    if let Value::Object(own) = object(schema, root, depth)? {
        joined.extend(own);
    }
    Some(Value::Object(joined))
}

fn object(schema: &Value, root: &Value, depth: usize) -> Option<Value> {
    let mut members = Map::new();
    let required = schema.get("required").and_then(Value::as_array);
    for name in required.into_iter().flatten().filter_map(Value::as_str) {
        let property = schema.get("properties").and_then(|properties| properties.get(name));
        let below = depth.checked_sub(1)?;
        let value = property.map_or(Some(json!("text")), |property| at_depth(property, root, below))?;
        members.insert(name.to_owned(), value);
    }
    Some(Value::Object(members))
}

fn array(schema: &Value, root: &Value, depth: usize) -> Option<Value> {
    let length = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0);
    let first = schema.get("prefixItems").and_then(Value::as_array);
    let mut items = Vec::new();
    for index in 0..usize::try_from(length).unwrap_or(usize::MAX) {
        let item = first.and_then(|first| first.get(index)).or_else(|| schema.get("items"));
        let below = depth.checked_sub(1)?;
        items.push(item.map_or(Some(Value::Null), |item| at_depth(item, root, below))?);
    }
    Some(Value::Array(items))
}

/// The number nearest to 1 that the bounds allow, a multiple where one is asked for.
fn number(schema: &Value) -> f64 {
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let whole = kind(schema) == "integer";
    let above = bound("exclusiveMinimum").map(|low| if whole { low.floor() + 1.0 } else { low + 0.5 });
    let below = bound("exclusiveMaximum").map(|high| if whole { high.ceil() - 1.0 } else { high - 0.5 });
    let low = bound("minimum").into_iter().chain(above).fold(f64::NEG_INFINITY, f64::max);
    let high = bound("maximum").into_iter().chain(below).fold(f64::INFINITY, f64::min);
    // Between two exclusive bounds that lie close together only the middle is safe.
    let value = if low > high { (low + high) / 2.0 } else { 1.0_f64.max(low).min(high) };
    match bound("multipleOf") {
        Some(step) if step > 0.0 => {
            let up = (value / step).ceil() * step;
            if up > high { (value / step).floor() * step } else { up }
        }
        Some(_) | None => value,
    }
}

fn string(schema: &Value) -> String {
    let known = match schema.get("format").and_then(Value::as_str) {
        Some("date-time") => "2025-01-01T00:00:00Z",
        Some("date") => "2025-01-01",
        Some("time") => "00:00:00Z",
        Some("duration") => "PT1S",
        Some("email") => "user@example.com",
        Some("hostname") => "example.com",
        Some("ipv4") => "192.0.2.1",
        Some("ipv6") => "2001:db8::1",
        Some("uuid") => "00000000-0000-4000-8000-000000000000",
        Some("uri") => "https://example.com/",
        Some(_) | None => "text",
    };
    let size = |name: &str| schema.get(name).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
    let mut text: String = known.chars().take(size("maxLength").unwrap_or(usize::MAX)).collect();
    let missing = size("minLength").unwrap_or(0).saturating_sub(text.chars().count());
    text.extend(std::iter::repeat_n('x', missing));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schema: Value, expected: Value) {
        assert_eq!(instance(&schema), expected, "{schema}");
    }

    #[test]
    fn scalars_respect_their_bounds() {
        check(json!({"type": "string"}), json!("text"));
        check(json!({"type": "string", "minLength": 6}), json!("textxx"));
        check(json!({"type": "string", "maxLength": 2}), json!("te"));
        check(json!({"type": "string", "format": "date"}), json!("2025-01-01"));
        check(json!({"type": "integer"}), json!(1));
        check(json!({"type": "integer", "minimum": 7, "multipleOf": 5}), json!(10));
        check(json!({"type": "integer", "maximum": -3}), json!(-3));
        check(json!({"type": "integer", "exclusiveMinimum": 1}), json!(2));
        check(json!({"type": "number", "minimum": 2.5}), json!(2.5));
        check(json!({"type": "number", "exclusiveMinimum": 0.0, "exclusiveMaximum": 0.2}), json!(0.1));
        check(json!({"type": ["null", "string"]}), json!(null));
        check(json!({"enum": ["b", "a"]}), json!("b"));
        check(json!({"const": 3}), json!(3));
        check(json!({}), json!({}));
    }

    #[test]
    fn objects_carry_what_is_required_and_arrays_what_they_must() {
        let schema = json!({"type": "object", "required": ["a", "b"], "properties": {
            "a": {"type": "array", "items": {"type": "boolean"}, "minItems": 2},
            "b": {"type": "object", "required": ["c"], "properties": {"c": {"type": "integer"}}},
            "left_out": {"type": "string"}}});
        check(schema, json!({"a": [true, true], "b": {"c": 1}}));
        check(json!({"items": {"type": "string"}}), json!([]));
    }

    #[test]
    fn references_and_choices_are_followed() {
        let schema = json!({"$defs": {"colour": {"enum": ["red"]}, "size": {"type": "integer"}},
            "type": "object", "required": ["x", "y"], "properties": {
                "x": {"$ref": "#/$defs/colour"},
                "y": {"anyOf": [{"$ref": "#/$defs/size"}, {"type": "null"}]}}});
        let made = instance(&schema);
        assert_eq!(made["x"], "red");
        assert!(made["y"] == 1 || made["y"].is_null());
        check(
            json!({"allOf": [{"type": "object", "required": ["a"], "properties": {"a": {"const": 1}}},
                {"type": "object", "required": ["b"], "properties": {"b": {"const": 2}}}]}),
            json!({"a": 1, "b": 2}),
        );
    }

    #[test]
    fn a_schema_that_contains_itself_ends() {
        let schema = json!({"$ref": "#/$defs/node", "$defs": {"node": {"type": "object",
            "required": ["next"], "properties": {
                "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}}}});
        check(schema, json!({"next": null}));
        check(json!({"$ref": "#"}), json!(null));
    }
}
