"""What the scripted provider says on `/responses`: the object, its events, and what it keeps of them.

The mock of the other suites numbers no events and keeps nothing; here a response is numbered, kept for the key that made
it, and gone on with, as at OpenAI.
"""
import uuid

from . import answers


def answer(request, previous=None):
    """The response, complete."""
    output = [item(said) for said in says(request, previous)]
    return {**common(request), "status": "completed", "output": output, "usage": usage(request, output)}


def events(response):
    """The events of a streamed answer that add up to `response`, in order and numbered."""
    yield from numbered(unnumbered(response))


def beginning(request, words):
    """The events of a stream that has said so many words and nothing that ends it."""
    said = " ".join(f"word{number}" for number in range(words))
    response = {**common(request), "status": "completed", "output": [text_item(said)], "usage": None}
    ends = (".done", ".completed")
    opening = [event for event in unnumbered(response) if not event["type"].endswith(ends)]
    return list(numbered(opening if words else opening[:2]))


def numbered(events_):
    """With `sequence_number`, from 0."""
    for number, event in enumerate(events_):
        yield {"type": event.pop("type"), "sequence_number": number, **event}


def unnumbered(response):
    """What OpenAI streams for a response."""
    running = {**response, "status": "in_progress", "output": [], "usage": None}
    yield {"type": "response.created", "response": running}
    yield {"type": "response.in_progress", "response": running}
    for place, said in enumerate(response["output"]):
        yield from item_events(place, said)
    yield {"type": "response.completed", "response": response}


def item_events(place, said):
    """One output item: announced, told piece by piece, complete."""
    at = {"item_id": said["id"], "output_index": place}
    started = {**said, "status": "in_progress"} | ({"content": []} if said["type"] == "message" else {"arguments": ""})
    yield {"type": "response.output_item.added", "output_index": place, "item": started}
    if said["type"] == "message":
        (part,) = said["content"]
        at |= {"content_index": 0}
        yield {"type": "response.content_part.added", **at, "part": {**part, "text": ""}}
        for word in pieces(part["text"]):
            yield {"type": "response.output_text.delta", **at, "delta": word, "logprobs": []}
        yield {"type": "response.output_text.done", **at, "text": part["text"], "logprobs": []}
        yield {"type": "response.content_part.done", **at, "part": part}
    else:
        for start in range(0, len(said["arguments"]), answers.FRAGMENT):
            fragment = said["arguments"][start : start + answers.FRAGMENT]
            yield {"type": "response.function_call_arguments.delta", **at, "delta": fragment}
        done = {"name": said["name"], "arguments": said["arguments"]}
        yield {"type": "response.function_call_arguments.done", **at, **done}
    yield {"type": "response.output_item.done", "output_index": place, "item": said}


def pieces(text):
    """The text by words, blanks kept."""
    words = text.split(" ")
    return [words[0], *(" " + word for word in words[1:])]


def common(request):
    """Fields of every response."""
    asked = ("instructions", "max_output_tokens", "previous_response_id", "user", "temperature", "top_p")
    return {
        "id": f"resp_{uuid.uuid4().hex}",
        "object": "response",
        "created_at": answers.CREATED,
        "error": None,
        "incomplete_details": None,
        "model": request["model"],
        "parallel_tool_calls": request.get("parallel_tool_calls", True),
        "store": request.get("store", True),
        "text": request.get("text") or {"format": {"type": "text"}},
        "tool_choice": request.get("tool_choice") or "auto",
        "tools": request.get("tools") or [],
        "metadata": request.get("metadata") or {},
        "x_undeclared": {"kept": [1, 2.50, answers.STRANGE]},
        **{name: request.get(name) for name in asked},
    }


def says(request, previous):
    """What the items say: a call of every tool, or else a text. Tools whose results came back are not called again."""
    tools = [tool for tool in request.get("tools") or [] if tool["type"] == "function"]
    if tools and not returned(request):
        nested = [{"function": tool} for tool in tools]
        return answers.tool_calls({"tools": nested, "parallel_tool_calls": request.get("parallel_tool_calls", True)})
    wanted = (request.get("text") or {}).get("format") or {}
    if wanted.get("type") == "json_schema":
        return [answers.json_text(wanted["schema"])]
    after = f" after: {last_text(previous)}" if previous else ""
    return [f"echoes: {last_text(request)}{after}"]


def item(said):
    """One output item: a text, or a call as in a chat."""
    if isinstance(said, str):
        return text_item(said)
    called = {"name": said["function"]["name"], "arguments": said["function"]["arguments"], "call_id": said["id"]}
    return {"id": f"fc_{uuid.uuid4().hex}", "type": "function_call", "status": "completed", **called}


def text_item(text):
    """A message of the assistant."""
    content = [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]
    return {
        "id": f"msg_{uuid.uuid4().hex}", "type": "message", "role": "assistant", "status": "completed", "content": content
    }


def returned(request):
    """Does the input bring the result of a tool?"""
    given = request["input"]
    return not isinstance(given, str) and any(entry.get("type") == "function_call_output" for entry in given)


def last_text(request):
    """The last input's text, however it was written."""
    given = request["input"]
    if isinstance(given, str):
        return given
    last = given[-1]
    content = last.get("content", last.get("output")) or ""
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content)


def input_items(request):
    """The input as `GET /responses/{id}/input_items` lists it."""
    given = request["input"]
    if isinstance(given, str):
        given = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": given}]}]
    data = [{"id": f"msg_in_{number}", **entry} for number, entry in enumerate(given)]
    return {"object": "list", "data": data, "first_id": None, "last_id": None, "has_more": False}


def usage(request, output):
    """Deterministic: 13 input tokens, and one output token per word; a call of a tool counts two."""
    words = 0
    for said in output:
        words += len(said["content"][0]["text"].split()) if said["type"] == "message" else 2
    return {
        "input_tokens": 13,
        "input_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 0},
        "output_tokens": words,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 13 + words,
    }


class Kept:
    """The responses that were made, each for the key that made it, as at OpenAI: no other key sees it."""

    def __init__(self):
        self.made = {}

    def keep(self, key, request, response):
        """Unless the client wished otherwise."""
        if request.get("store") is not False:
            self.made[key, response["id"]] = (request, response)

    def find(self, key, name):
        """(request, response), or None."""
        return self.made.get((key, name))

    def forget(self, key, name):
        """Was it there?"""
        return self.made.pop((key, name), None) is not None
