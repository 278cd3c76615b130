use std::sync::Mutex;

use http::Response;

use super::*;
use crate::alerts::seen::{Alert, Kind};
use crate::upstream::auth::{Answering, Unreachable};

/// Answers so, and keeps what it is sent.
struct Receiver {
    status: u16,
    retry_after: Option<&'static str>,
    asked: Mutex<Vec<Request<Bytes>>>,
}

impl Receiver {
    fn new(status: u16, retry_after: Option<&'static str>) -> Receiver {
        Receiver { status, retry_after, asked: Mutex::default() }
    }
}

impl Exchange for Receiver {
    fn exchange(&self, request: Request<Bytes>, _: Duration) -> Answering<'_> {
        self.asked.lock().unwrap().push(request);
        let mut answer = Response::new(Bytes::from_static(b"hunter2"));
        *answer.status_mut() = self.status.try_into().unwrap();
        if let Some(after) = self.retry_after {
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(after));
        }
        Box::pin(async { Ok(answer) })
    }
}

/// Nobody is there.
struct Nobody;

impl Exchange for Nobody {
    fn exchange(&self, _: Request<Bytes>, _: Duration) -> Answering<'_> {
        Box::pin(async { Err(Unreachable("connection refused".to_owned())) })
    }
}

const WHOSE: Whose<'_> = Whose { namespace: "prod", replica: "weir-1" };

fn webhook() -> Webhook {
    let text = "version = 1\n[alerts]\nwebhook = \"http://hooks.example/services/hunter2\"\n";
    let config = crate::config::check::check("weir.toml".as_ref(), text, &|_| None).unwrap();
    config.alerts.webhook.unwrap()
}

fn events(count: usize) -> Vec<Event> {
    let alert = |at| Alert::of(Kind::BudgetNear, &format!("tenant-{at}/budget/day"));
    (0..count).map(|at| Event { alert: alert(at), is_over: at == 1, since: 1_700_000_000 }).collect()
}

#[tokio::test]
async fn a_message_says_what_is_the_matter_to_people_and_programs() {
    let receiver = Receiver::new(204, None);
    assert_eq!(post(&receiver, &webhook(), &WHOSE, &events(2)).await, Posted::Taken);
    let asked = receiver.asked.lock().unwrap();
    assert_eq!(asked[0].method(), Method::POST);
    assert_eq!(asked[0].uri(), "http://hooks.example/services/hunter2");
    let said: Value = serde_json::from_slice(asked[0].body()).unwrap();
    let summary = "budget tenant-0/budget/day: 80 % of it are spent";
    assert_eq!(
        said,
        json!({
            "source": "weir", "namespace": "prod", "replica": "weir-1",
            "text": format!("Weir: {summary}\nWeir: over: budget tenant-1/budget/day: 80 % of it are spent"),
            "alerts": [
                {"key": "budget_near/tenant-0/budget/day", "alert": "budget_near", "subject": "tenant-0/budget/day",
                 "status": "firing", "since": "2023-11-14T22:13:20Z", "summary": summary},
                {"key": "budget_near/tenant-1/budget/day", "alert": "budget_near", "subject": "tenant-1/budget/day",
                 "status": "resolved", "since": "2023-11-14T22:13:20Z",
                 "summary": "budget tenant-1/budget/day: 80 % of it are spent"},
            ],
        })
    );
}

#[test]
fn a_message_is_bounded() {
    let body = body(&WHOSE, &events(MOST));
    assert!(body.to_string().len() < 32 << 10);
    let text = body["text"].as_str().unwrap();
    assert_eq!(text.lines().count(), LINES + 1);
    assert!(text.ends_with("and 30 more"));
}

/// Broken on purpose to see it fail: the address, or the answer's body, in the reason.
#[tokio::test]
async fn why_it_was_not_taken_names_no_address_and_when_to_come_back() {
    let refused = post(&Receiver::new(429, Some("30")), &webhook(), &WHOSE, &events(1)).await;
    let after = Some(Duration::from_secs(30));
    assert_eq!(refused, Posted::Not { why: "the receiver answered 429".to_owned(), after });
    // Where a redirect leads is not asked: the message would go to somebody else.
    for status in [301, 400, 500] {
        let posted = post(&Receiver::new(status, None), &webhook(), &WHOSE, &events(1)).await;
        assert_eq!(posted, Posted::Not { why: format!("the receiver answered {status}"), after: None });
    }
    let nobody = post(&Nobody, &webhook(), &WHOSE, &events(1)).await;
    assert_eq!(nobody, Posted::Not { why: "connection refused".to_owned(), after: None });
}
