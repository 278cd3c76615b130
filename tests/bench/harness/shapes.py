"""What CPU per call does not show about a serving shape: how evenly connections fall on workers, and
what a handler that computes too long does to the calls beside it."""
import json
import socket
import statistics
import subprocess
import threading
import time

from . import build
from .procs import free_ports, request
from .report import table
from .targets import KEY, PATH, body_file

TRIALS = 40


def report(procs, rig):
    """Both tables as markdown."""
    uneven = [[shape, str(workers), str(conns), *spread(procs, rig, shape, workers, conns)]
              for shape in ("percore", "deal") for workers, conns in ((2, 4), (2, 16), (4, 16), (8, 16), (8, 64))]
    spun = [[shape, *spin(procs, rig, shape)] for shape in ("steal", "percore", "deal")]
    return "\n".join([
        f"Connections of the busiest worker, as a multiple of the even share ({TRIALS} trials)\n",
        table(["shape", "workers", "connections", "mean", "worst", "trials with an idle worker"], uneven),
        "500 calls/s over 16 connections while a handler computes for 20 ms ten times a second, 2 workers\n",
        table(["shape", "p50, us", "p90, us", "p99, us", "calls over 10 ms"], spun)])


def start(procs, rig, shape, workers):
    port = free_ports(1)[0]
    procs.start(f"extra-{shape}-{workers}", rig.floor(f"floor-{shape}-pass", port, workers), port)
    return port, procs.children[-1]


def spread(procs, rig, shape, workers, conns):
    """How a number of connections falls on the workers: busiest over even share, mean and worst."""
    port, child = start(procs, rig, shape, workers)
    ratios, idle = [], 0
    for _ in range(TRIALS):
        # Our own connection to ask with comes before the count and stays until after it.
        before = given(port)
        open_now = [socket.create_connection(("127.0.0.1", port)) for _ in range(conns)]
        for s in open_now:
            s.sendall(b"GET /workers HTTP/1.1\r\nHost: x\r\n\r\n")
            s.recv(1024)
        after = given(port)
        new = [b - a for a, b in zip(before, after)]
        ratios.append(max(new) * workers / sum(new))
        idle += min(new) == 0
        for s in open_now:
            s.close()
        time.sleep(0.02)  # let the workers see the ends before the next trial
    procs.stop(child)
    return [f"{statistics.mean(ratios):.2f}", f"{max(ratios):.2f}", f"{100 * idle / TRIALS:.0f} %"]


def given(port):
    return json.loads(request(port, "/workers")[1])


def spin(procs, rig, shape):
    """Latency of ordinary calls beside a handler that keeps its worker busy."""
    port, child = start(procs, rig, shape, 2)
    over = threading.Event()

    def disturb():
        while not over.wait(0.08):
            request(port, "/spin", b"")

    side = threading.Thread(target=disturb)
    side.start()
    try:
        done = subprocess.run([
            f"{build.BIN}/lg", "--url", f"http://127.0.0.1:{port}{PATH}", "--body-file", body_file("small"), "--conns",
            "16", "--rate", "500", "--duration", "6", "--warmup", "0.5", "--over", "10000", "-H",
            f"Authorization: Bearer {KEY}"], capture_output=True, text=True, timeout=60, check=True)
    finally:
        over.set()
        side.join()
        procs.stop(child)
    r = json.loads(done.stdout)
    return [str(r["lat"][p]) for p in ("p50", "p90", "p99")] + [f"{100 * r['over'] / r['n']:.1f} %"]
