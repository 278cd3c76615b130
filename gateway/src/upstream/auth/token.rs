//! OAuth access tokens: where they come from, and the answer that carries one.

use std::time::{Duration, SystemTime};

use secrecy::SecretString;
use serde::Deserialize;

use super::azure::Entra;
use super::exchange::{Denied, Exchange, Service};
use super::google::Google;
use super::kept::{Fetched, Source};

/// An end later than this is not believed.
const LONGEST: u64 = 7 * 24 * 3600;

/// Who gives out access tokens.
#[derive(Debug)]
pub(super) enum TokenSource {
    Google { from: Google, scope: String },
    Entra(Entra),
}

impl Source for TokenSource {
    type Item = SecretString;

    async fn fetch(&self, by: &dyn Exchange, now: SystemTime) -> Result<Fetched<SecretString>, Denied> {
        match self {
            TokenSource::Google { from, scope } => from.fetch(scope, by, now).await,
            TokenSource::Entra(entra) => entra.fetch(by, now).await,
        }
    }
}

/// The answer of a token endpoint (RFC 6749, section 5.1) or of a metadata service.
#[derive(Deserialize)]
struct Answer {
    access_token: String,
    expires_in: Seconds,
}

/// Azure's metadata service writes numbers as strings.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(u64),
    Text(String),
}

/// Reads it. Its time counts from when it was asked for: rather too early than too late.
pub(super) fn read(
    service: Service<'_>,
    body: &[u8],
    asked: SystemTime,
) -> Result<Fetched<SecretString>, Denied> {
    // What serde_json says of a mistake may quote the value.
    let answer: Answer =
        serde_json::from_slice(body).map_err(|_| service.unusable("its answer holds no token"))?;
    let value = SecretString::from(answer.access_token);
    let seconds = match answer.expires_in {
        Seconds::Number(seconds) => Some(seconds),
        Seconds::Text(text) => text.parse().ok(),
    };
    let seconds = seconds.ok_or(service.unusable("its answer says no time"))?.min(LONGEST);
    Ok(Fetched { value, ends: asked + Duration::from_secs(seconds) })
}
