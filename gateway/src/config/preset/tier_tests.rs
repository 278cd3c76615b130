//! Limits of tiers: as written, and for the right model.

use super::super::{Charge, Counted, MeterKind, MeterSpec, ReservePolicy};
use super::check_tests::{RIGHT, read};
use super::load::BUILT_IN;
use super::{Preset, Presets};

const MINUTE: u64 = 60_000;

fn meters(preset: &Preset, tier: &str, model: &str) -> Vec<(MeterKind, u64, u64)> {
    let pool = preset.limits(tier, model).unwrap_or_else(|| panic!("{} {tier} {model}", preset.name));
    pool.meters.iter().map(|meter| (meter.kind, meter.limit, meter.per_ms)).collect()
}

/// What `limits` and `meters` of a pool say, read without the code under test.
fn written(pool: &toml::Table) -> Vec<(String, u64, u64)> {
    let mut all = Vec::new();
    for (key, limit) in pool.get("limits").and_then(|limits| limits.as_table()).into_iter().flatten() {
        let (kind, per) = match key.as_str() {
            "rpm" => ("Requests", MINUTE),
            "rps" => ("Requests", 1_000),
            "rpd" => ("Requests", 86_400_000),
            "tpm" => ("Tokens", MINUTE),
            "tpd" => ("Tokens", 86_400_000),
            "itpm" => ("InputTokens", MINUTE),
            "otpm" => ("OutputTokens", MINUTE),
            "concurrency" => ("Concurrency", 0),
            other => panic!("{other}"),
        };
        all.push((kind.to_owned(), limit.as_integer().unwrap() as u64, per));
    }
    for meter in pool.get("meters").and_then(|meters| meters.as_array()).into_iter().flatten() {
        assert_eq!((meter["kind"].as_str(), meter["per"].as_str()), (Some("tokens"), Some("1h")));
        all.push(("Tokens".to_owned(), meter["limit"].as_integer().unwrap() as u64, 3_600_000));
    }
    all.sort();
    all
}

/// Broken on purpose: `otpm` where `itpm` belongs in `keys`.
/// Broken on purpose to see it fail: the factor of the output left out.
#[test]
fn what_a_provider_counts_is_in_its_preset() {
    let presets = Presets::built_in().unwrap();
    let counted = |name: &str| presets.get(name).unwrap().counting.counted();
    assert_eq!(counted("openai"), Counted::ALL);
    assert_eq!(counted("vllm"), Counted::ALL);
    assert_eq!(counted("anthropic"), Counted { cached_input: false, ..Counted::ALL });
    assert_eq!(counted("bedrock"), Counted { cached_input: false, cache_write: true, output: 5 });
    assert_eq!(counted("gemini").output, 0);
}

#[test]
fn every_tier_has_the_limits_that_its_file_says() {
    let presets = Presets::built_in().unwrap();
    let mut pools = 0;
    for (name, text) in BUILT_IN {
        let file: toml::Table = text.parse().unwrap();
        let preset = presets.get(name).unwrap();
        for tier in file.get("tiers").and_then(|tiers| tiers.as_array()).into_iter().flatten() {
            for pool in tier["pools"].as_array().unwrap() {
                pools += 1;
                let expected = written(pool.as_table().unwrap());
                for model in pool["models"].as_array().unwrap() {
                    let model = model.as_str().unwrap().replace('*', "-x");
                    let found = meters(preset, tier["name"].as_str().unwrap(), &model);
                    let mut found: Vec<_> = found
                        .into_iter()
                        .map(|(kind, limit, per)| (format!("{kind:?}"), limit, per))
                        .collect();
                    found.sort();
                    assert_eq!(found, expected, "{name} {model}");
                }
            }
        }
    }
    assert!(pools > 130, "{pools}");
}

/// Model, requests and tokens of every recorded answer whose headers tell limits.
fn recorded_limits(text: &str) -> Vec<(String, String, String)> {
    let records = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let of = |record: &serde_json::Value| {
        let header =
            |name: &str| record["response"]["headers"][name][0].as_str().unwrap_or_default().to_owned();
        let model = record["model"].as_str().unwrap_or_default().to_owned();
        (model, header("x-ratelimit-limit-requests"), header("x-ratelimit-limit-tokens"))
    };
    records.map(|record| of(&record)).collect()
}

/// Pools marked `# recorded` have limits that headers told for their model; OpenAI tells requests per day where those
/// are fewer. Broken on purpose: a digit changed in such a line of `openai.toml`.
#[test]
fn limits_marked_as_recorded_were() {
    let Ok(folder) = std::env::var("WEIR_TRAFFIC") else {
        println!("skipped: WEIR_TRAFFIC is not set");
        return;
    };
    let mut marked = 0;
    for name in ["openai", "xai"] {
        let recorded = recorded_limits(&std::fs::read_to_string(format!("{folder}/{name}.jsonl")).unwrap());
        let text = BUILT_IN.iter().find(|(known, _)| *known == name).unwrap().1;
        for line in text.lines().filter(|line| line.contains("models = [") && line.ends_with("# recorded")) {
            let number = |key: &str| {
                let digits = line.split_once(&format!(" {key} = "))?.1.split([' ', ',']).next()?;
                Some(digits.replace('_', ""))
            };
            let model = line.split('"').nth(3).unwrap().trim_end_matches('*');
            let limits = (model.to_owned(), number("rpd").or(number("rpm")).unwrap(), number("tpm").unwrap());
            assert!(recorded.contains(&limits), "{name}: {limits:?}");
            marked += 1;
        }
    }
    assert!(marked >= 14, "{marked}");
}

#[test]
fn limits_that_are_known() {
    use MeterKind::{Concurrency, InputTokens, OutputTokens, Requests, Tokens};
    let presets = Presets::built_in().unwrap();
    let of = |preset: &str, tier, model| meters(presets.get(preset).unwrap(), tier, model);
    assert_eq!(
        of("anthropic", "tier-4", "claude-sonnet-4-6"),
        [(Requests, 4_000, MINUTE), (InputTokens, 2_000_000, MINUTE), (OutputTokens, 400_000, MINUTE)]
    );
    assert_eq!(
        of("openai", "tier-5", "gpt-4o-mini-2024-07-18"),
        [(Requests, 30_000, MINUTE), (Tokens, 150_000_000, MINUTE)]
    );
    assert_eq!(of("deepseek", "default", "deepseek-v4-pro"), [(Concurrency, 500, 0)]);
    let openai = presets.get("openai").unwrap();
    let pool = openai.limits("tier-1", "gpt-5-mini-2025-08-07").unwrap();
    assert_eq!((pool.name.as_str(), pool.charge), ("gpt-5-mini", Charge::AdmissionMax));
    assert!(openai.limits("tier-9", "gpt-5").is_none() && openai.limits("tier-1", "gpt-6").is_none());
    assert!(presets.get("anthropic").unwrap().limits("tier-1", "claude-fable-5").is_none());
}

/// Broken on purpose: `limits` without the length of the text, then without the name before prefixes.
#[test]
fn the_most_specific_pattern_wins() {
    let text = RIGHT.replacen(
        "  { name = \"b\"",
        "  { name = \"all\", models = [\"*\"], limits = { rpm = 1 } },\n  \
         { name = \"exact\", models = [\"a-1\"], limits = { rpm = 3 }, charge = \"admission-actual\", reserve = \"predicted\" },\n  \
         { name = \"longer\", models = [\"a-1*\"], limits = { rpm = 2 } },\n  \
         { name = \"b\"",
        1,
    );
    let preset =
        read(&text.replace("without = [\"b\"]", "without = [\"b\", \"all\", \"longer\", \"exact\"]"))
            .unwrap();
    let pool = |model| preset.limits("free", model).unwrap();
    let names = ["a", "a-", "a-1", "a-12", "b", "b2", ""].map(|model| pool(model).name.as_str());
    assert_eq!(names, ["a", "a", "exact", "longer", "b", "all", "all"]);
    let terms = |model| (pool(model).charge, pool(model).reserve);
    assert_eq!(terms("a-1"), (Charge::AdmissionActual, ReservePolicy::Predicted));
    assert_eq!(terms("a"), (Charge::EndActual, ReservePolicy::Max));
    assert_eq!(preset.tiers[1].name, "paid");
}

#[test]
fn meters_stand_in_the_order_of_an_accounts_pools() {
    let text = RIGHT.replace("limits = { rpm = 10 }", "meters = [{ kind = \"requests\", limit = 7, per = \"5h\" }], limits = { otpm = 4, rpd = 3, rpm = 10, tpm = 9 }");
    let preset = read(&text).unwrap();
    let expected = [
        (MeterKind::Requests, 10, MINUTE),
        (MeterKind::Requests, 7, 5 * 60 * MINUTE),
        (MeterKind::Requests, 3, 24 * 60 * MINUTE),
        (MeterKind::Tokens, 9, MINUTE),
        (MeterKind::OutputTokens, 4, MINUTE),
    ];
    let found = &preset.limits("free", "a").unwrap().meters;
    assert_eq!(found, &expected.map(|(kind, limit, per_ms)| MeterSpec { kind, limit, per_ms }));
}
