"""The scenarios, in no dialect: what a client asks, and what the model then says.

`loop` is two calls: the model thinks and calls a tool; what the SDK gave goes back with the tool's result, and the thoughts
with the model's signature must come back to it as they were (`loop-end`).

A turn is `{role, text, images, calls, results}`; a call `{id, name, arguments}`; a result `{id, name, text}`. What is said is
`{reasoning, signature, text, refusal, calls, finish, usage}`. Clients put the question into their SDK's words, providers the
answer into their wire's, and the judge compares both ends with this file.
"""

import base64
import struct
import zlib

SCENARIOS = (
    "text",
    "system",
    "tools",
    "parallel",
    "results",
    "image",
    "schema",
    "reasoning",
    "loop",
    "cache",
    "refusal",
    "length",
    "error",
)
ERROR_TEXT = "The harbour is closed to this request."
BROKEN_TEXT = "The tide took the rest."  # an error in the middle of a stream
LONG_RULES = "You are a lighthouse keeper. " + "Count every ship that passes, by name and by flag. " * 120
SIGNATURE = base64.b64encode(b"signed by the one who thought this, and by nobody else").decode()


def schema(**properties):
    """A closed JSON Schema in which everything is required: what every provider takes as it is."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


WEATHER = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "schema": schema(city={"type": "string", "description": "The city's name"}),
}
TIME = {
    "name": "get_time",
    "description": "The time in a city.",
    "schema": schema(city={"type": "string"}, seconds={"type": "boolean"}),
}
PERSON = schema(name={"type": "string"}, age={"type": "integer"})


def chunk(kind, data):
    """One chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png():
    """A PNG of one red dot."""
    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0\xff\0\0")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def turn(role, text="", images=(), calls=(), results=()):
    """One turn of a conversation."""
    return {"role": role, "text": text, "images": list(images), "calls": list(calls), "results": list(results)}


def weather_in(city, number):
    """A call of the weather tool."""
    return {"id": f"call_{number:04}abcdefgh", "name": "get_weather", "arguments": {"city": city}}


def two_calls():
    """Two calls of one turn."""
    return [weather_in("Oslo", 1), weather_in("Lima", 2)]


def said(text="", finish="stop", **more):
    """What the model says; usage that no two fields share."""
    usage = {"input": 111, "output": 23, "cached": 0, "written": 0, "reasoning": 0} | more.pop("usage", {})
    nothing = {"reasoning": "", "signature": "", "refusal": "", "calls": []}
    return nothing | {"text": text, "finish": finish, "usage": usage} | more


def ask(*turns, **more):
    """What is asked for; `max_tokens` always."""
    nothing = {"system": "", "tools": [], "choice": None, "schema": None, "reasons": False, "cached": False}
    return nothing | {"turns": list(turns), "max_tokens": 300, "temperature": None} | more


def question(scenario):
    """What the client asks."""
    hello = turn("user", "Say hello to the harbour.")
    weather = turn("user", "How is the weather in Oslo and Lima?")
    results = [
        {"id": call["id"], "name": call["name"], "text": f"{degrees} degrees"}
        for call, degrees in zip(two_calls(), (3, 22), strict=True)
    ]
    return {
        "text": ask(hello, temperature=0.5),
        "system": ask(
            hello,
            turn("assistant", "Hello, harbour!"),
            turn("user", "Is the light on? Grüße, 港 🚢"),
            system="You are a lighthouse keeper.",
        ),
        "tools": ask(weather, tools=[WEATHER, TIME], choice="auto"),
        "parallel": ask(weather, tools=[WEATHER, TIME], choice="required"),
        "results": ask(weather, turn("assistant", calls=two_calls()), turn("user", results=results), tools=[WEATHER]),
        "image": ask(turn("user", "What is this?", images=[png()])),
        "schema": ask(turn("user", "Who keeps the light?"), schema=PERSON),
        "reasoning": ask(turn("user", "How many ships?"), reasons=True, max_tokens=8000),
        "loop": ask(weather, tools=[WEATHER], reasons=True, max_tokens=8000),
        "loop-end": ask(
            weather,
            turn("assistant", calls=two_calls()[:1]),
            turn("user", results=results[:1]),
            tools=[WEATHER],
            reasons=True,
            max_tokens=8000,
        ),
        "cache": ask(hello, system=LONG_RULES, cached=True),
        "refusal": ask(turn("user", "Sink the ships.")),
        "length": ask(turn("user", "Tell of the sea."), max_tokens=16),
        "error": ask(turn("user", "Fail, please.")),
    }[scenario]


def answer(scenario):
    """What the model says to it. `error` is what a stream says before it breaks."""
    return {
        "text": said("Hello, harbour! Grüße, 港 🚢"),
        "system": said("The light is on."),
        "tools": said(calls=[weather_in("Oslo", 1)], finish="calls"),
        "parallel": said("Looking up both.", calls=two_calls(), finish="calls"),
        "results": said("Oslo 3, Lima 22."),
        "image": said("A red dot."),
        "schema": said('{"name":"Alma","age":71}'),
        "reasoning": said(
            "Seven ships.", reasoning="Three came, four stayed.", signature=SIGNATURE, usage={"reasoning": 9}
        ),
        "loop": said(
            calls=two_calls()[:1],
            finish="calls",
            reasoning="I must look it up.",
            signature=SIGNATURE,
            usage={"reasoning": 9},
        ),
        "loop-end": said("Oslo 3."),
        "cache": said("Hello from the tower.", usage={"input": 1500, "cached": 1024}),
        "refusal": said(refusal="I will not sink ships.", finish="refused"),
        "length": said("The sea is wide and", finish="length", usage={"output": 16}),
        "error": said("The tide is"),
    }[scenario]


# What stands behind the gateway: kind -> the provider's name for its model; each scenario is a model of its own.
MODELS = {
    "chat": "gpt-4.1",
    "responses": "gpt-4.1",
    "azure": "gpt-4.1",
    "anthropic": "claude-sonnet-4-5",
    "gemini": "gemini-2.5-flash",
    "bedrock": "anthropic.claude-sonnet-4-5",
    "vertex": "gemini-2.5-flash",
}
THINKING = {"chat": "gpt-5.2", "responses": "gpt-5.2", "azure": "gpt-5.2"}
KINDS = tuple(MODELS)


def upstream_model(kind, scenario):
    """The provider's name of the model for a scenario; its end tells the provider which one."""
    names = {**MODELS, **THINKING} if scenario in ("reasoning", "loop") else MODELS
    return f"{names[kind]}--{scenario}"


def scenario_of(model):
    """The scenario that a provider's model stands for."""
    return model.rpartition("--")[2]


def pieces(text, size=7):
    """A text as a stream cuts it."""
    return [text[at : at + size] for at in range(0, len(text), size)]
