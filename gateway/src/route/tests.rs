use super::*;
use crate::config::check;

/// A model `m` of these deployments, with what stands beside them.
fn config(deployments: &str, model: &str) -> Config {
    let text = format!(
        "version = 1\n[[accounts]]\nname = \"a\"\nprovider = \"openai-compatible\"\n\
         base_url = \"http://127.0.0.1:1/v1\"\n{deployments}\n[[models]]\nname = \"m\"\n{model}\n"
    );
    check::check(std::path::Path::new("weir.toml"), &text, &|_| None)
        .unwrap_or_else(|report| panic!("{report}"))
}

/// Three deployments, the dearer the later.
fn three(model: &str) -> Config {
    let deployment = |(name, price): (&str, f64)| {
        format!(
            "[[deployments]]\nname = \"{name}\"\naccount = \"a\"\nmodel = \"x\"\n\
             price = {{ input = {price:?}, output = {price:?} }}\n"
        )
    };
    let all: String = [("one", 1.0), ("two", 1.01), ("three", 3.0)].into_iter().map(deployment).collect();
    config(&all, &format!("deployments = [\"three\", \"two\", \"one\"]\n{model}"))
}

fn names(config: &Config, ranked: &[Ranked<'_>]) -> Vec<String> {
    ranked.iter().map(|of| config.deployments[of.target.deployment.0].name.to_string()).collect()
}

const NEEDS: Needs = Needs { input: 1_000, output: 0, expected: 1_000 };

/// Ranks once, with these outlooks in the order one, two, three.
fn ranked<'a>(config: &'a Config, outlooks: [Outlook; 3], rng: &mut fastrand::Rng) -> Vec<Ranked<'a>> {
    let (rotation, outlook) = (Mutex::default(), |id: DeploymentId| outlooks[id.0]);
    rank(config, &config.models[0], &rotation, NEEDS, &|_| true, &outlook, &mut || rng.f64())
}

/// How often each comes first in 3,000 calls, in the order one, two, three.
fn firsts(config: &Config, outlooks: [Outlook; 3]) -> [u32; 3] {
    let (mut counts, mut rng) = ([0; 3], fastrand::Rng::with_seed(7));
    for _ in 0..3_000 {
        counts[ranked(config, outlooks, &mut rng)[0].target.deployment.0] += 1;
    }
    counts
}

fn takes(seconds: f64) -> Outlook {
    Outlook { time: Some(seconds), ..Outlook::default() }
}

fn fails(errors: f64) -> Outlook {
    Outlook { errors, ..takes(1.0) }
}

/// Broken on purpose to see it fail: all in one tier.
#[test]
fn a_dearer_one_serves_only_what_a_cheaper_cannot() {
    let config = three("strategy = \"cost\"\ntiebreak_within = 0.0");
    let mut rng = fastrand::Rng::with_seed(1);
    let order = ranked(&config, [takes(1.0); 3], &mut rng);
    assert_eq!(names(&config, &order), ["one", "two", "three"]);
    assert_eq!(order.iter().map(|of| of.tier).collect::<Vec<_>>(), [0, 1, 2]);
}

/// Broken on purpose to see it fail: no ties.
#[test]
fn of_those_that_cost_about_the_same_the_faster_is_taken() {
    let config = three("strategy = \"cost\"");
    let mut rng = fastrand::Rng::with_seed(1);
    let order = ranked(&config, [takes(4.0), takes(1.0), takes(0.1)], &mut rng);
    assert_eq!(names(&config, &order), ["two", "one", "three"]);
    assert_eq!(order.iter().map(|of| of.tier).collect::<Vec<_>>(), [0, 0, 1]);
}

#[test]
fn the_price_is_that_of_this_call() {
    let deployments = "[[deployments]]\nname = \"in\"\naccount = \"a\"\nmodel = \"x\"\n\
                       price = { input = 1.0, output = 9.0 }\n\
                       [[deployments]]\nname = \"out\"\naccount = \"a\"\nmodel = \"x\"\n\
                       price = { input = 3.0, output = 3.0 }\n";
    let config = config(deployments, "strategy = \"cost\"\ndeployments = [\"out\", \"in\"]");
    let first = |input, expected| {
        let needs = Needs { input, output: 0, expected };
        let outlook = |_| Outlook::default();
        let model = &config.models[0];
        let order = rank(&config, model, &Mutex::default(), needs, &|_| true, &outlook, &mut || 0.5);
        names(&config, &order)[0].clone()
    };
    assert_eq!(first(10_000, 100), "in");
    assert_eq!(first(100, 10_000), "out");
}

/// Broken on purpose to see it fail: the fastest of all taken instead of the faster of two.
#[test]
fn the_faster_of_two_is_taken_and_the_fastest_is_not_flooded() {
    let config = three("strategy = \"latency\"");
    let [fast, middle, slow] = firsts(&config, [takes(1.0), takes(2.0), takes(4.0)]);
    assert!((1_900..2_100).contains(&fast) && (900..1_100).contains(&middle) && slow == 0, "{fast} {middle}");
    let busy = |seconds, busy| Outlook { busy, ..takes(seconds) };
    let [fast, middle, slow] = firsts(&config, [busy(1.0, 4), busy(2.0, 1), busy(4.0, 0)]);
    assert!(fast < middle && slow > 0 && fast == 0, "in flight: {fast} {middle} {slow}");
}

#[test]
fn what_nobody_knows_is_tried() {
    let config = three("strategy = \"latency\"");
    let [_, _, unknown] = firsts(&config, [takes(1.0), takes(2.0), Outlook::default()]);
    assert!(unknown > 500, "{unknown}");
}

/// Broken on purpose to see it fail: failures that cost nothing.
#[test]
fn one_who_fails_is_slow_however_long_answers_are() {
    let config = three("strategy = \"latency\"");
    for seconds in [0.1, 1.0, 80.0] {
        let hole = Outlook { time: None, errors: 0.3, busy: 0 };
        let busy = Outlook { busy: 2, ..takes(seconds) };
        assert_eq!(firsts(&config, [hole, busy, busy])[0], 0, "{seconds} s");
    }
}

/// Broken on purpose to see it fail: no ties.
#[test]
fn who_fails_less_comes_first_and_chance_is_no_difference() {
    let config = three("strategy = \"error-rate\"\ntiebreak = \"round-robin\"");
    assert_eq!(firsts(&config, [fails(0.05), fails(0.001), fails(0.2)]), [0, 3_000, 0]);
    let even = firsts(&config, [fails(0.001), fails(0.004), fails(0.2)]);
    assert!(even[0] > 1_000 && even[1] > 1_000 && even[2] == 0, "{even:?}");
    let mut rng = fastrand::Rng::with_seed(2);
    let order = ranked(&config, [fails(0.001), fails(0.004), fails(0.2)], &mut rng);
    assert!(
        order.iter().all(|of| of.tier == 0 && of.threshold >= 800_000),
        "load shifts before a limit is reached"
    );
}

/// Broken on purpose to see it fail: one tier for all.
#[test]
fn those_that_are_compared_are_compared_among_themselves() {
    let config = three("strategy = \"error-rate\"\ntiebreak = \"capacity\"");
    let mut rng = fastrand::Rng::with_seed(1);
    let order = ranked(&config, [fails(0.001), fails(0.001), fails(0.2)], &mut rng);
    let tiers: Vec<(u64, bool)> = order.iter().map(|of| (of.tier, of.threshold == 0)).collect();
    assert_eq!(tiers, [(0, true), (0, true), (1, false)]);
}

#[test]
fn priorities_come_before_any_strategy() {
    for strategy in ["cost", "latency", "error-rate", "capacity", "weighted", "round-robin"] {
        let config = three(&format!("strategy = \"{strategy}\""));
        let mut model = three(&format!("strategy = \"{strategy}\"")).models.remove(0);
        model.targets.iter_mut().for_each(|target| target.tier = u32::from(target.deployment.0 != 2));
        let outlook = |id: DeploymentId| [takes(0.1), takes(0.1), fails(0.5)][id.0];
        let mut rng = fastrand::Rng::with_seed(3);
        let order = rank(&config, &model, &Mutex::default(), NEEDS, &|_| true, &outlook, &mut || rng.f64());
        assert_eq!(order[0].target.deployment, DeploymentId(2), "{strategy}");
        assert!(order[1].tier > order[0].tier && order.len() == 3, "{strategy}");
    }
}

#[test]
fn a_capacity_choice_compares_eight() {
    let all: String = (0..12)
        .map(|n| format!("[[deployments]]\nname = \"d{n}\"\naccount = \"a\"\nmodel = \"x\"\n"))
        .collect();
    let list: Vec<String> = (0..12).map(|n| format!("\"d{n}\"")).collect();
    let config = config(&all, &format!("deployments = [{}]", list.join(", ")));
    let outlook = |_| Outlook::default();
    let order = rank(&config, &config.models[0], &Mutex::default(), NEEDS, &|_| true, &outlook, &mut || 0.5);
    let tiers: Vec<u64> = order.iter().map(|of| of.tier).collect();
    assert_eq!(tiers, [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1]);
    assert!(order.iter().all(|of| of.threshold == 0));
}

/// Three deployments, of which the second is in our region and the third in a neighbouring one.
fn three_regions(regions: &str) -> Config {
    let place = |region: &str| {
        format!(
            "[[accounts]]\nname = \"{region}\"\nprovider = \"openai-compatible\"\nregion = \"{region}\"\n\
             base_url = \"http://127.0.0.1:1/v1\"\n[[deployments]]\nname = \"{region}\"\naccount = \"{region}\"\n\
             model = \"x\"\nprice = {{ input = {0:?}, output = 1.0 }}\n",
            region.len() as f64
        )
    };
    let all: String = ["eu", "us-west-2", "us-east-1"].map(place).concat();
    let model = "deployments = [\"eu\", \"us-west-2\", \"us-east-1\"]\nstrategy = \"cost\"";
    config(&format!("{all}[server]\nregion = \"us-west-2\"\n"), &format!("{model}\n{regions}"))
}

/// Broken on purpose to see it fail: no order by distance; regions of one tier all in one.
#[test]
fn the_nearest_come_first_only_where_the_model_asks_for_it() {
    let (near, any) = (three_regions("regions = \"nearest\""), three_regions(""));
    let mut rng = fastrand::Rng::with_seed(3);
    let order = ranked(&near, [takes(1.0); 3], &mut rng);
    assert_eq!(names(&near, &order), ["us-west-2", "us-east-1", "eu"]);
    assert_eq!(order.iter().map(|of| of.tier).collect::<Vec<_>>(), [0, 1, 2]);
    let order = ranked(&any, [takes(1.0); 3], &mut rng);
    assert_eq!(names(&any, &order)[0], "eu", "the cheapest, wherever it is");
}
