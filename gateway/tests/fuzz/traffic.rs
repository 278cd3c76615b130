//! Recorded traffic as a corpus, where there is some (`WEIR_TRAFFIC`): nothing of it is kept here.

use serde_json::Value;

/// Bodies longer than that are left out: images, mostly.
const LONGEST: usize = 20_000;
/// As many of each target are enough.
const MOST: usize = 400;

/// What was recorded of the kind that the target reads.
pub(crate) fn inputs(target: &str) -> Vec<Vec<u8>> {
    let Ok(folder) = std::env::var("WEIR_TRAFFIC") else { return Vec::new() };
    let Some((kind, dialect)) = target.split_once('_') else { return Vec::new() };
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|end| end == "jsonl")) {
        let text = std::fs::read_to_string(file).unwrap();
        found.extend(
            text.lines().filter_map(|line| input(&serde_json::from_str(line).unwrap(), kind, dialect)),
        );
    }
    let step = found.len() / MOST + 1;
    found.into_iter().step_by(step).collect()
}

fn input(record: &Value, kind: &str, dialect: &str) -> Option<Vec<u8>> {
    let served = record["response"]["status"] == 200;
    let streamed = record["stream"] == true;
    let part = match kind {
        "request" | "rewrite" => &record["request"],
        "answer" if served && !streamed => &record["response"],
        "stream" if served && streamed => &record["response"],
        "failure" if !served && dialect == "answer" => {
            let body = record["response"]["body"].as_str()?;
            return Some(format!("{}\n\n{body}", record["response"]["status"]).into_bytes());
        }
        _ => return None,
    };
    let own = match record["endpoint"].as_str()? {
        "generateContent" | "streamGenerateContent" if kind == "rewrite" => "generate",
        "countTokens" => "count",
        "batchEmbedContents" => "embed",
        "chat_completions" => "chat",
        "generateContent" | "streamGenerateContent" => "gemini",
        "converse" | "converse_stream" => "converse",
        other => other,
    };
    let body = part["body"].as_str().filter(|body| !body.is_empty() && body.len() <= LONGEST)?;
    (own == dialect && part["body_encoding"] == "utf8").then(|| body.as_bytes().to_vec())
}
