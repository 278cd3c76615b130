"""Pydantic AI (`pydantic-ai-slim[openai]`)."""
import asyncio
import base64
import time

import pytest
from pydantic_ai import Agent, BinaryContent, Embedder, NativeOutput
from pydantic_ai.embeddings.openai import OpenAIEmbeddingModel
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

from told import CHATS, CITIES, HELLO, PICTURE, RESPONSES, SUNNY, TRIP, Trip, vector
from weir import STRANGE, arrivals, async_client, mark, mocked, wait_aborted


def provider(tenant="main"):
    """OpenAI's, behind the gateway."""
    return OpenAIProvider(openai_client=async_client(tenant))


def agent(kind, model, tenant="main", **more):
    """An agent behind the gateway."""
    return Agent(kind(model, provider=provider(tenant)), **more)


async def streamed(made, text):
    """The pieces of a streamed answer."""
    async with made.run_stream(text) as result:
        return [piece async for piece in result.stream_text(delta=True, debounce_by=None)]


@CHATS
def test_a_run_and_a_streamed_run(model):
    result = asyncio.run(agent(OpenAIChatModel, model).run("hello"))
    assert result.output == HELLO
    assert (result.usage.input_tokens, result.usage.output_tokens) == (12, 11)
    pieces = asyncio.run(streamed(agent(OpenAIChatModel, model), "hello"))
    assert "".join(pieces) == HELLO and len(pieces) > 8


@CHATS
def test_tools_are_called_and_their_results_go_back(model):
    for run in (lambda made: made.run("weather"), lambda made: streamed(made, "weather")):
        calls = []
        result = asyncio.run(run(agent(OpenAIChatModel, model, tools=[weather(calls)])))
        assert (result.output if hasattr(result, "output") else "".join(result)) == SUNNY
        assert sorted(calls, key=lambda call: call["days"]) == CITIES


def weather(calls):
    """A tool that notes what it is called with."""

    def get_weather(city: str, days: int) -> str:
        """The weather in a city."""
        calls.append({"city": city, "days": days})
        return "sunny"

    return get_weather


@CHATS
def test_structured_output(model):
    assert asyncio.run(agent(OpenAIChatModel, model, output_type=NativeOutput(Trip)).run("plan a trip")).output == TRIP


@CHATS
def test_vision(model):
    seen = mark()
    picture = BinaryContent(base64.b64decode(PICTURE), media_type="image/png")
    result = asyncio.run(agent(OpenAIChatModel, model).run([f"what is in the picture? {seen}", picture]))
    assert result.output == "A red square."
    assert PICTURE in str(mocked(seen)[-1]["body"])


def test_embeddings():
    made = Embedder(OpenAIEmbeddingModel("echo", provider=provider()))
    result = asyncio.run(made.embed_documents([STRANGE, "b"]))
    assert [list(embedding) for embedding in result.embeddings] == [vector(STRANGE), vector("b")]


@RESPONSES
def test_responses_plain_and_streamed(model):
    assert asyncio.run(agent(OpenAIResponsesModel, model).run("hello")).output == "echoes: hello"
    assert "".join(asyncio.run(streamed(agent(OpenAIResponsesModel, model), "hello"))) == "echoes: hello"


def test_a_response_goes_on_where_it_is_kept():
    async def two_turns(turn):
        made = agent(OpenAIResponsesModel, "kept")
        first = await made.run(f"turn {turn}")
        name = first.response.provider_response_id
        return await made.run("and then?", model_settings={"openai_previous_response_id": name})

    for turn in range(4):
        assert asyncio.run(two_turns(turn)).output == f"echoes: and then? after: turn {turn}"


@pytest.mark.parametrize("kind", [OpenAIChatModel, OpenAIResponsesModel])
def test_errors_carry_status_and_code(kind):
    for model, tenant, status, code in (
        ("echo", "sk-nobody", 401, "invalid_api_key"),
        ("gpt-nobody", "main", 404, "model_not_found"),
        ("refuse", "main", 400, "context_length_exceeded"),
        ("busy", "main", 429, "rate_limit_exceeded"),
        ("broken", "main", 502, "upstream_failed"),
    ):
        with pytest.raises(ModelHTTPError) as caught:
            asyncio.run(agent(kind, model, tenant).run("hello"))
        assert (caught.value.status_code, caught.value.body["code"]) == (status, code)


@pytest.mark.parametrize("kind", [OpenAIChatModel, OpenAIResponsesModel])
def test_leaving_a_stream_reaches_the_provider(kind):
    user = mark()

    async def leave():
        made = agent(kind, "drip", model_settings={"extra_body": {"user": user}})
        async with made.run_stream("hello") as result:
            async for _ in result.stream_text(delta=True, debounce_by=None):
                break
            left = time.time()
            await result.cancel()
            await asyncio.to_thread(wait_aborted, user, left)

    asyncio.run(asyncio.wait_for(leave(), 10))
    assert len(arrivals(user)) == 1
