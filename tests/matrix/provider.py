"""A strict provider of every kind on one port: the answers are scripted by the model's name, every request is kept.

What the vendor would refuse is refused here, in its own words' form: a wrong key, an unknown field, an unanswered call.
"""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import story
from wires import WIRES, converse, sigv4

KEY = "sk-matrix-upstream"
AWS_KEY, AWS_SECRET = "AKIAMATRIX", "matrix/secret+key"

# kind -> (path, wire, the headers that may hold the key and how it is written in them)
AZURE = {"api-key": KEY}
BEARER = {"authorization": f"Bearer {KEY}"}
ROUTES = (
    ("chat", r"/v1/chat/completions", "chat", BEARER),
    ("responses", r"/v1/responses", "responses", BEARER),
    ("azure", r"/openai/deployments/(?P<model>[^/]+)/chat/completions", "chat", AZURE),
    ("azure", r"/openai/v1/chat/completions", "chat", AZURE),
    ("azure", r"/openai/v1/responses", "responses", AZURE),
    ("anthropic", r"/v1/messages", "messages", {"x-api-key": KEY, **BEARER}),
    ("gemini", r"/v1beta/models/(?P<model>[^/]+):(?P<call>\w+)", "gemini", {"x-goog-api-key": KEY}),
    (
        "vertex",
        r"/v1(beta1)?/projects/matrix/locations/us-east1/publishers/google/models/(?P<model>[^/]+):(?P<call>\w+)",
        "gemini",
        BEARER,
    ),
    ("bedrock", r"/model/(?P<model>[^/]+)/(?P<call>converse|converse-stream)", "converse", None),
)
# the newest SDK sends a version of its own
ANTHROPIC_VERSIONS = ("2023-06-01", "2026-10-21")
STREAMS = {"streamGenerateContent": True, "generateContent": False, "converse-stream": True, "converse": False}


class Asked:
    """One request: for which kind, model and scenario, on which wire, and what was wrong with it."""

    def __init__(self, kind, wire, path, query, headers, body):
        self.kind, self.wire, self.path, self.query = kind, wire, path, query
        self.headers, self.body = headers, body
        self.model, self.stream, self.problems = "", False, []

    def facts(self):
        """What it asks, in no dialect."""
        return WIRES[self.wire].facts(self.body)


class Provider:
    """The server; a context manager. `take()` gives the requests since the last one."""

    def __init__(self, damage=None, mangle=None):
        # for the selftest: what becomes of each piece of an answer, and of a request's body
        self.damage, self.mangle = damage or (lambda data: data), mangle or (lambda body: body)
        self.kept, self.lock = [], threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.provider = self
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def take(self):
        """The requests that came since this was last called."""
        with self.lock:
            taken, self.kept = self.kept, []
        return taken

    def keep(self, asked):
        """Remembers a request."""
        with self.lock:
            self.kept.append(asked)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Nothing: the judge tells."""

    def do_POST(self):
        """Reads, checks, keeps and answers a call."""
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        raw = self.rfile.read(int(headers.get("content-length", 0)))
        route, found = next(((r, m) for r in ROUTES if (m := re.fullmatch(r[1], path))), (None, None))
        if route is None:
            return self.send(404, {"error": {"message": f"no such path: {path}"}}, {})
        kind, _, wire, keys = route
        try:
            body = self.server.provider.mangle(json.loads(raw))
        except ValueError:
            return self.send(400, *WIRES[wire].refusal("the body is no JSON"))
        asked = Asked(kind, wire, path, parse_qs(query), headers, body)
        asked.model = unquote(found.groupdict().get("model") or body.get("model", ""))
        asked.stream = STREAMS.get(found.groupdict().get("call"), body.get("stream", False) is True)
        denied = self.denied(asked, keys, raw)
        asked.problems = [denied] if denied else problems(asked)
        self.server.provider.keep(asked)
        if asked.problems:
            return self.send(401 if denied else 400, *WIRES[wire].refusal("; ".join(asked.problems)))
        return self.answer(asked)

    def denied(self, asked, keys, raw):
        """Why the caller is not let in, or None."""
        if keys is None:
            path = urlsplit(self.path).path
            return sigv4.problem("POST", path, asked.headers, raw, AWS_KEY, AWS_SECRET)
        right = [name for name, wanted in keys.items() if asked.headers.get(name) == wanted]
        return None if len(right) == 1 else f"none of the headers {sorted(keys)} has the account's key"

    def answer(self, asked):
        """What the scenario says."""
        wire, scenario = WIRES[asked.wire], story.scenario_of(asked.model)
        if scenario == "loop" and asked.facts()["turns"][-1]["results"]:
            scenario = "loop-end"
        said = story.answer(scenario)
        if scenario == "error" and not asked.stream:
            return self.send(400, *wire.refusal(story.ERROR_TEXT))
        if not asked.stream:
            more = [asked.body] if asked.wire == "responses" else []
            return self.send(200, wire.whole(said, asked.model, *more), {})
        return self.stream(wire, said, asked, scenario == "error")

    def stream(self, wire, said, asked, breaks):
        """A stream, in chunks; one that breaks says why and ends before its end."""
        kind = "application/vnd.amazon.eventstream" if wire is converse else "text/event-stream; charset=utf-8"
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for number, event in enumerate(wire.events(said, asked.model, asked.body)):
            if breaks and wire.content_ends(event):
                self.chunk(wire.broken(story.BROKEN_TEXT, number))
                break
            self.chunk(event)
        self.wfile.write(b"0\r\n\r\n")

    def chunk(self, data):
        """One piece of a stream, out at once."""
        data = self.server.provider.damage(data)
        if not data:
            return
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def send(self, status, body, headers):
        """A whole answer."""
        data = json.dumps(body, ensure_ascii=False).encode()
        data = self.server.provider.damage(data) if status == 200 else data
        self.send_response(status)
        for name, value in {"content-type": "application/json", **headers, "content-length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


def problems(asked):
    """What the provider would refuse: path, headers and body."""
    found = []
    if asked.kind == "azure" and "deployments" in asked.path and "api-version" not in asked.query:
        found.append("Resource not found: api-version is missing")
    if asked.kind == "anthropic" and asked.headers.get("anthropic-version") not in ANTHROPIC_VERSIONS:
        found.append("anthropic-version: header is required")
    if asked.wire == "gemini" and asked.stream and asked.query.get("alt") != ["sse"]:
        found.append("a stream is asked for without alt=sse")
    if asked.kind in ("gemini", "vertex") and "model" in asked.body:
        found.append('Invalid JSON payload received. Unknown name "model": Cannot find field.')
    body = {"model": asked.model, **asked.body} if asked.kind == "azure" else asked.body
    if story.scenario_of(asked.model) not in story.SCENARIOS:
        return [f"unknown model {asked.model!r}"]
    try:
        return found + WIRES[asked.wire].check(body, asked.stream)
    except (ValueError, KeyError, TypeError, AttributeError) as err:
        return [*found, f"unreadable: {err!r}"]
