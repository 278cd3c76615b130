//! Reading a stream.

use serde_json::Value;

use super::choice::Choice;
use crate::dialect::gemini::answer::blocked;
use crate::dialect::gemini::fields::{Fields, Path, parse};
use crate::dialect::gemini::time;
use crate::dialect::gemini::usage::Counts;
use crate::dialect::openai::answer::Usage;
use crate::dialect::talk::{Dialect, Event, Extra, Finish, Own, Refused};

/// More candidates than Google gives.
const MOST_CHOICES: usize = 64;

/// Reads a stream's events in order.
///
/// The end is not marked. Every event may bear a reason why the answer ended (old models repeat it), so what ends is told
/// only by [`Reader::end`].
#[derive(Default)]
pub struct Reader {
    started: bool,
    /// A failure was reported; nothing follows.
    failed: bool,
    counts: Counts,
    /// As told last.
    usage: Option<Usage>,
    choices: Vec<Choice>,
    /// The tier of service, as said last, and as told at the start.
    tier: Option<String>,
    told_tier: Option<String>,
}

impl Reader {
    /// The next server-sent event, or the next element of the array: its data. Its name does not matter.
    pub fn read(&mut self, _name: &str, data: &[u8], to: &mut Vec<Event>) -> Result<(), Refused> {
        if self.failed {
            return Ok(());
        }
        if data.trim_ascii().is_empty() {
            to.push(Event::Ping);
            return Ok(());
        }
        let mut fields = Fields::new(parse(data)?, &Path::Root)?;
        if let Some(error) = fields.take("error") {
            self.failed = true;
            to.push(failure(&error));
            return Ok(());
        }
        let (counts, tier) = read_usage(self.counts, &mut fields)?;
        self.start(&mut fields, tier.clone(), to)?;
        self.tier = tier.or(self.tier.take());
        let at = Path::Field(&Path::Root, "candidates");
        let candidates = fields.list("candidates");
        let none = candidates.is_empty();
        for (position, candidate) in candidates.into_iter().enumerate() {
            self.candidate(candidate, position, &Path::Index(&at, position), to)?;
        }
        if none && fields.take("promptFeedback").is_some_and(|feedback| blocked(&feedback)) {
            self.choice(0)?.reason = Some(Finish::Filtered);
        }
        self.count(counts, to);
        Ok(())
    }

    /// The stream has ended in order. It must have said why each of its answers did.
    pub fn end(&mut self, to: &mut Vec<Event>) -> Result<(), Refused> {
        if self.failed {
            return Ok(());
        }
        if self.choices.is_empty() || self.choices.iter().any(|choice| choice.reason.is_none()) {
            return Err(Refused::whole("The stream ended before the answer did."));
        }
        for choice in &mut self.choices {
            choice.close(to);
        }
        for choice in &mut self.choices {
            choice.finish(to);
        }
        if self.tier != self.told_tier {
            let service_tier = self.tier.take().map(|tier| Own::new(Dialect::Gemini, tier));
            to.push(Event::About { service_tier, extra: Extra::default() });
        }
        to.push(Event::Done);
        Ok(())
    }

    fn start(
        &mut self,
        fields: &mut Fields,
        tier: Option<String>,
        to: &mut Vec<Event>,
    ) -> Result<(), Refused> {
        if self.started {
            return Ok(());
        }
        self.started = true;
        self.told_tier.clone_from(&tier);
        to.push(Event::Start {
            id: fields.text("responseId")?.unwrap_or_default(),
            model: fields.text("modelVersion")?.unwrap_or_default(),
            created: fields.text("createTime")?.as_deref().and_then(time::seconds),
            service_tier: tier.map(|tier| Own::new(Dialect::Gemini, tier)),
        });
        Ok(())
    }

    /// Tells the counts if they changed.
    fn count(&mut self, counts: Option<Counts>, to: &mut Vec<Event>) {
        let Some(counts) = counts else { return };
        self.counts = counts;
        let usage = counts.usage();
        if self.usage.replace(usage) != Some(usage) {
            to.push(Event::Usage(usage));
        }
    }

    fn choice(&mut self, index: u64) -> Result<&mut Choice, Refused> {
        let known = self.choices.iter().position(|choice| choice.index == index);
        let place = known.unwrap_or(self.choices.len());
        if known.is_none() {
            if place == MOST_CHOICES {
                return Err(Refused::whole("The stream has too many candidates."));
            }
            self.choices.push(Choice::new(index));
        }
        self.choices.get_mut(place).ok_or_else(|| Refused::whole("The stream has too many candidates."))
    }

    fn candidate(
        &mut self,
        candidate: Value,
        position: usize,
        at: &Path,
        to: &mut Vec<Event>,
    ) -> Result<(), Refused> {
        let mut fields = Fields::new(candidate, at)?;
        let index = fields.count("index")?.unwrap_or(position as u64);
        self.choice(index)?.read(fields, at, to)
    }
}

/// The counts, which go on from those `before`, and the tier of service.
fn read_usage(before: Counts, fields: &mut Fields) -> Result<(Option<Counts>, Option<String>), Refused> {
    let Some(metadata) = fields.take("usageMetadata") else { return Ok((None, None)) };
    let at = Path::Field(&Path::Root, "usageMetadata");
    let mut metadata = Fields::new(metadata, &at)?;
    Ok((before.read(&mut metadata), metadata.text("serviceTier")?))
}

fn failure(error: &Value) -> Event {
    let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    Event::Failed { kind: text("status"), message: text("message") }
}
