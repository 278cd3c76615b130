"""What is kept of raw results for the charts, and the charts of what is kept."""
from .limits_report import summary
from .report import machine
from .scenarios import SCENARIOS
from .stats import BASE, cpu, loaded_rss, median_of, ratio
from .svg import bars, decades, steps

TITLES = {
    "small64": ("CPU per call, small requests", "64 connections"),
    "100k16": ("CPU per call, requests of 100 KB", "16 connections"),
    "stream50d5": ("CPU per streamed answer of 50 chunks, 5 ms apart", "64 connections"),
}
TITLE = "What arrived in the fullest 60 s, times the limit, and how often the provider refused"
CASES = {
    "hot": "requests per minute of one pool, steadily offered twice the limit",
    "waves": "requests per minute of one pool, offered twice the limit in the mean: 40 s quiet, 40 s busy",
    "spread": "requests per minute of 20 pools, the worst of them, offered twice the limits",
    "tokens": "tokens per minute of one pool, offered twice the limit",
}


def speed(rows):
    """Medians of a run of tests/bench/run."""
    targets = list(dict.fromkeys(r["target"] for r in rows if "scenario" in r))
    kept = {}
    for s in SCENARIOS:
        of = {t: {"cpu_us": median_of(rows, t, s, cpu), "ratio": ratio(rows, t, s),
                  "p50_us": median_of(rows, t, s, lambda r: r["lat"]["p50"]), "rss_kib": loaded_rss(rows, t, s)}
              for t in targets if t != "mock" and median_of(rows, t, s, cpu) is not None}
        kept.update({s: of} if of else {})
    return {"machine": machine(targets).strip(), "runs": sorted({r["run"] for r in rows}), "scenarios": kept}


def limits(rows):
    """The facts of a run of tests/bench/limits."""
    facts = ("case", "unit", "limit", "pools", "target", "replicas", "seconds")
    return {"machine": machine([row["target"] for row in rows]).strip(),
            "rows": [{**{f: row[f] for f in facts}, **summary(row)} for row in rows if summary(row)]}


def draw_speed(kept):
    """{file name: SVG} of the scenarios that have a title; the cheapest target first."""
    charts = {}
    for scenario, (title, load) in TITLES.items():
        found = sorted(kept["scenarios"].get(scenario, {}).items(), key=lambda item: item[1]["cpu_us"])
        if not found:
            continue
        values = [of["cpu_us"] for _, of in found]
        lines = [(name, of["cpu_us"], said(of), kind(name)) for name, of in found]
        note = f"microseconds of user and system time, {load}; in brackets times {BASE}; the axis goes by factors of ten"
        charts[f"cpu-{scenario}.svg"] = bars(title, note, lines, decades(min(values), max(values)), log=True)
    return charts


def said(of):
    us = f"{of['cpu_us']:.1f}" if of["cpu_us"] < 100 else f"{of['cpu_us']:,.0f}"
    return us if of["ratio"] is None else f"{us} ({of['ratio']:.1f}x)"


def kind(name):
    return "ours" if name.startswith("weir") else "base" if name == BASE else "other"


def draw_limits(kept):
    """{file name: SVG} for each case: the fullest 60 s that the provider saw, beside the limit."""
    charts = {}
    for case, what in CASES.items():
        rows = [row for row in kept["rows"] if row["case"] == case]
        if not rows:
            continue
        seen = lambda row: max(row["worst"], row["worst_sent"] or 0)  # noqa: E731
        lines = [(f"{row['target']}", seen(row), f"{seen(row):.2f}x, {row['refused_429']:,} x 429",
                  "over" if seen(row) > 1.0005 else kind(row["target"])) for row in rows]
        charts[f"limits-{case}.svg"] = bars(TITLE, what, lines,
                                            steps(max(1.25, *(seen(row) for row in rows))), bound=1.0)
    return charts
