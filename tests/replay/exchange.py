"""What is sent to the gateway for a recording, and what was seen of it on both sides."""
import json
from dataclasses import dataclass, field

import expected
from homes import GOOGLES, HOMES, TAILS, at_gateway, at_provider, shown
from members import with_value
from recordings import Recording, response_id, unasked

MINIMAL = {
    "chat_completions": '"messages":[{"role":"user","content":"Say it again."}]',
    "responses": '"input":"Say it again."',
    "messages": '"max_tokens":64,"messages":[{"role":"user","content":"Say it again."}]',
}
GOOGLES_MINIMAL = '{"contents":[{"role":"user","parts":[{"text":"Say it again."}]}]}'
KEYS = {"authorization", "x-api-key", "x-goog-api-key", "api-key"}
NOT_SENT = {"host", "content-length", "connection", "transfer-encoding", "accept-encoding", *KEYS}


@dataclass
class Arrival:
    """A request as the provider received it."""

    method: str
    path: str
    query: str
    headers: dict
    body: bytes


@dataclass
class Seen:
    """What came of one exchange."""

    status: int = 0
    headers: dict = field(default_factory=dict)
    body: bytes = b""
    broken: str | None = None  # why the client has no whole answer
    arrivals: list = field(default_factory=list)
    log: dict | None = None


@dataclass
class Exchange:
    """A recording, as one client's call to one model."""

    recording: Recording
    line: "Line"
    seen: Seen = field(default_factory=Seen)

    @property
    def request(self):
        """The text as recorded, or the least that asks for such an answer."""
        recording = self.recording
        if recording.request is not None:
            return recording.request
        if recording.endpoint in GOOGLES:
            return GOOGLES_MINIMAL
        stream = ',"stream":true' if recording.stream else ""
        chat = stream and recording.endpoint == "chat_completions"
        options = ',"stream_options":{"include_usage":true}' if chat else ""
        return f'{{"model":"unnamed",{MINIMAL[recording.endpoint]}{stream}{options}}}'

    def body_for(self, model):
        """The request's bytes with this name in it."""
        if self.recording.method == "GET":
            return b""
        if self.recording.endpoint in GOOGLES:  # it stands in the path, and in what is counted or embedded
            return self.request.replace(f'"models/{self.recording.model}"', f'"models/{model}"').encode()
        return with_value(self.request, "model", json.dumps(model)).encode()

    @property
    def asks_usage(self):
        """Does the client want the usage of its stream?"""
        chat = self.recording.endpoint in ("chat_completions", "completions")
        return chat and expected.asks_usage(self.request)

    @property
    def tail(self):
        """The path behind the base URL of a provider, or behind `/v1`."""
        recording = self.recording
        return TAILS.get(recording.endpoint, "") + (response_id(recording.path) if recording.method == "GET" else "")

    @property
    def target(self):
        """Path and query for the gateway."""
        return at_gateway(self.recording, self.line.model, self.tail)

    @property
    def place(self):
        """Path and query at the provider, behind the line's number."""
        return at_provider(self.recording, self.line.upstream_model, self.tail)

    @property
    def headers(self):
        """The client's headers as recorded, with a key of ours."""
        kept = {name: ", ".join(values) for name, values in self.recording.request_headers.items()}
        kept = {name: value for name, value in kept.items() if name not in NOT_SENT}
        if self.recording.endpoint in ("messages", "count_tokens"):
            kept = {"anthropic-version": "2023-06-01", **kept}
        header = HOMES[self.recording.home].client_key
        return {"content-type": "application/json", **kept, header: shown(header, "sk-of-the-client")}


@dataclass
class Line:
    """An account, a deployment and a model of one name, for recordings that belong together; one call at a time."""

    number: int
    exchanges: list = field(default_factory=list)
    now: Exchange | None = None  # the one under way

    @property
    def model(self):
        """What the client asks for."""
        return f"replay-{self.number}"

    @property
    def upstream_model(self):
        """The provider's name: that of the recording, so that a whole request comes out as it was recorded."""
        return self.exchanges[0].recording.model

    @property
    def key(self):
        """The account's secret."""
        return f"sk-of-account-{self.number}"


def lines(recordings):
    """A line for each recording; those that ids of responses tie together share one, what is made before its use."""
    groups = []
    for recording in recordings:
        tied = [group for group in groups if recording.links & group[0]]
        groups = [group for group in groups if group not in tied]
        links = recording.links.union(*(group[0] for group in tied))
        groups.append((links, [*(other for group in tied for other in group[1]), recording]))
    return [line(number, in_order(members)) for number, (_, members) in enumerate(groups)]


def in_order(recordings):
    """Each one behind those that make what it continues."""
    left, ordered = list(recordings), []
    while left:
        free = (r for r in left if not any(r.continues in other.made for other in left if other is not r))
        ordered.append(next(free, left[0]))
        left.remove(ordered[-1])
    return ordered


def line(number, recordings):
    """With the variants that do not ask for usage."""
    made = Line(number)
    for recording in recordings:
        variants = [recording, unasked(recording, number)]
        made.exchanges += [Exchange(variant, made) for variant in variants if variant]
    return made
