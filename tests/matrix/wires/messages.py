"""Anthropic's Messages."""

import base64
import json
import re

from anthropic.types import message_create_params as params

from story import SIGNATURE, pieces

from .common import data_event, joined, named_results, text_turn, unpaired
from .strict import problems

FINISH = {"stop": "end_turn", "calls": "tool_use", "length": "max_tokens", "refused": "refusal"}
CHOICES = {"auto": "auto", "any": "required", "none": "none"}
# The SDK no longer has these fields, for the newest models refuse them; Claude 4.5 takes them.
SAMPLING = {"temperature", "top_p", "top_k"}
ID = re.compile(r"[a-zA-Z0-9_-]+")


def check(body, stream):
    """Everything that Anthropic would refuse."""
    kind = params.MessageCreateParamsStreaming if stream else params.MessageCreateParamsNonStreaming
    found = problems({name: value for name, value in body.items() if name not in SAMPLING}, kind)
    found += [f"{name}: not a number" for name in SAMPLING & body.keys() if not isinstance(body[name], (int, float))]
    if found:
        return found
    roles = [one["role"] for one in body["messages"]]
    if not roles or roles[0] != "user":
        found.append("messages: first message must use the user role")
    if "system" in roles:
        found.append("messages: this model takes no system role")
    thinking = body.get("thinking") or {}
    if thinking.get("type") == "enabled":
        if not 1024 <= thinking["budget_tokens"] < body["max_tokens"]:
            found.append("thinking.budget_tokens: at least 1024, and below max_tokens")
        if body.get("temperature", 1) != 1 or "top_k" in body:
            found.append("`temperature` may only be set to 1 when thinking is enabled.")
    if thinking.get("type") == "adaptive" or (body.get("output_config") or {}).get("effort"):
        found.append("This model does not support adaptive thinking or the effort parameter.")
    if "temperature" in body and "top_p" in body:
        found.append("`temperature` and `top_p` cannot both be specified for this model.")
    found += blocks_wrong(body) + thoughts_wrong(body)
    return found + unpaired(turns(body))


def blocks_wrong(body):
    """Empty texts, odd ids, results that do not come first."""
    found = []
    for one in body["messages"]:
        blocks = blocks_of(one["content"])
        kinds = [block["type"] for block in blocks]
        if any(block["type"] == "text" and not block["text"].strip() for block in blocks):
            found.append("messages: text content blocks must be non-empty")
        if "tool_result" in kinds and "tool_result" in kinds[kinds.index("text") :] if "text" in kinds else False:
            found.append("messages: tool_result blocks must come first")
        ids = [block.get("id") or block.get("tool_use_id") for block in blocks]
        found += [f"messages: the id {one!r} does not match" for one in ids if one and not ID.fullmatch(one)]
    return found


def blocks_of(content):
    """Content as blocks."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def text_of(content):
    """The texts of a content."""
    return "".join(block.get("text", "") for block in blocks_of(content or []))


def facts(body):
    """What is asked, in no dialect."""
    thinking = body.get("thinking") or {}
    return {
        "system": text_of(body.get("system")),
        "turns": turns(body),
        "tools": [tool(one) for one in body.get("tools") or []],
        "choice": CHOICES.get((body.get("tool_choice") or {}).get("type")),
        "schema": ((body.get("output_config") or {}).get("format") or {}).get("schema"),
        "reasons": thinking.get("type") in ("enabled", "adaptive"),
        "max_tokens": body["max_tokens"],
        "temperature": body.get("temperature"),
        "signatures": signatures(body),
        "cached": "cache_control" in json.dumps(body.get("system")),
    }


def signatures(body):
    """The signatures of all thoughts in the conversation."""
    blocks = [block for one in body["messages"] for block in blocks_of(one["content"])]
    return [block["signature"] for block in blocks if block["type"] == "thinking"]


def thoughts_wrong(body):
    """A tool loop that thinks begins its last turn with the thought as it was signed."""
    found = ["Invalid `signature` in `thinking` block" for one in signatures(body) if one != SIGNATURE]
    messages = body["messages"]
    if (body.get("thinking") or {}).get("type") == "enabled" and len(messages) > 1:
        looping = blocks_of(messages[-1]["content"])[0]["type"] == "tool_result"
        if looping and blocks_of(messages[-2]["content"])[0]["type"] != "thinking":
            found.append("Expected `thinking` or `redacted_thinking`, but found `tool_use`.")
    return found


def tool(one):
    """A tool."""
    return {"name": one["name"], "description": one.get("description"), "schema": one["input_schema"]}


def turns(body):
    """The conversation."""
    found = []
    for one in body["messages"]:
        blocks = blocks_of(one["content"])
        sources = [block["source"] for block in blocks if block["type"] == "image"]
        calls = [
            {"id": block["id"], "name": block["name"], "arguments": block["input"]}
            for block in blocks
            if block["type"] == "tool_use"
        ]
        results = [
            {"id": block["tool_use_id"], "text": text_of(block.get("content"))}
            for block in blocks
            if block["type"] == "tool_result"
        ]
        images = [base64.b64decode(source["data"]) for source in sources if source["media_type"] == "image/png"]
        found.append(text_turn(one["role"], text_of(blocks), images=images, calls=calls, results=results))
    return named_results(joined(found))


def usage(said):
    """The input without its cached part."""
    counts = said["usage"]
    return {
        "input_tokens": counts["input"] - counts["cached"] - counts["written"],
        "cache_creation_input_tokens": counts["written"],
        "cache_read_input_tokens": counts["cached"],
        "cache_creation": {"ephemeral_5m_input_tokens": counts["written"], "ephemeral_1h_input_tokens": 0},
        "output_tokens": counts["output"],
        "output_tokens_details": {"thinking_tokens": counts["reasoning"]},
        "service_tier": "standard",
    }


def content(said):
    """The blocks of an answer."""
    found = []
    if said["reasoning"]:
        found.append({"type": "thinking", "thinking": said["reasoning"], "signature": said["signature"]})
    if words := said["text"] or said["refusal"]:
        found.append({"type": "text", "text": words})
    for call in said["calls"]:
        found.append({"type": "tool_use", "id": call["id"], "name": call["name"], "input": call["arguments"]})
    return found


def whole(said, model):
    """A whole answer."""
    return {
        "id": "msg_01matrix",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content(said),
        "stop_reason": FINISH[said["finish"]],
        "stop_sequence": None,
        "stop_details": None,
        "usage": usage(said),
    }


def events(said, model, _body):
    """The stream's events."""
    for event in plain_events(said, model):
        yield data_event(event, event["type"])


def plain_events(said, model):
    """The stream's events; a ping among them, as Anthropic sends it."""
    end = whole(said, model)
    counts = {**end["usage"], "output_tokens": 1}
    counts.pop("output_tokens_details")
    yield {"type": "message_start", "message": {**end, "content": [], "stop_reason": None, "usage": counts}}
    for at, block in enumerate(content(said)):
        yield {"type": "content_block_start", "index": at, "content_block": hollow(block)}
        if at == 0:
            yield {"type": "ping"}
        for delta in deltas(block):
            yield {"type": "content_block_delta", "index": at, "delta": delta}
        yield {"type": "content_block_stop", "index": at}
    stop = {"stop_reason": end["stop_reason"], "stop_sequence": None, "stop_details": None}
    last = {name: count for name, count in end["usage"].items() if name not in ("service_tier", "cache_creation")}
    yield {"type": "message_delta", "delta": stop, "usage": last}
    yield {"type": "message_stop"}


def hollow(block):
    """A block as it begins."""
    empty = {"text": "", "thinking": "", "signature": "", "input": {}}
    return {name: empty.get(name, value) for name, value in block.items()}


def deltas(block):
    """What fills a block."""
    if block["type"] == "text":
        yield from ({"type": "text_delta", "text": piece} for piece in pieces(block["text"]))
    elif block["type"] == "thinking":
        yield from ({"type": "thinking_delta", "thinking": piece} for piece in pieces(block["thinking"]))
        yield {"type": "signature_delta", "signature": block["signature"]}
    else:
        for piece in ["", *pieces(json.dumps(block["input"]))]:
            yield {"type": "input_json_delta", "partial_json": piece}


def refusal(message):
    """The body of a 400."""
    error = {"type": "invalid_request_error", "message": message}
    return {"type": "error", "error": error, "request_id": "req_01matrix"}, {"request-id": "req_01matrix"}


def broken(message, _number):
    """What a stream says when it cannot go on."""
    return data_event({"type": "error", "error": {"type": "overloaded_error", "message": message}}, "error")


def content_ends(event):
    """Is this event behind the content?"""
    return b'"type":"content_block_stop"' in event
