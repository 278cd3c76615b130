"""Is a JSON value what a vendor's own types say it is?

Python SDKs of OpenAI and Anthropic describe their requests as typed dictionaries; these are read here as a strict schema:
a field that is not in them, one that is missing, or a value of another type is a problem with its path.
"""

import functools
import types
import typing
from typing import Annotated, Literal, NotRequired, Required, Union, get_args, get_origin

import typing_extensions

WRAPPERS = (Required, NotRequired, Annotated)


def problems(value, kind, path=""):
    """What is wrong with `value` as a `kind`: a list of texts, empty when nothing is."""
    while get_origin(kind) in WRAPPERS:
        kind = get_args(kind)[0]
    if typing_extensions.is_typeddict(kind):
        return of_dictionary(value, kind, path)
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return of_union(value, inner, path)
    if origin is Literal:
        return [] if value in inner else [f"{path}: {value!r} is none of {inner}"]
    if origin is dict or kind is dict or getattr(origin, "__name__", "") == "Mapping":
        return [] if isinstance(value, dict) else [f"{path}: not an object"]
    if origin is not None and getattr(origin, "__name__", "") in ("list", "Iterable", "Sequence"):
        if not isinstance(value, list):
            return [f"{path}: not a list"]
        return [text for at, one in enumerate(value) for text in problems(one, inner[0], f"{path}[{at}]")]
    return of_plain(value, kind, path)


def of_plain(value, kind, path):
    """Texts, numbers, and what needs no look inside."""
    if kind in (object, typing.Any):
        return []
    if kind is None or kind is type(None):
        return [] if value is None else [f"{path}: not null"]
    if kind is float:
        return [] if isinstance(value, (int, float)) and not isinstance(value, bool) else [f"{path}: not a number"]
    if kind is int and isinstance(value, bool):
        return [f"{path}: not an integer"]
    if isinstance(kind, type) and kind in (str, int, bool):
        return [] if isinstance(value, kind) else [f"{path}: not a {kind.__name__}"]
    # files and paths, which JSON cannot hold
    return [f"{path}: nothing that JSON can say"]


@functools.cache
def hints(kind):
    """The fields of a typed dictionary and their types."""
    return typing.get_type_hints(kind, include_extras=True)


@functools.cache
def required(kind):
    """The fields that must be there. What the class itself remembers is not enough: its annotations are texts."""
    marked = {name for name, of in hints(kind).items() if get_origin(of) is Required}
    return sorted(marked | set(kind.__required_keys__))


def of_dictionary(value, kind, path):
    """Known fields only, and all that are required."""
    if not isinstance(value, dict):
        return [f"{path}: not an object"]
    fields = hints(kind)
    found = [f"{path}.{name}: unknown field" for name in value if name not in fields]
    found += [f"{path}.{name}: missing" for name in required(kind) if name not in value]
    for name in value.keys() & fields.keys():
        found += problems(value[name], fields[name], f"{path}.{name}")
    return found


def of_union(value, alternatives, path):
    """The alternative that fits, else the problems of the one that fits best."""
    best = None
    for alternative in alternatives:
        found = problems(value, alternative, path)
        if not found:
            return []
        # a wrong word in `type` or `role` means that another alternative was meant
        weight = len(found) + 10 * sum(
            text.startswith((f"{path}.type:", f"{path}.role:", f"{path}: ")) for text in found
        )
        if best is None or weight < best[0]:
            best = (weight, found)
    return best[1]
