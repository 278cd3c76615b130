"""Can the frameworks' judge fail? Each framework straight at the provider, whose answers or requests are damaged."""

import story
from provider import KEY, Provider

from . import impossible, process, rows


def same(value):
    """No damage."""
    return value


def swap(old, new):
    """A text in place of another in every answer."""
    return lambda data: data.replace(old, new)


def lose(*path):
    """A request without the field at this path, where it has it."""

    def mangle(body):
        """Takes it out."""
        at = body
        for name in path[:-1]:
            if not (name in at if isinstance(at, dict) else len(at) > name):
                return body
            at = at[name]
        if path[-1] in at if isinstance(at, dict) else len(at) > path[-1]:
            del at[path[-1]]
        return body

    return mangle


# cell, what becomes of answers, what becomes of requests, the aspect that must fail
ROWS = (
    (("langchain-chat", "chat", "text", False), swap(b"harbour", b"harbor"), same, "hears.text"),
    (("langchain-chat", "chat", "errand", True), swap(b"Oslo", b"Lima"), same, "hears.calls"),
    (("langchain-responses", "responses", "errands", False), same, lose("input", 3), "asks.valid"),
    (
        ("langchain-anthropic", "anthropic", "text", True),
        swap(b'"output_tokens":23', b'"output_tokens":9'),
        same,
        "hears.usage",
    ),
    (("langchain-google", "gemini", "errand", False), swap(b"get_weather", b"get_time"), same, "hears.calls"),
    (("agents-chat", "chat", "schema", False), same, lose("response_format"), "asks.schema"),
    (
        ("agents-responses", "responses", "text", True),
        swap(b"output_text.delta", b"output_text.gone"),
        same,
        "hears.stream",
    ),
    (("agents-responses", "responses", "errand", False), same, lose("tools", 1), "asks.tools"),
    (("pydantic-chat", "chat", "form", False), same, lose("tool_choice"), "asks.choice"),
    (("pydantic-responses", "responses", "errand", False), swap(b"degrees.", b"grades."), same, "hears.text"),
    (("pydantic-anthropic", "anthropic", "errands", True), same, lose("system"), "asks.system"),
    (
        ("pydantic-google", "gemini", "errand", False),
        same,
        lose("generationConfig", "maxOutputTokens"),
        "asks.max_tokens",
    ),
    (("instructor-chat", "chat", "schema", True), swap(b"71", b"17"), same, "hears.output"),
    (("instructor-anthropic", "anthropic", "form", False), swap(b"Alma", b"Anna"), same, "hears.output"),
    (("instructor-google", "gemini", "form", False), same, lose("toolConfig"), "asks.choice"),
    (
        ("langchain-anthropic", "anthropic", "loop", True),
        same,
        lose("messages", 1, "content", 0, "signature"),
        "asks.valid",
    ),
    (
        ("pydantic-google", "gemini", "loop", False),
        same,
        lose("contents", 1, "parts", 1, "thoughtSignature"),
        "asks.signatures",
    ),
)


def unnoticed():
    """(how many rows there are, what was not noticed)."""
    with Provider() as provider, process.Callers(provider.url, KEY) as callers:
        found = [text for row in ROWS for text in damaged(provider, callers, *row)]
    if len(impossible.sorted_out(["asks.turns: wrong"], {"asks.signatures": "why"})) != 2:
        found.append("of the impossible: what is possible was passed over, or what holds by now")
    return len(ROWS) + 1, found


def damaged(provider, callers, cell, damage, mangle, aspect):
    """Runs one cell with damage; what was not noticed, if anything."""
    provider.damage, provider.mangle = damage, mangle
    outcome = rows.run(cell, provider, callers.call, story.upstream_model(cell[1], cell[2]))
    noticed = [text.partition(":")[0] for text in outcome.failures]
    return [] if aspect in noticed else [f"{outcome.name}: {aspect} held; failed: {outcome.failures}"]
