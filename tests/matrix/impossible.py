"""What a client cannot ask of a provider or hear from it, with the reason: not judged, yet kept in the golden files.

Compare with `gateway/DIALECTS.md`. An aspect is `asks.FIELD` (of the request, as the provider got it) or `hears.FIELD` (of the
answer, as the SDK gave it). Patterns are shell patterns.
"""
from fnmatch import fnmatch

OPENAI = ("chat", "responses", "azure")
GOOGLE = ("gemini", "vertex")
ANY = ("*",)

# clients, kinds, scenarios, aspects, reason
TABLE = (
    (
        ("chat", "responses", "gemini"),
        ANY,
        ("cache",),
        ("asks.cached",),
        "only Anthropic's dialect marks what is to be cached; the others' providers see it by themselves",
    ),
    (("messages",), (*OPENAI, *GOOGLE), ("cache",), ("asks.cached",), "OpenAI and Google take no marks: they cache by themselves"),
)

# What a provider's wire never tells: these fields of an answer are empty behind it.
UNTOLD = {
    "chat": {"reasoning": "OpenAI's Chat tells how long it reasoned, not what"},
    "converse": {"usage.reasoning": "Converse counts reasoning with the output"},
    "gemini": {"refusal": "Google stops without a word"},
}

# What an SDK itself takes out of a tool's schema before it sends it.
SCHEMAS_WITHOUT = {"ai-google": ("additionalProperties",)}  # it writes the OpenAPI subset


def aspects(client, kind, scenario):
    """The aspects of a cell that are impossible, with their reasons."""
    found = {}
    for clients, kinds, scenarios, names, reason in TABLE:
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
