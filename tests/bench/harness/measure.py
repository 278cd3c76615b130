"""Measures every scenario on every target, interleaved so that a noisy neighbour hits all alike."""
import json
import os
import subprocess
import sys
import time

from . import build
from .procs import rss_kib
from .targets import DIALECTS, KEY, PATH, PATHS, STREAMS, body_file

# Connections, body, and where it applies the rate of an open loop and the mock's settings.
SCENARIOS = {
    "small64": dict(body="small", conns=64),
    "2k64": dict(body="2k", conns=64),
    "100k16": dict(body="100k", conns=16),
    "stream50": dict(body="stream", conns=32),
    "stream50d5": dict(body="stream", conns=64, mock=dict(delay_ms=5)),
    "c1": dict(body="small", conns=1),
    "r500": dict(body="small", conns=64, rate=500),
    # The same calls by clients of other dialects than the upstream's: what telling them anew costs.
    **{f"2k64-{name}": dict(body=f"2k-{name}", conns=64, path=PATHS[name]) for name in DIALECTS},
    **{f"stream50-{name}": dict(body=f"stream-{name}", conns=32, path=STREAMS[name]) for name in DIALECTS},
}
ACROSS = {s: s.rsplit("-", 1)[0] for s in SCENARIOS if "-" in s}  # and what each is compared with
QUICK = ["small64", "2k64", "100k16", "stream50", "stream50d5", "c1"]
# The scenario that a bound is set on is measured this often at least: one repetition varies by 10 %.
BOUND, BOUND_REPS = "small64", 7
# Without a proxy only the latency is of interest: what a target adds to it.
MOCK_ONLY = ("c1", "r500")


def load(rig, target, scenario, seconds, warmup=0.5):
    """One measurement with the load generator; its JSON."""
    s = SCENARIOS[scenario]
    cmd = [f"{build.BIN}/lg", "--url", f"http://127.0.0.1:{rig.port[target]}{s.get('path', PATH)}", "--body-file",
           body_file(s["body"]), "--conns", str(s["conns"]), "--duration", str(seconds), "--warmup", str(warmup),
           "--proc", f"p={rig.pid[target]}", "-H", f"Authorization: Bearer {KEY}"]
    if s.get("rate"):
        cmd += ["--rate", str(s["rate"])]
    if rig.redis_pid:
        cmd += ["--proc", f"redis={rig.redis_pid}"]
    if s.get("mock"):
        rig.set_mock(**s["mock"])
    try:
        done = subprocess.run(cmd, capture_output=True, text=True, timeout=seconds + 60, check=True)
        return json.loads(done.stdout)
    except (subprocess.SubprocessError, ValueError) as problem:
        return {"error": str(problem)}
    finally:
        if s.get("mock"):
            rig.set_mock(**{k: 0 for k in s["mock"]})


def measure(rig, targets, scenarios, reps, seconds):
    """All rows of a run, also written to target/bench-results as they come."""
    os.makedirs(build.RESULTS, exist_ok=True)
    run = time.strftime("%Y%m%d-%H%M%S")
    rows = []
    with open(f"{build.RESULTS}/{run}.jsonl", "w") as out:
        def put(**row):
            rows.append({"run": run, **row})
            out.write(json.dumps(rows[-1]) + "\n")
            out.flush()

        for rep in range(max(reps, BOUND_REPS)):
            for scenario in scenarios if rep < reps else {BOUND} & set(scenarios):
                first = rep % len(targets)
                for target in targets[first:] + targets[:first]:
                    if target == "mock" and scenario not in MOCK_ONLY:
                        continue
                    if scenario in ACROSS and not target.startswith("weir-"):
                        continue
                    r = load(rig, target, scenario, seconds)
                    put(target=target, scenario=scenario, rep=rep, load=os.getloadavg()[0], r=r)
                    say(rep, scenario, target, r)
        for target in targets:
            put(target=target, rss_kib=rss_kib(rig.pid[target]))
    print(f"raw results: {os.path.relpath(out.name, build.REPO)}", file=sys.stderr)
    return rows


def say(rep, scenario, target, r):
    cpu = r.get("cpu", {}).get("p", {}).get("us_per_req")
    print(f"rep {rep} {scenario:11} {target:28} n={r.get('n')} rps={r.get('rps')} cpu={cpu} us "
          f"p50={r.get('lat', {}).get('p50')} us {r.get('error', '')}", file=sys.stderr, flush=True)
