"""The scripted provider: a small OpenAI-shaped server whose behaviour is fixed by the model name it is asked for.

No state is switched between tests, so tests cannot disturb each other:

    echo          a full answer, plain or streamed, after what `answers` says
    slow          headers only after 30 s
    drip          a stream of one word per 50 ms, for 60 s
    cut           a stream that breaks off after three words, without its end
    cut-early     a stream whose connection breaks before the first word
    error-event   a stream that reports an error of its own after three words
    fail-500      500 with a message
    busy-429      429 with `retry-after: 1`
    refuse-400    400 with a message, code and parameter, as for a context that is too long

Every call is recorded as it arrived, bytes included, and how it ended; a call is found by its `user` field:
`GET /_calls?user=NAME` -> [{"model", "headers", "body" (base64), "arrived", "ended" (unix s), "outcome"}], where the
outcome is `running`, `answered`, `cut` (by this server) or `aborted` (by the caller, before the answer's end).
"""
import asyncio
import base64
import json
import sys
import time
from urllib.parse import parse_qs, urlsplit

from . import answers

SLOW = 30.0  # s
DRIP_EVERY, DRIP_WORDS = 0.05, 1200  # s, words
PACE = 0.002  # s between the events of a usual stream
OPENING_SHOWN = 0.1  # s; a gateway that passes on an opening without content has done so by then
CALLS = []


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
    if method == "GET":
        return await answer_get(target, writer)
    call = {"arrived": time.time(), "ended": None, "outcome": "running", "headers": headers}
    call["body"] = base64.b64encode(body).decode()
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


async def answer_get(target, writer):
    """The record."""
    url = urlsplit(target)
    user = parse_qs(url.query).get("user", [None])[0]
    if url.path != "/_calls":
        return await send_json(writer, 404, failure("no such page", "not_found"))
    return await send_json(writer, 200, [c for c in CALLS if user is None or c.get("user") == user])


async def answer_call(call, body, writer):
    """One chat completion."""
    try:
        request = json.loads(body)
        call["model"], call["user"] = request["model"], request.get("user")
        check(request)
    except (ValueError, KeyError, TypeError) as err:
        return await send_json(writer, 400, failure(f"scripted provider: {err}", None, "invalid_request_error"))
    script = SCRIPTS.get(request["model"], echo)
    await script(request, writer)


def check(request):
    """What OpenAI itself refuses before it generates anything."""
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages:
        raise ValueError("messages must be a non-empty array")
    if not all(isinstance(m, dict) and "role" in m for m in messages):
        raise ValueError("every message must be an object with a role")
    if not isinstance(request.get("stream") or False, bool):
        raise ValueError("stream must be true or false")
    if not isinstance(request.get("temperature", 1), (int, float)):
        raise ValueError("temperature must be a number")


async def echo(request, writer):
    """A full answer."""
    if not request.get("stream"):
        return await send_json(writer, 200, answers.completion(request))
    await open_stream(writer)
    for event in answers.chunks(request):
        await send_event(writer, event)
        await asyncio.sleep(PACE)
    await end_stream(writer)


async def slow(request, writer):
    """An answer that no test waits for."""
    await asyncio.sleep(SLOW)
    await echo(request, writer)


async def drip(request, writer):
    """A stream that outlasts every test."""
    await open_words(request, writer, 1)
    for _ in range(DRIP_WORDS):
        await asyncio.sleep(DRIP_EVERY)
        await send_event(writer, answers.chunk(request, 0, {"content": " drop"}, None))
    await end_stream(writer)


async def cut(request, writer):
    """Three words, then nothing: no finish reason, no [DONE], no last chunk."""
    await open_words(request, writer, 3)
    raise Cut


async def cut_early(request, writer):
    """A stream that opens and breaks before its first word."""
    await open_words(request, writer, 0)
    await asyncio.sleep(OPENING_SHOWN)
    raise Cut


async def error_event(request, writer):
    """Three words, then the provider's own error."""
    await open_words(request, writer, 3)
    await send_event(writer, failure("scripted provider: the model crashed", "server_error", "server_error"))
    writer.write(framed(b""))
    await writer.drain()


async def fail_500(_request, writer):
    """A failure of the provider."""
    await send_json(writer, 500, failure("scripted provider: out of order", "server_error", "server_error"))


async def busy_429(_request, writer):
    """A provider at its limit."""
    body = failure("scripted provider: slow down", "rate_limit_exceeded", "requests")
    await send_json(writer, 429, body, {"retry-after": "1"})


async def refuse_400(_request, writer):
    """A refusal of this request itself, as for a context that is too long."""
    body = failure("scripted provider: 9000 tokens are too many", "context_length_exceeded", "invalid_request_error")
    body["error"]["param"] = "messages"
    await send_json(writer, 400, body)


SCRIPTS = {
    "slow": slow,
    "drip": drip,
    "cut": cut,
    "cut-early": cut_early,
    "error-event": error_event,
    "fail-500": fail_500,
    "busy-429": busy_429,
    "refuse-400": refuse_400,
}


def failure(message, code, kind="server_error"):
    """An error body in OpenAI's shape."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


async def open_words(request, writer, words):
    """Opens a stream and sends its role and the first words."""
    await open_stream(writer)
    await send_event(writer, answers.chunk(request, 0, {"role": "assistant", "content": ""}, None))
    for number in range(words):
        await asyncio.sleep(PACE)
        await send_event(writer, answers.chunk(request, 0, {"content": f"word{number} "}, None))


async def open_stream(writer):
    """The head of an event stream."""
    writer.write(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
        b"transfer-encoding: chunked\r\nx-request-id: req_scripted\r\n\r\n"
    )
    await writer.drain()


async def end_stream(writer):
    """[DONE] and the end of the body in one write: some SDKs hang up at [DONE], and that is not an abort."""
    writer.write(framed(b"data: [DONE]\n\n") + framed(b""))
    await writer.drain()


async def send_event(writer, event):
    """One server-sent event."""
    writer.write(framed(f"data: {json.dumps(event, ensure_ascii=False)}\n\n".encode()))
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
