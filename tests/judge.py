#!/usr/bin/env python3
"""Judges raw arrival logs: did any window exceed its limit, and how much of the limit was used?

The input is what `GET /_log` or `--log FILE` of a fake provider gives: one JSON object per request. The judge
believes only facts that the provider cannot get wrong: who called, when the request arrived and ended, its
status, and its tokens. It ignores the provider's own verdicts and charges and computes every window itself.

A window is a closed interval of the given length, wherever it begins. Tokens of a call count by mode:

  admission-max     prompt + max_tokens, at arrival
  admission-actual  prompt + planned_tokens, at arrival
  end-actual        prompt + output_tokens, at the end; nothing for an answer with an error status

For the actual modes the judge also reports the worst window if each call may be charged at any instant from its
arrival to its end, by arrival, by end, and by the instant that suits an adversary best.

Requests refused with 429 bring no tokens and are counted apart; those with 401 belong to nobody. A 400, 404 or
5xx counts as a request, as it does at the real provider.

Standard output is one JSON object, standard error a table. Exit 0: limits kept. 1: a window exceeds its limit,
a forbidden 429 or 5xx exists, or less was used than demanded. 2: the log proves nothing (empty, unreadable, or
with records missing).
"""

import argparse
import hashlib
import json
import sys

MODES = ("admission-max", "admission-actual", "end-actual")
UNITS = ("rpm", "tpm")
NEVER = float("inf")


class Void(Exception):
    """The log cannot support any verdict."""


# ---- windows -------------------------------------------------------------------------------------------------


def worst_window(charges, window_us):
    """The largest sum of (instant, amount) pairs in a closed interval, and where that interval begins."""
    charges = sorted(charges)
    worst, begins, total, oldest = 0, None, 0, 0
    for instant, amount in charges:
        total += amount
        while charges[oldest][0] < instant - window_us:
            total -= charges[oldest][1]
            oldest += 1
        if total > worst:
            worst, begins = total, charges[oldest][0]
    return worst, begins


def worst_attribution(spans, window_us):
    """The largest sum that any attribution of (first, last, amount) spans puts into one closed interval.

    A span can be charged inside [s, s + window] exactly when s lies in [first - window, last]: the answer is the
    heaviest point of those intervals.
    """
    edges = []
    for first, last, amount in spans:
        edges.append((first - window_us, 0, amount))  # Closed: what begins at an instant joins first,
        edges.append((last, 1, -amount))  # and what ends there leaves after it.
    worst, begins, total = 0, None, 0
    for instant, _, amount in sorted(edges):
        total += amount
        if total > worst:
            worst, begins = total, instant
    return worst, begins


# ---- logs ----------------------------------------------------------------------------------------------------

NUMBERS = ("seq", "arrival_us", "status", "prompt_tokens", "max_tokens", "planned_tokens", "output_tokens")


def check_record(record, where):
    if not isinstance(record, dict):
        raise Void(f"{where}: not an object")
    for field in NUMBERS:
        value = record.get(field)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise Void(f"{where}: {field} is {value!r}, not a whole number")
    if not isinstance(record.get("key"), str):
        raise Void(f"{where}: no key")
    end = record.get("end_us", NEVER)
    if end is not None and not (isinstance(end, int) and end >= record["arrival_us"]):
        raise Void(f"{where}: end_us is {end!r}, before the arrival or missing")


def check_sequence(records, name):
    for earlier, later in zip(records, records[1:]):
        if later["seq"] == earlier["seq"]:
            raise Void(f"{name}: seq {later['seq']} occurs twice")
        if later["seq"] != earlier["seq"] + 1:
            raise Void(f"{name}: records are missing between seq {earlier['seq']} and {later['seq']}")
        if later["arrival_us"] < earlier["arrival_us"]:
            raise Void(f"{name}: arrivals run backwards at seq {later['seq']}")


def read_log(path, gaps_allowed=False):
    """The records of a file (`-`: standard input) in order of arrival."""
    records = []
    try:
        with sys.stdin if path == "-" else open(path, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    records.append(json.loads(line))
                    check_record(records[-1], f"{path}:{number}")
    except (OSError, ValueError) as error:
        raise Void(f"{path}: {error}") from error
    records.sort(key=lambda record: record["seq"])
    if not gaps_allowed:
        check_sequence(records, path)
    if not records:
        raise Void(f"{path}: no records")
    return records


# ---- verdict on one key --------------------------------------------------------------------------------------


def tokens_of(record, mode):
    """(instant, amount) of a call's tokens; instant None: not charged yet."""
    status, prompt = record["status"], record["prompt_tokens"]
    if status == 429:
        return record["arrival_us"], 0
    if mode == "admission-max":
        return record["arrival_us"], prompt + record["max_tokens"]
    if mode == "admission-actual":
        return record["arrival_us"], prompt + record["planned_tokens"]
    return record["end_us"], 0 if status >= 400 else prompt + record["output_tokens"]


def unit_report(charges, limit, window_us, steady):
    """Worst window and used share of one unit. `steady` is the interval that the share is taken over."""
    worst, begins = worst_window(charges, window_us)
    report = {"limit": limit, "worst": worst, "worst_from_us": begins}
    first, last = steady
    if limit and last > first:
        used = sum(amount for instant, amount in charges if first <= instant <= last)
        report["used_share"] = used / (limit * (last - first) / window_us)
    if limit is not None:
        report["kept"] = worst <= limit
    return report


def any_instant(admitted, mode, window_us):
    """Worst windows of the actual modes by attribution: at arrival, at end, and the worst of all."""
    spans = []
    for record in admitted:
        amount = tokens_of(record, mode)[1]
        if mode == "end-actual" and record["end_us"] is None:
            amount = record["prompt_tokens"] + record["planned_tokens"]
        end = NEVER if record["end_us"] is None else record["end_us"]
        spans.append((record["arrival_us"], end, amount))
    ended = [(end, amount) for _, end, amount in spans if end != NEVER]
    return {
        "at_arrival": worst_window([(first, amount) for first, _, amount in spans], window_us)[0],
        "at_end": worst_window(ended, window_us)[0],
        "at_any_instant": worst_attribution(spans, window_us)[0],
    }


def judge_key(records, limits, mode, window_us, steady):
    """The report on one key of one log. `limits` maps rpm and tpm to a number or to nothing."""
    admitted = [record for record in records if record["status"] != 429]
    arrivals = [(record["arrival_us"], 1) for record in admitted]
    everything = [(record["arrival_us"], 1) for record in records]
    tokens = [charge for charge in (tokens_of(record, mode) for record in admitted) if charge[0] is not None]
    report = {
        "requests": unit_report(arrivals, limits.get("rpm"), window_us, steady),
        "tokens": unit_report(tokens, limits.get("tpm"), window_us, steady),
        "arrivals": len(records),
        "refused_429": len(records) - len(admitted),
        "failed_5xx": sum(record["status"] >= 500 for record in records),
        "aborted": sum(bool(record.get("aborted")) for record in records),
        "in_flight": sum(record["end_us"] is None for record in records),
    }
    report["requests"]["worst_with_429"] = worst_window(everything, window_us)[0]
    if mode != "admission-max":
        report["tokens"].update(any_instant(admitted, mode, window_us))
    return report


# ---- verdict on all ------------------------------------------------------------------------------------------


def label(secret):
    return hashlib.sha256(secret.encode()).hexdigest()[:8]


def limits_of(key, limits):
    """Limits of a key: its own (by label or by secret), else those of every key."""
    chosen = {}
    for scope, unit, value in limits:
        if scope is None:
            chosen.setdefault(unit, value)
    for scope, unit, value in limits:
        if scope is not None and key in (scope, label(scope)):
            chosen[unit] = value
    return chosen


def failures(name, report, rules):
    """What is wrong with one key, in words."""
    found = []
    for unit, part in (("rpm", report["requests"]), ("tpm", report["tokens"])):
        limit = part["limit"]
        if limit is None:
            continue
        if not part["kept"]:
            found.append(f"{name}: {unit} reached {part['worst']} of {limit} in one window")
        if rules.any_instant and unit == "tpm" and part.get("at_any_instant", 0) > limit:
            found.append(f"{name}: tpm could reach {part['at_any_instant']} of {limit} in one window")
        least = rules.min_used.get(unit)
        if least is not None and part.get("used_share", 0.0) < least:
            found.append(f"{name}: {unit} used {part.get('used_share', 0.0):.3f} of the limit, not {least}")
    if report["refused_429"] and not rules.allow_429:
        found.append(f"{name}: {report['refused_429']} answers with 429")
    if report["failed_5xx"] and rules.forbid_5xx:
        found.append(f"{name}: {report['failed_5xx']} answers with 5xx")
    return found


def judge(logs, rules):
    """The report on all logs, a list of (name, records)."""
    window_us = round(rules.window * 1e6)
    report = {"window_us": window_us, "mode": rules.mode, "keys": {}, "failures": []}
    seen = set()
    for name, records in logs:
        records = [r for r in records if rules.from_us <= r["arrival_us"] <= rules.to_us and r["status"] != 401]
        if not records:
            raise Void(f"{name}: no arrivals in the interval")
        first = max(rules.from_us, records[0]["arrival_us"])
        last = min(rules.to_us, rules.load_to_us, records[-1]["arrival_us"])
        for key in sorted({record["key"] for record in records}):
            mine = [record for record in records if record["key"] == key]
            limits = limits_of(key, rules.limit)
            result = judge_key(mine, limits, rules.mode, window_us, (first + window_us, last))
            title = key if len(logs) == 1 else f"{name}/{key}"
            report["keys"][title] = result
            report["failures"] += failures(title, result, rules)
            seen.add(key)
    for scope, _, _ in rules.limit:
        if scope is not None and not seen & {scope, label(scope)}:
            raise Void(f"no arrivals of the key {scope if scope in seen else label(scope)}")
    report["kept"] = not report["failures"]
    return report


# ---- command line --------------------------------------------------------------------------------------------


def parse_limit(text):
    """[KEY:]rpm=N or [KEY:]tpm=N."""
    scope, _, rest = text.rpartition(":")
    unit, _, value = rest.partition("=")
    if unit not in UNITS or not value.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not [KEY:]rpm=N or [KEY:]tpm=N")
    return scope or None, unit, int(value)


def parse_share(text):
    unit, _, value = text.partition("=")
    try:
        share = float(value)
    except ValueError:
        share = -1.0
    if unit not in UNITS or not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not rpm=SHARE or tpm=SHARE")
    return unit, share


def arguments(argv):
    parser = argparse.ArgumentParser(description="Judge raw arrival logs of fake providers.")
    parser.add_argument("logs", nargs="*", metavar="LOG", help="file of JSON lines; - for standard input")
    parser.add_argument("--window", type=float, default=60.0, metavar="SECONDS", help="length of a window")
    parser.add_argument("--limit", type=parse_limit, action="append", default=[], metavar="[KEY:]rpm=N|tpm=N",
                        help="limit of every key, or of one (its label or the key itself); repeatable")
    parser.add_argument("--mode", choices=MODES, default="admission-max", help="how tokens are charged")
    parser.add_argument("--from-us", type=int, default=0, help="ignore arrivals before (Unix microseconds)")
    parser.add_argument("--to-us", type=float, default=NEVER, help="ignore arrivals after")
    parser.add_argument("--load-to-us", type=float, default=NEVER,
                        help="when the load ended: the share in use is taken until then, whatever arrives later")
    parser.add_argument("--min-used", type=parse_share, action="append", default=[], metavar="rpm=SHARE|tpm=SHARE",
                        help="fail when less of a limit was used, from one window after the start on")
    parser.add_argument("--any-instant", action="store_true",
                        help="fail also when some attribution from arrival to end exceeds the token limit")
    parser.add_argument("--allow-429", action="store_true", help="answers with 429 are no failure")
    parser.add_argument("--forbid-5xx", action="store_true", help="answers with 5xx are a failure")
    parser.add_argument("--allow-gaps", action="store_true", help="judge a log with records missing")
    parser.add_argument("--selftest", action="store_true", help="judge hand-made logs and random ones")
    rules = parser.parse_args(argv)
    rules.min_used = dict(rules.min_used)
    if not rules.selftest and not rules.logs:
        parser.error("no log given")
    return rules


def table(report, out):
    row = "{:<24} {:<8} {:>10} {:>10} {:>8} {:>7} {:>6} {:>6} {:>8}"
    print(row.format("key", "unit", "limit", "worst", "worst %", "used %", "429", "5xx", "aborted"), file=out)
    for name, key in report["keys"].items():
        for unit in ("requests", "tokens"):
            part = key[unit]
            limit, share = part["limit"], part.get("used_share")
            print(row.format(
                name[-24:], unit, "-" if limit is None else limit, part["worst"],
                f"{100 * part['worst'] / limit:.1f}" if limit else "-",
                "-" if share is None else f"{100 * share:.1f}",
                key["refused_429"], key["failed_5xx"], key["aborted"]), file=out)
    for failure in report["failures"]:
        print(f"FAIL {failure}", file=out)


def main(argv, out=sys.stdout, err=sys.stderr):
    rules = arguments(argv)
    if rules.selftest:
        sys.dont_write_bytecode = True
        import judge_selftest

        return judge_selftest.run()
    try:
        logs = [(path, read_log(path, rules.allow_gaps)) for path in rules.logs]
        report = judge(logs, rules)
    except Void as void:
        print(json.dumps({"void": str(void)}), file=out)
        print(f"VOID {void}", file=err)
        return 2
    table(report, err)
    print(json.dumps(report), file=out)
    return 0 if report["kept"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
