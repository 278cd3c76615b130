use super::*;

fn keys(events: &[Event]) -> Vec<(&str, bool, u64)> {
    events.iter().map(|event| (event.alert.key.as_str(), event.is_over, event.since)).collect()
}

fn down(model: &str) -> Alert {
    Alert::of(Kind::ModelDown, model)
}

/// Broken on purpose to see it fail: nothing noted; over at the first look without it.
#[test]
fn each_alert_is_told_once_and_once_that_it_is_over() {
    let mut told = Told::default();
    let events = told.news(&[down("a")], 100);
    assert_eq!(keys(&events), [("model_down/a", false, 100)]);
    told.note(&events, |_| true);
    assert_eq!(told.news(&[down("a"), down("b")], 105).len(), 1, "the other one");
    // It comes and goes: nothing more is said.
    for now in (110..=200).step_by(10) {
        let seen = if now % 20 == 0 { vec![down("a")] } else { vec![] };
        assert_eq!(told.news(&seen, now), [], "{now}");
    }
    assert_eq!(told.news(&[], 205), []);
    let over = told.news(&[], 230);
    assert_eq!(keys(&over), []);
    let over = told.news(&[], 235);
    assert_eq!(keys(&over), [("model_down/a", true, 100)]);
    told.note(&over, |_| true);
    assert_eq!(told.news(&[], 240), []);
    assert_eq!(keys(&told.news(&[down("a")], 300)), [("model_down/a", false, 300)], "another time");
}

/// Broken on purpose to see it fail: `since` of the moment in which it is told.
#[test]
fn what_could_not_be_told_is_due_until_it_is_or_is_over() {
    let mut told = Told::default();
    assert_eq!(told.news(&[down("a")], 100).len(), 1);
    assert_eq!(keys(&told.news(&[down("a")], 105)), [("model_down/a", false, 100)], "since then");
    assert_eq!(told.news(&[], 110), [], "nobody has heard of it, so nobody hears that it is over");
    assert_eq!(keys(&told.news(&[down("a")], 115)), [("model_down/a", false, 115)]);
}

/// Broken on purpose to see it fail: `adopt` without effect.
#[test]
fn who_tells_next_goes_on_where_the_last_one_ended() {
    let (mut first, seen) = (Told::default(), [down("a"), Alert::of(Kind::BudgetNear, "t/budget/day")]);
    let events = first.news(&seen, 100);
    first.note(&events, |_| true);
    let mut second = Told::default();
    second.adopt(&first.write());
    assert_eq!(second.news(&seen, 200), []);
    assert_eq!(second.news(&seen[..1], 205), []);
    let over = second.news(&seen[..1], 235);
    assert_eq!(keys(&over), [("budget_near/t/budget/day", true, 100)], "it knows since when");
    second.adopt("nothing of sense\n\n12 \nx model_down/a\n7 unknown_kind/a\n7 model_down/a\n");
    assert_eq!(second.told.len(), 1, "what cannot be read was not told");
}

/// Broken on purpose to see it fail: what was told here before added to what was noted.
#[test]
fn who_was_cut_off_neither_tells_again_nor_keeps_quiet() {
    let (mut first, mut second) = (Told::default(), Told::default());
    let events = first.news(&[down("a"), down("b")], 100);
    first.note(&events, |_| true);
    // The second tells meanwhile that one of them is over, and of a third.
    second.adopt(&first.write());
    assert_eq!(second.news(&[down("b"), down("c")], 200).len(), 1);
    let events = second.news(&[down("b"), down("c")], 230);
    assert_eq!(keys(&events), [("model_down/c", false, 200), ("model_down/a", true, 100)]);
    second.note(&events, |_| true);
    first.adopt(&second.write());
    assert_eq!(first.news(&[down("b"), down("c")], 300), []);
    assert_eq!(first.news(&[down("b"), down("c")], 400), [], "it was told to be over");
    assert_eq!(keys(&first.news(&[down("a"), down("b"), down("c")], 405)), [("model_down/a", false, 405)]);
}

/// Broken on purpose to see it fail: what is seen cut before it is compared with what was told.
#[test]
fn too_many_graver_ones_end_none_of_those_that_were_told() {
    let mut told = Told::default();
    let budgets: Vec<Alert> =
        (0..MOST - 2).map(|at| Alert::of(Kind::BudgetNear, &format!("t{at:04}"))).collect();
    let events = told.news(&budgets, 1);
    assert_eq!(events.len(), MOST - 2);
    told.note(&events, |_| true);
    let graver: Vec<Alert> = (0..10).map(|at| down(&format!("m{at}"))).collect();
    let all: Vec<Alert> = graver.into_iter().chain(budgets).collect();
    let events = told.news(&all, 2);
    assert_eq!(
        keys(&events),
        [("model_down/m0", false, 2), ("model_down/m1", false, 2)],
        "for two there is room"
    );
    told.note(&events, |_| true);
    assert_eq!(told.news(&all, 100), [], "and nothing is over");
}

#[test]
fn a_replica_notes_apart_what_is_its_own() {
    let events = |told: &mut Told| told.news(&[Alert::of(Kind::StateAway, "weir-1"), down("a")], 1);
    let mut told = Told::default();
    let all = events(&mut told);
    told.note(&all, Kind::is_own);
    assert_eq!(keys(&events(&mut told)), [("model_down/a", false, 1)]);
}

/// Broken on purpose to see it fail: a try at each look.
#[test]
fn tries_are_further_and_further_apart_and_as_far_as_the_receiver_says() {
    let (start, mut pace) = (Instant::now(), Pace::default());
    let not = |after| Posted::Not { why: String::new(), after };
    let seconds = Duration::from_secs;
    assert!(pace.may_try(start));
    assert!(pace.ended(&not(None), start, 0.0), "the first is news");
    let (mut now, mut waits) = (start, Vec::new());
    for _ in 0..8 {
        let next = pace.next.unwrap();
        assert!(!pace.may_try(next - seconds(1)) && pace.may_try(next));
        waits.push((next - now).as_secs());
        now = next;
        assert!(!pace.ended(&not(None), now, 0.0));
    }
    assert_eq!(waits, [5, 10, 20, 40, 80, 160, 300, 300]);
    pace.ended(&Posted::Taken, now, 0.0);
    assert!(pace.may_try(now));
    pace.ended(&not(Some(seconds(60))), now, 0.0);
    assert!(!pace.may_try(now + seconds(59)) && pace.may_try(now + seconds(60)));
    pace.ended(&not(Some(seconds(86_400))), now, 0.0);
    assert!(pace.may_try(now + seconds(300)), "nobody puts it off for ever");
}
