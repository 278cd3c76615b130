"""AWS's event stream: frames of headers and a payload, each with two checksums."""
import json
import struct
import zlib

TEXT = 7  # the type of a header's value


def read(body):
    """Yields (headers, payload) of each frame."""
    at = 0
    while at < len(body):
        total, of_headers = struct.unpack_from(">II", body, at)
        headers = body[at + 12 : at + 12 + of_headers]
        yield dict(named(headers)), body[at + 12 + of_headers : at + total - 4]
        at += total


def named(data):
    """The headers, all of which are texts."""
    at = 0
    while at < len(data):
        length = data[at]
        name = data[at + 1 : at + 1 + length].decode()
        kind, size = struct.unpack_from(">BH", data, at + 1 + length)
        if kind != TEXT:
            raise ValueError(f"a header of type {kind}")
        at += 4 + length
        yield name, data[at : at + size].decode()
        at += size


def write(event):
    """The frame of an event `{kind: payload}`."""
    (kind, payload), = event.items()
    values = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    headers = b"".join(
        struct.pack(">B", len(name)) + name.encode() + struct.pack(">BH", TEXT, len(value)) + value.encode()
        for name, value in values.items()
    )
    body = json.dumps(payload).encode()
    head = struct.pack(">II", 16 + len(headers) + len(body), len(headers))
    head += struct.pack(">I", zlib.crc32(head))
    frame = head + headers + body
    return frame + struct.pack(">I", zlib.crc32(frame))


def events(body):
    """The events of a stream as JSON, `{kind: payload}`."""
    return [{headers[":event-type"]: json.loads(payload)} for headers, payload in read(body)]
