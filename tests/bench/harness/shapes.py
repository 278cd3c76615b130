"""What CPU per call does not show about a serving shape: how evenly connections fall on workers, and
what a handler that computes too long does to the calls beside it."""
import http.client
import json
import random
import statistics
import subprocess
import threading
import time

from . import build
from .bodies import KEY, PATH, body_file
from .floor import floor_command
from .procs import free_ports, request
from .report import table

TRIALS = 40
REPS = 5


def report(procs, rig):
    """Both tables as markdown."""
    uneven = [[shape, str(workers), str(conns), *spread(procs, rig, shape, workers, conns)]
              for shape in ("percore", "deal") for workers, conns in ((2, 4), (2, 16), (4, 16), (8, 16), (8, 64))]
    spun = {shape: [] for shape in ("steal", "percore", "deal")}
    for _ in range(REPS):
        for shape, runs in spun.items():
            runs.append(spin(procs, rig, shape))
    medians = {shape: [statistics.median(column) for column in zip(*runs)] for shape, runs in spun.items()}
    return "\n".join([
        f"Connections of the busiest worker, as a multiple of the even share ({TRIALS} trials)\n",
        table(["shape", "workers", "connections", "mean", "worst", "trials with an idle worker"], uneven),
        "500 calls/s over 16 connections while a handler computes for 20 ms ten times a second, 2 workers, "
        f"medians of {REPS}\n",
        table(["shape", "p50, us", "p90, us", "p99, us", "calls over 10 ms"],
              [[shape, *(f"{v:.0f}" for v in m[:3]), f"{m[3]:.1f} %"] for shape, m in medians.items()])])


def start(procs, rig, shape, workers):
    port = free_ports(1)[0]
    procs.start(f"extra-{shape}-{workers}", floor_command(f"floor-{shape}-pass", port, rig.mock, 0, workers), port)
    return port, procs.children[-1]


def spread(procs, rig, shape, workers, conns):
    """How a number of connections falls on the workers: busiest over even share, mean and worst."""
    port, child = start(procs, rig, shape, workers)
    ratios, idle = [], 0
    before = json.loads(request(port, "/workers")[1])  # those that waited for the program to listen
    for _ in range(TRIALS):
        links = [http.client.HTTPConnection("127.0.0.1", port, timeout=15) for _ in range(conns)]
        for link in links:
            link.connect()
        # A connection is counted before it is served, so when all have been served all are counted.
        after = [given(link) for link in links][-1]
        new, before = [b - a for a, b in zip(before, after)], after
        ratios.append(max(new) * workers / sum(new))
        idle += min(new) == 0
        for link in links:
            link.close()
        time.sleep(0.02)  # let the workers see the ends, or `deal` would count them as open
    procs.stop(child)
    return [f"{statistics.mean(ratios):.2f}", f"{max(ratios):.2f}", f"{100 * idle / TRIALS:.0f} %"]


def given(link):
    """Connections each worker has been given since the start."""
    link.request("GET", "/workers")
    return json.loads(link.getresponse().read())


def spin(procs, rig, shape):
    """Latency of ordinary calls beside a handler that keeps its worker busy."""
    port, child = start(procs, rig, shape, 2)
    over, pause = threading.Event(), random.Random(1)

    def disturb():
        # At random intervals: regular ones would fall into step with the load's own schedule.
        while not over.wait(pause.uniform(0.0, 0.16)):
            request(port, "/spin", b"")

    side = threading.Thread(target=disturb)
    side.start()
    try:
        done = subprocess.run([
            f"{build.BIN}/lg", "--url", f"http://127.0.0.1:{port}{PATH}", "--body-file", body_file("small"), "--conns",
            "16", "--rate", "500", "--duration", "3", "--warmup", "0.5", "--over", "10000", "-H",
            f"Authorization: Bearer {KEY}"], capture_output=True, text=True, timeout=60, check=True)
    finally:
        over.set()
        side.join()
        procs.stop(child)
    r = json.loads(done.stdout)
    return [*(r["lat"][p] for p in ("p50", "p90", "p99")), 100 * r["over"] / max(1, r["n"])]
