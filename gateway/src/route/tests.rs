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

/// All are able, by the weights of the file.
fn of_the_file(target: &Target) -> Option<f64> {
    Some(target.weight)
}

const NEEDS: Needs = Needs { input: 1_000, output: 0, expected: 1_000, beginning: None, at: 0 };

/// Ranks once, with these outlooks in the order one, two, three.
fn ranked<'a>(config: &'a Config, outlooks: [Outlook; 3], rng: &mut fastrand::Rng) -> Vec<Ranked<'a>> {
    let (rotation, outlook) = (Mutex::default(), |id: DeploymentId| outlooks[id.0]);
    rank(config, &config.models[0], &rotation, NEEDS, &of_the_file, &outlook, &mut || rng.f64())
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

/// Broken on purpose to see it fail: no tie-break by latency.
#[test]
fn of_those_that_are_about_as_fast_the_cheaper_is_taken() {
    let config = three("strategy = \"latency\"\ntiebreak = \"cost\"\nlatency = { choices = 3 }");
    let mut rng = fastrand::Rng::with_seed(1);
    for outlooks in [[takes(1.01), takes(1.0), takes(4.0)], [takes(1.0), takes(1.01), takes(1.0)]] {
        for _ in 0..20 {
            assert_eq!(names(&config, &ranked(&config, outlooks, &mut rng))[0], "one");
        }
    }
    let order = ranked(&config, [takes(4.0), takes(1.0), takes(0.1)], &mut rng);
    assert_eq!(names(&config, &order)[0], "three", "the fastest, whatever it costs");
}

#[test]
fn the_price_is_that_of_this_call() {
    let deployments = "[[deployments]]\nname = \"in\"\naccount = \"a\"\nmodel = \"x\"\n\
                       price = { input = 1.0, output = 9.0 }\n\
                       [[deployments]]\nname = \"out\"\naccount = \"a\"\nmodel = \"x\"\n\
                       price = { input = 3.0, output = 3.0 }\n";
    let config = config(deployments, "strategy = \"cost\"\ndeployments = [\"out\", \"in\"]");
    let first = |input, expected| {
        let needs = Needs { input, output: 0, expected, beginning: None, at: 0 };
        let outlook = |_| Outlook::default();
        let model = &config.models[0];
        let order = rank(&config, model, &Mutex::default(), needs, &of_the_file, &outlook, &mut || 0.5);
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
    let busy = |seconds, own| Outlook { own, ..takes(seconds) };
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
        let hole = Outlook { errors: 0.3, ..Outlook::default() };
        let busy = Outlook { own: 2, ..takes(seconds) };
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

fn expected(seconds: f64) -> Outlook {
    Outlook { expected: Some(seconds), ..Outlook::default() }
}

fn busy(calls: u64) -> Outlook {
    Outlook { busy: calls, crowd: calls as f64, ..takes(1.0) }
}

/// Broken on purpose to see it fail: weights left out; the fewest of all taken instead of two; no tie-break.
#[test]
fn the_less_busy_of_two_is_taken_by_weight_and_among_equals_the_tie_break() {
    let config = three("strategy = \"least-busy\"");
    let [least, more, most] = firsts(&config, [busy(1), busy(3), busy(9)]);
    assert!((1_900..2_100).contains(&least) && (900..1_100).contains(&more) && most == 0, "{least} {more}");
    let all: String = ["one", "two", "three"]
        .iter()
        .map(|name| format!("[[deployments]]\nname = \"{name}\"\naccount = \"a\"\nmodel = \"x\"\n"))
        .collect();
    let weighted = "strategy = \"least-busy\"\ndeployments = [{ name = \"one\", weight = 1 }, \
                    { name = \"two\", weight = 10 }, { name = \"three\", weight = 1 }]";
    let [_, heavy, _] = firsts(&self::config(&all, weighted), [busy(2), busy(9), busy(2)]);
    assert!((1_900..2_100).contains(&heavy), "ten calls of ten are less than three of one: {heavy}");
    let tied = three("strategy = \"least-busy\"\ntiebreak = \"cost\"");
    let [cheap, dearer, dearest] = firsts(&tied, [busy(2), busy(2), busy(2)]);
    assert!(cheap > 1_900 && dearer > 900 && dearest == 0, "{cheap} {dearer} {dearest}");
}

/// Broken on purpose to see it fail: fullness left out; no tie-break; failures that cost no time.
#[test]
fn the_soonest_complete_is_taken_unless_it_is_about_to_be_full() {
    let config = three("strategy = \"predictive\"");
    assert_eq!(firsts(&config, [expected(2.0), expected(1.0), expected(3.0)]), [0, 3_000, 0]);
    let full = |seconds, full| Outlook { full, ..expected(seconds) };
    let half = firsts(&config, [expected(2.0), full(1.0, 0.9), expected(3.0)]);
    assert!((1_400..1_600).contains(&half[1]) && half[2] == 0, "half way from soft to hard: {half:?}");
    assert_eq!(firsts(&config, [full(2.0, 1.5), full(1.0, 1.2), full(3.0, 0.5)]), [0, 0, 3_000]);
    let failing = Outlook { errors: 0.3, ..expected(1.0) };
    assert_eq!(firsts(&config, [expected(2.0), failing, expected(3.0)]), [3_000, 0, 0]);
    let tied = three("strategy = \"predictive\"\ntiebreak = \"cost\"");
    assert_eq!(firsts(&tied, [expected(1.01), expected(1.0), expected(3.0)]), [3_000, 0, 0]);
    let unknown = firsts(&config, [expected(2.0), Outlook::default(), expected(1.0)]);
    assert!(unknown[1] > 500, "what nobody knows is tried: {unknown:?}");
}

/// Broken on purpose to see it fail: dearer ones among the others; who is crowded not put behind; headroom left out.
#[test]
fn of_the_cheapest_the_soonest_that_is_not_crowded_is_taken() {
    let config = three("strategy = \"composite\"");
    let mut rng = fastrand::Rng::with_seed(1);
    let order = ranked(&config, [expected(4.0), expected(1.0), expected(0.1)], &mut rng);
    assert_eq!(names(&config, &order), ["two", "one", "three"]);
    assert_eq!(order.iter().map(|of| of.tier).collect::<Vec<_>>(), [0, 0, 1]);
    let crowded = |seconds, crowd| Outlook { crowd, ..expected(seconds) };
    let nine = firsts(&config, [crowded(4.0, 1.0), crowded(1.0, 9.0), expected(0.1)]);
    assert_eq!(nine, [0, 3_000, 0], "nine are no crowd");
    let hot = firsts(&config, [crowded(4.0, 1.0), crowded(1.0, 30.0), expected(9.0)]);
    assert_eq!(hot, [3_000, 0, 0], "thirty of thirty-one");
    let full = Outlook { full: 0.9, ..expected(1.0) };
    let half = firsts(&config, [expected(4.0), full, expected(9.0)]);
    assert!((1_400..1_600).contains(&half[1]) && half[2] == 0, "half way from soft to hard: {half:?}");
}

/// Broken on purpose to see it fail: headroom and failures left out; no least share.
#[test]
fn automatic_weights_fall_with_headroom_and_failures_but_not_to_nothing() {
    let config = three("strategy = \"weighted\"");
    let used = |used, errors| Outlook { used, errors, ..Outlook::default() };
    let near = |config: &Config, outlooks: [Outlook; 3], due: [u32; 3]| {
        let (rotation, mut rng, mut got) = (Mutex::default(), fastrand::Rng::with_seed(4), [0_u32; 3]);
        for _ in 0..3_000 {
            let outlook = |id: DeploymentId| outlooks[id.0];
            let draw = &mut || rng.f64();
            let order = rank(config, &config.models[0], &rotation, NEEDS, &of_the_file, &outlook, draw);
            got[order[0].target.deployment.0] += 1;
        }
        assert!(got.iter().zip(due).all(|(got, due)| got.abs_diff(due) < 30), "{got:?}, not {due:?}");
    };
    near(&config, [used(0.0, 0.0); 3], [1_000; 3]);
    near(&config, [used(0.5, 0.0), used(0.0, 0.0), used(0.0, 0.5)], [857, 1_714, 429]);
    near(&config, [used(1.0, 0.0), used(0.0, 0.0), used(0.0, 1.0)], [30, 2_940, 30]);
    near(&config, [used(1.0, 0.0); 3], [1_000; 3]);
    let mut fixed = three("strategy = \"weighted\"");
    fixed.models[0].targets.iter_mut().for_each(|target| target.auto = false);
    near(&fixed, [used(0.9, 0.5), used(0.0, 0.0), used(0.0, 0.0)], [1_000; 3]);
}

/// Broken on purpose to see it fail: never put first.
#[test]
fn one_that_is_to_have_a_least_share_has_it_by_any_strategy() {
    for strategy in
        ["cost", "latency", "error-rate", "least-busy", "predictive", "composite", "weighted", "capacity"]
    {
        let mut config = three(&format!("strategy = \"{strategy}\""));
        config.models[0].targets.iter_mut().for_each(|target| {
            target.auto = false;
            target.min_share = if target.deployment.0 == 2 { 0.1 } else { 0.0 };
            target.weight = if target.deployment.0 == 2 { 0.001 } else { 1.0 };
        });
        let worst = Outlook { own: 50, busy: 50, crowd: 50.0, errors: 0.2, ..expected(9.0) };
        let slow = Outlook { time: Some(9.0), ..worst };
        let good = Outlook { expected: Some(1.0), ..takes(1.0) };
        let [_, _, third] = firsts(&config, [good, good, slow]);
        let due = if strategy == "capacity" { 1_100 } else { 240 }; // that compares whoever comes first
        assert!(third >= due && third < 1_400, "{strategy}: {third}");
        let mut rng = fastrand::Rng::with_seed(1);
        let order = ranked(&config, [good, good, slow], &mut rng);
        assert!(order.windows(2).all(|pair| pair[0].tier <= pair[1].tier), "{strategy}");
    }
}

#[test]
fn priorities_come_before_any_strategy() {
    for strategy in [
        "cost",
        "latency",
        "error-rate",
        "capacity",
        "weighted",
        "round-robin",
        "least-busy",
        "predictive",
        "composite",
    ] {
        let config = three(&format!("strategy = \"{strategy}\""));
        let mut model = three(&format!("strategy = \"{strategy}\"")).models.remove(0);
        model.targets.iter_mut().for_each(|target| target.tier = u32::from(target.deployment.0 != 2));
        let outlook = |id: DeploymentId| [takes(0.1), takes(0.1), fails(0.5)][id.0];
        let mut rng = fastrand::Rng::with_seed(3);
        let order =
            rank(&config, &model, &Mutex::default(), NEEDS, &of_the_file, &outlook, &mut || rng.f64());
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
    let order =
        rank(&config, &config.models[0], &Mutex::default(), NEEDS, &of_the_file, &outlook, &mut || 0.5);
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

#[path = "warm_tests.rs"]
mod warm_tests;

/// Broken on purpose to see it fail: the window of the first deployment asked for all.
#[test]
fn calls_longer_than_a_deployment_can_read_go_to_another_of_the_same_model() {
    let deployment = |name: &str, window: u64| {
        format!(
            "[[deployments]]\nname = \"{name}\"\naccount = \"a\"\nmodel = \"x\"\ncontext_window = {window}\n"
        )
    };
    let all = deployment("short", 8_000) + &deployment("long", 128_000);
    let config = config(&all, "deployments = [\"short\", \"long\"]");
    let able = |input, output| {
        let needs = Needs { input, output, expected: 0, beginning: None, at: 0 };
        let outlook = |_| Outlook::default();
        let order =
            rank(&config, &config.models[0], &Mutex::default(), needs, &of_the_file, &outlook, &mut || 0.5);
        let mut names = names(&config, &order);
        names.sort();
        names
    };
    assert_eq!(able(7_000, 1_000), ["long", "short"]);
    assert_eq!(able(7_000, 1_001), ["long"], "what it may answer counts");
    assert!(able(128_001, 0).is_empty());
}

/// Broken on purpose to see it fail: everybody passed over at `hard`.
#[test]
fn load_shifts_little_by_little_from_soft_to_hard() {
    let config = three("strategy = \"cost\"\nheadroom = { soft = 0.6 }");
    let mut rng = fastrand::Rng::with_seed(1);
    let thresholds: Vec<u64> =
        (0..3_000).map(|_| ranked(&config, [takes(1.0); 3], &mut rng)[0].threshold).collect();
    for (used, over) in [(600_000, 0.0), (700_000, 0.25), (800_000, 0.5), (900_000, 0.75), (1_000_001, 1.0)] {
        let passed = thresholds.iter().filter(|threshold| **threshold < used).count() as f64 / 3_000.0;
        assert!((passed - over).abs() < 0.04, "{passed} of the calls go elsewhere at {used}");
    }
}

/// Broken on purpose to see it fail: the file's weight taken.
#[test]
fn a_weight_that_was_set_counts_in_place_of_the_files_and_whoever_has_none_is_no_candidate() {
    for strategy in ["weighted", "least-busy"] {
        let config = three(&format!("strategy = \"{strategy}\"\nlatency = {{ choices = 3 }}"));
        let weights = [Some(6.0), None, Some(2.0)];
        let able = |target: &Target| weights[target.deployment.0];
        let busy = |id: DeploymentId| Outlook { busy: [5, 0, 2][id.0], ..takes(1.0) }; // 6 calls for a weight of 6, 3 for one of 2
        let (rotation, mut rng, mut counts) = (Mutex::default(), fastrand::Rng::with_seed(3), [0; 3]);
        for _ in 0..800 {
            let order = rank(&config, &config.models[0], &rotation, NEEDS, &able, &busy, &mut || rng.f64());
            assert_eq!(order.len(), 2, "{strategy}");
            counts[order[0].target.deployment.0] += 1;
        }
        match strategy {
            "weighted" => assert!((598..=602).contains(&counts[0]) && counts[1] == 0, "{counts:?}"),
            _ => assert_eq!(counts, [800, 0, 0], "{strategy}"),
        }
    }
}
