"""What a recording must come to, read from it without any of the gateway's code: the contract in pure functions."""
import json
import re
from dataclasses import dataclass

from homes import GOOGLES

ITSELF = {400, 404, 413, 422}  # by these a provider refuses the request itself, so they reach the client
CLAUDES = ("messages", "count_tokens")
COUNTS_ONLY = ("count_tokens", "countTokens")
ACCOUNT = re.compile(r'"((?:user|org|proj|acct|team)[_-](?=[A-Za-z0-9]*[0-9])[A-Za-z0-9]{8,})"')
OUR_KEY = re.compile(r"incorrect api key|invalid api key|api key not valid|authentication fail", re.I)  # some say it with 400


@dataclass(frozen=True)
class Usage:
    """Tokens of one call."""

    input: int
    cached: int
    output: int


def events(body):
    """The events of a stream, each with the blank line that ends it."""
    return [event for event in re.split(rb"(?<=\n\n)|(?<=\r\n\r\n)", body) if event]


def chunk(event):
    """The JSON object that an event carries, or None."""
    lines = [line[5:] for line in event.splitlines() if line.startswith(b"data:")]
    try:
        value = json.loads(b"\n".join(lines))
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def only_usage(event):
    """Is it the chunk that OpenAI's streams end with when usage is asked for?"""
    value = chunk(event) or {}
    return counted(value.get("usage")) is not None and not value.get("choices")


def answer(recording, asks_usage):
    """The bytes that the client must get of a 200."""
    asked_by_us = recording.stream and recording.endpoint in ("chat_completions", "completions") and not asks_usage
    if recording.stream and recording.endpoint == "messages":
        whole = re.match(rb"[\s\S]*event: message_stop\n(?:.+\n)+\n", recording.body)
        return whole[0] if whole else recording.body  # what others put behind the end is not passed on
    if not asked_by_us:
        return recording.body
    return b"".join(event for event in events(recording.body) if not only_usage(event))


def is_cut(recording):
    """Is it a stream of Google's that nobody ended? Those that were made up by hand are; the gateway must say so."""
    ended = (b"finishReason", b"finish_reason", b"blockReason")
    google = recording.endpoint == "streamGenerateContent" and recording.status == 200
    return google and not any(word in recording.body for word in ended)


def charged(recording, used):
    """The tokens that the provider counts towards its limits (`counting` in its preset), None if those are not what was used."""
    if recording.home in ("azure", "foundry"):
        return None  # what the request could have used
    if recording.home == "anthropic":
        return used.input - used.cached + used.output
    return used.input if recording.home == "gemini" else used.input + used.output


def asks_usage(request):
    """Does a request ask for the usage of its stream?"""
    options = json.loads(request).get("stream_options")
    return bool(options and options.get("include_usage"))


def claude_counted(usage):
    """A `usage` of Anthropic's: what the cache gave and took stands beside the input."""
    if not isinstance(usage, dict) or not isinstance(usage.get("output_tokens"), int):
        return None
    read, written = usage.get("cache_read_input_tokens") or 0, usage.get("cache_creation_input_tokens") or 0
    return Usage((usage.get("input_tokens") or 0) + read + written, read, usage["output_tokens"])


def google_counted(usage):
    """A `usageMetadata`: thoughts stand beside the candidates, what tools brought beside the prompt."""
    if not isinstance(usage, dict) or not usage:
        return None
    given = (usage.get("promptTokenCount") or 0) + (usage.get("toolUsePromptTokenCount") or 0)
    made = (usage.get("candidatesTokenCount") or 0) + (usage.get("thoughtsTokenCount") or 0)
    return Usage(given, min(usage.get("cachedContentTokenCount") or 0, given), made)


def claude_usage(values):
    """The counts at the beginning of a stream, and what its end says anew of them."""
    told = {}
    for value in values:
        own = value.get("message") or value
        told |= {name: count for name, count in (own.get("usage") or {}).items() if count is not None}
    return claude_counted(told)


def google_usage(values):
    """The last counts stand."""
    found = [google_counted(value.get("usageMetadata")) for value in values]
    return next((usage for usage in reversed(found) if usage), None)


def counted(usage):
    """A `usage` object in either dialect, None if it counts nothing.

    The total has the last word: xAI leaves its reasoning out of the output, Mistral the audio out of the input.
    """
    if not isinstance(usage, dict):
        return None

    def first(*names):
        return next((usage[name] for name in names if isinstance(usage.get(name), int)), None)

    def detail(kind, name):
        parts = [usage.get(f"{side}_details") for side in kind]
        return max((part.get(name) or 0 for part in parts if part), default=0)

    given, made = first("prompt_tokens", "input_tokens"), first("completion_tokens", "output_tokens")
    if given is None and made is None and first("total_tokens") is None:
        return None
    given, made = given or 0, made or 0
    left_out = max((first("total_tokens") or 0) - given - made, 0)
    if left_out == detail(("completion_tokens", "output_tokens"), "reasoning_tokens"):
        made += left_out
    else:
        given += left_out
    cached = detail(("prompt_tokens", "input_tokens"), "cached_tokens")
    cached = max(cached, first("prompt_cache_hit_tokens") or 0, first("cached_tokens") or 0)
    return Usage(given, min(cached, given), made)


def usage(recording):
    """What the answer says that it used; None if it does not say, failed, or was made and counted before."""
    if recording.status != 200 or recording.method == "GET":
        return None
    if recording.endpoint in COUNTS_ONLY:
        return Usage(0, 0, 0)
    values = [*filter(None, map(chunk, events(recording.body)))] if recording.stream else [json.loads(recording.body)]
    if recording.endpoint == "messages":
        return claude_usage(values)
    if recording.endpoint in GOOGLES:
        return google_usage(values)
    told, failed = None, False
    for value in values:
        own = value["response"] if isinstance(value.get("response"), dict) else value
        told = counted(own.get("usage")) or told
        failed = failed or bool(value.get("error"))
    return None if failed else told


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
    """An identifier of the provider's account or user in a refusal; then the client gets its message in the gateway's words."""
    found = ACCOUNT.search(recording.body.decode())
    return found.group(1) if found else None


def runs(text, length=4):
    """Every sequence of that many words: what shows that one text quotes another."""
    words = re.findall(r"[\w\-./]+", text.lower())
    return {tuple(words[at : at + length]) for at in range(len(words) - length + 1)}
