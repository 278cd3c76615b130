//! The admin page of costs.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use http::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::task::{JoinError, spawn_blocking};

use super::admin::{Desk, reply};
use crate::cost::page::{By, MOST_HOURS, Query, Sheet, Stored};
use crate::cost::told::hour_now;
use crate::cost::{Costs, Hour};
use crate::state::Port;

/// Hours that are shown if nobody says how many.
const HOURS: u64 = 24;

/// How much of the page is told.
#[derive(Debug, PartialEq, Eq)]
struct Detail {
    /// So many rows, the dearest ones.
    rows: usize,
    /// Each row by hour as well.
    hourly: bool,
}

/// `GET /admin/v1/costs?by=tenant|model|deployment&hours=N`, and of `tenant=`, `model=`, `deployment=` alone; `rows=N` dearest ones,
/// `hourly=false` without each row's hours: who looks often needs few of both. If the shared state is away: what this replica has spent.
pub(super) async fn costs(State(desk): State<Arc<Desk>>, RawQuery(asked): RawQuery) -> Response<Body> {
    let (query, detail) = match read(asked.as_deref().unwrap_or_default()) {
        Ok(query) => query,
        Err(why) => return answer(StatusCode::BAD_REQUEST, json!({"error": {"message": why}}).to_string()),
    };
    let _turn = desk.costs.lock().await; // one at a time
    match page(&desk.port, &desk.shared.costs, (&query, detail), hour_now()).await {
        Ok(page) => answer(StatusCode::OK, page),
        Err(error) => {
            tracing::error!(target: "weir::admin", %error, "the page of costs could not be made");
            let message = "The page could not be made.";
            answer(StatusCode::INTERNAL_SERVER_ERROR, json!({"error": {"message": message}}).to_string())
        }
    }
}

/// The page, hour by hour. A month of many tenants takes its time, and this runtime keeps the replica alive in the shared state.
async fn page(
    port: &Port,
    costs: &Costs,
    (query, detail): (&Query, Detail),
    now: Hour,
) -> Result<String, JoinError> {
    let whole = add_up(Some(port), costs, query, now).await?;
    let (sheet, is_whole) = match whole {
        Some(sheet) => (sheet, true),
        None => (add_up(None, costs, query, now).await?.unwrap_or_else(|| Sheet::new(query.clone())), false),
    };
    let text = move || {
        let mut page = sheet.page(now, is_whole);
        cut(&mut page, &detail);
        page.to_string()
    };
    spawn_blocking(text).await
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

/// Leaves out of the page what is not wanted.
fn cut(page: &mut Value, detail: &Detail) {
    let Some(rows) = page["rows"].as_array_mut() else { return };
    let left_out = rows.len().saturating_sub(detail.rows);
    rows.truncate(detail.rows);
    for row in rows.iter_mut().filter(|_| !detail.hourly).filter_map(Value::as_object_mut) {
        row.remove("by_hour");
    }
    page["rows_left_out"] = left_out.into();
}

fn read(asked: &str) -> Result<(Query, Detail), String> {
    let mut query = Query { by: By::Model, hours: HOURS, only: Vec::new() };
    let mut detail = Detail { rows: usize::MAX, hourly: true };
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
            ("rows", _) => detail.rows = value.parse().map_err(|_| "`rows` is a whole number")?,
            ("hourly", _) => detail.hourly = value.parse().map_err(|_| "`hourly` is true or false")?,
            (_, Some(by)) => query.only.push((by, value)),
            _ => {
                return Err(format!(
                    "{name:?} is none of by, hours, rows, hourly, tenant, model and deployment"
                ));
            }
        }
    }
    Ok((query, detail))
}

fn answer(status: StatusCode, page: String) -> Response<Body> {
    let mut response = reply("application/json", page.into_bytes());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::cost::Sums;

    #[test]
    fn what_is_asked_for_is_read_and_what_is_not_understood_is_refused() {
        let (query, detail) = read("by=tenant&hours=48&model=a%2Fb&tenant=&rows=3&hourly=false").unwrap();
        assert_eq!((query.by, query.hours), (By::Tenant, 48));
        assert_eq!(detail, Detail { rows: 3, hourly: false });
        assert_eq!(query.only, [(By::Model, "a/b".to_owned()), (By::Tenant, String::new())]);
        let (query, detail) = read("").unwrap();
        assert_eq!(query, Query { by: By::Model, hours: 24, only: Vec::new() });
        assert_eq!(detail, Detail { rows: usize::MAX, hourly: true });
        for wrong in [
            "by=x",
            "rows=-1",
            "rows=",
            "hourly=no",
            "hours=0",
            "hours=745",
            "hours=-1",
            "hour=3",
            "model=%ff",
        ] {
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
        let page =
            page(&port, &Costs::new("r"), (&query, Detail { rows: 10, hourly: false }), 1_000 + hours - 1)
                .await
                .unwrap();
        other.abort();
        let page: Value = serde_json::from_str(&page).unwrap();
        assert_eq!((&page["total"]["cost_usd"], &page["whole_cluster"]), (&json!(100.0), &json!(true)));
        let turns = turns.load(Ordering::Relaxed);
        assert!(turns >= hours, "{turns} turns in {hours} hours");
    }

    /// Broken on purpose to see it fail: the hours of the sum left out as well.
    #[test]
    fn a_page_that_is_asked_for_often_is_short() {
        let row = |name: &str| json!({"model": name, "cost_usd": 1, "by_hour": [{"hour": "x"}]});
        let whole = json!({"total": {"by_hour": [1]}, "rows": [row("a"), row("b"), row("c")]});
        let (mut short, mut all) = (whole.clone(), whole);
        cut(&mut short, &Detail { rows: 2, hourly: false });
        assert_eq!((&short["rows_left_out"], short["rows"].as_array().unwrap().len()), (&json!(1), 2));
        assert_eq!((short["rows"][0].get("by_hour"), &short["total"]["by_hour"]), (None, &json!([1])));
        cut(&mut all, &Detail { rows: usize::MAX, hourly: true });
        assert_eq!((&all["rows_left_out"], &all["rows"][2]["by_hour"][0]["hour"]), (&json!(0), &json!("x")));
    }
}
