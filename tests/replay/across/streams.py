"""Streams put together: the events of each dialect, as JSON, become the whole answer that its reader knows."""
from across.pieces import joined


class Torn(Exception):
    """Events that do not go together."""


def chat(chunks):
    """Deltas of the first choice, calls by their index."""
    message, calls, finish, usage = {"content": "", "refusal": "", "reasoning": ""}, {}, None, None
    for chunk in chunks:
        usage = chunk.get("usage") or (chunk.get("x_groq") or {}).get("usage") or usage
        for choice in chunk.get("choices") or []:
            if choice.get("index"):
                continue
            delta, finish = choice.get("delta") or {}, choice.get("finish_reason") or finish
            message["content"] += words(delta.get("content"))
            message["reasoning"] += thoughts(delta)
            message["refusal"] += delta.get("refusal") or ""
            for part in delta.get("tool_calls") or []:
                collect(calls, part)
    message["tool_calls"] = [call for _, call in sorted(calls.items())]
    return {"choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": usage}


def words(content):
    """Text, also of Mistral's lists of parts."""
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content if part.get("type") == "text")
    return content or ""


def thoughts(delta):
    """Reasoning, also of Mistral's lists of parts."""
    content = delta.get("content")
    parts = [part for part in content if part.get("type") == "thinking"] if isinstance(content, list) else []
    listed = "".join(inner.get("text") or "" for part in parts for inner in part["thinking"])
    return delta.get("reasoning_content") or delta.get("reasoning") or listed


def collect(calls, part):
    """A part of a call. Some providers number none, and tell a new one by its id."""
    at = part.get("index")
    if at is None:
        at = len(calls) if part.get("id") or not calls else max(calls)
    function = part.get("function") or {}
    call = calls.setdefault(at, {"function": {"name": "", "arguments": ""}})["function"]
    call["name"] = call["name"] or function.get("name") or ""
    call["arguments"] += function.get("arguments") or ""


def responses(events):
    """The response that the last event holds; what was told before must be what it says."""
    told, items, last = "", [], None
    for event in events:
        kind = event["type"]
        if kind == "response.output_text.delta":
            told += event["delta"]
        elif kind == "response.output_item.done":
            items.append(event["item"])
        elif kind in ("response.completed", "response.incomplete", "response.failed"):
            last = event["response"]
    if last is None:
        raise Torn("no last event")
    parts = [part for item in last["output"] if item["type"] == "message" for part in item["content"]]
    text = "".join(part.get("text") or "" for part in parts)
    if last["output"] and told and text != told:
        raise Torn(f"the deltas say {told[-80:]!r}, the response {text[-80:]!r}")
    return {**last, "output": last["output"] or items}


def messages(events):
    """Blocks by their index; each begins, goes on and ends in order."""
    answer, usage, open_at = {"content": []}, {}, None
    for event in events:
        kind = event["type"]
        if kind == "message_start":
            usage |= told(event["message"].get("usage"))
        elif kind == "content_block_start":
            if event["index"] != len(answer["content"]):
                raise Torn(f"block {event['index']} comes as number {len(answer['content'])}")
            answer["content"].append({"partial": "", **event["content_block"]})
            open_at = event["index"]
        elif kind == "content_block_delta":
            if event["index"] != open_at:
                raise Torn(f"a delta of block {event['index']}, while {open_at} is open")
            add(answer["content"][open_at], event["delta"])
        elif kind == "message_delta":
            answer["stop_reason"] = event["delta"].get("stop_reason")
            usage |= told(event.get("usage"))
    for block in answer["content"]:
        if block["type"] == "tool_use":
            block["input"] = block["partial"] or block.get("input") or {}
    return {**answer, "usage": usage}


def told(usage):
    """The counts that are there."""
    return {name: count for name, count in (usage or {}).items() if count is not None}


def add(block, delta):
    """A delta to the block that is open."""
    if delta["type"] == "text_delta":
        block["text"] = block.get("text", "") + delta["text"]
    elif delta["type"] == "thinking_delta":
        block["thinking"] = block.get("thinking", "") + delta["thinking"]
    elif delta["type"] == "input_json_delta":
        block["partial"] += delta["partial_json"]


def gemini(events):
    """Parts one behind the other; a call may come in pieces."""
    parts, answer, finish = [], {}, None
    for event in events:
        for name in ("usageMetadata", "promptFeedback"):
            if event.get(name):
                answer[name] = event[name]
        for candidate in event.get("candidates") or []:
            if not candidate.get("index"):
                parts += (candidate.get("content") or {}).get("parts") or []
                finish = candidate.get("finishReason") or finish
    return {**answer, "candidates": [{"content": {"parts": joined(parts)}, "finishReason": finish}]}


def converse(events):
    """Blocks by their index."""
    blocks, answer = {}, {}
    for event in events:
        for kind, value in event.items():
            if kind == "contentBlockStart" and "toolUse" in value.get("start", {}):
                blocks[value["contentBlockIndex"]] = {"toolUse": {**value["start"]["toolUse"], "input": ""}}
            elif kind == "contentBlockDelta":
                delta, block = value["delta"], blocks.setdefault(value["contentBlockIndex"], {})
                if "toolUse" in delta:
                    block["toolUse"]["input"] += delta["toolUse"]["input"]
                elif "text" in delta:
                    block["text"] = block.get("text", "") + delta["text"]
                elif "reasoningContent" in delta:
                    told = block.setdefault("reasoningContent", {"reasoningText": {"text": ""}})["reasoningText"]
                    told["text"] += delta["reasoningContent"].get("text") or ""
            elif kind == "messageStop":
                answer["stopReason"] = value["stopReason"]
            elif kind == "metadata":
                answer["usage"] = value.get("usage")
    return {**answer, "output": {"message": {"content": [block for _, block in sorted(blocks.items())]}}}


WHOLE = {"chat": chat, "responses": responses, "messages": messages, "gemini": gemini, "converse": converse}
