"""What a weir.toml says that the pod must fit, read by another parser than the chart's."""

import re
import tomllib
from dataclasses import dataclass
from urllib.parse import urlsplit

PORTS = {"http": 80, "https": 443, "redis": 6379, "rediss": 6379, "sentinel": 26379}
UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass
class Facts:
    """Ports, and what else the pod is told of."""

    ports: dict
    admin_open: bool
    tls: bool
    proxied: bool
    delay: float
    drain: float
    files: list
    reached: list


def of(text, providers=()):
    """The facts of a configuration, with the texts of providers' files."""
    whole = tomllib.loads(text)
    server = whole.get("server", {})
    listen = {
        "client": server.get("listen", "0.0.0.0:8080"),
        "admin": server.get("admin_listen", "127.0.0.1:8081"),
        "metrics": server["metrics_listen"],
    }
    delay = seconds(server.get("drain_delay", "5s"))
    return Facts(
        ports={name: int(at.rsplit(":", 1)[1]) for name, at in listen.items()},
        admin_open=not listen["admin"].startswith(("127.", "[::1]")),
        tls=bool(server.get("tls", {}).get("cert")),
        proxied=server.get("proxy_protocol", False),
        delay=delay,
        drain=delay + seconds(server.get("drain_timeout", "5m")),
        files=sorted(set(re.findall(r'/etc/weir/[^"}\s]+', re.sub(r"(?m)^\s*#.*$", "", text)))),
        reached=list(reached(whole, providers)),
    )


def reached(whole, providers):
    """Yields (what, host, port) of whatever Weir connects to, as far as its configuration says it."""
    state = whole.get("state", {})
    sentinels = [f"sentinel://{node}" for node in state.get("sentinel", {}).get("nodes", [])]
    presets = map(tomllib.loads, providers)
    for what, urls in (
        ("a server of [state]", [state.get("url", ""), *state.get("cluster", []), *sentinels]),
        ("the collector", [whole.get("telemetry", {}).get("otlp_endpoint", "")]),
        ("the webhook", [whole.get("alerts", {}).get("webhook", "")]),
        ("a provider", [preset["base_url"] for preset in presets]),
        *((f"the account {account['name']}", [account.get("base_url", "")]) for account in whole.get("accounts", [])),
    ):
        for url in filter(None, urls):
            at = urlsplit(re.sub(r"\$\{[^}]*\}", "x", url))
            yield what, at.hostname, at.port or PORTS[at.scheme]


def seconds(text):
    """A duration such as "1m 30s"."""
    parts = re.findall(r"(\d+)\s*(ms|s|m|h|d)", text)
    return sum(int(number) * UNITS[unit] for number, unit in parts)
