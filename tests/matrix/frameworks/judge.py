"""Does a framework's cell hold? What its user has in hand is compared with what the model said, and each round of what
the provider got with what was asked.

Frameworks write their schemas each in its own way (titles, closed or not), which is not judged.
"""

import re

import story
from judge import OVERLOADED, bare, differs
from wires.common import joined

OWN_WORDS = ("title", "description", "additionalProperties", "propertyOrdering", "property_ordering", "$schema")
RETURNED = re.compile(r'(?:\{"json": ?)?\{"return_value": ?"([^"]*)"\}+')
# It asks for a schema beside its tool.
BOTH_WAYS = ("instructor-responses",)
FORCED = ("required", "any", "tool", "function", "ANY")


def verdict(client, kind, scenario, stream, requests, heard):
    """What does not hold, as texts that begin with the aspect."""
    rounds = [scenario, scenario + story.END] if scenario in story.LOOPS else [scenario]
    found = [
        text
        for one, wanted in zip(requests, rounds, strict=False)
        for text in asked_wrong(client, kind, wanted, stream, one)
    ]
    if scenario == "error":
        return found + error_wrong(stream, heard)
    if heard["error"]:
        return [*found, f"hears.error: {heard['error']}"]
    if len(requests) != len(rounds):
        found.append(f"asks.rounds: the provider got {len(requests)} requests")
    return found + heard_wrong(rounds, shortest(client, requests[-1], rounds[0]) if stream else 0, heard)


def error_wrong(stream, heard):
    """What is wrong with a failure: the framework raises it, with what the provider said of it."""
    if not heard["error"]:
        return [f"hears.error: none, but {heard}"]
    words = (story.BROKEN_TEXT, *OVERLOADED) if stream else (story.ERROR_TEXT,)
    found = [] if any(one in heard["error"] for one in words) else [f"hears.error: other words: {heard['error']}"]
    return found + ([] if stream or "400" in heard["error"] else [f"hears.status: {heard['error']}"])


def asked_wrong(client, kind, scenario, stream, request):
    """What is wrong with one request."""
    if request.problems:
        return [f"asks.valid: refused by the provider: {'; '.join(request.problems)}"]
    wanted, got = story.question(scenario), request.facts()
    found = differs("asks.kind", kind, request.kind) + differs("asks.stream", stream, request.stream)
    for field in ("system", "max_tokens"):
        found += differs(f"asks.{field}", wanted[field], got[field])
    if wanted["temperature"] is not None:
        found += differs("asks.temperature", wanted["temperature"], got["temperature"])
    form = scenario == "form" or (
        scenario == "error" and client.startswith("instructor")
    )  # which asks for nothing else
    schema = story.PERSON if form and client in BOTH_WAYS else wanted["schema"]
    found += differs("asks.schema", plain(schema), plain(got["schema"]))
    found += differs("asks.turns", bare(joined(wanted["turns"])), unwrapped(bare(got["turns"])))
    if wanted["reasons"]:
        found += differs("asks.reasons", True, got["reasons"])
    if scenario == "loop-end" and got["signatures"] is not None:
        found += differs("asks.signatures", [story.SIGNATURE], got["signatures"])
    if form:
        schemas = [plain(tool["schema"]) for tool in got["tools"]]
        return found + differs("asks.tools", [plain(story.PERSON)], schemas) + unforced(request)
    tools = [[{**tool, "schema": plain(tool["schema"])} for tool in side["tools"]] for side in (wanted, got)]
    return found + differs("asks.tools", *tools)


def unwrapped(turns):
    """Turns with the texts of results alone: for Google a result is an object, Pydantic AI's a `return_value`, and
    other providers get it as JSON."""
    return [{**one, "results": [(name, RETURNED.sub(r"\1", text)) for name, text in one["results"]]} for one in turns]


def plain(schema):
    """A schema without the words that are a framework's own."""
    if not isinstance(schema, dict):
        return schema
    kept = {name: plain(value) for name, value in schema.items() if name not in OWN_WORDS}
    return {name: sorted(value) if name == "required" else value for name, value in kept.items()}


def unforced(request):
    """A form must be filled in: the model is left no choice."""
    body = request.body
    choice = {
        "chat": body.get("tool_choice"),
        "responses": body.get("tool_choice"),
        "messages": body.get("tool_choice"),
        "gemini": (body.get("toolConfig") or {}).get("functionCallingConfig", {}).get("mode"),
        "converse": next(iter((body.get("toolConfig") or {}).get("toolChoice") or {}), None),
    }[request.wire]
    word = choice.get("type") if isinstance(choice, dict) else choice
    return [] if word in FORCED else [f"asks.choice: {choice!r} forces no call"]


def shortest(client, request, scenario):
    """How many pieces a stream has at least. Google's dialect has its calls in one; a loop's answer is short."""
    google = request.wire == "gemini" or client.endswith("-google")
    return 1 if scenario == "loop" or (scenario == "form" and google) else 2


def heard_wrong(rounds, pieces, heard):
    """What is wrong with what the user was handed, in so many pieces at least; usage is that of all rounds."""
    answers = [story.answer(one) for one in rounds]
    called = sorted((one["name"], one["arguments"]["city"]) for one in answers[0]["calls"] if one["name"])
    found = differs("hears.calls", called, sorted((one["name"], one["city"]) for one in heard["calls"]))
    if rounds[0] in ("schema", "form"):
        found += differs("hears.output", story.ALMA, heard["output"])
    else:
        found += differs("hears.text", answers[-1]["text"], heard["text"])
    if heard["pieces"] < pieces:
        found.append(f"hears.stream: in {heard['pieces']} piece(s)")
    if heard["usage"] is None:  # not told to the user at all
        return found
    total = {field: sum(one["usage"][field] for one in answers) for field in ("input", "output")}
    return found + differs("hears.usage", total, heard["usage"])
