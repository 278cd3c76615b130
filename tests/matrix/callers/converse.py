"""boto3's Converse client: shows that the provider speaks as Bedrock does. Weir has no such client dialect."""

import json

import boto3
import botocore.exceptions
from botocore.config import Config

from provider import AWS_KEY, AWS_SECRET
from story import question

from .heard import WITHIN, call, failed, heard, kinds, usage

FINISH = {"end_turn": "stop", "tool_use": "calls", "max_tokens": "length", "content_filtered": "refused"}


def client(base_url, _key=None, _kind=None):
    """The SDK's client."""
    return boto3.client(
        "bedrock-runtime",
        endpoint_url=base_url,
        region_name="us-east-1",
        aws_access_key_id=AWS_KEY,
        aws_secret_access_key=AWS_SECRET,
        config=Config(read_timeout=WITHIN, retries={"total_max_attempts": 1}),
    )


def request(model, scenario):
    """The call's arguments."""
    asked = question(scenario)
    found = {"modelId": model, "messages": [message(turn) for turn in asked["turns"]]}
    found["inferenceConfig"] = {"maxTokens": asked["max_tokens"]}
    if asked["temperature"] is not None:
        found["inferenceConfig"]["temperature"] = asked["temperature"]
    if asked["system"]:
        found["system"] = [{"text": asked["system"]}] + [{"cachePoint": {"type": "default"}}] * asked["cached"]
    if asked["tools"]:
        found["toolConfig"] = {"tools": [{"toolSpec": tool(one)} for one in asked["tools"]]}
    if asked["choice"]:
        found["toolConfig"]["toolChoice"] = {{"auto": "auto", "required": "any"}[asked["choice"]]: {}}
    if asked["schema"]:
        structure = {"jsonSchema": {"schema": json.dumps(asked["schema"]), "name": "person"}}
        found["outputConfig"] = {"textFormat": {"type": "json_schema", "structure": structure}}
    if asked["reasons"]:
        thinking = {"type": "enabled", "budget_tokens": 2048}
        found["additionalModelRequestFields"] = {"thinking": thinking}
    return found


def tool(one):
    """A tool."""
    return {"name": one["name"], "description": one["description"], "inputSchema": {"json": one["schema"]}}


def message(turn):
    """The message of one turn."""
    blocks = [{"toolResult": {"toolUseId": one["id"], "content": [{"text": one["text"]}]}} for one in turn["results"]]
    blocks += [{"text": turn["text"]}] if turn["text"] else []
    blocks += [{"image": {"format": "png", "source": {"bytes": image}}} for image in turn["images"]]
    for one in turn["calls"]:
        blocks.append({"toolUse": {"toolUseId": one["id"], "name": one["name"], "input": one["arguments"]}})
    return {"role": turn["role"], "content": blocks}


def ask(client, model, scenario, stream):
    """Makes the call and tells what was heard."""
    so_far = []
    try:
        arguments = request(model, scenario)
        if scenario == "loop":
            first = client.converse(**arguments)["output"]["message"]
            arguments["messages"] += [first, message(question("loop-end")["turns"][-1])]
        if stream:
            return streamed(client.converse_stream(**arguments)["stream"], so_far)
        reply = client.converse(**arguments)
        raw = {name: value for name, value in reply.items() if name != "ResponseMetadata"}
        return told(reply["output"]["message"]["content"], reply["stopReason"], reply["usage"], raw)
    except botocore.exceptions.ClientError as err:
        return failed(
            err,
            "".join(so_far),
            err.response["ResponseMetadata"].get("HTTPStatusCode") if "ResponseMetadata" in err.response else None,
        )


def told(blocks, stop, counts, raw):
    """The blocks of a message."""
    finish = FINISH[stop]
    texts = "".join(block.get("text", "") for block in blocks)
    thoughts = [block["reasoningContent"]["reasoningText"] for block in blocks if "reasoningContent" in block]
    uses = [block["toolUse"] for block in blocks if "toolUse" in block]
    cached, written = counts.get("cacheReadInputTokens", 0), counts.get("cacheWriteInputTokens", 0)
    return heard(
        text="" if finish == "refused" else texts,
        refusal=texts if finish == "refused" else "",
        reasoning="".join(one["text"] for one in thoughts),
        signature="".join(one.get("signature", "") for one in thoughts),
        calls=[call(use["toolUseId"], use["name"], use["input"]) for use in uses],
        finish=finish,
        usage=usage(counts["inputTokens"] + cached + written, counts["outputTokens"], cached, written),
        id="in a header",
        model="nobody says",
        raw=raw,
    )


def streamed(events, so_far):
    """A stream, its blocks put together."""
    blocks, order, stop, counts = {}, [], None, None
    for event in events:
        [(name, value)] = event.items()
        order.append(name)
        if name == "contentBlockStart":
            blocks[value["contentBlockIndex"]] = {"toolUse": {**value["start"]["toolUse"], "input": ""}}
        elif name == "contentBlockDelta":
            so_far.append(value["delta"].get("text", ""))
            add(blocks.setdefault(value["contentBlockIndex"], {}), value["delta"])
        elif name == "messageStop":
            stop = value["stopReason"]
        elif name == "metadata":
            counts = value["usage"]
    return told(list(blocks.values()), stop, counts, kinds(order))


def add(block, delta):
    """One more piece of a block."""
    if "text" in delta:
        block["text"] = block.get("text", "") + delta["text"]
    elif "toolUse" in delta:
        block["toolUse"]["input"] += delta["toolUse"]["input"]
    else:
        inside = block.setdefault("reasoningContent", {}).setdefault("reasoningText", {"text": ""})
        for name, value in delta["reasoningContent"].items():
            inside[name] = inside.get(name, "") + value
