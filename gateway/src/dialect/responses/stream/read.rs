//! Reading a stream.

use serde_json::Value;

use super::items::Items;
use super::seen::Holds;
use crate::dialect::responses::answer::{Status, failure, finish_of, head, read_usage};
use crate::dialect::responses::fields::Fields;
use crate::dialect::talk::{Dialect, Event, Extra, Failed, Own, Refused};

/// Reads a stream's events in order.
#[derive(Debug, Default)]
pub struct Reader {
    started: bool,
    /// Nothing counts any more: the answer is complete, or failed.
    over: bool,
    /// The tier of service that was told at the start.
    tier: Option<Own<String>>,
    items: Items,
}

impl Reader {
    /// The next server-sent event: its name (empty if none) and its data.
    pub fn read(&mut self, name: &str, data: &[u8], to: &mut Vec<Event>) -> Result<(), Refused> {
        let data = data.trim_ascii();
        // Proxies that speak Chat too end their streams in its way.
        if self.over || data.is_empty() || data == b"[DONE]" {
            return Ok(());
        }
        let event: Value = serde_json::from_slice(data)
            .map_err(|error| Refused::whole(format!("An event of the stream is not valid JSON: {error}.")))?;
        let kind = event.get("type").and_then(Value::as_str).unwrap_or(name);
        if kind == "error"
            || (event.get("error").is_some_and(|error| !error.is_null()) && !kind.contains('.'))
        {
            self.fail(event.get("error").filter(|error| !error.is_null()).unwrap_or(&event), to);
            return Ok(());
        }
        if let Some(delta) = event.get("delta").filter(|delta| !delta.is_string() && !delta.is_null())
            && (kind.ends_with("_text.delta") || kind.starts_with("response.function_call"))
        {
            return Err(Refused::field("delta", format!("`delta` must be a string, not {delta}.")));
        }
        if kind.starts_with("response.") {
            self.start(event.get("response"), to);
            self.grow(kind, &event, to);
        } else if kind == "keepalive" {
            to.push(Event::Ping);
        }
        Ok(())
    }

    /// The stream has ended. This dialect says so itself, so there is nothing to add.
    pub fn end(&mut self, _to: &mut Vec<Event>) -> Result<(), Refused> {
        if self.over {
            return Ok(());
        }
        Err(Refused::whole("The stream ended without `response.completed`."))
    }

    fn start(&mut self, response: Option<&Value>, to: &mut Vec<Event>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let nothing = Fields::new();
        let response = response.and_then(Value::as_object).unwrap_or(&nothing);
        let (id, model, created) = head(response);
        let service_tier = response.get("service_tier").and_then(Value::as_str);
        let service_tier = service_tier.map(|tier| Own::new(Dialect::Responses, tier));
        self.tier.clone_from(&service_tier);
        to.push(Event::Start { id, model, created, service_tier });
    }

    fn grow(&mut self, kind: &str, event: &Value, to: &mut Vec<Event>) {
        let items = &mut self.items;
        match kind.strip_prefix("response.").unwrap_or(kind) {
            "output_text.delta" => items.delta(event, Holds::Text, to),
            "output_text.done" => items.done(event, Holds::Text, "text", to),
            "output_text.annotation.added" => items.annotation(event, to),
            "refusal.delta" => items.delta(event, Holds::Refusal, to),
            "refusal.done" => items.done(event, Holds::Refusal, "refusal", to),
            "function_call_arguments.delta" | "custom_tool_call_input.delta" => {
                items.delta(event, Holds::Arguments, to);
            }
            "function_call_arguments.done" => items.done(event, Holds::Arguments, "arguments", to),
            "custom_tool_call_input.done" => items.done(event, Holds::Arguments, "input", to),
            "reasoning_text.delta" => items.delta(event, Holds::Thought, to),
            "reasoning_text.done" => items.done(event, Holds::Thought, "text", to),
            "reasoning_summary_text.delta" => items.delta(event, Holds::Summary(0), to),
            "reasoning_summary_text.done" => items.done(event, Holds::Summary(0), "text", to),
            "output_item.added" => items.added(event, to),
            "output_item.done" => items.item(event, to),
            "content_part.added" => items.part(event, false, to),
            "content_part.done" => items.part(event, true, to),
            "completed" | "incomplete" | "cancelled" => self.complete(kind, event.get("response"), to),
            "failed" => self.failed(event.get("response"), to),
            // Progress of tools that the provider runs, and what is yet to be invented.
            _ => {}
        }
    }

    /// `response.completed` and the like.
    fn complete(&mut self, kind: &str, response: Option<&Value>, to: &mut Vec<Event>) {
        let nothing = Value::Null;
        let response = response.unwrap_or(&nothing);
        let output = response.get("output").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        self.items.output(output, to);
        usage(response, to);
        let reason = response.get("incomplete_details").and_then(|details| details.get("reason"));
        let word = kind.strip_prefix("response.").unwrap_or(kind).to_owned();
        let status = Status { word, reason: reason.and_then(Value::as_str).map(str::to_owned) };
        let tier = tier_of(response);
        if tier.is_some() && tier != self.tier {
            to.push(Event::About { service_tier: tier, extra: Extra::default() });
        }
        let finish = finish_of(&status, self.items.calls, self.items.refusal);
        to.extend(finish.map(|finish| Event::Finish { choice: 0, finish }));
        to.push(Event::Done);
        self.over = true;
    }

    fn failed(&mut self, response: Option<&Value>, to: &mut Vec<Event>) {
        let nothing = Value::Null;
        let response = response.unwrap_or(&nothing);
        usage(response, to);
        self.fail(response.get("error").unwrap_or(&nothing), to);
    }

    fn fail(&mut self, error: &Value, to: &mut Vec<Event>) {
        let Failed { kind, message } = failure(error);
        to.push(Event::Failed { kind, message });
        self.over = true;
    }
}

fn tier_of(response: &Value) -> Option<Own<String>> {
    let tier = response.get("service_tier")?.as_str()?;
    Some(Own::new(Dialect::Responses, tier))
}

fn usage(response: &Value, to: &mut Vec<Event>) {
    let usage = response.get("usage").filter(|usage| usage.is_object());
    to.extend(usage.and_then(|usage| read_usage(usage.clone()).0).map(Event::Usage));
}
