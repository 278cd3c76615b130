//! Tools: `toolConfig`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::super::blocks::{cache_block, cache_point};
use super::super::fields::{Fields, wrong};
use super::super::models::Maker;
use super::read::keep;
use crate::dialect::talk::{Dialect, Extra, Refused, Request, Tool, ToolChoice, ToolKind};

/// Takes the tools out of a request.
pub(super) fn read(fields: &mut Fields, request: &mut Request) -> Result<(), Refused> {
    let Some(mut config) = fields.within("toolConfig")? else { return Ok(()) };
    for (index, value) in config.list("tools")?.into_iter().enumerate() {
        match (cache_point(&value), request.tools.last_mut()) {
            (Some(cache), Some(before)) if before.cache.is_none() => before.cache = Some(cache),
            _ => request.tools.push(tool(value, format!("toolConfig.tools[{index}]"))?),
        }
    }
    if let Some(value) = config.take("toolChoice") {
        match choice(&value) {
            Some(choice) => request.tool_choice = Some(choice),
            None => return Err(wrong("toolConfig.toolChoice", "`auto`, `any` or `tool`")),
        }
    }
    keep(fields, "toolConfig", config.rest());
    Ok(())
}

fn choice(value: &Value) -> Option<ToolChoice> {
    let (kind, body) = value.as_object()?.iter().next()?;
    match kind.as_str() {
        "auto" => Some(ToolChoice::Auto),
        "any" => Some(ToolChoice::Required),
        "tool" => Some(ToolChoice::Tool(body.get("name")?.as_str()?.to_owned())),
        _ => None,
    }
}

fn tool(value: Value, at: String) -> Result<Tool, Refused> {
    let Some(spec) = value.get("toolSpec").cloned() else {
        let name = value.pointer("/systemTool/name").and_then(Value::as_str).unwrap_or("").to_owned();
        return Ok(Tool { name, kind: ToolKind::Foreign(Dialect::Converse, value), ..Tool::default() });
    };
    let mut fields = Fields::of(spec, format!("{at}.toolSpec"))?;
    let mut tool = Tool {
        name: fields.needed_text("name")?,
        description: fields.text("description")?,
        strict: fields.flag("strict")?,
        ..Tool::default()
    };
    if let Some(mut schema) = fields.within("inputSchema")? {
        tool.kind = schema.take("json").map_or(ToolKind::Bare, ToolKind::Function);
        keep(&mut fields, "inputSchema", schema.rest());
    }
    tool.extra = Extra::of(Dialect::Converse, fields.rest());
    Ok(tool)
}

/// Writes `tools` and `toolChoice` into `config`; nothing if the model shall have no tools. `messages` are already
/// written: those with calls need tools beside them, even if none may be called.
pub(super) fn write(
    request: &Request,
    maker: Maker,
    messages: &[Value],
    config: &mut Map<String, Value>,
) -> Result<(), Refused> {
    let used = used(messages);
    let choice = request.tool_choice.as_ref();
    if choice == Some(&ToolChoice::None) && used.is_empty() {
        return Ok(());
    }
    let mut tools: Vec<Value> = Vec::new();
    for tool in request.tools.iter().filter(|tool| chosen(tool, choice)) {
        tools.extend(spec(tool, maker)?);
        let marked = tools.last().is_none_or(|last| last.get("cachePoint").is_some());
        if let Some(cache) = tool.cache.filter(|_| maker.caches(true) && !marked) {
            tools.push(cache_block(cache));
        }
    }
    if tools.is_empty() {
        tools.extend(used.into_iter().map(gone));
    }
    if tools.is_empty() {
        return unless_forced(choice);
    }
    config.insert("tools".to_owned(), Value::Array(tools));
    if let Some(choice) = choice.and_then(choice_of) {
        config.insert("toolChoice".to_owned(), choice);
    }
    Ok(())
}

/// The names of tools that the conversation calls already.
fn used(messages: &[Value]) -> BTreeSet<&str> {
    let blocks = messages.iter().filter_map(|message| message.get("content")?.as_array()).flatten();
    let mut names = BTreeSet::new();
    for block in blocks {
        if let Some(name) = block.pointer("/toolUse/name").and_then(Value::as_str) {
            names.insert(name);
        } else if block.get("toolResult").is_some() && names.is_empty() {
            names.insert("tool");
        }
    }
    names
}

/// Stands for a tool that was called earlier and is not offered any more: "The toolConfig field must be defined when
/// using toolUse and toolResult content blocks."
fn gone(name: &str) -> Value {
    json!({ "toolSpec": {
        "name": name,
        "description": "Not available any more: do not call it.",
        "inputSchema": { "json": { "type": "object" } },
    } })
}

/// Is the tool among those that may be called?
fn chosen(tool: &Tool, choice: Option<&ToolChoice>) -> bool {
    match choice {
        Some(ToolChoice::Among(names, _)) => names.contains(&tool.name),
        _ => true,
    }
}

fn unless_forced(choice: Option<&ToolChoice>) -> Result<(), Refused> {
    match choice {
        Some(ToolChoice::Required | ToolChoice::Tool(_) | ToolChoice::Among(_, true)) => Err(Refused::field(
            "tool_choice",
            "The request wants a tool to be called but offers none that Bedrock Converse can offer.",
        )),
        _ => Ok(()),
    }
}

fn choice_of(choice: &ToolChoice) -> Option<Value> {
    match choice {
        ToolChoice::Auto | ToolChoice::Among(_, false) => Some(json!({ "auto": {} })),
        ToolChoice::None => None,
        ToolChoice::Required | ToolChoice::Among(_, true) => Some(json!({ "any": {} })),
        ToolChoice::Tool(name) => Some(json!({ "tool": { "name": name } })),
    }
}

/// One call at once: there is no field for it, but Claude since 4.5 takes its own, unless `toolChoice` is there too.
pub(super) fn one_call(maker: Maker, config: &mut Map<String, Value>, additional: &mut Map<String, Value>) {
    let free = config.get("toolChoice").is_none_or(|choice| choice.get("auto").is_some());
    if maker.claude_since(4, 5) && free && config.contains_key("tools") {
        config.remove("toolChoice");
        let choice = json!({ "type": "auto", "disable_parallel_tool_use": true });
        additional.insert("tool_choice".to_owned(), choice);
    }
}

/// The tool; none if only another dialect has it.
fn spec(tool: &Tool, maker: Maker) -> Result<Option<Value>, Refused> {
    let schema = match &tool.kind {
        ToolKind::Bare => json!({ "type": "object", "properties": {} }),
        ToolKind::Function(schema) => schema.clone(),
        ToolKind::Foreign(Dialect::Converse, own) => return Ok(Some(own.clone())),
        ToolKind::Foreign(..) => return Ok(None),
        ToolKind::Custom(_) => {
            let name = &tool.name;
            return Err(Refused::field(
                "tools",
                format!(
                    "Bedrock Converse has no tools that take plain text: declare `{name}` as a function."
                ),
            ));
        }
    };
    let mut body: Map<String, Value> =
        tool.extra.fields(Dialect::Converse).map(|(name, value)| (name.clone(), value.clone())).collect();
    body.insert("name".to_owned(), tool.name.as_str().into());
    body.insert("inputSchema".to_owned(), json!({ "json": schema }));
    if let Some(text) = tool.description.as_ref().filter(|text| !text.trim().is_empty()) {
        body.insert("description".to_owned(), text.as_str().into());
    }
    if tool.strict == Some(true) && maker.takes_strict() {
        body.insert("strict".to_owned(), true.into());
    }
    Ok(Some(json!({ "toolSpec": body })))
}
