//! Tools and which of them the model may call.

use serde_json::{Map, Value, json};

use super::super::block::{add_extra, read_cache, write_cache};
use super::super::fields::Fields;
use crate::dialect::talk::{Dialect, Extra, Refused, Request, Tool, ToolChoice, ToolKind};

/// Takes `tools`.
pub(super) fn read(fields: &mut Fields) -> Result<Vec<Tool>, Refused> {
    let tools = fields.list("tools")?.unwrap_or_default().into_iter().enumerate();
    tools.map(|(index, tool)| read_tool(tool, format!("tools[{index}]"))).collect()
}

/// A tool with a type is one that Anthropic defines, whoever runs it; only `custom` is the client's own.
fn read_tool(tool: Value, at: String) -> Result<Tool, Refused> {
    let mut fields = Fields::of(tool, at)?;
    let cache = read_cache(&mut fields)?;
    if let Some(kind) = fields.text("type")?.filter(|kind| kind != "custom") {
        let name = fields.peek("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        fields.put("type", Value::String(kind));
        let kind = ToolKind::Foreign(Dialect::Messages, Value::Object(fields.rest()));
        return Ok(Tool { name, kind, cache, ..Tool::default() });
    }
    Ok(Tool {
        name: fields.need_text("name")?,
        description: fields.text("description")?,
        kind: fields.take("input_schema").map_or(ToolKind::Bare, ToolKind::Function),
        strict: fields.flag("strict")?,
        cache,
        extra: Extra::of(Dialect::Messages, fields.rest()),
    })
}

/// Takes `tool_choice`: which, and whether several at once.
pub(super) fn read_choice(fields: &mut Fields) -> Result<(Option<ToolChoice>, Option<bool>), Refused> {
    let Some(mut choice) = fields.fields("tool_choice")? else { return Ok((None, None)) };
    let one = choice.flag("disable_parallel_tool_use")?;
    let kind = match choice.need_text("type")?.as_str() {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Required,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Tool(choice.need_text("name")?),
        _ => return Err(Refused::field(choice.at("type"), "The type must be auto, any, tool or none.")),
    };
    Ok((Some(kind), one.map(|one| !one)))
}

/// Writes the tools; those of other providers are left out, and so are those that may not be called.
pub(super) fn write(request: &Request) -> Vec<Map<String, Value>> {
    let allowed = |tool: &&Tool| match &request.tool_choice {
        Some(ToolChoice::Among(names, _)) => names.contains(&tool.name),
        _ => true,
    };
    request.tools.iter().filter(allowed).filter_map(write_tool).collect()
}

/// The tools of a history of calls to which none are given any more: Anthropic refuses calls without tools.
pub(super) fn declared(called: impl Iterator<Item = String>) -> Vec<Map<String, Value>> {
    let mut names: Vec<String> = called.collect();
    names.sort();
    names.dedup();
    names.into_iter().filter_map(|name| write_tool(&Tool { name, ..Tool::default() })).collect()
}

fn write_tool(tool: &Tool) -> Option<Map<String, Value>> {
    let mut map = match &tool.kind {
        ToolKind::Foreign(Dialect::Messages, Value::Object(map)) => map.clone(),
        ToolKind::Foreign(..) => return None,
        ToolKind::Bare => function(tool, json!({"type": "object", "properties": {}})),
        ToolKind::Function(schema) => function(tool, with_type(schema)),
        ToolKind::Custom(format) => custom(tool, format.as_ref()),
    };
    add_extra(&mut map, &tool.extra);
    if let Some(cache) = tool.cache {
        map.insert("cache_control".to_owned(), write_cache(cache));
    }
    Some(map)
}

fn function(tool: &Tool, schema: Value) -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("name".to_owned(), json!(tool.name));
    map.insert("input_schema".to_owned(), schema);
    if let Some(description) = &tool.description {
        map.insert("description".to_owned(), json!(description));
    }
    // `false` is what holds anyway, and older places of this API (clouds, imitations) do not know the field.
    if tool.strict == Some(true) {
        map.insert("strict".to_owned(), json!(true));
    }
    map
}

/// Anthropic refuses a schema without a type; OpenAI takes `{}`.
fn with_type(schema: &Value) -> Value {
    let mut schema = schema.clone();
    match &mut schema {
        Value::Object(map) if !map.contains_key("type") => {
            map.insert("type".to_owned(), json!("object"));
            schema
        }
        Value::Object(_) => schema,
        _ => json!({"type": "object"}),
    }
}

/// A tool that takes text is one that takes a text named `input`; the format goes into the description.
fn custom(tool: &Tool, format: Option<&Value>) -> Map<String, Value> {
    let format = format.filter(|format| format.get("type").and_then(Value::as_str) != Some("text"));
    let format = format.map(|format| format!("The input must follow this format: {format}"));
    let texts: Vec<&str> = tool.description.as_deref().into_iter().chain(format.as_deref()).collect();
    let description = (!texts.is_empty()).then(|| texts.join("\n"));
    let described = Tool { name: tool.name.clone(), description, ..Tool::default() };
    let schema =
        json!({"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]});
    function(&described, schema)
}

/// Writes `tool_choice`, which may stand only beside tools.
pub(super) fn write_choice(
    request: &Request,
    tools: &[Map<String, Value>],
) -> Result<Option<Value>, Refused> {
    if tools.is_empty() {
        return Ok(None);
    }
    let mut map = Map::new();
    let kind = match &request.tool_choice {
        Some(ToolChoice::None) => "none",
        Some(ToolChoice::Required | ToolChoice::Among(_, true)) => "any",
        Some(ToolChoice::Auto | ToolChoice::Among(_, false)) => "auto",
        Some(ToolChoice::Tool(name)) => {
            if !tools.iter().any(|tool| tool.get("name").and_then(Value::as_str) == Some(name)) {
                let message =
                    format!("The tool {name} is not among the tools that can be sent to this model.");
                return Err(Refused::field("tool_choice", message));
            }
            map.insert("name".to_owned(), json!(name));
            "tool"
        }
        None if request.parallel_calls == Some(false) => "auto",
        None => return Ok(None),
    };
    map.insert("type".to_owned(), json!(kind));
    if let Some(several) = request.parallel_calls.filter(|_| kind != "none") {
        map.insert("disable_parallel_tool_use".to_owned(), json!(!several));
    }
    Ok(Some(Value::Object(map)))
}
