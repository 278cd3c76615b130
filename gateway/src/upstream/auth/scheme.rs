//! Which header a key stands in.

use http::{HeaderName, HeaderValue, header};
use secrecy::{ExposeSecret, SecretString};

use super::Denied;

/// The header in which a provider expects a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `authorization: Bearer KEY`: OpenAI and what is compatible with it, Bedrock API keys, OAuth tokens.
    Bearer,
    /// `x-api-key: KEY`: Anthropic.
    XApiKey,
    /// `api-key: KEY`: Azure OpenAI.
    ApiKey,
    /// `x-goog-api-key: KEY`: Gemini API.
    XGoogApiKey,
}

impl Scheme {
    /// The header's name and its whole value.
    pub(super) fn header(self, key: &SecretString) -> (HeaderName, SecretString) {
        match self {
            Scheme::Bearer => {
                (header::AUTHORIZATION, SecretString::from(format!("Bearer {}", key.expose_secret())))
            }
            Scheme::XApiKey => (HeaderName::from_static("x-api-key"), key.clone()),
            Scheme::ApiKey => (HeaderName::from_static("api-key"), key.clone()),
            Scheme::XGoogApiKey => (HeaderName::from_static("x-goog-api-key"), key.clone()),
        }
    }
}

/// A header value that `Debug` does not show. The bytes in it cannot be wiped: it lives as long as its request.
pub(super) fn secret_value(text: &str) -> Result<HeaderValue, Denied> {
    let mut value = HeaderValue::from_str(text).map_err(|_| Denied::Unsendable)?;
    value.set_sensitive(true);
    Ok(value)
}
