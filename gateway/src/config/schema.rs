//! The configuration as a JSON Schema, for editors: completion, what each key means, and what is wrong while one types. Made of
//! what the reader itself goes by ([`Layout`]) and of what `config/production.toml` says of each key, so that there is no
//! second description. It says less than `weir check`: rules about several keys, names and sizes are in code only.

use serde_json::{Map, Value, json};

use super::form::{Form, Key, Layout};
use super::manual::Manual;
use super::raw::File;
use super::tree::Read;

/// A string with a `${}` reference: what it is replaced by is not known to an editor.
const REFERENCE: &str = r"\$\{";

/// The schema (draft 7, which editors for TOML know).
pub fn schema() -> Value {
    let manual = Manual::of_production();
    let mut writer = Writer { manual: &manual, definitions: Map::new() };
    let mut root = match File::form() {
        Form::Table(layout) => writer.table(&layout(), ""),
        other => writer.value(&other, ""),
    };
    if let Some(root) = root.as_object_mut() {
        root.insert("$schema".into(), json!("http://json-schema.org/draft-07/schema#"));
        root.insert("title".into(), json!("Configuration of Weir"));
        root.insert(
            "description".into(),
            json!("`weir check --config FILE` says more: what names refer to, and which values go together."),
        );
        root.insert("definitions".into(), Value::Object(writer.definitions));
    }
    root
}

/// The schema of one value.
#[cfg(test)]
pub(super) fn of_form(form: &Form) -> Value {
    let manual = Manual::of_production();
    let mut writer = Writer { manual: &manual, definitions: Map::new() };
    let mut value = writer.value(form, "");
    value["definitions"] = Value::Object(writer.definitions);
    value
}

struct Writer<'m> {
    manual: &'m Manual,
    /// Tables by their names.
    definitions: Map<String, Value>,
}

impl Writer<'_> {
    /// `way` leads to the value, for what is said of it.
    fn value(&mut self, form: &Form, way: &str) -> Value {
        match form {
            Form::Text => json!({ "type": "string" }),
            Form::Pattern(pattern) => {
                json!({ "type": "string", "pattern": format!("{pattern}|{REFERENCE}") })
            }
            Form::Words(words) => {
                json!({ "anyOf": [{ "enum": words }, { "type": "string", "pattern": REFERENCE }] })
            }
            Form::Bool => json!({ "type": "boolean" }),
            Form::Only(value) => json!({ "enum": [value] }),
            Form::Number => json!({ "type": "number" }),
            Form::Positive => json!({ "type": "number", "exclusiveMinimum": 0 }),
            Form::Whole { from, to } => json!({ "type": "integer", "minimum": from, "maximum": to }),
            Form::List(items) => json!({ "type": "array", "items": self.value(items, way) }),
            Form::OneOf(forms) => {
                let forms: Vec<Value> = forms.iter().map(|form| self.value(form, way)).collect();
                json!({ "anyOf": forms })
            }
            Form::Map(values) => json!({ "type": "object", "additionalProperties": self.value(values, way) }),
            Form::Table(layout) => self.reference(&layout(), way),
        }
    }

    /// The first way that leads to a table says what its keys mean.
    fn reference(&mut self, layout: &Layout, way: &str) -> Value {
        if !self.definitions.contains_key(layout.name) {
            let table = self.table(layout, way);
            self.definitions.insert(layout.name.to_owned(), table);
        }
        json!({ "$ref": format!("#/definitions/{}", layout.name) })
    }

    fn table(&mut self, layout: &Layout, way: &str) -> Value {
        let mut properties = Map::new();
        for key in &layout.keys {
            properties.insert(key.name.to_owned(), self.property(key, way));
        }
        let required: Vec<&str> =
            layout.keys.iter().filter(|key| key.is_required).map(|key| key.name).collect();
        json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
    }

    fn property(&mut self, key: &Key, way: &str) -> Value {
        let way = if way.is_empty() { key.name.to_owned() } else { format!("{way}.{}", key.name) };
        let form = (key.form)();
        let mut value = self.value(&form, &way);
        if let Some(description) = described(self.manual, key, &form, &way) {
            value["description"] = json!(description);
        }
        let shown = self.manual.example(&way).filter(|_| !is_table(&form));
        if let Some(shown) = shown.and_then(|shown| serde_json::to_value(shown).ok()) {
            value["examples"] = json!([shown]);
        }
        value
    }
}

/// What is said of a key: where it is declared, or in the manual. Words follow with their meanings.
fn described(manual: &Manual, key: &Key, form: &Form, way: &str) -> Option<String> {
    let own = Some(key.doc).filter(|doc| !doc.is_empty()).map(str::to_owned);
    let text = own.or_else(|| manual.description(way))?;
    let words = if is_table(form) { Vec::new() } else { manual.words(way) };
    Some([text].into_iter().chain(words).collect::<Vec<_>>().join("\n- "))
}

/// Its inner keys are described by themselves.
fn is_table(form: &Form) -> bool {
    match form {
        Form::Table(_) => true,
        Form::List(inner) => is_table(inner),
        Form::OneOf(forms) => forms.iter().any(is_table),
        Form::Text
        | Form::Pattern(_)
        | Form::Words(_)
        | Form::Bool
        | Form::Only(_)
        | Form::Number
        | Form::Positive
        | Form::Whole { .. }
        | Form::Map(_) => false,
    }
}
