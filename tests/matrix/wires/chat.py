"""OpenAI's Chat Completions, as OpenAI and Azure speak it."""

import json

from openai.types.chat import completion_create_params as params

from story import pieces

from .common import data_event, image_of, joined, named_results, now, parsed, text_turn, unpaired
from .strict import problems

FINISH = {"stop": "stop", "calls": "tool_calls", "length": "length", "refused": "stop"}
CHOICES = {"auto": "auto", "required": "required", "none": "none"}


def check(body, stream):
    """Everything that OpenAI would refuse."""
    kind = params.CompletionCreateParamsStreaming if stream else params.CompletionCreateParamsNonStreaming
    found = problems(body, kind)
    if found:
        return found
    if body["model"].startswith("gpt-5") and "max_tokens" in body:
        found.append("'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.")
    if body["model"].startswith("gpt-4") and "reasoning_effort" in body:
        found.append("Unrecognized request argument supplied: reasoning_effort")
    if body.get("tool_choice") and not body.get("tools"):
        found.append("'tool_choice' is only allowed when 'tools' are specified.")
    if "stream_options" in body and not body.get("stream"):
        found.append("The 'stream_options' parameter is only allowed when 'stream' is enabled.")
    return found + unpaired(turns(body))


def facts(body):
    """What is asked, in no dialect."""
    format = body.get("response_format") or {}
    choice = body.get("tool_choice")
    return {
        "system": "\n".join(text_of(one) for one in body["messages"] if one["role"] in ("system", "developer")),
        "turns": turns(body),
        "tools": [tool(one["function"]) for one in body.get("tools") or []],
        "choice": CHOICES.get(choice) if isinstance(choice, str) else None,
        "schema": format.get("json_schema", {}).get("schema"),
        "reasons": body.get("reasoning_effort") not in (None, "none"),
        "max_tokens": body.get("max_completion_tokens") or body.get("max_tokens"),
        "temperature": body.get("temperature"),
        "cached": False,
        "signatures": None,  # no field for them
    }


def tool(function):
    """A function tool."""
    return {
        "name": function["name"],
        "description": function.get("description"),
        "schema": function.get("parameters"),
    }


def text_of(message):
    """A message's texts, one after the other."""
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def turns(body):
    """The conversation without its instructions; results are a user's."""
    found = []
    for one in body["messages"]:
        if one["role"] == "tool":
            result = {"id": one["tool_call_id"], "text": text_of(one)}
            found.append(text_turn("user", results=[result]))
        elif one["role"] in ("user", "assistant"):
            content = one.get("content")
            parts = content if isinstance(content, list) else []
            images = [image_of(part["image_url"]["url"]) for part in parts if part["type"] == "image_url"]
            calls = [call_of(call) for call in one.get("tool_calls") or []]
            found.append(text_turn(one["role"], text_of(one), images=images, calls=calls))
    return named_results(joined(found))


def call_of(call):
    """A call in the history."""
    function = call["function"]
    return {"id": call["id"], "name": function["name"], "arguments": parsed(function["arguments"])}


def usage(said):
    """Reasoning is part of the output, the cached part of the prompt."""
    counts = said["usage"]
    return {
        "prompt_tokens": counts["input"],
        "completion_tokens": counts["output"],
        "total_tokens": counts["input"] + counts["output"],
        "prompt_tokens_details": {"cached_tokens": counts["cached"], "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": counts["reasoning"],
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def whole(said, model):
    """A whole answer. The API tells no reasoning, only its tokens."""
    message = {
        "role": "assistant",
        "content": said["text"] or None,
        "refusal": said["refusal"] or None,
        "annotations": [],
    }
    if said["calls"]:
        message["tool_calls"] = [
            {"id": call["id"], "type": "function", "function": spelled(call)} for call in said["calls"]
        ]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": FINISH[said["finish"]]}
    return {**head(model, "chat.completion"), "choices": [choice], "usage": usage(said)}


def spelled(call):
    """A call's function with its arguments as text."""
    return {"name": call["name"], "arguments": json.dumps(call["arguments"])}


def head(model, kind):
    """What every object begins with."""
    return {
        "id": "chatcmpl-CaZ0matrix",
        "object": kind,
        "created": now(),
        "model": model,
        "service_tier": "default",
        "system_fingerprint": "fp_0a1b2c3d4e",
    }


def events(said, model, body):
    """The stream's events; usage only if it was asked for."""
    counted = (body.get("stream_options") or {}).get("include_usage", False)

    def chunk(choices, counts=None):
        """One event."""
        more = {"usage": counts} if counted else {}
        return data_event({**head(model, "chat.completion.chunk"), "choices": choices, **more})

    def delta(value, finish=None):
        """One event with a choice."""
        return chunk([{"index": 0, "delta": value, "logprobs": None, "finish_reason": finish}])

    yield delta({"role": "assistant", "content": None if said["calls"] else "", "refusal": None})
    for field, text in (("refusal", said["refusal"]), ("content", said["text"])):
        for piece in pieces(text):
            yield delta({field: piece})
    for at, call in enumerate(said["calls"]):
        function = spelled(call)
        first = {"index": at, "id": call["id"], "type": "function", "function": {**function, "arguments": ""}}
        yield delta({"tool_calls": [first]})
        for piece in pieces(function["arguments"]):
            yield delta({"tool_calls": [{"index": at, "function": {"arguments": piece}}]})
    yield delta({}, FINISH[said["finish"]])
    if counted:
        yield chunk([], usage(said))
    yield data_event("[DONE]")


def refusal(message):
    """The body of a 400."""
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}, {}


def broken(message, _number):
    """What a stream says when it cannot go on."""
    return data_event({"error": {"message": message, "type": "server_error", "param": None, "code": None}})


def content_ends(event):
    """Is this event behind the content?"""
    return b'"finish_reason":"' in event
