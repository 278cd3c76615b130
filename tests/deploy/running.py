"""deploy/local/up while it runs, and the clients that call it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

from rig import toolchain
from rig.processes import accepts

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
SERVICES = ("redis", "provider", "rotel", "weir-1", "weir-2", "weir-3", "haproxy", "prometheus")
UP_WITHIN, BACK_WITHIN, END_WITHIN = 120.0, 60.0, 60.0  # s


def folder():
    """Where everything generated goes."""
    return Path(os.environ.get("CARGO_TARGET_DIR") or REPOSITORY / "target").resolve() / "deploy"


def wait_for(holds, within):
    """Polls until it is true; whether it became so."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.05)
    return False


def get(url):
    """The body of an answer, or None if there is none."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.read().decode()
    except OSError:
        return None


class Running:
    """The command, its folder, and what topology.json says of it."""

    def __init__(self):
        self.folder = folder() / "local"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        environment = {name: value for name, value in os.environ.items() if name != "WEIR_PROVIDER"}
        with open(self.folder / "up.log", "wb") as out:
            self.up = subprocess.Popen(
                [REPOSITORY / "deploy" / "local" / "up", "--port", "0", "--folder", self.folder],
                stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment,
            )

    def __enter__(self):
        self.must(self.is_up, UP_WITHIN, "up did not come up")
        return self

    def __exit__(self, *_):
        self.end()

    def must(self, holds, within, otherwise):
        """Waits for it, or ends the test with what `up` said."""
        if not wait_for(lambda: holds() or self.up.poll() is not None, within) or self.up.poll() is not None:
            said = (self.folder / "up.log").read_text(encoding="utf-8")
            self.end()
            sys.exit(f"{otherwise}: {said}")

    def is_up(self):
        """Has it said where to call?"""
        return "Ctrl-C ends all of it." in (self.folder / "up.log").read_text(encoding="utf-8")

    def told(self):
        """topology.json."""
        return json.loads((self.folder / "topology.json").read_text(encoding="utf-8"))

    def pid(self, name):
        """Of a service."""
        return self.told()[name]["pid"]

    def pids(self):
        """Of all services."""
        return [service["pid"] for service in self.told().values() if service["pid"]]

    def url(self, name):
        """Where it listens."""
        return f"http://127.0.0.1:{self.told()[name]['port']}"

    def kill(self, name, number):
        """A signal that ends it; waits until it was started again and answers."""
        before = self.told()[name]
        os.kill(before["pid"], number)
        self.must(lambda: self.told()[name]["starts"] > before["starts"], BACK_WITHIN, f"{name} was not started again")
        self.must(lambda: self.answers(name), BACK_WITHIN, f"{name} is not ready again")

    def answers(self, name):
        """Is it ready?"""
        if name.startswith("weir-"):
            return get(self.url(name) + "/readyz") is not None
        if name == "prometheus":
            return get(self.url(name) + "/-/ready") is not None
        return accepts(self.told()[name]["port"])

    def reload_haproxy(self):
        """As its container is: the file is read again, another worker takes over the listener."""
        before = self.workers()
        os.kill(self.pid("haproxy"), signal.SIGUSR2)
        self.must(lambda: self.workers() - before, BACK_WITHIN, "haproxy has no new worker")
        time.sleep(1.0)  # of calls at the new one

    def workers(self):
        """The processes below HAProxy's first."""
        pid = self.pid("haproxy")
        return set(Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split())

    def arrivals(self):
        """What the provider was asked, from its own log."""
        return [json.loads(line) for line in (get(self.url("provider") + "/_log") or "").splitlines()]

    def is_watched(self):
        """Yields what is wrong with Prometheus and the collector after all that."""
        def value(query):
            said = json.loads(get(f"{self.url('prometheus')}/api/v1/query?{urllib.parse.urlencode({'query': query})}") or "{}")
            return [float(series["value"][1]) for series in said.get("data", {}).get("result", [])]

        if not wait_for(lambda: value('sum(up{job="weir"})') == [3.0], 30.0):
            yield f"Prometheus sees {value('up')} of three replicas"
        rules = json.loads(get(self.url("prometheus") + "/api/v1/rules") or "{}").get("data", {}).get("groups", [])
        if bad := [rule["name"] for group in rules for rule in group["rules"] if rule["health"] == "err"]:
            yield f"rules fail: {bad}"
        if not rules:
            yield "Prometheus has no rules"
        if "Received traces" not in (self.folder / "rotel.log").read_text(encoding="utf-8", errors="replace").rpartition("Starting")[2]:
            yield "the collector was told of no trace since it was killed"

    def end(self):
        """Ctrl-C; what was wrong with that."""
        if self.up.poll() is None:
            self.up.send_signal(signal.SIGINT)
        try:
            code = self.up.wait(END_WITHIN)
        except subprocess.TimeoutExpired:
            self.up.kill()
            return ["up does not end by Ctrl-C"]
        return [f"up ended with {code}"] if code else []


class Steady:
    """Clients that call until they are told to end."""

    def __init__(self, running, rate):
        self.file = running.folder / "calls.jsonl"
        key = (running.folder / "secrets" / "team_a_key").read_text(encoding="utf-8").strip()
        python = toolchain.python("openai")
        command = [python, "-B", HERE / "steady.py", running.url("haproxy") + "/v1", key, str(rate), self.file]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def __enter__(self):
        def has_called():
            return self.file.exists() and self.file.stat().st_size > 0

        wait_for(lambda: has_called() or self.process.poll() is not None, UP_WITHIN)
        if not has_called():
            self.process.kill()
            sys.exit("the clients did not call")
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def end(self):
        """No further calls; those that were made, after the last has ended."""
        self.process.terminate()
        if code := self.process.wait(END_WITHIN):
            sys.exit(f"the clients ended with {code}")
        return [json.loads(line) for line in self.file.read_text(encoding="utf-8").splitlines()]
