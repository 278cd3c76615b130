"""The cells: which client calls which kind of provider, and how one cell is run."""

import traceback
from dataclasses import dataclass, field

import callers.chat
import callers.converse
import callers.gemini
import callers.gemini_array
import callers.messages
import callers.responses
import judge
import story

CALLERS = {
    "chat": callers.chat,
    "responses": callers.responses,
    "messages": callers.messages,
    "gemini": callers.gemini,
}
# a framing of streams beside the usual one, and the scenarios that show it
ARRAYS = {"gemini-array": callers.gemini_array}
ARRAY_SCENARIOS = ("text", "tools", "parallel", "error")
# without a gateway: each SDK against the provider that it was made for
DIRECT = (
    ("chat", "chat"),
    ("chat", "azure"),
    ("responses", "responses"),
    ("messages", "anthropic"),
    ("gemini", "gemini"),
    ("converse", "bedrock"),
)


@dataclass
class Outcome:
    """What became of one cell."""

    client: str
    kind: str
    cell: str
    failures: list = field(default_factory=list)
    skipped: dict = field(default_factory=dict)

    @property
    def name(self):
        """How it is chosen with --only."""
        return f"{self.client}/{self.kind}/{self.cell}"


def listed(pairs, scenarios=story.SCENARIOS):
    """(client, kind, scenario, stream) of every cell."""
    return [(*pair, scenario, stream) for pair in pairs for scenario in scenarios for stream in (False, True)]


def cell_name(scenario, stream):
    """A cell's name within its client and kind."""
    return f"{scenario}.stream" if stream else scenario


def python_caller(base_url, key=None):
    """Makes calls with the Python SDKs; `key` is the provider's when there is no gateway."""
    clients, modules = {}, {**CALLERS, **ARRAYS, "converse": callers.converse}

    def call(client, kind, model, scenario, stream):
        """Makes one call."""
        module = modules[client]
        if (client, kind) not in clients:
            own = (key, kind) if key else ()
            clients[client, kind] = module.client(base_url, *own)
        try:
            return module.ask(clients[client, kind], model, scenario, stream)
        except Exception as err:  # whatever an SDK raises over an answer is the finding
            where = traceback.extract_tb(err.__traceback__)[-1]
            return callers.heard.failed(err, where=f"at {where.name}: ")

    return call


def run(cell, provider, call, model, golden=None):
    """One cell: makes its call and judges both ends."""
    client, kind, scenario, stream = cell
    provider.take()
    heard = call(client, kind, model, scenario, stream)
    requests = provider.take()
    name = cell_name(scenario, stream)
    failures, skipped = judge.verdict(client, kind, scenario, stream, requests, heard)
    if golden and not failures:  # what fails already is neither kept nor compared
        failures += golden.compare(client, kind, name, requests, heard)
    return Outcome(client, kind, name, failures, skipped)
