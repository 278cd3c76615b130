"""Markdown from raw results: medians, and medians of the ratios to nginx of the same repetition."""
import os
import platform
import re
import shutil
import statistics
import subprocess
import time

from .measure import ACROSS, SCENARIOS

# What must hold, as a ratio to nginx of CPU per call.
LIMITS = {("weir-redis", "small64"): 3.2}


def rows_of(rows, target, scenario):
    """Measurements by (run, repetition), only those in which calls completed."""
    return {(r["run"], r["rep"]): r["r"] for r in rows
            if r["target"] == target and r.get("scenario") == scenario and r["r"].get("n")}


def cpu(r):
    return r["cpu"]["p"]["us_per_req"]


def median_of(rows, target, scenario, value):
    values = [value(r) for r in rows_of(rows, target, scenario).values()]
    return statistics.median(values) if values else None


def ratio(rows, target, scenario, value=cpu):
    """Median over the repetitions of target / nginx."""
    base = rows_of(rows, "nginx", scenario)
    ratios = [value(r) / value(base[at]) for at, r in rows_of(rows, target, scenario).items() if at in base]
    return statistics.median(ratios) if ratios else None


def table(head, lines):
    width = len(head)
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * width, *lines]) + "\n"


def cell(value, times=None):
    if value is None:
        return "-"
    text = f"{value:.1f}" if value < 100 else f"{value:.0f}"
    return text if times is None else f"{text} ({times:.2f}x)"


def report(rows):
    """The tables of a run."""
    measured = [r for r in rows if "scenario" in r]
    every = [s for s in SCENARIOS if any(r["scenario"] == s for r in measured)]
    scenarios = [s for s in every if s not in ACROSS]
    targets = list(dict.fromkeys(r["target"] for r in measured))
    proxies = [t for t in targets if t != "mock"]
    parts = ["CPU of the target per call, microseconds (x: ratio to nginx in the same repetition; medians)\n",
             table(["target", *scenarios], [
                 [t, *(cell(median_of(rows, t, s, cpu), ratio(rows, t, s)) for s in scenarios)] for t in proxies]),
             "Calls per second, added latency (p50 over the mock's own), Redis CPU per call, memory at the end\n",
             table(["target", *(f"{s}, 1/s" for s in scenarios if s != "r500"), "c1 added p50, us",
                    "Redis, us per call", "RSS, MiB"],
                   [[t, *rates(rows, t, scenarios), added(rows, t), redis(rows, t), rss(rows, t)] for t in proxies]),
             *across(rows, proxies, every), spread(rows, proxies, scenarios), *failures(measured)]
    return "\n".join(parts)


def rates(rows, target, scenarios):
    values = [median_of(rows, target, s, lambda r: r["rps"]) for s in scenarios if s != "r500"]
    return ["-" if v is None else f"{v:.0f}" for v in values]


def added(rows, target):
    mine, mock = (median_of(rows, t, "c1", lambda r: r["lat"]["p50"]) for t in (target, "mock"))
    return "-" if mine is None or mock is None else f"{mine - mock:.0f}"


def redis(rows, target):
    used = median_of(rows, target, "small64", lambda r: r["cpu"].get("redis", {}).get("us_per_req", 0))
    return cell(used) if used and used > 0.5 else "-"


def rss(rows, target):
    values = [r["rss_kib"] for r in rows if r["target"] == target and "rss_kib" in r]
    return f"{statistics.median(values) / 1024:.0f}" if values else "-"


def across(rows, targets, scenarios):
    """What telling a call in another dialect adds, beside the same call passed on; of streams per chunk."""
    chunks = 50
    lines = []
    for t in (t for t in targets if t.startswith("weir-")):
        for s in (s for s in scenarios if s in ACROSS):
            base, mine = rows_of(rows, t, ACROSS[s]), rows_of(rows, t, s)
            both = [(cpu(base[at]), cpu(r)) for at, r in mine.items() if at in base]
            if both:
                more = statistics.median(b / a for a, b in both) - 1
                each = statistics.median((b - a) / chunks for a, b in both)
                lines.append([t, s, cell(statistics.median(b for _, b in both)), f"{more:+.0%}",
                              f"{each:.2f}" if s.startswith("stream") else "-"])
    head = ["target", "scenario", "CPU, us per call", "over the same dialect", "us per chunk"]
    return ["Across dialects\n", table(head, lines)] if lines else []


def spread(rows, targets, scenarios):
    """How far the repetitions are apart: the run's own measure of noise."""
    worst = 1.0
    for t in targets:
        for s in scenarios:
            values = [cpu(r) for r in rows_of(rows, t, s).values()]
            if values and min(values) > 0:
                worst = max(worst, max(values) / min(values))
    load = [r["load"] for r in rows if "load" in r]
    return (f"Largest spread of CPU per call over the repetitions: {worst:.2f} (max/min); "
            f"load average {min(load):.1f} to {max(load):.1f}.\n")


def failures(measured):
    for r in measured:
        m = r["r"]
        if m.get("error") or m.get("io_errors") or set(m.get("status", {})) != {"200"}:
            yield (f"- FAILED: {r['target']} {r['scenario']} rep {r['rep']}: {m.get('error', '')} "
                   f"io_errors={m.get('io_errors')} status={m.get('status')}")


def verdict(rows):
    """What is wrong with a run: failed calls, limits exceeded. Empty when all is well."""
    wrong = list(failures([r for r in rows if "scenario" in r]))
    for (target, scenario), limit in LIMITS.items():
        is_ = ratio(rows, target, scenario)
        if is_ is not None and is_ > limit:
            wrong.append(f"{target} {scenario}: {is_:.2f}x nginx, must be <= {limit}x")
    return wrong


def machine():
    """One line on where and when."""
    with open("/proc/cpuinfo") as f:
        model = re.search(r"model name\s*:\s*(.+)", f.read())
    nginx = version([shutil.which("nginx") or "/usr/sbin/nginx", "-v"], r"nginx/(\S+)")
    redis_version = version(["redis-server", "--version"], r"v=(\S+)")
    rustc = version(["rustc", "--version"], r"rustc (\S+)")
    return (f"{time.strftime('%Y-%m-%d')}; {os.cpu_count()} cores, {model[1] if model else platform.machine()}, "
            f"Linux {platform.release()}; nginx {nginx}, Redis {redis_version}, rustc {rustc}\n")


def version(cmd, pattern):
    try:
        done = subprocess.run(cmd, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return "absent"
    found = re.search(pattern, done.stdout + done.stderr)
    return found[1] if found else "?"
