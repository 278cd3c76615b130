use super::*;
use crate::config::Config;
use crate::config::check::check;

/// A model `m` with two deployments of priority 0, two of 1 and two of 2.
fn config(model: &str) -> Config {
    let deployment =
        |name: &&str| format!("[[deployments]]\nname = \"{name}\"\naccount = \"a\"\nmodel = \"x\"\n");
    let deployments: String = ["a0", "b0", "a1", "b1", "a2", "b2"].iter().map(deployment).collect();
    let text = format!(
        "version = 1\n[[accounts]]\nname = \"a\"\nprovider = \"openai-compatible\"\n\
         base_url = \"http://127.0.0.1:1/v1\"\n{deployments}\n[[models]]\nname = \"m\"\n\
         deployments = [\"a0\", \"b0\", {{ name = \"a1\", priority = 1 }}, {{ name = \"b1\", priority = 1 }}, \
         {{ name = \"a2\", priority = 2 }}, {{ name = \"b2\", priority = 2 }}]\n{model}\n"
    );
    check(std::path::Path::new("weir.toml"), &text, &|_| None).unwrap_or_else(|report| panic!("{report}"))
}

/// Tries one after the other, as far as it may: the names, each with whether something may follow.
fn tried(config: &Config) -> Vec<(&str, bool)> {
    let model = &config.models[0];
    let (mut attempts, mut seen) = (Attempts::new(model), Vec::new());
    while attempts.are_left() {
        let is_left = |target: &&Target| {
            let name = &*config.deployments[target.deployment.0].name;
            attempts.may_go_to(target) && !seen.iter().any(|(tried, _)| *tried == name)
        };
        let of = |target| Ranked { target, tier: 0, threshold: 0, set: 0 };
        let ranked: Vec<Ranked<'_>> = model.targets.iter().filter(is_left).map(of).collect();
        let Some(first) = ranked.first() else { break };
        seen.push((
            &*config.deployments[first.target.deployment.0].name,
            attempts.may_go_on(&ranked, 0, |_| false),
        ));
        attempts.count(first.target, true);
    }
    assert_eq!(attempts.made(), seen.len() as u32);
    seen
}

/// Broken on purpose to see it fail: attempts not counted in tiers; those left in a tier counted without the one under way.
#[test]
fn attempts_of_a_tier_bound_the_tier_and_those_of_the_model_all_of_them() {
    let check = |model: &str, expected: &[(&str, bool)]| {
        assert_eq!(tried(&config(model)), expected, "{model}");
    };
    check("", &[("a0", true), ("b0", true), ("a1", false)]);
    let all = [("a0", true), ("b0", true), ("a1", true), ("b1", true), ("a2", true), ("b2", false)];
    check("retry = { attempts = 9 }", &all);
    check("retry = { attempts = 1 }", &[("a0", false)]);
    check("tiers = [{ priority = 0, attempts = 1 }]", &[("a0", true), ("a1", true), ("b1", false)]);
    let last =
        "tiers = [{ priority = 0, attempts = 1 }, { priority = 2, attempts = 1 }]\nretry = { attempts = 9 }";
    check(last, &[("a0", true), ("a1", true), ("b1", true), ("a2", false)]);
    // A tier without a bound has that of the model.
    let first = "tiers = [{ priority = 1, attempts = 2 }, { priority = 2 }]\nretry = { attempts = 4 }";
    check(first, &[("a0", true), ("b0", true), ("a1", true), ("b1", false)]);
}

/// Broken on purpose to see it fail: who is shut counted as one to go on to.
#[test]
fn nobody_goes_on_to_who_is_shut() {
    let config = config("");
    let (attempts, targets) = (Attempts::new(&config.models[0]), &config.models[0].targets);
    let ranked: Vec<_> =
        targets[..2].iter().map(|target| Ranked { target, tier: 0, threshold: 0, set: 0 }).collect();
    assert!(attempts.may_go_on(&ranked, 0, |target| *target == targets[0]));
    assert!(!attempts.may_go_on(&ranked, 0, |target| *target == targets[1]));
}
