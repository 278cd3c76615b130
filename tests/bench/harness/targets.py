"""The targets of a run, running: the mock, nginx and other proxies, Weir, and the floor in its shapes."""
import os
import socket
import sys
import time
from dataclasses import dataclass, field

from . import build, floor, peers, weir
from .bodies import MODEL, PATH, body_file, write_bodies
from .procs import free_ports, request


def in_every_world(name):
    """Does it take part in the worlds other than `plain`?"""
    return name == "nginx" or (name.startswith("weir-") and "told" not in name)


def needs(names):
    """(allocators of the floor to build, is Weir needed)."""
    return {floor.parts(n)[2] for n in names if n.startswith("floor")}, any(n.startswith("weir-") for n in names)


@dataclass
class Target:
    """One that is running, of one or more processes, each with descendants."""
    name: str
    pids: list = field(default_factory=list)
    ports: list = field(default_factory=list)
    path: str = PATH
    model: str = MODEL
    headers: list = field(default_factory=weir.headers)
    # Its own Redis, which nobody else uses: (pid, port).
    redis: tuple = None
    # It is measured for so many times as long, as few calls complete in a second.
    slow: int = 1
    # Scenarios that it cannot sustain.
    skip: tuple = ()

    def add(self, pid, port):
        self.pids.append(pid)
        self.ports.append(port)


class Rig:
    """The mock upstream and what starts the targets in front of it."""

    def __init__(self, procs, names, workers):
        self.workers, self.world = workers, "plain"
        self.weir = build.weir() if needs(names)[1] else None
        write_bodies((MODEL, peers.TENSORZERO_MODEL))
        self.mock, = free_ports(1)
        self.mock_pid = procs.start("mock", [f"{build.BIN}/mock", "--listen", f"127.0.0.1:{self.mock}"], self.mock)
        # Bound and not listening: whoever connects is refused.
        self.refuses = socket.socket()
        self.refuses.bind(("127.0.0.1", 0))
        self.dead = self.refuses.getsockname()[1]

    def start(self, procs, names, world):
        """Starts and checks the targets in a world; those that are missing here are said and left out."""
        self.world, up = world, []
        for name in names:
            if world != "plain" and not in_every_world(name):
                continue
            try:
                up.append(self.start_one(procs, name))
            except LookupError as missing:
                print(f"left out: {name}: {missing.args[0]}", file=sys.stderr)
                continue
            check(up[-1])
        return up

    def start_one(self, procs, name):
        target = Target(name)
        if name == "mock":
            target.add(self.mock_pid, self.mock)
        elif name in peers.PEERS:
            peers.PEERS[name](target, procs, self)
        elif name.startswith("floor"):
            self.start_floor(target, procs)
        elif name.startswith("weir-"):
            self.start_weir(target, procs)
        else:
            raise SystemExit(f"unknown target {name}")
        return target

    def start_floor(self, target, procs):
        if floor.needs_redis(target.name):
            target.redis = start_redis(procs, target.name)
        port, = free_ports(1)
        redis = target.redis[1] if target.redis else 0
        command = floor.floor_command(target.name, port, self.mock, redis, self.workers)
        target.add(procs.start(target.name, command, port), port)

    def start_weir(self, target, procs):
        if weir.needs_redis(target.name):
            target.redis = start_redis(procs, target.name)
        telemetry = weir.telemetry_section(target.name, collector(procs)) if target.name in weir.TOLD else ""
        text = weir.world_text(self.world, self.mock, self.dead)
        for pid, port in weir.start(procs, target.name, self.weir, target.redis and target.redis[1], text, telemetry):
            target.add(pid, port)

    def set_mock(self, **settings):
        query = "&".join(f"{k}={v}" for k, v in settings.items())
        status, _ = request(self.mock, f"/__ctl?{query}", b"")
        if status != 200:
            raise SystemExit(f"the mock refused {query}")


def start_redis(procs, name):
    port, = free_ports(1)
    pid = procs.start(f"redis-{name}", [
        "redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
        "--dir", build.RUN], port)
    return pid, port


def collector(procs):
    """The port of one that takes everything and keeps nothing (`WEIR_ROTEL`, see tests/collector/install)."""
    binary = os.environ.get("WEIR_ROTEL")
    if not binary:
        raise LookupError("WEIR_ROTEL is not set: WEIR_ROTEL=$(tests/collector/install)")
    grpc, http = free_ports(2)
    procs.start("collector", [binary, "start", "--otlp-grpc-endpoint", f"127.0.0.1:{grpc}", "--otlp-http-endpoint",
                              f"127.0.0.1:{http}", "--exporter", "blackhole"], grpc)
    return grpc


def check(target):
    """One plain and one streamed answer must come through whole, by every replica."""
    for port in target.ports:
        for kind, whole in (("small", lambda b: b"The quick brown fox" in b),
                            ("stream", lambda b: b.count(b" token") == 50 and b"[DONE]" in b)):
            with open(body_file(kind, target.model), "rb") as f:
                body = f.read()
            until = time.monotonic() + 10  # a new data set admits nothing in its first seconds
            while (got := request(port, target.path, body, target.headers))[0] == 503 and time.monotonic() < until:
                time.sleep(0.1)
            status, answer = got
            if status != 200 or not whole(answer):
                raise SystemExit(f"{target.name}: wrong {kind} answer, status {status}: {answer[-300:]!r}")
