//! Schemas. Google's own `Schema` is a subset of OpenAPI's: types in capitals, `nullable` instead of a list of types, no
//! references. Since 2025 JSON Schema is taken in fields of its own.

use serde_json::{Map, Value, json};

/// The JSON Schema that means the same. Clients often write JSON Schema into `Schema` fields; it stays what it is.
pub(super) fn from_subset(schema: Value) -> Value {
    let Value::Object(map) = schema else { return schema };
    let mut out = Map::new();
    let mut nullable = false;
    for (key, value) in map {
        match key.as_str() {
            "nullable" => nullable = value == Value::Bool(true),
            "type" => {
                out.insert(key, lower(value));
            }
            "properties" => {
                out.insert(key, each(value));
            }
            "items" => {
                out.insert(key, from_subset(value));
            }
            "additionalProperties" | "additional_properties" => {
                out.insert("additionalProperties".into(), from_subset(value));
            }
            "anyOf" | "any_of" => {
                out.insert("anyOf".into(), each(value));
            }
            "oneOf" | "one_of" => {
                out.insert("oneOf".into(), each(value));
            }
            "prefixItems" | "prefix_items" => {
                out.insert("prefixItems".into(), each(value));
            }
            "$defs" | "defs" => {
                out.insert("$defs".into(), each(value));
            }
            "ref" => {
                out.insert("$ref".into(), value);
            }
            _ => {
                let (key, value) = plain(key, value);
                out.insert(key, value);
            }
        }
    }
    if nullable {
        allow_null(&mut out);
    }
    out.into()
}

fn each(schemas: Value) -> Value {
    match schemas {
        Value::Object(of) => of.into_iter().map(|(name, schema)| (name, from_subset(schema))).collect(),
        Value::Array(of) => of.into_iter().map(from_subset).collect(),
        other => other,
    }
}

fn lower(value: Value) -> Value {
    match value {
        Value::String(name) => name.to_ascii_lowercase().into(),
        Value::Array(names) => names.into_iter().map(lower).collect(),
        other => other,
    }
}

/// A member that has no schema inside: its name in camelCase, 64-bit numbers as numbers.
fn plain(key: String, value: Value) -> (String, Value) {
    let name = match key.as_str() {
        "min_items" => "minItems",
        "max_items" => "maxItems",
        "min_length" => "minLength",
        "max_length" => "maxLength",
        "min_properties" => "minProperties",
        "max_properties" => "maxProperties",
        "property_ordering" => "propertyOrdering",
        other => other,
    };
    let number = value.as_str().filter(|_| name.starts_with("min") || name.starts_with("max"));
    let number = number.and_then(|text| text.parse::<u64>().ok()).map(Value::from);
    (name.to_owned(), number.unwrap_or(value))
}

fn allow_null(schema: &mut Map<String, Value>) {
    if let Some(name @ Value::String(_)) = schema.get("type") {
        let both = json!([name, "null"]);
        schema.insert("type".into(), both);
    } else if let Some(Value::Array(any)) = schema.get_mut("anyOf") {
        any.push(json!({"type": "null"}));
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.push(Value::Null);
    }
}

/// The `Schema` that means just the same; none if it cannot be said in one.
pub(super) fn to_subset(schema: &Value) -> Option<Value> {
    let map = schema.as_object()?;
    let mut out = Map::new();
    let (name, nullable) = match map.get("type") {
        Some(Value::Array(names)) => match names.as_slice() {
            [name, null] if null == "null" => (name.as_str()?, true),
            _ => return None,
        },
        Some(name) => (name.as_str()?, false),
        None if map.contains_key("anyOf") => ("", false),
        None => return None,
    };
    complete(name, map)?;
    for (key, value) in map {
        if let Some(value) = member(name, nullable, key, value)? {
            out.insert(key.clone(), value);
        }
    }
    if nullable {
        out.insert("nullable".into(), true.into());
    }
    Some(out.into())
}

/// Google refuses objects without properties, required ones that are not described, and arrays of anything.
fn complete(name: &str, map: &Map<String, Value>) -> Option<()> {
    match name {
        "object" => {
            let properties = map.get("properties")?.as_object().filter(|of| !of.is_empty())?;
            let required =
                map.get("required").map_or(Some(&[][..]), |of| of.as_array().map(Vec::as_slice))?;
            required.iter().all(|of| of.as_str().is_some_and(|of| properties.contains_key(of))).then_some(())
        }
        "array" => map.contains_key("items").then_some(()),
        "string" | "number" | "integer" | "boolean" => Some(()),
        "" => (!["properties", "items", "enum"].iter().any(|key| map.contains_key(*key))).then_some(()),
        _ => None,
    }
}

/// One member of a schema of type `name`, written; the inner none is one that is not written. The outer one: the
/// subset does not have it.
fn member(name: &str, nullable: bool, key: &str, value: &Value) -> Option<Option<Value>> {
    let written = match key {
        "type" => name_of(name)?,
        "properties" if name == "object" => {
            let each = |(key, value): (&String, &Value)| Some((key.clone(), to_subset(value)?));
            value.as_object()?.iter().map(each).collect::<Option<Map<_, _>>>()?.into()
        }
        "items" if name == "array" => to_subset(value)?,
        "anyOf" if name.is_empty() => {
            value.as_array()?.iter().map(to_subset).collect::<Option<Vec<_>>>()?.into()
        }
        "enum" if name == "string" => {
            let values = value.as_array()?;
            let texts = values.iter().filter(|value| value.is_string()).cloned().collect::<Vec<_>>();
            let others = values.len() - texts.len();
            let sayable = if nullable { others == 1 && values.contains(&Value::Null) } else { others == 0 };
            sayable.then_some(Value::from(texts))?
        }
        "format" => {
            let known: &[&str] = match name {
                "string" => &["enum", "date-time"],
                "number" => &["float", "double"],
                "integer" => &["int32", "int64"],
                _ => &[],
            };
            known.iter().any(|known| value == known).then(|| value.clone())?
        }
        "title" | "description" | "pattern" => value.is_string().then(|| value.clone())?,
        "required" | "propertyOrdering" | "default" | "example" | "minimum" | "maximum" | "minItems"
        | "maxItems" | "minLength" | "maxLength" | "minProperties" | "maxProperties" => value.clone(),
        _ => return None,
    };
    Some(Some(written).filter(|written| *written != Value::String(String::new())))
}

fn name_of(name: &str) -> Option<Value> {
    (!name.is_empty()).then(|| name.to_ascii_uppercase().into())
}

/// Writes a schema under `subset` if it can be said there, else under `whole`, whose fields take JSON Schema.
pub(super) fn write(schema: &Value, subset: &str, whole: &str, to: &mut Map<String, Value>) {
    match to_subset(schema) {
        Some(schema) => to.insert(subset.to_owned(), schema),
        None => to.insert(whole.to_owned(), schema.clone()),
    };
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
