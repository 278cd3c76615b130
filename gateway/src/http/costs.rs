//! The admin page of costs.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::admin::{Desk, reply};
use crate::cost::page::{By, MOST_HOURS, Query, page};
use crate::cost::told::hour_now;

/// Hours that are shown if nobody says how many.
const HOURS: u64 = 24;

/// `GET /admin/v1/costs?by=tenant|model|deployment&hours=N`, and of `tenant=`, `model=`, `deployment=` alone. If the shared state
/// is away: what this replica has spent.
pub(super) async fn costs(State(desk): State<Arc<Desk>>, RawQuery(asked): RawQuery) -> Response<Body> {
    let query = match read(asked.as_deref().unwrap_or_default()) {
        Ok(query) => query,
        Err(why) => return answer(StatusCode::BAD_REQUEST, &json!({"error": {"message": why}})),
    };
    let now = hour_now();
    let stored = desk.port.costs(&query.span(now)).await.ok();
    // Read after what was told: a book that ends between the two is not missed.
    let own = desk.shared.costs.levels();
    answer(StatusCode::OK, &page(&query, now, stored.as_deref(), &own))
}

fn read(asked: &str) -> Result<Query, String> {
    let mut query = Query { by: By::Model, hours: HOURS, only: Vec::new() };
    for pair in asked.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = percent_encoding::percent_decode_str(value).decode_utf8();
        let value = value.map_err(|_| format!("{name}: not UTF-8"))?.into_owned();
        let by = |word: &str| By::ALL.into_iter().find(|by| by.word() == word);
        match (name, by(name)) {
            ("by", _) => query.by = by(&value).ok_or("`by` is tenant, model or deployment")?,
            ("hours", _) => {
                let hours = value.parse().ok().filter(|hours| (1..=MOST_HOURS).contains(hours));
                query.hours =
                    hours.ok_or_else(|| format!("`hours` is a whole number from 1 to {MOST_HOURS}"))?;
            }
            (_, Some(by)) => query.only.push((by, value)),
            _ => return Err(format!("{name:?} is none of by, hours, tenant, model and deployment")),
        }
    }
    Ok(query)
}

fn answer(status: StatusCode, page: &Value) -> Response<Body> {
    let mut response = reply("application/json", page.to_string().into_bytes());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_read_and_what_is_not_understood_is_refused() {
        let query = read("by=tenant&hours=48&model=a%2Fb&tenant=").unwrap();
        assert_eq!((query.by, query.hours), (By::Tenant, 48));
        assert_eq!(query.only, [(By::Model, "a/b".to_owned()), (By::Tenant, String::new())]);
        assert_eq!(read("").unwrap(), Query { by: By::Model, hours: 24, only: Vec::new() });
        for wrong in ["by=x", "hours=0", "hours=745", "hours=-1", "hour=3", "model=%ff"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
