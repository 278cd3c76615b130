//! The instruments of a tenant, model and deployment, bound to their labels once: unbound ones sort and hash their labels at
//! every use, which costs more than the rest of a call's bookkeeping.
//!
//! Models and deployments stand in the configuration, tenants may be many. So many of them have a label of their own, those
//! that came first; all others count together as `other`. The SDK keeps as many series as that can become ([`limit`]); above
//! its limit it would count together all labels, of models as well.

use std::sync::{Arc, LazyLock};

use ahash::{AHashMap, AHashSet};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{BoundCounter, BoundHistogram, Counter, Histogram};
use opentelemetry_sdk::metrics::{Instrument, Stream};
use parking_lot::{Mutex, RwLock};

use super::late::Late;
use super::metrics::Metrics;
use crate::state::pools::tenant_of;

/// Tenant, model, deployment.
pub(super) type Place = (Arc<str>, Arc<str>, Arc<str>);

/// Places of tenants that have a label of their own, at most.
const MOST_PLACES: usize = 10_000;
/// Whoever has none.
static OTHER: LazyLock<Arc<str>> = LazyLock::new(|| "other".into());

/// How many series an instrument may have.
pub(super) fn limit(instrument: &Instrument) -> Option<Stream> {
    let most = match instrument.name() {
        // By place, and each by status or kind.
        "weir_requests" => 8 * MOST_PLACES,
        "weir_tokens" => 3 * MOST_PLACES,
        // By place, beside the baseline or the dearest.
        "weir_cost_saved_usd" | "weir_cost_excess_usd" => 2 * MOST_PLACES,
        "weir_cost_usd" | "weir_cost_estimated_usd" | "weir_cost_unknown" => MOST_PLACES,
        // By pool, and each by meter.
        "weir_pool_utilisation_ratio" | "weir_denials" => 4 * MOST_PLACES,
        // By model and deployment.
        "weir_request_duration" | "weir_time_to_first_token" | "weir_reservation_error_tokens" => MOST_PLACES,
        // By deployment and outcome; by model, deployment and kind.
        "weir_attempts" | "weir_errors" => MOST_PLACES,
        // By deployment, operation and outcome, and by model besides.
        name if name.starts_with("gen_ai.") => MOST_PLACES,
        _ => return None, // the SDK's: 2,000
    };
    Stream::builder().with_cardinality_limit(most).build().ok()
}

/// All of them.
#[derive(Debug)]
pub(super) struct AllSeries {
    most_tenants: usize,
    known: RwLock<Known>, // short sections
}

#[derive(Debug, Default)]
struct Known {
    tenants: AHashSet<Arc<str>>,
    /// Whose pools are shown though they have not called.
    shown: AHashSet<Arc<str>>,
    places: AHashMap<Place, Arc<Series>>,
}

impl Known {
    /// Has the tenant a label of its own, or may it have one?
    fn has_label(&self, tenant: &str, most: usize) -> bool {
        tenant.is_empty() || self.tenants.contains(tenant) || self.tenants.len() < most
    }

    /// Under which place a call is counted.
    fn place(&self, (tenant, model, deployment): &Place, most: usize) -> Place {
        let is_own = self.has_label(tenant, most) && self.places.len() < MOST_PLACES;
        let tenant = if is_own { tenant } else { &*OTHER };
        (tenant.clone(), model.clone(), deployment.clone())
    }
}

impl AllSeries {
    /// So many tenants have a label of their own.
    pub(super) fn new(most_tenants: usize) -> AllSeries {
        AllSeries { most_tenants, known: RwLock::default() }
    }

    /// Those of a place.
    pub(super) fn of(&self, place: &Place, metrics: &Metrics) -> Arc<Series> {
        let known = self.known.read();
        if let Some(series) = known.places.get(place) {
            return series.clone();
        }
        if let Some(series) = known.places.get(&known.place(place, self.most_tenants)) {
            return series.clone();
        }
        drop(known);
        let mut known = self.known.write();
        let place = known.place(place, self.most_tenants);
        if !place.0.is_empty() && place.0 != *OTHER {
            known.tenants.insert(place.0.clone());
        }
        known.places.entry(place.clone()).or_insert_with(|| Arc::new(Series::bind(metrics, place))).clone()
    }

    /// The label of a pool; none if it is that of a tenant that has no label of its own.
    pub(super) fn pool(&self, pool: &Arc<str>) -> Option<Arc<str>> {
        let Some(tenant) = tenant_of(pool) else { return Some(pool.clone()) };
        let is_shown = |known: &Known| known.tenants.contains(tenant) || known.shown.contains(tenant);
        if is_shown(&self.known.read()) {
            return Some(pool.clone());
        }
        // (A pool that is only shown takes no label from who calls, and before anybody has called not all are.)
        let mut known = self.known.write();
        let is_room = known.has_label(tenant, self.most_tenants) && known.shown.len() < self.most_tenants;
        is_room.then(|| {
            known.shown.insert(tenant.into());
            pool.clone()
        })
    }
}

/// Instruments bound to one place.
#[derive(Debug)]
pub(super) struct Series {
    place: Place,
    by_status: Mutex<Vec<(u16, BoundCounter<u64>)>>,
    pub(super) duration: BoundHistogram<f64>,
    pub(super) first_token: Late<Histogram<f64>>,
    pub(super) input: BoundCounter<u64>,
    pub(super) output: BoundCounter<u64>,
    pub(super) reservation_error: Late<Histogram<f64>>,
}

impl Series {
    fn bind(metrics: &Metrics, place: Place) -> Series {
        let [tenant, model, deployment] = labels(&place);
        let here = [model.clone(), deployment.clone()];
        let tokens = |kind: &'static str| {
            let labels = [tenant.clone(), model.clone(), deployment.clone(), KeyValue::new("type", kind)];
            metrics.calls.tokens.bind(&labels)
        };
        Series {
            by_status: Mutex::default(),
            duration: metrics.calls.duration.bind(&here),
            first_token: Late::new(&metrics.calls.first_token, &here),
            input: tokens("input"),
            output: tokens("output"),
            reservation_error: Late::new(&metrics.calls.reservation_error, &here),
            place,
        }
    }

    /// Whose they are.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    pub(super) fn labels(&self) -> [KeyValue; 3] {
        labels(&self.place)
    }

    pub(super) fn request(&self, status: u16, requests: &Counter<u64>) {
        let mut known = self.by_status.lock();
        if let Some((_, counter)) = known.iter().find(|(code, _)| *code == status) {
            return counter.add(1);
        }
        let [tenant, model, deployment] = self.labels();
        let counter = requests.bind(&[tenant, model, deployment, KeyValue::new("status", i64::from(status))]);
        counter.add(1);
        known.push((status, counter));
    }
}

fn labels((tenant, model, deployment): &Place) -> [KeyValue; 3] {
    [
        KeyValue::new("tenant", tenant.clone()),
        KeyValue::new("model", model.clone()),
        KeyValue::new("deployment", deployment.clone()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(tenant: &str) -> Place {
        (tenant.into(), "m".into(), "d".into())
    }

    /// Broken on purpose to see it fail: every tenant with a label of its own; the anonymous without one; every pool shown until enough
    /// tenants have called.
    #[test]
    fn the_first_tenants_have_labels_of_their_own_and_all_others_one() {
        let (metrics, all) = (Metrics::new().unwrap(), AllSeries::new(2));
        let label = |tenant: &str| all.of(&place(tenant), &metrics).place.0.to_string();
        for (tenant, expected) in
            [("a", "a"), ("b", "b"), ("c", "other"), ("a", "a"), ("", ""), ("d", "other")]
        {
            assert_eq!(label(tenant), expected, "{tenant}");
        }
        assert_eq!(all.pool(&"tenant/a".into()).as_deref(), Some("tenant/a"));
        assert_eq!(all.pool(&"tenant/c".into()), None);
        assert_eq!(all.pool(&"gateway".into()).as_deref(), Some("gateway"));
        // Before anybody has called, of a thousand pools no more are shown than may have labels.
        let fresh = AllSeries::new(2);
        let shown = || (0..1_000).filter(|n| fresh.pool(&format!("tenant/t{n}").into()).is_some()).count();
        assert_eq!((shown(), shown()), (2, 2));
        // Money of who is shown is shown as well, of nobody else.
        let budget = |n: usize| fresh.pool(&format!("tenant/t{n}/budget/day").into()).is_some();
        assert_eq!((budget(0), budget(1), budget(2)), (true, true, false));
        let other = || all.of(&(place("e").0, "m2".into(), "d".into()), &metrics);
        assert!(Arc::ptr_eq(&other(), &other()), "bound once");
    }

    /// Broken on purpose to see it fail: the SDK's limit left as it is.
    #[test]
    fn more_places_than_the_sdk_keeps_by_itself_are_told_apart() {
        let metrics = Metrics::with(None, 100_000).unwrap();
        for n in 0..2_500u32 {
            let place = (format!("t{n}").into(), "m".into(), "d".into());
            metrics.series.of(&place, &metrics).request(200, &metrics.calls.requests);
        }
        let text = String::from_utf8(metrics.text().unwrap()).unwrap();
        let series = text.lines().filter(|line| line.starts_with("weir_requests_total{")).count();
        assert_eq!((series, text.contains("overflow")), (2_500, false));
    }
}
