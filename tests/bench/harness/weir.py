"""Weir as a target: its name says how it keeps its state and of how many replicas it consists."""
import os
import re

from . import build
from .bodies import KEY
from .procs import NotStarted, free_ports
from .worlds import WORLDS

STATES = ("redis", "local", "leased", "told")
# weir-local that tells a collector this share of its calls as traces, and all of them as metrics and records.
TOLD = {"weir-told-0": 0.0, "weir-told-10": 0.1, "weir-told-100": 1.0}


def parts(name):
    """weir-STATE[-REPLICAS] as (state, replicas); weir-told-SHARE is one replica."""
    found = re.fullmatch(r"weir-([a-z]+)(?:-(\d+))?", name)
    if not found or found[1] not in STATES or (found[1] == "told" and name not in TOLD):
        raise SystemExit(f"unknown target {name}")
    replicas = 1 if found[1] == "told" else int(found[2] or 1)
    if found[1] == "local" and replicas > 1:
        raise SystemExit(f"{name}: replicas share nothing without Redis")
    return found[1], replicas


def needs_redis(name):
    return name.startswith("weir-") and parts(name)[0] in ("redis", "leased")


def render(template, to, **values):
    with open(f"{build.HERE}/conf/{template}") as f:
        text = f.read()
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    with open(to, "w") as f:
        f.write(text)


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


def state_section(state, redis, replicas):
    if state not in ("redis", "leased"):
        return ""
    lines = ["[state]", f'url = "redis://127.0.0.1:{redis}/0"', f"expected_replicas = {replicas}"]
    return "\n".join(lines + ["leases = true"] * (state == "leased"))


def start(procs, name, binary, redis, world="", telemetry="", label=""):
    """Starts all replicas; [(pid, port)]. `world` is the text of accounts, deployments, models and tenants. `label` tells
    their files from those of another run at the same time: a replica takes a file that changes."""
    state, replicas = parts(name)
    started = []
    for at in range(replicas):
        port, admin = free_ports(2)
        config = f"{build.RUN}/{label}{name}-{at}.toml"
        render("weir.toml.in", config, PORT=port, ADMIN=admin, STATE=state_section(state, redis, replicas),
               TELEMETRY=telemetry, WORLD=world, PRESETS=presets())
        try:
            pid = procs.start(f"{label}{name}-{at}", [binary, "serve", "--config", config], port)
        except NotStarted as problem:
            if state == "leased" and "leases" in str(problem):
                raise LookupError("this Weir does not know `leases` yet") from problem
            raise
        started.append((pid, port))
    return started


def world_text(world, mock, dead):
    return WORLDS[world](mock, dead)


def telemetry_section(name, collector):
    return (f'[telemetry]\notlp_endpoint = "http://127.0.0.1:{collector}"\n'
            f'sample_ratio = {TOLD[name]}\nmetrics_interval = "1s"')


def headers(key=KEY):
    return [f"Authorization: Bearer {key}"]
