"""What runs in compose.yaml, as processes on loopback, from the same files."""

import os
import random
import signal
import socket
import subprocess
import urllib.error
import urllib.request

from programs import DEPLOY
from supervisor import Service

HOST = "127.0.0.1"
REPLICAS = ("weir-1", "weir-2", "weir-3")
# What weir/weir.toml says of the account: the fake provider is as strict as the real one. And about as slow: streams of up to 6 s.
PROVIDER_LIMITS = "rpm=5000,tpm=2000000"
PROVIDER_WAYS = ("--latency", "200ms", "--pace", "20ms", "--output", "20..300")


class Topology:
    """Who listens where, and how each is started."""

    def __init__(self, programs, folder, port, provider):
        self.programs, self.folder = programs, folder
        self.ports = {"haproxy": port or free_port()}
        for name in ("redis", "rotel", "rotel-http", "prometheus", "provider", "haproxy-ready"):
            self.ports[name] = free_port()
        self.replicas = {name: {what: free_port() for what in ("listen", "admin", "metrics")} for name in REPLICAS}
        self.provider = provider or f"http://{HOST}:{self.ports['provider']}/v1"
        self.is_fake = not provider
        self.secrets = folder / "secrets"
        subprocess.run([DEPLOY / "make-secrets", self.secrets], stdout=subprocess.DEVNULL, check=True)

    def services(self):
        """All of them, each after those that it needs."""
        yield self.redis()
        if self.is_fake:
            yield self.fake_provider()
        yield self.collector()
        for name in REPLICAS:
            yield self.replica(name)
        yield self.balancer()
        yield self.prometheus()

    def redis(self):
        """With redis.conf and the users of the ACL file."""
        data, port = self.folder / "redis", self.ports["redis"]
        data.mkdir(exist_ok=True)
        return Service(
            "redis", [DEPLOY / "redis" / "start", "--bind", HOST, "--port", port, "--dir", data], lambda: accepts(port), port,
            {
                "REDIS_SECRETS": str(self.secrets), "REDIS_USERS": str(DEPLOY / "redis" / "users.acl"),
                "REDIS_CONF": str(DEPLOY / "redis" / "redis.conf"), "REDIS_RUN": str(data),
                "PATH": os.pathsep.join((os.path.dirname(self.programs["redis-server"]), os.environ.get("PATH", ""))),
            },
        )

    def fake_provider(self):
        """It takes the key of the secrets alone, and its log is the judge of who called."""
        port, key = self.ports["provider"], (self.secrets / "provider_key").read_text(encoding="utf-8").strip()
        command = [self.programs["weir"], "provider", "--listen", f"{HOST}:{port}", "--key", f"{key}:{PROVIDER_LIMITS}", *PROVIDER_WAYS]
        return Service("provider", command, lambda: accepts(port), port)

    def collector(self):
        """Rotel in place of the collector of compose.yaml, whose configuration it does not read; it writes down what it is told."""
        port = self.ports["rotel"]
        command = [
            self.programs["rotel"], "start", "--otlp-grpc-endpoint", f"{HOST}:{port}",
            "--otlp-http-endpoint", f"{HOST}:{self.ports['rotel-http']}", "--exporter", "blackhole", "--debug-log", "traces",
        ]
        return Service("rotel", command, lambda: accepts(port), port)

    def replica(self, name):
        """One with weir.toml, whose secrets/ are beside where it starts. SIGINT ends it without drain_delay."""
        ports = self.replicas[name]
        environment = {
            "WEIR_REPLICA": name,
            "WEIR_LISTEN": f"{HOST}:{ports['listen']}",
            "WEIR_ADMIN_LISTEN": f"{HOST}:{ports['admin']}",
            "WEIR_METRICS_LISTEN": f"{HOST}:{ports['metrics']}",
            "WEIR_REDIS": f"{HOST}:{self.ports['redis']}",
            "WEIR_OTLP": f"http://{HOST}:{self.ports['rotel']}",
            "WEIR_PROVIDER": self.provider,
        }
        command = [self.programs["weir"], "serve", "--config", DEPLOY / "weir" / "weir.toml"]
        ready = f"http://{HOST}:{ports['metrics']}/readyz"
        return Service(name, command, lambda: says_200(ready), ports["listen"], environment, signal.SIGINT)

    def balancer(self):
        """HAProxy as in its image; ready when it has found a replica that is."""
        port = self.ports["haproxy"]
        ready = f"{HOST}:{self.ports['haproxy-ready']}"
        environment = {"WEIR_CLIENTS": f"{HOST}:{port}", "WEIR_BALANCER_READY": ready}
        for at, name in enumerate(REPLICAS, 1):
            environment[f"WEIR_{at}"] = f"{HOST}:{self.replicas[name]['listen']}"
            environment[f"WEIR_{at}_READY"] = str(self.replicas[name]["metrics"])
        command = [self.programs["haproxy"], "-W", "-db", "-f", DEPLOY / "haproxy" / "haproxy.cfg"]
        return Service("haproxy", command, lambda: says_200(f"http://{ready}/readyz"), port, environment)

    def prometheus(self):
        """With prometheus.yml and the rules, beside which stands where the replicas are."""
        port, place = self.ports["prometheus"], self.folder / "prometheus"
        place.mkdir(exist_ok=True)
        for name in ("prometheus.yml", "rules"):
            (place / name).unlink(missing_ok=True)
            (place / name).symlink_to(DEPLOY / "prometheus" / name)
        targets = ", ".join(f'"{HOST}:{ports["metrics"]}"' for ports in self.replicas.values())
        (place / "targets.yml").write_text(f"- targets: [{targets}]\n", encoding="utf-8")
        command = [
            self.programs["prometheus"], f"--config.file={place}/prometheus.yml", f"--storage.tsdb.path={place}/data",
            f"--web.listen-address={HOST}:{port}",
        ]
        return Service("prometheus", command, lambda: says_200(f"http://{HOST}:{port}/-/ready"), port)

    def greeting(self):
        """Where to call, and where to look."""
        clients, secrets = f"http://{HOST}:{self.ports['haproxy']}", self.secrets
        whom = f"a fake provider at {self.provider}" if self.is_fake else self.provider
        admin = self.replicas[REPLICAS[0]]["admin"]
        return f"""Three replicas behind {clients}, in front of {whom}.

  curl {clients}/v1/chat/completions -H "authorization: Bearer $(cat {secrets}/team_a_key)" \\
    -H 'content-type: application/json' -d '{{"model":"gpt-4o-mini","messages":[{{"role":"user","content":"Hello"}}]}}'

  dashboard    http://{HOST}:{admin}/dashboard (token: {secrets}/admin_token)
  prometheus   http://{HOST}:{self.ports['prometheus']}/alerts
  files        {self.folder}: logs, data, topology.json (pids and ports)

Whatever ends is started again. Ctrl-C ends all of it."""


def free_port():
    """One that nobody uses, below those that outgoing connections get: it stays free while its process is started again."""
    while True:
        port = random.randint(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
                return port
            except OSError:
                continue


def accepts(port):
    """Does something listen there?"""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((HOST, port)) == 0


def says_200(url):
    """Does a GET answer with 200?"""
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False
