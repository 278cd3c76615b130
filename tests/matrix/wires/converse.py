"""Bedrock's Converse, checked by botocore's own model of the service."""

import base64
import functools
import json
import re

import botocore.session
from botocore.validate import ParamValidator

from story import SIGNATURE, pieces

from .common import joined, named_results, text_turn, unpaired
from .eventstream import event, exception

FINISH = {"stop": "end_turn", "calls": "tool_use", "length": "max_tokens", "refused": "content_filtered"}
CHOICES = {"auto": "auto", "any": "required"}
ID = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")


@functools.cache
def request_shape():
    """What AWS says that a request of Converse is."""
    model = botocore.session.get_session().get_service_model("bedrock-runtime")
    return model.operation_model("Converse").input_shape


def decoded(value, shape):
    """Blobs as bytes, as botocore wants them."""
    if shape is None or getattr(shape, "is_document_type", False):
        return value
    if shape.type_name == "blob":
        return base64.b64decode(value, validate=True)
    if shape.type_name == "structure" and isinstance(value, dict):
        return {name: decoded(one, shape.members.get(name)) for name, one in value.items()}
    if shape.type_name == "list" and isinstance(value, list):
        return [decoded(one, shape.member) for one in value]
    return value


def check(body, _stream):
    """Everything that Bedrock would refuse."""
    request = decoded(body, request_shape()) | {"modelId": "in the path"}
    report = ParamValidator().validate(request, request_shape())
    if report.has_errors():
        return [report.generate_report()]
    found = []
    roles = [one["role"] for one in body["messages"]]
    if not roles or roles[0] != "user":
        found.append("A conversation must start with a user message.")
    if any(one == other for one, other in zip(roles, roles[1:], strict=False)):
        found.append("roles must alternate between user and assistant")
    blocks = [block for one in body["messages"] for block in one["content"]]
    if any("toolUse" in block or "toolResult" in block for block in blocks) and "toolConfig" not in body:
        found.append("The toolConfig field must be defined when using toolUse and toolResult content blocks.")
    if any("text" in block and not block["text"].strip() for block in blocks):
        found.append("The text field in the ContentBlock object is blank.")
    ids = [block["toolUse"]["toolUseId"] for block in blocks if "toolUse" in block]
    found += [f"the toolUseId {one!r} does not match" for one in ids if not ID.fullmatch(one)]
    return found + thoughts_wrong(body) + unpaired(turns(body))


def facts(body):
    """What is asked, in no dialect."""
    config = body.get("inferenceConfig") or {}
    tools = body.get("toolConfig") or {}
    structure = ((body.get("outputConfig") or {}).get("textFormat") or {}).get("structure") or {}
    schema = structure.get("jsonSchema", {}).get("schema")
    thinking = (body.get("additionalModelRequestFields") or {}).get("thinking") or {}
    return {
        "system": "".join(block.get("text", "") for block in body.get("system") or []),
        "turns": turns(body),
        "tools": [tool(one["toolSpec"]) for one in tools.get("tools") or [] if "toolSpec" in one],
        "choice": next((CHOICES.get(name) for name in tools.get("toolChoice") or {}), None),
        "schema": json.loads(schema) if schema else None,
        "reasons": thinking.get("type") in ("enabled", "adaptive"),
        "max_tokens": config.get("maxTokens"),
        "temperature": config.get("temperature"),
        "signatures": signatures(body),
        "cached": any("cachePoint" in block for block in body.get("system") or []),
    }


def signatures(body):
    """The signatures of all thoughts in the conversation."""
    blocks = [
        block["reasoningContent"] for one in body["messages"] for block in one["content"] if "reasoningContent" in block
    ]
    return [block["reasoningText"].get("signature") for block in blocks]


def thoughts_wrong(body):
    """A tool loop that thinks begins its last turn with the thought as it was signed."""
    found = ["Invalid `signature` in `thinking` block" for one in signatures(body) if one != SIGNATURE]
    thinking = (body.get("additionalModelRequestFields") or {}).get("thinking") or {}
    looping = thinking.get("type") == "enabled" and "toolResult" in body["messages"][-1]["content"][0]
    if looping and "reasoningContent" not in body["messages"][-2]["content"][0]:
        found.append("Expected `thinking` or `redacted_thinking`, but found `tool_use`.")
    return found


def tool(spec):
    """A tool."""
    schema = spec["inputSchema"]["json"]
    return {"name": spec["name"], "description": spec.get("description"), "schema": schema}


def turns(body):
    """The conversation."""
    found = []
    for one in body["messages"]:
        blocks = one["content"]
        calls = [block["toolUse"] for block in blocks if "toolUse" in block]
        results = [block["toolResult"] for block in blocks if "toolResult" in block]
        found.append(
            text_turn(
                one["role"],
                "".join(block.get("text", "") for block in blocks),
                images=[base64.b64decode(block["image"]["source"]["bytes"]) for block in blocks if "image" in block],
                calls=[{"id": call["toolUseId"], "name": call["name"], "arguments": call["input"]} for call in calls],
                results=[{"id": result["toolUseId"], "text": result_text(result)} for result in results],
            )
        )
    return named_results(joined(found))


def result_text(result):
    """A result's text."""
    return "".join(block["text"] if "text" in block else json.dumps(block) for block in result["content"])


def usage(said):
    """The input without its cached part; reasoning is in the output and not told apart."""
    counts = said["usage"]
    return {
        "inputTokens": counts["input"] - counts["cached"] - counts["written"],
        "outputTokens": counts["output"],
        "totalTokens": counts["input"] + counts["output"],
        "cacheReadInputTokens": counts["cached"],
        "cacheWriteInputTokens": counts["written"],
    }


def content(said):
    """The blocks of an answer."""
    found = []
    if said["reasoning"]:
        text = {"text": said["reasoning"], "signature": said["signature"]}
        found.append({"reasoningContent": {"reasoningText": text}})
    if words := said["text"] or said["refusal"]:
        found.append({"text": words})
    for call in said["calls"]:
        found.append({"toolUse": {"toolUseId": call["id"], "name": call["name"], "input": call["arguments"]}})
    return found


def whole(said, _model):
    """A whole answer."""
    message = {"role": "assistant", "content": content(said)}
    end = {"stopReason": FINISH[said["finish"]], "usage": usage(said), "metrics": {"latencyMs": 321}}
    return {"output": {"message": message}, **end}


def events(said, _model, _body):
    """The stream's events. Only calls have a start of their own."""
    yield event("messageStart", {"role": "assistant", "p": "abcde"})
    for at, block in enumerate(content(said)):
        if use := block.get("toolUse"):
            start = {"toolUse": {"toolUseId": use["toolUseId"], "name": use["name"]}}
            yield event("contentBlockStart", {"contentBlockIndex": at, "start": start, "p": "abc"})
        for delta in deltas(block):
            yield event("contentBlockDelta", {"contentBlockIndex": at, "delta": delta, "p": "abcdefgh"})
        yield event("contentBlockStop", {"contentBlockIndex": at, "p": "a"})
    yield event("messageStop", {"stopReason": FINISH[said["finish"]], "p": "abcdefghijk"})
    yield event("metadata", {"usage": usage(said), "metrics": {"latencyMs": 321}, "p": "ab"})


def deltas(block):
    """What fills a block."""
    if "text" in block:
        yield from ({"text": piece} for piece in pieces(block["text"]))
    elif "toolUse" in block:
        yield from ({"toolUse": {"input": piece}} for piece in pieces(json.dumps(block["toolUse"]["input"])))
    else:
        thought = block["reasoningContent"]["reasoningText"]
        yield from ({"reasoningContent": {"text": piece}} for piece in pieces(thought["text"]))
        yield {"reasoningContent": {"signature": thought["signature"]}}


def refusal(message):
    """The body of a 400."""
    kind = "ValidationException:http://internal.amazon.com/coral/com.amazon.bedrock/"
    return {"message": message}, {"x-amzn-errortype": kind, "x-amzn-requestid": "0a1b2c3d-matrix"}


def broken(message, _number):
    """What a stream says when it cannot go on."""
    return exception("serviceUnavailableException", message)


def content_ends(data):
    """Is this event behind the content?"""
    return b"contentBlockStop" in data
