"""Where the members of a JSON object stand in its text, so that one can be changed and every other byte kept."""
import json
import re
from json.decoder import scanstring

BLANK = re.compile(r"[ \t\n\r]*")
DECODER = json.JSONDecoder()


class Member:
    """`text[start:end]` is `"key": value`, `text[value:end]` the value alone."""

    def __init__(self, key, start, value, end):
        self.key, self.start, self.value, self.end = key, start, value, end


def members(text):
    """The members of the object that `text` is, in order."""
    found = []
    at = blank(text, blank(text, 0) + 1)
    while text[at] == '"':
        start = at
        key, at = scanstring(text, at + 1)
        value = blank(text, blank(text, at) + 1)
        _, end = DECODER.raw_decode(text, value)
        found.append(Member(key, start, value, end))
        at = blank(text, end)
        if text[at] == ",":
            at = blank(text, at + 1)
    return found


def blank(text, at):
    """Behind the white space that begins at `at`."""
    return BLANK.match(text, at).end()


def find(text, key):
    """The member called `key`, or None."""
    return next((member for member in members(text) if member.key == key), None)


def value_of(text, key):
    """The value of that member as written, or None."""
    member = find(text, key)
    return text[member.value : member.end] if member else None


def with_value(text, key, written):
    """The text with `written` as that member's value; it becomes the first member if there was none."""
    if member := find(text, key):
        return text[: member.value] + written + text[member.end :]
    at = blank(text, 0) + 1
    comma = "," if members(text) else ""
    return f"{text[:at]}{json.dumps(key)}:{written}{comma}{text[at:]}"


def cuts(text, key):
    """What may have been there before the member was put in: it is cut out with the comma before or behind it."""
    member = find(text, key)
    before, behind = text[: member.start], text[member.end :]
    without = {before + behind.lstrip()[1:]} if behind.lstrip().startswith(",") else set()
    if before.rstrip().endswith(","):
        without.add(before.rstrip()[:-1] + behind)
    return without or {before + behind}
