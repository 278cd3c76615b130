"""The recordings: read from a folder of JSON lines, one file per provider, and made into exchanges to replay."""
import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from homes import GOOGLES, TAILS, home_of, speaks
from members import value_of, with_value

# Members of a request whose value changes how the stream's usage is asked for; none of them asks for it.
UNASKED = [None, "null", "{}", '{"include_usage":false}', '{"include_obfuscation":false}', '{ "include_usage" : null }']


@dataclass
class Recording:
    """One exchange with a provider."""

    id: str
    provider: str
    endpoint: str
    model: str
    stream: bool
    method: str
    path: str  # of the request, as the provider was asked
    query: str
    request_headers: dict
    request: str | None  # None: it was not recorded
    status: int
    headers: dict
    body: bytes
    home: str = "compatible"
    array: bool = False  # the client wants the stream as an array (Google)
    made: set = field(default_factory=set)  # ids of responses
    continues: str | None = None  # the id of one

    @property
    def links(self):
        """Ids by which recordings hang together: the gateway keeps what refers to a response at its deployment."""
        ids = self.made | ({self.continues} if self.continues else set())
        return {(self.home, one) for one in ids}


def read(folder):
    """Every recording that is played in its own dialect; provider and endpoint of those that no call of ours is for."""
    found, beyond = [], []
    for path in sorted(Path(folder).glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            raw = json.loads(line)
            if not is_ours(raw):
                beyond.append((raw["provider"], raw["endpoint"]))
                continue
            found += [played for one in single_answers(recording_of(raw)) for played in [one, *elsewhere(one)]]
    return found, beyond


def recording_of(raw):
    """A line of a file."""
    asked, answer = raw["request"], raw["response"]
    if {asked["body_encoding"], answer["body_encoding"]} - {"utf8", None}:
        raise ValueError(f"{raw['id']}: a body that is not text")
    recorded = asked["body"] or asked["method"] == "GET"
    request = None if raw["fidelity"].startswith("response-only") or not recorded else asked["body"] or ""
    recording = Recording(
        raw["id"], raw["provider"], raw["endpoint"], raw["model"] or "unnamed", raw["stream"],
        asked["method"], asked["path"], "&".join(f"{name}={value}" for name, value in asked["query"]),
        {name.lower(): values for name, values in asked["headers"].items()}, request,
        answer["status"], {name.lower(): values for name, values in answer["headers"].items()},
        (answer["body"] or "").encode(), home_of(raw["provider"], raw["endpoint"], asked["path"]),
    )  # fmt: skip
    if raw["endpoint"] == "streamGenerateContent":
        as_events(recording, request is not None and "alt=sse" not in recording.query)
    if raw["endpoint"] == "responses":
        recording.made = set(re.findall(r'"id"\s*:\s*"(resp_\w+)"', recording.body.decode()))
        before = request and value_of(request, "previous_response_id")
        recording.continues = json.loads(before) if before else None
    if raw["endpoint"] == "responses_get":
        recording.continues = response_id(recording.path)
    return recording


def is_ours(raw):
    """Is it a call that a client can make? The list of responses and the count of their input are not among those."""
    endpoint, asked = raw["endpoint"], raw["request"]
    if endpoint == "responses_get":
        return asked["method"] == "GET" and response_id(asked["path"]) is not None
    bedrock = raw["provider"] == "bedrock" and endpoint == "count_tokens"  # in its own dialect, which no client speaks
    return endpoint in {*TAILS, *GOOGLES} and not bedrock and asked["method"] in ("POST", None)


def as_events(recording, array):
    """Google is always asked for events: what was recorded as an array comes as them."""
    recording.array = array
    if recording.status == 200 and recording.body.lstrip().startswith(b"["):
        events = json.loads(recording.body)
        recording.body = b"".join(b"data: " + json.dumps(event).encode() + b"\r\n\r\n" for event in events)
        recording.headers = {**recording.headers, "content-type": ["text/event-stream"]}


def elsewhere(recording):
    """The same in another guise: at its provider's own preset, OpenAI's at one that takes less, Claude on Vertex,
    Google's streams for a client that wants an array."""
    if recording.home == "compatible" and speaks(recording.provider, recording.endpoint):
        yield replace(recording, id=f"{recording.id}/own", home=recording.provider)
    if recording.provider == "openai" and recording.endpoint == "chat_completions" and recording.status == 200:
        yield replace(recording, id=f"{recording.id}/mistral", home="mistral")
    if recording.home == "anthropic" and recording.model.startswith("claude") and recording.status == 200:
        yield replace(recording, id=f"{recording.id}/vertex", home="claude-on-vertex")
    if recording.endpoint == "streamGenerateContent" and not recording.array and recording.status == 200:
        yield replace(recording, id=f"{recording.id}/array", array=True)


def response_id(path):
    """The response that a path names."""
    named = re.fullmatch(r".*/responses/(resp_\w+)", path)
    return named and named[1]


LAST = re.compile(rb"event: (?:response\.(?:completed|incomplete|failed)|message_stop)\n(?:.+\n)+\n")


def single_answers(recording):
    """A file of fixtures may hold the answers of several calls in one stream; each is an exchange of its own."""
    ends = [match.end() for match in LAST.finditer(recording.body)] if recording.stream else []
    if len(ends) < 2:
        return [recording]
    parts = [recording.body[start:end] for start, end in zip([0, *ends], [*ends[:-1], len(recording.body)])]
    return [replace(recording, id=f"{recording.id}/{at}", body=part) for at, part in enumerate(parts)]


def unasked(recording, form):
    """The same stream for a client that does not ask for its usage, in one of the ways not to; None if it never did."""
    if recording.endpoint not in ("chat_completions", "completions"):
        return None
    options = recording.request and value_of(recording.request, "stream_options")
    if not options or not (json.loads(options) or {}).get("include_usage"):
        return None
    written = UNASKED[form % len(UNASKED)]
    if written is None:
        body = json.loads(recording.request)
        del body["stream_options"]
        request = json.dumps(body, ensure_ascii=False)
    else:
        request = with_value(recording.request, "stream_options", written)
    return replace(recording, id=f"{recording.id}/unasked", request=request)
