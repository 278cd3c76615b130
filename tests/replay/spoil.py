"""Lies of the provider, for the selftest: one answer per gateway differs from its recording, and the run must fail."""
import re
import threading

SPOILS = ("byte", "usage", "status")


def spoiler(kind):
    """What the provider plays for an exchange: `(status, headers, body, stream)`, the first that suits spoilt."""
    once = threading.Lock()

    def play(exchange):
        recording = exchange.recording
        status, body = recording.status, recording.body
        if kind and suits(kind, recording) and once.acquire(blocking=False):
            status, body = spoilt(kind, status, body)
        return status, recording.headers, body, recording.stream

    return play


def suits(kind, recording):
    """Can this recording show it?"""
    if kind == "status":
        return recording.status == 400
    return recording.status == 200 and spoilt(kind, 200, recording.body)[1] != recording.body


def spoilt(kind, status, body):
    """Another status, one letter of the model's text, or one more token."""
    if kind == "status":
        return 422, body
    if kind == "byte":
        return status, re.sub(rb'("(?:content|text)":\s*"[^"\\]*)e', rb"\1E", body, count=1)
    more = lambda match: match[1] + str(int(match[2]) + 1).encode()  # noqa: E731
    return status, re.sub(rb'("(?:completion_tokens|output_tokens|candidatesTokenCount)":\s*)(\d+)', more, body)
