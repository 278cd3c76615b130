use super::*;

const NONE: Sums = [0.0; SUMS];

/// One that takes 0.2 s, 0.1 s per 1,000 tokens of input, 10 ms per call in flight, then 10 ms a token and 1 ms more for each call.
fn true_times(size: Size) -> (f64, f64) {
    let first = 0.2 + 0.1 * size.input as f64 / 1_000.0 + 0.01 * size.load;
    (first, size.output as f64 * (0.01 + 0.001 * size.load))
}

fn some_size(rng: &mut fastrand::Rng) -> Size {
    Size { input: rng.u64(50..8_000), output: rng.u64(1..900), load: rng.u64(0..12) as f64 }
}

fn close(got: f64, due: f64, within: f64) {
    assert!((got - due).abs() <= within * due, "{got:.3} s, not {due:.3}");
}

/// Learns from `count` answers, each off by up to a tenth, every `plain`-th of them plain; 50 ms lie between two.
fn taught(count: u64, plain: u64) -> (Predictor, Ms) {
    let (mut predictor, mut rng) = (Predictor::default(), fastrand::Rng::with_seed(5));
    for at in 0..count {
        let size = some_size(&mut rng);
        let noise = 0.9 + 0.2 * rng.f64();
        let (first, rest) = true_times(size);
        let first_seen = (!at.is_multiple_of(plain)).then_some(first * noise);
        let took = Took { first: first_seen, whole: (first + rest) * noise };
        predictor.answered(size, took, &NONE, at * 50);
    }
    (predictor, count * 50)
}

/// Broken on purpose to see it fail: plain answers left out (with none but plain ones); load left out.
#[test]
fn times_are_learnt_from_streams_from_plain_answers_and_from_both() {
    for plain in [u64::MAX, 1, 3] {
        let (mut predictor, now) = taught(400, plain);
        for (input, output, load) in [(400, 150, 1.0), (4_000, 100, 2.0), (800, 250, 10.0), (200, 2_000, 5.0)]
        {
            let size = Size { input, output, load };
            let (first, rest) = true_times(size);
            close(predictor.time(size, &NONE, now).unwrap(), first + rest, 0.15);
        }
    }
}

/// Broken on purpose to see it fail: no bound on what an answer may say.
#[test]
fn an_answer_far_off_moves_little() {
    let (mut predictor, now) = taught(200, u64::MAX);
    let size = Size { input: 800, output: 250, load: 3.0 };
    let before = predictor.time(size, &NONE, now).unwrap();
    predictor.answered(size, Took { first: Some(0.5), whole: 300.0 }, &NONE, now);
    close(predictor.time(size, &NONE, now + KEPT).unwrap(), before, 0.35);
}

/// Broken on purpose to see it fail: no drift.
#[test]
fn what_changes_shows_within_seconds() {
    let (mut predictor, mut now) = taught(400, u64::MAX);
    let size = Size { input: 800, output: 250, load: 3.0 };
    let (first, rest) = true_times(size);
    for _ in 0..60 {
        now += 50;
        predictor.answered(size, Took { first: Some(3.0 * first), whole: 3.0 * (first + rest) }, &NONE, now);
    }
    let after = predictor.time(size, &NONE, now + KEPT).unwrap();
    assert!(after > 1.8 * (first + rest), "{after:.2} s after three seconds of {:.2}", 3.0 * (first + rest));
}

/// Broken on purpose to see it fail: factors below zero kept.
#[test]
fn nothing_is_ever_faster_for_being_larger() {
    let mut rng = fastrand::Rng::with_seed(9);
    for _ in 0..50 {
        let mut predictor = Predictor::default();
        for at in 0..rng.u64(1..12) {
            let whole = 0.1 + 20.0 * rng.f64();
            let first = rng.bool().then(|| whole * rng.f64());
            predictor.answered(some_size(&mut rng), Took { first, whole }, &NONE, at);
        }
        let mut time = |size| predictor.time(size, &NONE, 20).unwrap();
        let small = Size { input: 100, output: 10, load: 0.0 };
        let base = time(small);
        assert!(base.is_finite() && base >= 0.0);
        for larger in
            [Size { input: 9_000, ..small }, Size { output: 900, ..small }, Size { load: 20.0, ..small }]
        {
            assert!(time(larger) >= base - 1e-9);
        }
    }
}

/// Broken on purpose to see it fail: the own sums alone; the common ones alone.
#[test]
fn who_is_new_goes_by_what_all_know_and_who_is_alone_by_its_own() {
    let size = Size { input: 800, output: 250, load: 3.0 };
    let (first, rest) = true_times(size);
    let (one, now) = taught(400, u64::MAX);
    let mut new = Predictor::default();
    assert_eq!(new.time(size, &NONE, now), None, "nobody knows anything");
    close(new.time(size, &one.own, now).unwrap(), first + rest, 0.1);
    let (mut old, now) = taught(400, u64::MAX);
    close(old.time(size, &NONE, now).unwrap(), first + rest, 0.1);
    assert_eq!(old.time(size, &NONE, now + 20 * 60_000), None, "of long ago");
}

#[test]
fn failures_are_shared_too() {
    let mut one = Predictor::default();
    (0..10).for_each(|_| _ = one.failed(0));
    assert!((Predictor::default().errors(&one.own, 0) - 0.5).abs() < 1e-9);
    assert_eq!(Predictor::default().errors(&NONE, 0), 0.0);
}
