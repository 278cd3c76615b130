"""What the scripted provider says.

The strict provider of `weir provider` judges limits; its answers are filler. SDK helpers need more: tool calls whose
arguments arrive in fragments, JSON that satisfies the asked schema, several choices, fields that no SDK knows. Every
answer here is a pure function of the request, so that a test can say exactly what must come out of the gateway.
"""
import json

CREATED = 1_700_000_000
FRAGMENT = 5  # characters of tool arguments per chunk: small, so that escapes and non-ASCII text get cut apart
STRANGE = 'Zürich "Altstadt" \\ 日本 🚀'


def completion(request):
    """The body of a plain answer."""
    choices = [
        {"index": index, "message": message(request, index), "logprobs": None, "finish_reason": finish(request)}
        for index in range(request.get("n") or 1)
    ]
    return {**common(request, "chat.completion"), "choices": choices, "usage": usage(request)}


def chunks(request):
    """The events of a streamed answer, in order; the usage event comes last and only when it was asked for."""
    wants_usage = bool((request.get("stream_options") or {}).get("include_usage"))
    events = []
    for index in range(request.get("n") or 1):
        for delta in deltas(message(request, index)):
            events.append(chunk(request, index, delta, None))
        events.append(chunk(request, index, {}, finish(request)))
    if wants_usage:
        for event in events:
            event["usage"] = None
        events.append({**common(request, "chat.completion.chunk"), "choices": [], "usage": usage(request)})
    return events


def beginning(request, words):
    """The events of a stream that has said so many words and nothing that ends it."""
    opening = chunk(request, 0, {"role": "assistant", "content": ""}, None)
    return [opening, *(chunk(request, 0, {"content": f"word{number} "}, None) for number in range(words))]


def common(request, kind):
    """Fields of every answer, among them one that no SDK declares."""
    return {
        "id": "chatcmpl-scripted",
        "object": kind,
        "created": CREATED,
        "model": request["model"],
        "system_fingerprint": "fp_scripted",
        "service_tier": "default",
        "x_undeclared": {"kept": [1, 2.50, STRANGE]},
    }


def chunk(request, index, delta, reason):
    """One event of a stream."""
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}
    return {**common(request, "chat.completion.chunk"), "choices": [choice]}


def usage(request):
    """Deterministic: 11 input tokens, and one output token per word of each choice."""
    words = sum(len((message(request, i)["content"] or "tool call").split()) for i in range(request.get("n") or 1))
    return {
        "prompt_tokens": 11,
        "completion_tokens": words,
        "total_tokens": 11 + words,
        "prompt_tokens_details": {"cached_tokens": 3, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def message(request, index):
    """What the assistant says in choice `index`."""
    if calls_tools(request):
        return {"role": "assistant", "content": None, "refusal": None, "tool_calls": tool_calls(request)}
    return {"role": "assistant", "content": text(request, index), "refusal": None}


def text(request, index):
    """JSON when a schema was asked for, else an echo of the last message."""
    wanted = request.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        return json_text(wanted["json_schema"]["schema"])
    return f"choice {index} echoes: {last_text(request)}"


def json_text(schema):
    """JSON that satisfies the schema."""
    return json.dumps(example(schema, schema, "value"), ensure_ascii=False)


def last_text(request):
    """The text of the last message, whether it was written as a string or in parts."""
    content = request["messages"][-1].get("content") or ""
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content)


def finish(request):
    """Why the answer ended."""
    return "tool_calls" if calls_tools(request) else "stop"


def calls_tools(request):
    """Tools are called once: not again when their results come back."""
    return bool(request.get("tools")) and request["messages"][-1]["role"] != "tool"


def tool_calls(request):
    """One call of every tool, or only of the first when the client forbade parallel calls."""
    tools = request["tools"] if request.get("parallel_tool_calls", True) else request["tools"][:1]
    calls = []
    for number, tool in enumerate(tools):
        schema = tool["function"].get("parameters") or {"type": "object"}
        arguments = json.dumps(example(schema, schema, f"{STRANGE} {number}"), ensure_ascii=False)
        function = {"name": tool["function"]["name"], "arguments": arguments}
        calls.append({"id": f"call_{number}", "type": "function", "function": function})
    return calls


def deltas(said):
    """The deltas that add up to `said`: the role, then text by words, or each tool call's arguments by fragments.

    One call after the other, as OpenAI streams them: the SDKs' helpers parse a call when the next one begins.
    """
    yield {"role": "assistant", "content": "" if said["content"] else None, "refusal": None}
    for number, word in enumerate(said["content"].split(" ") if said["content"] else []):
        yield {"content": word if number == 0 else " " + word}
    for number, call in enumerate(said.get("tool_calls") or []):
        opening = {"name": call["function"]["name"], "arguments": ""}
        yield {"tool_calls": [{"index": number, "id": call["id"], "type": "function", "function": opening}]}
        arguments = call["function"]["arguments"]
        for start in range(0, len(arguments), FRAGMENT):
            fragment = {"arguments": arguments[start : start + FRAGMENT]}
            yield {"tool_calls": [{"index": number, "function": fragment}]}


def example(schema, root, words):
    """A value that satisfies the parts of JSON Schema that the SDK helpers generate."""
    if "$ref" in schema:
        target = root
        for step in schema["$ref"].removeprefix("#").strip("/").split("/"):
            target = target[step] if step else target
        return example(target, root, words)
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in schema:
            return example(schema[choice][0], root, words)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        return {name: example(part, root, words) for name, part in schema.get("properties", {}).items()}
    if kind == "array":
        return [example(schema.get("items", {"type": "string"}), root, words) for _ in range(2)]
    return {"string": words, "integer": 7, "number": 2.5, "boolean": True, "null": None}.get(kind, words)
