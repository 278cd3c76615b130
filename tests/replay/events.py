"""Streams of server-sent events."""
import json
import re


def split(body):
    """The events of a stream, each with the blank line that ends it."""
    return [event for event in re.split(rb"(?<=\n\n)|(?<=\r\n\r\n)", body) if event]


def value(event):
    """The JSON object that an event carries, or None."""
    lines = [line[5:] for line in event.splitlines() if line.startswith(b"data:")]
    try:
        read = json.loads(b"\n".join(lines))
    except ValueError:
        return None
    return read if isinstance(read, dict) else None


def values(body):
    """The JSON objects that a stream carries."""
    return [*filter(None, map(value, split(body)))]
