"""The `google-genai` SDK."""

from google import genai
from google.genai import errors, types

from story import question

from .heard import KEY, WITHIN, call, failed, heard, kinds, usage

FINISH = {"STOP": "stop", "MAX_TOKENS": "length", "SAFETY": "refused", "PROHIBITED_CONTENT": "refused"}
CHOICES = {"auto": "AUTO", "required": "ANY"}


def client(base_url, key=KEY, _kind=None):
    """The SDK's client."""
    options = types.HttpOptions(base_url=base_url, api_version="v1beta", timeout=int(WITHIN * 1000))
    return genai.Client(api_key=key, vertexai=False, http_options=options)


def config(asked):
    """What stands beside the conversation."""
    found = {
        "max_output_tokens": asked["max_tokens"],
        "temperature": asked["temperature"],
        "system_instruction": asked["system"] or None,
        "automatic_function_calling": types.AutomaticFunctionCallingConfig(disable=True),
    }
    if asked["tools"]:
        found["tools"] = [types.Tool(function_declarations=[tool(one) for one in asked["tools"]])]
    if asked["choice"]:
        calling = types.FunctionCallingConfig(mode=CHOICES[asked["choice"]])
        found["tool_config"] = types.ToolConfig(function_calling_config=calling)
    if asked["schema"]:
        found |= {"response_mime_type": "application/json", "response_json_schema": asked["schema"]}
    if asked["reasons"]:
        found["thinking_config"] = types.ThinkingConfig(thinking_budget=2048, include_thoughts=True)
    return types.GenerateContentConfig(**found)


def tool(one):
    """A function declaration."""
    return types.FunctionDeclaration(
        name=one["name"], description=one["description"], parameters_json_schema=one["schema"]
    )


def content(turn):
    """The content of one turn; calls and results have no ids, as the API itself makes none."""
    parts = [types.Part(text=turn["text"])] if turn["text"] else []
    parts += [types.Part.from_bytes(data=image, mime_type="image/png") for image in turn["images"]]
    parts += [types.Part.from_function_call(name=one["name"], args=one["arguments"]) for one in turn["calls"]]
    parts += [
        types.Part.from_function_response(name=one["name"], response={"output": one["text"]}) for one in turn["results"]
    ]
    return types.Content(role="model" if turn["role"] == "assistant" else "user", parts=parts)


def ask(client, model, scenario, stream):
    """Makes the call and tells what was heard."""
    asked, so_far = question(scenario), []
    arguments = {"model": model, "contents": [content(one) for one in asked["turns"]], "config": config(asked)}
    try:
        if scenario == "loop":
            first = client.models.generate_content(**arguments)
            # the model's content, kept as the SDK gave it, and the tool's result
            arguments["contents"] += [first.candidates[0].content, content(question("loop-end")["turns"][-1])]
        if not stream:
            reply = client.models.generate_content(**arguments)
            return told([reply], reply.model_dump(mode="json", exclude_none=True, exclude={"sdk_http_response"}))
        chunks = []
        for chunk in client.models.generate_content_stream(**arguments):
            chunks.append(chunk)
            so_far += [part.text or "" for part in parts_of(chunk) if not part.thought]
        return told(chunks, kinds([kind_of(chunk) for chunk in chunks]))
    except errors.APIError as err:
        return failed(err, "".join(so_far), err.code)


def parts_of(chunk):
    """The parts of the one candidate."""
    candidates = chunk.candidates or []
    assert len(candidates) <= 1, "one candidate was asked for"
    return (candidates[0].content.parts or []) if candidates and candidates[0].content else []


def kind_of(chunk):
    """What a chunk brings."""
    names = ["call" if part.function_call else "thought" if part.thought else "text" for part in parts_of(chunk)]
    finish = [c.finish_reason.value for c in chunk.candidates or [] if c.finish_reason]
    return "+".join(kinds(names) + finish) or "empty"


def told(chunks, raw):
    """A response, or the chunks of one."""
    parts = [part for chunk in chunks for part in parts_of(chunk)]
    finishes = [c.finish_reason.value for chunk in chunks for c in chunk.candidates or [] if c.finish_reason]
    blocked = any(chunk.prompt_feedback and chunk.prompt_feedback.block_reason for chunk in chunks)
    assert len(finishes) == 1 or blocked, f"finish reasons: {finishes}"
    finish = "refused" if blocked else FINISH[finishes[0]]
    texts = "".join(part.text or "" for part in parts if not part.thought)
    calls = [
        call(part.function_call.id, part.function_call.name, part.function_call.args)
        for part in parts
        if part.function_call
    ]
    counts = [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata][-1]
    thought = counts.thoughts_token_count or 0
    return heard(
        text="" if finish == "refused" else texts,
        refusal=texts if finish == "refused" else "",
        reasoning="".join(part.text or "" for part in parts if part.thought),
        signature="yes" if any(part.thought_signature for part in parts) else "",
        calls=calls,
        finish="calls" if calls and finish == "stop" else finish,
        usage=usage(
            counts.prompt_token_count,
            (counts.candidates_token_count or 0) + thought,
            counts.cached_content_token_count,
            0,
            thought,
        ),
        id=chunks[-1].response_id,
        model=chunks[-1].model_version,
        raw=raw,
    )
