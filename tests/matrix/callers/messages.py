"""The `anthropic` SDK."""

import base64

import anthropic

from story import question

from .heard import KEY, WITHIN, call, failed, heard, kinds, usage

FINISH = {
    "end_turn": "stop",
    "tool_use": "calls",
    "max_tokens": "length",
    "refusal": "refused",
    "stop_sequence": "stop",
}
CHOICES = {"auto": "auto", "required": "any"}


def client(base_url, key=KEY, _kind=None):
    """The SDK's client."""
    options = {"api_key": key, "max_retries": 0, "timeout": WITHIN, "_strict_response_validation": True}
    return anthropic.Anthropic(base_url=base_url, **options)


def request(model, scenario):
    """The call's arguments."""
    asked = question(scenario)
    found = {"model": model, "messages": [message(turn) for turn in asked["turns"]], "max_tokens": asked["max_tokens"]}
    if asked["system"]:
        found["system"] = asked["system"]
    if asked["cached"]:
        found["system"] = [{"type": "text", "text": asked["system"], "cache_control": {"type": "ephemeral"}}]
    if asked["temperature"] is not None:
        # the SDK no longer lists what new models refuse; older ones take it
        found["extra_body"] = {"temperature": asked["temperature"]}
    if asked["tools"]:
        found["tools"] = [tool(one) for one in asked["tools"]]
    if asked["choice"]:
        found["tool_choice"] = {"type": CHOICES[asked["choice"]]}
    if asked["schema"]:
        found["output_config"] = {"format": {"type": "json_schema", "schema": asked["schema"]}}
    if asked["reasons"]:
        found["thinking"] = {"type": "enabled", "budget_tokens": 2048}
    return found


def tool(one):
    """A tool."""
    return {"name": one["name"], "description": one["description"], "input_schema": one["schema"]}


def message(turn):
    """The message of one turn."""
    blocks = [{"type": "tool_result", "tool_use_id": one["id"], "content": one["text"]} for one in turn["results"]]
    if turn["text"]:
        blocks.append({"type": "text", "text": turn["text"]})
    for image in turn["images"]:
        source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(image).decode()}
        blocks.append({"type": "image", "source": source})
    for one in turn["calls"]:
        blocks.append({"type": "tool_use", "id": one["id"], "name": one["name"], "input": one["arguments"]})
    return {"role": turn["role"], "content": blocks}


def ask(client, model, scenario, stream):
    """Makes the call and tells what was heard."""
    so_far = []
    try:
        arguments = request(model, scenario)
        if scenario == "loop":
            arguments["messages"] += first_round(client, arguments)
        if stream:
            return streamed(client, arguments, so_far)
        reply = client.messages.create(**arguments)
        return told(reply, reply.model_dump(mode="json", exclude_none=True))
    except anthropic.APIError as err:
        return failed(err, "".join(so_far), getattr(err, "status_code", None))


def first_round(client, arguments):
    """The model's blocks, kept as the SDK gave them, and the tool's result."""
    reply = client.messages.create(**arguments)
    called = next(block.id for block in reply.content if block.type == "tool_use")
    result = question("loop-end")["turns"][-1]["results"][0]
    block = {"type": "tool_result", "tool_use_id": called, "content": result["text"]}
    return [{"role": "assistant", "content": reply.content}, {"role": "user", "content": [block]}]


def told(reply, raw):
    """A message object."""
    blocks = reply.content
    texts = "".join(block.text for block in blocks if block.type == "text")
    thoughts = [block for block in blocks if block.type == "thinking"]
    finish = FINISH[reply.stop_reason]
    counts = reply.usage
    cached, written = counts.cache_read_input_tokens or 0, counts.cache_creation_input_tokens or 0
    details = counts.output_tokens_details
    return heard(
        text="" if finish == "refused" else texts,
        refusal=texts if finish == "refused" else "",
        reasoning="".join(block.thinking for block in thoughts),
        signature="".join(block.signature for block in thoughts),
        calls=[call(block.id, block.name, block.input) for block in blocks if block.type == "tool_use"],
        finish=finish,
        usage=usage(
            counts.input_tokens + cached + written,
            counts.output_tokens,
            cached,
            written,
            details.thinking_tokens if details else 0,
        ),
        id=reply.id,
        model=reply.model,
        raw=raw,
    )


def streamed(client, arguments, so_far):
    """A stream: the SDK's own helper puts it together; the order of its events is looked at here."""
    order = []
    with client.messages.stream(**arguments) as stream:
        for event in stream:
            if event.type in ("text", "thinking", "signature", "input_json", "citation"):
                continue  # the helper's own, beside the event that it made them of
            order.append(f"{event.type} {event.delta.type}" if event.type == "content_block_delta" else event.type)
            if order[-1] == "content_block_delta text_delta":
                so_far.append(event.delta.text)
        final = stream.get_final_message()
    orderly([name for name in order if name != "ping"])
    reply = told(final, kinds(order))
    assert "".join(so_far) == (reply["text"] or reply["refusal"]), "the deltas are not the message"
    return reply


def orderly(order):
    """Blocks follow each other between the message's start and its end."""
    names = [name.split()[0] for name in order]
    assert names[0] == "message_start", f"the stream begins with {names[0]}"
    assert names[-2:] == ["message_delta", "message_stop"], f"the stream ends with {names[-2:]}"
    inside = False
    for name in names[1:-2]:
        assert inside == (name != "content_block_start"), f"{name} in the wrong place"
        inside = name != "content_block_stop"
    assert not inside, "a block did not end"
