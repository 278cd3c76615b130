//! `[alerts]`: who is told, besides the metrics, when something needs a person.

use http::Uri;
use secrecy::{ExposeSecret, SecretString};

/// `[alerts]`.
#[derive(Clone, Debug, Default)]
pub struct Alerts {
    /// Where messages are posted; none: nobody is told.
    pub webhook: Option<Webhook>,
}

/// An address that may hold a secret, as those of chats do: neither shown nor logged.
#[derive(Clone, Debug)]
pub struct Webhook(SecretString);

impl Webhook {
    /// Of a URL that was checked.
    pub(super) fn new(url: &str) -> Webhook {
        Webhook(url.into())
    }

    /// To post to.
    pub fn uri(&self) -> Result<Uri, http::uri::InvalidUri> {
        self.0.expose_secret().parse()
    }
}

impl PartialEq for Webhook {
    fn eq(&self, other: &Webhook) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}
