"""The tokens that an answer says it used, in each dialect, read without any of the gateway's code."""
import json
from dataclasses import dataclass

import events
from homes import GOOGLES

COUNTS_ONLY = ("count_tokens", "countTokens")


@dataclass(frozen=True)
class Usage:
    """Tokens of one call."""

    input: int
    cached: int
    output: int


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


def used(recording):
    """What the answer says that it used; None if it does not say, failed, or was made and counted before."""
    if recording.status != 200 or recording.method == "GET":
        return None
    if recording.endpoint in COUNTS_ONLY:
        return Usage(0, 0, 0)
    values = events.values(recording.body) if recording.stream else [json.loads(recording.body)]
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
