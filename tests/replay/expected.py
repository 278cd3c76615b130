"""What a recording must come to, read from it without any of the gateway's code: the contract in pure functions."""
import json
import re
from dataclasses import dataclass

import events
from homes import GOOGLES, HOMES
from tokens import counted

ITSELF = {400, 404, 413, 422}  # by these a provider refuses the request itself, so they reach the client
CLAUDES = ("messages", "count_tokens")
ACCOUNT = re.compile(r'"((?:user|org|proj|acct|team)[_-](?=[A-Za-z0-9]*[0-9])[A-Za-z0-9]{8,})"')
# Some say with 400 that they do not take our key.
OUR_KEY = re.compile(r"incorrect api key|invalid api key|api key not valid|authentication fail", re.I)


def only_usage(event):
    """Is it the chunk that OpenAI's streams end with when usage is asked for?"""
    value = events.value(event) or {}
    return counted(value.get("usage")) is not None and not value.get("choices")


def answer(recording, asks_usage):
    """The bytes that the client must get of a 200."""
    asked_by_us = recording.stream and recording.endpoint in ("chat_completions", "completions") and not asks_usage
    if recording.stream and recording.endpoint == "messages":
        whole = re.match(rb"[\s\S]*event: message_stop\n(?:.+\n)+\n", recording.body)
        return whole[0] if whole else recording.body  # what others put behind the end is not passed on
    if not asked_by_us:
        return recording.body
    return b"".join(event for event in events.split(recording.body) if not only_usage(event))


def is_cut(recording):
    """Is it a stream of Google's that nobody ended? Those that were made up by hand are; the gateway must say so."""
    ended = (b"finishReason", b"finish_reason", b"blockReason")
    google = recording.endpoint == "streamGenerateContent" and recording.status == 200
    return google and not any(word in recording.body for word in ended)


def charged(recording, used):
    """The tokens that count towards the provider's limits (`counting` in its preset); None if others than were used."""
    counting = HOMES[recording.home].facts["counting"]
    if counting["charge"] == "admission-max":
        return None  # what the request could have used
    if counting["input"] != "counted":  # it has no such limit, or nobody knows: the limit is whoever set it's
        return used.input + used.output
    left_out = used.cached if counting["cached_input"] == "excluded" else 0
    return used.input - left_out + (0 if counting["output"] == "excluded" else used.output)


def asks_usage(request):
    """Does a request ask for the usage of its stream?"""
    options = json.loads(request).get("stream_options")
    return bool(options and options.get("include_usage"))


@dataclass(frozen=True)
class Refusal:
    """How the client hears of a provider's refusal. Without a code it gets the provider's own body."""

    status: int
    code: str | None = None  # the word for it in the client's dialect
    waits: bool = False  # it is told when to come back
    final: bool = False  # it is told that coming back is of no use


def refusal(recording):
    """By the contract's table of errors, for a model that has one deployment."""
    said, status = recording.body.decode(), recording.status
    if recording.endpoint in GOOGLES:  # Google says it once more in the body, and made-up recordings only there
        told = re.search(r'"code": ?(\d{3})\b', said)
        status = int(told[1]) if told else status
    if status == 429:
        return Refusal(429, word("rate_limit_exceeded", recording.endpoint), waits=True)
    ours = recording.endpoint in GOOGLES and "FAILED_PRECONDITION" in said  # the account's country or bill
    if status in ITSELF and not ours and not OUR_KEY.search(said):
        return Refusal(status)
    return Refusal(502, word("upstream_failed", recording.endpoint), final=True)


def word(code, endpoint):
    """OpenAI's code, as the API of the endpoint calls it."""
    if endpoint in CLAUDES:
        return {"rate_limit_exceeded": "rate_limit_error", "upstream_failed": "api_error"}[code]
    if endpoint in GOOGLES:
        return {"rate_limit_exceeded": "RESOURCE_EXHAUSTED", "upstream_failed": "INTERNAL"}[code]
    return code


def account_in(recording):
    """An identifier of the provider's account or user in a refusal; then its message comes in the gateway's words."""
    found = ACCOUNT.search(recording.body.decode())
    return found.group(1) if found else None


def runs(text, length=4):
    """Every sequence of that many words: what shows that one text quotes another."""
    words = re.findall(r"[\w\-./]+", text.lower())
    return {tuple(words[at : at + length]) for at in range(len(words) - length + 1)}
