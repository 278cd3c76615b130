"""OpenAI's Responses."""

import json

from openai.types.responses import response_create_params as params

from story import pieces

from .common import data_event, image_of, joined, named_results, now, parsed, text_turn, unpaired
from .strict import problems

# the SDK's types ask for these, the API does not
LENIENT = (".detail: missing", ".strict: missing")


def check(body, stream):
    """Everything that OpenAI would refuse."""
    kind = params.ResponseCreateParamsStreaming if stream else params.ResponseCreateParamsNonStreaming
    found = [text for text in problems(body, kind) if not text.endswith(LENIENT)]
    if found:
        return found
    found += [f"{name}: missing" for name in ("model", "input") if name not in body]
    if (body.get("max_output_tokens") or 16) < 16:
        found.append("Invalid 'max_output_tokens': below minimum value. Expected a value >= 16.")
    if body["model"].startswith("gpt-4") and (body.get("reasoning") or {}).get("effort"):
        found.append("Unsupported parameter: 'reasoning.effort' is not supported with this model.")
    return found + unpaired(turns(body))


def items(body):
    """The input as items."""
    value = body["input"]
    return [{"role": "user", "content": value}] if isinstance(value, str) else value


def facts(body):
    """What is asked, in no dialect."""
    systems = [text_of(one) for one in items(body) if one.get("role") in ("system", "developer")]
    choice = body.get("tool_choice")
    reasoning = body.get("reasoning") or {}
    return {
        "system": "\n".join([*([body["instructions"]] if body.get("instructions") else []), *systems]),
        "turns": turns(body),
        "tools": [tool(one) for one in body.get("tools") or []],
        "choice": choice if isinstance(choice, str) else None,
        "schema": ((body.get("text") or {}).get("format") or {}).get("schema"),
        "reasons": reasoning.get("effort") not in (None, "none"),
        "max_tokens": body.get("max_output_tokens"),
        "temperature": body.get("temperature"),
        "cached": False,
        "signatures": [one.get("encrypted_content") for one in items(body) if one.get("type") == "reasoning"],
    }


def tool(one):
    """A function tool."""
    return {"name": one["name"], "description": one.get("description"), "schema": one["parameters"]}


def text_of(item):
    """A message's texts."""
    content = item.get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def turns(body):
    """The conversation without its instructions."""
    found = []
    for one in items(body):
        kind = one.get("type", "message")
        if kind == "function_call":
            call = {"id": one["call_id"], "name": one["name"], "arguments": parsed(one["arguments"])}
            found.append(text_turn("assistant", calls=[call]))
        elif kind == "function_call_output":
            text = one["output"] if isinstance(one["output"], str) else text_of({"content": one["output"]})
            found.append(text_turn("user", results=[{"id": one["call_id"], "text": text}]))
        elif kind == "message" and one["role"] in ("user", "assistant"):
            parts = one["content"] if isinstance(one["content"], list) else []
            images = [image_of(part["image_url"]) for part in parts if part["type"] == "input_image"]
            found.append(text_turn(one["role"], text_of(one), images=images))
    return named_results(joined(found))


def output(said):
    """The items of an answer."""
    found = []
    if said["reasoning"]:
        summary = [{"type": "summary_text", "text": said["reasoning"]}]
        found.append({"id": "rs_0matrix1", "type": "reasoning", "summary": summary})
        found[-1]["encrypted_content"] = said["signature"]
    parts = [{"type": "output_text", "text": said["text"], "annotations": [], "logprobs": []}] if said["text"] else []
    parts += [{"type": "refusal", "refusal": said["refusal"]}] if said["refusal"] else []
    if parts:
        status = "incomplete" if said["finish"] == "length" else "completed"
        found.append({"id": "msg_0matrix2", "type": "message", "role": "assistant", "status": status, "content": parts})
    for at, call in enumerate(said["calls"]):
        arguments = json.dumps(call["arguments"])
        item = {"id": f"fc_0matrix{at + 3}", "type": "function_call", "status": "completed", "arguments": arguments}
        found.append({**item, "call_id": call["id"], "name": call["name"]})
    return found


def usage(said):
    """Reasoning is part of the output, the cached part of the input."""
    counts = said["usage"]
    return {
        "input_tokens": counts["input"],
        "input_tokens_details": {"cached_tokens": counts["cached"], "cache_write_tokens": 0},
        "output_tokens": counts["output"],
        "output_tokens_details": {"reasoning_tokens": counts["reasoning"]},
        "total_tokens": counts["input"] + counts["output"],
    }


def response(model, body, status, **more):
    """A response object around what is said."""
    head = {
        "id": "resp_0matrix0",
        "object": "response",
        "created_at": now(),
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "metadata": {},
        "model": model,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": (body.get("reasoning") or {}).get("effort"), "summary": None},
        "service_tier": "default",
        "store": True,
        "temperature": 1.0,
        "text": body.get("text") or {"format": {"type": "text"}},
        "tool_choice": body.get("tool_choice") or "auto",
        "tools": body.get("tools") or [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
        "user": None,
    }
    return head | more


def whole(said, model, body):
    """A whole answer."""
    cut = said["finish"] == "length"
    more = {"incomplete_details": {"reason": "max_output_tokens"}} if cut else {}
    status = "incomplete" if cut else "completed"
    return response(model, body, status, output=output(said), usage=usage(said), **more)


def events(said, model, body):
    """The stream's events, numbered."""
    for number, event in enumerate(plain_events(said, model, body)):
        yield data_event({**event, "sequence_number": number}, event["type"])


def plain_events(said, model, body):
    """The stream's events without their numbers."""
    yield {"type": "response.created", "response": response(model, body, "in_progress")}
    yield {"type": "response.in_progress", "response": response(model, body, "in_progress")}
    for at, item in enumerate(output(said)):
        hollow = {**item, "status": "in_progress"} if item["type"] != "reasoning" else {**item, "summary": []}
        hollow |= {"content": []} if item["type"] == "message" else {}
        hollow |= {"arguments": ""} if item["type"] == "function_call" else {}
        yield {"type": "response.output_item.added", "output_index": at, "item": hollow}
        yield from item_events(item, {"item_id": item["id"], "output_index": at})
        yield {"type": "response.output_item.done", "output_index": at, "item": item}
    end = whole(said, model, body)
    yield {"type": f"response.{end['status']}", "response": end}


def item_events(item, where):
    """What stands between an item's beginning and its end."""
    if item["type"] == "function_call":
        for piece in pieces(item["arguments"]):
            yield {"type": "response.function_call_arguments.delta", "delta": piece, **where}
        end = {"arguments": item["arguments"], "name": item["name"]}
        yield {"type": "response.function_call_arguments.done", **end, **where}
    elif item["type"] == "reasoning":
        where |= {"summary_index": 0}
        hollow = {"type": "summary_text", "text": ""}
        yield {"type": "response.reasoning_summary_part.added", "part": hollow, **where}
        for piece in pieces(item["summary"][0]["text"]):
            yield {"type": "response.reasoning_summary_text.delta", "delta": piece, **where}
        yield {"type": "response.reasoning_summary_text.done", "text": item["summary"][0]["text"], **where}
        yield {"type": "response.reasoning_summary_part.done", "part": item["summary"][0], **where}
    else:
        for at, part in enumerate(item["content"]):
            yield from part_events(part, where | {"content_index": at})


def part_events(part, where):
    """A text or a refusal."""
    field = "refusal" if part["type"] == "refusal" else "text"
    name = "response.refusal" if field == "refusal" else "response.output_text"
    more = {} if field == "refusal" else {"logprobs": []}
    yield {"type": "response.content_part.added", "part": {**part, field: ""}, **where}
    for piece in pieces(part[field]):
        yield {"type": f"{name}.delta", "delta": piece, **more, **where}
    yield {"type": f"{name}.done", field: part[field], **more, **where}
    yield {"type": "response.content_part.done", "part": part, **where}


def refusal(message):
    """The body of a 400."""
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}, {}


def broken(message, number):
    """What a stream says when it cannot go on, behind `number` events."""
    body = {"type": "error", "code": "server_error", "message": message, "param": None, "sequence_number": number}
    return data_event(body, "error")


def content_ends(event):
    """Is this event behind the content?"""
    return b'"type":"response.output_text.done"' in event
