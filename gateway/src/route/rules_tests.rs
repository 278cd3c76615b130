//! A table of rules and calls, and that the first rule that is met wins.

use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::config::{Config, ModelId, check};

/// Rules in front of two models, checked as a file is.
fn config(rules: &str) -> Config {
    let text = format!(
        "version = 1\naccounts = [{{ name = \"a\", provider = \"openai\", api_key = \"k\" }}]\n\
         deployments = [{{ name = \"d\", account = \"a\", model = \"x\" }}]\n\
         models = [{{ name = \"small\", aliases = [\"tiny\"], deployments = [\"d\"] }}, {{ name = \"large\", deployments = [\"d\"] }}]\n\
         tenants = [{{ name = \"org\", keys = [] }}, {{ name = \"team\", keys = [] }}]\n{rules}"
    );
    check::check(Path::new("weir.toml"), &text, &|_| None).unwrap_or_else(|report| panic!("{report}"))
}

/// The first rule that a call meets.
fn first<'c>(rules: &'c [Rule], facts: &Facts<'_>) -> Option<&'c Rule> {
    met(rules, facts).next()
}

const NOTHING: &Words = &Words { last: String::new(), all: String::new(), turns: 0, tools: 0 };

fn call<'a>(metadata: &'a Pairs) -> Facts<'a> {
    Facts {
        asked: "auto",
        answers: None,
        input: 100,
        uses: Abilities::default(),
        tags: &[],
        tenants: &[],
        words: NOTHING,
        metadata,
        now: 1_704_067_200, // a Monday, 00:00 UTC
    }
}

/// Each condition of a rule alone: a call that meets it and one that does not.
/// Broken on purpose to see it fail: one tag enough; `max_tokens` excluded; absent tools taken for wanted.
#[test]
fn a_rule_is_met_by_what_it_says_of_a_call() {
    let none = Pairs::new();
    let pairs: Pairs = vec![("task".into(), "sum".into()), ("n".into(), "7".into())];
    let other: Pairs = vec![("task".into(), "chat".into())];
    let (call, named) = (call(&none), |asked| Facts { asked, ..call(&none) });
    let says = |last: &str, all: &str| Words { last: last.into(), all: all.into(), turns: 1, tools: 0 };
    let (said, unsaid) = (says("SELECT 1", "be brief\nSELECT 1"), says("hello", "SELECT\nhello"));
    let long = says(&"- {x} = [y]?\n".repeat(20), "");
    let using = |ability| Facts { uses: Abilities::of([ability]), ..call };
    let words = |words| Facts { words, ..call };
    let cases = [
        ("model = \"auto\"", call, named("other")),
        ("model = \"au*\"", call, named("other")),
        ("model = [\"small\", \"auto\"]", call, named("large")),
        ("model = \"small\"", Facts { answers: Some("small"), ..named("tiny") }, named("tiny")),
        ("min_tokens = 100", call, Facts { input: 99, ..call }),
        ("max_tokens = 100", call, Facts { input: 101, ..call }),
        ("tools = true", using(Ability::Tools), call),
        ("tools = false", call, using(Ability::Tools)),
        ("images = true", using(Ability::Images), using(Ability::Files)),
        ("schema = true", using(Ability::JsonSchema), call),
        ("tags = [\"a\", \"b\"]", Facts { tags: &["c", "b", "a"], ..call }, Facts { tags: &["a"], ..call }),
        ("tenant = \"team\"", Facts { tenants: &["team"], ..call }, Facts { tenants: &["org"], ..call }),
        ("tenant = [\"org\"]", Facts { tenants: &["team", "org"], ..call }, call),
        ("prompt = \"(?i)\\\\bselect\\\\b\"", words(&said), words(&unsaid)),
        ("prompt = { pattern = \"^be brief\", text = \"all\" }", words(&said), words(&unsaid)),
        ("complexity = 0.5", words(&long), call),
        ("complexity = { max = 0.5 }", call, words(&long)),
        (
            "metadata = { task = [\"sum\", \"x\"], n = \"7\" }",
            Facts { metadata: &pairs, ..call },
            Facts { metadata: &other, ..call },
        ),
        ("hours = \"mon 00:00-01:00\"", call, Facts { now: call.now + 3_600, ..call }),
        ("hours = [\"sun 00:00-24:00\", \"mon 00:00-00:01\"]", call, Facts { now: call.now + 60, ..call }),
    ];
    for (when, meets, fails) in cases {
        let config = config(&format!("rules = [{{ when = {{ {when} }}, use = \"large\" }}]"));
        assert!(first(&config.rules, &meets).is_some(), "{when}");
        assert!(first(&config.rules, &fails).is_none(), "{when}");
        let both = format!("rules = [{{ when = {{ {when}, min_tokens = 200 }}, use = \"large\" }}]");
        if !when.contains("_tokens") {
            assert!(first(&self::config(&both).rules, &meets).is_none(), "{when}, and too short");
        }
    }
    assert!(first(&config("rules = [{ when = {}, use = \"large\" }]").rules, &call).is_some());
}

#[test]
fn rules_make_names_that_no_model_has() {
    let config = config(
        "rules = [{ when = { model = [\"auto\", \"tiny\", \"au*\"] }, use = \"small\" }, { name = \"all\", when = { model = \"*\", \
         tools = true }, use = \"tiny\", tier = 0 }]",
    );
    assert_eq!(config.rule_names, ["auto"]);
    assert!(config.is_rule_name("auto") && config.is_rule_name("automatic") && !config.is_rule_name("other"));
    let [first, second] = &config.rules[..] else { panic!() };
    assert_eq!((&*first.name, first.model, first.tier), ("rule 1", ModelId(0), None));
    assert_eq!((&*second.name, second.model, second.tier), ("all", ModelId(0), Some(0)));
}

#[test]
fn a_second_look_is_wanted_only_by_rules_that_may_be_for_the_call() {
    let config = config(
        "rules = [{ when = { model = \"auto\", prompt = \"x\" }, use = \"small\" }, \
         { when = { model = \"large\", metadata = { a = \"b\" } }, use = \"small\" }]",
    );
    let wanted = |name| (config.wanted(name).words, config.wanted(name).metadata);
    assert_eq!(
        (wanted("auto"), wanted("large"), wanted("tiny")),
        ((true, false), (false, true), (false, false))
    );
}

/// A condition of each kind, and what of the call it depends on.
fn condition() -> impl Strategy<Value = String> {
    prop_oneof![
        (0..200u32).prop_map(|n| format!("min_tokens = {}", n + 1)),
        (0..200u32).prop_map(|n| format!("max_tokens = {}", n + 1)),
        any::<bool>().prop_map(|tools| format!("tools = {tools}")),
        "[ab]".prop_map(|tag| format!("tags = [\"{tag}\"]")),
        "(auto|small|large)".prop_map(|name| format!("model = \"{name}\"")),
        "[xyz]".prop_map(|text| format!("prompt = \"{text}\"")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    /// Broken on purpose to see it fail: the last rule that is met taken.
    #[test]
    fn the_first_rule_that_is_met_wins(
        rules in proptest::collection::vec(condition(), 1..8),
        input in 0..200u64,
        tools in any::<bool>(),
        tag in 0..3usize,
        asked in 0..3usize,
        text in "[xyz]{0,2}",
    ) {
        let written: Vec<String> =
            rules.iter().map(|when| format!("{{ when = {{ {when} }}, use = \"small\" }}")).collect();
        let together = config(&format!("rules = [{}]", written.join(", ")));
        let (metadata, said) = (Pairs::new(), Words { last: text, ..Words::default() });
        let facts = Facts {
            asked: ["auto", "small", "large"][asked],
            input,
            uses: Abilities::default().with(Ability::Tools, tools),
            tags: [&["a"][..], &["b"], &[]][tag],
            words: &said,
            ..call(&metadata)
        };
        let chosen = first(&together.rules, &facts).map(|rule| rule.name.to_string());
        // Each rule for itself, in a file of its own.
        let is_met = |rule: &String| first(&config(&format!("rules = [{rule}]")).rules, &facts).is_some();
        let expected = written.iter().position(is_met).map(|at| format!("rule {}", at + 1));
        prop_assert_eq!(chosen, expected);
    }
}
