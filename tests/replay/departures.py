"""What providers do not take as OpenAI does, of requests that clients of OpenAI's dialect sent. Pure.

Written from the providers' documentation and public reports, not from the gateway's presets.
"""
import json
import re

BOUNDED_BY_MAX_TOKENS = {"mistral", "deepseek", "perplexity", "together"}
WITHOUT_DEVELOPER = {"mistral", "deepseek", "perplexity", "together", "cerebras"}
WITHOUT_STREAM_OPTIONS = {"mistral"}
SHORT_IDS = {"mistral"}
STRICT = {"mistral"}
UNKNOWN = ("user", "verbosity", "prompt_cache_key", "service_tier", "logprobs", "top_logprobs", "store")
UNSAID = {"stream": False, "logprobs": False, "top_logprobs": 0}  # the values of absent fields


def asks_usage(home):
    """May it be asked for the usage of a stream?"""
    return home not in WITHOUT_STREAM_OPTIONS


def fitted(home, request):
    """The request as this provider takes it; None if it takes it as it is."""
    before, body = json.loads(request), json.loads(request)
    if home in WITHOUT_STREAM_OPTIONS:
        body.pop("stream_options", None)
    if home in BOUNDED_BY_MAX_TOKENS and "max_completion_tokens" in body:
        body["max_tokens"] = body.pop("max_completion_tokens")
    for message in body.get("messages", []):
        if home in WITHOUT_DEVELOPER and message["role"] == "developer":
            message["role"] = "system"
    long = home in SHORT_IDS and any(not is_short(holder[key]) for holder, key in ids(body))
    if not long and body == before:
        return None
    if home in STRICT:  # it refuses these too, but a client's own words that need nothing else pass
        body = {("random_seed" if name == "seed" else name): value for name, value in body.items() if name not in UNKNOWN}
    return body


def ids(body):
    """Where ids of calls stand: an object and a key."""
    for message in body.get("messages", []):
        if "tool_call_id" in message:
            yield message, "tool_call_id"
        yield from ((call, "id") for call in message.get("tool_calls") or [])


def is_short(one):
    """Nine letters and digits?"""
    return re.fullmatch("[A-Za-z0-9]{9}", one) is not None


def alike(home, body):
    """The request without what may be said in two ways: ids, if each is as the provider takes it, by the order in which they
    first come; no text beside calls, which is empty, null or left out; texts in parts; what goes without saying."""
    names = {}
    for holder, key in ids(body):
        if home in SHORT_IDS:
            holder[key] = names.setdefault(holder[key], len(names))
    for message in body.get("messages", []):
        parts = message.setdefault("content", None)
        if isinstance(parts, list) and all(part.keys() == {"type", "text"} for part in parts):
            message["content"] = "".join(part["text"] for part in parts)
        if message.get("tool_calls"):
            message["content"] = message["content"] or None
    return {name: value for name, value in body.items() if UNSAID.get(name, ...) != value}
