"""Which framework is asked what, over which dialect, and how one of these cells is run."""

import story
from cells import Outcome, cell_name

from . import impossible, judge

CONVERSATIONS = ("text", "errand", "errands", "loop", "schema", "error")
# A form is how most frameworks get a structured answer where they do not ask for a schema.
EVERYTHING = (*CONVERSATIONS, "form")
CLIENTS = {
    "langchain-chat": EVERYTHING,
    "langchain-responses": EVERYTHING,
    "langchain-anthropic": EVERYTHING,
    "langchain-google": EVERYTHING,
    "agents-chat": CONVERSATIONS,
    "agents-responses": CONVERSATIONS,
    "pydantic-chat": EVERYTHING,
    "pydantic-responses": EVERYTHING,
    "pydantic-anthropic": EVERYTHING,
    "pydantic-google": EVERYTHING,
    "instructor-chat": ("schema", "form", "error"),
    "instructor-responses": ("form", "error"),
    "instructor-anthropic": ("form", "error"),
    "instructor-google": ("schema", "form", "error"),
}
# Streams of Responses that break off: these frameworks pass over the event that says so, or fall over it.
DEAF = ("pydantic-responses", "instructor-responses")
# the kind of provider that a dialect was made for
OWN = {"chat": "chat", "responses": "responses", "anthropic": "anthropic", "google": "gemini"}


def listed(direct=False):
    """(client, kind, scenario, stream) of every cell; without a gateway, each client at its own kind."""
    return [
        (client, kind, scenario, stream)
        for client, scenarios in CLIENTS.items()
        for kind in ([OWN[client.partition("-")[2]]] if direct else story.KINDS)
        for scenario in scenarios
        for stream in (False, True)
        if (scenario, stream) != ("error", True) or client not in DEAF
    ]


def run(cell, provider, call, model):
    """One cell: makes its call and judges both ends."""
    client, kind, scenario, stream = cell
    provider.take()
    heard = call(client, model, scenario, stream)
    failures = judge.verdict(client, kind, scenario, stream, provider.take(), heard)
    skipped = impossible.aspects(client, kind, scenario)
    return Outcome(client, kind, cell_name(scenario, stream), impossible.sorted_out(failures, skipped), skipped)
