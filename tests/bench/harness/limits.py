"""Correctness beside speed: what providers saw of gateways that were offered twice what their limits allow.

Each gateway has a strict simulated provider (`weir provider`) and a Redis of its own. All gateways of a case run in
the same minutes. The verdict is tests/judge.py's, on the provider's log of arrivals.
"""
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass

from . import build, limits_targets
from .bodies import PATH, body, keep
from .procs import Procs, free_ports, request, rss_kib
from .targets import start_redis
from .weir import headers

JUDGE = f"{build.REPO}/tests/judge.py"
WINDOW = 60
# Calls a minute that fit, of all pools together; twice as many are offered. So few that several LiteLLM, each of
# which takes 10 ms of CPU and more for a call, find room on two cores.
FIT = 300
PROMPT_BYTES = 190
# More calls than are ever open at once.
CONNS = 200


@dataclass
class Case:
    """One limit: of requests or tokens, of one pool or many, and how the load comes."""
    name: str
    unit: str
    pools: list
    wave: int = 0
    # Input of one call by the provider's count, and its output on average; tokens.
    prompt_tokens: int = 0
    output_tokens: int = 40

    @property
    def limit(self):
        """Of each pool, per minute."""
        each = FIT // len(self.pools)
        return each if self.unit == "rpm" else each * (self.prompt_tokens + self.output_tokens)

    def key(self, pool):
        return f"sk-{pool}"


CASES = {case.name: case for case in (
    Case("hot", "rpm", ["pool-00"]),
    Case("waves", "rpm", ["pool-00"], wave=40),
    Case("spread", "rpm", [f"pool-{n:02}" for n in range(20)]),
    Case("tokens", "tpm", ["pool-00"]),
)}


class Site:
    """A gateway, its provider and its Redis, in one case."""

    def __init__(self, procs, case, name, binary):
        self.case, self.name, self.procs = case, name, procs
        self.log = f"{build.RUN}/limits-{case.name}-{name}.log.jsonl"
        if os.path.exists(self.log):
            os.remove(self.log)
        self.provider, = free_ports(1)
        self.start_provider(binary)
        self.redis = start_redis(procs, f"limits-{name}")
        started = limits_targets.start(procs, name, binary, self.redis[1], self.provider, case)
        self.pids, self.ports = [pid for pid, _ in started], [port for _, port in started]

    def start_provider(self, binary):
        command = [binary, "provider", "--listen", f"127.0.0.1:{self.provider}", "--charge", "end-actual", "--window",
                   f"{WINDOW}s", "--log", self.log, "--latency", "50ms", "--default-max-output",
                   str(limits_targets.MAX_TOKENS)]
        for pool in self.case.pools:
            command += ["--key", f"{self.case.key(pool)}:{self.case.unit}={self.case.limit}"]
        self.procs.start(f"limits-provider-{self.name}", command, self.provider)
        self.provider_process = self.procs.children[-1]

    def wait_until_it_serves(self):
        """One call to the first pool by every replica must be answered, and is forgotten."""
        pool = self.case.pools[0]
        for port in self.ports:
            end = time.monotonic() + 20
            while (got := request(port, PATH, json.dumps(asked(pool, False)),
                                  headers(limits_targets.key(self.name, pool))))[0] != 200:
                if time.monotonic() > end:
                    raise SystemExit(f"{self.name}: {got[0]} {got[1][-300:]!r}")
                time.sleep(0.2)

    def load(self, seconds):
        """Begins to offer twice the limit."""
        command = [f"{build.BIN}/lg", "--conns", str(CONNS), "--rate", str(2 * FIT / WINDOW), "--duration", str(seconds),
                   "--warmup", "0", "--proc", f"p={','.join(map(str, self.pids))}", "--proc", f"redis={self.redis[0]}",
                   "--redis", f"127.0.0.1:{self.redis[1]}"]
        for port in self.ports:
            command += ["--url", f"http://127.0.0.1:{port}{PATH}"]
        for file in body_files(self.case):
            command += ["--body-file", file]
        command += ["--keys-file", self.keys_file()]
        if self.case.wave:
            command += ["--wave", str(self.case.wave)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def keys_file(self):
        """The pools' keys in their order, which is that of the bodies."""
        name = f"{build.RUN}/limits-{self.name}.keys"
        with open(name, "w") as f:
            f.write("".join(f"{limits_targets.key(self.name, pool)}\n" for pool in self.case.pools))
        return name

    def result(self, lg, began_us, seconds):
        out, err = lg.communicate(timeout=seconds + 90)
        if lg.returncode != 0:
            return {"error": err[-300:]}
        rss = rss_kib(self.pids)
        self.procs.stop(self.provider_process)  # its log is complete once it has ended
        return {"lg": json.loads(out), "judge": self.judge(began_us), "rss_kib": rss}

    def judge(self, began_us):
        command = [sys.executable, JUDGE, self.log, "--window", str(WINDOW), "--mode", "end-actual", "--allow-429",
                   "--from-us", str(began_us)]
        for pool in self.case.pools:
            command += ["--limit", f"{self.case.key(pool)}:{self.case.unit}={self.case.limit}"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode not in (0, 1):
            raise SystemExit(f"{self.name}: the judge says {done.stderr}")
        return json.loads(done.stdout)


def asked(model, stream):
    return {**body(PROMPT_BYTES, stream, model), "max_tokens": limits_targets.MAX_TOKENS}


def body_files(case):
    """Every pool, plain and streamed."""
    files = []
    for stream in (False, True):
        for pool in case.pools:
            files.append(f"{build.RUN}/limits-body-{pool}-{'stream' if stream else 'plain'}.json")
            keep(asked(pool, stream), files[-1])
    return files


def count_prompt(binary):
    """How many tokens the provider counts in a call's input."""
    port, = free_ports(1)
    with Procs(build.RUN) as procs:
        procs.start("limits-count", [binary, "provider", "--listen", f"127.0.0.1:{port}"], port)
        status, answer = request(port, PATH, json.dumps(asked("pool-00", False)), ["Authorization: Bearer any"])
    if status != 200:
        raise SystemExit(f"the provider says {status}")
    return json.loads(answer)["usage"]["prompt_tokens"]


def run_case(case, names, binary, seconds):
    """Offers the load to all gateways at once, from the beginning of a minute on; a row for each."""
    with Procs(build.RUN) as procs:
        sites = []
        for name in names:
            try:
                sites.append(Site(procs, case, name, binary))
            except LookupError as missing:
                print(f"left out: {name}: {missing.args[0]}", file=sys.stderr)
        for site in sites:
            site.wait_until_it_serves()
        # Limits of clock minutes and of any minute must both be met afresh, and the run be the same each time.
        time.sleep(2 * WINDOW - time.time() % WINDOW if time.time() % WINDOW > 0 else WINDOW)
        began_us = int(time.time() * 1e6)
        loads = [site.load(seconds) for site in sites]
        print(f"{case.name}: {len(sites)} gateways, {seconds} s", file=sys.stderr, flush=True)
        return [{"case": case.name, "unit": case.unit, "limit": case.limit, "pools": len(case.pools), "target": site.name,
                 "replicas": len(site.pids), "seconds": seconds,
                 "r": site.result(lg, began_us, seconds)} for site, lg in zip(sites, loads)]
