use super::scripted::{Script, after};
use super::*;

async fn added(auth: &Auth) -> (HeaderMap, Stamp) {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_static("of an earlier try"));
    let uri: Uri =
        "https://bedrock-runtime.us-east-1.amazonaws.com/model/a.b-v1%3A0/converse".parse().unwrap();
    let stamp = auth.authorise(&Method::POST, &uri, &mut headers, b"{}").await.unwrap();
    (headers, stamp)
}

/// Broken on purpose: with `value` not made sensitive, `Debug` of the headers shows the key.
#[tokio::test]
async fn keys_stand_in_their_headers_and_are_not_shown() {
    let schemes = [
        (Scheme::Bearer, "authorization", "Bearer k3y"),
        (Scheme::XApiKey, "x-api-key", "k3y"),
        (Scheme::ApiKey, "api-key", "k3y"),
        (Scheme::XGoogApiKey, "x-goog-api-key", "k3y"),
    ];
    for (scheme, name, value) in schemes {
        let auth = Auth::key(scheme, &SecretString::from("k3y")).unwrap();
        let (headers, stamp) = added(&auth).await;
        assert_eq!(headers[name], value);
        assert!(!auth.refused(stamp));
        assert!(!format!("{auth:?} {headers:?}").contains("k3y"));
    }
    assert!(Auth::key(Scheme::Bearer, &SecretString::from("k3y\n")).is_err());
    let (headers, _) = added(&Auth::open()).await;
    assert_eq!(headers.len(), 1);
}

fn fixed() -> AwsKeys {
    AwsKeys {
        access_key_id: "AKIA1".to_owned(),
        secret_access_key: SecretString::from("s3cret"),
        session_token: Some(SecretString::from("t0ken")),
    }
}

#[tokio::test(start_paused = true)]
async fn bedrock_is_signed_or_sent_its_api_key() {
    let script = Script::of([]);
    let auth = Auth::bedrock(AwsSource::Fixed(fixed()), "us-east-1", script.outside()).unwrap();
    let (headers, stamp) = added(&auth).await;
    let value = headers["authorization"].to_str().unwrap();
    let begin = "AWS4-HMAC-SHA256 Credential=AKIA1/20261129/us-east-1/bedrock/aws4_request, \
                 SignedHeaders=host;x-amz-date;x-amz-security-token, Signature=";
    assert!(value.starts_with(begin), "{value}");
    assert_eq!(headers["host"], "bedrock-runtime.us-east-1.amazonaws.com");
    assert!(!auth.refused(stamp));
    let shown = format!("{auth:?} {headers:?}");
    assert!(!shown.contains("s3cret") && !shown.contains("t0ken"));

    let source = AwsSource::ApiKey(SecretString::from("bedrock-api-key-1"));
    let auth = Auth::bedrock(source, "us-east-1", script.outside()).unwrap();
    assert_eq!(added(&auth).await.0["authorization"], "Bearer bedrock-api-key-1");
}

/// A call that was refused fetches once more; the next refusal within the minute does not.
#[tokio::test(start_paused = true)]
async fn a_refused_token_is_fetched_again_once() {
    let token = |name| format!(r#"{{"access_token":"{name}","expires_in":3600}}"#);
    let script = Script::of([after(5, &token("a")), after(5, &token("b"))]);
    let auth = Auth::entra(Entra::from_env(&|_| None).unwrap(), script.outside());
    let (headers, stamp) = added(&auth).await;
    assert_eq!(headers["authorization"], "Bearer a");
    assert!(auth.refused(stamp));
    let (headers, stamp) = added(&auth).await;
    assert_eq!(headers["authorization"], "Bearer b");
    assert!(!auth.refused(stamp));
    assert_eq!(script.times(), 2);
}

/// Callers on other threads may hold the future.
#[test]
fn futures_are_send() {
    fn send<T: Send>(_: T) {}
    let auth = Auth::open();
    let (uri, mut headers) = (Uri::from_static("https://h.example/"), HeaderMap::new());
    send(auth.authorise(&Method::GET, &uri, &mut headers, b""));
}
