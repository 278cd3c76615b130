//! From what an account's configuration says to what authorises its requests.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, header};
use secrecy::{ExposeSecret, SecretString};

use super::secret_header::{bearer, secret_value};
use super::{Auth, AwsKeys, AwsSource, Entra, EntraApp, EntraIdentity, Google, Outside, WebIdentity};
use crate::config::{self, Access, AwsCredentials, EntraCredentials, GoogleCredentials};

/// What authorises the requests of an account.
#[derive(Clone, Debug)]
pub enum Pass {
    /// The same header with every request, or none.
    Standing(Option<(HeaderName, HeaderValue)>),
    /// Something for each request.
    Made(Arc<Auth>),
}

impl Pass {
    /// Of what an account's calls show; `variable` looks up the environment, `outside` is asked for once if at all. Fails
    /// if the environment says half of what it must, or a key cannot be used; the error names no secret.
    pub fn of(
        access: &Access,
        outside: &dyn Fn() -> Outside,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Pass> {
        let auth = match access {
            Access::Open => return Ok(Pass::Standing(None)),
            Access::Bearer(key) => return Pass::bearer(key),
            Access::Header(name, key) => {
                return Ok(Pass::Standing(Some((name.clone(), secret_value(key.expose_secret())?))));
            }
            Access::Aws { service, region, by } => match aws(by, region, variable)? {
                AwsSource::ApiKey(key) => return Pass::bearer(&key),
                source => Auth::aws(source, service, region, outside()),
            },
            Access::Google { scope, by } => Auth::google(google(by, variable)?, scope, outside()),
            Access::Entra { scope, by } => Auth::entra(entra(by, scope, variable)?, outside()),
        };
        Ok(Pass::Made(Arc::new(auth)))
    }

    fn bearer(key: &SecretString) -> anyhow::Result<Pass> {
        Ok(Pass::Standing(Some((header::AUTHORIZATION, bearer(key)?))))
    }
}

fn aws(
    by: &AwsCredentials,
    region: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> anyhow::Result<AwsSource> {
    Ok(match by {
        AwsCredentials::Environment => AwsSource::from_env(variable, region)?,
        AwsCredentials::Keys { id, secret, session } => AwsSource::Fixed(AwsKeys {
            access_key_id: id.clone(),
            secret_access_key: SecretString::clone(secret),
            session_token: session.as_deref().cloned(),
        }),
        AwsCredentials::WebIdentity { role, file } => {
            AwsSource::WebIdentity(WebIdentity::new(file, role.clone(), region))
        }
    })
}

fn google(by: &GoogleCredentials, variable: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<Google> {
    match by {
        GoogleCredentials::Environment => Google::from_env(variable),
        GoogleCredentials::ServiceAccount(json) => Google::from_key_file(json.expose_secret().as_bytes()),
    }
}

fn entra(
    by: &EntraCredentials,
    scope: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> anyhow::Result<Entra> {
    let resource = scope.strip_suffix("/.default").unwrap_or(scope).to_owned();
    let by = match by {
        EntraCredentials::Environment => EntraIdentity::from_env(variable)?,
        EntraCredentials::Secret(app, secret) => {
            EntraIdentity::Secret { app: entra_app(app), secret: SecretString::clone(secret) }
        }
        EntraCredentials::Federated(app, file) => {
            EntraIdentity::Federated { app: entra_app(app), file: file.clone() }
        }
        EntraCredentials::Managed(client) => EntraIdentity::Managed { client: Some(client.clone()) },
    };
    Ok(Entra { resource, by })
}

fn entra_app(app: &config::EntraApp) -> EntraApp {
    let config::EntraApp { authority, tenant, client } = app;
    EntraApp::new(authority.clone(), tenant.clone(), client.clone())
}

#[cfg(test)]
#[path = "pass_tests.rs"]
mod tests;
