"""Is a recorded refusal told as the contract says, in the client's dialect? Pure; a fault is a name and a text."""
import json

import expected
from across import accounts
from across.accounts import KEY

# What each API calls a refusal with this status (DESIGN.md, section 5; the APIs' own lists).
TYPES = {
    "openai": {400: "invalid_request_error", 404: "invalid_request_error", 413: "invalid_request_error",
               422: "invalid_request_error", 429: "rate_limit_error", 502: "server_error"},
    "anthropic": {400: "invalid_request_error", 404: "not_found_error", 413: "request_too_large",
                  422: "invalid_request_error", 429: "rate_limit_error", 502: "api_error"},
    "google": {400: "INVALID_ARGUMENT", 404: "NOT_FOUND", 413: "INVALID_ARGUMENT", 422: "INVALID_ARGUMENT",
               429: "RESOURCE_EXHAUSTED", 502: "INTERNAL"},
}  # fmt: skip
VOICES = {"chat": "openai", "responses": "openai", "messages": "anthropic", "gemini": "google"}
CODES = {429: "rate_limit_exceeded", 502: "upstream_failed"}


class Told:
    """What an SDK's exception says."""

    def __init__(self, err):
        body = getattr(err, "body", None) or getattr(err, "details", None) or {}
        error = body.get("error", body) if isinstance(body, dict) else {}
        self.error = error if isinstance(error, dict) else {}
        self.status = getattr(err, "status_code", None) or getattr(err, "code", None)
        self.body, self.text = body, json.dumps(body)
        self.message = str(self.error.get("message") or "")

    def is_raw(self, one):
        """Is it what the provider said? One of the SDKs keeps only the member `error`."""
        try:
            own = json.loads(one.body)
        except ValueError:
            return False
        return self.body == own or isinstance(own, dict) and self.body == own.get("error")


def faults(one, client, err):
    """Everything that is wrong with one refusal."""
    told, wanted, voice = Told(err), expected.refusal(one), VOICES[client]
    if told.status != wanted.status:
        yield "status", f"{told.status} instead of {wanted.status} for {one.status} {one.body[:200]!r}"
        return
    identifier = expected.account_in(one)
    if KEY in told.text or identifier and identifier in told.text:
        yield "leak", f"an identifier of the account: {told.text[:200]}"
    if not wanted.code and client in accounts.speaks(one) and told.is_raw(one):
        return  # the provider's own words to a client of its dialect
    yield from words(one, voice, told, wanted)
    if wanted.code:
        quoted = expected.runs(told.message) & expected.runs(one.body.decode())
        if quoted:
            yield "leak", f"the provider is quoted: {min(quoted)}"
    elif not identifier and told.message not in texts(one) and texts(one):
        yield "message", f"{told.message!r} instead of one of {texts(one)}"


def words(one, voice, told, wanted):
    """Type and code."""
    own = set() if wanted.code else set(names(one))
    kind = told.error.get("status" if voice == "google" else "type")
    if kind not in own | {TYPES[voice][wanted.status]}:
        yield "type", f"{kind!r} instead of {TYPES[voice][wanted.status]!r} for {one.body[:150]!r}"
    if voice == "openai":
        codes = {CODES[wanted.status]} if wanted.code else {*own, None, "upstream_refused"}
        if told.error.get("code") not in codes:
            yield "code", f"{told.error.get('code')!r} instead of {codes}"
    if voice == "google" and told.error.get("code") != wanted.status:
        yield "code", f"{told.error.get('code')!r} instead of {wanted.status}"


def names(one):
    """The words by which the provider calls its refusal."""
    error = said(one)
    return [error.get(name) for name in ("type", "code", "status") if error.get(name)]


def said(one):
    """The members of the provider's error, wherever it has them."""
    try:
        body = json.loads(one.body)
    except ValueError:
        return {}
    body = body[0] if isinstance(body, list) and body else body
    error = body.get("error", body) if isinstance(body, dict) else {}
    return error if isinstance(error, dict) else {"message": error}


def texts(one):
    """What the provider says in sentences."""
    error = said(one)
    return [error[name] for name in ("message", "Message", "detail") if isinstance(error.get(name), str)]
