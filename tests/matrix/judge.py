"""Does a cell hold? What reached the provider is compared with what was asked, what was heard with what was said."""

import story
from impossible import SCHEMAS_WITHOUT, aspects, told
from wires.common import joined

# Whose signed reasoning a client can carry back to the same provider without change.
SIGNED = {
    ("messages", "anthropic"),
    ("messages", "bedrock"),
    ("responses", "responses"),
    ("gemini", "gemini"),
    ("gemini", "vertex"),
    ("converse", "bedrock"),
}
# How the dialects call an overloaded provider.
OVERLOADED = ("overloaded", "UNAVAILABLE")


def verdict(client, kind, scenario, stream, requests, heard):
    """What does not hold, as texts that begin with the aspect; and the impossible aspects with their reasons."""
    failures = asked_wrong(client, kind, scenario, stream, requests)
    if scenario == "error":
        failures += error_wrong(stream, heard)
    elif heard["error"]:
        failures.append(
            f"hears.error: {heard['error']['kind']} {heard['error']['status']}: {heard['error']['message']}"
        )
    else:
        failures += heard_wrong(client, kind, scenario, heard, requests)
    skipped = aspects(client, kind, scenario)
    return [text for text in failures if text.partition(":")[0] not in skipped], skipped


def asked_wrong(client, kind, scenario, stream, requests):
    """What is wrong with the requests that the provider got: one, or the two of a loop."""
    rounds = [("loop", False), ("loop-end", stream)] if scenario == "loop" else [(scenario, stream)]
    found = [
        text for one, wanted in zip(requests, rounds, strict=False) for text in one_wrong(client, kind, *wanted, one)
    ]
    if not found and len(requests) != len(rounds):
        return [f"asks.once: the provider got {len(requests)} requests"]
    return found


def one_wrong(client, kind, scenario, stream, request):
    """What is wrong with one request."""
    if request.problems:
        return [f"asks.valid: refused by the provider: {'; '.join(request.problems)}"]
    found = [] if request.kind == kind else [f"asks.kind: it came as {request.kind}"]
    found += [] if request.stream == stream else [f"asks.stream: {request.stream}"]
    wanted, got = story.question(scenario), request.facts()
    if wanted["choice"] == "auto" and got["choice"] is None:
        got["choice"] = "auto"  # that is what all of them do with tools
    if client in SCHEMAS_WITHOUT:
        wanted["tools"] = [
            {**one, "schema": without(one["schema"], SCHEMAS_WITHOUT[client])} for one in wanted["tools"]
        ]
    for field in ("system", "tools", "schema", "max_tokens"):
        found += differs(f"asks.{field}", wanted[field], got[field])
    for field in ("choice", "temperature"):
        found += differs(f"asks.{field}", wanted[field], got[field]) if wanted[field] is not None else []
    for field in ("reasons", "cached"):
        found += differs(f"asks.{field}", True, got[field]) if wanted[field] else []
    if scenario == "loop-end" and got["signatures"] is not None:
        found += differs("asks.signatures", [story.SIGNATURE], got["signatures"])
    return found + differs("asks.turns", bare(joined(wanted["turns"])), bare(got["turns"]))


def without(schema, words):
    """A schema without these words."""
    return {name: value for name, value in schema.items() if name not in words}


def bare(turns):
    """Turns without the ids, which each dialect writes its own way; results keep the name of their call."""
    return [
        {
            "role": one["role"],
            "text": one["text"],
            "images": one["images"],
            "calls": [(call["name"], call["arguments"]) for call in one["calls"]],
            "results": [(result["name"], result["text"]) for result in one["results"]],
        }
        for one in turns
    ]


def heard_wrong(client, kind, scenario, heard, requests):
    """What is wrong with an answer."""
    scenario = "loop-end" if scenario == "loop" else scenario
    wanted = told(requests[-1].wire if requests else None, story.answer(scenario))
    if heard["finish"] == "refused":  # some call the words of a refusal text
        heard = {**heard, "text": "", "refusal": heard["text"] + heard["refusal"]}
    found = []
    for field in ("text", "refusal", "reasoning", "finish"):
        found += differs(f"hears.{field}", wanted[field], heard[field])
    named = [[(call["name"], call["arguments"]) for call in side["calls"]] for side in (wanted, heard)]
    found += differs("hears.calls", *named)
    found += [f"hears.{field}: none" for field in ("id", "model") if not heard.get(field)]
    ids = [call["id"] for call in heard["calls"]]
    if not client.startswith("gemini") and (not all(ids) or len(set(ids)) != len(ids)):
        found.append(f"hears.ids: {ids}")
    for field, count in wanted["usage"].items():
        found += differs(f"hears.usage.{field}", count, (heard["usage"] or {}).get(field))
    if (client, kind) in SIGNED and wanted["signature"] and heard["signature"] not in (wanted["signature"], "yes"):
        found.append(f"hears.signature: {heard['signature']!r}")
    return found


def error_wrong(stream, heard):
    """What is wrong with a failure: the SDK must raise its error, with the provider's words."""
    error = heard["error"]
    if not error:
        return [f"hears.error: none, but {heard['text']!r}"]
    # an overloaded provider's words are not passed on, for they may tell of the account; what happened is
    words = (story.BROKEN_TEXT, *OVERLOADED) if stream else (story.ERROR_TEXT,)
    found = [] if any(one in error["message"] for one in words) else [f"hears.error: other words: {error['message']!r}"]
    if stream:
        return found + differs("hears.text", story.answer("error")["text"], heard["text"])
    return found + differs("hears.status", 400, error["status"])


def differs(aspect, wanted, got):
    """One failure if two values differ."""
    return [] if wanted == got else [f"{aspect}: wanted {short(wanted)}, got {short(got)}"]


def short(value):
    """A value that fits on a line."""
    text = repr(value)
    return text if len(text) < 400 else f"{text[:400]}..."
