"""The files of deploy/prometheus and deploy/grafana, by themselves."""

import json
import re
import shutil
import subprocess
import sys

from tools import DEPLOY

PROMETHEUS, GRAFANA = DEPLOY / "prometheus", DEPLOY / "grafana"
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
BOARD = GRAFANA / "dashboards" / "weir.json"
TESTS = PROMETHEUS / "tests" / "alerts.yml"
ALERT = re.compile(r"^      - alert: (\w+)$", re.M)


def faults(tools, folder):
    """Yields what is wrong with them."""
    checks = {
        "rules": ("check", "rules", *RULES),
        "tests of the rules": ("test", "rules", TESTS),
        "prometheus.yml": ("check", "config", PROMETHEUS / "prometheus.yml"),
    }
    for name, arguments in checks.items():
        if said := tools.check(*arguments):
            yield f"{name}: {said}"
    yield from kubernetes(tools, folder)
    yield from advice()
    current = subprocess.run([sys.executable, GRAFANA / "make.py", "--check"], capture_output=True, text=True, check=False)
    if current.returncode != 0:
        yield f"board: {current.stderr.strip()}"
    yield from typed(tools.types())


def kubernetes(tools, folder):
    """What is said to Prometheus about Kubernetes; not every promtool knows how to ask that, so what asks is replaced."""
    text = (PROMETHEUS / "kubernetes.yml").read_text()
    asked = re.compile(r"^    kubernetes_sd_configs:\n(?:      .*\n)+", re.M)
    text, count = asked.subn("    static_configs: [{ targets: [x] }]\n", text)
    if count != 1:
        yield "kubernetes.yml: it does not look as expected"
    shutil.copytree(PROMETHEUS / "rules", folder / "kubernetes" / "rules", dirs_exist_ok=True)
    copy = folder / "kubernetes" / "kubernetes.yml"
    copy.write_text(text)
    if said := tools.check("check", "config", copy):
        yield f"kubernetes.yml: {said}"


def advice():
    """Each alert says what to do, and where there is more."""
    headings = set(re.findall(r"^### (\w+)$", (DEPLOY / "RUNBOOK.md").read_text(), re.M))
    for block in re.split(r"(?m)^(?=      - alert: )", (PROMETHEUS / "rules" / "alerts.yml").read_text())[1:]:
        name = ALERT.match(block)[1]
        if name not in headings:
            yield f"{name}: RUNBOOK.md has no heading of that name"
        for wanted in ("summary: '", "description: '", f"runbook: 'deploy/RUNBOOK.md#{name.lower()}'", "severity: "):
            if wanted not in block:
                yield f"{name}: no {wanted}"
    names = set(ALERT.findall((PROMETHEUS / "rules" / "alerts.yml").read_text()))
    for heading in headings - names:
        if heading.startswith("Weir"):
            yield f"RUNBOOK.md: {heading} is no alert"


def typed(types):
    """Is the board one, by Grafana's types?"""
    if types is None:
        yield "board: its types are not checked without npm and node"
        return
    made = types / "made.ts"
    made.write_text(f"import type {{ Board }} from './board';\nexport const board: Board = {BOARD.read_text()}")
    compiler = ["node", "node_modules/typescript/bin/tsc", "--noEmit", "--strict", "--skipLibCheck"]
    options = ["--moduleResolution", "bundler", "--module", "esnext", "--target", "es2022", "made.ts"]
    done = subprocess.run([*compiler, *options], cwd=types, capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        yield f"board: {line[:500]}"
    if done.returncode != 0 and not done.stdout:
        yield f"board: the compiler failed: {done.stderr}"


def mutants(tools, folder):
    """Every alert is tested: one that never fires, and one that always does, fail its test."""
    place = folder / "mutants"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(PROMETHEUS, place)
    rules, tests = place / "rules" / "alerts.yml", place / "tests" / "alerts.yml"
    text = rules.read_text()
    head, *blocks = re.split(r"(?m)^(?=  # \w+: )", tests.read_text())
    for name in ALERT.findall(text):
        own = [block for block in blocks if block.startswith(f"  # {name}: ")]
        tests.write_text(head + "".join(own))
        found = re.search(rf"(?s)- alert: {name}\n        expr: \|\n(.*?)\n        (?:for|labels):", text)
        for how, expr in (("never", "          vector(1) > 1"), ("always", found[1] + "\n          or vector(1)")):
            rules.write_text(text[: found.start(1)] + expr + text[found.end(1) :])
            if tools.check("test", "rules", tests) is None:
                yield f"{name}: its test passes though it {how} fires"


def panels():
    """Yields (panel, query, name of its lines) of the board."""
    for panel in json.loads(BOARD.read_text())["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"], target["legendFormat"]
