"""The compose files: by their schema, and by what no schema knows: that nobody has more rights than needed, and that all fits together."""

import re
import subprocess

from judges import DEPLOY, run

INSIDE = ("redis", "otel-collector", "provider")  # whose ports nobody publishes
BARE = ("otel-collector", "provider")  # images without a program that could ask for health
FILES = ("prometheus",)  # who is not asked to read a mounted file again while it runs
CLOSED = 15  # s: for no longer are new clients refused when HAProxy is stopped or made anew
UNITS = {"s": 1, "m": 60, "h": 3600}


def faults(judges):
    """Yields what is wrong. (Each rule was seen to fail by the file that lacks what it asks for.)"""
    files = sorted(DEPLOY.glob("compose*.yaml"))
    if said := run(judges.schema, "--builtin-schema", "vendor.compose-spec", *files):
        yield said
    whole = judges.yaml(DEPLOY / "compose.yaml")
    for name, service in whole["services"].items():
        yield from (f"compose.yaml: {name}: {fault}" for fault in [*rights(service), *outside(name, service, whole)])
    for file in files:
        for name, service in judges.yaml(file)["services"].items():
            yield from (f"{file.name}: {name}: {fault}" for fault in [*mounted(name, service), *locked(service)])
        yield from (f"{file.name}: {fault}" for fault in secrets(judges.yaml(file)))
    yield from together(judges, whole)


def rights(service):
    """No more of them than it needs, and no more of the machine."""
    wanted = {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"], "restart": "unless-stopped"}
    for key, value in wanted.items():
        if service.get(key) != value:
            yield f"{key} is not {value}"
    if not re.fullmatch(r"[1-9]\d*:\d+", str(service.get("user"))):
        yield "it says no user by number, or root"
    if missing := {"cpus", "memory", "pids"} - set(service.get("deploy", {}).get("resources", {}).get("limits", {})):
        yield f"no limit of {missing}"
    if service.get("ulimits", {}).get("core") != 0:
        yield "its memory may be dumped"
    if "max-size" not in service.get("logging", {}).get("options", {}):
        yield "its log grows for ever"
    if not re.search(r":v?\d|^\$\{WEIR_IMAGE", service["image"]):
        yield f"{service['image']} is not pinned"


def outside(name, service, whole):
    """Who reaches it, and whether anybody knows how it is."""
    if name in INSIDE and "ports" in service:
        yield "its ports are published"
    for port in service.get("ports", []):
        if not re.match(r"127\.0\.0\.1:|\$\{WEIR_PUBLISH:-127\.0\.0\.1:", port):
            yield f"{port} is published to everybody"
    if name == "redis" and not all(whole["networks"][network].get("internal") for network in service["networks"]):
        yield "it is on a network that leads out"
    check = service.get("healthcheck", {})
    if ("test" in check) == (name in BARE):
        yield "whether it has a health check is not as this test knows it"
    if service["image"].startswith("${WEIR_IMAGE") and service["command"][0] != "serve" and check != {"disable": True}:
        yield "it has the image's health check, which asks a gateway"


def locked(service):
    """Grafana's administrator has a password that is not everybody's."""
    said = str(service.get("environment", {}).get("GF_SECURITY_ADMIN_PASSWORD__FILE"))
    if service["image"].startswith("grafana/") and said.removeprefix("/run/secrets/") not in service.get("secrets", []):
        yield "its administrator's password is the one that it comes with"


def secrets(whole):
    """Each that is used is one of the file's, and made."""
    made = set(re.findall(r"^  (\w+) {2,}", "\n".join(described()), re.M))
    known = {name for name, secret in whole.get("secrets", {}).items() if secret == {"file": f"./secrets/{name}"}}
    if missing := {name for service in whole["services"].values() for name in service.get("secrets", [])} - (made & known):
        yield f"nobody makes the secrets {missing}"


def mounted(name, service):
    """What is mounted must be there; what is there may be read only, and is found again when another file takes its place."""
    for volume in service.get("volumes", []):
        source, _, rest = volume.partition(":")
        if source.startswith("."):
            if not (DEPLOY / source).exists():
                yield f"there is no {source}"
            if not rest.endswith(":ro"):
                yield f"{source} may be written"
            if (DEPLOY / source).is_file() and name not in FILES:
                yield f"{source} is mounted by itself: its container keeps the old one when another takes its place"


def together(judges, whole):
    """What the files say of each other."""
    services, text = whole["services"], (DEPLOY / "weir" / "weir.toml").read_text()
    weir = services["weir-1"]
    settings = re.sub(r"(?m)^\s*#.*$", "", text)
    if missing := set(re.findall(r"\$\{(\w+)\}", settings)) - set(weir["environment"]):
        yield f"compose.yaml: weir.toml needs {missing}"
    if missing := set(re.findall(r"\$\{file:secrets/(\w+)\}", settings)) - set(weir["secrets"]):
        yield f"compose.yaml: weir.toml needs the secrets {missing}"
    local = (DEPLOY / "local" / "topology.py").read_text()
    if missing := {name for name in weir["environment"] if f'"{name}": ' not in local}:
        yield f"local/topology.py: compose.yaml says {missing}"
    delay, timeout = (seconds(re.search(rf'^{key} = "(.+)"', settings, re.M)[1]) for key in ("drain_delay", "drain_timeout"))
    if seconds(services["haproxy"]["stop_grace_period"]) > CLOSED:
        yield f"compose.yaml: HAProxy is stopped for {services['haproxy']['stop_grace_period']}, and refuses everybody meanwhile"
    if seconds(weir["stop_grace_period"]) < delay + timeout + 3:
        yield f"compose.yaml: stop_grace_period is {weir['stop_grace_period']}, a replica may take {delay + timeout} s to end"
    listen = weir["environment"]["WEIR_LISTEN"].rpartition(":")[2]
    replicas = {name for name in services if name.startswith("weir-")}
    metrics = weir["environment"]["WEIR_METRICS_LISTEN"].rpartition(":")[2]
    balancer = services["haproxy"]["environment"]
    for at, name in enumerate(sorted(replicas), 1):
        if (balancer[f"WEIR_{at}"], balancer[f"WEIR_{at}_READY"]) != (f"{name}:{listen}", metrics):
            yield f"compose.yaml: HAProxy knows {name} by another address"
    yield from operated(services, replicas)
    if set(judges.yaml(DEPLOY / "prometheus" / "targets.compose.yml")[0]["targets"]) != {f"{name}:{metrics}" for name in replicas}:
        yield "targets.compose.yml: it has other replicas"
    yield from found_by_name(services, whole["networks"])


def operated(services, replicas):
    """The replicas' listeners for operators: at ports of this machine, which RUNBOOK.md asks."""
    inside = {services[name]["environment"]["WEIR_ADMIN_LISTEN"].rpartition(":")[2] for name in replicas}
    outside = [port.rsplit(":", 1) for name in sorted(replicas) for port in services[name].get("ports", [])]
    named = re.search(r'^REPLICAS="(http://127\.0\.0\.1:8081 .+?)"', (DEPLOY / "RUNBOOK.md").read_text(), re.M)
    if {port for _, port in outside} != inside or [f"http://{place}" for place, _ in outside] != (named[1].split() if named else []):
        yield f"compose.yaml: RUNBOOK.md asks operators' listeners at {named and named[1]}, they are at {outside}"


def found_by_name(services, networks):
    """Who is named must be reached, on whichever network in common the name is looked up."""
    for name, service in services.items():
        for key, value in service.get("environment", {}).items():
            host = re.fullmatch(r"(?:http://)?([a-z][a-z0-9-]*):\d+", str(value))
            if host is None or host[1] not in services:
                continue
            common = set(service["networks"]) & set(services[host[1]]["networks"])
            if not common or any("driver_opts" in (networks[network] or {}) for network in common):
                yield f"compose.yaml: {name}: {key} names {host[1]}, with which it has {common or 'no network'} in common"


def described():
    """The head of make-secrets, where each secret has a line."""
    head = subprocess.run(["sed", "-n", "s/^# //p", DEPLOY / "make-secrets"], capture_output=True, text=True, check=True)
    return head.stdout.splitlines()


def seconds(text):
    """Of "5m", "320s"."""
    return int(text[:-1]) * UNITS[text[-1]]
