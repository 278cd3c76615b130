//! The admin page of costs.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use http::{Response, StatusCode};
use serde_json::json;
use tokio::task::{JoinError, spawn_blocking};

use super::admin::{Desk, reply};
use crate::cost::page::{By, MOST_HOURS, Query, Sheet, Stored};
use crate::cost::told::hour_now;
use crate::cost::{Costs, Hour};
use crate::state::Port;

/// Hours that are shown if nobody says how many.
const HOURS: u64 = 24;

/// `GET /admin/v1/costs?by=tenant|model|deployment&hours=N`, and of `tenant=`, `model=`, `deployment=` alone. If the shared state
/// is away: what this replica has spent.
pub(super) async fn costs(State(desk): State<Arc<Desk>>, RawQuery(asked): RawQuery) -> Response<Body> {
    let query = match read(asked.as_deref().unwrap_or_default()) {
        Ok(query) => query,
        Err(why) => return answer(StatusCode::BAD_REQUEST, json!({"error": {"message": why}}).to_string()),
    };
    let _turn = desk.costs.lock().await; // one at a time
    match page(&desk.port, &desk.shared.costs, &query, hour_now()).await {
        Ok(page) => answer(StatusCode::OK, page),
        Err(error) => {
            tracing::error!(target: "weir::admin", %error, "the page of costs could not be made");
            let message = "The page could not be made.";
            answer(StatusCode::INTERNAL_SERVER_ERROR, json!({"error": {"message": message}}).to_string())
        }
    }
}

/// The page, hour by hour. A month of many tenants takes its time, and this runtime keeps the replica alive in the shared state.
async fn page(port: &Port, costs: &Costs, query: &Query, now: Hour) -> Result<String, JoinError> {
    let whole = add_up(Some(port), costs, query, now).await?;
    let (sheet, is_whole) = match whole {
        Some(sheet) => (sheet, true),
        None => (add_up(None, costs, query, now).await?.unwrap_or_else(|| Sheet::new(query.clone())), false),
    };
    spawn_blocking(move || sheet.page(now, is_whole).to_string()).await
}

/// What the hours came to; `port`: to what others told, none to leave that out. None if the state is away.
async fn add_up(
    port: Option<&Port>,
    costs: &Costs,
    query: &Query,
    now: Hour,
) -> Result<Option<Sheet>, JoinError> {
    let mut sheet = Sheet::new(query.clone());
    for hour in query.span(now) {
        let fields = match port {
            Some(port) => match port.costs(hour).await {
                Ok(fields) => fields,
                Err(_) => return Ok(None),
            },
            None => Stored::new(),
        };
        // Read after what was told: a book that ends between the two is not missed.
        let own = costs.levels(hour);
        if fields.is_empty() && own.is_empty() {
            continue;
        }
        let add = move || {
            sheet.add(hour, &fields, &own);
            sheet
        };
        sheet = spawn_blocking(add).await?;
    }
    Ok(Some(sheet))
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

fn answer(status: StatusCode, page: String) -> Response<Body> {
    let mut response = reply("application/json", page.into_bytes());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use serde_json::Value;

    use super::*;
    use crate::cost::Sums;

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

    /// The runtime of the admin pages keeps the replica alive in the shared state. Broken on purpose to see it fail: all hours added
    /// up on the runtime's thread, where nothing else ran in between.
    #[tokio::test]
    async fn a_page_of_many_hours_leaves_the_runtime_to_others_between_any_two_of_them() {
        let (port, hours) = (Port::Local(Arc::default()), 50);
        let sums = Sums { attempts: 1.0, usd: 2.0, ..Sums::default() }.text();
        for hour in 0..hours {
            port.tell_costs((1_000 + hour, "r.1"), None, &[(r#"["t","m","d"]"#, sums.clone())])
                .await
                .unwrap();
        }
        let turns = Arc::new(AtomicU64::new(0));
        let counted = turns.clone();
        let other = tokio::spawn(async move {
            loop {
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
        let query = Query { by: By::Tenant, hours, only: Vec::new() };
        let page = page(&port, &Costs::new("r"), &query, 1_000 + hours - 1).await.unwrap();
        other.abort();
        let page: Value = serde_json::from_str(&page).unwrap();
        assert_eq!((&page["total"]["cost_usd"], &page["whole_cluster"]), (&json!(100.0), &json!(true)));
        let turns = turns.load(Ordering::Relaxed);
        assert!(turns >= hours, "{turns} turns in {hours} hours");
    }
}
