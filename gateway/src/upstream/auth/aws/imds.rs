//! The role of an EC2 instance, by version 2 of its metadata service. Source: Amazon EC2 User Guide, "Retrieve security
//! credentials from instance metadata" and "Use the Instance Metadata Service".

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use secrecy::{ExposeSecret, SecretString};

use super::super::exchange::{Denied, Exchange, Service, encoded};
use super::super::kept::Fetched;
use super::super::secret_header::secret_value;
use super::AwsKeys;

const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
/// A session is used for the two requests that follow.
const TTL: HeaderValue = HeaderValue::from_static("60");

/// The metadata service.
#[derive(Debug)]
pub struct Imds {
    endpoint: String,
}

impl Default for Imds {
    fn default() -> Imds {
        Imds::at("http://169.254.169.254".to_owned())
    }
}

impl Imds {
    /// At another address, such as `http://[fd00:ec2::254]`.
    pub fn at(endpoint: String) -> Imds {
        Imds { endpoint: endpoint.trim_end_matches('/').to_owned() }
    }

    pub(super) async fn fetch(&self, by: &dyn Exchange) -> Result<Fetched<AwsKeys>, Denied> {
        let service = Service { whom: "the EC2 instance metadata service", by };
        let session = self.session(service).await?;
        let roles = self.get(service, ROLES, &session).await?;
        let role = std::str::from_utf8(&roles).ok().and_then(|text| text.lines().next()).map(str::trim);
        let role = role.filter(|role| !role.is_empty());
        let role = role.ok_or(service.unusable("the instance has no role"))?;
        let keys = self.get(service, &format!("{ROLES}{}", encoded(role)), &session).await?;
        super::read_json(service, &keys)
    }

    async fn session(&self, service: Service<'_>) -> Result<SecretString, Denied> {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds"), TTL);
        let uri = format!("{}/latest/api/token", self.endpoint);
        let body = service.ask(Method::PUT, &uri, headers, Bytes::new()).await?;
        let text = std::str::from_utf8(&body).map_err(|_| service.unusable("its session is not text"))?;
        Ok(SecretString::from(text.trim()))
    }

    async fn get(&self, service: Service<'_>, path: &str, session: &SecretString) -> Result<Bytes, Denied> {
        let mut headers = HeaderMap::new();
        let name = HeaderName::from_static("x-aws-ec2-metadata-token");
        headers.insert(name, secret_value(session.expose_secret())?);
        service.ask(Method::GET, &format!("{}{path}", self.endpoint), headers, Bytes::new()).await
    }
}
