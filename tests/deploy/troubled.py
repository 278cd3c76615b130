"""A replica of which everything is the matter that a runbook looks for."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request

from rig.processes import Process, accepts, free_port, says_200

TOKEN = "an-admin-token"
KEY = "sk-a-client"
# What is long, to a test that does not wait for a minute.
SHORTER = {"> 60000": "> 0"}
WITHIN = 20.0  # s: a replica's alerts are posted every five, a circuit opens at the first failure

CONFIG = """version = 1
[server]
listen = "127.0.0.1:{listen}"
admin_listen = "127.0.0.1:{admin}"
admin_token = "{token}"
[state]
url = "redis://127.0.0.1:{redis}/0"
expected_replicas = 1
[alerts]
webhook = "http://127.0.0.1:{nobody}/"
[defaults]
circuit = {{ failures = 1, open = "1m" }}
retry = {{ attempts = 1 }}
{accounts}
[[tenants]]
name = "t"
keys = ["sha256:{key}"]
"""
ACCOUNT = """[[accounts]]
name = "{name}"
provider = "openai-compatible"
base_url = "http://127.0.0.1:{port}/v1"
api_key = "{key}"
pools = [{{ name = "all", models = ["*"], limits = {{ rpm = 600 }} }}]
[[deployments]]
name = "{name}"
account = "{name}"
model = "up"
[[models]]
name = "{name}"
deployments = ["{name}"]
"""


class Troubled:
    """The replica, its Redis and its provider; all of it ends with the block."""

    def __init__(self, weir, folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.weir, self.folder, self.started = weir, folder, []
        self.ports = {name: free_port() for name in ("listen", "admin", "redis", "provider", "nobody")}
        for needed in ("redis-server", "redis-cli", "jq", "curl"):
            if not shutil.which(needed):
                sys.exit(f"{needed} is missing; install it")

    def __enter__(self):
        try:
            self.begin()
            self.trouble()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self.started):
            process.end()

    def begin(self):
        """The replica first: that there is no Redis yet is the first thing that it has to say."""
        ports = self.ports
        provider = ["provider", "--listen", f"127.0.0.1:{ports['provider']}", "--key", "good"]
        self.start("provider", [self.weir, *provider], lambda: accepts(ports["provider"]))
        accounts = [("works", ports["provider"], "good"), ("refused", ports["provider"], "bad"), ("dead", ports["nobody"], "good")]
        text = CONFIG.format(
            **ports,
            token=TOKEN,
            key=hashlib.sha256(KEY.encode()).hexdigest(),
            accounts="".join(ACCOUNT.format(name=name, port=port, key=key) for name, port, key in accounts),
        )
        file = self.folder / "weir.toml"
        file.write_text(text)
        self.start("weir", [self.weir, "serve", "--config", file], lambda: says_200(f"http://127.0.0.1:{ports['listen']}/readyz"))
        redis = ["redis-server", "--port", ports["redis"], "--save", "", "--bind", "127.0.0.1", "--slowlog-log-slower-than", "0"]
        self.start("redis", redis, lambda: accepts(ports["redis"]))
        self.until("the replica has found Redis", lambda: self.ask("/admin/v1/state")[0] == 200)

    def start(self, name, command, answers):
        """A process, and waits until it answers."""
        self.started.append(Process(name, command, self.folder / f"{name}.log"))
        self.started[-1].wait_until(answers)

    def trouble(self):
        """A refused key, an open circuit, a limit that the provider says is lower, a drain, keys that come and go, a wrong password."""
        for model in ("works", "works", "refused", "dead"):
            self.call(model)
        control = f"http://127.0.0.1:{self.ports['provider']}/_control"
        send(control, {"fail": ["status=429,share=1"]})
        self.call("works")
        _, key = self.ask("/admin/v1/keys", {"tenant": "t"})
        self.ask(f"/admin/v1/keys/{key['id']}", method="DELETE")
        self.ask("/admin/v1/deployments/works/drain", {})
        wrong = ["redis-cli", "-u", f"redis://somebody:wrong@127.0.0.1:{self.ports['redis']}/0", "ping"]
        subprocess.run(wrong, capture_output=True, check=False)
        self.until("the receiver of alerts has not answered", lambda: "weir::alerts" in self.log())
        self.until("costs are told", lambda: self.ask("/admin/v1/costs?by=tenant")[1]["rows"])

    def call(self, model):
        """A client's call, whatever comes of it."""
        body = {"model": model, "max_tokens": 4, "messages": [{"role": "user", "content": "word"}]}
        send(f"http://127.0.0.1:{self.ports['listen']}/v1/chat/completions", body, KEY)

    def ask(self, path, body=None, method=None):
        """Status and page of the admin listener."""
        return send(f"http://127.0.0.1:{self.ports['admin']}{path}", body, TOKEN, method)

    def log(self):
        """All that the replica has said."""
        return (self.folder / "weir.log").read_text()

    def until(self, what, holds):
        """Waits for something that takes a replica some seconds."""
        deadline = time.monotonic() + WITHIN
        while not holds():
            if time.monotonic() > deadline:
                sys.exit(f"{what}: not within {WITHIN:.0f} s\n{self.started[1].tail()}")
            time.sleep(0.1)

    def run(self, setup, block):
        """What a block prints, and what it complains of."""
        for long, short in SHORTER.items():
            block = block.replace(long, short)
        script = f"{setup}\nlogs() {{ cat '{self.folder / 'weir.log'}'; }}\n{block}"
        environment = {
            **os.environ,
            "WEIR_ADMIN": f"http://127.0.0.1:{self.ports['admin']}",
            "WEIR_ADMIN_TOKEN": TOKEN,
            "REDIS": f"redis://127.0.0.1:{self.ports['redis']}/0",
        }
        done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, check=False, timeout=60)
        return done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")  # the slow log has arguments as they were


def send(url, body=None, token=None, method=None):
    """Status and JSON of an answer, whichever it is."""
    headers = {"content-type": "application/json", **({"authorization": f"Bearer {token}"} if token else {})}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            status, text = answer.status, answer.read()
    except urllib.error.HTTPError as answer:
        status, text = answer.code, answer.read()
    try:
        return status, json.loads(text)
    except ValueError:
        return status, None
