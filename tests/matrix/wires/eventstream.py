"""AWS's binary event stream: length, headers' length, CRC of these, headers, payload, CRC of all."""

import json
import struct
import zlib

STRING = 7  # the type of a header's value


def frame(headers, payload):
    """One message; `headers` are texts by name."""
    block = b"".join(header(name, value) for name, value in headers.items())
    prelude = struct.pack(">II", 16 + len(block) + len(payload), len(block))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + block + payload
    return message + struct.pack(">I", zlib.crc32(message))


def header(name, value):
    """One header with a text."""
    name, value = name.encode(), value.encode()
    return struct.pack(">B", len(name)) + name + struct.pack(">BH", STRING, len(value)) + value


def event(kind, body):
    """An event with a JSON payload."""
    return frame({":event-type": kind, ":content-type": "application/json", ":message-type": "event"}, encoded(body))


def exception(kind, message):
    """An exception in the middle of a stream."""
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return frame(headers, encoded({"message": message}))


def encoded(body):
    """JSON as bytes."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
