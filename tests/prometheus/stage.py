"""Who plays: providers that differ in what goes wrong with them, three replicas on a Redis, a receiver of alerts, Prometheus.

For Prometheus a minute is a second: the rules are those of deploy/prometheus with every time a sixtieth.
"""

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from files import PROMETHEUS, RULES
from rig.processes import Process, accepts, free_port, says_200
from rig.stack import Processes

REPLICAS = 3
KEYS = {"team-a": "sk-team-a", "team-b": "sk-team-b", "team-c": "sk-team-c"}
# What tenants may do besides; of the one's budget nothing is left after some ten seconds.
MAY = {"team-c": 'models = ["chat"]\nbudgets = [{ usd = 0.004, per = "day" }]\n'}
# name, what its provider does, further lines of its account and of its deployment
PRICE = "price = { input = 1.0, output = 4.0 }\n"
UPSTREAMS = (
    ("fast", ["--output", "10..30", "--latency", "20ms", "--pace", "2ms"], "",
     'limits = { rpm = 6000, tpm = 2_000_000 }\nhealth_check = { kind = "models", interval = "1s", timeout = "900ms" }\n' + PRICE),
    ("slow", ["--output", "10..30", "--latency", "250ms", "--pace", "5ms", "--jitter", "0.5"], "",
     "limits = { rpm = 6000, tpm = 2_000_000 }\nprice = { input = 1.5, output = 6.0 }\n"),
    # Its provider refuses for a limit though there is room.
    ("tight", ["--output", "5", "--latency", "10ms", "--fail", "status=429,share=0.25,retry-after=1,only=chat"], "",
     'meters = [{ kind = "requests", limit = 400, per = "10s" }]\n' + PRICE),
    ("narrow", ["--output", "5", "--latency", "10ms"], "",
     'meters = [{ kind = "requests", limit = 6, per = "5s" }]\n' + PRICE),
    ("flaky", ["--output", "10", "--latency", "20ms", "--fail", "status=500,share=0.15,only=chat"], "", PRICE),
    ("dead", ["--fail", "status=503,share=1"], "", PRICE),
    ("refused", ["--fail", 'status=401,body={"error":{"message":"Incorrect API key provided","type":"invalid_request_error",'
                           '"param":null,"code":"invalid_api_key"}}'], "", PRICE),
    ("cheap", ["--output", "5", "--latency", "10ms"], "", "price = { input = 0.1, output = 0.4 }\n"),
    ("unpriced", ["--output", "5", "--latency", "10ms"], "", ""),
)
HEAD = """version = 1

[server]
listen = "127.0.0.1:${{WEIR_PORT}}"
admin_listen = "127.0.0.1:${{WEIR_ADMIN}}"
metrics_listen = "127.0.0.1:${{WEIR_METRICS}}"
drain_delay = "0s"
drain_timeout = "2s"

[state]
url = "redis://127.0.0.1:{redis}/0"
on_outage = "open"

[alerts]
webhook = "http://127.0.0.1:{receiver}/services/hunter2"

[defaults]
timeouts = {{ connect = "1s", first_token = "5s", idle = "5s", total = "10s" }}
retry = {{ attempts = 3, base = "20ms", max = "50ms" }}
cooldown = {{ default = "1s", max = "5s" }}
circuit = {{ failures = 4, open = "30s", ramp = "5s" }}
"""
MODELS = """
[[models]]
name = "chat"
strategy = "weighted"
deployments = [{ name = "fast", weight = 3 }, { name = "slow", weight = 1 }]
hedge = { after = "150ms", budget = 0.05 }

# Dearer than what it is compared with, always.
[[models]]
name = "trial"
baseline = "cheap"
deployments = ["fast", "flaky"]
retry = { attempts = 1 }

[[models]]
name = "keyed"
deployments = [{ name = "refused", priority = 0 }, { name = "fast", priority = 1 }]

[[models]]
name = "tight"
deployments = ["tight"]
queue = { max = 0 }

[[models]]
name = "narrow"
deployments = ["narrow"]
queue = { max = 20, wait = "4s" }

[[models]]
name = "dead"
deployments = ["dead"]

[[models]]
name = "unpriced"
deployments = ["unpriced"]

[[experiments]]
name = "flaky-or-not"
model = "trial"
by = "call"
variants = [{ name = "control", share = 50, deployments = ["fast"] }, { name = "b", share = 50, deployments = ["flaky"] }]
"""
# calls a second, model, tenant, streamed, with a session
LOAD = (
    (12, "chat", "team-a", True, True),
    (8, "chat", "team-b", False, False),
    (4, "chat", "team-c", False, False),
    (6, "trial", "team-b", True, False),
    (4, "keyed", "team-b", False, False),
    (4, "tight", "team-b", False, False),
    (3, "narrow", "team-b", False, False),
    (2, "dead", "team-b", False, False),
    (2, "unpriced", "team-b", False, False),
)


def config(redis, receiver, ports):
    """The file that all replicas have."""
    parts = [HEAD.format(redis=redis, receiver=receiver)]
    for name, _, account, deployment in UPSTREAMS:
        parts.append(
            f'\n[[accounts]]\nname = "{name}"\nprovider = "openai-compatible"\nbase_url = "http://127.0.0.1:{ports[name]}/v1"\n'
            f'api_key = "sk-{name}"\n{account}\n[[deployments]]\nname = "{name}"\naccount = "{name}"\nmodel = "{name}-1"\n'
            f"max_output = 100\n{deployment}"
        )
    parts.append(MODELS)
    for name, key in KEYS.items():
        digest = hashlib.sha256(key.encode()).hexdigest()
        parts.append(f'\n[[tenants]]\nname = "{name}"\nkeys = ["sha256:{digest}"]\n{MAY.get(name, "")}')
    return "".join(parts)


class Stage(Processes):
    """All of it, up inside and ended after."""

    def __init__(self, tools, weir, folder):
        super().__init__(folder)
        self.tools, self.weir = tools, weir

    def start_all(self):
        """Redis, providers, the receiver, replicas, Prometheus."""
        self.receiver = Receiver()
        self.ending.callback(self.receiver.end)
        redis = free_port()
        options = ["--bind", "127.0.0.1", "--port", redis, "--save", "", "--appendonly", "no", "--dir", self.folder]
        self.start("redis", ["redis-server", *options]).wait_until(lambda: accepts(redis))
        ports = {name: self.provider(name, options) for name, options, _, _ in UPSTREAMS}
        self.config = self.folder / "weir.toml"
        self.config.write_text(config(redis, self.receiver.port, ports))
        self.replicas = [Replica(self, f"weir-{at}", self.config) for at in range(1, REPLICAS + 1)]
        for replica in self.replicas:
            replica.is_ready()
        self.start_prometheus()

    def provider(self, name, options):
        """A fake one; its port."""
        port = free_port()
        command = [self.weir, "provider", "--listen", f"127.0.0.1:{port}", *options]
        self.start(f"provider-{name}", command).wait_until(lambda: accepts(port))
        return port

    def start_prometheus(self):
        """With the files of deploy/prometheus, sixty times as fast."""
        place, self.port = self.folder / "prometheus", free_port()
        (place / "rules").mkdir(parents=True, exist_ok=True)
        for rules in RULES:
            (place / "rules" / rules.name).write_text(hurried(rules.read_text()))
        text = (PROMETHEUS / "prometheus.yml").read_text()
        targets = json.dumps([f"127.0.0.1:{replica.metrics}" for replica in self.replicas])
        text, count = re.subn(r"targets: \[.*\]", f"targets: {targets}", re.sub(r"(?m)^ *#.*\n", "", text))
        assert count == 1, "prometheus.yml does not look as expected"
        text = text.replace("_interval: 15s", "_interval: 1s").replace("scrape_timeout: 10s", "scrape_timeout: 1s")
        (place / "prometheus.yml").write_text(text)
        options = [f"--config.file={place}/prometheus.yml", f"--storage.tsdb.path={place}/data", f"--web.listen-address=127.0.0.1:{self.port}"]
        process = self.start("prometheus", [self.tools.prometheus, *options, "--log.level=warn"])
        process.wait_until(lambda: says_200(f"http://127.0.0.1:{self.port}/-/ready"))


def hurried(text):
    """Rules in which a minute is a second."""
    seconds = {"s": 1, "m": 60, "h": 3600}

    def sixtieth(found):
        return f"{found[1]}{int(found[2]) * seconds[found[3]] * 1000 // 60}ms{found[4]}"

    text = re.sub(r"(\[)(\d+)([smh])(\])", sixtieth, text)
    return re.sub(r"(?m)^( +for: )(\d+)([smh])()$", sixtieth, text)


class Replica:
    """One of them."""

    def __init__(self, stage, name, config):
        self.listen, self.admin, self.metrics = free_port(), free_port(), free_port()
        ports = [f"WEIR_PORT={self.listen}", f"WEIR_ADMIN={self.admin}", f"WEIR_METRICS={self.metrics}"]
        command = ["env", *ports, stage.weir, "serve", "--config", config, "--replica", name]
        self.process = stage.start(name, command)

    def is_ready(self):
        """Waits until it is."""
        self.process.wait_until(lambda: says_200(f"http://127.0.0.1:{self.listen}/readyz"))


class Receiver:
    """Takes alerts, but not the first message: that must come again."""

    def __init__(self):
        receiver, self.messages, self.refused = self, [], 0

        class Handler(BaseHTTPRequestHandler):
            """One message."""

            def log_message(self, *_):
                """Nothing."""

            def do_POST(self):
                """Keeps it, or refuses the first."""
                body = self.rfile.read(int(self.headers["content-length"]))
                is_first, receiver.refused = receiver.refused == 0, 1
                if not is_first:
                    receiver.messages.append(json.loads(body))
                self.send_response(503 if is_first else 204)
                self.end_headers()

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def end(self):
        """No more of it."""
        self.server.shutdown()
        self.server.server_close()

    def keys(self):
        """Of all that was told: (key, status), in order."""
        return [(alert["key"], alert["status"]) for message in self.messages for alert in message["alerts"]]
