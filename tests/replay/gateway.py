"""The gateway under test: its file, its process, its log, its state."""
import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import homes  # noqa: E402

sys.path.append(str(Path(__file__).resolve().parent.parent / "clients"))
from rig.processes import Process, free_port, says_200  # noqa: E402

QUIET_WITHIN = 15.0  # s
GONE_WITHIN = 30.0  # s, from SIGTERM


class Gateway:
    """One replica with embedded state, an account, a deployment and a model for every line."""

    def __init__(self, weir, folder, lines, base_url, accounts=homes):
        self.port, self.admin = free_port(), free_port()
        config = folder / "weir.toml"
        accounts.presets(folder / "presets")
        config.write_text(text(self.port, self.admin, lines, base_url, folder / "presets", accounts.account))
        self.process = Process("gateway", [weir, "serve", "--config", config], folder / "gateway.log")
        self.process.wait_until(lambda: says_200(f"http://127.0.0.1:{self.port}/readyz"))

    def quiet_state(self):
        """The state as soon as nothing is held, or as it is when that takes too long."""
        deadline = time.monotonic() + QUIET_WITHIN
        while True:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/admin/v1/state", timeout=5) as answer:
                state = json.load(answer)
            if not held(state) or time.monotonic() > deadline:
                return state
            time.sleep(0.05)

    def end(self):
        """Ends it in order; its exit code, and the lines of its calls by request id."""
        self.process.child.terminate()
        try:
            self.process.child.wait(GONE_WITHIN)
        except subprocess.TimeoutExpired:
            self.process.end()  # and its exit code tells
        calls = {}
        for line in self.process.log.read_text(encoding="utf-8", errors="replace").splitlines():
            record = json.loads(line) if line.startswith("{") else {}
            if record.get("target") == "weir::call" and "request_id" in record:
                calls.setdefault(record["request_id"], []).append(record)
        return self.process.child.returncode, calls


def held(state):
    """What is still held, in words."""
    left = [
        f"{pool['name']}: {meter['held']} {meter['kind']} held"
        for pool in state["pools"]
        for meter in pool["meters"]
        if meter["held"] or meter["kind"] == "concurrency" and meter["used"]
    ]
    return left + ([f"{state['pending']} reservations pending"] if state["pending"] else [])


def posted(state):
    """What was posted of requests and tokens, by pool and kind."""
    return {(pool["name"], meter["kind"]): meter["posted_ever"] for pool in state["pools"] for meter in pool["meters"]}


def text(port, admin, lines, base_url, presets, account):
    """The file. The limits are never met: they are there so that every call reserves and settles."""
    parts = [f'version = 1\nproviders_dir = "{presets}"\n\n[server]']
    parts.append(f'listen = "127.0.0.1:{port}"\nadmin_listen = "127.0.0.1:{admin}"\n')
    parts.append("[defaults]\ncircuit = { enabled = false }\n")  # every failure is looked at by itself
    for line in lines:
        name, upstream = json.dumps(line.model), json.dumps(line.upstream_model)
        parts.append(account(line, base_url))
        parts.append(f"[[deployments]]\nname = {name}\naccount = {name}\nmodel = {upstream}")
        parts.append("limits = { rpm = 1_000_000, tpm = 1_000_000_000, concurrency = 1_000 }\n")
        parts.append(f"[[models]]\nname = {name}\ndeployments = [{name}]\n")
    return "\n".join(parts)
