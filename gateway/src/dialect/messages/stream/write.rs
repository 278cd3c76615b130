//! Writes a stream. Anthropic's clients hold one block at a time and count them, so a piece that begins while another is
//! open waits until that has ended.

use std::collections::VecDeque;

use serde_json::json;

use super::super::answer::{kind_of_failure, write_finish};
use super::super::usage;
use super::frame;
use super::open::Open;
use crate::dialect::openai::answer::Usage;
use crate::dialect::talk::tier::given_tier;
use crate::dialect::talk::{Delta, Dialect, Event, Finish, Opening, Own};

/// Writes a stream.
#[derive(Debug)]
pub struct Writer {
    id: String,
    model: String,
    tier: Option<String>,
    begun: bool,
    usage: Usage,
    finish: Option<Finish>,
    open: Option<(usize, Open)>,
    waiting: VecDeque<Waiting>,
    /// Blocks that have begun.
    blocks: usize,
    called: bool,
    refused: bool,
    over: bool,
}

/// A piece that waits for its turn.
#[derive(Debug)]
struct Waiting {
    piece: usize,
    opening: Opening,
    deltas: Vec<Delta>,
    ended: bool,
}

impl Writer {
    /// With the id and the model that the client is told if the provider names none.
    pub fn new(id: impl Into<String>, model: impl Into<String>) -> Writer {
        Writer {
            id: id.into(),
            model: model.into(),
            tier: None,
            begun: false,
            usage: Usage::default(),
            finish: None,
            open: None,
            waiting: VecDeque::new(),
            blocks: 0,
            called: false,
            refused: false,
            over: false,
        }
    }

    /// Appends the bytes (server-sent events, framing included) that say `event`.
    pub fn write(&mut self, event: &Event, to: &mut Vec<u8>) {
        if self.over {
            return;
        }
        match event {
            // The message begins with the next event: if that is the usage, it belongs there.
            Event::Start { id, model, service_tier, .. } => {
                self.start(id, model, service_tier.as_ref());
                return;
            }
            Event::Usage(usage) => self.usage = *usage,
            Event::About { service_tier, .. } => {
                let tier = service_tier.as_ref().and_then(|tier| given_tier(tier, Dialect::Messages));
                self.tier = tier.map(str::to_owned).or(self.tier.take());
            }
            Event::Failed { kind, message } => {
                self.over = true;
                let error = json!({"type": kind_of_failure(kind), "message": message});
                frame::push(to, "error", &json!({"type": "error", "error": error}));
                return;
            }
            _ => {}
        }
        self.begin_message(to);
        match event {
            Event::Begin { choice: 0, piece, opening } => self.begin(*piece, opening, to),
            Event::Delta { choice: 0, piece, delta } => self.delta(*piece, delta, to),
            Event::End { choice: 0, piece } => self.end(*piece, to),
            Event::Finish { choice: 0, finish } => self.finish = Some(finish.clone()),
            Event::Ping => frame::push(to, "ping", &json!({"type": "ping"})),
            Event::Done => self.done(to),
            _ => {}
        }
    }

    fn start(&mut self, id: &str, model: &str, tier: Option<&Own<String>>) {
        for (mine, theirs) in [(&mut self.id, id), (&mut self.model, model)] {
            if !theirs.is_empty() {
                theirs.clone_into(mine);
            }
        }
        self.tier = tier.and_then(|tier| given_tier(tier, Dialect::Messages)).map(str::to_owned);
    }

    fn begin_message(&mut self, to: &mut Vec<u8>) {
        if self.begun {
            return;
        }
        self.begun = true;
        let mut counted = usage::write(self.usage);
        if let Some(tier) = &self.tier {
            counted.insert("service_tier".to_owned(), json!(tier));
        }
        let message = json!({
            "id": self.id, "type": "message", "role": "assistant", "model": self.model, "content": [],
            "stop_reason": null, "stop_sequence": null, "usage": counted,
        });
        frame::push(to, "message_start", &json!({"type": "message_start", "message": message}));
    }

    fn begin(&mut self, piece: usize, opening: &Opening, to: &mut Vec<u8>) {
        self.called |= matches!(opening, Opening::Call { .. });
        self.refused |= matches!(opening, Opening::Refusal);
        if self.open.is_some() {
            let opening = opening.clone();
            self.waiting.push_back(Waiting { piece, opening, deltas: Vec::new(), ended: false });
            return;
        }
        let open = Open::new(opening, &self.id, piece, &mut self.blocks, to);
        self.open = Some((piece, open));
    }

    fn delta(&mut self, piece: usize, delta: &Delta, to: &mut Vec<u8>) {
        match &mut self.open {
            Some((open, block)) if *open == piece => block.delta(delta, &mut self.blocks, to),
            _ => {
                if let Some(waiting) = self.waiting.iter_mut().find(|waiting| waiting.piece == piece) {
                    waiting.deltas.push(delta.clone());
                }
            }
        }
    }

    fn end(&mut self, piece: usize, to: &mut Vec<u8>) {
        if self.open.as_ref().is_none_or(|(open, _)| *open != piece) {
            if let Some(waiting) = self.waiting.iter_mut().find(|waiting| waiting.piece == piece) {
                waiting.ended = true;
            }
            return;
        }
        self.end_open(to);
    }

    /// Ends the open block and lets those in that wait, until one stays open.
    fn end_open(&mut self, to: &mut Vec<u8>) {
        let mut ending = self.open.take();
        while let Some((_, block)) = ending.take() {
            block.end(&mut self.blocks, to);
            let Some(next) = self.waiting.pop_front() else { return };
            let mut block = Open::new(&next.opening, &self.id, next.piece, &mut self.blocks, to);
            for delta in &next.deltas {
                block.delta(delta, &mut self.blocks, to);
            }
            let place = if next.ended { &mut ending } else { &mut self.open };
            *place = Some((next.piece, block));
        }
    }

    fn done(&mut self, to: &mut Vec<u8>) {
        while self.open.is_some() {
            self.end_open(to);
        }
        self.over = true;
        let (reason, stop) = write_finish(self.finish.as_ref(), self.called, self.refused);
        let mut counted = usage::write(self.usage);
        if let Some(tier) = &self.tier {
            counted.insert("service_tier".to_owned(), json!(tier));
        }
        let data = json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": stop},
            "usage": counted});
        frame::push(to, "message_delta", &data);
        frame::push(to, "message_stop", &json!({"type": "message_stop"}));
    }
}
