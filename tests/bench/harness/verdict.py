"""What a run says of itself: failed calls, missed bounds, noise; and what other dialects cost."""
import statistics

from .scenarios import ACROSS, SCENARIOS
from .stats import BASE, cpu, ratio, refused, rows_of

# What must hold, as a ratio to nginx of CPU per call.
LIMITS = {("weir-redis", "small64"): 3.2}
BOUNDED = {BASE} | {target for target, _ in LIMITS}
CHUNKS = 50


def across(rows, targets, scenarios):
    """What telling a call in another dialect adds, beside the same call passed on; of streams per chunk."""
    lines = []
    for t in (t for t in targets if t.startswith("weir-")):
        for s in (s for s in scenarios if s in ACROSS):
            base, mine = rows_of(rows, t, ACROSS[s]), rows_of(rows, t, s)
            both = [(cpu(base[at]), cpu(r)) for at, r in mine.items() if at in base]
            if both:
                more = statistics.median(b / a for a, b in both) - 1
                each = statistics.median((b - a) / CHUNKS for a, b in both)
                lines.append([t, s, f"{statistics.median(b for _, b in both):.1f}", f"{more:+.0%}",
                              f"{each:.2f}" if s.startswith("stream") else "-"])
    return ["target", "scenario", "CPU, us per call", "over the same dialect", "us per chunk"], lines


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


def went_wrong(row):
    """Is there more in a measurement than its scenario is about?"""
    r, low_high = row["r"], SCENARIOS[row["scenario"]].get("refused")
    if r.get("error") or r.get("io_errors") or not r.get("n"):
        return True
    if low_high is None or not row["target"].startswith("weir-"):
        return set(r["status"]) != {"200"}
    return set(r["status"]) != {"200", "429"} or not low_high[0] <= refused(r) <= low_high[1]


def failures(measured):
    for row in filter(went_wrong, measured):
        m = row["r"]
        yield (f"- FAILED: {row['target']} {row['scenario']} rep {row['rep']}: {m.get('error', '')} "
               f"io_errors={m.get('io_errors')} status={m.get('status')}")


def verdict(rows):
    """What is wrong with a run: failed calls, limits exceeded. Empty when all is well."""
    wrong = list(failures([r for r in rows if "scenario" in r]))
    for (target, scenario), limit in LIMITS.items():
        is_ = ratio(rows, target, scenario)
        if is_ is not None and is_ > limit:
            wrong.append(f"{target} {scenario}: {is_:.2f}x nginx, must be <= {limit}x")
    return wrong
