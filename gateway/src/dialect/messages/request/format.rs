//! The form of the answer's text.

use serde_json::{Map, Value, json};

use super::super::fields::{Fields, missing};
use super::super::model::Model;
use crate::dialect::talk::{Format, Refused};

/// What a model is told that cannot be held to a form by the API.
const ONLY_JSON: &str =
    "Answer with one JSON object and nothing else: no words before or behind it, no code fence.";

/// How deep schemas are followed; what lies deeper stays as it is.
const DEEPEST: usize = 64;

/// Takes the format: `output_config.format`, or `output_format`, as it was called in beta.
pub(super) fn read(fields: &mut Fields, config: Option<&mut Fields>) -> Result<Option<Format>, Refused> {
    let older = fields.fields("output_format")?;
    let newer = config.map(|config| config.fields("format")).transpose()?.flatten();
    let Some(mut format) = newer.or(older) else { return Ok(None) };
    if format.need_text("type")? != "json_schema" {
        return Err(Refused::field(format.at("type"), "The type must be json_schema."));
    }
    let schema = format.take("schema").ok_or_else(|| missing(format.at("schema")))?;
    Ok(Some(Format::Schema { name: None, description: None, schema, strict: None }))
}

/// What says a format: a field for `output_config`, or else instructions.
pub(super) fn write(format: Option<&Format>, model: Model) -> (Option<Value>, Option<String>) {
    match format {
        None | Some(Format::Text) => (None, None),
        // No API field asks for just any JSON.
        Some(Format::Json) => (None, Some(ONLY_JSON.to_owned())),
        Some(Format::Schema { schema, description, .. }) => {
            if let Some(schema) = closed(schema, 0).filter(|_| model.schemas) {
                return (Some(json!({"type": "json_schema", "schema": schema})), None);
            }
            let about = description.as_deref().map(|text| format!(" ({text})")).unwrap_or_default();
            (None, Some(format!("{ONLY_JSON} It must follow this JSON Schema{about}:\n{schema}")))
        }
    }
}

/// The schema as Anthropic takes it: objects must be closed, and limits that it cannot enforce, which it refuses, go into
/// the description, where the model reads them. Its own SDKs do the same. None: a schema of objects with any fields,
/// which it cannot enforce at all.
fn closed(schema: &Value, depth: usize) -> Option<Value> {
    let Value::Object(map) = schema else { return Some(schema.clone()) };
    if depth > DEEPEST {
        return None;
    }
    let mut out = Map::new();
    let mut limits = Vec::new();
    for (name, value) in map {
        match name.as_str() {
            "properties" | "$defs" | "definitions" => out.insert(name.clone(), each(value, depth)?),
            "items" | "anyOf" | "allOf" | "oneOf" => out.insert(name.clone(), all(value, depth)?),
            "additionalProperties" if *value != Value::Bool(false) => return None,
            _ if is_limit(name, value) => {
                limits.push(format!("{name}: {value}"));
                None
            }
            _ => out.insert(name.clone(), value.clone()),
        };
    }
    if map.get("type").is_some_and(is_object) {
        out.insert("additionalProperties".to_owned(), json!(false));
    }
    if !limits.is_empty() {
        let before = map.get("description").and_then(Value::as_str).map(|text| format!("{text} "));
        let limits = format!("{}({})", before.unwrap_or_default(), limits.join(", "));
        out.insert("description".to_owned(), json!(limits));
    }
    Some(Value::Object(out))
}

fn is_object(kind: &Value) -> bool {
    match kind {
        Value::String(kind) => kind == "object",
        Value::Array(kinds) => kinds.iter().any(|kind| kind == "object"),
        _ => false,
    }
}

fn is_limit(name: &str, value: &Value) -> bool {
    match name {
        "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" | "minLength"
        | "maxLength" | "maxItems" | "uniqueItems" | "minProperties" | "maxProperties" => !value.is_object(),
        "minItems" => value.as_u64().is_none_or(|least| least > 1),
        _ => false,
    }
}

/// Every schema of an object of schemas: their names are no keywords.
fn each(schemas: &Value, depth: usize) -> Option<Value> {
    let Value::Object(map) = schemas else { return Some(schemas.clone()) };
    let closed = map.iter().map(|(name, schema)| Some((name.clone(), closed(schema, depth + 1)?)));
    closed.collect::<Option<Map<_, _>>>().map(Value::Object)
}

/// A schema or a list of them.
fn all(schemas: &Value, depth: usize) -> Option<Value> {
    match schemas {
        Value::Array(list) => list.iter().map(|schema| closed(schema, depth + 1)).collect(),
        other => closed(other, depth + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Broken once: with properties read as keywords, the property `minimum` went missing.
    #[test]
    fn schemas_are_closed_and_limits_described() {
        let schema = json!({"type": "object", "properties": {
            "minimum": {"type": "integer", "minimum": 1, "maximum": 9, "description": "How many."},
            "list": {"type": "array", "minItems": 1, "maxItems": 3, "items": {"type": ["object", "null"]}}}});
        let wanted = json!({"type": "object", "additionalProperties": false, "properties": {
            "minimum": {"type": "integer", "description": "How many. (maximum: 9, minimum: 1)"},
            "list": {"type": "array", "minItems": 1, "description": "(maxItems: 3)",
                "items": {"type": ["object", "null"], "additionalProperties": false}}}});
        assert_eq!(closed(&schema, 0), Some(wanted.clone()));
        assert_eq!(closed(&wanted, 0), Some(wanted));
    }

    #[test]
    fn open_and_deep_schemas_are_not_enforced() {
        let open =
            json!({"type": "array", "items": {"type": "object", "additionalProperties": {"type": "string"}}});
        assert_eq!(closed(&open, 0), None);
        let mut deep = json!({"type": "object"});
        for _ in 0..100 {
            deep = json!({"items": deep});
        }
        assert_eq!(closed(&deep, 0), None);
    }
}
