"""The SDK against the gateway in front of aimock, a mock of OpenAI's API that others wrote.

Its own faults are kept out: its Responses events have no `sequence_number`, it ignores `encoding_format: base64`, keeps no
response, has no legacy completions, and cuts characters above U+FFFF in two; those are shown with the scripted provider.
"""
import base64
import json

import openai
import pydantic
import pytest

from weir import client, counted, logged, mark, mocked, text_of

SAID = "Hello from Zürich ☀, in words enough for a stream."
CITIES = [{"city": "Zürich", "days": 3}, {"city": '日本 "☀"', "days": 5}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}
TOOL = {"name": "get_weather", "parameters": SCHEMA}
PICTURE = "data:image/png;base64," + base64.b64encode(bytes(range(256)) * 100).decode()  # aimock records up to 64 KB
MODELS = pytest.mark.parametrize("model", ["mock", "mock-failover", "mock-garbled"])
"""One deployment; two that fail (500, a dropped connection) before a good one; one that answers garbage before it."""


class Place(pydantic.BaseModel):
    """Part of a structured answer."""

    name: str
    kind: str


class Trip(pydantic.BaseModel):
    """A structured answer."""

    title: str
    days: int
    places: list[Place]


def ask(text):
    """One user's message."""
    return [{"role": "user", "content": text}]


@MODELS
def test_a_chat(model):
    raw = client().chat.completions.with_raw_response.create(model=model, messages=ask("hello"))
    assert raw.parse().choices[0].message.content == SAID
    line = logged(raw.headers["x-request-id"])
    assert counted(line) == (12, 0, 11)
    attempts = {"mock": 1, "mock-garbled": 2, "mock-failover": 3}[model]
    assert (raw.headers["x-weir-attempts"], raw.headers["x-weir-deployment"]) == (str(attempts), "mock")


@MODELS
def test_a_stream(model):
    with client().chat.completions.create(model=model, messages=ask("hello"), stream=True) as stream:
        chunks = list(stream)
    assert text_of(chunks) == SAID and len(chunks) > 8 and chunks[-1].choices[0].finish_reason == "stop"


@MODELS
def test_parallel_tools_and_their_results(model):
    tools = [{"type": "function", "function": TOOL}]
    answer = client().chat.completions.create(model=model, messages=ask("weather"), tools=tools)
    message = answer.choices[0].message
    assert [json.loads(call.function.arguments) for call in message.tool_calls] == CITIES
    results = [{"role": "tool", "tool_call_id": call.id, "content": "sunny"} for call in message.tool_calls]
    final = client().chat.completions.create(model=model, messages=[*ask("weather"), message, *results], tools=tools)
    assert final.choices[0].message.content == "Sunny in both cities."


@MODELS
def test_streamed_tools(model):
    tools = [{"type": "function", "function": TOOL}]
    with client().chat.completions.stream(model=model, messages=ask("weather"), tools=tools) as stream:
        calls = stream.get_final_completion().choices[0].message.tool_calls
    assert [json.loads(call.function.arguments) for call in calls] == CITIES


@MODELS
def test_structured_output(model):
    answer = client().chat.completions.parse(model=model, messages=ask("plan a trip"), response_format=Trip)
    trip = answer.choices[0].message.parsed
    assert (trip.title, trip.days, [place.name for place in trip.places]) == ('Zürich "Altstadt" ☀', 7, ["Bern", "Wengen"])


@MODELS
def test_vision(model):
    seen = mark()
    parts = [{"type": "text", "text": f"what is in the picture? {seen}"}, {"type": "image_url", "image_url": {"url": PICTURE}}]
    answer = client().chat.completions.create(model=model, messages=[{"role": "user", "content": parts}])
    assert answer.choices[0].message.content == "A red square."
    assert mocked(seen)[-1]["body"]["messages"][0]["content"] == parts


@MODELS
def test_embeddings(model):
    """As floats, which the SDK is given here whatever it asks for."""
    answer = client().embeddings.create(model=model, input=["a vector", "another vector"], encoding_format="float")
    assert [entry.embedding for entry in answer.data] == [[0.5, -0.25, 1, 0.125]] * 2


@MODELS
def test_a_response(model):
    raw = client().responses.with_raw_response.create(model=model, input="hello")
    assert raw.parse().output_text == SAID
    line = logged(raw.headers["x-request-id"])
    assert (line["api"], counted(line)) == ("responses", (12, 0, 11))


@MODELS
def test_a_streamed_response(model):
    with client().responses.create(model=model, input="hello", stream=True) as stream:
        events = list(stream)
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == SAID
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")


@MODELS
def test_a_streamed_response_with_tools(model):
    tools = [{"type": "function", "strict": False, **TOOL}]
    with client().responses.create(model=model, input="weather", tools=tools, stream=True) as stream:
        done = [event for event in stream if event.type == "response.function_call_arguments.done"]
    assert [json.loads(event.arguments) for event in done] == CITIES


def test_a_refusal_is_kept():
    with pytest.raises(openai.BadRequestError) as caught:
        client().chat.completions.create(model="mock", messages=ask("refuse this"))
    assert (caught.value.code, caught.value.param) == ("content_filter", "messages")
    assert caught.value.body["message"] == "aimock does not like it" and caught.value.request_id


def test_the_failing_ones_were_really_asked():
    seen = mark()
    client().chat.completions.create(model="mock-failover", messages=ask(f"hello {seen}"))
    assert [entry["body"]["model"] for entry in mocked(seen)] == ["mock-down", "mock-dropped", "mock"]
