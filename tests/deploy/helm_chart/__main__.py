"""All checks of the chart, one after the other; see tests/deploy/helm."""

import os
import sys
import time

import copies
import mutants
import mutations
import refused
import rendered
import served
import valid
from chart import CHART, Chart


def main():
    """The parts, and how many faults they found."""
    began, chart = time.monotonic(), Chart(CHART)
    gateway, broken = os.environ.get("WEIR_BIN"), sys.argv[1:] == ["--broken"]
    if gateway and not os.access(gateway, os.X_OK):
        sys.exit(f"no gateway at {gateway}: build it (cargo build --release), or leave WEIR_BIN out")
    parts = {
        "copies": copies.faults,
        "valid": lambda: valid.faults(chart),
        "rendered": lambda: rendered.faults(chart),
        "refused": lambda: refused.faults(chart),
        **({"mutants": mutants.faults} if broken else {}),
        "served": lambda: served.faults(chart, gateway),
    }
    count = 0
    for name, part in parts.items():
        for fault in part():
            count += 1
            print(f"FAILED {name}: {fault}", flush=True)
    tried = f"{len(chart.sets())} sets of values, Kubernetes {' and '.join(valid.versions())}"
    print(f"helm: {tried}, {len(refused.TABLE)} wrong values, {len(mutations.TABLE) if broken else 'no'} broken charts")
    if not gateway:
        print("helm: WEIR_BIN is not set, so no gateway has read the configurations")
    print(f"helm: {'failed' if count else 'passed'}, {count} faults, {time.monotonic() - began:.0f} s", flush=True)
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
