#!/usr/bin/env python3
"""Makes the board: panels.py, as JSON for Grafana 11 and later.

    deploy/grafana/make.py            writes dashboards/weir.json
    deploy/grafana/make.py --check    exit code 1 if that is not what it would write
"""

import json
import re
import sys
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from panels import ROWS  # noqa: E402
from shapes import DATASOURCE  # noqa: E402

BOARD = HERE / "dashboards" / "weir.json"
WIDTH = 24
# The abbreviations of panels.py.
SELECTED = {
    "J": 'job="$job"',
    "M": 'job="$job", model=~"$model"',
    "D": 'job="$job", deployment=~"$deployment"',
    "MD": 'job="$job", model=~"$model", deployment=~"$deployment"',
}


def query(text):
    """PromQL as Grafana takes it."""
    text = re.sub(r"\{(J|MD|M|D)(?=[,}])", lambda found: "{" + SELECTED[found[1]], text)
    return text.replace("[I]", "[$__rate_interval]")


def placed(rows):
    """All panels with their places: rows, and in each from left to right."""
    panels, y = [], 0
    for title, members in rows:
        panels.append({"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": place(0, y, WIDTH, 1)})
        y += 1
        x = height = 0
        for panel, (wide, high) in members:
            if x + wide > WIDTH:
                x, y, height = 0, y + height, 0
            panel["gridPos"] = place(x, y, wide, high)
            for target in panel["targets"]:
                target["expr"] = query(target["expr"])
            panels.append(panel)
            x, height = x + wide, max(height, high)
        y += height
    for number, panel in enumerate(panels, 1):
        panel["id"] = number
    return panels


def place(x, y, wide, high):
    """In Grafana's grid."""
    return {"x": x, "y": y, "w": wide, "h": high}


def variable(name, label, values, many):
    """A choice among the values of a label."""
    choice = {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": DATASOURCE,
        "query": {"query": values, "refId": name},
        "definition": values,
        "refresh": 2,
        "sort": 1,
        "multi": many,
        "includeAll": many,
        "hide": 0,
        "skipUrlSync": False,
    }
    # All of them is every value, also one that is not there yet, and none.
    return choice | ({"allValue": ".*", "current": {"text": "All", "value": "$__all"}} if many else {})


def variables():
    """What is chosen at the top of the board."""
    datasource = {
        "type": "datasource",
        "name": "datasource",
        "label": "Prometheus",
        "query": "prometheus",
        "refresh": 1,
        "hide": 0,
        "multi": False,
        "includeAll": False,
        "skipUrlSync": False,
    }
    return [
        datasource,
        variable("job", "Cluster", "label_values(weir_build_info, job)", False),
        variable("model", "Model", 'label_values(weir_model_down{job="$job"}, model)', True),
        variable("deployment", "Deployment", 'label_values(weir_deployment_info{job="$job"}, deployment)', True),
    ]


def alerts():
    """What is marked in all panels."""
    return {
        "name": "Alerts",
        "datasource": DATASOURCE,
        "enable": True,
        "hide": False,
        "iconColor": "red",
        "expr": 'ALERTS{job="$job", alertname=~"Weir.*", alertstate="firing", severity!="info"}',
        "titleFormat": "{{alertname}}",
        "tagKeys": "severity",
        "step": "60s",
    }


def board():
    """The whole of it."""
    return {
        "uid": "weir",
        "title": "Weir",
        "description": "An LLM gateway cluster: where calls go, how long they take, what they cost, how full limits are.",
        "tags": ["weir", "llm"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "liveNow": False,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "timepicker": {},
        "fiscalYearStartMonth": 0,
        "weekStart": "",
        "links": [],
        "annotations": {"list": [alerts()]},
        "templating": {"list": variables()},
        "panels": placed(ROWS),
    }


def main(arguments):
    """Writes it, or says whether it is current."""
    text = json.dumps(board(), indent=1, ensure_ascii=False) + "\n"
    if arguments == ["--check"]:
        if not BOARD.is_file() or BOARD.read_text() != text:
            sys.exit(f"{BOARD} is not what {__file__} makes: run it")
    elif not arguments:
        BOARD.write_text(text)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
