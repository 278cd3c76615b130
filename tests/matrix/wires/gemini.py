"""Google's generateContent, of the Gemini API and of Vertex."""

import base64
import json

from google.genai import types
from pydantic import ValidationError

from story import pieces

from .common import data_event, joined, lowered, text_turn

FINISH = {"stop": "STOP", "calls": "STOP", "length": "MAX_TOKENS", "refused": "SAFETY"}
CHOICES = {"AUTO": "auto", "ANY": "required", "VALIDATED": "auto", "NONE": "none"}
ROLES = {"user": "user", "function": "user", "model": "assistant"}
# the fields of a request, each read by Google's own types, which refuse what they do not know
FIELDS = {
    "contents": types.Content,
    "systemInstruction": types.Content,
    "tools": types.Tool,
    "toolConfig": types.ToolConfig,
    "safetySettings": types.SafetySetting,
    "generationConfig": types.GenerationConfig,
}


def check(body, _stream):
    """Everything that Google would refuse."""
    found = [
        f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.'
        for name in body
        if spelled(name) not in FIELDS
    ]
    try:
        request = read(body)
    except ValidationError as err:
        return found + [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in err.errors()]
    contents = request.get("contents") or []
    if not contents:
        found.append("contents is not specified")
    for content in contents:
        if content.role not in ROLES:
            found.append("Please use a valid role: user, model.")
        if not content.parts:
            found.append("contents.parts must not be empty.")
    config = request.get("generationConfig")
    if (
        config
        and (config.response_schema or config.response_json_schema)
        and config.response_mime_type != "application/json"
    ):
        found.append("response_mime_type must be application/json for a schema")
    return found + unanswered(contents)


def unanswered(contents):
    """A turn with calls is followed by as many results; nothing else has any."""
    found, open_calls = [], 0
    for content in contents:
        parts = content.parts or []
        results = sum(part.function_response is not None for part in parts)
        if results != open_calls:
            found.append("the number of function response parts is not that of the function call parts before")
        open_calls = sum(part.function_call is not None for part in parts)
    return found + (["the last turn's calls have no responses"] if open_calls else [])


def spelled(name):
    """Google takes snake_case for every field, too."""
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def read(body):
    """A request as Google's types."""
    found = {}
    for name, value in body.items():
        kind = FIELDS.get(spelled(name))
        if kind is None:
            continue
        if isinstance(value, list):
            found[spelled(name)] = [kind.model_validate_json(json.dumps(one)) for one in value]
        else:
            found[spelled(name)] = kind.model_validate_json(json.dumps(value))
    return found


def facts(body):
    """What is asked, in no dialect."""
    request = read(body)
    config = request.get("generationConfig") or types.GenerationConfig()
    system = request.get("systemInstruction")
    calling = getattr(request.get("toolConfig"), "function_calling_config", None)
    thinking = config.thinking_config
    declared = [one for group in request.get("tools") or [] for one in group.function_declarations or []]
    return {
        "system": "".join(part.text or "" for part in system.parts) if system else "",
        "turns": turns(request["contents"]),
        "tools": [tool(one) for one in declared],
        "choice": CHOICES.get(calling.mode.value) if calling and calling.mode else None,
        "schema": schema_of(config.response_json_schema, config.response_schema),
        "reasons": bool(thinking) and (thinking.thinking_budget or thinking.thinking_level) not in (None, 0),
        "max_tokens": config.max_output_tokens,
        "temperature": config.temperature,
        "cached": False,
        "signatures": [encoded(part) for one in request["contents"] for part in one.parts if part.thought_signature],
    }


def encoded(part):
    """A part's signature as it was given."""
    return base64.b64encode(part.thought_signature).decode()


def schema_of(plain, own):
    """A schema, whichever field it came in."""
    return lowered(plain if own is None else json.loads(own.model_dump_json(exclude_none=True, by_alias=True)))


def tool(one):
    """A function declaration."""
    schema = schema_of(one.parameters_json_schema, one.parameters)
    return {"name": one.name, "description": one.description, "schema": schema}


def turns(contents):
    """The conversation. Google's calls need no ids: results then answer in order."""
    found, asked = [], []
    for number, content in enumerate(contents):
        parts = [part for part in content.parts if not part.thought]
        text = "".join(part.text or "" for part in parts)
        images = [part.inline_data.data for part in parts if part.inline_data]
        results = [
            result_of(part.function_response, asked, at)
            for at, part in enumerate(p for p in parts if p.function_response)
        ]
        asked = [
            call_of(part.function_call, f"{number}.{at}") for at, part in enumerate(p for p in parts if p.function_call)
        ]
        found.append(text_turn(ROLES[content.role], text, images=images, calls=asked, results=results))
    return joined(found)


def call_of(call, made_up):
    """A call in the history."""
    return {"id": call.id or made_up, "name": call.name, "arguments": call.args or {}}


def result_of(response, asked, at):
    """A result and the name of the call it answers, which must be the name that it says."""
    call = next((one for one in asked if one["id"] == response.id), None) or (asked[at] if at < len(asked) else {})
    name = response.name if response.name == call.get("name") else None
    texts = [value for value in (response.response or {}).values() if isinstance(value, str)]
    return {"id": call.get("id"), "name": name, "text": "".join(texts)}


def usage(said):
    """Reasoning stands beside the candidates' tokens, the cached part inside the prompt's."""
    counts = said["usage"]
    found = {
        "promptTokenCount": counts["input"],
        "candidatesTokenCount": counts["output"] - counts["reasoning"],
        "totalTokenCount": counts["input"] + counts["output"],
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": counts["input"]}],
    }
    found |= {"cachedContentTokenCount": counts["cached"]} if counts["cached"] else {}
    return found | ({"thoughtsTokenCount": counts["reasoning"]} if counts["reasoning"] else {})


def parts_of(said):
    """The parts of an answer; a refused one has none."""
    found = [{"text": said["reasoning"], "thought": True}] if said["reasoning"] else []
    signed = {"thoughtSignature": said["signature"]} if said["signature"] else {}
    found += [{"text": said["text"], **signed}] if said["text"] else []
    calls = [{"functionCall": {"name": call["name"], "args": call["arguments"]}} for call in said["calls"]]
    if calls and not said["text"]:
        calls[0] |= signed
    return found + calls


def body_of(parts, model, counts, finish):
    """One GenerateContentResponse."""
    candidate = {"content": {"parts": parts, "role": "model"}} if parts else {}
    if finish == "SAFETY":
        rating = {"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH", "blocked": True}
        candidate["safetyRatings"] = [rating]
    candidate |= {"finishReason": finish} if finish else {}
    return {
        "candidates": [{**candidate, "index": 0}],
        "usageMetadata": counts,
        "modelVersion": model,
        "responseId": "matrixZ0aQ",
    }


def whole(said, model):
    """A whole answer."""
    return body_of(parts_of(said), model, usage(said), FINISH[said["finish"]])


def events(said, model, _body):
    """The stream's events; the last one has the finish reason and all of the usage."""
    counts = usage(said)
    early = {"promptTokenCount": counts["promptTokenCount"], "totalTokenCount": counts["promptTokenCount"]}
    chunks = [piece for part in parts_of(said) for piece in cut(part)]
    for part in chunks[:-1]:
        yield data_event(body_of([part], model, early, None))
    yield data_event(body_of(chunks[-1:], model, counts, FINISH[said["finish"]]))


def cut(part):
    """A part as a stream cuts it: texts in pieces, a signature behind them on an empty one; calls whole."""
    if "text" not in part:
        return [part]
    if part.get("thought"):
        return [{"text": text, "thought": True} for text in pieces(part["text"])]
    return [{"text": text} for text in pieces(part["text"])] + [{**part, "text": ""}]


def refusal(message):
    """The body of a 400."""
    return {"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}, {}


def broken(message, _number):
    """What a stream says when it cannot go on."""
    return data_event({"error": {"code": 503, "message": message, "status": "UNAVAILABLE"}})


def content_ends(event):
    """Is this event behind the content?"""
    return b'"finishReason"' in event
