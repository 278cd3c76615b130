"""Readers of whole answers, one for each dialect: `(answer as JSON) -> Meaning`. They hold no code of the gateway."""
import tokens
from across.meaning import Meaning, arguments


def chat(answer):
    """Chat Completions."""
    meaning = Meaning(usage=tokens.counted(answer.get("usage")))
    choice = next((one for one in answer.get("choices") or [] if not one.get("index")), {})
    message = choice.get("message") or {}
    content = message.get("content") or ""
    told = message.get("reasoning_content") or message.get("reasoning") or details(message)
    if isinstance(content, list):  # Mistral
        thoughts = [part for part in content if part.get("type") == "thinking"]
        told = "".join(inner.get("text") or "" for part in thoughts for inner in part["thinking"])
        content = "".join(part.get("text") or "" for part in content if part.get("type") == "text")
    meaning.text, meaning.refusal, meaning.thought = content, message.get("refusal") or "", told or ""
    for call in message.get("tool_calls") or []:
        if call.get("custom"):
            meaning.calls.append((call["custom"]["name"], {"input": call["custom"]["input"]}))
        else:
            meaning.calls.append((call["function"]["name"], arguments(call["function"].get("arguments"))))
    if call := message.get("function_call"):
        meaning.calls.append((call["name"], arguments(call["arguments"])))
    return meaning.end("chat", choice.get("finish_reason"))


def details(message):
    """Thoughts that OpenRouter tells in parts only."""
    parts = message.get("reasoning_details") or []
    return "".join(part.get("text") or part.get("summary") or "" for part in parts)


def responses(answer):
    """Responses."""
    meaning = Meaning(usage=tokens.counted(answer.get("usage")))
    for item in answer.get("output") or []:
        if item["type"] == "function_call":
            meaning.calls.append((item["name"], arguments(item["arguments"])))
        elif item["type"] == "custom_tool_call":
            meaning.calls.append((item["name"], {"input": item["input"]}))
        elif item["type"] == "reasoning":
            parts = item.get("content") or item.get("summary") or []
            meaning.thought += "".join(part.get("text") or "" for part in parts)
        elif item["type"] == "message":
            parts = item.get("content") or []
            meaning.text += "".join(part.get("text") or "" for part in parts)
            meaning.refusal += "".join(part.get("refusal") or "" for part in parts)
    status = answer.get("status")
    if status == "incomplete":
        return meaning.end("responses", (answer.get("incomplete_details") or {}).get("reason"))
    return meaning.end("responses", "stop" if status in ("completed", "complete", None) else status)


def messages(answer):
    """Messages."""
    meaning = Meaning(usage=tokens.claude_counted(answer.get("usage")))
    for block in answer.get("content") or []:
        if block["type"] == "text":
            meaning.text += block["text"]
        elif block["type"] == "thinking":
            meaning.thought += block["thinking"]
        elif block["type"] == "tool_use":
            meaning.calls.append((block["name"], arguments(block["input"])))
    return meaning.end("messages", answer.get("stop_reason"))


def gemini(answer):
    """generateContent."""
    meaning = Meaning(usage=tokens.google_counted(answer.get("usageMetadata")))
    candidate = next((one for one in answer.get("candidates") or [] if not one.get("index")), {})
    for part in (candidate.get("content") or {}).get("parts") or []:
        if call := part.get("functionCall"):
            meaning.calls.append((call["name"], call.get("args") or {}))
        elif part.get("thought"):
            meaning.thought += part.get("text") or ""
        else:
            meaning.text += part.get("text") or ""
    if (answer.get("promptFeedback") or {}).get("blockReason"):
        return meaning.end("gemini", "SAFETY")
    return meaning.end("gemini", str(candidate.get("finishReason") or "") or None)


def converse(answer):
    """Bedrock's Converse."""
    usage, meaning = answer.get("usage"), Meaning()
    if usage:
        cache = [usage.get(name) or 0 for name in ("cacheReadInputTokens", "cacheWriteInputTokens")]
        given, made = usage["inputTokens"], usage["outputTokens"]
        within = usage.get("totalTokens") == given + made and given >= sum(cache)
        meaning.usage = tokens.Usage(given if within else given + sum(cache), cache[0], made)
    for block in ((answer.get("output") or {}).get("message") or {}).get("content") or []:
        call = block.get("toolUse") or {}
        if call.get("type") == "server_tool_use":  # the provider's own tool, which it has run itself
            continue
        if call:
            meaning.calls.append((call["name"], arguments(call["input"])))
        elif thought := block.get("reasoningContent"):
            meaning.thought += (thought.get("reasoningText") or {}).get("text") or ""
        elif cited := block.get("citationsContent"):
            meaning.text += "".join(part.get("text") or "" for part in cited.get("content") or [])
        else:
            meaning.text += block.get("text") or ""
    return meaning.end("converse", answer.get("stopReason"))


READERS = {"chat": chat, "responses": responses, "messages": messages, "gemini": gemini, "converse": converse}
