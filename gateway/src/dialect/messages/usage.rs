//! What was used. Anthropic counts the input that was neither read from nor written to the cache, and those two beside it;
//! `Usage` counts all of it as input.

use serde_json::{Map, Value, json};

use crate::dialect::openai::answer::{Service, Usage};

/// No call uses more; who says so is wrong, and would use up a tenant's limits by a word. Such a count is no count.
const MOST_TOKENS: u64 = 1 << 30;

/// The counts of a `usage` object. In a stream several come; each only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    fresh: u64,
    written: u64,
    cached: u64,
    output: u64,
    reasoning: u64,
    written_long: u64,
    service: Service,
}

impl Counts {
    /// Adds what an object says, and takes it out of it.
    pub(super) fn absorb(&mut self, usage: &mut Map<String, Value>) {
        for (name, into) in [
            ("input_tokens", &mut self.fresh),
            ("cache_creation_input_tokens", &mut self.written),
            ("cache_read_input_tokens", &mut self.cached),
            ("output_tokens", &mut self.output),
        ] {
            *into = (*into).max(count(usage.remove(name)));
        }
        self.look(usage);
        let Some(Value::Object(details)) = usage.get_mut("output_tokens_details") else { return };
        self.reasoning = self.reasoning.max(count(details.remove("thinking_tokens")));
        if details.is_empty() {
            usage.remove("output_tokens_details");
        }
    }

    /// What prices depend on besides, which stays where it is.
    fn look(&mut self, usage: &Map<String, Value>) {
        let kept = usage.get("cache_creation").and_then(|kept| kept.get("ephemeral_1h_input_tokens"));
        self.written_long = self.written_long.max(count(kept.cloned()));
        let word = |name: &str| usage.get(name).and_then(Value::as_str);
        // "standard" is said of both beside what it is not.
        for said in [word("service_tier"), word("speed")].into_iter().flatten() {
            let said = Service::of(said);
            if said != Service::Standard {
                self.service = said;
            }
        }
    }

    /// In the neutral way of counting.
    pub(super) fn usage(self) -> Usage {
        Usage {
            input: self.fresh + self.written + self.cached,
            cached_input: self.cached,
            written_input: self.written,
            output: self.output.max(self.reasoning),
            reasoning: self.reasoning,
            written_long: self.written_long.min(self.written),
            service: self.service,
        }
    }
}

fn count(value: Option<Value>) -> u64 {
    value.and_then(|value| value.as_u64()).filter(|count| *count <= MOST_TOKENS).unwrap_or(0)
}

/// The input that the cache neither held nor took.
pub(super) fn fresh(usage: Usage) -> u64 {
    usage.input.saturating_sub(usage.cached_input).saturating_sub(usage.written_input)
}

/// As a `usage` object.
pub(super) fn write(usage: Usage) -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("input_tokens".to_owned(), json!(fresh(usage)));
    map.insert("cache_creation_input_tokens".to_owned(), json!(usage.written_input));
    map.insert("cache_read_input_tokens".to_owned(), json!(usage.cached_input));
    map.insert("output_tokens".to_owned(), json!(usage.output));
    if usage.reasoning > 0 {
        map.insert("output_tokens_details".to_owned(), json!({ "thinking_tokens": usage.reasoning }));
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Broken once: with the cached tokens left out of `input`, it fails.
    #[test]
    fn input_includes_what_the_cache_held() {
        let Value::Object(mut map) = json!({"input_tokens": 3, "cache_creation_input_tokens": 20,
            "cache_read_input_tokens": 100, "output_tokens": 7,
            "output_tokens_details": {"thinking_tokens": 5}, "inference_geo": "eu"})
        else {
            return;
        };
        let whole = map.clone();
        let mut counts = Counts::default();
        counts.absorb(&mut map);
        let usage = counts.usage();
        let wanted = Usage {
            input: 123,
            cached_input: 100,
            written_input: 20,
            output: 7,
            reasoning: 5,
            ..Usage::default()
        };
        assert_eq!(usage, wanted);
        assert_eq!(Value::Object(map), json!({"inference_geo": "eu"}));
        assert!(write(usage).iter().all(|(name, value)| whole.get(name) == Some(value)));
    }

    /// Broken on purpose to see it fail: the hour's part left out; `speed` not looked at.
    #[test]
    fn what_prices_depend_on_is_seen_and_left() {
        let Value::Object(mut map) = json!({"input_tokens": 3, "cache_creation_input_tokens": 20, "output_tokens": 1,
            "cache_creation": {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 15},
            "service_tier": "standard", "speed": "fast"})
        else {
            return;
        };
        let mut counts = Counts::default();
        counts.absorb(&mut map);
        let usage = counts.usage();
        assert_eq!((usage.written_input, usage.written_long, usage.service), (20, 15, Service::Fast));
        assert!(map.contains_key("cache_creation") && map.contains_key("speed"));
        assert_eq!(Service::of("scale"), Service::Other);
    }

    #[test]
    fn counts_only_grow_and_absurd_ones_do_not_count() {
        let mut counts = Counts::default();
        for value in [
            json!({"output_tokens": 5}),
            json!({"output_tokens": 3}),
            json!({"output_tokens": -1}),
            json!({"output_tokens": u64::MAX, "input_tokens": "x", "output_tokens_details": 3}),
        ] {
            let Value::Object(mut map) = value else { return };
            counts.absorb(&mut map);
        }
        assert_eq!(counts.usage(), Usage { output: 5, ..Usage::default() });
    }
}
