//! What a running replica cannot change: a reload keeps it as it was and says so.

use secrecy::ExposeSecret;

use super::telemetry::Otlp;
use super::{Config, Identity, Login, Sentinel, StateConfig, Telemetry, Tls, Topology};

impl Config {
    /// Takes over from `running` what only a restart changes; the settings that were to be other.
    pub fn keep_fixed(&mut self, running: &Config) -> Vec<&'static str> {
        let (new, old) = (&mut self.server, &running.server);
        let mut kept = Vec::new();
        let mut keep = |name, same: bool| {
            if !same {
                kept.push(name);
            }
        };
        keep("server.listen", new.listen == old.listen);
        keep("server.admin_listen", new.admin_listen == old.admin_listen);
        keep("server.metrics_listen", new.metrics_listen == old.metrics_listen);
        // Who ends this replica was told at its start how long that may take (a pod's grace), and cuts it off after that.
        keep("server.drain_delay", new.drain_delay == old.drain_delay);
        keep("server.drain_timeout", new.drain_timeout == old.drain_timeout);
        keep("state", same_state(self.state.as_ref(), running.state.as_ref()));
        keep("telemetry", same_telemetry(&self.telemetry, &running.telemetry));
        (new.listen, new.admin_listen, new.metrics_listen) =
            (old.listen, old.admin_listen, old.metrics_listen);
        (new.drain_delay, new.drain_timeout) = (old.drain_delay, old.drain_timeout);
        self.state.clone_from(&running.state);
        // (How many are told, whom they are told of and with what may change.)
        let Telemetry { otlp, semconv, tenant_labels, .. } = running.telemetry.clone();
        self.telemetry = Telemetry { otlp, semconv, tenant_labels, ..self.telemetry.clone() };
        // The new file may need no token where it wants the listener to be.
        if new.admin_token.is_none() && !new.admin_listen.ip().is_loopback() {
            new.admin_token.clone_from(&old.admin_token);
            kept.push("server.admin_token");
        }
        kept
    }
}

/// What is fixed of it: the way to the collector, and the names of metrics and their labels.
fn same_telemetry(a: &Telemetry, b: &Telemetry) -> bool {
    let same = |a: &Otlp, b: &Otlp| {
        let Otlp { endpoint, protocol, headers, signals, tls, service_name, resource, metrics_interval } = a;
        (endpoint, protocol, headers, signals) == (&b.endpoint, &b.protocol, &b.headers, &b.signals)
            && (service_name, resource, metrics_interval)
                == (&b.service_name, &b.resource, &b.metrics_interval)
            && same_tls(tls.as_ref(), b.tls.as_ref())
    };
    let same_otlp = match (&a.otlp, &b.otlp) {
        (Some(a), Some(b)) => same(a, b),
        (None, None) => true,
        _ => false,
    };
    same_otlp && (a.semconv, a.tenant_labels) == (b.semconv, b.tenant_labels)
}

/// (`on_outage` of `[state]` is that of each pool, and may change.)
fn same_state(a: Option<&StateConfig>, b: Option<&StateConfig>) -> bool {
    let same = |a: &StateConfig, b: &StateConfig| {
        same_servers(&a.redis, &b.redis)
            && same_tls(a.tls.as_ref(), b.tls.as_ref())
            && (&a.namespace, a.timeout, a.expected_replicas, a.leases)
                == (&b.namespace, b.timeout, b.expected_replicas, b.leases)
    };
    match (a, b) {
        (Some(a), Some(b)) => same(a, b),
        (None, None) => true,
        _ => false,
    }
}

fn same_servers(a: &Topology, b: &Topology) -> bool {
    match (a, b) {
        (Topology::Single { node: a, login: l }, Topology::Single { node: b, login: m }) => {
            a == b && same_login(l, m)
        }
        (Topology::Sentinel(a), Topology::Sentinel(b)) => {
            let Sentinel { nodes, login, master, data } = a;
            (nodes, master) == (&b.nodes, &b.master)
                && same_login(login, &b.login)
                && same_login(data, &b.data)
        }
        (Topology::Cluster { nodes: a, login: l }, Topology::Cluster { nodes: b, login: m }) => {
            a == b && same_login(l, m)
        }
        _ => false,
    }
}

fn same_login(a: &Login, b: &Login) -> bool {
    let password = |login: &Login| login.password.as_ref().map(|p| p.expose_secret().to_owned());
    (&a.username, a.db) == (&b.username, b.db) && password(a) == password(b)
}

fn same_tls(a: Option<&Tls>, b: Option<&Tls>) -> bool {
    let same =
        |a: &Identity, b: &Identity| a.cert == b.cert && a.key.expose_secret() == b.key.expose_secret();
    match (a, b) {
        (Some(a), Some(b)) => {
            let identities = match (&a.identity, &b.identity) {
                (Some(a), Some(b)) => same(a, b),
                (None, None) => true,
                _ => false,
            };
            a.ca == b.ca && identities
        }
        (None, None) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::check;
    use super::*;

    fn config(text: &str) -> Config {
        check::check(Path::new("weir.toml"), &format!("version = 1\n{text}"), &|_| None).unwrap()
    }

    /// Broken on purpose once: passwords not compared.
    #[test]
    fn listeners_and_state_stay_and_the_rest_is_taken() {
        let old = config(
            "[server]\nlisten = \"127.0.0.1:1\"\nmax_body = 5\n[state]\nurl = \"redis://u:p@h:1/0\"\n",
        );
        let mut new = config(
            "[server]\nlisten = \"127.0.0.1:2\"\nmetrics_listen = \"127.0.0.1:3\"\nmax_body = 6\n\
             drain_delay = \"150s\"\ndrain_timeout = \"1s\"\n[state]\nurl = \"redis://u:q@h:1/0\"\n",
        );
        let kept =
            ["server.listen", "server.metrics_listen", "server.drain_delay", "server.drain_timeout", "state"];
        assert_eq!(new.keep_fixed(&old), kept);
        let drain = |config: &Config| (config.server.drain_delay, config.server.drain_timeout);
        assert_eq!(drain(&new), drain(&old));
        assert_eq!((new.server.listen, new.server.metrics_listen), (old.server.listen, None));
        assert_eq!(new.server.max_body, 6);
        assert!(same_state(new.state.as_ref(), old.state.as_ref()));
    }

    /// Broken on purpose once: the token taken from the new file in any case.
    #[test]
    fn a_listener_that_stays_beyond_loopback_keeps_its_token() {
        let old = config("[server]\nadmin_listen = \"0.0.0.0:1\"\nadmin_token = \"t\"\n");
        let mut new = config("");
        assert_eq!(new.keep_fixed(&old), ["server.admin_listen", "server.admin_token"]);
        assert!(new.server.admin_token.is_some());
        let mut changed = config("[server]\nadmin_listen = \"0.0.0.0:1\"\nadmin_token = \"other\"\n");
        assert!(changed.keep_fixed(&old).is_empty());
        assert_eq!(changed.server.admin_token.unwrap().expose_secret(), "other");
    }

    #[test]
    fn what_has_not_changed_is_not_told() {
        for text in [
            "",
            "[state]\nurl = \"redis://u:p@h:1/0\"\n",
            "[state]\ncluster = [\"redis://:p@a:1\", \"redis://:p@b:1\"]\nnamespace = \"n\"\n",
            "[state]\nsentinel = { nodes = [\"a:1\"], master = \"m\", data_password = \"p\" }\n",
        ] {
            assert!(config(text).keep_fixed(&config(text)).is_empty(), "{text}");
            assert_eq!(
                config(text).keep_fixed(&config("[state]\nurl = \"redis://x\"\n")),
                ["state"],
                "{text}"
            );
        }
    }
}
