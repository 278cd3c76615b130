use std::time::Duration;

use http::HeaderValue;
use secrecy::SecretString;

use super::scripted::{Script, after};
use super::*;

async fn added(auth: &Auth) -> (HeaderMap, Stamp) {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_static("of an earlier try"));
    let uri: Uri =
        "https://bedrock-runtime.us-east-1.amazonaws.com/model/a.b-v1%3A0/converse".parse().unwrap();
    let body = Bytes::from_static(b"{}");
    let stamp = auth.authorise(&Method::POST, &uri, &mut headers, &body).await.unwrap();
    (headers, stamp)
}

fn fixed() -> AwsSource {
    AwsSource::Fixed(AwsKeys {
        access_key_id: "AKIA1".to_owned(),
        secret_access_key: SecretString::from("s3cret"),
        session_token: Some(SecretString::from("t0ken")),
    })
}

fn managed() -> Entra {
    let resource = "https://cognitiveservices.azure.com".to_owned();
    Entra { resource, by: EntraIdentity::Managed { client: None } }
}

#[tokio::test(start_paused = true)]
async fn bedrock_is_signed() {
    let script = Script::of([]);
    let auth = Auth::aws(fixed(), "bedrock", "us-east-1", script.outside());
    let (headers, stamp) = added(&auth).await;
    let value = headers["authorization"].to_str().unwrap();
    let begin = "AWS4-HMAC-SHA256 Credential=AKIA1/20261129/us-east-1/bedrock/aws4_request, \
                 SignedHeaders=host;x-amz-date;x-amz-security-token, Signature=";
    assert!(value.starts_with(begin), "{value}");
    assert_eq!(headers["host"], "bedrock-runtime.us-east-1.amazonaws.com");
    assert!(!auth.refused(stamp));
    let shown = format!("{auth:?} {headers:?}");
    assert!(!shown.contains("s3cret") && !shown.contains("t0ken"));
}

/// Aside or not, it is the same signature. Broken on purpose: the digest taken of an empty body.
#[tokio::test(start_paused = true)]
async fn a_large_body_is_signed_by_its_digest() {
    let auth = Auth::aws(fixed(), "bedrock", "us-east-1", Script::of([]).outside());
    let uri: Uri = "https://h.example/p".parse().unwrap();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(scripted::START);
    for size in [2, 1 << 20] {
        let body = Bytes::from(vec![b'x'; size]);
        let (mut ours, mut direct) = (HeaderMap::new(), HeaderMap::new());
        auth.authorise(&Method::POST, &uri, &mut ours, &body).await.unwrap();
        let AwsSource::Fixed(keys) = fixed() else { panic!() };
        let scope = aws::Scope { region: "us-east-1", service: "bedrock", now };
        aws::sign(&keys, &scope, &Method::POST, &uri, &mut direct, &aws::sha256(&body)).unwrap();
        assert_eq!(ours["authorization"], direct["authorization"], "{size}");
    }
}

/// A call that was refused fetches once more; the next refusal within the minute does not.
#[tokio::test(start_paused = true)]
async fn a_refused_token_is_fetched_again_once() {
    let token = |name| format!(r#"{{"access_token":"{name}","expires_in":3600}}"#);
    let script = Script::of([after(5, &token("a")), after(5, &token("b"))]);
    let auth = Auth::entra(managed(), script.outside());
    let (headers, stamp) = added(&auth).await;
    assert_eq!(headers["authorization"], "Bearer a");
    assert!(!format!("{headers:?}").contains("Bearer"));
    assert!(auth.refused(stamp));
    let (headers, stamp) = added(&auth).await;
    assert_eq!(headers["authorization"], "Bearer b");
    assert!(!auth.refused(stamp));
    assert_eq!(script.times(), 2);
}

/// Broken on purpose: every 403 taken for one.
#[test]
fn a_refused_token_is_told_from_a_refused_request() {
    let script = Script::of([]);
    let (entra, aws) =
        (Auth::entra(managed(), script.outside()), Auth::aws(fixed(), "bedrock", "r", script.outside()));
    let mut expired = HeaderMap::new();
    expired.insert("x-amzn-errortype", HeaderValue::from_static("ExpiredTokenException"));
    for (status, of_entra, of_aws) in [(401, true, true), (403, false, true), (400, false, false)] {
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(entra.is_refusal(status, &expired, b""), of_entra, "{status}");
        assert_eq!(aws.is_refusal(status, &expired, b""), of_aws, "{status}");
    }
    assert!(!aws.is_refusal(StatusCode::FORBIDDEN, &HeaderMap::new(), b"{}"));
}

/// Callers on other threads may hold the future.
#[tokio::test(start_paused = true)]
async fn futures_are_send() {
    fn send<T: Send>(_: T) {}
    let auth = Auth::entra(managed(), Script::of([]).outside());
    let (uri, mut headers) = (Uri::from_static("https://h.example/"), HeaderMap::new());
    send(auth.authorise(&Method::GET, &uri, &mut headers, &Bytes::new()));
}
