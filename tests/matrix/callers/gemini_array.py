"""Gemini's stream as a JSON array, which comes without `alt=sse`: no SDK asks for it, plain HTTP clients do.

The bodies are made of the SDK's types and read by them, so that they are judged as strictly.
"""

import json
import urllib.request

from google.genai import types

from story import question

from .gemini import config, content, kind_of, parts_of, told
from .heard import KEY, WITHIN, failed, kinds


class Refused(Exception):
    """An element of the array that is a failure."""


def client(base_url, key=KEY, _kind=None):
    """The address and the key."""
    return base_url, key


def body(asked):
    """The request's body."""
    beside = config(asked)
    found = {"contents": [plain(content(one)) for one in asked["turns"]]}
    found["generationConfig"] = {"maxOutputTokens": beside.max_output_tokens}
    if beside.temperature is not None:
        found["generationConfig"]["temperature"] = beside.temperature
    if beside.tools:
        found |= {"tools": [plain(one) for one in beside.tools], "toolConfig": plain(beside.tool_config)}
    return found


def plain(value):
    """One of the SDK's objects as JSON."""
    return value.model_dump(mode="json", by_alias=True, exclude_none=True)


def ask(client, model, scenario, _stream):
    """Makes the call and tells what was heard."""
    base_url, key = client
    url = f"{base_url}/v1beta/models/{model}:streamGenerateContent"
    headers = {"content-type": "application/json", "x-goog-api-key": key}
    request = urllib.request.Request(url, json.dumps(body(question(scenario))).encode(), headers)
    chunks, so_far = [], []
    try:
        with urllib.request.urlopen(request, timeout=WITHIN) as reply:
            elements = json.load(reply)
        for element in elements:
            if "error" in element:
                raise Refused(json.dumps(element["error"]))
            element.get("usageMetadata", {}).pop("serviceTier", None)  # Google says it, the SDK's types do not
            chunks.append(types.GenerateContentResponse.model_validate_json(json.dumps(element)))
            so_far += [part.text or "" for part in parts_of(chunks[-1]) if not part.thought]
        return told(chunks, kinds([kind_of(chunk) for chunk in chunks]))
    except (OSError, Refused) as err:
        return failed(err, "".join(so_far))
