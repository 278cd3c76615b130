"""The `openai` SDK, Chat Completions."""

import json

import openai

from story import question
from wires.common import data_address

from .heard import KEY, WITHIN, call, failed, heard, kinds, usage

FINISH = {"stop": "stop", "tool_calls": "calls", "length": "length", "content_filter": "refused"}


def client(base_url, key=KEY, kind=None):
    """The SDK's client; for Azure the one of its own."""
    options = {"api_key": key, "max_retries": 0, "timeout": WITHIN, "_strict_response_validation": True}
    if kind == "azure":
        return openai.AzureOpenAI(azure_endpoint=base_url, api_version="2024-10-21", **options)
    return openai.OpenAI(base_url=f"{base_url}/v1", **options)


def request(model, scenario, stream, more=()):
    """The call's arguments; `more` messages stand behind the scenario's own."""
    asked = question(scenario)
    system = [{"role": "system", "content": asked["system"]}] if asked["system"] else []
    found = {"model": model, "messages": system + [one for turn in asked["turns"] for one in messages(turn)]}
    found["messages"] += more
    found["max_completion_tokens" if asked["reasons"] else "max_tokens"] = asked["max_tokens"]
    if asked["temperature"] is not None:
        found["temperature"] = asked["temperature"]
    if asked["tools"]:
        found["tools"] = [tool(one) for one in asked["tools"]]
    if asked["choice"]:
        found["tool_choice"] = asked["choice"]
    if asked["schema"]:
        schema = {"name": "person", "schema": asked["schema"], "strict": True}
        found["response_format"] = {"type": "json_schema", "json_schema": schema}
    if asked["reasons"]:
        found["reasoning_effort"] = "low"
    if asked["cached"]:
        found["prompt_cache_key"] = "lighthouse"
    return found | ({"stream": True, "stream_options": {"include_usage": True}} if stream else {})


def tool(one):
    """A function tool."""
    function = {"name": one["name"], "description": one["description"], "parameters": one["schema"]}
    return {"type": "function", "function": function}


def messages(turn):
    """The messages of one turn."""
    if turn["results"]:
        return [{"role": "tool", "tool_call_id": one["id"], "content": one["text"]} for one in turn["results"]]
    content = turn["text"] or None
    if turn["images"]:
        images = [{"type": "image_url", "image_url": {"url": data_address(image)}} for image in turn["images"]]
        content = [{"type": "text", "text": turn["text"]}, *images]
    found = {"role": turn["role"], "content": content}
    if turn["calls"]:
        found["tool_calls"] = [
            {
                "id": one["id"],
                "type": "function",
                "function": {"name": one["name"], "arguments": json.dumps(one["arguments"])},
            }
            for one in turn["calls"]
        ]
    return [found]


def counted(counts):
    """Usage in no dialect."""
    if counts is None:
        return None
    cached = counts.prompt_tokens_details.cached_tokens if counts.prompt_tokens_details else 0
    reasoning = counts.completion_tokens_details.reasoning_tokens if counts.completion_tokens_details else 0
    return usage(counts.prompt_tokens, counts.completion_tokens, cached, 0, reasoning)


def ask(client, model, scenario, stream):
    """Makes the call and tells what was heard."""
    so_far = []
    try:
        more = first_round(client, model) if scenario == "loop" else []
        reply = client.chat.completions.create(**request(model, scenario, stream, more))
        return streamed(reply, so_far) if stream else whole(reply)
    except openai.APIError as err:
        return failed(err, "".join(so_far), getattr(err, "status_code", None))


def first_round(client, model):
    """The model's call of a tool, kept as the SDK gave it, and the tool's result."""
    reply = client.chat.completions.create(**request(model, "loop", False))
    message = reply.choices[0].message.model_dump(exclude_none=True)
    message.pop("annotations", None)  # of answers only
    result = question("loop-end")["turns"][-1]["results"][0]
    return [message, {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": result["text"]}]


def whole(reply):
    """A whole answer."""
    [choice] = reply.choices
    message = choice.message
    return heard(
        text=message.content or "",
        reasoning=(message.model_extra or {}).get("reasoning_content") or "",
        refusal=message.refusal or "",
        calls=[call(one.id, one.function.name, one.function.arguments) for one in message.tool_calls or []],
        finish="refused" if message.refusal else FINISH[choice.finish_reason],
        usage=counted(reply.usage),
        id=reply.id,
        model=reply.model,
        raw=reply.model_dump(mode="json", exclude_none=True),
    )


def streamed(chunks, so_far):
    """A stream, put together as its documentation says: calls by their index."""
    reasoning, refusal, calls, finish, counts, order = "", "", {}, None, None, []
    named = {"id": None, "model": None}
    for chunk in chunks:
        counts = chunk.usage or counts
        named = {"id": chunk.id or named["id"], "model": chunk.model or named["model"]}
        order.append("usage" if not chunk.choices else "")
        for choice in chunk.choices:
            assert choice.index == 0, "one choice was asked for"
            assert finish is None, "something came behind the finish reason"
            delta = choice.delta
            so_far.append(delta.content or "")
            thought = (delta.model_extra or {}).get("reasoning_content") or ""
            reasoning, refusal = reasoning + thought, refusal + (delta.refusal or "")
            for piece in delta.tool_calls or []:
                one = calls.setdefault(piece.index, {"id": piece.id, "name": piece.function.name, "arguments": ""})
                one["arguments"] += piece.function.arguments or ""
            finish = choice.finish_reason
            order[-1] = shown(delta, thought, finish)
    assert list(calls) == list(range(len(calls))), "calls are numbered from 0"
    return heard(
        text="".join(so_far),
        reasoning=reasoning,
        refusal=refusal,
        calls=[call(**one) for one in calls.values()],
        finish="refused" if refusal else FINISH[finish],
        usage=counted(counts),
        raw=kinds(order),
        **named,
    )


def shown(delta, thought, finish):
    """A chunk's kind."""
    names = {"content": delta.content, "refusal": delta.refusal, "tool_calls": delta.tool_calls, "reasoning": thought}
    return "+".join([name for name, value in names.items() if value] + ([finish] if finish else [])) or "empty"
