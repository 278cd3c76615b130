//! The built-in files, and a directory that replaces and adds.

use std::fs;

use super::super::sources::Sources;
use super::check_tests::RIGHT;
use super::load::BUILT_IN;
use super::{Auth, Call, Dialect, Presets, Quirk};

/// Broken on purpose: a file with `quirks = ["max-token-name"]`.
#[test]
fn every_built_in_file_loads() {
    let presets = Presets::built_in().unwrap_or_else(|reports| {
        panic!("{}", reports.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    });
    assert_eq!(presets.names().count(), BUILT_IN.len());
    let wanted = "openai azure anthropic gemini vertex bedrock groq mistral deepseek xai openrouter together \
                  fireworks cerebras perplexity cohere ollama vllm openai-compatible";
    for name in wanted.split_whitespace() {
        assert!(presets.get(name).is_some(), "{name}");
    }
}

/// Broken on purpose: a name left out of `built_in!`.
#[test]
fn every_file_of_the_folder_is_built_in() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/providers");
    for entry in fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_stem().unwrap().to_str().unwrap();
        assert!(BUILT_IN.iter().any(|(known, _)| *known == name), "{name}");
    }
}

#[test]
fn built_in_presets_say_what_callers_ask_for() {
    let presets = Presets::built_in().unwrap();
    let anthropic = presets.get("anthropic").unwrap();
    assert!(anthropic.has(Quirk::NeedsMaxTokens) && !anthropic.has(Quirk::MaxTokensName));
    assert_eq!(anthropic.headers[0].1, "2023-06-01");
    assert_eq!(anthropic.auth[0], Auth::Header("x-api-key".parse().unwrap()));
    let speaks = |name: &str, dialect| presets.get(name).unwrap().dialects.contains(&dialect);
    assert!(speaks("vertex", Dialect::AnthropicMessages) && speaks("bedrock", Dialect::BedrockConverse));
    for name in presets.names() {
        let preset = presets.get(name).unwrap();
        assert_eq!(preset.base_url.is_none(), name == "openai-compatible", "{name}");
        let calls: Vec<Call> = preset.paths.keys().copied().filter(|call| call.dialect().is_some()).collect();
        assert!(!calls.is_empty(), "{name}");
    }
}

/// Broken on purpose: `collect` keeping the first of a name.
#[test]
fn a_directory_replaces_and_adds() {
    let dir = tempfile::tempdir().unwrap();
    let groq = BUILT_IN.iter().find(|(name, _)| *name == "groq").unwrap().1;
    let put = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    put("groq.toml", &groq.replace("api.groq.com", "groq.internal"));
    put("some.toml", RIGHT);
    put("README.md", "no preset");
    put(".some.toml.swp", "no preset");
    put(".hidden.toml", "no preset");
    let mut sources = Sources::default();
    let presets = Presets::load(dir.path(), &mut sources).unwrap();
    let url = |name: &str| presets.get(name).unwrap().url(Call::Chat, "m", &|_| None).unwrap();
    assert_eq!(url("groq"), "https://groq.internal/openai/v1/chat/completions");
    assert_eq!(url("some"), "https://us.some.example/v1/chat/completions");
    assert_eq!(url("openai"), "https://api.openai.com/v1/chat/completions");
    assert_eq!(presets.names().count(), BUILT_IN.len() + 1);
    // What was read is remembered, so that a change is noticed.
    assert_eq!(sources.again(), sources);
    put("groq.toml", groq);
    assert_ne!(sources.again(), sources);
}

#[test]
fn every_wrong_file_of_a_directory_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &[u8]| fs::write(dir.path().join(name), text).unwrap();
    put("some.toml", RIGHT.replace("ignores-n", "ignores-m").as_bytes());
    put("another.toml", RIGHT.as_bytes());
    put("binary.toml", &[0xff, 0xfe, 0x00]);
    put("long.toml", "#".repeat((1 << 20) + 1).as_bytes());
    fs::create_dir(dir.path().join("folder.toml")).unwrap();
    let reports = Presets::load(dir.path(), &mut Sources::default()).unwrap_err();
    let lines: Vec<String> = reports.iter().flat_map(|report| report.lines()).collect();
    assert_eq!(lines.len(), 5, "{lines:#?}");
    let told = |end: &str, words: &str| lines.iter().any(|line| line.contains(end) && line.contains(words));
    assert!(told("some.toml:7:", "ignores-m"), "{lines:#?}");
    assert!(told("another.toml:1:", "`some.toml`"), "{lines:#?}");
    assert!(told("binary.toml: ", "not UTF-8"), "{lines:#?}");
    assert!(told("long.toml: ", "1 MiB"), "{lines:#?}");
    assert!(told("folder.toml: ", "no file"), "{lines:#?}");
    let nowhere = Presets::load(&dir.path().join("none"), &mut Sources::default()).unwrap_err();
    assert!(nowhere[0].lines()[0].contains("cannot be listed"));
}
