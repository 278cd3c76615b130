//! Signature Version 4 in headers. Source: AWS General Reference, "Create a signed AWS API request".

use std::fmt::Write;
use std::time::SystemTime;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use ring::{digest, hmac};
use secrecy::{ExposeSecret, SecretString};

use super::super::exchange::Denied;
use super::super::secret_header::secret_value;
use super::{AwsKeys, canonical};

const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// What a signature is good for.
#[derive(Debug)]
pub(in super::super) struct Scope<'a> {
    pub(in super::super) region: &'a str,
    pub(in super::super) service: &'a str,
    pub(in super::super) now: SystemTime,
}

/// Signs a request as it will be sent: sets `host` if absent, `x-amz-date`, `x-amz-security-token` and `authorization`. The
/// body goes in by its digest, see [`sha256`].
pub(in super::super) fn sign(
    keys: &AwsKeys,
    scope: &Scope<'_>,
    method: &Method,
    uri: &Uri,
    headers: &mut HeaderMap,
    digest: &str,
) -> Result<(), Denied> {
    let time = stamp(scope.now)?;
    prepare(keys, &time, uri, headers)?;
    let (lines, names) = canonical::headers(headers);
    let mut request = format!(
        "{method}\n{}\n{}\n",
        canonical::path(uri.path()),
        canonical::query(uri.query().unwrap_or(""))
    )
    .into_bytes();
    request.extend_from_slice(&lines);
    request.extend_from_slice(format!("\n{names}\n{digest}").as_bytes());

    let day = &time[..8];
    let place = format!("{day}/{}/{}/aws4_request", scope.region, scope.service);
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{place}\n{}", sha256(&request));
    let signature = hex::encode(hmac(signing_key(keys, day, scope).as_ref(), &text));
    let key = &keys.access_key_id;
    let value =
        format!("AWS4-HMAC-SHA256 Credential={key}/{place}, SignedHeaders={names}, Signature={signature}");
    headers.insert(header::AUTHORIZATION, secret_value(&value)?);
    Ok(())
}

/// The headers that are signed besides the request's own. What an earlier try left is replaced.
fn prepare(keys: &AwsKeys, time: &str, uri: &Uri, headers: &mut HeaderMap) -> Result<(), Denied> {
    if !headers.contains_key(header::HOST) {
        headers.insert(header::HOST, host(uri)?);
    }
    headers.insert(DATE, HeaderValue::from_str(time).map_err(|_| Denied::Unsendable)?);
    headers.remove(TOKEN);
    if let Some(token) = &keys.session_token {
        headers.insert(TOKEN, secret_value(token.expose_secret())?);
    }
    Ok(())
}

/// As a client writes it: no user, no port that goes without saying.
fn host(uri: &Uri) -> Result<HeaderValue, Denied> {
    let name = uri.host().ok_or(Denied::NoHost)?;
    let usual = if uri.scheme_str() == Some("http") { 80 } else { 443 };
    let host = match uri.port_u16() {
        Some(port) if port != usual => format!("{name}:{port}"),
        _ => name.to_owned(),
    };
    HeaderValue::try_from(host).map_err(|_| Denied::NoHost)
}

/// `20150830T123600Z`.
fn stamp(now: SystemTime) -> Result<String, Denied> {
    let mut text = String::with_capacity(20);
    // Fails before 1970 and after 9999.
    write!(text, "{}", humantime::format_rfc3339_seconds(now.max(SystemTime::UNIX_EPOCH)))
        .map_err(|_| Denied::Unusable { whom: "the clock", why: "is far from the present" })?;
    text.retain(|c| c != '-' && c != ':');
    Ok(text)
}

/// Valid for one day, region and service.
fn signing_key(keys: &AwsKeys, day: &str, scope: &Scope<'_>) -> hmac::Tag {
    let secret = SecretString::from(format!("AWS4{}", keys.secret_access_key.expose_secret()));
    let day = hmac(secret.expose_secret().as_bytes(), day);
    let region = hmac(day.as_ref(), scope.region);
    let service = hmac(region.as_ref(), scope.service);
    hmac(service.as_ref(), "aws4_request")
}

fn hmac(key: &[u8], text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
}

/// SHA-256 in hex digits.
pub(in super::super) fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

#[cfg(test)]
#[path = "signature_tests.rs"]
mod tests;
