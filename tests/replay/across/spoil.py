"""Lies of the provider, for the selftest: the run must notice each."""
import re

SPOILS = ("letter", "argument", "end", "count", "class")
ENDS = rb'"(?:finish_reason|stop_reason|finishReason|stopReason)": ?"(stop|end_turn|STOP)"'


def spoiler(kind):
    """What the provider plays for a recording."""
    return lambda one: spoilt(kind, one) if kind else one.body


def spoilt(kind, one):
    """A letter of the model's text, an argument, the end, a token more, another kind of refusal."""
    if kind == "letter":
        return re.sub(rb'("(?:content|text)": ?"[^"\\]*)e', rb"\1E", one.body, count=1)
    if kind == "argument":
        return re.sub(rb'(\\"city\\": ?\\")', rb"\1New ", one.body, count=1)
    if kind == "end":
        return re.sub(ENDS, lambda match: match[0].replace(match[1], b"length"), one.body, count=1)
    if kind == "count":
        return re.sub(rb'("(?:completion_tokens|output_tokens|candidatesTokenCount)": ?)(\d+)', rb"\g<1>1\2", one.body)
    return one.body.replace(b"not found", b"invalid api key") if one.status != 200 else one.body
