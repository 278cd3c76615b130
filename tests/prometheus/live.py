"""A cluster under load, seen by a real Prometheus: does every panel and every rule have an answer, do alerts fire?"""

import json
import re
import shutil
import signal
import time
import urllib.parse
import urllib.request

import files
from load import Load
from stage import KEYS, LOAD, Stage
from tools import REPOSITORY

WARM = 24.0  # s of load before anything is asked
SOON = 25.0  # s in which alerts must fire
# What the board's variables and Grafana's own stand for.
STANDS = {"$job": "weir", "$model": ".*", "$deployment": ".*", "$__rate_interval": "10s", "$__range": "30s"}
# Queries that this load leaves without an answer, by the panel's title and the name of the lines, and why.
EMPTY = {
    ("P95 of answers by how full the deployment is", "50 to 80 %"): "no deployment is so full for long",
    ("P95 of answers by how full the deployment is", "80 to 95 %"): "no deployment is so full for long",
    ("P50 of answers by how full the deployment is", "50 to 80 %"): "no deployment is so full for long",
    ("P50 of answers by how full the deployment is", "80 to 95 %"): "no deployment is so full for long",
    ("Not tried again for want of retries", "{{model}}"): "ten further attempts a second are always made",
}
# Under load ...
FIRING = {"WeirErrors", "WeirNoCapacity", "WeirUpstream429", "WeirAccountShut", "WeirCircuitOpen", "WeirModelDown", "WeirBudgetSpent"}
# ... and when things break.
BROKEN = {"WeirReplicaDown", "WeirConfigRefused", "WeirDegraded", "WeirRedisFailures"}
# What must not fire under that load.
QUIET = {"WeirReplicaDown", "WeirAllReplicasDown", "WeirConfigSkew", "WeirConfigRefused", "WeirDegraded", "WeirKeysUnheard", "WeirReplicasDisagree", "WeirOverloaded"}


def faults(tools, weir, folder):
    """Yields them."""
    place = folder / "live"
    shutil.rmtree(place, ignore_errors=True)
    with Stage(tools, weir, place) as stage:
        ports = [replica.listen for replica in stage.replicas]
        load = Load(ports, [(rate, model, KEYS[tenant], streamed, session) for rate, model, tenant, streamed, session in LOAD])
        try:
            time.sleep(WARM / 2)
            stage.config.write_text(stage.config.read_text() + "\n# read again\n")
            time.sleep(WARM / 2)
            yield from asked(stage)
            yield from compared(stage)
            yield from fires(stage, FIRING)
            yield from pages(tools, stage)
        finally:
            load.end()
        print(f"prometheus: answers {dict(sorted(load.counts.items(), key=str))}")
        yield from told(stage)
        yield from broken(stage)


def asked(stage):
    """Each query of the board and of the recording rules has an answer."""
    if answers(stage, "weir_no_such_metric"):
        yield "a query of what is not there has an answer: nothing is shown by this test"
    count = 0
    for panel, query, legend in files.panels():
        count += 1
        for name, value in STANDS.items():
            query = query.replace(name, value)
        if "$" in query:
            yield f"{panel}: a variable that nobody knows: {query}"
        if (panel, legend) not in EMPTY and not answers(stage, query):
            yield f"{panel} ({legend}): no answer to {query}"
    rules = [rule for group in get(stage, "rules")["groups"] for rule in group["rules"]]
    for rule in rules:
        if rule.get("health") != "ok":
            yield f"{rule['name']}: {rule.get('lastError')}"
        if rule["type"] == "recording" and not answers(stage, rule["name"]):
            yield f"{rule['name']}: no answer"
    firing = firing_now(stage)
    yield from (f"{name} fires though it should not" for name in sorted(firing & QUIET))
    print(f"prometheus: {count} queries of panels, {len(rules)} rules; firing {sorted(firing)}")


def compared(stage):
    """A model that costs more than its baseline has saved less than nothing."""
    query = next(query for panel, query, _ in files.panels() if panel.startswith("Saved, "))
    for name, value in STANDS.items():
        query = query.replace(name, value)
    series = get(stage, "query", query=query)["result"]
    values = {one["metric"]["against"]: float(one["value"][1]) for one in series}
    for against, is_right in (("baseline", values.get("baseline", 0) < 0), ("dearest", values.get("dearest", 0) > 0)):
        if not is_right:
            yield f"saved against the {against}: {values}"


def answers(stage, query):
    """Has it a number anywhere in the last half minute?"""
    now = time.time()
    series = get(stage, "query_range", query=query, start=now - 25, end=now, step=1)["result"]
    return any(value != "NaN" for one in series for _, value in one["values"])


def get(stage, what, **parameters):
    """What Prometheus' API says."""
    url = f"http://127.0.0.1:{stage.port}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]
    except urllib.error.HTTPError as err:
        raise AssertionError(f"{parameters}: {err.read().decode()}") from err


def firing_now(stage):
    """The names of alerts that fire."""
    return {one["labels"]["alertname"] for one in get(stage, "alerts")["alerts"] if one["state"] == "firing"}


def fires(stage, names):
    """They do, soon."""
    deadline, left = time.monotonic() + SOON, names - firing_now(stage)
    while left and time.monotonic() < deadline:
        time.sleep(0.5)
        left -= firing_now(stage)
    yield from (f"{name} does not fire" for name in sorted(left))


def pages(tools, stage):
    """The replicas' pages: as Prometheus wants them, nothing that the README does not name, nothing that files name in vain."""
    shown = set()
    for replica in stage.replicas:
        with urllib.request.urlopen(f"http://127.0.0.1:{replica.metrics}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        if said := tools.check("check", "metrics", text=text):
            yield f"/metrics: {said}"
        if "hunter2" in text or "sk-" in text:
            yield "/metrics shows a secret"
        shown |= set(re.findall(r"(?m)^# TYPE (weir_[a-z0-9_]+) ", text))
    yield from (f"{name}: not in the README" for name in sorted(shown - documented()))
    yield from (f"{name}: in the README, and nowhere else" for name in sorted(documented() - shown - set(NOT_SHOWN)))


def documented():
    """The metrics that the README names."""
    return set(re.findall(r"`(weir_[a-z0-9_]+)`", (REPOSITORY / "README.md").read_text()))


# Families that this load does not bring about, and why.
NOT_SHOWN = {
    "weir_retry_budget_exhausted_total": "ten further attempts a second are always made",
    "weir_deployment_weight_set": "nobody sets one here",
    "weir_telemetry_sent_total": "no collector is told here",
    "weir_telemetry_lost_total": "no collector is told here",
}


def told(stage):
    """The receiver, which refused the first message, has heard of each alert once."""
    deadline = time.monotonic() + SOON
    budget = "tenant/team-c/budget/day"
    wanted = {("account_key_refused/refused", "firing"), ("model_down/dead", "firing"), (f"budget_near/{budget}", "firing")}
    while not wanted <= set(stage.receiver.keys()) and time.monotonic() < deadline:
        time.sleep(0.5)
    keys = stage.receiver.keys()
    yield from (f"{key} {status} was told {keys.count((key, status))} times" for key, status in sorted(wanted) if keys.count((key, status)) != 1)
    if "hunter2" in json.dumps(stage.receiver.messages):
        yield "a message shows the address of its receiver"


def broken(stage):
    """A file with a mistake, a replica that is killed, Redis that is gone."""
    stage.config.write_text(stage.config.read_text() + "\n[nonsense]\n")
    stage.replicas[1].process.child.send_signal(signal.SIGKILL)
    stage.replicas[1].process.child.wait()
    yield from fires(stage, {"WeirReplicaDown", "WeirConfigRefused"})
    stage.processes["redis"].end()
    yield from fires(stage, BROKEN - {"WeirReplicaDown", "WeirConfigRefused"})
    secrets = [name for name, process in stage.processes.items() if name.startswith("weir-") and "hunter2" in open(process.log).read()]
    yield from (f"{name}: its log shows the address of the receiver" for name in secrets)
