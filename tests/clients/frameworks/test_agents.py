"""OpenAI's Agents SDK (`openai-agents`): whole runs, tools included, on chats and on Responses."""
import asyncio
import time

import agents
import openai
import pytest
from agents import Agent, ModelSettings, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner, function_tool

from told import CHATS, CITIES, HELLO, RESPONSES, SUNNY, TRIP, Trip
from weir import STRANGE, async_client, mark, only_arrival, wait_aborted

agents.set_tracing_disabled(True)


def agent(kind, model, tenant="main", **more):
    """An agent behind the gateway."""
    return Agent(name="tester", model=kind(model=model, openai_client=async_client(tenant)), **more)


def weather(calls):
    """A tool that notes what it is called with."""

    @function_tool
    def get_weather(city: str, days: int) -> str:
        """The weather in a city."""
        calls.append({"city": city, "days": days})
        return "sunny"

    return get_weather


async def streamed(made, text):
    """(the deltas of a streamed run, its result)."""
    result = Runner.run_streamed(made, text)
    deltas = []
    async for event in result.stream_events():
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
            deltas.append(event.data.delta)
    return deltas, result


@CHATS
def test_a_run_and_a_streamed_run(model):
    assert asyncio.run(Runner.run(agent(OpenAIChatCompletionsModel, model), "hello")).final_output == HELLO
    deltas, result = asyncio.run(streamed(agent(OpenAIChatCompletionsModel, model), "hello"))
    assert "".join(deltas) == result.final_output == HELLO and len(deltas) > 8


@CHATS
def test_tools_are_called_and_their_results_go_back(model):
    for run in (lambda made: Runner.run(made, "weather"), lambda made: told(streamed(made, "weather"))):
        calls = []
        made = agent(OpenAIChatCompletionsModel, model, tools=[weather(calls)])
        assert asyncio.run(run(made)).final_output == SUNNY
        assert sorted(calls, key=lambda call: call["days"]) == CITIES


@CHATS
def test_structured_output(model):
    made = agent(OpenAIChatCompletionsModel, model, output_type=Trip)
    assert asyncio.run(Runner.run(made, "plan a trip")).final_output == TRIP


@RESPONSES
def test_responses_plain_and_streamed(model):
    assert asyncio.run(Runner.run(agent(OpenAIResponsesModel, model), "hello")).final_output == "echoes: hello"
    deltas, result = asyncio.run(streamed(agent(OpenAIResponsesModel, model), "hello"))
    assert "".join(deltas) == result.final_output == "echoes: hello"


@RESPONSES
def test_responses_with_tools(model):
    calls = []
    made = agent(OpenAIResponsesModel, model, tools=[weather(calls)])
    assert asyncio.run(Runner.run(made, "weather")).final_output == "echoes: sunny"
    assert calls == [{"city": f"{STRANGE} 0", "days": 7}]


def test_a_conversation_goes_on_where_it_is_kept():
    async def two_turns(turn):
        made = agent(OpenAIResponsesModel, "kept")
        first = await Runner.run(made, f"turn {turn}")
        return await Runner.run(made, "and then?", previous_response_id=first.last_response_id)

    for turn in range(4):
        assert asyncio.run(two_turns(turn)).final_output == f"echoes: and then? after: turn {turn}"


@pytest.mark.parametrize("kind", [OpenAIChatCompletionsModel, OpenAIResponsesModel])
def test_errors_are_the_sdks_own(kind):
    for model, tenant, error, code in (
        ("echo", "sk-nobody", openai.AuthenticationError, "invalid_api_key"),
        ("gpt-nobody", "main", openai.NotFoundError, "model_not_found"),
        ("refuse", "main", openai.BadRequestError, "context_length_exceeded"),
        ("broken", "main", openai.InternalServerError, "upstream_failed"),
    ):
        with pytest.raises(error) as caught:
            asyncio.run(Runner.run(agent(kind, model, tenant), "hello"))
        assert caught.value.code == code and caught.value.request_id


@pytest.mark.parametrize("kind", [OpenAIChatCompletionsModel, OpenAIResponsesModel])
def test_cancelling_a_run_reaches_the_provider(kind):
    user = mark()

    async def leave():
        made = agent(kind, "drip", model_settings=ModelSettings(extra_body={"user": user}))
        result = Runner.run_streamed(made, "hello")
        async for event in result.stream_events():
            if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
                break
        left = time.time()
        result.cancel()
        await asyncio.to_thread(wait_aborted, user, left)

    asyncio.run(leave())
    assert only_arrival(user)["outcome"] == "aborted"


async def told(run):
    """The result of a streamed run."""
    return (await run)[1]
