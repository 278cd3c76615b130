"""What is measured: nginx, Weir with and without Redis, and the floor in its shapes."""
import hashlib
import json
import os
import re
import shutil
import time

from . import build
from .procs import free_ports, request

# weir-local that tells a collector this share of its calls as traces, and all of them as metrics and records.
TOLD = {"weir-told-0": 0.0, "weir-told-10": 0.1, "weir-told-100": 1.0}
KEY = "sk-bench-client-0123456789"
PATH = "/v1/chat/completions"
SHAPES, MODES, ALLOCATORS = ("steal", "percore", "deal"), ("pass", "parse", "redis"), ("system", "mimalloc", "jemalloc")
BODIES = {"small": (190, False), "2k": (2048, False), "100k": (100_000, False), "stream": (190, True)}
# Clients of other dialects than the upstream's.
DIALECTS = ("responses", "messages", "gemini")
PATHS = {"responses": "/v1/responses", "messages": "/v1/messages", "gemini": "/v1beta/models/mock-model:generateContent"}
STREAMS = {**PATHS, "gemini": "/v1beta/models/mock-model:streamGenerateContent?alt=sse"}


def floor_parts(name):
    """floor[-SHAPE][-MODE][-ALLOCATOR][-hyper] as (shape, mode, allocator, server)."""
    words = name.split("-")[1:]
    pick = lambda known, default: next((w for w in words if w in known), default)  # noqa: E731
    strange = set(words) - {*SHAPES, *MODES, *ALLOCATORS, "hyper"}
    if strange:
        raise SystemExit(f"unknown target {name}: {', '.join(strange)}")
    return pick(SHAPES, "percore"), pick(MODES, "redis"), pick(ALLOCATORS, "system"), pick(("hyper",), "axum")


def needs(names):
    """(allocators of the floor to build, is Weir needed, is Redis needed)."""
    floors = [floor_parts(n) for n in names if n.startswith("floor")]
    redis = "weir-redis" in names or any(f[1] == "redis" for f in floors)
    return {f[2] for f in floors}, any(n.startswith("weir-") for n in names), redis


def body_file(kind):
    return f"{build.RUN}/body-{kind}.json"


def write_bodies():
    """The request bodies, padded with text that JSON must escape."""
    text = 'Summarise the following "notes" for me:\n- The quick brown fox jumps over the lazy dog. '
    for kind, (size, stream) in BODIES.items():
        body = {"model": "mock-model", "max_tokens": 64, "messages": [
            {"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": ""}]}
        if stream:
            body["stream"] = True
        room = max(2, size - len(json.dumps(body)))
        plain = int(room * len(text) / (len(json.dumps(text)) - 2))
        body["messages"][1]["content"] = (text * (plain // len(text) + 1))[:plain]
        with open(body_file(kind), "w") as f:
            json.dump(body, f)
        for dialect in DIALECTS if kind in ("2k", "stream") else ():
            with open(body_file(f"{kind}-{dialect}"), "w") as f:
                json.dump(said_in(dialect, body), f)


def said_in(dialect, body):
    """A request of Chat's as a client of another dialect makes it."""
    system, user = (message["content"] for message in body["messages"])
    if dialect == "gemini":
        return {"systemInstruction": {"parts": [{"text": system}]}, "generationConfig": {"maxOutputTokens": 64},
                "contents": [{"role": "user", "parts": [{"text": user}]}]}
    said = {"model": body["model"], "stream": body.get("stream", False)}
    if dialect == "messages":
        return {**said, "max_tokens": 64, "system": system, "messages": [{"role": "user", "content": user}]}
    return {**said, "max_output_tokens": 64, "instructions": system, "input": user}


def presets():
    """A folder with a preset of the mock, which speaks Chat alone."""
    folder = f"{build.RUN}/providers"
    os.makedirs(folder, exist_ok=True)
    with open(f"{build.REPO}/config/providers/openai-compatible.toml") as f:
        text = f.read()
    text = text.replace('name = "openai-compatible"', 'name = "chat-alone"')
    text = text.replace('dialects = ["openai-chat", "openai-responses"]', 'dialects = ["openai-chat"]')
    text = re.sub(r"(?m)^responses? = .*\n", "", text)
    with open(f"{folder}/chat-alone.toml", "w") as f:
        f.write(text)
    return folder


def render(template, to, **values):
    with open(f"{build.HERE}/conf/{template}") as f:
        text = f.read()
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    with open(to, "w") as f:
        f.write(text)


def raise_missing():
    raise SystemExit("WEIR_ROTEL is not set: WEIR_ROTEL=$(tests/collector/install)")


class Rig:
    """The mock upstream, Redis and the targets of one run."""

    def __init__(self, procs, names, workers):
        self.procs, self.workers, self.pid, self.port = procs, workers, {}, {}
        self.weir = build.weir() if needs(names)[1] else None
        write_bodies()
        self.mock, self.redis = free_ports(2)
        self.pid["mock"] = procs.start("mock", [f"{build.BIN}/mock", "--listen", f"127.0.0.1:{self.mock}"], self.mock)
        self.port["mock"], self.redis_pid = self.mock, None
        if needs(names)[2]:
            self.redis_pid = procs.start("redis", [
                "redis-server", "--port", str(self.redis), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
                "--dir", build.RUN], self.redis)
        for name in names:
            if name != "mock":
                self.start(name)
            self.check(name)

    def start(self, name):
        port, admin = free_ports(2)
        if name == "nginx":
            cmd = self.nginx(port)
        elif name.startswith("floor"):
            cmd = self.floor(name, port, self.workers)
        elif name in ("weir-redis", "weir-local", *TOLD):
            cmd = self.weir_command(name, port, admin)
        else:
            raise SystemExit(f"unknown target {name}")
        self.port[name], self.pid[name] = port, self.procs.start(name, cmd, port)

    def nginx(self, port):
        binary = shutil.which("nginx") or "/usr/sbin/nginx"
        if not os.path.exists(binary):
            raise SystemExit("nginx is missing: apt-get install nginx-light")
        home = f"{build.RUN}/nginx"
        os.makedirs(home, exist_ok=True)
        render("nginx.conf.in", f"{home}/nginx.conf", PORT=port, MOCK=self.mock, RUN=home, WORKERS=self.workers)
        return [binary, "-c", f"{home}/nginx.conf", "-p", home, "-e", f"{home}/error.log"]

    def floor(self, name, port, workers):
        shape, mode, allocator, server = floor_parts(name)
        binary = f"{build.BIN}/floor" + ("" if allocator == "system" else f"-{allocator}")
        return [binary, "--listen", f"127.0.0.1:{port}", "--upstream", f"http://127.0.0.1:{self.mock}", "--redis",
                f"redis://127.0.0.1:{self.redis}", "--workers", str(workers), "--mode", mode, "--shape", shape,
                "--server", server]

    def weir_command(self, name, port, admin):
        state = f'[state]\nurl = "redis://127.0.0.1:{self.redis}/0"' if name == "weir-redis" else ""
        config = f"{build.RUN}/{name}.toml"
        telemetry = ""
        if name in TOLD:
            telemetry = (f'[telemetry]\notlp_endpoint = "http://127.0.0.1:{self.collector()}"\n'
                         f'sample_ratio = {TOLD[name]}\nmetrics_interval = "1s"')
        render("weir.toml.in", config, PORT=port, ADMIN=admin, MOCK=self.mock, STATE=state, TELEMETRY=telemetry,
               KEY=hashlib.sha256(KEY.encode()).hexdigest(), PRESETS=presets())
        return [self.weir, "serve", "--config", config]

    def collector(self):
        """The port of one that takes everything and keeps nothing (`WEIR_ROTEL`, see tests/collector/install)."""
        if "collector" not in self.port:
            binary = os.environ.get("WEIR_ROTEL") or raise_missing()
            grpc, http = free_ports(2)
            self.pid["collector"] = self.procs.start("collector", [
                binary, "start", "--otlp-grpc-endpoint", f"127.0.0.1:{grpc}", "--otlp-http-endpoint", f"127.0.0.1:{http}",
                "--exporter", "blackhole"], grpc)
            self.port["collector"] = grpc
        return self.port["collector"]

    def check(self, name):
        """One plain and one streamed answer must come through whole."""
        for kind, whole in (("small", lambda b: b"The quick brown fox" in b),
                            ("stream", lambda b: b.count(b" token") == 50 and b"[DONE]" in b)):
            with open(body_file(kind), "rb") as f:
                body = f.read()
            until = time.monotonic() + 10  # a new data set admits nothing in its first seconds
            while (got := request(self.port[name], PATH, body, KEY))[0] == 503 and time.monotonic() < until:
                time.sleep(0.1)
            status, answer = got
            if status != 200 or not whole(answer):
                raise SystemExit(f"{name}: wrong {kind} answer, status {status}: {answer[-300:]!r}")

    def set_mock(self, **settings):
        query = "&".join(f"{k}={v}" for k, v in settings.items())
        status, _ = request(self.mock, f"/__ctl?{query}", b"")
        if status != 200:
            raise SystemExit(f"the mock refused {query}")
