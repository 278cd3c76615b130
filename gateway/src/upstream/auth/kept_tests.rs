//! Caching in tokio's paused time: sleeps are exact and take no time.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::super::google::Google;
use super::super::scripted::{Line, Script, after, status};
use super::super::token::TokenSource;
use super::*;

fn token(name: &str, seconds: u64) -> String {
    format!(r#"{{"access_token":"{name}","expires_in":{seconds},"token_type":"Bearer"}}"#)
}

fn kept(script: &Arc<Script>) -> Arc<Kept<TokenSource>> {
    Arc::new(Kept::new(
        TokenSource::Google { from: Google::metadata(), scope: "s".to_owned() },
        script.outside(),
    ))
}

/// A caller that nobody wakes fails here and does not wait forever. Broken on purpose: without the notice in `land`, every
/// test that fetches does.
async fn stamped(kept: &Kept<TokenSource>) -> Result<(String, Stamp), Denied> {
    let got = tokio::time::timeout(Duration::from_secs(7200), kept.get()).await;
    let (token, stamp) = got.expect("somebody wakes it")?;
    Ok((SecretString::expose_secret(&token).to_owned(), stamp))
}

async fn got(kept: &Kept<TokenSource>) -> Result<String, Denied> {
    stamped(kept).await.map(|(token, _)| token)
}

async fn seconds(count: u64) {
    sleep(Duration::from_secs(count)).await;
}

/// Broken on purpose: without marking the fetch as begun in `step`, the script ends at the second of 500 fetches.
#[tokio::test(start_paused = true)]
async fn many_callers_wait_for_one_fetch() {
    let script = Script::of([after(100, &token("a", 3600))]);
    let kept = kept(&script);
    let mut callers = JoinSet::new();
    for _ in 0..500 {
        let kept = kept.clone();
        callers.spawn(async move { got(&kept).await });
    }
    while let Some(caller) = callers.join_next().await {
        assert_eq!(caller.unwrap().unwrap(), "a");
    }
    assert_eq!(script.times(), 1);
}

/// Broken on purpose: with `renew` at the end itself the caller at 3301 s starts no fetch.
#[tokio::test(start_paused = true)]
async fn is_renewed_ahead_while_the_old_one_serves() {
    let script = Script::of([after(0, &token("a", 3600)), after(2_000, &token("b", 3600))]);
    let kept = kept(&script);
    assert_eq!(got(&kept).await.unwrap(), "a");
    seconds(3299).await;
    assert_eq!(got(&kept).await.unwrap(), "a");
    assert_eq!(script.times(), 1);
    seconds(2).await;
    for _ in 0..10 {
        assert_eq!(got(&kept).await.unwrap(), "a"); // nobody waits for the renewal
    }
    seconds(3).await;
    assert_eq!(got(&kept).await.unwrap(), "b");
    assert_eq!(script.times(), 2);
}

/// Broken on purpose: with `unfit` at the end itself the old token is still given 10 s before it.
#[tokio::test(start_paused = true)]
async fn is_not_used_near_its_end() {
    let script = Script::of([after(0, &token("a", 3600)), after(50, &token("b", 3600))]);
    let kept = kept(&script);
    assert_eq!(got(&kept).await.unwrap(), "a");
    seconds(3590).await;
    assert_eq!(got(&kept).await.unwrap(), "b");
}

/// Broken on purpose: without the pause in `step`, every caller during the outage makes a fetch.
#[tokio::test(start_paused = true)]
async fn a_failed_renewal_harms_nobody_and_is_repeated_with_pauses() {
    let script = Script::of([after(0, &token("a", 3600))]);
    let kept = kept(&script);
    assert_eq!(got(&kept).await.unwrap(), "a");
    seconds(3300).await;
    for _ in 0..20 {
        script.add(Line::Unreachable);
    }
    for _ in 0..280 {
        assert_eq!(got(&kept).await.unwrap(), "a");
        seconds(1).await;
    }
    // After 1, 2, 4, 8, 16 and then 30 seconds each, counted by a caller per second.
    assert_eq!(script.times(), 1 + 14);
}

/// Broken on purpose: with a pause that does not grow there are 60 fetches in that minute.
#[tokio::test(start_paused = true)]
async fn a_failed_fetch_is_an_error_to_all_and_not_repeated_at_once() {
    let script = Script::of([]);
    for _ in 0..6 {
        script.add(status(400, r#"{"error":"invalid_grant","error_description":"echo s3cret"}"#));
    }
    let kept = kept(&script);
    let error = got(&kept).await.unwrap_err();
    assert_eq!(error.to_string(), "Google's metadata server answered 400 (invalid_grant)");
    for _ in 0..100 {
        assert_eq!(got(&kept).await.unwrap_err(), error);
    }
    assert_eq!(script.times(), 1);
    for _ in 0..60 {
        seconds(1).await;
        assert_eq!(got(&kept).await.unwrap_err(), error);
    }
    assert_eq!(script.times(), 6); // at 0, 1, 3, 7, 15 and 31 s
    seconds(2).await;
    script.add(after(0, &token("a", 3600)));
    assert_eq!(got(&kept).await.unwrap(), "a");
}

/// Broken on purpose: with the fetch awaited in `get` instead of in a task, it is cut short and the second caller gets an error.
#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_stops_nobody() {
    let script = Script::of([after(1_000, &token("a", 3600))]);
    let kept = kept(&script);
    let gone = tokio::time::timeout(Duration::from_millis(10), got(&kept)).await;
    assert!(gone.is_err());
    let waits = tokio::time::timeout(Duration::from_secs(10), got(&kept)).await;
    assert_eq!(waits.unwrap().unwrap(), "a");
    assert_eq!(script.times(), 1);
}

/// Broken on purpose: without `Drop` of the flight, the caller of a fetch that panicked waits forever.
#[tokio::test(start_paused = true)]
async fn a_fetch_that_panics_lands() {
    let script = Script::of([Line::Panic, after(0, &token("a", 3600))]);
    let kept = kept(&script);
    let first = tokio::time::timeout(Duration::from_secs(10), got(&kept)).await;
    assert_eq!(first.unwrap().unwrap_err(), Denied::CutShort);
    seconds(1).await;
    assert_eq!(got(&kept).await.unwrap(), "a");
}

/// A fetch whose runtime ends lands as well, as a failure, and callers of another runtime make their own.
/// Broken on purpose: without `Drop` of the flight, `flying` stays set.
#[test]
fn a_fetch_that_loses_its_runtime_lands() {
    let paused =
        || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let script = Script::of([after(60_000, "never read"), after(0, &token("a", 3600))]);
    let first = paused();
    let kept = first.block_on(async {
        let kept = kept(&script);
        assert!(tokio::time::timeout(Duration::from_millis(1), got(&kept)).await.is_err());
        kept
    });
    assert!(kept.0.state.lock().flying);
    drop(first);
    assert!(!kept.0.state.lock().flying);
    paused().block_on(async {
        seconds(2).await;
        assert_eq!(got(&kept).await.unwrap(), "a");
    });
}

/// A service that never answers ends after its deadline. Broken on purpose: without the timeout in `ask` it takes an hour.
#[tokio::test(start_paused = true)]
async fn a_silent_service_is_given_up() {
    let script = Script::of([after(3_600_000, "too late")]);
    let kept = kept(&script);
    let began = tokio::time::Instant::now();
    let error = got(&kept).await.unwrap_err();
    assert_eq!(error.to_string(), "Google's metadata server did not answer: too late");
    assert_eq!(began.elapsed().as_secs(), 5);
}

/// Broken on purpose: with `refuse` ignoring the stamp, the second of the two refusals drops the new token; without
/// `QUIET`, the refusal of the new one does.
#[tokio::test(start_paused = true)]
async fn a_refused_token_is_dropped_once() {
    let script =
        Script::of([after(0, &token("a", 3600)), after(0, &token("b", 3600)), after(0, &token("c", 3600))]);
    let kept = kept(&script);
    let (_, first) = stamped(&kept).await.unwrap();
    assert!(kept.invalidate(first));
    assert!(kept.invalidate(first)); // another call that was refused with it tries again as well
    let (token, second) = stamped(&kept).await.unwrap();
    assert_eq!(token, "b");
    assert!(kept.invalidate(first)); // a late one
    assert_eq!(got(&kept).await.unwrap(), "b");
    assert!(!kept.invalidate(second)); // the provider refuses every token
    assert_eq!(got(&kept).await.unwrap(), "b");
    assert_eq!(script.times(), 2);
    seconds(60).await;
    assert!(kept.invalidate(second));
    assert_eq!(got(&kept).await.unwrap(), "c");
}

/// Broken on purpose: accepting such a token, callers fetch without end.
#[tokio::test(start_paused = true)]
async fn a_token_that_is_at_its_end_already_is_a_failure() {
    let script = Script::of([after(0, &token("a", 10))]);
    let kept = kept(&script);
    let error = got(&kept).await.unwrap_err();
    assert_eq!(error.to_string(), "a fetched credential: its end is past or near");
    assert_eq!(script.times(), 1);
}

/// A metadata service may give the same token again: the next renewal is at half of what is left.
#[test]
fn short_lives_are_renewed_at_half() {
    let now = SystemTime::UNIX_EPOCH;
    let at = |seconds| now + Duration::from_secs(seconds);
    assert_eq!(times(at(3600), now), Some((at(3300), at(3585))));
    assert_eq!(times(at(240), now), Some((at(120), at(225))));
    assert_eq!(times(at(16), now), Some((at(8), at(1))));
    assert_eq!(times(at(15), now), None);
    assert_eq!(times(now, at(1)), None);
}

/// Broken on purpose: with the pause alone asked, who looks late makes another fetch.
#[tokio::test(start_paused = true)]
async fn who_waited_for_a_failure_makes_no_other_fetch() {
    let script = Script::of([Line::Unreachable]);
    let kept = kept(&script);
    let why = got(&kept).await.unwrap_err();
    seconds(100).await;
    assert!(matches!(kept.step(true), Step::Refuse(said) if said == why));
    assert!(matches!(kept.step(false), Step::Fetch));
}

/// A clock that is set back does not prolong a pause.
#[test]
fn pauses_double_and_end() {
    let pauses: Vec<u64> = (1..9).map(|nth| pause(nth).as_secs()).collect();
    assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
    assert!(lately(at, at + Duration::from_secs(9), Duration::from_secs(10)));
    assert!(!lately(at, at + Duration::from_secs(10), Duration::from_secs(10)));
    assert!(!lately(at, at - Duration::from_secs(1), Duration::from_secs(10)));
}

/// Neither values nor the source's secrets are shown.
#[tokio::test(start_paused = true)]
async fn debug_shows_no_token() {
    let script = Script::of([after(0, &token("s3cret", 3600))]);
    let kept = kept(&script);
    got(&kept).await.unwrap();
    assert!(!format!("{kept:?}").contains("s3cret"));
}
