use proptest::prelude::*;

use super::*;

const RATES: Rates =
    Rates { input: 2.0, output: 8.0, cache_read: 1.0, cache_write: 2.5, cache_write_long: 4.0, request: 0.5 };

fn usage() -> Usage {
    Usage {
        input: 1_000_000,
        cached_input: 400_000,
        written_input: 200_000,
        output: 500_000,
        ..Usage::default()
    }
}

/// But for the last digit of a sum.
fn is_about(cost: Option<f64>, wanted: f64) -> bool {
    cost.is_some_and(|cost| (cost - wanted).abs() < 1e-12)
}

/// Broken on purpose to see it fail: what was written for long paid as what was written for minutes.
#[test]
fn every_kind_of_token_is_paid_at_its_own_rate() {
    let price = Price::flat(RATES);
    assert!(is_about(price.cost(&usage()), 0.4 * 2.0 + 0.4 * 1.0 + 0.2 * 2.5 + 4.0 + 0.5));
    let long = Usage { written_long: 150_000, reasoning: 450_000, ..usage() };
    assert!(is_about(price.cost(&long), 0.8 + 0.4 + 0.05 * 2.5 + 0.15 * 4.0 + 4.0 + 0.5));
    assert_eq!(price.of(1_000_000, 400_000, 200_000, 500_000), price.as_usual(&usage()));
}

/// Broken on purpose to see it fail: `>=` for `>`; only the tokens above paid at the rates of long ones.
#[test]
fn a_long_call_costs_as_such_from_the_first_token_above() {
    let rates = Rates { input: 4.0, ..RATES };
    let price = Price { long: Some((272_000, rates)), ..Price::flat(RATES) };
    let of = |input| price.cost(&Usage { input, ..Usage::default() });
    assert!(is_about(of(272_000), 0.272 * 2.0 + 0.5));
    assert!(is_about(of(272_001), 0.272_001 * 4.0 + 0.5));
}

/// Broken on purpose to see it fail: a way without a factor paid as usual.
#[test]
fn a_way_to_be_served_has_its_price_or_none() {
    let plain = Usage { input: 1_000_000, ..Usage::default() };
    let served = |service, price: &Price| price.cost(&Usage { service, ..plain });
    let factors = Factors { flex: Some(0.5), priority: Some(2.0), ..Factors::default() };
    let price = Price { service: Some(factors), ..Price::flat(Rates { request: 0.0, ..RATES }) };
    assert_eq!(served(Service::Standard, &price), Some(2.0));
    assert_eq!(served(Service::Flex, &price), Some(1.0));
    assert_eq!(served(Service::Priority, &price), Some(4.0));
    assert_eq!(served(Service::Batch, &price), None, "nobody says what it costs");
    assert_eq!(served(Service::Other, &price), None);
    let whichever = Price { service: None, ..price };
    assert_eq!(served(Service::Other, &whichever), Some(2.0));
}

fn listed(from: u64, until: Option<u64>, input: f64) -> Arc<Listed> {
    let price = Price::flat(Rates { input, ..Rates::default() });
    Arc::new(Listed {
        price,
        from,
        until,
        hours: Vec::new(),
        source: "s".into(),
        checked: 0,
        verified: true,
        line: 1,
    })
}

/// Broken on purpose to see it fail: `<=` for `<` at the end; `<` for `<=` at the beginning.
#[test]
fn a_price_changes_in_the_second_in_which_it_says_so() {
    let pricing = Pricing::Listed(vec![listed(2_000, Some(3_000), 1.0), listed(1_000, None, 2.0)]);
    let input = |unix| pricing.at(unix).map(|price| price.rates.input);
    assert_eq!((input(999), input(1_000)), (None, Some(2.0)));
    assert_eq!((input(1_999), input(2_000)), (Some(2.0), Some(1.0)));
    assert_eq!((input(2_999), input(3_000)), (Some(1.0), Some(2.0)), "after an offer the price of before");
    assert_eq!(pricing.changes_after(1_500), Some(2_000));
    assert_eq!(pricing.changes_after(3_000), None);
    assert!(!pricing.is_over(5_000));
    let offer = Pricing::Listed(vec![listed(0, Some(3_000), 1.0)]);
    let latest = |unix| offer.latest(unix).map(|price| price.rates.input);
    assert_eq!((latest(2_999), latest(9_999)), (Some(1.0), Some(1.0)), "a budget counts on");
    assert!(!offer.is_over(2_999) && offer.is_over(3_000) && offer.at(3_000).is_none());
    assert!(!Pricing::UNKNOWN.is_known() && Pricing::UNKNOWN.at(0).is_none() && !Pricing::UNKNOWN.is_over(0));
}

/// Monday, 2024-01-01 00:00 UTC, is 1704067200.
#[test]
fn what_has_hours_holds_in_them() {
    let hours = vec![Hours::read("mon-fri 01:00-04:00").unwrap()];
    let peak = Arc::new(Listed { hours, ..(*listed(0, None, 2.0)).clone() });
    let pricing = Pricing::Listed(vec![peak, listed(0, None, 1.0)]);
    let input = |unix| pricing.at(unix).map(|price| price.rates.input);
    let one = 1_704_067_200 + 3_600;
    assert_eq!((input(one - 1), input(one), input(one + 3 * 3_600)), (Some(1.0), Some(2.0), Some(1.0)));
}

proptest! {
    /// Whatever an upstream says, money is a number and not negative; and it is what its kinds come to.
    #[test]
    fn money_is_a_number_and_never_negative_and_comes_to_the_sum_of_its_kinds(
        rates in proptest::array::uniform6(0.0..1e4f64),
        counts in proptest::array::uniform6(0..=(1u64 << 30)),
        above in 0..(1u64 << 30), factor in 0.0..10.0f64, dearer in 1.0..3.0f64,
    ) {
        let [input_rate, output_rate, cache_read, cache_write, cache_write_long, request] = rates;
        let rates =
            Rates { input: input_rate, output: output_rate, cache_read, cache_write, cache_write_long, request };
        let [input, cached_input, written_input, output, reasoning, written_long] = counts;
        let service = [Service::Standard, Service::Flex, Service::Other][(reasoning % 3) as usize];
        let usage = Usage { input, cached_input, written_input, output, reasoning, written_long, service };
        let factors = Factors { flex: Some(factor), ..Factors::default() };
        let long = Rates {
            input: input_rate * dearer, output: output_rate * dearer, cache_read: cache_read * dearer,
            cache_write: cache_write * dearer, cache_write_long: cache_write_long * dearer, request,
        };
        let price = Price { rates, long: Some((above, long)), service: Some(factors) };
        let as_usual = price.as_usual(&usage);
        prop_assert!(as_usual.is_finite() && as_usual >= 0.0);
        match price.cost(&usage) {
            Some(cost) => prop_assert!(cost.is_finite() && cost >= 0.0),
            None => prop_assert_eq!(service, Service::Other),
        }
        // All of a call with more input than so much costs the rates of long ones.
        let by = Price::flat(if input > above { long } else { rates });
        let only = |usage: Usage| by.as_usual(&usage) - request;
        let cached = cached_input.min(input);
        let written = written_input.min(input - cached);
        let written_long = written_long.min(written);
        let parts = only(Usage { input: input - cached - written, ..Usage::default() })
            + only(Usage { input: cached, cached_input: cached, ..Usage::default() })
            + only(Usage { input: written, written_input: written, written_long, ..Usage::default() })
            + only(Usage { output, ..Usage::default() })
            + request;
        prop_assert!((parts - as_usual).abs() <= 1e-9 * (1.0 + as_usual), "{} is not {}", parts, as_usual);
    }
}
