"""What a client cannot ask of a provider or hear from it, with the reason: not judged, yet kept in the golden files.

Compare with `gateway/DIALECTS.md`. An aspect is `asks.FIELD` (of the request, as the provider got it) or `hears.FIELD` (of
the answer, as the SDK gave it). Patterns are shell patterns.
"""

from fnmatch import fnmatch

ANY = ("*",)

# clients, kinds, scenarios, aspects, reason, and the line of DIALECTS.md that says so (None: no matter of two dialects)
TABLE = (
    (
        ("chat", "responses", "gemini"),
        ANY,
        ("cache",),
        ("asks.cached",),
        "only Anthropic's dialect marks what is to be cached; the others' providers see it by themselves",
        None,
    ),
    (
        ("messages",),
        ("chat", "azure"),
        ("cache",),
        ("asks.cached",),
        "OpenAI takes no marks: it caches by itself",
        "| cache marks | `cache_control` for providers that take it",
    ),
    (
        ("messages",),
        ("responses",),
        ("cache",),
        ("asks.cached",),
        "OpenAI takes no marks: it caches by itself",
        "| cache marks from other dialects | left out |",
    ),
    (
        ("messages",),
        ("gemini", "vertex"),
        ("cache",),
        ("asks.cached",),
        "Google takes no marks: it caches by itself",
        "| cache marks, cache key, user, metadata, name of a speaker | left out |",
    ),
)

# What a provider's wire never tells: these fields of an answer are empty behind it.
UNTOLD = {
    "chat": {"reasoning": "OpenAI's Chat tells how long it reasoned, not what"},
    "converse": {
        "usage.reasoning": "Converse counts reasoning with the output"
    },  # DIALECTS.md: "Bedrock does not tell: 0"
    "gemini": {"refusal": "Google stops without a word"},
}

# What an SDK itself takes out of a tool's schema before it sends it.
SCHEMAS_WITHOUT = {"ai-google": ("additionalProperties",)}  # it writes the OpenAPI subset


def aspects(client, kind, scenario):
    """The aspects of a cell that are impossible, with their reasons."""
    found = {}
    for clients, kinds, scenarios, names, reason, _ in TABLE:
        fits = (matches(client, clients), matches(kind, kinds), matches(scenario, scenarios))
        if all(fits):
            found |= dict.fromkeys(names, reason)
    return found


def matches(name, patterns):
    """Is a name one of these?"""
    return any(fnmatch(name, pattern) for pattern in patterns)


def told(wire, said):
    """What of an answer a provider can tell at all on its wire."""
    said = {**said, "usage": dict(said["usage"])}
    for field in UNTOLD.get(wire, ()):
        if field.startswith("usage."):
            said["usage"][field.removeprefix("usage.")] = 0
        else:
            said[field] = ""
    return said


def unwritten(page):
    """The lines that the table quotes and that the page, DIALECTS.md, does not have."""
    return [line for *_, line in TABLE if line and line not in page]
