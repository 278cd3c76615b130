"""HAProxy before a replica, with haproxy.cfg and weir.toml as they are, and with `tls` in the latter: nothing else may need a change."""

import json
import ssl
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

from rig.processes import Failed, Process, accepts, free_port
from judges import DEPLOY, run
from served import started, with_environment

WITHIN = 20.0  # s
CERTIFICATE = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=weir -addext subjectAltName=IP:127.0.0.1"
CALL = {"model": "gpt-4o-mini", "max_tokens": 4, "messages": [{"role": "user", "content": "word"}]}


def faults(judges):
    """Yields what is wrong. (Seen to fail with checks at clients' port, and with the container's health check through it.)"""
    if judges.weir is None:
        yield "haproxy.cfg: no gateway to put it before; build one (cargo build --release) or set WEIR_BIN"
        return
    check = judges.yaml(DEPLOY / "compose.yaml")["services"]["haproxy"]["healthcheck"]["test"][1:]
    with tempfile.TemporaryDirectory(prefix="weir-balanced-") as name:
        run(DEPLOY / "make-secrets", Path(name) / "secrets")
        for tls in (False, True):
            balanced = Balanced(judges, Path(name), check, tls)
            try:
                yield from (f"haproxy.cfg {'with' if tls else 'without'} tls: {fault}" for fault in balanced.faults())
            except Failed as failed:
                yield str(failed)
            finally:
                balanced.end()


class Balanced:
    """Redis, a provider, HAProxy, and one of its three replicas."""

    def __init__(self, judges, folder, check, tls):
        self.judges, self.folder, self.check, self.tls, self.processes = judges, folder, check, tls, []
        names = ("redis", "provider", "clients", "ready", "listen", "admin", "metrics", "nobody")
        self.ports = {name: free_port() for name in names}

    def faults(self):
        """Who is served when."""
        self.surroundings()
        if not within(lambda: not self.is_healthy()):
            yield "its container is healthy without a replica"
        replica = self.replica()
        if not within(self.is_healthy):
            yield "its container is unhealthy, and a replica is ready"
        if (said := self.call()) != 200:
            yield f"a call hears {said}"
        replica.end()
        if not within(lambda: not self.is_healthy()):
            yield "its container is healthy after the last replica has ended"

    def start(self, name, command, port=None):
        """A process that ends with the others; waits until it listens."""
        process = Process(name, command, self.folder / f"{name}-{self.tls}.log", cwd=self.folder)
        self.processes.append(process)
        if port:
            process.wait_until(lambda: accepts(port))
        return process

    def end(self):
        """All of them, the last one first."""
        for process in reversed(self.processes):
            process.end()

    def surroundings(self):
        """All but the replica."""
        ports, data = self.ports, self.folder / f"redis-{self.tls}"
        data.mkdir()
        self.start("redis", started(self.judges, self.folder / "secrets", data, ports["redis"]), ports["redis"])
        key = (self.folder / "secrets" / "provider_key").read_text().strip()
        provider = [self.judges.weir, "provider", "--listen", f"127.0.0.1:{ports['provider']}", "--key", key]
        self.start("provider", provider, ports["provider"])
        environment = {
            "WEIR_CLIENTS": f"127.0.0.1:{ports['clients']}", "WEIR_BALANCER_READY": f"127.0.0.1:{ports['ready']}",
            "WEIR_1": f"127.0.0.1:{ports['listen']}", "WEIR_1_READY": ports["metrics"],
            **{f"WEIR_{at}": f"127.0.0.1:{ports['nobody']}" for at in (2, 3)}, **{f"WEIR_{at}_READY": ports["nobody"] for at in (2, 3)},
        }
        balancer = [self.judges.haproxy, "-W", "-db", "-f", DEPLOY / "haproxy" / "haproxy.cfg"]
        self.start("haproxy", [*with_environment(environment), *balancer], ports["clients"])

    def replica(self):
        """One with weir.toml, in which nothing but `tls` is added."""
        text = (DEPLOY / "weir" / "weir.toml").read_text()
        if self.tls:
            made = run("openssl", *CERTIFICATE.split(), "-keyout", self.folder / "key.pem", "-out", self.folder / "cert.pem")
            if made:
                raise Failed(made)
            text = text.replace("[server]\n", '[server]\ntls = { cert = "cert.pem", key = "key.pem" }\n')
        file = self.folder / "weir.toml"
        file.write_text(text)
        at = {name: f"127.0.0.1:{port}" for name, port in self.ports.items()}
        environment = {
            "WEIR_REPLICA": "weir-1", "WEIR_LISTEN": at["listen"], "WEIR_ADMIN_LISTEN": at["admin"], "WEIR_METRICS_LISTEN": at["metrics"],
            "WEIR_REDIS": at["redis"], "WEIR_OTLP": f"http://{at['nobody']}", "WEIR_PROVIDER": f"http://{at['provider']}/v1",
        }
        return self.start("weir", [*with_environment(environment), self.judges.weir, "serve", "--config", file], self.ports["listen"])

    def is_healthy(self):
        """By the health check of compose.yaml."""
        here = self.check[-1].replace("$$", "$").replace("/8404 ", f"/{self.ports['ready']} ")
        return subprocess.run([*self.check[:-1], here], capture_output=True, check=False, timeout=10).returncode == 0

    def call(self):
        """What a client hears through HAProxy: a status, or why there is none."""
        trust = ssl.create_default_context(cafile=self.folder / "cert.pem") if self.tls else None
        key = (self.folder / "secrets" / "team_a_key").read_text().strip()
        url = f"http{'s' if self.tls else ''}://127.0.0.1:{self.ports['clients']}/v1/chat/completions"
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        try:
            with urllib.request.urlopen(urllib.request.Request(url, json.dumps(CALL).encode(), headers), timeout=10, context=trust) as answer:
                return answer.status
        except OSError as error:
            return str(error)


def within(holds):
    """Polls until it is true; whether it became so."""
    deadline = time.monotonic() + WITHIN
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
