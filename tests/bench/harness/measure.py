"""Measures every scenario on every target, interleaved so that a noisy neighbour hits all alike."""
import json
import os
import subprocess
import sys
import time

from . import build, weir
from .bodies import body, body_file, keep
from .procs import Procs, rss_kib
from .scenarios import ACROSS, BOUND, BOUND_REPS, MOCK_ONLY, SCENARIOS, models, world
from .verdict import BOUNDED
from .worlds import KEYS_FILE

# What the mock's streams consist of, after a first chunk that brings only the role.
CONTENT = " token"


def command(target, scenario, seconds):
    """The load generator's command line, and how long it runs."""
    s = SCENARIOS[scenario]
    seconds = max(s.get("least", 0), seconds * target.slow)
    warmup = s.get("warmup", 0.5 if target.slow == 1 else target.slow)
    cmd = [f"{build.BIN}/lg", "--conns", str(s["conns"]), "--duration", str(seconds), "--warmup", str(warmup),
           "--proc", f"p={','.join(map(str, target.pids))}"]
    for port in target.ports:
        cmd += ["--url", f"http://127.0.0.1:{port}{s.get('path', target.path)}"]
    for file in body_files(target, scenario):
        cmd += ["--body-file", file]
    headers = [h for h in target.headers if not (s.get("keys") and h.startswith("Authorization"))]
    for header in headers:
        cmd += ["-H", header]
    if s.get("keys"):
        cmd += ["--keys-file", KEYS_FILE]
    if s["body"].startswith("stream"):
        cmd += ["--content", CONTENT]
    for option in ("rate", "ramp"):
        if s.get(option):
            cmd += [f"--{option}", str(s[option])]
    if target.redis:
        cmd += ["--proc", f"redis={target.redis[0]}", "--redis", f"127.0.0.1:{target.redis[1]}"]
    return cmd, warmup, seconds


def body_files(target, scenario):
    s = SCENARIOS[scenario]
    if "models" not in s:
        return [body_file(s["body"], target.model)]
    for model in models(scenario):
        keep(body(190, False, model), body_file(s["body"], model))
    return [body_file(s["body"], model) for model in models(scenario)]


def load(rig, target, scenario, seconds):
    """One measurement with the load generator; its JSON, with the memory late in the window."""
    cmd, warmup, seconds = command(target, scenario, seconds)
    mock = SCENARIOS[scenario].get("mock", {})
    if mock:
        rig.set_mock(**mock)
    try:
        with subprocess.Popen(cmd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as lg:
            try:
                time.sleep(warmup + 0.9 * seconds)
                rss = rss_kib(target.pids)
                out, err = lg.communicate(timeout=seconds + 60)
            except subprocess.TimeoutExpired:
                lg.kill()
                return {"error": "the load generator did not end"}
        return {**json.loads(out), "rss_kib": rss} if lg.returncode == 0 else {"error": err[-300:]}
    except ValueError as problem:
        return {"error": str(problem)}
    finally:
        if mock:
            rig.set_mock(**{k: 50 if k == "chunks" else 0 for k in mock})


def measure(rig, names, scenarios, reps, seconds):
    """All rows of a run, also written to target/bench-results as they come."""
    os.makedirs(build.RESULTS, exist_ok=True)
    run = time.strftime("%Y%m%d-%H%M%S")
    rows = []
    with open(f"{build.RESULTS}/{run}.jsonl", "w") as out:
        def put(**row):
            rows.append({"run": run, **row})
            out.write(json.dumps(rows[-1]) + "\n")
            out.flush()

        for place in dict.fromkeys(map(world, scenarios)):
            with Procs(build.RUN) as procs:
                targets = rig.start(procs, names, place)
                time.sleep(1)  # what they do after their start is not measured
                for target in targets:
                    put(target=target.name, world=place, idle_rss_kib=rss_kib(target.pids))
                measure_world(rig, targets, [s for s in scenarios if world(s) == place], reps, seconds, put)
    print(f"raw results: {os.path.relpath(out.name, build.REPO)}", file=sys.stderr)
    return rows


def measure_world(rig, targets, scenarios, reps, seconds, put):
    for rep in range(max(reps, BOUND_REPS) if reps >= 3 else reps):
        for scenario in scenarios if rep < reps else {BOUND} & set(scenarios):
            first = rep % max(1, len(targets))
            for target in targets[first:] + targets[:first]:
                if not takes_part(target, scenario) or (rep >= reps and target.name not in BOUNDED):
                    continue
                r = load(rig, target, scenario, seconds)
                put(target=target.name, scenario=scenario, rep=rep, load=os.getloadavg()[0], r=r)
                say(rep, scenario, target.name, r)


def takes_part(target, scenario):
    if target.name == "mock":
        return scenario in MOCK_ONLY
    if scenario in ACROSS:  # what replicas share has no part in it
        return target.name.startswith("weir-") and weir.parts(target.name)[1] == 1
    return scenario not in target.skip


def say(rep, scenario, target, r):
    cpu = r.get("cpu", {}).get("p", {}).get("us_per_req")
    print(f"rep {rep} {scenario:11} {target:28} n={r.get('n')} rps={r.get('rps')} cpu={cpu} us "
          f"p50={r.get('lat', {}).get('p50')} us {r.get('status', '')} {r.get('error', '')}", file=sys.stderr, flush=True)
