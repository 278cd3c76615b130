//! How a request to a provider is authorised: shortly before each sending, [`Auth::authorise`] adds headers to it.
//!
//! A key is put in its header; a request to Bedrock is signed; Google and Azure get a bearer token. What must be fetched and
//! renewed is kept by [`kept`], one fetch at a time. This module does no I/O but reading token files, which the
//! platform replaces in place: requests go through [`Exchange`], time comes from [`Clock`].

mod aws;
mod azure;
mod base64url;
mod exchange;
mod google;
mod kept;
mod scheme;
#[cfg(test)]
mod scripted;
#[cfg(test)]
mod tests;
mod token;

use std::sync::Arc;
use std::time::SystemTime;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use secrecy::{ExposeSecret, SecretString};

pub use aws::{AwsKeys, AwsSource, Container, Imds, WebIdentity};
pub use azure::{Entra, EntraApp, EntraIdentity, RESOURCE as AZURE_OPENAI};
pub use exchange::{Answering, Denied, Exchange, Unreachable};
pub use google::{Google, ServiceAccount};
pub use kept::Stamp;
pub use scheme::Scheme;

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

/// How the requests of one account are authorised. One per account, shared by its callers: it holds the cached token.
#[derive(Debug)]
pub struct Auth(Kind);

#[derive(Debug)]
enum Kind {
    Open,
    Key { name: HeaderName, value: SecretString },
    Aws { keys: Keys, region: String, outside: Outside },
    Token(Kept<TokenSource>),
}

#[derive(Debug)]
enum Keys {
    Fixed(Arc<AwsKeys>),
    Kept(Kept<AwsSource>),
}

impl Auth {
    /// Adds nothing.
    pub fn open() -> Auth {
        Auth(Kind::Open)
    }

    /// A key in a header. Fails if it cannot stand in one.
    pub fn key(scheme: Scheme, key: &SecretString) -> anyhow::Result<Auth> {
        let (name, value) = scheme.header(key);
        anyhow::ensure!(
            HeaderValue::from_str(value.expose_secret()).is_ok(),
            "the key cannot stand in a header"
        );
        Ok(Auth(Kind::Key { name, value }))
    }

    /// Requests to Bedrock in `region`, signed with fetched or fixed keys; a Bedrock API key is sent as a bearer token.
    pub fn bedrock(source: AwsSource, region: &str, outside: Outside) -> anyhow::Result<Auth> {
        let keys = match source {
            AwsSource::ApiKey(key) => return Auth::key(Scheme::Bearer, &key),
            AwsSource::Fixed(keys) => Keys::Fixed(Arc::new(keys)),
            source => Keys::Kept(Kept::new(source, outside.clone())),
        };
        Ok(Auth(Kind::Aws { keys, region: region.to_owned(), outside }))
    }

    /// Requests to Vertex AI, with an access token of the scope cloud-platform.
    pub fn google(source: Google, outside: Outside) -> Auth {
        Auth(Kind::Token(Kept::new(TokenSource::Google(source), outside)))
    }

    /// Requests to Azure OpenAI, with an access token of Microsoft Entra.
    pub fn entra(source: Entra, outside: Outside) -> Auth {
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
        body: &[u8],
    ) -> Result<Stamp, Denied> {
        match &self.0 {
            Kind::Open => Ok(Stamp::NONE),
            Kind::Key { name, value } => {
                headers.insert(name, scheme::secret_value(value.expose_secret())?);
                Ok(Stamp::NONE)
            }
            Kind::Token(kept) => {
                let (token, stamp) = kept.get().await?;
                let (name, value) = Scheme::Bearer.header(&token);
                headers.insert(name, scheme::secret_value(value.expose_secret())?);
                Ok(stamp)
            }
            Kind::Aws { keys, region, outside } => {
                let (keys, stamp) = match keys {
                    Keys::Fixed(keys) => (keys.clone(), Stamp::NONE),
                    Keys::Kept(kept) => kept.get().await?,
                };
                let scope = aws::Scope { region, service: aws::SERVICE, now: (outside.clock)() };
                aws::sign(&keys, &scope, method, uri, headers, body)?;
                Ok(stamp)
            }
        }
    }

    /// The provider refused what was authorised with `stamp`: 401, or from AWS 403 with `ExpiredTokenException`,
    /// `InvalidClientTokenId` or `UnrecognizedClientException`. True if another try would be made with another token.
    /// It drops a token once in a while only, lest a provider that refuses every token costs a fetch per call.
    pub fn refused(&self, stamp: Stamp) -> bool {
        match &self.0 {
            Kind::Token(kept) => kept.invalidate(stamp),
            Kind::Aws { keys: Keys::Kept(kept), .. } => kept.invalidate(stamp),
            Kind::Open | Kind::Key { .. } | Kind::Aws { keys: Keys::Fixed(_), .. } => false,
        }
    }
}
