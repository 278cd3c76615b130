//! Who plays: three providers that differ in everything a gateway looks at, the tenants that call, and the
//! configuration that describes both to the replicas.
//!
//! Limits count over 10 seconds instead of a minute, so that a spectator sees windows fill and empty. The load
//! rises and falls around what the three can take together: in the calm all fits, at the crest some is refused.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use crate::auth;
use crate::config::{Config, check};
use crate::sim::provider::{Charging, Key, Limits, Options, Span};

/// Length of every window, seconds.
pub(super) const WINDOW_S: u64 = 10;
/// What clients ask for.
pub(super) const MODEL: &str = "chat";
/// The key of the tenant for whoever watches.
pub(super) const YOUR_KEY: &str = "demo";
/// Most output of a call that does not say, tokens.
const MAX_OUTPUT: u64 = 100;

/// A provider and the one deployment on it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    /// Of provider, account and deployment.
    pub(super) name: &'static str,
    /// Requests per window.
    pub(super) requests: u64,
    /// Tokens per window.
    pub(super) tokens: u64,
    /// US$ per million input and output tokens.
    pub(super) price: (f64, f64),
    /// Before the first token, and between two.
    pub(super) latency: Duration,
    pub(super) pace: Duration,
    pub(super) charging: Charging,
}

/// The providers, dearest and fastest first.
pub(super) const PARTS: [Part; 3] = [
    Part {
        name: "swift",
        requests: 400,
        tokens: 110_000,
        price: (2.50, 10.0),
        latency: Duration::from_millis(60),
        pace: Duration::from_millis(2),
        charging: Charging::AdmissionMax,
    },
    Part {
        name: "steady",
        requests: 400,
        tokens: 42_000,
        price: (0.60, 2.40),
        latency: Duration::from_millis(160),
        pace: Duration::from_millis(5),
        charging: Charging::AdmissionActual,
    },
    Part {
        name: "thrifty",
        requests: 200,
        tokens: 60_000,
        price: (0.15, 0.60),
        latency: Duration::from_millis(380),
        pace: Duration::from_millis(12),
        charging: Charging::EndActual,
    },
];

impl Part {
    /// What its provider is started with.
    pub(super) fn options(&self, seed: u64) -> Options {
        let limits = Limits { rpm: Some(self.requests), tpm: Some(self.tokens) };
        Options {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            keys: vec![Key { secret: self.secret(), limits }],
            window: Duration::from_secs(WINDOW_S),
            charge: self.charging,
            default_max_output: MAX_OUTPUT,
            output: Span { low: 15, high: 60 },
            latency: self.latency,
            pace: self.pace,
            jitter: 0.3,
            seed,
            keep: 1_000,
            ..Options::default()
        }
    }

    fn secret(&self) -> String {
        format!("key-of-{}", self.name)
    }

    /// What its token limit counts, in few words.
    pub(super) fn counts(&self) -> &'static str {
        match self.charging {
            Charging::AdmissionMax => "counts max_tokens",
            Charging::AdmissionActual => "counts on arrival",
            Charging::EndActual => "counts at the end",
        }
    }

    fn charge(&self) -> &'static str {
        match self.charging {
            Charging::AdmissionMax => "admission-max",
            Charging::AdmissionActual => "admission-actual",
            Charging::EndActual => "end-actual",
        }
    }
}

/// A tenant and its part of the load.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller {
    pub(super) name: &'static str,
    pub(super) key: &'static str,
    /// Of the calls, in percent; the tenant of whoever watches has none.
    pub(super) share: u32,
    /// Of its calls, those that are streamed, in percent.
    pub(super) streamed: u32,
    /// Conversations that it holds at once; 0: its calls belong to none.
    pub(super) sessions: u32,
    /// Its own limit: requests per window.
    pub(super) limit: Option<u64>,
}

/// The tenants.
pub(super) const CALLERS: [Caller; 4] = [
    Caller { name: "assistant", key: "demo-assistant", share: 50, streamed: 90, sessions: 24, limit: None },
    Caller { name: "search", key: "demo-search", share: 30, streamed: 30, sessions: 0, limit: None },
    Caller { name: "nightly", key: "demo-nightly", share: 20, streamed: 0, sessions: 0, limit: Some(180) },
    Caller { name: "you", key: YOUR_KEY, share: 0, streamed: 0, sessions: 0, limit: None },
];

/// The configuration of a replica that listens on these ports of the loopback interface, with metrics at the second if there
/// is one. `providers` are where the providers listen, in the order of [`PARTS`].
pub(super) fn config(port: u16, metrics: Option<u16>, providers: &[SocketAddr]) -> anyhow::Result<Config> {
    let text = text(providers)?;
    let checked = check::check(Path::new("demo.toml"), &text, &|_| None);
    let mut config = checked.map_err(|report| anyhow::anyhow!("{report}"))?;
    // (Not in the text: all replicas have the same file.)
    config.server.listen.set_port(port);
    config.server.metrics_listen = metrics.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    Ok(config)
}

fn text(providers: &[SocketAddr]) -> Result<String, std::fmt::Error> {
    let mut text = "version = 1\n\n[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n\
         drain_timeout = \"3s\"\n"
        .to_owned();
    for (part, addr) in PARTS.iter().zip(providers) {
        let Part { name, requests, tokens, price: (input, output), .. } = part;
        let (secret, charge) = (part.secret(), part.charge());
        write!(
            text,
            "\n[[accounts]]\nname = \"{name}\"\nprovider = \"openai-compatible\"\n\
             base_url = \"http://{addr}/v1\"\napi_key = \"{secret}\"\ncharge = \"{charge}\"\n\
             \n[[deployments]]\nname = \"{name}\"\naccount = \"{name}\"\nmodel = \"{name}-1\"\n\
             meters = [{{ kind = \"requests\", limit = {requests}, per = \"{WINDOW_S}s\" }}, \
             {{ kind = \"tokens\", limit = {tokens}, per = \"{WINDOW_S}s\" }}]\n\
             price = {{ input = {input:?}, output = {output:?} }}\nmax_output = {MAX_OUTPUT}\n"
        )?;
    }
    let names: Vec<String> = PARTS.iter().map(|part| format!("\"{}\"", part.name)).collect();
    write!(text, "\n[[models]]\nname = \"{MODEL}\"\ndeployments = [{}]\n", names.join(", "))?;
    for Caller { name, key, limit, .. } in CALLERS {
        let hash = auth::hash(key);
        write!(text, "\n[[tenants]]\nname = \"{name}\"\nkeys = [\"{hash}\"]\n")?;
        if let Some(limit) = limit {
            let meter = format!("{{ kind = \"requests\", limit = {limit}, per = \"{WINDOW_S}s\" }}");
            writeln!(text, "meters = [{meter}]")?;
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_of_a_replica_has_no_problem() {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
        let config = config(0, Some(9464), &[addr; 3]).unwrap();
        assert_eq!((config.deployments.len(), config.models.len(), config.tenants.len()), (3, 1, 4));
        assert!(config.server.listen.ip().is_loopback() && config.server.admin_listen.ip().is_loopback());
        assert!(config.state.is_none());
        assert!(config.server.metrics_listen.unwrap().ip().is_loopback());
    }

    #[test]
    fn the_shares_of_the_callers_are_the_whole_load() {
        assert_eq!(CALLERS.iter().map(|caller| caller.share).sum::<u32>(), 100);
    }
}
