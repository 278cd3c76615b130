"""Does what a client got mean what was recorded? Pure; a fault is a name and a text."""
from across.impossible import has_media, without_media
from across.readers import READERS

# Ends for which most dialects have no word: told as the nearest that they have.
STANDS_FOR = {"other": {"other", "stop", "filtered"}, "paused": {"paused", "stop", "other"}}


def faults(one, client, answer):
    """Everything that is wrong with one answer."""
    got = READERS[client](answer)
    if one.fails:
        if got.finish != "failed":  # a response says so; other SDKs raise
            yield "failure", f"ended as if whole: {got}"
        return
    wanted = one.means
    text = without_media(got.text, client) if has_media(one) else got.text
    if wanted.text + wanted.refusal != text + got.refusal:
        yield "text", difference(text + got.refusal, wanted.text + wanted.refusal)
    if squeezed(wanted.thought) != squeezed(got.thought):
        yield "thought", difference(squeezed(got.thought), squeezed(wanted.thought))
    if wanted.calls != got.calls:
        yield "calls", f"{got.calls} instead of {wanted.calls}"
    if got.finish not in STANDS_FOR.get(wanted.finish, {wanted.finish}):
        yield "finish", f"{got.finish} instead of {wanted.finish}"
    if wanted.usage and got.usage != wanted.usage:
        yield "usage", f"{got.usage} instead of {wanted.usage}"


def squeezed(text):
    """Without white space: thoughts told in several parts are joined by lines in some dialects."""
    return "".join(text.split())


def difference(got, wanted):
    """Where two texts part."""
    at = next((at for at, (a, b) in enumerate(zip(got, wanted)) if a != b), min(len(got), len(wanted)))
    here = slice(max(0, at - 20), at + 60)
    return f"{len(got)} characters instead of {len(wanted)}, at {at}: {got[here]!r} instead of {wanted[here]!r}"
