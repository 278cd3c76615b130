"""What a weir.toml says that the pod must fit, read by another parser than the chart's."""

import re
import tomllib
from dataclasses import dataclass

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


def of(text):
    """The facts of a configuration."""
    server = tomllib.loads(text).get("server", {})
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
    )


def seconds(text):
    """A duration such as "1m 30s"."""
    parts = re.findall(r"(\d+)\s*(ms|s|m|h|d)", text)
    return sum(int(number) * UNITS[unit] for number, unit in parts)
