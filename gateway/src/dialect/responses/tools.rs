//! Tools, and which of them may or must be called.

use serde_json::{Value, json};

use super::fields::{
    Fields, extra, mark, marks, need_text, object, put, put_extra, take, take_bool, take_text, wrong,
};
use crate::dialect::talk::{Dialect, Refused, Tool, ToolChoice, ToolKind};

/// Reads a tool. Here they are flat: no `function` object.
pub(super) fn read(tool: Value, path: &str) -> Result<Tool, Refused> {
    let mut fields = object(tool, path)?;
    let Some(kind) = fields.get("type").and_then(Value::as_str).map(str::to_owned) else {
        return Err(wrong(path, "type", "given, as a string"));
    };
    if kind != "function" && kind != "custom" {
        let name = fields.get("name").and_then(Value::as_str).map(str::to_owned).unwrap_or(kind);
        let kind = ToolKind::Foreign(Dialect::Responses, Value::Object(fields));
        return Ok(Tool { name, kind, ..Tool::default() });
    }
    fields.remove("type");
    let name = need_text(&mut fields, path, "name")?;
    let description = take_text(&mut fields, path, "description")?;
    let mut own = Fields::new();
    let mut strict = None;
    let kind = if kind == "custom" {
        ToolKind::Custom(take(&mut fields, "format"))
    } else {
        strict = take_bool(&mut fields, path, "strict")?;
        if strict.is_none() {
            own = marks("#strict_unsaid", true);
        }
        parameters(take(&mut fields, "parameters"), path)?
    };
    Ok(Tool { name, description, kind, strict, cache: None, extra: extra(fields, own) })
}

/// What is written for a tool without arguments: `null` is allowed, but not every provider takes it.
fn nothing() -> Value {
    json!({"type": "object", "properties": {}})
}

fn parameters(schema: Option<Value>, path: &str) -> Result<ToolKind, Refused> {
    match schema {
        None => Ok(ToolKind::Bare),
        Some(schema) if schema == nothing() => Ok(ToolKind::Bare),
        Some(schema @ Value::Object(_)) => Ok(ToolKind::Function(schema)),
        Some(_) => Err(wrong(path, "parameters", "an object")),
    }
}

/// Writes a tool; none if it is another dialect's.
pub(super) fn write(tool: &Tool) -> Option<Value> {
    let mut out = Fields::new();
    put(&mut out, "name", Some(tool.name.as_str()));
    put(&mut out, "description", tool.description.as_deref());
    match &tool.kind {
        ToolKind::Foreign(Dialect::Responses, tool) => return Some(tool.clone()),
        ToolKind::Foreign(..) => return None,
        ToolKind::Custom(format) => {
            put(&mut out, "type", Some("custom"));
            put(&mut out, "format", format.clone());
        }
        ToolKind::Bare => function(&mut out, tool, nothing()),
        ToolKind::Function(schema) => function(&mut out, tool, schema.clone()),
    }
    put_extra(&mut out, &tool.extra);
    Some(Value::Object(out))
}

fn function(out: &mut Fields, tool: &Tool, schema: Value) {
    put(out, "type", Some("function"));
    put(out, "parameters", Some(schema));
    // Unsaid, it is true here and false in every other dialect.
    let unsaid = mark(&tool.extra, "#strict_unsaid").is_some();
    put(out, "strict", tool.strict.or((!unsaid).then_some(false)));
}

/// Takes `tool_choice`; what the neutral form cannot say stays.
pub(super) fn take_choice(fields: &mut Fields) -> Result<Option<ToolChoice>, Refused> {
    let Some(choice) = fields.get("tool_choice").filter(|choice| !choice.is_null()) else {
        fields.remove("tool_choice");
        return Ok(None);
    };
    let read = match choice {
        Value::String(word) => match word.as_str() {
            "auto" => Some(ToolChoice::Auto),
            "none" => Some(ToolChoice::None),
            "required" | "any" => Some(ToolChoice::Required),
            _ => return Err(wrong("", "tool_choice", "`auto`, `none`, `required` or an object")),
        },
        Value::Object(choice) => of_object(choice),
        _ => return Err(wrong("", "tool_choice", "a string or an object")),
    };
    if read.is_some() {
        fields.remove("tool_choice");
    }
    Ok(read)
}

fn of_object(choice: &Fields) -> Option<ToolChoice> {
    let text = |name: &str| choice.get(name).and_then(Value::as_str);
    match text("type")? {
        "function" | "custom" => Some(ToolChoice::Tool(text("name")?.to_owned())),
        "allowed_tools" => {
            let named = |tool: &Value| {
                let kind = tool.get("type")?.as_str()?;
                let name = tool.get("name")?.as_str()?;
                matches!(kind, "function" | "custom").then(|| name.to_owned())
            };
            let tools = choice.get("tools")?.as_array()?;
            let names = tools.iter().map(named).collect::<Option<Vec<_>>>()?;
            Some(ToolChoice::Among(names, text("mode") == Some("required")))
        }
        // `web_search`, `mcp`, ...: a tool that the provider runs.
        _ => None,
    }
}

/// Writes `tool_choice`.
pub(super) fn write_choice(choice: &ToolChoice, tools: &[Tool]) -> Value {
    let named = |name: &String| {
        let custom = tools.iter().any(|tool| tool.name == *name && matches!(tool.kind, ToolKind::Custom(_)));
        json!({"type": if custom { "custom" } else { "function" }, "name": name})
    };
    match choice {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Required => "required".into(),
        ToolChoice::Tool(name) => named(name),
        ToolChoice::Among(names, must) => {
            let tools: Vec<Value> = names.iter().map(named).collect();
            json!({"type": "allowed_tools", "mode": if *must { "required" } else { "auto" }, "tools": tools})
        }
    }
}
