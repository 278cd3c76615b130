use super::*;
use crate::config::{Price, Rates};
use crate::dialect::openai::answer::{Service, Usage};

/// 2026-11-30, 2027-01-01, 2026-08-16T16:00Z.
const TODAY: u64 = 1_795_996_800;
const NEXT_YEAR: u64 = 1_798_761_600;
const DEEPSEEK: u64 = 1_786_896_000;

fn read(text: &str) -> Prices {
    Prices::read(Path::new("prices.toml"), text).unwrap_or_else(|report| panic!("{report}"))
}

/// A table of entries: models, what stands between, the price of input.
fn table(entries: &[(&str, &str, f64)]) -> Prices {
    let entry = |(models, more, input): &(&str, &str, f64)| {
        format!(
            "[[prices]]\nproviders = [\"p\"]\nmodels = [{models}]\n{more}\nprice = {{ input = {input:?}, output = 0 }}\n\
             source = \"s\"\nchecked = 2026-11-30\n"
        )
    };
    read(&format!("version = 1\n{}", entries.iter().map(entry).collect::<String>()))
}

fn input(pricing: &Pricing, unix: u64) -> Option<f64> {
    pricing.at(unix).map(|price| price.rates.input)
}

/// Broken on purpose to see it fail: the first entry that fits taken; the longest pattern before the exact name.
#[test]
fn the_pattern_that_says_most_counts() {
    let prices = table(&[
        ("\"*\"", "", 1.0),
        ("\"m-1*\"", "", 2.0),
        ("\"m-1.5*\", \"x\"", "", 3.0),
        ("\"m-1.5-a\"", "", 4.0),
    ]);
    let of = |model| input(&prices.of("p", model), TODAY);
    assert_eq!(
        [of("o"), of("m-1"), of("m-1.5-b"), of("m-1.5-a")],
        [Some(1.0), Some(2.0), Some(3.0), Some(4.0)]
    );
    assert_eq!(prices.of("q", "m-1"), Pricing::UNKNOWN, "another provider's prices are its own");
}

/// Broken on purpose to see it fail: the order of the file kept.
#[test]
fn of_those_that_say_as_much_the_one_that_began_last_holds() {
    let prices = table(&[
        ("\"m\"", "from = 2026-11-01", 2.0),
        ("\"m\"", "", 1.0),
        ("\"m\"", "from = 2026-11-30\nuntil = 2027-01-01", 3.0),
        ("\"m\"", "hours = [\"00:00-01:00\"]", 4.0),
    ]);
    let pricing = prices.of("p", "m");
    assert_eq!(input(&pricing, TODAY), Some(4.0), "what holds at some hours goes first");
    let noon = 12 * 3_600;
    assert_eq!(input(&pricing, TODAY - 24 * 3_600 + noon), Some(2.0));
    assert_eq!(input(&pricing, TODAY + noon), Some(3.0));
    assert_eq!(input(&pricing, NEXT_YEAR + noon), Some(2.0));
    assert_eq!(input(&pricing, 1_000_000 + noon), Some(1.0));
}

#[test]
fn the_table_that_is_built_in_is_read_and_has_prices_that_can_be_true() {
    let prices = Prices::built_in().unwrap_or_else(|report| panic!("{report}"));
    let presets = crate::config::preset::Presets::built_in().unwrap();
    for Row { provider, model, listed } in prices.rows() {
        assert!(presets.get(provider).is_some(), "there is no provider {provider}");
        let Price { rates, long, .. } = listed.price;
        for Rates { input, output, cache_read, cache_write, cache_write_long, .. } in
            std::iter::once(rates).chain(long.map(|(_, rates)| rates))
        {
            let name = format!("{provider} {model:?}");
            assert!(input > 0.0 && (output == 0.0 || output >= input), "{name}");
            assert!(
                cache_read <= input && cache_write <= 2.0 * input && cache_write_long <= 2.5 * input,
                "{name}"
            );
        }
        assert!(long.is_none_or(|(_, long)| long.input > rates.input), "{provider} {model:?}");
        assert!(listed.source.starts_with("https://") && listed.checked >= 1_735_689_600);
    }
    assert!(prices.rows().any(|row| row.listed.verified) && prices.rows().any(|row| !row.listed.verified));
}

/// By the published prices: what a call costs, to the last digit.
#[test]
fn the_table_that_is_built_in_says_what_providers_publish() {
    let prices = Prices::built_in().unwrap();
    let cost = |provider, model, unix, usage: Usage| {
        let cost = prices.of(provider, model).at(unix).and_then(|price| price.cost(&usage));
        cost.map(|cost| (cost * 1e9).round() / 1e9)
    };
    let million = Usage { input: 100_000, output: 100_000, cached_input: 50_000, ..Usage::default() };
    assert_eq!(cost("openai", "gpt-4o-2024-11-20", TODAY, million), Some(1.1875));
    assert_eq!(cost("openai", "gpt-6.1-sol", TODAY, million), Some(1.105));
    let long = Usage { input: 272_001, ..Usage::default() };
    assert_eq!(cost("openai", "gpt-5.5", TODAY, long), Some(2.72001));
    let written = Usage { input: 30_000, written_input: 20_000, written_long: 10_000, ..Usage::default() };
    assert_eq!(cost("anthropic", "claude-opus-5-5", TODAY, written), Some(0.17));
    let flash = Usage { input: 1_000_000, output: 1_000_000, ..Usage::default() };
    assert_eq!(cost("gemini", "gemini-3.8-flash", NEXT_YEAR - 1, flash), Some(4.5));
    assert_eq!(cost("gemini", "gemini-3.8-flash", NEXT_YEAR, flash), Some(9.0));
    assert_eq!(cost("deepseek", "deepseek-v4-pro", DEEPSEEK - 1, flash), None);
    assert_eq!(cost("deepseek", "deepseek-v4-pro", DEEPSEEK, flash), Some(2.64));
    assert_eq!(
        cost("deepseek", "deepseek-v4-pro", TODAY + 2 * 3_600, flash),
        Some(5.28),
        "Monday, at a peak hour"
    );
    assert_eq!(cost("xai", "grok-4.7", TODAY, Usage { input: 200_000, ..Usage::default() }), Some(0.8));
    assert_eq!(cost("openai", "gpt-7", TODAY, million), None);
    assert_eq!(cost("anthropic", "claude-opus-5-20260801", TODAY, flash), Some(30.0));
}

/// A successor costs something else. Broken on purpose to see it fail: `gemini-3.5-flash*` and `claude-opus-5*` in the table, by which
/// these had a price.
#[test]
fn the_table_that_is_built_in_has_no_price_for_what_is_not_in_it() {
    let prices = Prices::built_in().unwrap();
    for (provider, model) in [
        ("gemini", "gemini-3.5-flash-lite"),
        ("gemini", "gemini-3.5-flash-image"),
        ("gemini", "gemini-3.8-flash-lite-preview"),
        ("anthropic", "claude-opus-5-9"),
        ("anthropic", "claude-opus-5-50"),
        ("vertex", "claude-sonnet-5-6@20270101"),
        ("openai", "gpt-6-sol-mini"),
        ("openai", "gpt-5-mini-realtime"),
        ("xai", "grok-4.3-fast"),
        ("deepseek", "deepseek-v4-flash-next"),
    ] {
        assert_eq!(prices.of(provider, model), Pricing::UNKNOWN, "{provider} {model}");
    }
}

/// Broken on purpose to see it fail: the price of a table without `service` taken for that of whichever way.
#[test]
fn what_a_table_does_not_say_of_a_way_to_be_served_nobody_knows() {
    let prices = Prices::built_in().unwrap();
    let cost = |provider, model, service| {
        let usage = Usage { input: 1_000_000, service, ..Usage::default() };
        prices.of(provider, model).at(TODAY).unwrap().cost(&usage)
    };
    for (provider, model) in
        [("gemini", "gemini-2.5-flash"), ("xai", "grok-4.7"), ("mistral", "mistral-large-2512")]
    {
        assert!(cost(provider, model, Service::Standard).is_some(), "{model}");
        assert_eq!(cost(provider, model, Service::Flex), None, "{model}");
        assert_eq!(cost(provider, model, Service::Priority), None, "{model}");
    }
    assert_eq!(cost("openai", "gpt-5.5", Service::Priority), Some(25.0));
}

/// It may come from anywhere. Broken on purpose to see it fail: all pairs looked at, which takes for ever.
#[test]
fn a_table_of_too_many_prices_is_refused_before_each_is_looked_at() {
    let names =
        |letter: &str| (0..50_000).map(|at| format!("\"{letter}{at}\"")).collect::<Vec<_>>().join(",");
    let text = format!(
        "version = 1\n[[prices]]\nproviders = [{}]\nmodels = [{}]\nprice = {{ input = 1, output = 1 }}\nsource = \"s\"\n\
         checked = 2026-11-30\n",
        names("p"),
        names("m")
    );
    let report = Prices::read(Path::new("p.toml"), &text).unwrap_err().to_string();
    assert!(report.contains("more than 100000 prices"), "{report}");
}

#[test]
fn a_table_of_a_file_is_read_as_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.toml");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "hunter2").unwrap();
    let text = format!(
        "version = 1\n[[prices]]\nproviders = [\"p\"]\nmodels = [\"${{file:{}}}\"]\nprice = {{ input = 1, output = 1 }}\n\
         source = \"${{HOME}}\"\nchecked = 2026-11-30\n",
        secret.display()
    );
    std::fs::write(&path, text).unwrap();
    let mut sources = Sources::default();
    let prices = Prices::load(&path, &mut sources).unwrap();
    let row = prices.rows().next().unwrap();
    assert!(row.model.text.starts_with("${file:") && row.listed.source == "${HOME}", "{row:?}");
    assert_eq!(prices.file.as_deref(), Some(&*path));
    std::fs::write(&path, "version = 1").unwrap();
    assert_ne!(sources.again(), sources, "a change of it is seen");
}
