//! What a stream has shown so far, whatever its dialect.

use crate::dialect::openai::answer::{Service, Usage};
use crate::dialect::openai::stream::{Begun, Chunk, Delivered, Event};
use crate::dialect::talk::{self, Delta, Opening};

/// What a stream has shown so far.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Something that a client would act on.
    pub content: bool,
    /// The newest usage.
    pub usage: Option<Usage>,
    /// Output that reached us.
    pub delivered: Delivered,
    /// The response that was begun, in streams that tell and pass as they are.
    pub begun: Option<Begun>,
    /// The last event has come: `[DONE]`, or the whole response.
    pub done: bool,
    /// The usage is the final one: it came in a chunk of its own, or with `[DONE]` behind it.
    pub complete: bool,
    /// In which way it is served, where that is told apart from the usage.
    service: Service,
}

impl Seen {
    /// Takes note of an event of OpenAI's; is it for the client?
    pub fn note(&mut self, event: &Event, chunk: &Chunk, withhold_usage: bool) -> bool {
        self.content |= chunk.is_content();
        self.delivered.add(chunk);
        if let Some(begun) = &mut self.begun {
            begun.note(event);
        }
        match chunk {
            Chunk::Usage { usage, choices_empty, .. } => {
                self.usage = Some(*usage);
                self.complete |= *choices_empty;
                !(withhold_usage && *choices_empty)
            }
            Chunk::Done => {
                self.done = true;
                self.complete = true;
                true
            }
            Chunk::Begun(begun) => {
                self.begun = Some(begun.clone());
                true
            }
            Chunk::Finished { usage } => {
                self.usage = *usage;
                (self.done, self.complete) = (true, true);
                true
            }
            Chunk::Comment | Chunk::NoContent | Chunk::Content { .. } | Chunk::Error(_) => true,
        }
    }

    /// Takes note of what was read of an event.
    pub fn hear(&mut self, event: &talk::Event) {
        match event {
            talk::Event::Begin { opening, .. } => {
                self.content |= matches!(opening, Opening::Call { .. } | Opening::Whole(_));
            }
            talk::Event::Delta { delta, .. } => self.hear_delta(delta),
            talk::Event::Finish { .. } => self.content = true,
            talk::Event::Usage(usage) => self.usage = Some(*usage),
            talk::Event::Done => (self.done, self.complete) = (true, true),
            talk::Event::Start { service_tier: Some(tier), .. }
            | talk::Event::About { service_tier: Some(tier), .. } => self.service = Service::of(&tier.value),
            talk::Event::Start { .. }
            | talk::Event::End { .. }
            | talk::Event::Logprobs { .. }
            | talk::Event::About { .. }
            | talk::Event::Ping
            | talk::Event::Failed { .. } => {}
        }
    }

    /// What was used in all, if that was said.
    pub fn used(&self) -> Option<Usage> {
        // A running usage says what was used so far, not what will have been.
        Some(self.usage.filter(|_| self.complete)?.served(self.service))
    }

    /// What was used as far as that is known, if the stream ends here: the input that the provider has told of, with what its cache
    /// had to do with it, else our own count of it; and the output that has come.
    pub fn used_so_far(&self, input: u64) -> Usage {
        let told = self.usage.filter(|usage| usage.input > 0).unwrap_or(Usage { input, ..Usage::default() });
        Usage { output: told.output.max(self.delivered.tokens()), ..told }.served(self.service)
    }

    fn hear_delta(&mut self, delta: &Delta) {
        let bytes = match delta {
            Delta::Text(text) | Delta::Summary(_, text) | Delta::Arguments(text) => text.len(),
            // Their tokens stand in the usage, and no length tells how many.
            Delta::Signature(_) | Delta::Encrypted(_) | Delta::Citation(_) => 0,
        };
        self.delivered.chunks += u64::from(bytes > 0);
        self.delivered.bytes += bytes as u64;
        self.content |= bytes > 0 || matches!(delta, Delta::Encrypted(_));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> talk::Event {
        talk::Event::Delta { choice: 0, piece: 0, delta: Delta::Text(text.to_owned()) }
    }

    /// Broken on purpose to see it fail: the opening of a text taken for content.
    #[test]
    fn content_is_what_a_client_would_act_on() {
        let mut seen = Seen::default();
        let begin = talk::Event::Begin { choice: 0, piece: 0, opening: Opening::Text };
        for event in [&talk::Event::Ping, &begin, &text(""), &talk::Event::Usage(Usage::default())] {
            seen.hear(event);
        }
        assert!(!seen.content && !seen.done);
        seen.hear(&text("Hi, you."));
        assert!(seen.content);
        assert_eq!((seen.delivered.chunks, seen.delivered.bytes), (1, 8));
        seen.hear(&talk::Event::Done);
        assert!(seen.done && seen.complete && seen.usage == Some(Usage::default()));
    }

    /// Anthropic tells the input first. Broken on purpose to see it fail: our own count of the input taken all the same, which
    /// pays what was read from the cache as if it had not been.
    #[test]
    fn what_a_stream_has_told_of_its_input_counts_when_it_is_cut() {
        let mut seen = Seen::default();
        seen.hear(&text("Hello there, you."));
        let own = seen.used_so_far(700);
        assert_eq!((own.input, own.cached_input, own.output), (700, 0, seen.delivered.tokens()));
        let told = Usage {
            input: 100_000,
            cached_input: 99_000,
            output: 1,
            service: Service::Fast,
            ..Usage::default()
        };
        seen.hear(&talk::Event::Usage(told));
        assert_eq!(seen.used(), None, "it is not all");
        let output = seen.delivered.tokens();
        assert!(output > 1);
        assert_eq!(seen.used_so_far(700), Usage { output, ..told });
        let much = Usage { output: 5_000, ..told };
        seen.hear(&talk::Event::Usage(much));
        assert_eq!(seen.used_so_far(700), much);
        seen.hear(&talk::Event::Usage(Usage::default())); // it counts nothing
        assert_eq!(seen.used_so_far(700).input, 700);
    }
}
