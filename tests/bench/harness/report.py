"""Markdown from raw results."""
import os
import platform
import re
import shutil
import subprocess
import time

from .peers import HOME
from .scenarios import ACROSS, SCENARIOS, world
from .stats import cpu, idle_rss, loaded_rss, median_of, ratio, redis_of, refused, rows_of
from .verdict import across, failures, spread

SLOW_STREAMS = "streams1000"


def table(head, lines):
    width = len(head)
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * width, *lines]) + "\n"


def cell(value, times=None):
    if value is None:
        return "-"
    text = f"{value:.1f}" if value < 100 else f"{value:.0f}"
    return text if times is None else f"{text} ({times:.2f}x)"


def whole(value, scale=1):
    return "-" if value is None else f"{value / scale:.0f}"


def report(rows):
    """The tables of a run."""
    measured = [r for r in rows if "scenario" in r]
    every = [s for s in SCENARIOS if any(r["scenario"] == s for r in measured)]
    plain = [s for s in every if s not in ACROSS and world(s) == "plain"]
    targets = list(dict.fromkeys(r["target"] for r in measured))
    proxies = [t for t in targets if t != "mock"]
    parts = []
    if plain:
        parts += ["CPU of the target per call, microseconds (x: ratio to nginx in the same repetition; medians)\n",
                  table(["target", *plain], [
                      [t, *(cell(median_of(rows, t, s, cpu), ratio(rows, t, s)) for s in plain)] for t in proxies]),
                  "Calls per second, added latency (p50 over the mock's own), memory when idle and loaded\n",
                  table(*capacity(rows, proxies, plain))]
    for title, made in (("First content of a stream, microseconds\n", first_contents(rows, proxies, plain)),
                        ("Size and trouble\n", others(rows, proxies, every)),
                        ("Redis per call\n", redis(rows, proxies, every)),
                        ("Across dialects\n", across(rows, proxies, every))):
        parts += [title, table(*made)] if made[1] else []
    return "\n".join([*parts, spread(rows, proxies, [s for s in every if s not in ACROSS]), *failures(measured)])


def capacity(rows, targets, scenarios):
    paced = ("r500", "c1stream", SLOW_STREAMS)
    loops = [s for s in scenarios if s not in paced]
    streams = [SLOW_STREAMS] * (SLOW_STREAMS in scenarios)
    head = ["target", *(f"{s}, 1/s" for s in loops), "c1 added p50, us", "RSS idle, MiB", "most under load",
            *(f"{s}" for s in streams)]
    lines = []
    for t in targets:
        most = max((loaded_rss(rows, t, s) or 0 for s in scenarios if s not in streams), default=0)
        lines.append([t, *(whole(median_of(rows, t, s, lambda r: r["rps"])) for s in loops), added(rows, t, "c1", "lat"),
                      whole(idle_rss(rows, t), 1024), whole(most or None, 1024),
                      *(whole(loaded_rss(rows, t, s), 1024) for s in streams)])
    return head, lines


def added(rows, target, scenario, what):
    mine, mock = (median_of(rows, t, scenario, lambda r: r.get(what, {}).get("p50")) for t in (target, "mock"))
    return "-" if mine is None or mock is None else f"{mine - mock:.0f}"


def first_contents(rows, targets, scenarios):
    streams = [s for s in scenarios if SCENARIOS[s]["body"] == "stream"]
    shown = lambda t, s: " / ".join(  # noqa: E731
        whole(median_of(rows, t, s, lambda r: r.get("ttft", {}).get(p))) for p in ("p50", "p99"))
    alone = ["c1stream"] if "c1stream" in streams else []
    head = ["target", *(f"{s}, p50 / p99" for s in streams), *(f"{s}, added p50" for s in alone)]
    return head, [[t, *(shown(t, s) for s in streams), *(added(rows, t, s, "ttft") for s in alone)]
                  for t in targets] if streams else []


def others(rows, targets, scenarios):
    """The scenarios of other worlds, a line each."""
    lines = []
    for s in (s for s in scenarios if world(s) != "plain"):
        for t in (t for t in targets if rows_of(rows, t, s)):
            us = lambda p: whole(median_of(rows, t, s, lambda r: r["lat"][p]))  # noqa: E731
            lines.append([s, t, cell(median_of(rows, t, s, cpu), ratio(rows, t, s)),
                          whole(median_of(rows, t, s, lambda r: r["rps"])), us("p50"), us("p99"), us("p999"),
                          f"{100 * median_of(rows, t, s, refused):.1f} %",
                          whole(median_of(rows, t, s, lambda r: r.get("rss_kib")), 1024)])
    return ["scenario", "target", "CPU, us per call", "1/s", "p50, us", "p99", "p99.9", "refused", "RSS, MiB"], lines


def redis(rows, targets, scenarios):
    lines = []
    for t in targets:
        for s in scenarios:
            values = [median_of(rows, t, s, redis_of(name)) for name in ("us", "scripts", "reads", "commands")]
            if values[1] is not None and s not in ACROSS:
                lines.append([t, s, cell(values[0]), *("-" if v is None else f"{v:.3f}" for v in values[1:])])
    return ["target", "scenario", "CPU, us", "scripts", "reads of sockets", "commands, with those of scripts"], lines


def machine(targets=()):
    """One line on where and when, and with which versions."""
    with open("/proc/cpuinfo") as f:
        model = re.search(r"model name\s*:\s*(.+)", f.read())
    nginx = version([shutil.which("nginx") or "/usr/sbin/nginx", "-v"], r"nginx/(\S+)")
    redis_version = version(["redis-server", "--version"], r"v=(\S+)")
    rustc = version(["rustc", "--version"], r"rustc (\S+)")
    return (f"{time.strftime('%Y-%m-%d')}; {os.cpu_count()} cores, {model[1] if model else platform.machine()}, "
            f"Linux {platform.release()}; nginx {nginx}, Redis {redis_version}, rustc {rustc}{peers(targets)}\n")


def peers(targets):
    """The packages that tests/bench/peers installed of these targets."""
    found = []
    for name in targets:
        if os.path.exists(file := f"{HOME}/{name.split('-')[0]}/installed"):
            with open(file) as f:
                found.append(f.read().strip())
    return "".join(f", {package}" for package in dict.fromkeys(found))


def version(cmd, pattern):
    try:
        done = subprocess.run(cmd, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return "absent"
    found = re.search(pattern, done.stdout + done.stderr)
    return found[1] if found else "?"
