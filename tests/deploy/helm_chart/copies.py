"""What the chart has a second time, and what is said of it: the originals, the version, the values that its README tells of."""

import re
import tempfile
import tomllib
from pathlib import Path

import helm_python
from chart import CHART, DEPLOY, REPOSITORY, Chart, read

ORIGINALS = {
    "files/redis-users.acl": "redis-users.acl",
    "files/rules/alerts.yml": "prometheus/rules/alerts.yml",
    "files/rules/recording.yml": "prometheus/rules/recording.yml",
    "files/dashboards/weir.json": "grafana/dashboards/weir.json",
}

# What a network load balancer of AWS needs.
BALANCER = (
    "tcp.idle_timeout.seconds",
    "target_health_state.unhealthy.connection_termination.enabled=false",
    "target_health_state.unhealthy.draining_interval_seconds=",
    "deregistration_delay.timeout_seconds=",
    '"150s"',
)

UNSTEADY = re.compile(r"\.Capabilities|\blookup\b|\brand[A-Z]\w*|\bgen[A-Z]\w*|\bnow\b|\.Release\.Is\w+|\.Release\.Revision")


def faults(chart=CHART):
    """Yields what differs."""
    for copy, original in ORIGINALS.items():
        if (chart / copy).read_bytes() != (DEPLOY / original).read_bytes():
            yield f"{copy} is not what it is a copy of: cp deploy/{original} deploy/helm/weir/{copy}"
    version = tomllib.loads((REPOSITORY / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    if read(chart / "Chart.yaml")["appVersion"] != version:
        yield f"Chart.yaml: appVersion is not {version}, which is Weir's"
    balancers = (DEPLOY / "BALANCERS.md").read_text()
    for said in BALANCER:
        if said not in balancers:
            yield f"deploy/BALANCERS.md does not say {said}"
        if said not in (chart / "values.yaml").read_text():
            yield f"values.yaml does not say {said} of AWS' balancer, as deploy/BALANCERS.md does"
    for template in sorted((chart / "templates").rglob("*.*")):
        for word in UNSTEADY.findall(code(template)):
            yield f"{template.name} uses {word}: what is rendered would not be the same at any time, for any cluster"
    told = set(re.findall(r"^\| `([\w.]+)`", (chart / "README.md").read_text().split("## Values")[1], re.M))
    there = set(paths(read(chart / "values.yaml")))
    for path in sorted(there - told):
        yield f"README.md has no row for the value {path}"
    for path in sorted(told - there):
        yield f"README.md tells of {path}, which is no value"
    if chart == CHART:
        yield from packaged()


def code(template):
    """What Helm evaluates of a template."""
    text = re.sub(r"(?s)\{\{-?\s*/\*.*?\*/\s*-?\}\}", "", template.read_text())
    return "\n".join(re.findall(r"(?s)\{\{(.*?)\}\}", text))


def paths(values, above=""):
    """Yields the dotted path of each value; what is a table for users to fill is one value."""
    for key, value in values.items():
        if isinstance(value, dict) and value and f"{above}{key}" not in ("monitoring.dashboard.labels", "resources", "redis.resources"):
            yield from paths(value, f"{above}{key}.")
        else:
            yield f"{above}{key}"


def packaged():
    """Does an archive hold all that the folder does?"""
    with tempfile.TemporaryDirectory(prefix="weir-helm-") as folder:
        archive = Chart(helm_python.package(CHART, destination=folder))
        for name, values in archive.sets().items():
            if archive.render(values).objects != Chart(CHART).render(values).objects:
                yield f"{name}: the packaged chart renders something else"
        if any(Path(found["name"]).parts[0] == "ci" for found in archive.helm.files):
            yield "ci/ is in the archive"
