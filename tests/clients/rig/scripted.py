"""The scripted provider: a small OpenAI-shaped server whose behaviour is fixed by the model name it is asked for, on
every path of `apis.py`.

No state is switched between tests, so tests cannot disturb each other:

    echo          a full answer, plain or streamed, after what `answers`, `prompts`, `responses` and `vectors` say
    slow          headers only after 30 s
    drip          a stream of one event per 50 ms, for 60 s
    cut           a stream that breaks off after three words, without its end
    cut-early     a stream whose connection breaks before the first word
    error-event   a stream that reports an error of its own after three words
    fail-500      500 with a message; likewise fail-503
    deny-401      401, as for a key that was withdrawn
    busy-429      429 with `retry-after: 1`
    refuse-400    400 with a message, code and parameter, as for a context that is too long; likewise refuse-422

A response is kept for the key that made it: `GET` and `DELETE /v1/responses/{id}`, `GET .../input_items`, and
`previous_response_id`, which other keys get 404 and 400 for.

Every call is recorded as it arrived, bytes included, and how it ended. A call is found by its `user` field or by any text
in its body: `GET /_calls?user=NAME`, `GET /_calls?has=TEXT` -> [{"method", "path", "model", "headers", "body" (base64),
"arrived", "ended" (unix s), "outcome"}], where the outcome is `running`, `answered`, `cut` (by this server) or `aborted`
(by the caller, before the answer's end).
"""
import asyncio
import base64
import json
import sys
import time
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from . import responses
from .apis import APIS, Api

SLOW = 30.0  # s
DRIP_EVERY, DRIP_WORDS = 0.05, 1200  # s, words
PACE = 0.002  # s between the events of a usual stream
OPENING_SHOWN = 0.1  # s; a gateway that passes on an opening without content has done so by then
CALLS = []
KEPT = responses.Kept()


class Ask(NamedTuple):
    """A call as the scripts see it."""

    api: Api
    request: dict
    key: str


class Cut(Exception):
    """The server breaks the connection on purpose."""


async def serve(reader, writer):
    """One connection: requests in turn, each watched for the caller's leaving."""
    try:
        while request := await read_request(reader):
            if not await answer_watched(request, reader, writer):
                break
    except (ConnectionError, asyncio.IncompleteReadError):
        pass  # the peer left between two requests; what it left unfinished is already recorded
    finally:
        writer.close()


async def read_request(reader):
    """(method, target, headers, body) of the next request, or None at the end of the connection."""
    head = await reader.readline()
    if not head:
        return None
    method, target, _ = head.decode().split(" ", 2)
    headers = {}
    while (line := (await reader.readline()).strip()):
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    return method, target, headers, await read_body(reader, headers)


async def read_body(reader, headers):
    """The body, by length or in chunks."""
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return await reader.readexactly(int(headers.get("content-length", 0)))
    body = b""
    while size := int((await reader.readline()).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


async def answer_watched(request, reader, writer):
    """Answers while watching for the caller's leaving; says whether the connection lives on."""
    method, target, headers, body = request
    if urlsplit(target).path == "/_calls":
        return await send_json(writer, 200, recorded(parse_qs(urlsplit(target).query)))
    call = {"arrived": time.time(), "ended": None, "outcome": "running", "headers": headers}
    call |= {"method": method, "path": target, "body": base64.b64encode(body).decode()}
    CALLS.append(call)
    answering = asyncio.create_task(answer_call(call, body, writer))
    gone = asyncio.create_task(reader.read(1))
    await asyncio.wait({answering, gone}, return_when=asyncio.FIRST_COMPLETED)
    if not answering.done():
        answering.cancel()
    gone.cancel()
    results = await asyncio.gather(answering, gone, return_exceptions=True)
    call["outcome"] = outcome(results[0])
    call["ended"] = time.time()
    return call["outcome"] == "answered"


def outcome(result):
    """How the answering task ended, in the words of the record."""
    if isinstance(result, Cut):
        return "cut"
    if isinstance(result, (asyncio.CancelledError, ConnectionError)):
        return "aborted"
    if isinstance(result, BaseException):
        raise result
    return "answered"


def recorded(query):
    """The calls that were asked for."""
    (kind, (wanted,)), *_ = query.items()
    if kind == "user":
        return [call for call in CALLS if call.get("user") == wanted]
    return [call for call in CALLS if wanted.encode() in base64.b64decode(call["body"])]


async def answer_call(call, body, writer):
    """Any call: one that generates or embeds, or one about a response that is kept."""
    path, key = urlsplit(call["path"]).path, call["headers"].get("authorization", "")
    if path.startswith("/v1/responses/"):
        return await answer_kept(call["method"], path, key, writer)
    if call["method"] != "POST" or path not in APIS:
        return await send_json(writer, 404, failure("no such page", "not_found"))
    try:
        request = json.loads(body)
        call["model"], call["user"] = request["model"], request.get("user")
        APIS[path].check(request)
    except (ValueError, KeyError, TypeError) as err:
        return await send_json(writer, 400, failure(f"scripted provider: {err}", None, "invalid_request_error"))
    script = SCRIPTS.get(request["model"], echo)
    await script(Ask(APIS[path], request, key), writer)


async def answer_kept(method, path, key, writer):
    """What is kept: shown, its input listed, or forgotten."""
    name, _, part = path.removeprefix("/v1/responses/").partition("/")
    kept = KEPT.find(key, name)
    if kept is None or (method, part) not in (("GET", ""), ("DELETE", ""), ("GET", "input_items")):
        return await send_json(writer, 404, failure(f"Response with id '{name}' not found.", None, "invalid_request_error"))
    if method == "DELETE":
        KEPT.forget(key, name)
        return await send_json(writer, 200, {"id": name, "object": "response", "deleted": True})
    return await send_json(writer, 200, responses.input_items(kept[0]) if part else kept[1])


async def echo(ask, writer):
    """A full answer."""
    name = ask.request.get("previous_response_id")
    previous = KEPT.find(ask.key, name) if name else None
    if name and previous is None:
        body = failure(f"Previous response with id '{name}' not found.", "previous_response_not_found")
        return await send_json(writer, 400, body)
    answer = ask.api.plain(ask.request, previous[0] if previous else None)
    if ask.api.name == "responses":
        KEPT.keep(ask.key, ask.request, answer)
    if not ask.request.get("stream") or ask.api.events is None:
        return await send_json(writer, 200, answer)
    await open_stream(writer)
    await send_paced(writer, ask.api.events(ask.request, answer), PACE)
    await end_stream(ask, writer)


async def slow(ask, writer):
    """An answer that no test waits for."""
    await asyncio.sleep(SLOW)
    await echo(ask, writer)


async def drip(ask, writer):
    """A stream that outlasts every test."""
    await open_stream(writer)
    await send_paced(writer, ask.api.beginning(ask.request, DRIP_WORDS), DRIP_EVERY)
    await end_stream(ask, writer)


async def cut(ask, writer):
    """Three words, then nothing: no finish reason, no [DONE], no last chunk."""
    await open_stream(writer)
    await send_paced(writer, ask.api.beginning(ask.request, 3), PACE)
    raise Cut


async def cut_early(ask, writer):
    """A stream that opens and breaks before its first word."""
    await open_stream(writer)
    await send_paced(writer, ask.api.beginning(ask.request, 0), PACE)
    await asyncio.sleep(OPENING_SHOWN)
    raise Cut


async def error_event(ask, writer):
    """Three words, then the provider's own error."""
    await open_stream(writer)
    said = ask.api.beginning(ask.request, 3)
    await send_paced(writer, said, PACE)
    error = failure("scripted provider: the model crashed", "server_error", "server_error")
    if ask.api.name == "responses":
        error = {**error["error"], "type": "error", "sequence_number": len(said)}
    await send_event(writer, error)
    writer.write(framed(b""))
    await writer.drain()


def refusing(status, message, code, kind="server_error", param=None, headers=None):
    """A script that only says no."""
    body = {"error": {"message": f"scripted provider: {message}", "type": kind, "param": param, "code": code}}

    async def refuse(_ask, writer):
        await send_json(writer, status, body, headers)

    return refuse


TOO_LONG = ("9000 tokens are too many", "context_length_exceeded", "invalid_request_error", "messages")
SCRIPTS = {
    "slow": slow,
    "drip": drip,
    "cut": cut,
    "cut-early": cut_early,
    "error-event": error_event,
    "fail-500": refusing(500, "out of order", "server_error"),
    "fail-503": refusing(503, "overloaded", "overloaded"),
    "deny-401": refusing(401, "Incorrect API key provided", "invalid_api_key", "invalid_request_error"),
    "busy-429": refusing(429, "slow down", "rate_limit_exceeded", "requests", headers={"retry-after": "1"}),
    "refuse-400": refusing(400, *TOO_LONG),
    "refuse-422": refusing(422, "a field is not to its liking", "invalid_value", "invalid_request_error", "metadata"),
}


def failure(message, code, kind="server_error"):
    """An error body in OpenAI's shape."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


async def open_stream(writer):
    """The head of an event stream."""
    writer.write(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
        b"transfer-encoding: chunked\r\nx-request-id: req_scripted\r\n\r\n"
    )
    await writer.drain()


async def end_stream(ask, writer):
    """[DONE] and the end of the body in one write: some SDKs hang up at [DONE], and that is not an abort."""
    writer.write((framed(b"data: [DONE]\n\n") if ask.api.done else b"") + framed(b""))
    await writer.drain()


async def send_paced(writer, events, pace):
    """Events, one after each pause."""
    for event in events:
        await asyncio.sleep(pace)
        await send_event(writer, event)


async def send_event(writer, event):
    """One server-sent event; those of a response are named."""
    name = f"event: {event['type']}\n" if "type" in event else ""
    writer.write(framed(f"{name}data: {json.dumps(event, ensure_ascii=False)}\n\n".encode()))
    await writer.drain()


def framed(data):
    """One chunk of a chunked body; an empty one ends it."""
    return b"%x\r\n%s\r\n" % (len(data), data)


async def send_json(writer, status, value, headers=None):
    """A whole answer; the connection lives on."""
    body = json.dumps(value, ensure_ascii=False).encode()
    lines = [f"HTTP/1.1 {status} Scripted", "content-type: application/json", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    await writer.drain()
    return True


async def main(port):
    """Serves until it is ended."""
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main(int(sys.argv[1])))
    except KeyboardInterrupt:
        pass
