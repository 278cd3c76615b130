//! Tools and which of them may be called.

use serde_json::{Map, Value, json};

use crate::dialect::gemini::fields::{Fields, Path, add};
use crate::dialect::gemini::model::Model;
use crate::dialect::gemini::schema;
use crate::dialect::talk::{Dialect, Extra, Refused, Request, Tool, ToolChoice, ToolKind};

/// Reads `tools` and `toolConfig`.
pub(super) fn read(fields: &mut Fields, request: &mut Request) -> Result<(), Refused> {
    let at = Path::Field(&Path::Root, "tools");
    for (index, tool) in fields.list("tools").into_iter().enumerate() {
        read_tool(tool, &Path::Index(&at, index), &mut request.tools)?;
    }
    let at = Path::Field(&Path::Root, "toolConfig");
    let Some(config) = fields.take("toolConfig") else { return Ok(()) };
    let mut config = Fields::new(config, &at)?;
    let here = Path::Field(&at, "functionCallingConfig");
    if let Some(calling) = config.take("functionCallingConfig") {
        let mut calling = Fields::new(calling, &here)?;
        read_choice(&mut calling, request)?;
        let left = calling.rest();
        if !left.is_empty() {
            config.keep("functionCallingConfig", left);
        }
    }
    let left = config.rest();
    if !left.is_empty() {
        fields.keep("toolConfig", left);
    }
    Ok(())
}

/// One entry holds any number of functions, and each of Google's own tools beside them.
fn read_tool(tool: Value, at: &Path, to: &mut Vec<Tool>) -> Result<(), Refused> {
    let mut fields = Fields::new(tool, at)?;
    let here = Path::Field(at, "functionDeclarations");
    for (index, function) in fields.list("functionDeclarations").into_iter().enumerate() {
        to.push(read_function(function, &Path::Index(&here, index))?);
    }
    for (name, value) in fields.rest() {
        let kind = ToolKind::Foreign(Dialect::Gemini, json!({name.as_str(): value}));
        to.push(Tool { name, kind, ..Tool::default() });
    }
    Ok(())
}

fn read_function(function: Value, at: &Path) -> Result<Tool, Refused> {
    let mut fields = Fields::new(function, at)?;
    let name = fields.text("name")?.ok_or_else(|| at.refuse("must have a `name`"))?;
    let description = fields.text("description")?;
    let subset = fields.take("parameters").map(schema::from_subset);
    let kind = match fields.take("parametersJsonSchema").or(subset) {
        Some(schema) => ToolKind::Function(schema),
        None => ToolKind::Bare,
    };
    let extra = Extra::of(Dialect::Gemini, fields.rest());
    Ok(Tool { name, description, kind, extra, ..Tool::default() })
}

fn read_choice(calling: &mut Fields, request: &mut Request) -> Result<(), Refused> {
    let mut names = calling.texts("allowedFunctionNames")?;
    let Some(mode) = calling.text("mode")? else { return Ok(()) };
    let mode = mode.to_ascii_uppercase();
    request.tool_choice = match (mode.as_str(), names.len()) {
        ("MODE_UNSPECIFIED", _) => None,
        ("NONE", _) => Some(ToolChoice::None),
        ("ANY", 0) => Some(ToolChoice::Required),
        ("ANY", 1) => names.pop().map(ToolChoice::Tool),
        ("ANY", _) => Some(ToolChoice::Among(names, true)),
        ("AUTO" | "VALIDATED", 0) => Some(ToolChoice::Auto),
        ("AUTO" | "VALIDATED", _) => Some(ToolChoice::Among(names, false)),
        _ => return Err(calling.wrong("mode", "must be AUTO, ANY, NONE or VALIDATED")),
    };
    if mode == "VALIDATED" {
        // It decides, but calls follow their schemas: what others say of each tool.
        for tool in request.tools.iter_mut().filter(|tool| is_function(tool)) {
            tool.strict = Some(true);
        }
    }
    Ok(())
}

fn is_function(tool: &Tool) -> bool {
    matches!(tool.kind, ToolKind::Bare | ToolKind::Function(_))
}

/// Writes `tools` and `toolConfig`.
pub(super) fn write(request: &Request, body: &mut Map<String, Value>) -> Result<(), Refused> {
    let mut functions = Vec::new();
    let mut others = Vec::new();
    for (index, tool) in request.tools.iter().enumerate() {
        match &tool.kind {
            ToolKind::Bare | ToolKind::Function(_) => functions.push(write_function(tool)),
            ToolKind::Foreign(Dialect::Gemini, value) => others.push(value.clone()),
            ToolKind::Foreign(..) => {}
            ToolKind::Custom(_) => {
                return Err(Refused::field(
                    format!("tools[{index}]"),
                    format!("Gemini has no tools that take plain text, as `{}` does.", tool.name),
                ));
            }
        }
    }
    if !functions.is_empty() {
        others.insert(0, json!({"functionDeclarations": functions}));
    }
    let kept = body.remove("toolConfig");
    let mut config = kept.and_then(|kept| kept.as_object().cloned()).unwrap_or_default();
    // Google refuses a choice among no tools.
    let dropped = others.is_empty() && !request.tools.is_empty();
    if let Some(mut calling) = choice(request).filter(|_| !dropped) {
        if let Some(Value::Object(left)) = config.get("functionCallingConfig") {
            add(&mut calling, left.iter());
        }
        config.insert("functionCallingConfig".into(), calling.into());
    }
    if !others.is_empty() {
        body.insert("tools".into(), others.into());
    }
    if !config.is_empty() {
        body.insert("toolConfig".into(), config.into());
    }
    Ok(())
}

fn write_function(tool: &Tool) -> Value {
    let mut function = Map::new();
    function.insert("name".into(), tool.name.as_str().into());
    if let Some(description) = &tool.description {
        function.insert("description".into(), description.as_str().into());
    }
    if let ToolKind::Function(schema) = &tool.kind {
        schema::write(schema, "parameters", "parametersJsonSchema", &mut function);
    }
    add(&mut function, tool.extra.fields(Dialect::Gemini));
    function.into()
}

fn choice(request: &Request) -> Option<Map<String, Value>> {
    let mut functions = request.tools.iter().filter(|tool| is_function(tool)).peekable();
    // A preview for older models, so they are not made to validate by everybody's wish to be strict.
    let strict = !Model(&request.model).old()
        && functions.peek().is_some()
        && functions.all(|tool| tool.strict == Some(true));
    let one;
    let (mode, names): (&str, &[String]) = match &request.tool_choice {
        None if !strict => return None,
        None | Some(ToolChoice::Auto) => (if strict { "VALIDATED" } else { "AUTO" }, &[]),
        Some(ToolChoice::None) => ("NONE", &[]),
        Some(ToolChoice::Required) => ("ANY", &[]),
        Some(ToolChoice::Tool(name)) => {
            one = [name.clone()];
            ("ANY", &one)
        }
        Some(ToolChoice::Among(names, true)) => ("ANY", names),
        // AUTO takes no names, VALIDATED does.
        Some(ToolChoice::Among(names, false)) => ("VALIDATED", names),
    };
    let mut calling = Map::from_iter([("mode".to_owned(), mode.into())]);
    if !names.is_empty() {
        calling.insert("allowedFunctionNames".into(), names.into());
    }
    Some(calling)
}
