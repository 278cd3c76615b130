//! Headers that hold secrets.

use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use super::Denied;

/// A header value that `Debug` does not show. The bytes in it cannot be wiped: it lives as long as its request.
pub(super) fn secret_value(text: &str) -> Result<HeaderValue, Denied> {
    let mut value = HeaderValue::from_str(text).map_err(|_| Denied::Unsendable)?;
    value.set_sensitive(true);
    Ok(value)
}

/// `Bearer TOKEN`.
pub(super) fn bearer(token: &SecretString) -> Result<HeaderValue, Denied> {
    let text = SecretString::from(format!("Bearer {}", token.expose_secret()));
    secret_value(text.expose_secret())
}
