"""Compares what was seen of an exchange with what its recording says. Pure; every fault is a name and a text.

Gateways that were broken on purpose, and the fault that told: the usage chunk never withheld (answer), the total of a
usage ignored (usage, settled), the provider's rate limit headers passed on (leak), a token too many posted (settled),
a failed attempt's reservation forgotten (held), a 401 passed on (status).
"""
import json
import re

import events
import expected
import tokens
from arrival import arrival, difference
from homes import GOOGLES
from provider import CANARIES

PASSED_ON = {"content-type", "openai-processing-ms"}  # of a provider's headers
MALFORMED = ("invalid_request_error", "INVALID_ARGUMENT")
OURS_TOO = set("content-length date transfer-encoding connection retry-after retry-after-ms x-should-retry".split())


def faults(exchange):
    """Everything that is wrong with one exchange."""
    seen, recording = exchange.seen, exchange.recording
    if seen.broken:
        return [("answer", f"the client has none: {seen.broken}")]
    if refused_early(exchange):
        return [*early(exchange), *log(exchange)]
    found = [*arrival(exchange), *headers(exchange), *log(exchange)]
    if recording.status == 200:
        found += served(exchange)
    else:
        found += refused(exchange)
    return found


def refused_early(exchange):
    """A request that the provider refused as malformed may be refused by the gateway already."""
    return exchange.recording.status == 400 and not exchange.seen.arrivals


def early(exchange):
    """Then for the same reason."""
    given, own = error_of(exchange.recording.body), error_of(exchange.seen.body)
    if exchange.seen.status != 400 or own.get("type", own.get("status")) not in MALFORMED:
        yield "status", f"not sent, and {exchange.seen.status} {own}"
    elif "type" in own and own.get("param") != given.get("param"):
        yield "refusal", f"not sent for {own.get('param')}, while the provider blames {given.get('param')}"


def served(exchange):
    """An answer comes back as it was recorded."""
    seen, wanted = exchange.seen, expected.answer(exchange.recording, exchange.asks_usage)
    if expected.is_cut(exchange.recording):
        yield from cut(seen, wanted)
        return
    if seen.status != 200:
        yield "status", f"{seen.status} instead of 200: {seen.body[:300]!r}"
    elif exchange.recording.array:
        yield from array(seen, wanted)
    elif seen.body != wanted:
        yield "answer", difference(seen.body, wanted)
    given = exchange.recording.headers.get("content-type")
    if seen.status == 200 and given and not exchange.recording.array and seen.headers.get("content-type") != given[0]:
        yield "headers", f"content-type {seen.headers.get('content-type')!r} instead of {given[0]!r}"


def cut(seen, wanted):
    """A stream that nobody ended ends with an error, behind what came before."""
    if seen.status == 200 and b'"error"' not in seen.body:
        yield "answer", f"ended as if whole: {seen.body[-200:]!r}"
    texts = re.findall(rb'"text": ?"(?:[^"\\]|\\.)*"', wanted)
    if seen.status != (502 if not texts else 200) or any(text not in seen.body for text in texts[:-1]):
        yield "answer", f"{seen.status}, not what came before the cut: {seen.body[:300]!r}"


def array(seen, wanted):
    """A stream as an array has the events for elements."""
    try:
        own = json.loads(seen.body)
    except ValueError as err:
        own = str(err)
    elements = events.values(wanted)
    if own != elements:
        yield "answer", difference(json.dumps(own).encode(), json.dumps(elements).encode())
    if not seen.headers.get("content-type", "").lower().startswith("application/json"):
        yield "headers", f"content-type {seen.headers.get('content-type')!r} of an array"


def refused(exchange):
    """A refusal reaches the client as the contract says."""
    seen, recording, wanted = exchange.seen, exchange.recording, expected.refusal(exchange.recording)
    if seen.status != wanted.status:
        yield "status", f"{seen.status} instead of {wanted.status} for {recording.status} {recording.body[:200]!r}"
        return
    if wanted.code is None:
        account = expected.account_in(recording)
        if account:
            same = error_of(seen.body).get("message") == error_of(recording.body)["message"]
            if account in seen.body.decode() or not same:
                yield "leak", f"{seen.body[:300]!r} instead of the message without {account}"
        elif seen.body != recording.body:
            yield "answer", difference(seen.body, recording.body)
        return
    if word_of(recording.endpoint, error_of(seen.body)) != wanted.code:
        yield "refusal", f"{seen.body[:300]!r} instead of the code {wanted.code}"
    quoted = expected.runs(words(seen.body)) & expected.runs(words(recording.body))
    if quoted:
        yield "leak", f"the provider is quoted: {min(quoted)}"
    if wanted.waits and not (seen.headers.get("retry-after", "").isdigit() and int(seen.headers["retry-after"]) > 0):
        yield "headers", f"retry-after is {seen.headers.get('retry-after')!r}"
    if wanted.final and seen.headers.get("x-should-retry") != "false":
        yield "headers", f"x-should-retry is {seen.headers.get('x-should-retry')!r}"


def headers(exchange):
    """Nothing that a provider says of its account reaches the client."""
    recorded = exchange.recording.headers
    for name, value in exchange.seen.headers.items():
        if name in PASSED_ON | OURS_TOO:
            continue
        if value in recorded.get(name, []) or value == CANARIES.get(name):
            yield "leak", f"the provider's {name}: {value}"
    if exchange.line.key in f"{exchange.seen.headers}{exchange.seen.body!r}":
        yield "leak", "the account's key"


def log(exchange):
    """The gateway's own record of the call."""
    seen, recording = exchange.seen, exchange.recording
    if not seen.log or len(seen.log) != 1:
        yield "log", f"{len(seen.log or [])} lines for the call {seen.headers.get('x-request-id')!r}"
        return
    told = seen.log[0]
    if told["status"] != seen.status:
        yield "log", f"status {told['status']}, while the client got {seen.status}"
    if seen.arrivals and told["deployment"] != exchange.line.model:
        yield "log", f"deployment {told['deployment']!r}"
    wanted = tokens.used(recording) or tokens.Usage(0, 0, 0)
    own = tokens.Usage(told["input_tokens"], told["cached_tokens"], told["output_tokens"])
    if own != wanted:
        yield "usage", f"{own} instead of {wanted}"


def settled(line, posted):
    """Was exactly what a deployment's calls used posted? Unknown where an answer does not say what it used."""
    calls = [exchange for exchange in line.exchanges if exchange.recording.method == "POST" and exchange.seen.arrivals]
    used = [tokens.used(exchange.recording) for exchange in calls]
    own = {kind: value for (pool, kind), value in posted.items() if pool.endswith(line.model)}
    if own.get("requests") != len(calls):
        yield "settled", f"{own.get('requests')} requests posted instead of {len(calls)}"
    counts = [used and expected.charged(call.recording, used) for call, used in zip(calls, used)]
    wanted = None if None in counts else sum(counts)
    if wanted is not None and own.get("tokens") != wanted:
        yield "settled", f"{own.get('tokens')} tokens posted instead of {wanted}"


def words(body):
    """What an error says in sentences; everything, if it has no such member."""
    return str(error_of(body).get("message") or body.decode(errors="replace"))


def word_of(endpoint, error):
    """Where the API of the endpoint has its word for an error."""
    google = "status" if endpoint in GOOGLES else "code"
    return error.get("type" if endpoint in expected.CLAUDES else google)


def error_of(body):
    """The members of an error; none if it has another shape. All three makers' stand in `error`."""
    try:
        error = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        return {}
    return error if isinstance(error, dict) else {}
