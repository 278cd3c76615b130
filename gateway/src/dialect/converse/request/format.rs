//! Structured output: `outputConfig.textFormat`.

use serde_json::{Map, Value, json};

use super::super::fields::{Fields, wrong};
use super::read::keep;
use crate::dialect::talk::{Format, Refused, Request};

/// Takes the format out of a request.
pub(super) fn read(fields: &mut Fields, request: &mut Request) -> Result<(), Refused> {
    let Some(mut config) = fields.within("outputConfig")? else { return Ok(()) };
    if let Some(text) = config.take("textFormat") {
        match schema_of(&text) {
            Some(schema) => request.format = Some(format(schema.clone())?),
            None => config.put("textFormat", text),
        }
    }
    keep(fields, "outputConfig", config.rest());
    Ok(())
}

fn schema_of(text: &Value) -> Option<&Value> {
    text.get("type").filter(|kind| *kind == "json_schema")?;
    text.pointer("/structure/jsonSchema")
}

fn format(definition: Value) -> Result<Format, Refused> {
    let mut fields = Fields::of(definition, "outputConfig.textFormat.structure.jsonSchema")?;
    let schema = fields.needed_text("schema")?;
    let schema =
        serde_json::from_str(&schema).map_err(|_| wrong(&fields.path("schema"), "JSON in a string"))?;
    Ok(Format::Schema {
        name: fields.text("name")?,
        description: fields.text("description")?,
        schema,
        strict: None,
    })
}

/// Writes the format. There is no "any JSON": such a request is left to what its prompt says.
pub(super) fn write(format: Option<&Format>) -> Option<Value> {
    let Some(Format::Schema { name, description, schema, .. }) = format else { return None };
    let mut definition = Map::from_iter([("schema".to_owned(), Value::String(schema.to_string()))]);
    for (key, text) in [("name", name), ("description", description)] {
        if let Some(text) = text.as_ref().filter(|text| !text.is_empty()) {
            definition.insert(key.to_owned(), text.as_str().into());
        }
    }
    Some(json!({ "type": "json_schema", "structure": { "jsonSchema": definition } }))
}
