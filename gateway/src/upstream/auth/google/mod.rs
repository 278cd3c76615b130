//! Access tokens of Google Cloud, for Vertex AI.

mod account;

pub use account::ServiceAccount;

use std::time::SystemTime;

use anyhow::Context;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use secrecy::SecretString;

use super::exchange::{Denied, Exchange, Service, form};
use super::kept::Fetched;
use super::token;

/// Who gives out the token.
#[derive(Debug)]
pub enum Google {
    /// A key file of a service account.
    ServiceAccount(Box<ServiceAccount>),
    /// The metadata server of Compute Engine, GKE (workload identity), Cloud Run.
    Metadata {
        /// Its host, and port if that is not 80.
        host: String,
    },
}

impl Google {
    /// By the contents of a key file, JSON with `"type": "service_account"`.
    pub fn from_key_file(json: &[u8]) -> anyhow::Result<Google> {
        Ok(Google::ServiceAccount(Box::new(ServiceAccount::read(json)?)))
    }

    /// The metadata server at its usual address.
    pub fn metadata() -> Google {
        Google::Metadata { host: "metadata.google.internal".to_owned() }
    }

    /// As Application Default Credentials search, without a person's own login: the file that
    /// `GOOGLE_APPLICATION_CREDENTIALS` names, else the metadata server (`GCE_METADATA_HOST` moves it).
    pub fn from_env(variable: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<Google> {
        let get = |name: &str| variable(name).filter(|value| !value.is_empty());
        match get("GOOGLE_APPLICATION_CREDENTIALS") {
            Some(path) => {
                let json = std::fs::read(&path).context("GOOGLE_APPLICATION_CREDENTIALS cannot be read")?;
                let json = SecretString::from(String::from_utf8(json).map_err(|_| {
                    anyhow::anyhow!("the file of GOOGLE_APPLICATION_CREDENTIALS is not text")
                })?);
                Google::from_key_file(secrecy::ExposeSecret::expose_secret(&json).as_bytes())
            }
            None => {
                Ok(get("GCE_METADATA_HOST").map_or_else(Google::metadata, |host| Google::Metadata { host }))
            }
        }
    }

    pub(super) async fn fetch(
        &self,
        scope: &str,
        by: &dyn Exchange,
        now: SystemTime,
    ) -> Result<Fetched<SecretString>, Denied> {
        match self {
            Google::ServiceAccount(account) => {
                let service = Service { whom: "Google's token endpoint", by };
                let assertion = account.assertion(scope, now)?;
                let form = form(&[
                    ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
                    ("assertion", secrecy::ExposeSecret::expose_secret(&assertion)),
                ]);
                let body = service.post_form(account.token_uri(), form).await?;
                token::read(service, &body, now)
            }
            Google::Metadata { host } => {
                let service = Service { whom: "Google's metadata server", by };
                let uri = metadata_uri(host, scope);
                let mut headers = HeaderMap::new();
                let flavor = HeaderName::from_static("metadata-flavor");
                headers.insert(flavor, HeaderValue::from_static("Google"));
                let body = service.ask(Method::GET, &uri, headers, Bytes::new()).await?;
                token::read(service, &body, now)
            }
        }
    }
}

/// Source: Google Cloud, "Predefined metadata keys", `service-accounts/default/token`.
fn metadata_uri(host: &str, scope: &str) -> String {
    let scopes = super::exchange::encoded(scope);
    format!("http://{host}/computeMetadata/v1/instance/service-accounts/default/token?scopes={scopes}")
}

#[cfg(test)]
#[path = "google_tests.rs"]
mod tests;
