//! The credentials endpoint of a container: ECS tasks, EKS pod identity. Source: AWS SDKs and Tools Reference Guide, "Container
//! credential provider".

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::{HeaderMap, Method, Uri, header};
use secrecy::{ExposeSecret, SecretString};

use super::super::exchange::{Denied, Exchange, Service, secret_file};
use super::super::kept::Fetched;
use super::super::secret_header::secret_value;
use super::AwsKeys;

/// Where ECS answers a relative URI.
const ECS: &str = "http://169.254.170.2";
/// Hosts besides loopback that may be asked without TLS: ECS, EKS pod identity over IPv4 and IPv6.
const PLAIN: &[&str] = &["169.254.170.2", "169.254.170.23", "fd00:ec2::23"];

/// The endpoint and what authorises asking it. On ECS the URI alone is as good as a key, so it is not shown either.
#[derive(Debug)]
pub struct Container {
    uri: SecretString,
    token: Token,
}

#[derive(Debug)]
enum Token {
    None,
    Fixed(SecretString),
    File(PathBuf),
}

impl Container {
    /// What the environment names, if it does. The relative URI goes before the full one, the token file before the token.
    pub(super) fn from_env(get: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<Option<Container>> {
        let uri = match get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
            Some(path) => {
                ensure!(path.starts_with('/'), "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI begins with no slash");
                format!("{ECS}{path}")
            }
            None => match get("AWS_CONTAINER_CREDENTIALS_FULL_URI") {
                Some(uri) => uri,
                None => return Ok(None),
            },
        };
        let parsed: Uri = uri.parse().context("the AWS container credentials URI is not a URL")?;
        ensure!(
            may_ask(&parsed),
            "the AWS container credentials URI must be https, or http to a loopback address, ECS or EKS"
        );
        let token = match get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
            Some(file) => Token::File(file.into()),
            None => get("AWS_CONTAINER_AUTHORIZATION_TOKEN")
                .map_or(Token::None, |token| Token::Fixed(SecretString::from(token))),
        };
        Ok(Some(Container { uri: SecretString::from(uri), token }))
    }

    pub(super) async fn fetch(&self, by: &dyn Exchange) -> Result<Fetched<AwsKeys>, Denied> {
        let service = Service { whom: "the AWS container credentials endpoint", by };
        let mut headers = HeaderMap::new();
        let token = match &self.token {
            Token::None => None,
            Token::Fixed(token) => Some(token.clone()),
            Token::File(path) => Some(secret_file("the AWS container authorization token file", path)?),
        };
        if let Some(token) = token {
            headers.insert(header::AUTHORIZATION, secret_value(token.expose_secret())?);
        }
        let body = service.ask(Method::GET, self.uri.expose_secret(), headers, Bytes::new()).await?;
        super::read_json(service, &body)
    }
}

/// Without TLS only what does not leave the machine: the answer is a secret, and the URI may be set by others.
fn may_ask(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    match uri.scheme_str() {
        Some("https") => !host.is_empty(),
        Some("http") => {
            let loopback = host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
            loopback || host == "localhost" || PLAIN.contains(&host)
        }
        _ => false,
    }
}
