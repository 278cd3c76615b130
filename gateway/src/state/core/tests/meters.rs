//! A meter alone: windows of every length, pacing, the largest numbers, caps of two configurations.

use crate::state::core::learned::Bound;
use crate::state::core::meter::{Fit, TICKS};
use crate::state::core::{Meter, Ms, NEXT_SYNC, RAISE_AFTER, Shape, Stage};

const START: Ms = 1_700_000_000_123;
/// Lengths that 60 divides and that it does not.
const WINDOWS: [Ms; 8] = [59, 61, 1_000, 6_000, 7_000, 60_000, 86_400_000, 31 * 86_400_000];

/// Posts at once, as if the provider answered immediately.
fn admit(meter: &mut Meter, amount: u64, pace: Ms, l: Ms) -> Fit {
    meter.advance(l);
    let fit = meter.fit(amount, Bound::of(meter.cap), meter.cap, pace, l);
    if let Fit::Yes(_) = fit {
        meter.take(amount, pace, l);
        meter.hold -= amount;
        meter.post(amount);
    }
    fit
}

#[test]
fn no_window_of_any_length_exceeds_its_cap_and_waits_are_exact() {
    for per in WINDOWS {
        let mut rng = fastrand::Rng::with_seed(per);
        let (mut meter, mut l) = (Meter::new(Shape::window(per, Stage::Head), 20, START), START);
        let mut admitted: Vec<(Ms, u64)> = Vec::new();
        for _ in 0..2_000 {
            l += if rng.u8(..4) == 0 { rng.u64(0..per) } else { rng.u64(0..=per / 40) };
            let amount = rng.u64(1..8);
            match admit(&mut meter, amount, 0, l) {
                Fit::Yes(_) => admitted.push((l, amount)),
                Fit::Wait { at, exact } => {
                    assert!(exact && at > l && at <= l + per + 3 * meter.shape.width);
                    assert!(matches!(admit(&mut meter.clone(), amount, 0, at - 1), Fit::Wait { .. }));
                    if rng.bool() {
                        l = at;
                        assert!(matches!(admit(&mut meter, amount, 0, l), Fit::Yes(_)));
                        admitted.push((l, amount));
                    }
                }
                Fit::Never => panic!("{amount} of 20"),
            }
        }
        for (at, (since, _)) in admitted.iter().enumerate() {
            let within = admitted[at..].iter().take_while(|(l, _)| *l < since + per);
            assert!(within.map(|(_, amount)| amount).sum::<u64>() <= 20, "window of {per} from {since}");
        }
    }
}

/// What is charged on arrival is posted with the SYNC after its answer has begun, into the bucket of that time: soon, as most
/// begin soon. Broken on purpose to see it fail: the wait reckoned from the bucket of the refusal.
#[test]
fn a_wait_for_what_the_next_sync_will_post_is_kept() {
    for per in WINDOWS {
        for (into, told_after) in [(0, 3), (per / 7, 3), (per - 1, 3), (per - 1, NEXT_SYNC), (0, NEXT_SYNC)] {
            let (mut meter, l) = (Meter::new(Shape::window(per, Stage::Head), 2, START), START + into);
            meter.advance(l);
            meter.take(2, 0, l);
            let bound = Bound::of(2);
            let Fit::Wait { at, exact: false } = meter.fit(1, bound, 2, 0, l) else { panic!("no wait") };
            meter.advance(l + told_after);
            meter.hold -= 2;
            meter.post(2);
            meter.advance(at);
            assert!(
                matches!(meter.fit(1, bound, 2, 0, at), Fit::Yes(_)),
                "window of {per}, told after {told_after}"
            );
        }
    }
}

#[test]
fn a_full_window_is_free_again_after_it_and_two_buckets_at_most() {
    for per in WINDOWS {
        for into in [0, 1, per / 7, per - 1] {
            let (mut meter, l) = (Meter::new(Shape::window(per, Stage::Head), 5, START), START + into);
            assert!(matches!(admit(&mut meter, 5, 0, l), Fit::Yes(_)));
            let Fit::Wait { at, exact: true } = admit(&mut meter, 1, 0, l) else { panic!("no wait") };
            assert!(
                at >= l + per && at <= l + meter.shape.span() + 2 * meter.shape.width,
                "{per}: {}",
                at - l
            );
        }
    }
}

#[test]
fn a_draw_above_the_burst_waits_for_an_empty_bucket_and_then_passes() {
    let mut meter = Meter::new(Shape::window(60_000, Stage::Head), 600, START);
    // 10 units a second, a burst of 10 in 1 s; a draw of 100 is worth 10 s.
    assert!(matches!(admit(&mut meter, 100, 1_000, START), Fit::Yes(_)));
    assert_eq!(admit(&mut meter, 1, 1_000, START), Fit::Wait { at: START + 9_100, exact: true });
    assert_eq!(admit(&mut meter, 100, 1_000, START), Fit::Wait { at: START + 10_000, exact: true });
    assert!(matches!(admit(&mut meter, 1, 1_000, START + 9_100), Fit::Yes(_)));
    assert!(matches!(admit(&mut meter, 100, 1_000, START + 9_999), Fit::Wait { .. }));
}

#[test]
fn pacing_counts_in_numbers_below_2_to_the_53_whatever_the_configuration_says() {
    let (most, per) = ((1 << 40) - 1, 31 * 86_400_000);
    for (cap, amount) in [(most, most), (most, 1), (most, most / 3), (1, 1), (7, 3)] {
        let mut meter = Meter::new(Shape::window(per, Stage::End), cap, START);
        let mut l = START;
        for _ in 0..50 {
            match admit(&mut meter, amount, 10_000, l) {
                Fit::Yes(_) => {}
                Fit::Wait { at, exact } => {
                    assert!(exact && at > l);
                    l = at;
                }
                Fit::Never => panic!("fits the cap"),
            }
            assert!(meter.level < 1 << 53 && meter.level <= (per + 3 * meter.shape.width) * TICKS);
            assert!(meter.posted < 1 << 53);
        }
    }
}

#[test]
fn the_lowest_cap_declared_lately_counts() {
    let mut meter = Meter::new(Shape::window(6_000, Stage::Head), 10, START);
    meter.declare(5, START);
    assert_eq!(meter.cap, 5);
    meter.declare(10, START + 1);
    assert_eq!(meter.cap, 5, "one replica knows better, another may not");
    meter.declare(5, START + RAISE_AFTER - 1);
    meter.declare(10, START + RAISE_AFTER + 1);
    assert_eq!(meter.cap, 5, "the lower one was said again");
    meter.declare(10, START + 2 * RAISE_AFTER);
    assert_eq!(meter.cap, 10);
}
