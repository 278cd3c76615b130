//! Access tokens of Microsoft Entra, for Azure OpenAI.

use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::Context;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header::HeaderName};
use secrecy::{ExposeSecret, SecretString};

use super::exchange::{Denied, Exchange, Service, encoded, form, secret_file};
use super::kept::Fetched;
use super::token;

/// Gives out tokens in the public cloud.
const AUTHORITY: &str = "https://login.microsoftonline.com";
/// The metadata service of a virtual machine.
const IMDS: &str = "http://169.254.169.254/metadata/identity/oauth2/token";

/// Who asks for the token, and for what.
#[derive(Debug)]
pub struct Entra {
    /// What the token is for: `https://cognitiveservices.azure.com` for Azure OpenAI in the public cloud.
    pub resource: String,
    /// Who asks.
    pub by: EntraIdentity,
}

/// Who asks for the token.
#[derive(Debug)]
pub enum EntraIdentity {
    /// An application by its secret.
    Secret {
        /// The application.
        app: EntraApp,
        /// Its client secret.
        secret: SecretString,
    },
    /// An application by a token of a platform that it trusts: AKS workload identity.
    Federated {
        /// The application.
        app: EntraApp,
        /// Holds the platform's token; the platform replaces it before its end.
        file: PathBuf,
    },
    /// The identity of the virtual machine.
    Managed {
        /// Which, if it has several that are user-assigned.
        client: Option<String>,
    },
}

/// An application in a tenant.
#[derive(Clone, Debug)]
pub struct EntraApp {
    /// URL without a path; the public cloud's unless another is set.
    pub authority: String,
    /// Tenant id or domain.
    pub tenant: String,
    /// Client id.
    pub client: String,
}

impl EntraApp {
    /// In the public cloud unless `authority` is another.
    pub(super) fn new(authority: Option<String>, tenant: String, client: String) -> EntraApp {
        EntraApp { authority: authority.unwrap_or_else(|| AUTHORITY.to_owned()), tenant, client }
    }
}

impl EntraIdentity {
    /// As the Azure SDKs' default credential searches, as far as it concerns services: `AZURE_CLIENT_SECRET`,
    /// `AZURE_FEDERATED_TOKEN_FILE` (both with `AZURE_TENANT_ID` and `AZURE_CLIENT_ID`), else the managed identity, which
    /// `AZURE_CLIENT_ID` chooses. `AZURE_AUTHORITY_HOST` moves the authority.
    pub fn from_env(variable: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<EntraIdentity> {
        let get = |name: &str| variable(name).filter(|value| !value.is_empty());
        let app = || -> anyhow::Result<EntraApp> {
            let tenant = get("AZURE_TENANT_ID").context("AZURE_TENANT_ID is not set")?;
            let client = get("AZURE_CLIENT_ID").context("AZURE_CLIENT_ID is not set")?;
            Ok(EntraApp::new(get("AZURE_AUTHORITY_HOST"), tenant, client))
        };
        Ok(if let Some(secret) = get("AZURE_CLIENT_SECRET") {
            EntraIdentity::Secret { app: app()?, secret: SecretString::from(secret) }
        } else if let Some(file) = get("AZURE_FEDERATED_TOKEN_FILE") {
            EntraIdentity::Federated { app: app()?, file: file.into() }
        } else {
            EntraIdentity::Managed { client: get("AZURE_CLIENT_ID") }
        })
    }
}

impl Entra {
    pub(super) async fn fetch(
        &self,
        by: &dyn Exchange,
        now: SystemTime,
    ) -> Result<Fetched<SecretString>, Denied> {
        match &self.by {
            EntraIdentity::Secret { app, secret } => {
                self.by_app(by, app, &[("client_secret", secret.expose_secret())], now).await
            }
            EntraIdentity::Federated { app, file } => {
                let token = secret_file("the Azure federated token file", file)?;
                let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
                let proof = [("client_assertion_type", kind), ("client_assertion", token.expose_secret())];
                self.by_app(by, app, &proof, now).await
            }
            EntraIdentity::Managed { client } => self.managed(by, client.as_deref(), now).await,
        }
    }

    /// Source: Microsoft identity platform, "OAuth 2.0 client credentials flow".
    async fn by_app(
        &self,
        by: &dyn Exchange,
        app: &EntraApp,
        proof: &[(&str, &str)],
        now: SystemTime,
    ) -> Result<Fetched<SecretString>, Denied> {
        let service = Service { whom: "Microsoft Entra", by };
        let authority = app.authority.trim_end_matches('/');
        let uri = format!("{authority}/{}/oauth2/v2.0/token", encoded(&app.tenant));
        let scope = format!("{}/.default", self.resource.trim_end_matches('/'));
        let mut fields =
            vec![("grant_type", "client_credentials"), ("client_id", &app.client), ("scope", &scope)];
        fields.extend_from_slice(proof);
        let body = service.post_form(&uri, form(&fields)).await?;
        token::read(service, &body, now)
    }

    /// Source: Microsoft Entra, "How to use managed identities for Azure resources on an Azure VM to acquire an access token".
    async fn managed(
        &self,
        by: &dyn Exchange,
        client: Option<&str>,
        now: SystemTime,
    ) -> Result<Fetched<SecretString>, Denied> {
        let service = Service { whom: "the Azure instance metadata service", by };
        let mut uri = format!("{IMDS}?api-version=2018-02-01&resource={}", encoded(&self.resource));
        if let Some(client) = client {
            uri.push_str(&format!("&client_id={}", encoded(client)));
        }
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static("metadata"), HeaderValue::from_static("true"));
        let body = service.ask(Method::GET, &uri, headers, Bytes::new()).await?;
        token::read(service, &body, now)
    }
}

#[cfg(test)]
#[path = "azure_tests.rs"]
mod tests;
