#!/usr/bin/env python3
"""Every recorded answer for the clients of all other dialects, every recorded refusal for those of all. Run by
`../run --part across`, with the SDKs' Python."""
import argparse
import os
import queue
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.dont_write_bytecode = True

import gateway  # noqa: E402
from across import accounts, impossible, judge, refusals, served, spoil  # noqa: E402
from across.callers import CLIENTS, FAILED, Callers  # noqa: E402
from across.provider import Provider  # noqa: E402

THREADS = 6
SHOWN = 60  # faults


def main():
    """The calls, the table, the faults."""
    options = parse()
    found = [one for one in served.read(os.environ["WEIR_TRAFFIC"]) if options.only in one.id]
    tasks, table, reasons = plan(found, options.full)
    faults = []
    for one, client, wrong in run(Path(options.weir), found, tasks, spoil.spoiler(options.spoil)):
        row(table, one, client)["failed" if wrong else "passed"] += 1
        faults += [f"FAILED {one.id} for {client}: {name}: {text}" for name, text in wrong]
    report(table, reasons, len(tasks))
    print("\n".join(sorted(faults)[:SHOWN]))
    if len(faults) > SHOWN:
        print(f"... and {len(faults) - SHOWN} faults more")
    judged = sum(counts["passed"] + counts["failed"] for counts in table.values())
    return 1 if faults or not tasks or judged != len(tasks) else 0


def parse():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weir", help="the gateway's binary")
    parser.add_argument("--only", default="", help="only recordings whose id contains this")
    parser.add_argument("--full", action="store_true", help="every client for each recording, not one of them")
    parser.add_argument("--spoil", choices=spoil.SPOILS, help=argparse.SUPPRESS)
    return parser.parse_args()


def plan(found, full):
    """The calls `(recording, client)`, the table with those that are impossible, and why they are."""
    tasks, table, reasons = [], {}, Counter()
    for one in found:
        clients = [client for client in CLIENTS if one.status != 200 or client != one.dialect]
        chosen = clients if full or one.status != 200 else [clients[one.number % len(clients)]]
        reason = impossible.unfit(one) if one.status == 200 else None
        for client in chosen:
            if reason:
                row(table, one, client)["impossible"] += 1
                reasons[reason] += 1
            else:
                tasks.append((one, client))
    return tasks, table, reasons


def row(table, one, client):
    """A row per what is asked and who asks."""
    return table.setdefault((one.dialect if one.status == 200 else "refusals", client), Counter())


def run(weir, found, tasks, spoilt):
    """Everything that was asked, with what is wrong with it."""
    provider, results = Provider(found, spoilt), queue.SimpleQueue()
    try:
        with tempfile.TemporaryDirectory(prefix="weir-across-") as folder:
            replica = gateway.Gateway(weir, Path(folder), found, provider.base_url, accounts)
            try:
                play(tasks, f"http://127.0.0.1:{replica.port}", results)
            finally:
                replica.end()
    finally:
        provider.close()
    return [results.get() for _ in range(results.qsize())]


def play(tasks, base, results):
    """A bounded number of calls at once."""
    waiting = queue.SimpleQueue()
    for task in tasks:
        waiting.put(task)
    threads = [threading.Thread(target=work, args=(waiting, base, results)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def work(waiting, base, results):
    """One call after the other, by SDKs of its own."""
    callers = Callers(base)
    while True:
        try:
            one, client = waiting.get_nowait()
        except queue.Empty:
            return
        try:
            results.put((one, client, [*ask(callers, one, client)]))
        except Exception as err:  # a judge that cannot judge has found nothing in order
            results.put((one, client, [("judge", repr(err))]))


def ask(callers, one, client):
    """Yields what is wrong with one answer."""
    try:
        answer = callers.call(client, one.model, one.stream)
    except FAILED as err:
        if one.status != 200:
            yield from refusals.faults(one, client, err)
        elif not one.fails:
            yield "answer", f"{type(err).__name__}: {err.__cause__ or err}".replace("\n", " ")[:400]
        return
    except Exception as err:  # whatever an SDK makes of an answer that it cannot read
        yield "answer", f"{type(err).__name__}: {err}".replace("\n", " ")[:400]
        return
    if one.status != 200:
        yield "status", "a refusal came as an answer"
        return
    yield from judge.faults(one, client, answer)


def report(table, reasons, calls):
    """The table, its sum, and why something is impossible."""
    columns = ("passed", "impossible", "failed")
    rows = [(*key, *(counts[name] for name in columns)) for key, counts in sorted(table.items())]
    total = [sum(counts[name] for counts in table.values()) for name in columns]
    for line in [("provider speaks", "client speaks", *columns), *rows, ("all", "", *total)]:
        print("{:<16} {:<14} {:>8} {:>11} {:>8}".format(*(f"{v:,}" if isinstance(v, int) else v for v in line)))
    for reason, times in sorted(reasons.items()):
        print(f"impossible {times} times: {reason}")
    print(f"across: {calls} calls, passed = {total[0]}, impossible = {total[1]}, failed = {total[2]}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
