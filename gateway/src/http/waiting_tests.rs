use std::sync::atomic::{AtomicBool, Ordering};

use http::StatusCode;
use http_body_util::BodyExt;

use super::*;
use crate::dialect::gemini::Framing;
use crate::dialect::openai::answer::UpstreamError;
use crate::dialect::voice::Voice;
use crate::error::Said;
use crate::telemetry::Metrics;

const BEAT: Duration = Duration::from_millis(20);
const SIGN: &str = ": keep-alive\n\n";

fn beat() -> Beat {
    Arc::new(OnceLock::from(BEAT))
}

fn stream(text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// A call that is answered after `beats` of the time between two signs, and a half.
async fn after(beats: u32, answer: Result<Response<Body>, Error>) -> Answered {
    sleep(BEAT * beats + BEAT / 2).await;
    (answer, Some(Record::new(Arc::new(Metrics::new().unwrap()), "req_1".into())))
}

const OPENAI: Form = Form { voice: Voice::OpenAi, framing: Framing::Sse };

/// The text of a stream whose answer takes a few beats.
async fn late(answer: Result<Response<Body>, Error>) -> String {
    late_in(OPENAI, answer).await
}

async fn late_in(form: Form, answer: Result<Response<Body>, Error>) -> String {
    let Err(wait) = Wait::new(after(3, answer), beat()).first().await else { panic!("nobody waited") };
    let response = wait.respond(form, "req_1");
    assert_eq!(response.status(), StatusCode::OK);
    assert!(form.is(response.headers()[header::CONTENT_TYPE].as_bytes()));
    let text = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(text.to_vec()).unwrap()
}

/// The signs before the answer, and the answer.
fn split(text: &str) -> (usize, &str) {
    let answer = text.trim_start_matches(SIGN);
    ((text.len() - answer.len()) / SIGN.len(), answer)
}

#[tokio::test]
async fn an_answer_that_comes_soon_is_itself() {
    let refusal = Error::new(Kind::NoCapacity, "full");
    let Ok((answer, record)) = Wait::new(after(0, Err(refusal)), beat()).first().await else {
        panic!("not awaited")
    };
    assert_eq!(answer.unwrap_err().kind, Kind::NoCapacity);
    assert!(record.is_some());
}

/// Broken on purpose to see it fail: a beat for every call.
#[tokio::test]
async fn what_is_no_stream_is_awaited_as_long_as_it_takes() {
    let answered = Wait::new(after(5, Ok(Response::new(Body::from("{}")))), Beat::default()).first().await;
    assert!(answered.is_ok_and(|(answer, _)| answer.is_ok()));
}

/// Broken on purpose to see it fail: the alarm not set anew after a sign (one sign), the first sign left to the alarm.
#[tokio::test]
async fn a_late_stream_is_announced_by_comments() {
    let text = late(Ok(stream("data: 1\n\ndata: [DONE]\n\n"))).await;
    let (signs, answer) = split(&text);
    assert_eq!(answer, "data: 1\n\ndata: [DONE]\n\n");
    assert!(signs >= 2, "{signs} signs in three beats");
}

#[tokio::test]
async fn a_late_error_stands_in_the_stream() {
    let text = late(Err(Error::new(Kind::UpstreamTimeout, "The upstream did not answer in time."))).await;
    let (signs, answer) = split(&text);
    assert!(signs >= 2, "{signs} signs in three beats");
    let data = answer.strip_prefix("data: ").and_then(|rest| rest.strip_suffix("\n\n")).expect(answer);
    let body: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(body["error"]["message"], "The upstream did not answer in time.");
    assert_eq!(body["error"]["code"], Kind::UpstreamTimeout.code());

    let said = UpstreamError { message: "two\nlines".to_owned(), ..UpstreamError::default() };
    let refusal =
        Error { said: Some(Box::new(Said { words: said, raw: None })), ..Error::new(Kind::NoCapacity, "") };
    let text = late(Err(refusal)).await;
    assert!(split(&text).1.starts_with(r#"data: {"error":{"message":"two\nlines""#), "{text}");
}

/// Broken on purpose to see it fail: OpenAI's signs and errors for every form.
#[tokio::test]
async fn every_form_has_its_own_signs_and_errors() {
    for form in [
        Form::events(Voice::Anthropic),
        Form::events(Voice::Google),
        Form { voice: Voice::Google, framing: Framing::Array },
    ] {
        let sign = String::from_utf8(form.sign().to_vec()).unwrap();
        let text = late_in(form, Err(Error::new(Kind::UpstreamTimeout, "late"))).await;
        let error = text.trim_start_matches(&sign);
        assert!(text.len() - error.len() >= 2 * sign.len(), "{text:?}");
        let begins = match (form.voice, form.framing) {
            (Voice::Anthropic, _) => "event: error\ndata: {\"type\":\"error\",",
            (_, Framing::Array) => r#"[{"error":{"code":504,"#,
            _ => r#"data: {"error":{"code":504,"#,
        };
        assert!(error.starts_with(begins), "{error}");
        assert!(form.voice == Voice::Google || error.contains(r#""request_id":"req_1""#), "{error}");
    }
}

/// Broken on purpose to see it fail: only events taken for a stream.
#[tokio::test]
async fn a_late_array_stands_behind_white_space() {
    let mut answer = Response::new(Body::from("[{}]"));
    let kind = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    let text = late_in(Form { voice: Voice::Google, framing: Framing::Array }, Ok(answer)).await;
    assert!(text.starts_with('\n'), "{text:?}");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), serde_json::json!([{}]));
}

#[tokio::test]
async fn a_late_answer_that_is_no_stream_is_an_error() {
    let text = late(Ok(Response::new(Body::from("{\"id\":1}")))).await;
    assert!(split(&text).1.contains("something else than a stream"), "{text}");
}

/// Broken on purpose to see it fail: the task not aborted.
#[tokio::test]
async fn a_client_that_leaves_ends_the_call() {
    struct Ended(Arc<AtomicBool>);
    impl Drop for Ended {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let ended = Arc::new(AtomicBool::new(false));
    let guard = Ended(ended.clone());
    let call = async move {
        let _guard = guard;
        std::future::pending::<Answered>().await
    };
    let Err(wait) = Wait::new(call, beat()).first().await else { panic!("nobody waited") };
    let mut body = wait.respond(OPENAI, "req_1").into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), SIGN);
    assert!(!ended.load(Ordering::Relaxed));
    drop(body);
    let end = async {
        while !ended.load(Ordering::Relaxed) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), end).await.expect("the call goes on");
}

/// On HTTP/2 a client may leave no room for even a comment. Broken on purpose to see it fail: the call polled by the body.
#[tokio::test]
async fn a_client_that_asks_for_nothing_does_not_hold_the_call() {
    let ended = Arc::new(AtomicBool::new(false));
    let done = ended.clone();
    let call = async move {
        let answered = after(3, Err(Error::new(Kind::UpstreamTimeout, "late"))).await;
        done.store(true, Ordering::Relaxed);
        answered
    };
    let Err(wait) = Wait::new(call, beat()).first().await else { panic!("nobody waited") };
    let _unread = wait.respond(OPENAI, "req_1");
    let end = async {
        while !ended.load(Ordering::Relaxed) {
            sleep(BEAT).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), end).await.expect("nobody polls the call");
}
