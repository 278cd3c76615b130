//! Access to Amazon Bedrock: keys from wherever AWS gives them out, and Signature Version 4.
//!
//! The signature is written here, in [`canonical`] and [`signature`], on ring's HMAC and SHA-256, which rustls brings
//! anyway. The crate aws-sigv4 (1.6, `sign-http`, `http1`) would have added 24 crates (among them time, tracing-attributes,
//! base64-simd and a second generation of digest, sha2 and hmac) for about 120 lines, and would have to be told about
//! Bedrock's paths as well. `tests/aws/botocore_signs.py` compares the result with botocore's.

mod canonical;
mod container;
mod imds;
mod refusal;
mod signature;
mod source;
mod sts;

pub use container::Container;
pub use imds::Imds;
pub(super) use refusal::is_of_keys;
pub(super) use signature::{Scope, sha256, sign};
pub use source::AwsSource;
pub use sts::WebIdentity;

use std::time::SystemTime;

use secrecy::SecretString;
use serde::Deserialize;

use super::exchange::{Denied, Service};
use super::kept::Fetched;

/// What a request is signed with.
#[derive(Clone, Debug)]
pub struct AwsKeys {
    /// Names the key; not secret.
    pub access_key_id: String,
    /// Signs.
    pub secret_access_key: SecretString,
    /// Goes along with temporary keys.
    pub session_token: Option<SecretString>,
}

/// Keys as the container endpoint and the instance metadata service write them. `Code` is the latter's, `Success` if it is
/// one: it tells of a role that cannot be assumed with status 200.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Written {
    code: Option<String>,
    access_key_id: String,
    secret_access_key: String,
    token: String,
    expiration: String,
}

fn read_json(service: Service<'_>, body: &[u8]) -> Result<Fetched<AwsKeys>, Denied> {
    let written: Written =
        serde_json::from_slice(body).map_err(|_| service.unusable("its answer holds no keys"))?;
    let keys = AwsKeys {
        access_key_id: written.access_key_id,
        secret_access_key: SecretString::from(written.secret_access_key),
        session_token: Some(SecretString::from(written.token)),
    };
    if written.code.is_some_and(|code| code != "Success") {
        return Err(service.unusable("its answer is not a success"));
    }
    Ok(Fetched { value: keys, ends: time(service, &written.expiration)? })
}

/// A time as AWS writes it, RFC 3339 in UTC.
fn time(service: Service<'_>, text: &str) -> Result<SystemTime, Denied> {
    humantime::parse_rfc3339(text.trim()).map_err(|_| service.unusable("its answer says no time"))
}
