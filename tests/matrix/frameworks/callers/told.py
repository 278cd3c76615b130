"""What the callers share: the tools, the structured answer, and what a framework's user has in hand at the end."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

import story

WITHIN = 20.0  # s, for one call


class Person(BaseModel):
    """A keeper of the light."""

    model_config = ConfigDict(extra="forbid")
    name: str
    age: int


def heard(**more):
    """What the user was handed. `calls` are those of their tools, `pieces` how many a stream came in, `usage` that of
    the whole run, None where the framework does not tell it."""
    return {"text": "", "calls": [], "output": None, "pieces": 0, "usage": None, "error": None} | more


def usage(input, output):
    """Tokens."""
    return {"input": input, "output": output}


def tools(scenario, calls):
    """The tools of a scenario, as functions that note in `calls` what they are called with."""
    if scenario not in story.LOOPS:
        return []
    question = story.question("errands-end")["turns"]
    told = {
        call["arguments"]["city"]: result["text"]
        for call, result in zip(question[1]["calls"], question[2]["results"], strict=True)
    }

    def get_weather(city: Annotated[str, Field(description="The city's name")]) -> str:
        """The weather in a city."""
        calls.append({"name": "get_weather", "city": city})
        return told[city]

    def get_time(city: str, seconds: bool) -> str:
        """The time in a city."""
        calls.append({"name": "get_time", "city": city})
        return "noon"

    named = [one["name"] for one in story.question(scenario)["tools"]]
    return [one for one in (get_weather, get_time) if one.__name__ in named]


def asked(scenario):
    """(the user's words, the instructions, the temperature) of a scenario."""
    question = story.question(scenario)
    return question["turns"][0]["text"], question["system"], question["temperature"]


def set_only(**options):
    """The options that have a value."""
    return {name: value for name, value in options.items() if value is not None}
