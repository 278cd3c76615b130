//! Tools and which of them the model may call.

use serde_json::{Value, json};

use super::super::content;
use super::super::fields::{
    Fields, at, extra, mark, marked, need_text, object, put, put_extra, take, take_bool, take_object,
    take_text,
};
use crate::dialect::talk::{Dialect, Refused, Request, Tool, ToolChoice, ToolKind};

/// Reads `tools`.
pub(super) fn read(list: Vec<Value>) -> Result<Vec<Tool>, Refused> {
    list.into_iter().enumerate().map(|(n, tool)| read_tool(tool, &format!("tools[{n}]"))).collect()
}

fn read_tool(value: Value, path: &str) -> Result<Tool, Refused> {
    let mut fields = object(value, path)?;
    let mut marks = Fields::new();
    let kind = take_text(&mut fields, path, "type")?.unwrap_or_else(|| "function".to_owned());
    if !matches!(kind.as_str(), "function" | "custom") {
        fields.insert("type".into(), kind.into());
        return Ok(Tool { kind: ToolKind::Foreign(Dialect::Chat, Value::Object(fields)), ..Tool::default() });
    }
    let path = at(path, &kind);
    let mut inner = object(fields.remove(&kind).unwrap_or_default(), &path)?;
    let mut cache = content::take_cache(&mut fields, &mut marks);
    if cache.is_none() {
        // LiteLLM takes the mark here, too; it stays where it stood.
        cache = inner.get("cache_control").and_then(content::parse_cache);
        cache.inspect(|_| drop(marks.insert("#cache".into(), Value::Null)));
    }
    let mut tool = read_inner(&mut inner, &path, kind == "custom")?;
    if !inner.is_empty() {
        marks.insert("#inner".into(), Value::Object(inner));
    }
    tool.cache = cache;
    tool.extra = extra(fields, marks);
    Ok(tool)
}

fn read_inner(inner: &mut Fields, path: &str, custom: bool) -> Result<Tool, Refused> {
    let kind = match custom {
        true => ToolKind::Custom(take(inner, "format").map(flat_format)),
        false => take(inner, "parameters").map_or(ToolKind::Bare, ToolKind::Function),
    };
    Ok(Tool {
        name: need_text(inner, path, "name")?,
        description: take_text(inner, path, "description")?,
        kind,
        strict: take_bool(inner, path, "strict")?,
        ..Tool::default()
    })
}

/// Chat nests what Responses has flat (`syntax`, `definition` of a grammar); between the dialects it is flat.
fn flat_format(mut format: Value) -> Value {
    if let Some(Value::Object(inner)) = format.as_object_mut().and_then(|format| format.remove("grammar")) {
        format.as_object_mut().into_iter().for_each(|format| format.extend(inner.clone()));
    }
    format
}

fn nested_format(format: Value) -> Value {
    match format {
        Value::Object(mut inner) if inner.get("type").is_some_and(|kind| kind == "grammar") => {
            inner.remove("type");
            json!({"type": "grammar", "grammar": inner})
        }
        other => other,
    }
}

/// Reads `functions`, which came before tools.
pub(super) fn read_legacy(list: Vec<Value>) -> Result<Vec<Tool>, Refused> {
    let read = |(n, value): (usize, Value)| {
        let path = format!("functions[{n}]");
        let mut inner = object(value, &path)?;
        let mut tool = read_inner(&mut inner, &path, false)?;
        tool.extra = extra(inner, Fields::from_iter([("#function".to_owned(), true.into())]));
        Ok(tool)
    };
    list.into_iter().enumerate().map(read).collect()
}

/// Writes `tools` and `functions`. Tools that only another dialect's provider runs are left out: they were an offer to
/// the model, which others do without.
pub(super) fn write(out: &mut Fields, request: &Request, cache: bool) {
    let is_legacy = |tool: &&Tool| mark(&tool.extra, "#function").is_some();
    let (legacy, modern): (Vec<&Tool>, Vec<&Tool>) = request.tools.iter().partition(is_legacy);
    let tools: Vec<Value> = modern.into_iter().filter_map(|tool| write_tool(tool, cache)).collect();
    let functions: Vec<Value> = legacy.into_iter().map(write_legacy).collect();
    for (name, list) in [("tools", tools), ("functions", functions)] {
        if !list.is_empty() {
            out.insert(name.into(), list.into());
        }
    }
}

fn write_tool(tool: &Tool, cache: bool) -> Option<Value> {
    let mut inner = marked(&tool.extra, "#inner").unwrap_or_default();
    put(&mut inner, "name", Some(tool.name.as_str()));
    put(&mut inner, "description", tool.description.as_deref());
    put(&mut inner, "strict", tool.strict);
    let kind = match &tool.kind {
        ToolKind::Bare => "function",
        ToolKind::Function(schema) => {
            inner.insert("parameters".into(), schema.clone());
            "function"
        }
        ToolKind::Custom(format) => {
            put(&mut inner, "format", format.clone().map(nested_format));
            "custom"
        }
        ToolKind::Foreign(dialect, value) => return (*dialect == Dialect::Chat).then(|| value.clone()),
    };
    if !cache {
        inner.remove("cache_control");
    }
    let mut out =
        Fields::from_iter([("type".to_owned(), kind.into()), (kind.to_owned(), Value::Object(inner))]);
    if cache {
        content::put_cache(&mut out, tool.cache, &tool.extra);
    }
    put_extra(&mut out, &tool.extra);
    Some(Value::Object(out))
}

fn write_legacy(tool: &Tool) -> Value {
    let mut out = Fields::from_iter([("name".to_owned(), tool.name.as_str().into())]);
    put(&mut out, "description", tool.description.as_deref());
    if let ToolKind::Function(schema) = &tool.kind {
        out.insert("parameters".into(), schema.clone());
    }
    put_extra(&mut out, &tool.extra);
    Value::Object(out)
}

/// Takes `tool_choice` or the older `function_call`; an object of an unknown kind stays.
pub(super) fn read_choice(left: &mut Fields, marks: &mut Fields) -> Result<Option<ToolChoice>, Refused> {
    if let Some(said) = take(left, "tool_choice") {
        return match said {
            Value::String(word) => read_word(&word, marks).map(Some),
            Value::Object(said) => read_named(said, left),
            _ => Err(Refused::field("tool_choice", "`tool_choice` must be a string or an object.")),
        };
    }
    let choice = match take(left, "function_call") {
        None => return Ok(None),
        Some(Value::String(word)) => read_word(&word, marks)?,
        Some(Value::Object(mut said)) => ToolChoice::Tool(need_text(&mut said, "function_call", "name")?),
        Some(_) => {
            return Err(Refused::field("function_call", "`function_call` must be a string or an object."));
        }
    };
    marks.insert("#function_call".into(), true.into());
    Ok(Some(choice))
}

fn read_word(word: &str, marks: &mut Fields) -> Result<ToolChoice, Refused> {
    Ok(match word {
        "auto" => ToolChoice::Auto,
        "none" => ToolChoice::None,
        "required" => ToolChoice::Required,
        // Mistral's word for it.
        "any" => {
            marks.insert("#any".into(), true.into());
            ToolChoice::Required
        }
        _ => {
            return Err(Refused::field(
                "tool_choice",
                "`tool_choice` must be none, auto, required or an object.",
            ));
        }
    })
}

fn read_named(mut said: Fields, left: &mut Fields) -> Result<Option<ToolChoice>, Refused> {
    let kind = said.get("type").and_then(Value::as_str).unwrap_or("function");
    match kind {
        "function" | "custom" => {
            let (kind, path) = (kind.to_owned(), format!("tool_choice.{kind}"));
            let mut inner = object(said.remove(&kind).unwrap_or_default(), &path)?;
            need_text(&mut inner, &path, "name").map(ToolChoice::Tool).map(Some)
        }
        "allowed_tools" => read_allowed(said).map(Some),
        _ => {
            left.insert("tool_choice".into(), Value::Object(said));
            Ok(None)
        }
    }
}

fn read_allowed(mut said: Fields) -> Result<ToolChoice, Refused> {
    let path = "tool_choice.allowed_tools";
    let inner = take_object(&mut said, "tool_choice", "allowed_tools")?.unwrap_or_default();
    let wrong = || Refused::field(path, "`tool_choice.allowed_tools.tools` must name tools.");
    let list = inner.get("tools").and_then(Value::as_array).ok_or_else(wrong)?;
    let name = |tool: &Value| {
        let named = tool.get("function").or_else(|| tool.get("custom")).unwrap_or(tool);
        named.get("name").and_then(Value::as_str).map(str::to_owned).ok_or_else(wrong)
    };
    let names = list.iter().map(name).collect::<Result<_, _>>()?;
    Ok(ToolChoice::Among(names, inner.get("mode").and_then(Value::as_str) == Some("required")))
}

/// Writes it. Without tools there is no choice, and providers refuse one; a call that must be, cannot be.
pub(super) fn write_choice(out: &mut Fields, request: &Request) -> Result<(), Refused> {
    let Some(choice) = &request.tool_choice else { return Ok(()) };
    let missing = !request.tools.is_empty() && !out.contains_key("tools") && !out.contains_key("functions");
    if missing {
        return match choice {
            ToolChoice::Required | ToolChoice::Tool(_) | ToolChoice::Among(_, true) => Err(Refused::field(
                "tool_choice",
                "The provider has none of the tools of which one must be called.",
            )),
            ToolChoice::Auto | ToolChoice::None | ToolChoice::Among(_, false) => Ok(()),
        };
    }
    let legacy = mark(&request.extra, "#function_call").is_some();
    let value = match choice {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Required if mark(&request.extra, "#any").is_some() => "any".into(),
        ToolChoice::Required => "required".into(),
        ToolChoice::Tool(name) if legacy => json!({"name": name}),
        ToolChoice::Tool(name) => named(request, name),
        ToolChoice::Among(names, must) => {
            let tools: Vec<Value> = names.iter().map(|name| named(request, name)).collect();
            let mode = if *must { "required" } else { "auto" };
            json!({"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}})
        }
    };
    out.insert(if legacy { "function_call" } else { "tool_choice" }.into(), value);
    Ok(())
}

fn named(request: &Request, name: &str) -> Value {
    let is_custom = |tool: &Tool| tool.name == name && matches!(tool.kind, ToolKind::Custom(_));
    let kind = if request.tools.iter().any(is_custom) { "custom" } else { "function" };
    json!({"type": kind, kind: {"name": name}})
}
