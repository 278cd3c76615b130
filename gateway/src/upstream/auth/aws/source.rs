//! Where AWS keys come from, and the order in which the environment is searched.

use std::time::SystemTime;

use anyhow::{Context, bail};
use secrecy::SecretString;

use super::super::exchange::{Denied, Exchange};
use super::super::kept::{Fetched, Source};
use super::{AwsKeys, Container, Imds, WebIdentity};

/// Where keys come from.
#[derive(Debug)]
pub enum AwsSource {
    /// A Bedrock API key: nothing is signed.
    ApiKey(SecretString),
    /// Written in the configuration or the environment.
    Fixed(AwsKeys),
    /// A Kubernetes or other OIDC token, exchanged at STS.
    WebIdentity(WebIdentity),
    /// ECS tasks and EKS pod identity.
    Container(Container),
    /// The role of an EC2 instance.
    Imds(Imds),
}

impl AwsSource {
    /// The first that the environment names, in the order of the AWS SDKs' standardised chain (AWS SDKs and Tools Reference
    /// Guide, "Standardized credential providers"): keys, web identity, container, instance. `AWS_BEARER_TOKEN_BEDROCK`
    /// stands before all (Bedrock User Guide, "API keys"). Profile files, SSO and processes are for people's machines and
    /// are not read. The first that is named is used, also if it then fails: no other identity takes its place.
    ///
    /// `region` is the account's; STS is asked in `AWS_REGION` if that is set. An empty variable counts as none.
    pub fn from_env(variable: &dyn Fn(&str) -> Option<String>, region: &str) -> anyhow::Result<AwsSource> {
        let get = |name: &str| variable(name).filter(|value| !value.is_empty());
        if let Some(key) = get("AWS_BEARER_TOKEN_BEDROCK") {
            return Ok(AwsSource::ApiKey(SecretString::from(key)));
        }
        if let Some(keys) = keys(&get)? {
            return Ok(AwsSource::Fixed(keys));
        }
        if let Some(file) = get("AWS_WEB_IDENTITY_TOKEN_FILE") {
            let role =
                get("AWS_ROLE_ARN").context("AWS_WEB_IDENTITY_TOKEN_FILE is set, but AWS_ROLE_ARN is not")?;
            let near = get("AWS_REGION").or_else(|| get("AWS_DEFAULT_REGION"));
            let mut identity = WebIdentity::new(file, role, near.as_deref().unwrap_or(region));
            if let Some(session) = get("AWS_ROLE_SESSION_NAME") {
                identity.session = session;
            }
            if let Some(endpoint) = get("AWS_ENDPOINT_URL_STS") {
                identity.endpoint = endpoint;
            }
            return Ok(AwsSource::WebIdentity(identity));
        }
        if let Some(container) = Container::from_env(&get)? {
            return Ok(AwsSource::Container(container));
        }
        if get("AWS_EC2_METADATA_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            bail!("the environment names no AWS credentials, and AWS_EC2_METADATA_DISABLED is true");
        }
        Ok(AwsSource::Imds(get("AWS_EC2_METADATA_SERVICE_ENDPOINT").map_or_else(Imds::default, Imds::at)))
    }
}

fn keys(get: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<Option<AwsKeys>> {
    match (get("AWS_ACCESS_KEY_ID"), get("AWS_SECRET_ACCESS_KEY")) {
        (Some(access_key_id), Some(secret)) => Ok(Some(AwsKeys {
            access_key_id,
            secret_access_key: SecretString::from(secret),
            session_token: get("AWS_SESSION_TOKEN").map(SecretString::from),
        })),
        (None, None) => Ok(None),
        _ => bail!("one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY is set without the other"),
    }
}

impl Source for AwsSource {
    type Item = AwsKeys;

    async fn fetch(&self, by: &dyn Exchange, _now: SystemTime) -> Result<Fetched<AwsKeys>, Denied> {
        match self {
            AwsSource::WebIdentity(identity) => identity.fetch(by).await,
            AwsSource::Container(container) => container.fetch(by).await,
            AwsSource::Imds(imds) => imds.fetch(by).await,
            // These two are kept elsewhere.
            AwsSource::ApiKey(_) | AwsSource::Fixed(_) => {
                Err(Denied::Unusable { whom: "the AWS credentials", why: "are not fetched" })
            }
        }
    }
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
