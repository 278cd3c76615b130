//! Where calls go that begin alike.

use super::*;

/// A call that begins so, with so much in flight at each.
fn warm<'a>(config: &'a Config, beginning: u64, busy: [u64; 3], rng: &mut fastrand::Rng) -> Vec<Ranked<'a>> {
    let needs = Needs { beginning: Some(beginning), ..NEEDS };
    let outlook = |id: DeploymentId| Outlook { busy: busy[id.0], ..takes(1.0) };
    rank(config, &config.models[0], &Mutex::default(), needs, &of_the_file, &outlook, &mut || rng.f64())
}

/// How many of 3,000 beginnings have their home at each, in the order one, two, three.
fn homes(config: &Config) -> [u32; 3] {
    let (mut counts, mut rng) = ([0; 3], fastrand::Rng::with_seed(7));
    for beginning in 0..3_000 {
        counts[warm(config, beginning, [0; 3], &mut rng)[0].target.deployment.0] += 1;
    }
    counts
}

/// Broken on purpose to see it fail: beginnings not looked at by one of the strategies.
#[test]
fn calls_that_begin_alike_go_the_same_way_and_others_spread() {
    for strategy in [
        "capacity",
        "weighted",
        "round-robin",
        "latency",
        "error-rate",
        "least-busy",
        "composite",
        "predictive",
    ] {
        let config = three(&format!("strategy = \"{strategy}\"\ntiebreak = \"round-robin\""));
        let mut rng = fastrand::Rng::with_seed(1);
        for beginning in 0..50 {
            let first = names(&config, &warm(&config, beginning, [0; 3], &mut rng));
            for _ in 0..20 {
                let again = names(&config, &warm(&config, beginning, [0; 3], &mut rng));
                assert_eq!(again[0], first[0], "{strategy}");
            }
        }
        let [one, two, dear] = homes(&config);
        let among = if strategy == "composite" { vec![one, two] } else { vec![one, two, dear] };
        let part = 3_000 / among.len() as u32;
        assert!(among.iter().all(|homes| homes.abs_diff(part) < 150), "{strategy}: {among:?}");
    }
}

/// Broken on purpose to see it fail: weights left out.
#[test]
fn weights_hold_over_many_beginnings() {
    let mut model = three("").models.remove(0);
    let all = three("strategy = \"weighted\"");
    for target in &mut model.targets {
        target.weight = [1.0, 2.0, 5.0][target.deployment.0];
    }
    let mut counts = [0; 3];
    for beginning in 0..8_000 {
        let needs = Needs { beginning: Some(beginning), ..NEEDS };
        let outlook = |_| Outlook::default();
        let order = rank(&all, &model, &Mutex::default(), needs, &of_the_file, &outlook, &mut || 0.5);
        counts[order[0].target.deployment.0] += 1;
    }
    let near = |count: i32, expected: i32| (count - expected).abs() < 150;
    assert!(near(counts[0], 1_000) && near(counts[1], 2_000) && near(counts[2], 5_000), "{counts:?}");
}

/// Broken on purpose to see it fail: a warm one put before all others, whatever the strategy has found.
#[test]
fn nobody_pays_more_or_fails_oftener_for_a_cache() {
    let config = three("strategy = \"cost\"\ntiebreak_within = 0.0");
    let mut rng = fastrand::Rng::with_seed(1);
    for beginning in 0..100 {
        let order = warm(&config, beginning, [0; 3], &mut rng);
        assert_eq!(names(&config, &order), ["one", "two", "three"]);
    }
    for tiebreak in ["cost", "latency", "capacity"] {
        let config = three(&format!("strategy = \"cost\"\ntiebreak = \"{tiebreak}\""));
        let [one, two, dear] = homes(&config); // the first two are about equal
        assert!(one > 1_300 && two > 1_300 && dear == 0, "{tiebreak}: {one} {two} {dear}");
    }
    let config = three("strategy = \"error-rate\"\ntiebreak = \"weighted\"");
    let needs = |beginning| Needs { beginning: Some(beginning), ..NEEDS };
    for beginning in 0..100 {
        let outlook = |id: DeploymentId| [fails(0.2), fails(0.0), fails(0.1)][id.0];
        let model = &config.models[0];
        let order =
            rank(&config, model, &Mutex::default(), needs(beginning), &of_the_file, &outlook, &mut || 0.5);
        assert_eq!(names(&config, &order)[0], "two");
    }
}

/// Broken on purpose to see it fail: the warmest of all taken, however slow.
#[test]
fn of_the_two_where_it_may_be_warm_the_faster_is_taken() {
    let config = three("strategy = \"latency\"");
    let mut firsts = [0; 3];
    for beginning in 0..3_000 {
        let needs = Needs { beginning: Some(beginning), ..NEEDS };
        let outlook = |id: DeploymentId| takes([1.0, 2.0, 4.0][id.0]);
        let model = &config.models[0];
        let order = rank(&config, model, &Mutex::default(), needs, &of_the_file, &outlook, &mut || 0.5);
        firsts[order[0].target.deployment.0] += 1;
    }
    let [fast, middle, slow] = firsts;
    assert!((1_850..2_150).contains(&fast) && (850..1_150).contains(&middle) && slow == 0, "{firsts:?}");
}

/// Broken on purpose to see it fail: no bound; no order among those that take over.
#[test]
fn one_beginning_that_all_share_floods_nobody() {
    let config = three("strategy = \"capacity\"");
    let (mut busy, mut rng) = ([0; 3], fastrand::Rng::with_seed(1));
    let mut order = Vec::new();
    for _ in 0..300 {
        let ranked = warm(&config, 42, busy, &mut rng);
        let taken = ranked[0].target.deployment.0;
        if !order.contains(&taken) {
            order.push(taken);
        }
        busy[taken] += 1;
    }
    assert!(busy.iter().all(|busy| *busy <= 126), "at most 1.25 times the average of 100: {busy:?}");
    assert!(busy[order[0]] > busy[order[2]], "the warm one has most: {busy:?}");
    let first = names(&config, &warm(&config, 42, [0; 3], &mut rng));
    let mut few = [0; 3];
    few[order[0]] = 7;
    assert_eq!(names(&config, &warm(&config, 42, few, &mut rng)), first, "a few in flight are no load");
}

#[test]
fn a_warm_one_is_taken_below_soft_and_not_above() {
    let config = three("strategy = \"capacity\"\nheadroom = { soft = 0.6 }");
    let order = warm(&config, 1, [0; 3], &mut fastrand::Rng::with_seed(1));
    assert!(order.iter().all(|of| of.threshold == 600_000 && of.tier == 0), "{order:?}");
}

/// Broken on purpose to see it fail: priorities after beginnings.
#[test]
fn priorities_come_before_warmth() {
    let config = three("strategy = \"capacity\"");
    let mut model = three("strategy = \"capacity\"").models.remove(0);
    model.targets.iter_mut().for_each(|target| target.tier = u32::from(target.deployment.0 != 2));
    for beginning in 0..50 {
        let needs = Needs { beginning: Some(beginning), ..NEEDS };
        let order = rank(
            &config,
            &model,
            &Mutex::default(),
            needs,
            &of_the_file,
            &|_| Outlook::default(),
            &mut || 0.5,
        );
        assert_eq!(order[0].target.deployment, DeploymentId(2));
    }
}

/// Broken on purpose to see it fail: all of a tier in one set.
#[test]
fn sets_are_of_those_about_equal() {
    let sets = |strategy: &str, outlooks: [Outlook; 3]| -> Vec<u64> {
        let config = three(&format!("strategy = \"{strategy}\"\nlatency = {{ choices = 3 }}"));
        let mut rng = fastrand::Rng::with_seed(1);
        ranked(&config, outlooks, &mut rng).iter().map(|of| of.set).collect()
    };
    assert_eq!(sets("capacity", [takes(1.0); 3]), [0, 0, 0]);
    assert_eq!(sets("weighted", [takes(1.0); 3]), [0, 0, 0]);
    assert_eq!(sets("latency", [takes(1.0), takes(1.01), takes(2.0)]), [0, 0, 1]);
    assert_eq!(sets("error-rate", [fails(0.0), fails(0.0), fails(0.5)]), [0, 0, 1]);
    assert_eq!(sets("cost", [takes(1.0); 3]), [0, 0, 1]);
}
