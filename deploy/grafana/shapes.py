"""The kinds of panels: how a title, queries and a unit become a panel of Grafana."""

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
STEPS = ("green", "yellow", "red")


def lines(title, unit, queries, about="", stacked=False, dashed=None, most=None):
    """Lines over time. `dashed`: a pattern of names whose lines are; `most`: the axis ends there at least."""
    custom = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 25 if stacked else 0,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "axisSoftMin": 0,
    }
    if most is not None:
        custom["axisSoftMax"] = most
    panel = shape("timeseries", title, unit, queries, about, custom)
    if dashed:
        properties = [
            {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [6, 6]}},
            {"id": "custom.lineWidth", "value": 1},
        ]
        panel["fieldConfig"]["overrides"] = [{"matcher": {"id": "byRegexp", "options": f"/{dashed}/"}, "properties": properties}]
    panel["options"] = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return panel, (12, 8)


def stat(title, unit, queries, about="", limits=None):
    """The last number. `limits`: from where it is yellow, and red."""
    panel = shape("stat", title, unit, queries, about, limits=limits)
    panel["options"] = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "orientation": "auto",
        "textMode": "auto",
        "colorMode": "value" if limits else "none",
        "graphMode": "area",
        "justifyMode": "auto",
        "wideLayout": True,
        "showPercentChange": False,
        "percentChangeColorMode": "standard",
    }
    return panel, (3, 4)


def bars(title, unit, queries, about="", limits=None):
    """The last number of each, as a bar."""
    panel = shape("bargauge", title, unit, queries, about, limits=limits)
    panel["fieldConfig"]["defaults"] |= {"min": 0, "max": 1}
    panel["options"] = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "orientation": "horizontal",
        "displayMode": "basic",
        "valueMode": "color",
        "namePlacement": "auto",
        "showUnfilled": True,
        "sizing": "auto",
        "minVizWidth": 8,
        "minVizHeight": 16,
        "maxVizHeight": 300,
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False, "calcs": []},
    }
    return panel, (12, 8)


def states(title, queries, names, about=""):
    """A band for each over time. `names`: how the values 0, 1, ... are called, and their colours."""
    custom = {"lineWidth": 0, "fillOpacity": 70}
    panel = shape("state-timeline", title, "none", queries, about, custom)
    options = {str(value): {"text": text, "color": color, "index": value} for value, (text, color) in enumerate(names)}
    panel["fieldConfig"]["defaults"]["mappings"] = [{"type": "value", "options": options}]
    panel["options"] = {
        "mergeValues": True,
        "showValue": "never",
        "alignValue": "left",
        "rowHeight": 0.8,
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "single", "sort": "none"},
    }
    return panel, (12, 8)


def table(title, unit, queries, about="", named=("", None)):
    """A table of the last values. `named`: the label that is shown, and how the value is called; none: not shown."""
    panel = shape("table", title, unit, queries, about, {"align": "auto", "inspect": False, "cellOptions": {"type": "auto"}})
    for target in panel["targets"]:
        target |= {"format": "table", "instant": True, "range": False}
    label, value = named
    exclude = {"Time": True} | ({} if value else {"Value": True})
    rename = {"Value": value} if value else {}
    panel["transformations"] = [
        {"id": "organize", "options": {"excludeByName": exclude, "indexByName": {label: 0}, "renameByName": rename}}
    ]
    panel["options"] = {
        "frameIndex": 0,
        "showHeader": True,
        "cellHeight": "sm",
        "footer": {"show": False, "reducer": ["sum"], "countRows": False},
        "sortBy": [{"displayName": value, "desc": True}] if value else [],
    }
    return panel, (12, 8)


def shape(kind, title, unit, queries, about, custom=None, limits=None):
    """What all panels have."""
    steps = [None, *(limits or ())]
    defaults = {
        "unit": unit,
        "color": {"mode": "thresholds" if limits or kind == "state-timeline" else "palette-classic"},
        "thresholds": {
            "mode": "absolute",
            "steps": [{"value": value, "color": color} for value, color in zip(steps, STEPS)],
        },
        "mappings": [],
    }
    if custom is not None:
        defaults["custom"] = custom
    return {
        "type": kind,
        "title": title,
        "description": about,
        "datasource": DATASOURCE,
        "targets": [
            {
                "refId": "ABCDEFGHIJ"[at],
                "datasource": DATASOURCE,
                "editorMode": "code",
                "expr": expr,
                "legendFormat": legend or "__auto",
                "range": True,
                "instant": False,
            }
            for at, (expr, legend) in enumerate(queries)
        ],
        "fieldConfig": {"defaults": defaults, "overrides": []},
    }
