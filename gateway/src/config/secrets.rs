//! Every secret of a configuration, for who must know them to leave them out.

use secrecy::{ExposeSecret, SecretString};

use super::{Access, AwsCredentials, Config, EntraCredentials, GoogleCredentials, Login, Topology};

impl Config {
    /// The values of all secrets that it holds, but for private keys, which are known by their form.
    pub fn secrets(&self) -> Vec<String> {
        let accounts = self.accounts.iter().flat_map(|account| {
            let headers =
                account.headers.iter().filter_map(|(_, value)| Some(value.to_str().ok()?.to_owned()));
            account.access.secrets().into_iter().chain(headers)
        });
        let collector = self.telemetry.otlp.iter().flat_map(|otlp| &otlp.headers);
        let collector = collector.filter_map(|(_, value)| Some(value.to_str().ok()?.to_owned()));
        let state = self
            .state
            .iter()
            .flat_map(|state| logins(&state.redis))
            .filter_map(|login| login.password.as_ref().map(shown));
        let admin = self.server.admin_token.as_ref().map(shown);
        accounts.chain(collector).chain(state).chain(admin).filter(|secret| !secret.is_empty()).collect()
    }
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
            Access::Google { by: GoogleCredentials::ServiceAccount(file), .. } => vec![shown(file)],
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

    /// Broken on purpose to see it fail: the headers of the collector left out.
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
[[accounts]]
name = "a"
provider = "openai"
api_key = "key-secret"
headers = { x-org = "header-secret" }
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
            "Bearer collector-secret",
            "admin-secret",
            "aws-secret",
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
}
