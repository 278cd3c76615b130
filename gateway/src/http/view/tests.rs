use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::super::admin::router;
use super::super::admin::tests::{desk, peer};
use super::*;
use crate::state::Port;
use crate::telemetry::Record;

/// Who reads the events of a desk, event by event.
struct Reader {
    body: Body,
    text: String,
    document: Value,
    calls: Vec<Value>,
}

impl Reader {
    async fn open(desk: &Arc<Desk>) -> Reader {
        let request = Request::get("/admin/v1/events").extension(peer()).body(Body::empty()).unwrap();
        let response = router(desk.clone()).oneshot(request).await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["content-type"]),
            (200, &"text/event-stream".parse().unwrap())
        );
        Reader { body: response.into_body(), text: String::new(), document: Value::Null, calls: Vec::new() }
    }

    /// The name of the next event; it is taken in.
    async fn next(&mut self) -> String {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let event = self.text[..end].to_owned();
                self.text.drain(..end + 2);
                if event != ":" {
                    return self.take(&event);
                }
                continue;
            }
            let frame = tokio::time::timeout(Duration::from_secs(20), self.body.frame()).await.unwrap();
            let data = frame.expect("the stream ended").unwrap().into_data().unwrap();
            self.text += std::str::from_utf8(&data).unwrap();
        }
    }

    fn take(&mut self, event: &str) -> String {
        let (name, data) = event.split_once('\n').unwrap();
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        let name = name.strip_prefix("event: ").unwrap();
        match name {
            "state" => self.document = data,
            "patch" => merge(&mut self.document, &data),
            "calls" => self.calls.extend(data["calls"].as_array().unwrap().iter().cloned()),
            other => panic!("{other}"),
        }
        name.to_owned()
    }

    async fn until(&mut self, is: impl Fn(&Reader) -> bool) {
        while !is(self) {
            self.next().await;
        }
    }
}

/// As the page does it.
fn merge(into: &mut Value, patch: &Value) {
    for (name, value) in patch.as_object().unwrap() {
        if value.is_null() {
            into.as_object_mut().unwrap().remove(name);
        } else if value.is_object() && into[name].is_object() {
            merge(&mut into[name], value);
        } else {
            into[name] = value.clone();
        }
    }
}

fn end_a_call(desk: &Desk) {
    let mut record = Record::new(desk.shared.metrics.clone(), "req_1".into());
    (record.model, record.deployment) = ("m".into(), "d".into());
    record.ok();
}

fn watch_one(port: &Port, name: &str) -> Arc<Desk> {
    let desk = desk(port, name, "");
    tokio::spawn(keep(desk.clone(), desk.phase.clone()));
    desk
}

/// Broken on purpose to see it fail: the viewer not told that something was changed (the drain showed after half a second only
/// where the clock is paused for longer); calls of before told again.
#[tokio::test(start_paused = true)]
async fn who_watches_sees_all_of_it_then_what_changes_and_calls_as_they_end() {
    let desk = watch_one(&Port::Local(Arc::default()), "r1");
    let mut reader = Reader::open(&desk).await;
    assert_eq!(reader.next().await, "state");
    assert_eq!(reader.document["deployments"]["d"]["drained"], false);
    assert_eq!(reader.document["models"]["m"]["targets"][0]["deployment"], "d");
    assert_eq!(reader.document["pools"]["deployment/d"]["meters"][0]["cap"], 60);
    end_a_call(&desk);
    reader.until(|reader| !reader.calls.is_empty()).await;
    assert_eq!((&reader.calls[0]["id"], &reader.calls[0]["replica"]), (&json!("req_1"), &json!("r1")));
    assert_eq!(reader.document["sums"]["r1"]["all"]["calls"], 1.0);
    let before = tokio::time::Instant::now();
    let drain = Request::post("/admin/v1/deployments/d/drain").extension(peer()).body(Body::empty()).unwrap();
    assert_eq!(router(desk.clone()).oneshot(drain).await.unwrap().status(), 200);
    reader.until(|reader| reader.document["deployments"]["d"]["drained"] == true).await;
    assert!(before.elapsed() < LOOK / 2, "{:?}", before.elapsed());
    for _ in 0..3 {
        assert_eq!(reader.next().await, "patch");
    }
    assert_eq!(reader.calls.len(), 1);
}

/// Broken on purpose to see it fail: seats not given back; no bound of them; the feed left on.
#[tokio::test(start_paused = true)]
async fn few_may_watch_and_nothing_is_kept_when_nobody_does() {
    let desk = watch_one(&Port::Local(Arc::default()), "r1");
    let mut readers = Vec::new();
    for _ in 0..SEATS {
        readers.push(Reader::open(&desk).await);
    }
    let refused = Request::get("/admin/v1/events").extension(peer()).body(Body::empty()).unwrap();
    assert_eq!(router(desk.clone()).oneshot(refused).await.unwrap().status(), 503);
    readers.truncate(1);
    readers[0].next().await;
    while *desk.viewer.watchers.borrow() != 1 {
        tokio::time::sleep(LOOK).await;
    }
    end_a_call(&desk);
    assert_eq!(desk.shared.metrics.feed.last(9).len(), 1);
    drop(readers);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(*desk.viewer.watchers.borrow(), 0);
    let heard_until = Instant::now() + Duration::from_secs(4); // by the clock that notes are forgotten by
    while !desk.shared.metrics.feed.last(9).is_empty() {
        assert!(Instant::now() < heard_until, "the feed is left on");
        tokio::time::sleep(LOOK).await;
        std::thread::sleep(Duration::from_millis(20));
    }
    end_a_call(&desk);
    assert!(desk.shared.metrics.feed.last(9).is_empty());
}

/// Two replicas of one state. Broken on purpose to see it fail: nobody told that somebody watches; calls shown again and again.
#[tokio::test]
async fn calls_of_other_replicas_are_seen_as_well() {
    let port = Port::Local(Arc::default());
    let (here, there) = (watch_one(&port, "r1"), watch_one(&port, "r2"));
    for desk in [&here, &there] {
        desk.shared.client.tell_now(&port).await.unwrap(); // it lives
    }
    let living = {
        let (desks, port) = ([here.clone(), there.clone()], port.clone());
        tokio::spawn(async move {
            loop {
                for desk in &desks {
                    desk.shared.client.tell_now(&port).await.unwrap();
                }
                tokio::time::sleep(LOOK / 4).await;
            }
        })
    };
    let mut reader = Reader::open(&here).await;
    reader.until(|reader| reader.document["sums"]["r2"].is_object()).await; // it has heard that somebody watches
    end_a_call(&there);
    end_a_call(&here);
    end_a_call(&there);
    reader.until(|reader| reader.calls.len() >= 3).await;
    let alive = |name: &str| reader.document["replicas"][name]["alive"].clone();
    assert_eq!((alive("r1"), alive("r2")), (json!(true), json!(true)));
    for _ in 0..3 {
        reader.next().await;
    }
    let of_the_other = reader.calls.iter().filter(|call| call["replica"] == "r2").count();
    assert_eq!((reader.calls.len(), of_the_other), (3, 2));
    living.abort();
}

/// Circuits open, a key refused, then the state goes away: nothing of that is over. Broken on purpose to see it fail: deployments shown
/// as if nothing were known of them (the page had all of them green).
#[test]
fn what_only_the_state_knows_stays_as_it_was_while_that_is_away() {
    let desk = desk(&Port::Local(Arc::default()), "r1", "");
    let (shared, snapshot) = (desk.shared.clone(), desk.shared.snapshot.load_full());
    let known = json!({ "rests_until": 9, "circuit": {"state": "open", "until": 7, "since": 1}, "account_state": {"state": "auth"} });
    let before = json!({ "now_ms": 5, "pools": {"p": {}}, "deployments": { "d": known, "gone": known } });
    let away = Err(Away::Broken("cut".into()));
    let shown = BTreeMap::new();
    let known = doc::Known { shared: &shared, snapshot: &snapshot, state: &away, shown: &shown };
    let document = doc::document(&known, &before);
    assert!(document["away"].as_str().is_some_and(|why| why.contains("cut")), "{document}");
    let d = &document["deployments"]["d"];
    assert_eq!((&d["circuit"]["state"], &d["rests_until"]), (&json!("open"), &json!(9)));
    assert_eq!((&d["account_state"]["state"], &d["drained"]), (&json!("auth"), &json!(false)));
    assert!(
        document["deployments"]["eu/d"]["circuit"].is_null() && document["deployments"]["gone"].is_null()
    );
    assert_eq!((&document["now_ms"], &document["pools"]), (&json!(5), &before["pools"]));
    let patch = patch::between(&before, &document).unwrap();
    assert!(patch["deployments"]["d"].get("circuit").is_none(), "{patch}");
}

/// Broken on purpose to see it fail: an answer that does not come taken for nobody.
#[test]
fn a_state_that_does_not_answer_once_ends_nothing() {
    let (mut elsewhere, begun) = (Elsewhere::default(), Instant::now());
    let mut is_watched =
        |said: Result<bool, Away>, ms| elsewhere.is_watched(said, begun + Duration::from_millis(ms));
    let away = || Err(Away::Broken("late".into()));
    assert!(!is_watched(away(), 0) && is_watched(Ok(true), 500) && is_watched(away(), 1_000));
    assert!(is_watched(away(), 3_400) && !is_watched(away(), 3_500) && !is_watched(away(), 3_600));
    assert!(is_watched(Ok(true), 4_000) && !is_watched(Ok(false), 4_500) && !is_watched(away(), 5_000));
}

/// Who comes and goes is no reason to look at everything again. Broken on purpose to see it fail: a look for each of them.
#[tokio::test(start_paused = true)]
async fn those_who_come_and_go_do_not_hasten_the_looks() {
    let desk = watch_one(&Port::Local(Arc::default()), "r1");
    let mut stays = Reader::open(&desk).await;
    stays.next().await;
    let seq = || desk.viewer.frames.borrow().as_ref().map_or(0, |frame| frame.seq);
    let (first, begun) = (seq(), tokio::time::Instant::now());
    for _ in 0..200 {
        let mut passes = Reader::open(&desk).await;
        assert_eq!(passes.next().await, "state", "it is told at once what is known");
        drop(passes);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let looks = seq() - first;
    let due = begun.elapsed().as_millis() as u64 / LOOK.as_millis() as u64;
    assert!(looks <= due + 1, "{looks} looks where {due} were due");
}
