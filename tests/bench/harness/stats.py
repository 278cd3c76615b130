"""Medians of raw results, and medians of the ratios to nginx of the same repetition."""
import statistics

BASE = "nginx"


def rows_of(rows, target, scenario):
    """Measurements by (run, repetition), only those in which calls completed."""
    return {(r["run"], r["rep"]): r["r"] for r in rows
            if r["target"] == target and r.get("scenario") == scenario and r["r"].get("n")}


def cpu(r):
    return r["cpu"]["p"]["us_per_req"]


def median_of(rows, target, scenario, value):
    """The median of what `value` says of each measurement; None where it says nothing."""
    values = [v for r in rows_of(rows, target, scenario).values() if (v := value(r)) is not None]
    return statistics.median(values) if values else None


def ratio(rows, target, scenario, value=cpu):
    """Median over the repetitions of target / nginx."""
    base = rows_of(rows, BASE, scenario)
    ratios = [value(r) / value(base[at]) for at, r in rows_of(rows, target, scenario).items() if at in base]
    return statistics.median(ratios) if ratios else None


def redis_of(name):
    """What is known of Redis per call: `us` of its CPU, or a count of the load generator's (`scripts`, `reads`)."""
    if name == "us":
        return lambda r: r["cpu"].get("redis", {}).get("us_per_req")
    return lambda r: r.get("redis", {}).get(name)


def refused(r):
    """The share of calls that were not answered with 200."""
    return 1 - r.get("status", {}).get("200", 0) / r["n"]


def idle_rss(rows, target):
    values = [r["idle_rss_kib"] for r in rows if r["target"] == target and "idle_rss_kib" in r and r["world"] == "plain"]
    return statistics.median(values) if values else None


def loaded_rss(rows, target, scenario):
    return median_of(rows, target, scenario, lambda r: r.get("rss_kib"))
