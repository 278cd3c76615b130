"""What a client has heard, in no dialect, and what all callers need."""

import json

KEY = "sk-matrix-client"
WITHIN = 20.0  # s, for one call


def heard(**more):
    """What an SDK gave; `raw` is its own object, or the kinds of a stream's events in order."""
    nothing = {"text": "", "reasoning": "", "refusal": "", "calls": [], "finish": None, "usage": None, "error": None}
    return nothing | {"signature": "", "id": None, "model": None, "raw": None} | more


def usage(input, output, cached=0, written=0, reasoning=0):
    """Tokens: the input with its cached part, the output with its reasoning."""
    return {
        "input": input or 0,
        "output": output or 0,
        "cached": cached or 0,
        "written": written or 0,
        "reasoning": reasoning or 0,
    }


def call(id, name, arguments):
    """A call; its arguments come as text or as an object."""
    arguments = json.loads(arguments or "{}") if isinstance(arguments, str) else arguments
    return {"id": id, "name": name, "arguments": arguments}


def kinds(names):
    """The kinds of a stream's events in order, repeats counted once: how often a text is cut is no matter."""
    return [name for at, name in enumerate(names) if at == 0 or names[at - 1] != name]


def failed(error, so_far="", status=None, where=""):
    """A call that ended in an error of the SDK."""
    cause = f" ({error.__cause__})" if error.__cause__ else ""
    message = " ".join(f"{where}{error}{cause}".split())
    return heard(text=so_far, error={"status": status, "message": message, "kind": type(error).__name__})
