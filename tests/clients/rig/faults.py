"""A proxy that does one thing wrong before a gateway that does it right: `python -m rig.faults PORT GATEWAY_PORT FAULT`.

A test that passes all the same shows nothing. `controls.py` says which tests must notice which fault.
"""
import asyncio
import re
import sys


def header(name, value=None):
    """Every header of an answer that begins so: gone, or with another value."""
    line = re.compile(rf"(?im)^({name}[^:]*):.*\r\n".encode())
    return lambda head: line.sub(b"" if value is None else rb"\1: " + value.encode() + b"\r\n", head)


def text(pattern, by):
    """Something in a body, by a pattern."""
    return lambda data: re.sub(pattern, by, data)


def ended(event):
    """An event that tells of a break, as one that tells of an end."""
    for told, instead in (
        (rb"response\.failed|(?<=event: )error", b"response.completed"),
        (rb'"type": ?"error"', b'"type":"response.completed"'),
        (rb'"error": ?\{', b'"x":{'),
    ):
        event = re.sub(told, instead, event)
    return event


ASKED = {
    "floats": text(rb'"encoding_format": ?"base64"', b'"encoding_format":"float"'),
    "other-account": lambda body: body.replace(b'"kept"', b'"echo"') if b"previous_response_id" in body else body,
    "other-picture": text(rb"AAECAwQF", b"AAECAwQG"),
    "always-stored": text(rb'"store": ?false', b'"store":true'),
}
HEADS = {
    "no-request-id": header("x-request-id"),
    "no-wait": header("retry-after"),
    "wait-for-nothing": header("retry-after", "0"),
    "retry-anyway": header("x-should-retry"),
    "all-500": lambda head: re.sub(rb"^HTTP/1.1 (4\d\d|50[234])", b"HTTP/1.1 500", head),
    "no-attempts": header("x-weir-attempts", "1"),
}
SAID = {
    "other-code": text(rb'"code": ?"[a-z_]+"', b'"code":"other"'),
    "other-usage": text(rb'"(completion|output|prompt|input)_tokens": ?(\d+)', rb'"\1_tokens":1\2'),
    "number-lost": text(rb'"sequence_number": ?([3-9])\b', rb'"sequence_number":1\1'),
    "order-lost": text(rb'"index": ?1\b', b'"index":0'),
    "word-lost": text(rb'"( are| from| hello|the)"', b'""'),
    "break-hidden": lambda data: ended(data) if b"rror" in data or b"failed" in data else data,
    "fragment-lost": text(rb'"(arguments|delta)": ?"[^"\\]{2,9}"', rb'"\1":""'),
}
FAULTS = (*ASKED, *HEADS, *SAID, "stays", "asks-twice")


async def serve(reader, writer, port, fault):
    """One call, then the connection ends."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?im)^content-length: *(\d+)", head)
        body = await reader.readexactly(int(length[1])) if length else b""
        body = ASKED.get(fault, bytes)(body)
        head = re.sub(rb"(?im)^(content-length|connection|accept-encoding):.*\r\n", b"", head)[:-2]
        request = head + b"connection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
        if fault == "asks-twice":
            gateway, upward = await ask(port, request)
            await gateway.read()
            upward.close()
        gateway, upward = await ask(port, request)
        await answer(reader, writer, gateway, upward, fault)
    except (ConnectionError, asyncio.IncompleteReadError):
        pass  # one side left; the other is let go below
    finally:
        writer.close()


async def ask(port, request):
    """A connection to the gateway that has been sent the request."""
    gateway, upward = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
    upward.write(request)
    await upward.drain()
    return gateway, upward


async def answer(reader, writer, gateway, upward, fault):
    """Passes the answer on while the client is there; `stays` reads it to its end in any case."""
    passing = asyncio.create_task(passed(gateway, writer, fault))
    gone = asyncio.create_task(reader.read(1))
    await asyncio.wait({passing, gone}, return_when=asyncio.FIRST_COMPLETED)
    gone.cancel()
    passing.cancel()  # nothing happens if it is done, or has seen by itself that the client left
    await asyncio.gather(passing, return_exceptions=True)
    while fault == "stays" and await gateway.read(65_536):
        pass
    upward.close()


async def passed(gateway, writer, fault):
    """The whole answer, in chunks, events whole."""
    head = HEADS.get(fault, bytes)(await gateway.readuntil(b"\r\n\r\n"))
    chunked = b"transfer-encoding: chunked" in head.lower()
    head = re.sub(rb"(?im)^(content-length|transfer-encoding|connection):.*\r\n", b"", head)[:-2]
    writer.write(head + b"connection: close\r\ntransfer-encoding: chunked\r\n\r\n")
    async for data in events(gateway) if chunked else whole(gateway):
        data = SAID.get(fault, bytes)(data)
        writer.write(b"%x\r\n%s\r\n" % (len(data), data) if data else b"")
        await writer.drain()
    writer.write(b"0\r\n\r\n")
    await writer.drain()


async def whole(gateway):
    """A plain body."""
    yield await gateway.read()


async def events(gateway):
    """The events of a stream, so that none is cut where a fault looks for something."""
    waiting = b""
    while size := int((await gateway.readuntil(b"\r\n")).strip(), 16):
        waiting += await gateway.readexactly(size)
        await gateway.readexactly(2)
        *complete, waiting = waiting.split(b"\n\n")
        for event in complete:
            yield event + b"\n\n"
    yield waiting


async def main(port, gateway_port, fault):
    """Serves until it is ended."""
    if fault not in FAULTS:
        sys.exit(f"no such fault: {fault}")

    async def connected(reader, writer):
        await serve(reader, writer, gateway_port, fault)

    server = await asyncio.start_server(connected, "127.0.0.1", port, limit=1 << 24)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
