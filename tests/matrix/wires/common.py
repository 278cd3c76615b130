"""What every wire needs: turns put together, data addresses, server-sent events."""

import base64
import json
import time

from story import turn


def joined(turns):
    """Neighbouring turns of one role as one, for dialects cut them differently."""
    merged = []
    for one in turns:
        if merged and merged[-1]["role"] == one["role"]:
            last = merged[-1]
            last["text"] += one["text"]
            for field in ("images", "calls", "results"):
                last[field] = last[field] + one[field]
        else:
            merged.append(dict(one))
    return merged


def named_results(turns):
    """Results get the name of the call that their id belongs to; a result that answers no call has none."""
    names = {call["id"]: call["name"] for one in turns for call in one["calls"]}
    for one in turns:
        one["results"] = [
            {**result, "name": result.get("name") or names.get(result["id"])} for result in one["results"]
        ]
    return turns


def unpaired(turns):
    """Problems of calls and results: each call is answered in the next turn, and nothing else is."""
    found = []
    for at, one in enumerate(turns):
        asked = sorted(call["id"] for call in turns[at - 1]["calls"]) if at else []
        told = sorted(result["id"] for result in one["results"])
        if asked != told:
            found.append(f"turn {at}: the calls {asked} are answered by {told}")
    if turns and turns[-1]["calls"]:
        found.append("the last turn's calls have no results")
    return found


def image_of(address):
    """The bytes of a `data:` address."""
    head, _, data = address.partition(",")
    if not head.startswith("data:image/png;base64"):
        raise ValueError(f"not a PNG as a data address: {head[:60]}")
    return base64.b64decode(data, validate=True)


def parsed(text):
    """A call's arguments from their text."""
    return json.loads(text) if text else {}


def now():
    """Seconds since 1970."""
    return int(time.time())


def data_event(body, name=None):
    """One server-sent event."""
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()


def text_turn(role, text="", **more):
    """A turn, for wires that collect it piece by piece."""
    return turn(role, text, **more)


def lowered(schema):
    """A schema with its types in small letters: Google also writes `STRING`."""
    if isinstance(schema, list):
        return [lowered(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: value.lower() if name == "type" and isinstance(value, str) else lowered(value)
        for name, value in schema.items()
    }


def data_address(image):
    """A PNG as a `data:` address."""
    return f"data:image/png;base64,{base64.b64encode(image).decode()}"
