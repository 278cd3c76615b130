//! Tools that take text (OpenAI's custom tools), where the model is offered only tools that take JSON.
//!
//! The writers of such dialects offer the tool as one that takes `{"input": "<the text>"}`. What the model then calls is
//! turned back here, so that the client gets the call that it asked for.

use serde_json::Value;

use super::talk::{Answer, Delta, Dialect, Event, Opening, Part, Request, ToolKind};

/// Turns calls back; of a stream it remembers those that are open.
#[derive(Clone, Debug, Default)]
pub struct Custom {
    names: Vec<String>,
    open: Vec<Open>,
}

/// A call whose arguments are still coming. They are JSON only when they are whole.
#[derive(Clone, Debug)]
struct Open {
    choice: u64,
    piece: usize,
    arguments: String,
}

impl Custom {
    /// Of what `request` offers to a model whose dialect is `theirs`.
    pub fn of(request: &Request, theirs: Dialect) -> Custom {
        let has_them = matches!(theirs, Dialect::Chat | Dialect::Responses);
        let custom =
            request.tools.iter().filter(|tool| matches!(tool.kind, ToolKind::Custom(_)) && !has_them);
        Custom { names: custom.map(|tool| tool.name.clone()).collect(), open: Vec::new() }
    }

    fn knows(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    /// Turns back the calls of a plain answer.
    pub fn answer(&self, answer: &mut Answer) {
        let pieces = answer.choices.iter_mut().flat_map(|choice| &mut choice.pieces);
        for piece in pieces {
            if let Part::Call(call) = &mut piece.part
                && self.knows(&call.name)
            {
                call.custom = true;
                call.arguments = text(std::mem::take(&mut call.arguments));
            }
        }
    }

    /// Turns back the calls in these events of a stream.
    pub fn events(&mut self, events: &mut Vec<Event>) {
        if !self.names.is_empty() {
            let come = std::mem::take(events);
            come.into_iter().for_each(|event| self.event(event, events));
        }
    }

    fn event(&mut self, event: Event, to: &mut Vec<Event>) {
        match event {
            Event::Begin { choice, piece, mut opening } => {
                if let Opening::Call { name, custom, .. } = &mut opening
                    && self.names.contains(name)
                {
                    *custom = true;
                    self.open.push(Open { choice, piece, arguments: String::new() });
                }
                to.push(Event::Begin { choice, piece, opening });
            }
            Event::Delta { choice, piece, delta: Delta::Arguments(part) } => {
                match self.open.iter_mut().find(|open| (open.choice, open.piece) == (choice, piece)) {
                    Some(open) => open.arguments.push_str(&part),
                    None => to.push(Event::Delta { choice, piece, delta: Delta::Arguments(part) }),
                }
            }
            Event::End { choice, piece } => {
                let at = self.open.iter().position(|open| (open.choice, open.piece) == (choice, piece));
                if let Some(open) = at.map(|at| self.open.swap_remove(at)) {
                    to.push(Event::Delta { choice, piece, delta: Delta::Arguments(text(open.arguments)) });
                }
                to.push(Event::End { choice, piece });
            }
            other => to.push(other),
        }
    }
}

/// The text in `{"input": "<the text>"}`; what the model wrote otherwise stays as it is.
fn text(arguments: String) -> String {
    match serde_json::from_str::<Value>(&arguments) {
        Ok(Value::Object(mut fields)) => match fields.remove("input") {
            Some(Value::String(text)) => text,
            _ => arguments,
        },
        _ => arguments,
    }
}

#[cfg(test)]
mod tests {
    use super::super::talk::{Call, Choice, Tool};
    use super::*;

    fn request() -> Request {
        let tool = |name: &str, kind| Tool { name: name.to_owned(), kind, ..Tool::default() };
        let tools = vec![tool("run", ToolKind::Custom(None)), tool("add", ToolKind::Bare)];
        Request { tools: tools.into(), ..Request::default() }
    }

    #[test]
    fn only_a_dialect_without_them_needs_them_turned_back() {
        assert!(Custom::of(&request(), Dialect::Messages).knows("run"));
        assert!(!Custom::of(&request(), Dialect::Messages).knows("add"));
        assert!(!Custom::of(&request(), Dialect::Chat).knows("run"));
    }

    #[test]
    fn a_call_gets_its_text_back() {
        let call = |name: &str, arguments: &str| {
            Part::Call(Call { name: name.to_owned(), arguments: arguments.to_owned(), ..Call::default() })
                .into()
        };
        let pieces = vec![
            call("run", r#"{"input":"ls -l\n"}"#),
            call("run", "{\"inp"),
            call("add", r#"{"input":"1"}"#),
        ];
        let choices = vec![Choice { pieces, ..Choice::default() }];
        let mut answer = Answer { choices, ..Answer::default() };
        Custom::of(&request(), Dialect::Gemini).answer(&mut answer);
        let calls = answer.choices[0].pieces.iter().map(|piece| match &piece.part {
            Part::Call(call) => (call.custom, call.arguments.as_str()),
            _ => panic!("no call"),
        });
        let wanted = [(true, "ls -l\n"), (true, "{\"inp"), (false, r#"{"input":"1"}"#)];
        assert_eq!(calls.collect::<Vec<_>>(), wanted);
    }

    /// Broken on purpose to see it fail: arguments passed on as they come.
    #[test]
    fn a_streamed_call_gets_its_text_back_when_it_is_whole() {
        let begin = |piece, name: &str| Event::Begin {
            choice: 0,
            piece,
            opening: Opening::Call {
                id: "c".to_owned(),
                name: name.to_owned(),
                custom: false,
                signature: None,
            },
        };
        let part =
            |piece, text: &str| Event::Delta { choice: 0, piece, delta: Delta::Arguments(text.to_owned()) };
        let end = |piece| Event::End { choice: 0, piece };
        let mut custom = Custom::of(&request(), Dialect::Messages);
        let mut all = Vec::new();
        for event in [
            begin(0, "run"),
            begin(1, "add"),
            part(0, "{\"input\":"),
            part(1, "{}"),
            part(0, "\"hi\"}"),
            end(0),
            end(1),
        ] {
            let mut events = vec![event];
            custom.events(&mut events);
            all.append(&mut events);
        }
        let turned = Event::Begin {
            choice: 0,
            piece: 0,
            opening: Opening::Call {
                id: "c".to_owned(),
                name: "run".to_owned(),
                custom: true,
                signature: None,
            },
        };
        assert_eq!(all, [turned, begin(1, "add"), part(1, "{}"), part(0, "hi"), end(0), end(1)]);
    }
}
