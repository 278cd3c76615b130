//! Quirks of presets against recorded chats. `WEIR_TRAFFIC` names the folder of recordings; without it this test prints
//! that it was skipped.

use serde_json::Value;

use super::recorded_tests::FILES;
use super::{Presets, Quirk};

/// What the recorded chats of a provider show: of how many, how many.
#[derive(Default)]
struct Shown {
    unasked: (u32, u32),
    usage_with_choices: (u32, u32),
    first_without_choices: (u32, u32),
    fewer_than_n: (u32, u32),
    comments: u32,
    reasoning_content: u32,
    reasoning: u32,
}

fn add(pair: &mut (u32, u32), seen: bool) {
    *pair = (pair.0 + 1, pair.1 + u32::from(seen));
}

impl Shown {
    fn answer(&mut self, request: &Value, body: &str) {
        if body.contains("data:") {
            return self.stream(request, body);
        }
        let answer: Value = serde_json::from_str(body).unwrap_or_default();
        self.reasoned(&answer, "message");
        if let (Some(n @ 2..), Some(choices)) = (request["n"].as_u64(), answer["choices"].as_array()) {
            add(&mut self.fewer_than_n, (choices.len() as u64) < n);
        }
    }

    fn stream(&mut self, request: &Value, body: &str) {
        let data = body.lines().filter_map(|line| line.strip_prefix("data:"));
        let chunks: Vec<Value> = data.filter_map(|data| serde_json::from_str(data).ok()).collect();
        let no_choices = |chunk: &Value| chunk["choices"].as_array().is_none_or(Vec::is_empty);
        if let Some(first) = chunks.first() {
            add(&mut self.first_without_choices, no_choices(first));
        }
        let usage = chunks.iter().rfind(|chunk| chunk["usage"].is_object());
        if let Some(chunk) = usage {
            add(&mut self.usage_with_choices, !no_choices(chunk));
        }
        if request["stream_options"]["include_usage"] != true {
            let groq = chunks.iter().any(|chunk| chunk["x_groq"]["usage"].is_object());
            add(&mut self.unasked, usage.is_some() || groq);
        }
        self.comments += u32::from(body.lines().any(|line| line.starts_with(':')));
        chunks.iter().for_each(|chunk| self.reasoned(chunk, "delta"));
    }

    fn reasoned(&mut self, answer: &Value, part: &str) {
        let holds = |key: &str| answer["choices"][0][part][key].as_str().is_some_and(|text| !text.is_empty());
        self.reasoning_content += u32::from(holds("reasoning_content"));
        self.reasoning += u32::from(holds("reasoning"));
    }

    /// Quirks that the recordings decide, and how.
    fn decided(&self) -> Vec<(Quirk, bool)> {
        let ratios = [
            (Quirk::UsageUnasked, self.unasked),
            (Quirk::UsageInLastChoice, self.usage_with_choices),
            (Quirk::FirstChunkWithoutChoices, self.first_without_choices),
            (Quirk::IgnoresN, self.fewer_than_n),
        ];
        let known = ratios.into_iter().filter(|(_, (of, _))| *of > 0);
        let mut decided: Vec<_> = known.map(|(quirk, (of, seen))| (quirk, 2 * seen > of)).collect();
        // What was not seen may still come: a comment while a call waits, reasoning of another model.
        let seen = [
            (Quirk::StreamComments, self.comments),
            (Quirk::ReasoningContent, self.reasoning_content),
            (Quirk::ReasoningField, self.reasoning),
        ];
        decided.extend(seen.into_iter().filter(|(_, times)| *times > 1).map(|(quirk, _)| (quirk, true)));
        decided
    }
}

/// Broken on purpose: `ignores-n` left out of `openrouter.toml`, `usage-in-last-choice` put into `xai.toml`.
#[test]
fn presets_have_the_quirks_that_recordings_show() {
    let Ok(folder) = std::env::var("WEIR_TRAFFIC") else {
        println!("skipped: WEIR_TRAFFIC is not set");
        return;
    };
    let presets = Presets::built_in().unwrap();
    let mut decided = 0;
    // Compatible servers differ among themselves.
    for (file, name) in FILES.iter().filter(|(_, name)| *name != "openai-compatible") {
        let mut shown = Shown::default();
        let text = std::fs::read_to_string(format!("{folder}/{file}.jsonl")).unwrap();
        for record in text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
            if record["endpoint"] == "chat_completions" && record["response"]["status"] == 200 {
                let request = record["request"]["body"].as_str().unwrap_or_default();
                let request = serde_json::from_str(request).unwrap_or_default();
                shown.answer(&request, record["response"]["body"].as_str().unwrap_or_default());
            }
        }
        for (quirk, expected) in shown.decided() {
            assert_eq!(presets.get(name).unwrap().has(quirk), expected, "{name}: {quirk:?}");
            decided += 1;
        }
    }
    assert!(decided >= 30, "{decided}");
}
