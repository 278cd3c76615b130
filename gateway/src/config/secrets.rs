//! Every secret of a configuration, for who must know them to leave them out.

use http::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::alerts::Webhook;
use super::{Access, AwsCredentials, Config, EntraCredentials, GoogleCredentials, Login, Topology};

/// Headers that end like this say what is spoken, and where: their values are words that also stand elsewhere.
const PUBLIC: [&str; 7] = ["version", "region", "beta", "user-agent", "accept", "content-type", "referer"];
/// What stands before a secret in a header.
const SCHEMES: [&str; 4] = ["bearer", "basic", "token", "key"];

impl Config {
    /// The values of all secrets that it holds. Of files that hold more the secret alone.
    pub fn secrets(&self) -> Vec<String> {
        let accounts = self.accounts.iter().flat_map(|account| {
            account.access.secrets().into_iter().chain(account.headers.iter().filter_map(of_header))
        });
        let collector = self.telemetry.otlp.iter().flat_map(|otlp| &otlp.headers).filter_map(of_header);
        let state = self
            .state
            .iter()
            .flat_map(|state| logins(&state.redis))
            .filter_map(|login| login.password.as_ref().map(shown));
        let admin = self.server.admin_token.as_ref().map(shown);
        let webhook = self.alerts.webhook.iter().flat_map(of_webhook);
        let all = accounts.chain(collector).chain(state).chain(admin).chain(webhook);
        all.filter(|secret| !secret.is_empty()).collect()
    }
}

/// Without its scheme: what is told elsewhere is the key alone.
fn of_header((name, value): &(HeaderName, HeaderValue)) -> Option<String> {
    if PUBLIC.iter().any(|public| name.as_str().ends_with(public)) {
        return None;
    }
    let value = value.to_str().ok()?;
    let is_scheme = |word: &str| SCHEMES.iter().any(|scheme| scheme.eq_ignore_ascii_case(word));
    let key = value.split_once(' ').filter(|(scheme, _)| is_scheme(scheme)).map(|(_, key)| key.trim());
    Some(key.unwrap_or(value).to_owned())
}

/// Whoever knows the path may post; the end of it may be told alone.
fn of_webhook(webhook: &Webhook) -> Vec<String> {
    let Ok(uri) = webhook.uri() else { return Vec::new() };
    let whole = uri.path_and_query().map_or("", |path| path.as_str()).trim_start_matches('/');
    let end = whole.rsplit_once('/').map(|(_, end)| end);
    [Some(whole), end].into_iter().flatten().map(str::to_owned).collect()
}

/// Of a service account's file: the rest of it is no secret, and nobody tells a whole file.
fn private_key(file: &SecretString) -> Option<String> {
    let file: Value = serde_json::from_str(file.expose_secret()).ok()?;
    Some(file.get("private_key")?.as_str()?.to_owned())
}

fn shown(secret: &SecretString) -> String {
    secret.expose_secret().to_owned()
}

fn logins(topology: &Topology) -> Vec<&Login> {
    match topology {
        Topology::Single { login, .. } | Topology::Cluster { login, .. } => vec![login],
        Topology::Sentinel(sentinel) => vec![&sentinel.login, &sentinel.data],
    }
}

impl Access {
    fn secrets(&self) -> Vec<String> {
        match self {
            Access::Open => Vec::new(),
            Access::Bearer(key) | Access::Header(_, key) => vec![shown(key)],
            Access::Aws { by: AwsCredentials::Keys { secret, session, .. }, .. } => {
                std::iter::once(shown(secret)).chain(session.iter().map(|session| shown(session))).collect()
            }
            Access::Google { by: GoogleCredentials::ServiceAccount(file), .. } => {
                private_key(file).into_iter().collect()
            }
            Access::Entra { by: EntraCredentials::Secret(_, secret), .. } => vec![shown(secret)],
            // Found when they are needed.
            Access::Aws { by: AwsCredentials::Environment | AwsCredentials::WebIdentity { .. }, .. }
            | Access::Google { by: GoogleCredentials::Environment, .. }
            | Access::Entra {
                by:
                    EntraCredentials::Environment | EntraCredentials::Federated(..) | EntraCredentials::Managed(_),
                ..
            } => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::check;
    use super::private_key;

    /// Broken on purpose to see it fail: the headers of the collector left out; the webhook left out; `Bearer` taken for a part of the
    /// key; the version of an API taken for a secret.
    #[test]
    fn every_kind_of_secret_is_known() {
        let text = r#"
version = 1
[server]
admin_token = "admin-secret"
[state]
sentinel = { nodes = ["h:1"], master = "m", password = "sentinel-secret", data_password = "redis-secret" }
[telemetry]
otlp_endpoint = "http://h:4317"
otlp_headers = { authorization = "Bearer collector-secret" }
[alerts]
webhook = "https://hooks.example.com/services/webhook-secret"
[[accounts]]
name = "a"
provider = "openai"
api_key = "key-secret"
headers = { x-org = "header-secret", anthropic-version = "2023-06-01", x-region = "us-east-1" }
[[accounts]]
name = "b"
provider = "bedrock"
region = "us-east-1"
credentials = { kind = "aws", access_key_id = "id", secret_access_key = "aws-secret", session_token = "session-secret" }
[[accounts]]
name = "c"
provider = "azure"
resource = "r"
credentials = { kind = "entra", tenant = "t", client = "c", secret = "entra-secret" }
"#;
        let config = check::check(Path::new("weir.toml"), text, &|_| None).unwrap();
        let mut found = config.secrets();
        found.sort();
        let mut expected = [
            "collector-secret",
            "admin-secret",
            "aws-secret",
            "services/webhook-secret",
            "webhook-secret",
            "entra-secret",
            "header-secret",
            "key-secret",
            "redis-secret",
            "sentinel-secret",
            "session-secret",
        ];
        expected.sort_unstable();
        assert_eq!(found, expected);
    }

    /// The whole file would never be told, and of many files nothing could look for all. Broken on purpose to see it fail: the file.
    #[test]
    fn of_a_service_accounts_file_the_key_is_secret() {
        let file = r#"{"type": "service_account", "private_key": "the-key\nof-it", "client_email": "a@b"}"#;
        assert_eq!(private_key(&file.into()).as_deref(), Some("the-key\nof-it"));
        assert_eq!(private_key(&"no file".into()), None);
    }
}
