"""Calls that Google streams in pieces: each says where in the arguments it belongs, and whether more comes."""
import re


def joined(parts):
    """The parts, those of one call made one."""
    found, call = [], None
    for part in parts:
        piece = part.get("functionCall")
        if piece is None:
            found.append(part)
            continue
        if call is None:
            call = {"name": piece.get("name"), "args": dict(piece.get("args") or {})}
            found.append({"functionCall": call})
        for partial in piece.get("partialArgs") or []:
            put(call["args"], steps(partial["jsonPath"]), value_of(partial))
        call = call if piece.get("willContinue") else None
    return found


def steps(path):
    """`$.a[0].b` as a, 0, b."""
    return [int(at) if at else name for name, at in re.findall(r"\.(\w+)|\[(\d+)\]", path)]


def value_of(partial):
    """What a piece adds."""
    return next(value for name, value in partial.items() if name.endswith("Value"))


def put(target, path, value):
    """Sets a value, or adds to the text that is there."""
    for at, following in zip(path, path[1:]):
        target = below(target, at, list if isinstance(following, int) else dict)
    before = below(target, path[-1], type(value))
    target[path[-1]] = before + value if isinstance(value, str) else value


def below(target, at, kind):
    """What stands there, made if nothing does."""
    if isinstance(target, list):
        target.extend(kind() for _ in range(at + 1 - len(target)))
        return target[at]
    return target.setdefault(at, kind())
