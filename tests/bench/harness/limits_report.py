"""The table of the limits' runs."""
from . import build
from .report import cell, machine, table

HEAD = ["case", "target", "replicas", "limit per minute", "offered", "admitted", "used, %", "worst 60 s, times the limit",
        "with what was refused", "provider 429s", "other errors", "begun late", "CPU, us per call", "Redis, us per call",
        "scripts per call"]


def summary(row):
    """The facts of one run, from the judge's report and the load generator's; None if it failed."""
    if "error" in row["r"]:
        return None
    part = "requests" if row["unit"] == "rpm" else "tokens"
    keys, lg = list(row["r"]["judge"]["keys"].values()), row["r"]["lg"]
    over = [key[part]["worst"] / row["limit"] for key in keys]
    sent = [key[part]["worst_with_429"] / row["limit"] for key in keys] if part == "requests" else []
    shares = [key[part]["used_share"] for key in keys if "used_share" in key[part]]
    known = ("200", "429")
    return {
        "offered": lg["due"], "admitted": sum(key["arrivals"] - key["refused_429"] for key in keys),
        "refused_429": sum(key["refused_429"] for key in keys),
        "worst": max(over), "worst_sent": max(sent, default=None),
        "used": sum(shares) / row["pools"] if shares else None,
        "errors": sum(n for status, n in lg["status"].items() if status not in known) + lg["io_errors"],
        "late": lg["late"], "cpu_us": lg["cpu"]["p"]["us_per_req"], "redis_us": lg["cpu"]["redis"]["us_per_req"],
        "scripts": lg.get("redis", {}).get("scripts"),
    }


def report(rows):
    lines = []
    for row in rows:
        s = summary(row)
        if s is None:
            lines.append([row["case"], row["target"], str(row["replicas"]), f"FAILED: {row['r']['error']}"] + ["-"] * 11)
            continue
        pools = f"{row['pools']} x " if row["pools"] > 1 else ""
        lines.append([
            row["case"], row["target"], str(row["replicas"]), f"{pools}{row['limit']} {row['unit']}", str(s["offered"]),
            str(s["admitted"]), "-" if s["used"] is None else f"{100 * s['used']:.1f}", f"{s['worst']:.3f}",
            "-" if s["worst_sent"] is None else f"{s['worst_sent']:.3f}", str(s["refused_429"]), str(s["errors"]),
            str(s["late"]),
            cell(s["cpu_us"]), cell(s["redis_us"]), cell(s["scripts"])])
    return table(HEAD, lines)


def verdict(rows):
    """Where Weir did not keep a limit, or could do so only because the provider refused."""
    wrong = []
    for row in (r for r in rows if r["target"].startswith("weir-")):
        s, what = summary(row), f"{row['target']} {row['case']}"
        if s is None:
            wrong.append(f"{what}: {row['r']['error']}")
            continue
        if s["worst"] > 1:
            wrong.append(f"{what}: {s['worst']:.3f} times the limit in 60 s")
        if s["refused_429"] or s["errors"]:
            wrong.append(f"{what}: {s['refused_429']} refused by the provider, {s['errors']} other errors")
    return wrong


def record(title, text, targets):
    with open(f"{build.HERE}/RESULTS.md", "a") as f:
        f.write(f"\n## {title}\n\n{machine(targets)}\n{text}")
