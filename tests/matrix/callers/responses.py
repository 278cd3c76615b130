"""The `openai` SDK, Responses."""

import json

import openai

from story import question
from wires.common import data_address

from .chat import client  # noqa: F401  (the same SDK)
from .heard import call, failed, heard, kinds, usage

SERVER_ERROR = "response.failed"


def request(model, scenario, stream, more=()):
    """The call's arguments; `more` items stand behind the scenario's own."""
    asked = question(scenario)
    found = {"model": model, "input": [item for turn in asked["turns"] for item in items(turn)]}
    found["input"] += more
    found |= {"max_output_tokens": asked["max_tokens"], "store": False}
    if asked["system"]:
        found["instructions"] = asked["system"]
    if asked["temperature"] is not None:
        found["temperature"] = asked["temperature"]
    if asked["tools"]:
        found["tools"] = [tool(one) for one in asked["tools"]]
    if asked["choice"]:
        found["tool_choice"] = asked["choice"]
    if asked["schema"]:
        format = {"type": "json_schema", "name": "person", "schema": asked["schema"], "strict": True}
        found["text"] = {"format": format}
    if asked["reasons"]:
        found |= {"reasoning": {"effort": "low", "summary": "auto"}, "include": ["reasoning.encrypted_content"]}
    if asked["cached"]:
        found["prompt_cache_key"] = "lighthouse"
    return found | ({"stream": True} if stream else {})


def tool(one):
    """A function tool."""
    more = {"description": one["description"], "parameters": one["schema"], "strict": True}
    return {"type": "function", "name": one["name"], **more}


def items(turn):
    """The items of one turn."""
    if turn["results"]:
        return [
            {"type": "function_call_output", "call_id": one["id"], "output": one["text"]} for one in turn["results"]
        ]
    found = []
    if turn["images"]:
        images = [
            {"type": "input_image", "image_url": data_address(image), "detail": "auto"} for image in turn["images"]
        ]
        found.append({"role": turn["role"], "content": [{"type": "input_text", "text": turn["text"]}, *images]})
    elif turn["text"]:
        found.append({"role": turn["role"], "content": turn["text"]})
    for one in turn["calls"]:
        arguments = json.dumps(one["arguments"])
        found.append({"type": "function_call", "call_id": one["id"], "name": one["name"], "arguments": arguments})
    return found


def ask(client, model, scenario, stream):
    """Makes the call and tells what was heard."""
    so_far = []
    try:
        more = first_round(client, model) if scenario == "loop" else []
        reply = client.responses.create(**request(model, scenario, stream, more))
        return streamed(reply, so_far) if stream else told(reply, reply.model_dump(mode="json", exclude_none=True))
    except openai.APIError as err:
        return failed(err, "".join(so_far), getattr(err, "status_code", None))


def first_round(client, model):
    """The model's items, kept as the SDK gave them, and the tool's result."""
    reply = client.responses.create(**request(model, "loop", False))
    kept = [item.model_dump(exclude_none=True) for item in reply.output]
    called = next(item.call_id for item in reply.output if item.type == "function_call")
    result = question("loop-end")["turns"][-1]["results"][0]
    return [*kept, {"type": "function_call_output", "call_id": called, "output": result["text"]}]


def finish_of(reply, calls, refused):
    """Why it ended."""
    if reply.status == "incomplete":
        reasons = {"max_output_tokens": "length", "content_filter": "refused"}
        return reasons[reply.incomplete_details.reason]
    assert reply.status == "completed", reply.status
    return "refused" if refused else "calls" if calls else "stop"


def told(reply, raw):
    """A response object."""
    parts = [part for item in reply.output if item.type == "message" for part in item.content]
    thoughts = [item for item in reply.output if item.type == "reasoning"]
    calls = [call(item.call_id, item.name, item.arguments) for item in reply.output if item.type == "function_call"]
    refusal = "".join(part.refusal for part in parts if part.type == "refusal")
    counts = reply.usage
    reasoning = counts.output_tokens_details.reasoning_tokens
    cached, written = counts.input_tokens_details.cached_tokens, counts.input_tokens_details.cache_write_tokens
    return heard(
        text=reply.output_text,
        reasoning="".join(part.text for item in thoughts for part in [*item.summary, *(item.content or [])]),
        signature="".join(item.encrypted_content or "" for item in thoughts),
        refusal=refusal,
        calls=calls,
        finish=finish_of(reply, calls, refusal),
        usage=usage(counts.input_tokens, counts.output_tokens, cached, written, reasoning),
        id=reply.id,
        model=reply.model,
        raw=raw,
    )


def streamed(events, so_far):
    """A stream: numbered events, and deltas that say the same as the response in the last one."""
    order, end, open_items = [], None, {}
    texts, arguments = {}, {}
    for number, event in enumerate(events):
        assert end is None, "something came behind the end"
        assert event.sequence_number == number, f"event {number} has the number {event.sequence_number}"
        order.append(event.type)
        if event.type == "error":
            raise openai.APIError(event.message, None, body=None)
        if event.type == SERVER_ERROR:
            raise openai.APIError(event.response.error.message, None, body=None)
        if event.type == "response.output_item.added":
            open_items[event.output_index] = event.item
        elif event.type == "response.output_item.done":
            assert open_items.pop(event.output_index).id == event.item.id, "an item ended that had not begun"
        elif event.type == "response.output_text.delta":
            so_far.append(event.delta)
            key = (event.item_id, event.content_index)
            texts[key] = texts.get(key, "") + event.delta
        elif event.type == "response.output_text.done":
            assert texts[event.item_id, event.content_index] == event.text, "the deltas are not the text"
        elif event.type == "response.function_call_arguments.delta":
            arguments[event.item_id] = arguments.get(event.item_id, "") + event.delta
        elif event.type == "response.function_call_arguments.done":
            assert arguments.get(event.item_id, "") == event.arguments, "the deltas are not the arguments"
        elif event.type in ("response.completed", "response.incomplete"):
            end = event.response
    assert end is not None, "the stream has no end"
    assert not open_items, "an item did not end"
    assert order[0] == "response.created", f"the stream begins with {order[0]}"
    assert "".join(so_far) == end.output_text, "the deltas are not the response"
    return told(end, kinds(order))
