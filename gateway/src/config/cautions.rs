//! What is no problem of a file and yet worth a word: secrets that go over the network in clear, a token that can be guessed. It may be
//! meant (a tunnel, a mesh that encrypts), so it keeps nothing from starting.

use std::net::IpAddr;

use http::Uri;
use secrecy::ExposeSecret;

use super::{Config, Endpoint, StateConfig, Topology};

/// A shorter admin token can be tried out, or was made up by somebody.
const SHORTEST_TOKEN: usize = 16;
/// Names that end like this are nobody's in the public DNS, or those of a cluster or a house.
const PRIVATE: [&str; 14] = [
    "localhost",
    "localdomain",
    "local",
    "internal",
    "intranet",
    "lan",
    "home.arpa",
    "private",
    "corp",
    "svc",
    "docker",
    "test",
    "invalid",
    "example",
];

impl Config {
    /// Such words, a sentence each. None shows a secret, a path, or the host of a webhook.
    pub fn cautions(&self) -> Vec<String> {
        let accounts = self.accounts.iter().filter(|account| is_in_clear(&account.base_url)).map(|account| {
            let host = account.base_url.host().unwrap_or_default();
            format!(
                "account `{}` is called at {host} without TLS: its key and all that is said can be read, and answered, on the way",
                account.name
            )
        });
        let collector = self.telemetry.otlp.iter().filter(|otlp| is_in_clear(&otlp.endpoint));
        let collector = collector.map(|_| "`otlp_endpoint` is told without TLS at a public host".to_owned());
        let webhook = self.alerts.webhook.iter().filter_map(|webhook| webhook.uri().ok());
        let webhook = webhook.filter(is_in_clear).map(|_| {
            "`webhook` is posted to without TLS at a public host: who reads its address may post there"
                .to_owned()
        });
        let state = self.state.iter().flat_map(redis_in_clear).map(|host| {
            format!("Redis is spoken to at {host} without TLS: its password and whose calls these are can be read on the way")
        });
        let token = self.server.admin_token.iter().map(|token| token.expose_secret().len());
        let token = token.filter(|length| *length < SHORTEST_TOKEN).map(|_| {
            format!("`admin_token` has less than {SHORTEST_TOKEN} characters: `openssl rand -hex 32` makes one that nobody guesses")
        });
        accounts.chain(collector).chain(webhook).chain(state).chain(token).collect()
    }
}

/// Would a secret that is sent there go over a public network in clear?
pub(crate) fn is_in_clear(address: &Uri) -> bool {
    address.scheme_str() == Some("http") && address.host().is_some_and(|host| !is_near(host))
}

fn redis_in_clear(state: &StateConfig) -> Vec<&str> {
    let nodes: &[Endpoint] = match &state.redis {
        Topology::Single { node, .. } => std::slice::from_ref(node),
        Topology::Sentinel(sentinel) => &sentinel.nodes,
        Topology::Cluster { nodes, .. } => nodes,
    };
    let hosts = nodes.iter().map(|Endpoint { host, .. }| host.as_str());
    hosts.filter(|host| state.tls.is_none() && !is_near(host)).take(1).collect()
}

/// Is it on this machine, or on a network that is not the public one, as far as its name or address tells?
pub(crate) fn is_near(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    match host.parse::<IpAddr>() {
        Ok(ip) => is_private(ip.to_canonical()),
        Err(_) => {
            let host = host.to_ascii_lowercase();
            let ends = |end: &&str| {
                host.strip_suffix(*end).is_some_and(|front| front.is_empty() || front.ends_with('.'))
            };
            !host.contains('.') || PRIVATE.iter().any(ends)
        }
    }
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [first, second, ..] = ip.octets();
            let is_shared = first == 100 && (64..128).contains(&second); // RFC 6598: carriers, and overlay networks
            ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified() || is_shared
        }
        IpAddr::V6(ip) => {
            ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_unspecified()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::check;
    use super::*;

    /// Broken on purpose to see it fail: a suffix compared without the dot before it (`notlocal.com`, `evil-internal`); RFC 6598 left
    /// out.
    #[test]
    fn a_host_is_near_by_its_address_or_by_how_its_name_ends() {
        for near in [
            "127.0.0.1",
            "[::1]",
            "10.0.0.8",
            "192.168.1.1",
            "172.31.0.1",
            "100.64.0.7",
            "[fd00::1]",
            "::ffff:10.0.0.1",
            "localhost",
            "vllm",
            "vllm.models.svc",
            "vllm.models.svc.cluster.local",
            "GPU.Internal",
            "vllm.internal.",
            "h.lan",
        ] {
            assert!(is_near(near), "{near}");
        }
        for public in [
            "api.openai.com",
            "203.0.113.7",
            "8.8.8.8",
            "100.128.0.1",
            "172.32.0.1",
            "[2001:db8::1]",
            "notlocal.com",
            "internal.com",
            "x.evil-internal",
        ] {
            assert!(!is_near(public), "{public}");
        }
    }

    /// Broken on purpose to see it fail: each of the five left out.
    #[test]
    fn secrets_that_would_go_in_clear_and_a_short_token_are_told_of_and_nothing_is_shown() {
        let text = |scheme: &str, token: &str| {
            format!(
                "version = 1\n[server]\nadmin_token = \"{token}\"\n\
                 [state]\nurl = \"redis{scheme}://:redis-secret@redis.example.com:6379/0\"\n\
                 [telemetry]\notlp_endpoint = \"http{scheme}://otel.example.com:4317\"\n\
                 [alerts]\nwebhook = \"http{scheme}://hooks.example.com/hook-secret\"\n\
                 [[accounts]]\nname = \"far\"\nprovider = \"openai-compatible\"\nbase_url = \"http{scheme}://models.example.com/v1\"\n\
                 api_key = \"key-secret\"\n\
                 [[accounts]]\nname = \"near\"\nprovider = \"openai-compatible\"\nbase_url = \"http://10.1.2.3:8000/v1\"\n"
            )
        };
        let cautions = |text: &str| {
            let config = check::check(Path::new("weir.toml"), text, &|_| None);
            config.unwrap_or_else(|report| panic!("{report}")).cautions()
        };
        let said = cautions(&text("", "short-secret"));
        let all = said.join("\n");
        assert_eq!(said.len(), 5, "{all}");
        assert!(
            all.contains("`far`")
                && !all.contains("near")
                && !all.contains("secret")
                && !all.contains("hooks."),
            "{all}"
        );
        assert_eq!(cautions(&text("s", "a-token-of-a-good-length")), [""; 0]);
    }
}
