use std::path::Path;

use super::*;
use crate::config::check::check;
use crate::state::{About, Client, Deadlines};
use crate::telemetry::Metrics;

/// Deployments: `d` at 2 and 8 US$, `dear` at 10 and 40, `cheap` at 1 and 4, `none` without a price.
fn replica(model: &str) -> (Arc<Shared>, Arc<Snapshot>) {
    let deployment = |name: &str, price: &str| {
        format!("[[deployments]]\nname = \"{name}\"\naccount = \"a\"\nmodel = \"x\"\n{price}\n")
    };
    let priced = |name, input: f64| {
        deployment(name, &format!("price = {{ input = {input}, output = {} }}", 4.0 * input))
    };
    let text = format!(
        "version = 1\n[[accounts]]\nname = \"a\"\nprovider = \"openai-compatible\"\nbase_url = \"http://h/v1\"\n\
         {}{}{}{}[[models]]\nname = \"m\"\n{model}\n",
        priced("d", 2.0),
        priced("dear", 10.0),
        priced("cheap", 1.0),
        deployment("none", "")
    );
    let config = check(Path::new("weir.toml"), &text, &|_| None).unwrap_or_else(|report| panic!("{report}"));
    let snapshot = Snapshot::new(config, "r", None).unwrap();
    let session_idle = snapshot.session_idle();
    let deadlines = Deadlines { head: 1_000, end: 1_000 };
    let client = Client::new(About { name: "r".into(), deadlines, expected: 1, session_idle, leases: false });
    let shared =
        Arc::new(Shared::new(snapshot, client, (Arc::new(Metrics::new().unwrap()), None), 1).unwrap());
    let snapshot = shared.snapshot.load_full();
    (shared, snapshot)
}

fn tab((shared, snapshot): &(Arc<Shared>, Arc<Snapshot>), deployment: usize) -> Tab {
    let what = For { tenant: "t".into(), model: Some(ModelId(0)), deployment: DeploymentId(deployment) };
    Tab::open(shared, snapshot, what, 1_000_000)
}

/// What the books say.
fn sums(shared: &Shared) -> crate::cost::Sums {
    let mut all = crate::cost::Sums::default();
    let now = hour_now(); // (an hour may just have begun)
    for level in (now - 1..=now).flat_map(|hour| shared.costs.levels(hour)) {
        level.series.iter().for_each(|(_, sums)| all.add(sums));
    }
    all
}

fn metric(shared: &Shared, name: &str) -> f64 {
    let text = String::from_utf8(shared.metrics.text().unwrap()).unwrap();
    let of = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{'));
    text.lines().filter(of).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

const USED: Usage = Usage {
    input: 1_000_000,
    cached_input: 0,
    written_input: 0,
    output: 1_000_000,
    reasoning: 0,
    written_long: 0,
    service: crate::dialect::openai::answer::Service::Standard,
};
const ALL: &str = "deployments = [\"d\", \"dear\", \"cheap\", \"none\"]";

/// Broken on purpose to see it fail: a tab that is dropped after it was paid told again; one that is dropped unpaid not told.
#[test]
fn an_attempt_is_counted_once_by_what_is_known_of_it() {
    let replica = replica(ALL);
    let count = |what: &dyn Fn(Tab) -> Option<f64>| {
        let before = sums(&replica.0);
        let told = what(tab(&replica, 0));
        let after = sums(&replica.0);
        (told, after.attempts - before.attempts, after.usd - before.usd, after.estimated - before.estimated)
    };
    assert_eq!(count(&|tab| tab.pay(Actual::Used(USED))), (Some(10.0), 1.0, 10.0, 0.0));
    let partial = Actual::Partial(Usage { input: 500_000, output: 250_000, ..Usage::default() });
    assert_eq!(count(&|tab| tab.pay(partial)), (Some(3.0), 1.0, 3.0, 1.0));
    assert_eq!(count(&|tab| tab.pay(Actual::Abandoned)), (Some(2.0), 1.0, 2.0, 1.0));
    assert_eq!(count(&|tab| tab.pay(Actual::Failed)), (Some(0.0), 0.0, 0.0, 0.0));
    assert_eq!(count(&|tab| tab.pay(Actual::TimedOut { input: 1 })), (Some(2.0), 1.0, 2.0, 1.0));
    assert_eq!(
        count(&|tab| {
            tab.free();
            None
        }),
        (None, 0.0, 0.0, 0.0)
    );
    assert_eq!(
        count(&|tab| {
            drop(tab);
            None
        }),
        (None, 1.0, 2.0, 1.0),
        "the client left, or a hedge lost"
    );
    assert!((metric(&replica.0, "weir_cost_usd_total") - 19.0).abs() < 1e-9);
    assert!((metric(&replica.0, "weir_cost_estimated_usd_total") - 9.0).abs() < 1e-9);
}

/// Broken on purpose to see it fail: 0 US$ for what has no price.
#[test]
fn what_has_no_price_is_counted_as_that() {
    let replica = replica(ALL);
    assert_eq!(tab(&replica, 3).pay(Actual::Used(USED)), None);
    tab(&replica, 0).unknown();
    let sums = sums(&replica.0);
    assert_eq!((sums.attempts, sums.unknown, sums.usd), (2.0, 2.0, 0.0));
    assert_eq!(
        (sums.unpriced, sums.input),
        (2_000_000.0, 1_000_000.0),
        "tokens are known where they were told"
    );
    assert_eq!(sums.blended(), None);
    assert_eq!(metric(&replica.0, "weir_cost_unknown_total"), 2.0);
    let text = String::from_utf8(replica.0.metrics.text().unwrap()).unwrap();
    assert!(!text.contains("weir_cost_usd_total{deployment=\"none\""), "{text}");
}

/// Broken on purpose to see it fail: what was spent in excess subtracted from what was saved.
#[test]
fn savings_are_beside_the_baseline_and_the_dearest() {
    let replica = replica(&format!("{ALL}\nbaseline = \"d\""));
    tab(&replica, 2).pay(Actual::Used(USED)); // 5 instead of 10, or of 50
    tab(&replica, 1).pay(Actual::Used(USED)); // 50 instead of 10
    let of = |name: &str, against: &str| {
        let text = String::from_utf8(replica.0.metrics.text().unwrap()).unwrap();
        let wanted = format!("{name}{{against=\"{against}\",model=\"m\"");
        text.lines().find_map(|line| line.strip_prefix(&wanted)?.rsplit(' ').next()?.parse::<f64>().ok())
    };
    assert_eq!(of("weir_cost_saved_usd_total", "baseline"), Some(5.0));
    assert_eq!(of("weir_cost_excess_usd_total", "baseline"), Some(40.0));
    assert_eq!(of("weir_cost_saved_usd_total", "dearest"), Some(45.0));
    let sums = sums(&replica.0);
    assert_eq!((sums.saved_baseline, sums.saved_dearest), (5.0 - 40.0, 45.0));
}

/// The worse a cheap deployment fails, the less it saves. Broken on purpose to see it fail: an attempt that timed out compared with
/// what the same tokens would have cost elsewhere, as if they had been of use there.
#[test]
fn what_bought_nothing_saves_nothing() {
    let replica = replica(&format!("{ALL}\nbaseline = \"d\""));
    tab(&replica, 2).pay_in_vain(Actual::TimedOut { input: 1_000_000 }); // 1
    tab(&replica, 2).pay_in_vain(Actual::Used(USED)); // 5: its answer could not be read
    drop(tab(&replica, 2)); // 1: a hedge that lost
    tab(&replica, 0).pay(Actual::Used(USED)); // 10, as at the baseline
    let sums = sums(&replica.0);
    assert_eq!((sums.usd, sums.saved_baseline), (17.0, -7.0));
    assert_eq!(sums.saved_dearest, 40.0 - 7.0);
    let partial = Actual::Partial(USED);
    tab(&replica, 2).pay(partial); // 5 instead of 10: the client had it up to where it left
    assert_eq!(self::sums(&replica.0).saved_baseline, -2.0);
}
