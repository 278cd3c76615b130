"""What `run` runs, with the SDKs at hand."""

import argparse
import collections
import os
import sys
from fnmatch import fnmatch
from pathlib import Path

import cells
import gateway
import golden
import nodeside
import selftest
import story
import toolchain
from frameworks import process, rows
from provider import KEY, Provider

KEPT = 6  # failures of one cell that are printed


def main():
    """The asked part; the table and the failures at its end."""
    options = parse()
    if options.selftest:
        return selftest.main(options.frameworks)
    return report(direct(options) if options.direct else through_gateway(options))


def parse():
    """The command line."""
    parser = argparse.ArgumentParser(prog="tests/matrix/run")
    parser.add_argument("--only", metavar="PATTERN", default="*", help="only cells whose name fits")
    parser.add_argument("--bless", action="store_true", help="write the golden files of what has no other failure")
    parser.add_argument("--direct", action="store_true", help="no gateway between SDK and provider")
    parser.add_argument("--frameworks", action="store_true", help="agent frameworks as well")
    parser.add_argument("--selftest", action="store_true", help="does the judge notice damage?")
    return parser.parse_args()


def chosen(listed, only):
    """The cells that fit the pattern."""
    names = [(f"{cell[0]}/{cell[1]}/{cells.cell_name(*cell[2:])}", cell) for cell in listed]
    return [cell for name, cell in names if fnmatch(name, only) or only in name]


def direct(options):
    """Each SDK at its own kind of provider."""
    with Provider() as provider:
        call = cells.python_caller(provider.url, KEY)
        outcomes = [
            cells.run(cell, provider, call, story.upstream_model(cell[1], cell[2]))
            for cell in chosen(cells.listed(cells.DIRECT), options.only)
        ]
        listed = chosen(rows.listed(direct=True), options.only) if options.frameworks else []
        return outcomes + through_frameworks(listed, provider, provider.url, story.upstream_model, KEY)


def through_gateway(options):
    """Every client on every kind."""
    weir = Path(os.environ.get("WEIR_BIN") or toolchain.build_folder().parent / "release" / "weir").resolve()
    if not weir.is_file():
        sys.exit(f"no gateway at {weir}: build it (cargo build --release) or set WEIR_BIN")
    gold = golden.Golden(options.bless)
    outcomes = []
    with Provider() as provider, gateway.serving(weir, provider.url, toolchain.build_folder() / "run") as url:
        call = cells.python_caller(url)
        arrays = [cell for cell in cells.listed(pairs(cells.ARRAYS), cells.ARRAY_SCENARIOS) if cell[-1]]
        for cell in chosen(cells.listed(pairs(cells.CALLERS)) + arrays, options.only):
            outcomes.append(cells.run(cell, provider, call, gateway.model_of(*cell[1:3]), gold))
        listed = chosen(cells.listed(pairs(nodeside.CLIENTS), nodeside.SCENARIOS), options.only)
        if listed:
            with nodeside.Callers(url, toolchain.node()) as callers:
                for cell in listed:
                    outcomes.append(cells.run(cell, provider, callers.call, gateway.model_of(*cell[1:3])))
        listed = chosen(rows.listed(), options.only) if options.frameworks else []
        outcomes += through_frameworks(listed, provider, url, gateway.model_of)
    gold.write()
    return outcomes


def through_frameworks(listed, provider, url, model_of, *key):
    """The frameworks' cells."""
    if not listed:
        return []
    with process.Callers(url, *key) as callers:
        return [rows.run(cell, provider, callers.call, model_of(*cell[1:3])) for cell in listed]


def pairs(clients):
    """Every client with every kind."""
    return [(client, kind) for client in clients for kind in story.KINDS]


def report(outcomes):
    """The failures, then the table; 0 when nothing failed."""
    table = collections.defaultdict(collections.Counter)
    for outcome in outcomes:
        state = "failed" if outcome.failures else "impossible" if outcome.skipped else "passed"
        table[outcome.client, outcome.kind][state] += 1
        if outcome.failures:
            print(f"{outcome.name}")
            for text in outcome.failures[:KEPT]:
                print(f"    {text}")
    print_table(table)
    totals = sum(table.values(), collections.Counter())
    print(f"matrix: {totals['passed'] + totals['impossible']} passed, {totals['failed']} failed")
    return 1 if totals["failed"] or not outcomes else 0


def print_table(table):
    """Passed / impossible in part / failed, for each client and kind."""
    clients = list(dict.fromkeys(client for client, _ in table))
    kinds = list(dict.fromkeys(kind for _, kind in table))
    print("\npassed / with a part that is impossible (impossible.py says why) / failed")
    print(f"{'':21}" + "".join(f"{kind:>13}" for kind in kinds))
    for client in clients:
        row = ""
        for kind in kinds:
            counts = table.get((client, kind))
            text = f"{counts['passed']} / {counts['impossible']} / {counts['failed']}" if counts else ""
            row += f"{text:>13}"
        print(f"{client:21}{row}")


if __name__ == "__main__":
    sys.exit(main())
