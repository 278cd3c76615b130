"""Compares what the provider received with what the client sent. Pure; every fault is a name and a text."""
import json

import departures
from exchange import KEYS
from homes import HOMES, shown
from members import cuts, value_of, with_value


def arrival(exchange):
    """What the provider received."""
    seen, recording, line = exchange.seen, exchange.recording, exchange.line
    if len(seen.arrivals) != 1:
        yield "request", f"arrived {len(seen.arrivals)} times (status {seen.status}: {seen.body[:200]!r})"
        return
    came = seen.arrivals[0]
    if recording.method == "GET" and came.query != recording.query:
        yield "request", f"the query {came.query!r} instead of {recording.query!r}"
    wanted = exchange.body_for(line.upstream_model)
    if recording.home == "claude-on-vertex":
        yield from on_vertex(exchange, came, wanted)
    elif fitted(exchange) is not None:
        yield from departed(exchange, came, fitted(exchange))
    elif added_usage(exchange):
        yield from with_usage(came.body.decode(errors="replace"), wanted.decode())
    elif came.body != wanted:
        yield "request", difference(came.body, wanted)
    told, own = {name.lower(): value for name, value in came.headers.items()}, HOMES[recording.home].key
    keys = {name: value for name, value in told.items() if name in KEYS}
    if keys != {own: shown(own, line.key)}:
        yield "headers", f"the provider was shown {keys}"
    if recording.home == "anthropic":
        for name in ("anthropic-version", "anthropic-beta"):
            if told.get(name) != exchange.headers.get(name):
                yield "headers", f"{name} {told.get(name)!r} instead of {exchange.headers.get(name)!r}"
    if "sk-of-the-client" in str(told):
        yield "headers", "the client's key went to the provider"


def on_vertex(exchange, came, wanted):
    """Google has the model in the path, and version and beta features of Anthropic's API in the body."""
    own, wanted = json.loads(came.body), json.loads(wanted)
    counts = exchange.recording.endpoint == "count_tokens"
    version, beta = own.pop("anthropic_version", None), own.pop("anthropic_beta", None)
    if (version, counts) not in [("vertex-2023-10-16", False), ("vertex-2023-10-16", True), (None, True)]:
        yield "request", f"anthropic_version {version}"
    if ",".join(beta or []) != exchange.headers.get("anthropic-beta", ""):
        yield "request", f"anthropic_beta {beta}"
    if not counts:
        del wanted["model"]
    if own != wanted:
        yield "request", difference(json.dumps(own).encode(), json.dumps(wanted).encode())


def fitted(exchange):
    """What a provider must get that does not take the request as it is."""
    chat = exchange.recording.endpoint == "chat_completions"
    return departures.fitted(exchange.recording.home, exchange.body_for(exchange.line.upstream_model)) if chat else None


def departed(exchange, came, wanted):
    """The same JSON, with ids that the provider takes."""
    home, own = exchange.recording.home, json.loads(came.body)
    if departures.fitted(home, came.body) is not None:
        yield "request", f"{home} does not take {came.body[:300]!r}"
    own, wanted = departures.alike(home, own), departures.alike(home, wanted)
    if own != wanted:
        own, wanted = (json.dumps(body, sort_keys=True).encode() for body in (own, wanted))
        yield "request", difference(own, wanted)


def added_usage(exchange):
    """Does the gateway have to ask for the usage of the stream itself?"""
    recording = exchange.recording
    if not departures.asks_usage(recording.home):
        return False
    return recording.stream and recording.endpoint in ("chat_completions", "completions") and not exchange.asks_usage


def with_usage(came, wanted):
    """The request is the client's but for `stream_options`, which now asks for usage and else says what it said."""
    options, before = value_of(came, "stream_options"), value_of(wanted, "stream_options")
    if options is None or json.loads(options) != {**(json.loads(before or "null") or {}), "include_usage": True}:
        yield "request", f"stream_options {options} instead of {before} with usage"
        return
    originals = {with_value(came, "stream_options", before)} if before else cuts(came, "stream_options")
    if wanted not in originals:
        yield "request", difference(min(originals).encode(), wanted.encode())


def difference(got, wanted):
    """Where two texts part."""
    at = next((at for at, (a, b) in enumerate(zip(got, wanted)) if a != b), min(len(got), len(wanted)))
    here = slice(max(0, at - 20), at + 40)
    return f"{len(got)} bytes instead of {len(wanted)}, at {at}: {got[here]!r} instead of {wanted[here]!r}"
