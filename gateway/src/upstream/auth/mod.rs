//! How a request to a provider is authorised: shortly before each sending, [`Auth::authorise`] adds headers to it.
//!
//! A key stands in its header once for all ([`Pass`]); a request to Bedrock is signed; Google and Azure get a bearer token. What
//! must be fetched and renewed is kept by [`kept`], one fetch at a time. But for [`direct`] this module does no I/O save
//! reading token files, which the platform replaces in place: requests go through [`Exchange`], time comes from [`Clock`].

mod aws;
mod azure;
mod base64url;
mod direct;
mod exchange;
mod google;
mod kept;
mod pass;
#[cfg(test)]
mod scripted;
mod secret_header;
#[cfg(test)]
mod tests;
mod token;

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri, header};

pub use aws::{AwsKeys, AwsSource, Container, Imds, WebIdentity};
pub use azure::{Entra, EntraApp, EntraIdentity};
pub use exchange::{Answering, Denied, Exchange, Unreachable};
pub use google::{Google, ServiceAccount};
pub use kept::Stamp;
pub use pass::Pass;

use crate::aside::look_through;
use kept::Kept;
use token::TokenSource;

/// The wall clock: signatures carry it, and AWS states ends of credentials by it.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// What reaches out of this module: given once, by the gateway or by a test.
#[derive(Clone)]
pub struct Outside {
    /// Sends requests for tokens and credentials.
    pub exchange: Arc<dyn Exchange>,
    /// Tells the time.
    pub clock: Clock,
}

impl std::fmt::Debug for Outside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Outside")
    }
}

/// How the requests of one account are authorised, each for itself. One per account, shared by its callers: it holds the cached
/// token.
#[derive(Debug)]
pub struct Auth(Kind);

#[derive(Debug)]
enum Kind {
    Aws { keys: Keys, service: String, region: String, outside: Outside },
    Token(Kept<TokenSource>),
}

#[derive(Debug)]
enum Keys {
    Fixed(Arc<AwsKeys>),
    Kept(Kept<AwsSource>),
}

impl Auth {
    /// Requests to a service of AWS in `region`, signed with fetched or fixed keys.
    fn aws(source: AwsSource, service: &str, region: &str, outside: Outside) -> Auth {
        let keys = match source {
            AwsSource::Fixed(keys) => Keys::Fixed(Arc::new(keys)),
            source => Keys::Kept(Kept::new(source, outside.clone())),
        };
        Auth(Kind::Aws { keys, service: service.to_owned(), region: region.to_owned(), outside })
    }

    /// With an access token of Google Cloud that is good for `scope`.
    fn google(from: Google, scope: &str, outside: Outside) -> Auth {
        Auth(Kind::Token(Kept::new(TokenSource::Google { from, scope: scope.to_owned() }, outside)))
    }

    /// With an access token of Microsoft Entra.
    fn entra(source: Entra, outside: Outside) -> Auth {
        Auth(Kind::Token(Kept::new(TokenSource::Entra(source), outside)))
    }

    /// Adds to `headers` what authorises this request as it stands, which must be sent so: nothing but hop-by-hop headers,
    /// `user-agent` and trace headers may be added or changed afterwards. Waits for a token only if none is good; the
    /// caller bounds that by dropping the future, which harms no other caller. Must run within a tokio runtime.
    ///
    /// The stamp is what [`Auth::refused`] takes if the provider does not accept the request.
    pub async fn authorise(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &mut HeaderMap,
        body: &Bytes,
    ) -> Result<Stamp, Denied> {
        match &self.0 {
            Kind::Token(kept) => {
                let (token, stamp) = kept.get().await?;
                headers.insert(header::AUTHORIZATION, secret_header::bearer(&token)?);
                Ok(stamp)
            }
            Kind::Aws { keys, service, region, outside } => {
                let (keys, stamp) = match keys {
                    Keys::Fixed(keys) => (keys.clone(), Stamp::NONE),
                    Keys::Kept(kept) => kept.get().await?,
                };
                let hashed = body.clone();
                let digest = look_through(body.len(), move || aws::sha256(&hashed)).await;
                let digest = digest.map_err(|_| Denied::CutShort)?;
                let scope = aws::Scope { region, service, now: (outside.clock)() };
                aws::sign(&keys, &scope, method, uri, headers, &digest)?;
                Ok(stamp)
            }
        }
    }

    /// Does this answer refuse the token or the keys, rather than the request: 401, or from AWS 403 with a code that says so?
    pub fn is_refusal(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> bool {
        let by_keys = || matches!(self.0, Kind::Aws { .. }) && aws::is_of_keys(headers, body);
        status == StatusCode::UNAUTHORIZED || (status == StatusCode::FORBIDDEN && by_keys())
    }

    /// The provider refused what was authorised with `stamp`, see [`Auth::is_refusal`]. True if another try would be made with
    /// another token. It drops a token once in a while only, lest a provider that refuses every token costs a fetch per call.
    pub fn refused(&self, stamp: Stamp) -> bool {
        match &self.0 {
            Kind::Token(kept) => kept.invalidate(stamp),
            Kind::Aws { keys: Keys::Kept(kept), .. } => kept.invalidate(stamp),
            Kind::Aws { keys: Keys::Fixed(_), .. } => false,
        }
    }
}
