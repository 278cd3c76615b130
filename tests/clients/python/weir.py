"""What every test needs: clients of the gateway, and the scripted provider's record of what reached it."""
import base64
import functools
import json
import os
import time
import urllib.request
import uuid

import openai

SETTINGS = json.loads(os.environ["WEIR_CLIENTS"])
STRANGE = 'Zürich "Altstadt" \\ 日本 🚀'  # what the scripted provider puts into every generated string
ASK = [{"role": "user", "content": "How are you?"}]
SEEN_WITHIN = 1.0  # s, for a cancelled call to be cancelled upstream


def options(tenant, more):
    """The SDK's settings; without its own retries unless the test asks for them, so that failures are ours."""
    key = SETTINGS["keys"].get(tenant, tenant)
    return {"base_url": SETTINGS["gateway"] + "/v1", "api_key": key, "max_retries": 0, "timeout": 20.0, **more}


@functools.cache
def client(tenant="main", **more):
    """The blocking client, with a tenant's key (or any other text as the key). One for all who want the same, as programs
    have it: to make one takes longer than most calls here.
    """
    return openai.OpenAI(**options(tenant, more))


def async_client(tenant="main", **more):
    """The async client."""
    return openai.AsyncOpenAI(**options(tenant, more))


def mark():
    """A fresh value for the `user` field, by which a call is found at the provider."""
    return f"mark-{uuid.uuid4()}"


def arrivals(user):
    """The calls that reached the scripted provider with this `user`, oldest first, bodies decoded to bytes."""
    with urllib.request.urlopen(f"{SETTINGS['scripted']}/_calls?user={user}", timeout=5) as answer:
        calls = json.load(answer)
    for call in calls:
        call["body"] = base64.b64decode(call["body"])
    return calls


def arrivals_with(text):
    """The calls that reached the scripted provider with this text in their body, oldest first."""
    with urllib.request.urlopen(f"{SETTINGS['scripted']}/_calls?has={text}", timeout=5) as answer:
        return json.load(answer)


def mocked(text):
    """The requests that reached aimock with this text anywhere in their body, oldest first."""
    with urllib.request.urlopen(f"{SETTINGS['aimock']}/__aimock/journal", timeout=5) as answer:
        return [entry for entry in json.load(answer) if text in json.dumps(entry["body"], ensure_ascii=False)]


def logged(request_id):
    """The gateway's line about one call; it is written just after the call's end."""
    found = []

    def look():
        with open(SETTINGS["log"], encoding="utf-8") as lines:
            found[:] = [json.loads(line) for line in lines if request_id in line and '"weir::call"' in line]
        return found

    eventually(look, SEEN_WITHIN, f"no line about {request_id} in the gateway's log")
    assert len(found) == 1, f"more than one line about one call: {found}"
    return found[0]


def counted(line):
    """(input, cached, output) tokens of a line."""
    return line["input_tokens"], line["cached_tokens"], line["output_tokens"]


def only_arrival(user):
    """The one call that reached the provider with this `user`."""
    calls = arrivals(user)
    assert len(calls) == 1, f"expected one arrival at the provider, saw {len(calls)}: {calls}"
    return calls[0]


def wait_aborted(user, since):
    """Waits until the provider has seen the caller of its one call leave; `since` is when the client left (unix s)."""
    eventually(lambda: only_arrival(user)["outcome"] != "running", SEEN_WITHIN, "the provider still answers")
    call = only_arrival(user)
    assert call["outcome"] == "aborted", f"the provider's record says {call['outcome']!r}, not 'aborted'"
    late = call["ended"] - since
    assert late <= SEEN_WITHIN, f"the provider saw the abort {late:.3f} s after the client left"


def strict_log():
    """Every call that reached the strict provider, from arrival on."""
    with urllib.request.urlopen(f"{SETTINGS['strict']}/_log", timeout=5) as answer:
        return [json.loads(line) for line in answer.read().splitlines()]


def eventually(holds, within, otherwise, every=0.02):
    """Polls until `holds()`, `every` so many seconds; fails with `otherwise` after `within` of them."""
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, f"{otherwise} after {within} s"
        time.sleep(every)


def text_of(chunks, index=0):
    """The text of one choice of a stream."""
    return "".join(
        choice.delta.content or "" for chunk in chunks for choice in chunk.choices if choice.index == index
    )
