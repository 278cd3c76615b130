"""Lies of the provider, for the selftest: the run must notice each."""
import re

SPOILS = ("letter", "argument", "end", "count", "class")
ENDS = re.compile(rb'"(?:finish_reason|stop_reason|finishReason|stopReason)": ?"(stop|end_turn|STOP)"')
CUT = {b"stop": b"length", b"end_turn": b"max_tokens", b"STOP": b"MAX_TOKENS"}


def spoiler(kind):
    """What the provider plays for a recording."""
    return lambda one: spoilt(kind, one) if kind else one.body


def spoilt(kind, one):
    """A letter of the model's text, an argument, the end, more tokens, another kind of refusal."""
    if kind == "letter":
        return re.sub(rb'("(?:content|text)": ?"[^"\\]*)e', rb"\1E", one.body, count=1)
    if kind == "argument":
        return re.sub(rb'(\\"city\\": ?\\")', rb"\1New ", one.body, count=1)
    if kind == "end":
        return ENDS.sub(lambda match: match[0].replace(match[1], CUT[match[1]]), one.body, count=1)
    if kind == "count":
        return re.sub(rb'("(?:completion_tokens|output_tokens|candidatesTokenCount)": ?)(\d+)', rb"\g<1>1\2", one.body)
    return one.body.replace(b"model_not_found", b"invalid_api_key")
