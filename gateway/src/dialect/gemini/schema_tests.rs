use serde_json::json;

use super::*;

#[test]
fn the_subset_is_read_as_json_schema_and_written_back() {
    let subset = json!({"type": "OBJECT", "properties": {
        "a": {"type": "STRING", "nullable": true, "enum": ["x", "y"]},
        "b": {"type": "ARRAY", "items": {"type": "INTEGER", "format": "int32"}, "minItems": "1"},
        "c": {"anyOf": [{"type": "NUMBER"}, {"type": "BOOLEAN"}], "description": "either"}},
        "required": ["a"], "propertyOrdering": ["b", "a", "c"]});
    let schema = json!({"type": "object", "properties": {
        "a": {"type": ["string", "null"], "enum": ["x", "y", null]},
        "b": {"type": "array", "items": {"type": "integer", "format": "int32"}, "minItems": 1},
        "c": {"anyOf": [{"type": "number"}, {"type": "boolean"}], "description": "either"}},
        "required": ["a"], "propertyOrdering": ["b", "a", "c"]});
    assert_eq!(from_subset(subset), schema);
    let written = to_subset(&schema).unwrap();
    assert_eq!(written["properties"]["a"], json!({"type": "STRING", "nullable": true, "enum": ["x", "y"]}));
    assert_eq!(from_subset(written), schema);
}

/// Broken on purpose: with `additionalProperties` let through as an unknown member, this failed.
#[test]
fn what_the_subset_lacks_goes_out_as_json_schema_unchanged() {
    let string = json!({"type": "string"});
    for schema in [
        json!({"type": "object", "properties": {"a": string}, "additionalProperties": false}),
        json!({"type": "object", "properties": {}}),
        json!({"type": "object", "properties": {"a": string}, "required": ["b"]}),
        json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": string}}),
        json!({"oneOf": [string]}),
        json!({"type": ["string", "integer"]}),
        json!({"type": "integer", "enum": [1, 2]}),
        json!({"type": "string", "format": "uri"}),
        json!({"type": "array"}),
        json!({"const": 1}),
        json!({"type": "null"}),
        json!({}),
        json!(true),
    ] {
        let mut to = Map::new();
        write(&schema, "parameters", "parametersJsonSchema", &mut to);
        assert_eq!(Value::Object(to), json!({"parametersJsonSchema": schema}));
    }
}

/// As Google's SDK for Python writes them. Broken on purpose to see it fail: `additional_properties` left as it is.
#[test]
fn both_spellings_of_googles_words_are_words_of_json_schema() {
    let schema = from_subset(json!({
        "type": "OBJECT",
        "additional_properties": false,
        "properties": {
            "a": {"any_of": [{"type": "STRING", "min_length": "1"}, {"ref": "#/$defs/b"}]},
            "b": {"type": "ARRAY", "prefix_items": [{"type": "INTEGER"}]},
        },
        "defs": {"b": {"type": "NUMBER"}},
    }));
    let wanted = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "a": {"anyOf": [{"type": "string", "minLength": 1}, {"$ref": "#/$defs/b"}]},
            "b": {"type": "array", "prefixItems": [{"type": "integer"}]},
        },
        "$defs": {"b": {"type": "number"}},
    });
    assert_eq!(schema, wanted);
}
