"""The recordings as the provider serves them to clients of other dialects."""
import base64
import json
from dataclasses import dataclass
from pathlib import Path

import events
import expected
from across import frames
from across.readers import READERS
from across.streams import WHOLE
from homes import GOOGLES
from recordings import as_events, recording_of, single_answers

DIALECTS = {
    "chat_completions": "chat",
    "responses": "responses",
    "messages": "messages",
    "generateContent": "gemini",
    "streamGenerateContent": "gemini",
    "converse": "converse",
    "converse_stream": "converse",
}
EVENTS = "application/vnd.amazon.eventstream"


@dataclass
class Served:
    """One recorded answer."""

    id: str
    provider: str
    endpoint: str
    dialect: str | None  # None: its provider's own, which the gateway does not ask for
    upstream_model: str
    stream: bool
    status: int
    content_type: str
    headers: dict
    body: bytes
    number: int = -1

    @property
    def model(self):
        """What clients ask for."""
        return f"replay-{self.number}"

    @property
    def fails(self):
        """Is it a stream that says that it failed, or that nobody ended?"""
        if not self.stream or self.dialect == "converse":
            return False
        return expected.is_cut(self) or any(value.get("error") and not value.get("object") for value in self.values())

    @property
    def means(self):
        """What the answer says."""
        if self.stream:
            values = frames.events(self.body) if self.dialect == "converse" else self.values()
            return READERS[self.dialect](WHOLE[self.dialect](values))
        return READERS[self.dialect](json.loads(self.body))

    def values(self):
        """The events of a stream as JSON."""
        return events.values(self.body)


def read(folder):
    """All of them: good answers and refusals."""
    found = []
    for path in sorted(Path(folder).glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            raw = json.loads(line)
            if raw["response"]["status"] != 200 or raw["endpoint"] in DIALECTS:
                found += served(raw)
    for number, one in enumerate(found):
        one.number = number
    return found


def served(raw):
    """A line of a file."""
    answer, dialect = raw["response"], DIALECTS.get(raw["endpoint"])
    if answer["body_encoding"] == "base64":
        bodies = [base64.b64decode(answer["body"])]
    elif dialect == "converse" and raw["stream"] and answer["status"] == 200:  # only its events were kept
        bodies = [b"".join(map(frames.write, map(json.loads, answer["body"].splitlines())))]
    else:
        bodies = [one.body for one in single_answers(text(raw))]
    kind = (answer["headers"].get("content-type") or answer["headers"].get("Content-Type") or [None])[0]
    if raw["stream"] and answer["status"] == 200:
        kind = EVENTS if dialect == "converse" else "text/event-stream"
    headers = {name.lower(): values for name, values in answer["headers"].items()}
    for at, body in enumerate(bodies):
        name = raw["id"] if len(bodies) == 1 else f"{raw['id']}/{at}"
        yield Served(name, raw["provider"], raw["endpoint"], dialect, raw["model"] or "unnamed", raw["stream"],
                     answer["status"], kind or "application/json", headers, body)  # fmt: skip


def text(raw):
    """The recording, a stream of Google's as events."""
    recording = recording_of(raw)
    if raw["endpoint"] in GOOGLES and raw["stream"]:
        as_events(recording, False)
    return recording
