"""Tools and structured output, plain and streamed in fragments."""
import json
from typing import Literal

import pydantic

from weir import ASK, STRANGE, client


def tool(name):
    """A function that takes a city and a unit."""
    properties = {"city": {"type": "string"}, "days": {"type": "integer"}, "unit": {"enum": ["C", "F"]}}
    schema = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    return {"type": "function", "function": {"name": name, "strict": True, "parameters": schema}}


TOOLS = [tool("get_weather"), tool("get_tides")]
WANTED = [
    ("get_weather", {"city": f"{STRANGE} 0", "days": 7, "unit": "C"}),
    ("get_tides", {"city": f"{STRANGE} 1", "days": 7, "unit": "C"}),
]


class Place(pydantic.BaseModel):
    """Part of a structured answer."""

    name: str
    kind: Literal["city", "village"]


class Trip(pydantic.BaseModel):
    """A structured answer."""

    title: str
    days: int
    cost: float
    open: bool
    places: list[Place]


def test_one_tool_call_arrives():
    answer = client().chat.completions.create(
        model="echo", messages=ASK, tools=TOOLS, tool_choice="auto", parallel_tool_calls=False
    )
    assert answer.choices[0].finish_reason == "tool_calls" and answer.choices[0].message.content is None
    (call,) = answer.choices[0].message.tool_calls
    assert (call.id, call.type) == ("call_0", "function")
    assert (call.function.name, json.loads(call.function.arguments)) == WANTED[0]


def test_parallel_tool_calls_arrive():
    calls = client().chat.completions.create(model="echo", messages=ASK, tools=TOOLS).choices[0].message.tool_calls
    assert [(c.function.name, json.loads(c.function.arguments)) for c in calls] == WANTED


def test_parallel_tool_calls_streamed_in_fragments_add_up():
    names, arguments, fragments = {}, {0: "", 1: ""}, 0
    with client().chat.completions.create(model="echo", messages=ASK, tools=TOOLS, stream=True) as stream:
        for chunk in stream:
            for call in chunk.choices[0].delta.tool_calls or []:
                names.setdefault(call.index, call.function.name)
                arguments[call.index] += call.function.arguments
                fragments += 1
    assert fragments > 10, "the arguments did not arrive in fragments"
    assert [(names[n], json.loads(arguments[n])) for n in (0, 1)] == WANTED


def test_the_stream_helper_parses_parallel_tool_calls():
    with client().chat.completions.stream(model="echo", messages=ASK, tools=TOOLS) as events:
        calls = events.get_final_completion().choices[0].message.tool_calls
    assert [(c.function.name, c.function.parsed_arguments) for c in calls] == WANTED


def test_a_tool_result_can_be_sent_back():
    first = client().chat.completions.create(model="echo", messages=ASK, tools=TOOLS).choices[0].message
    results = [{"role": "tool", "tool_call_id": c.id, "content": f"done {c.id}"} for c in first.tool_calls]
    answer = client().chat.completions.create(model="echo", messages=[*ASK, first, *results])
    assert answer.choices[0].message.content == "choice 0 echoes: done call_1"


def test_a_strict_providers_parallel_tools_are_usable():
    with client().chat.completions.stream(model="strict", messages=ASK, tools=TOOLS) as events:
        streamed = events.get_final_completion().choices[0].message.tool_calls
    plain = client().chat.completions.create(model="strict", messages=ASK, tools=TOOLS).choices[0].message.tool_calls
    for calls in (plain, streamed):
        assert [c.function.name for c in calls] == ["get_weather", "get_tides"]
        assert all(set(json.loads(c.function.arguments)) == {"city", "days", "unit"} for c in calls)


def test_a_strict_providers_structured_output_is_parsed():
    answer = client().chat.completions.parse(model="strict", messages=ASK, response_format=Trip)
    assert isinstance(answer.choices[0].message.parsed, Trip)


def test_structured_output_is_parsed():
    answer = client().chat.completions.parse(model="echo", messages=ASK, response_format=Trip)
    trip = answer.choices[0].message.parsed
    place = Place(name="value", kind="city")
    assert trip == Trip(title="value", days=7, cost=2.5, open=True, places=[place, place])


def test_structured_output_is_parsed_from_a_stream():
    with client().chat.completions.stream(model="echo", messages=ASK, response_format=Trip) as events:
        trip = events.get_final_completion().choices[0].message.parsed
    assert isinstance(trip, Trip) and trip.places[0].kind == "city"
