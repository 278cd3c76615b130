"""LangChain (`langchain-openai`)."""
import time

import openai
import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from told import CHATS, CITIES, HELLO, KEY, PICTURE, RESPONSES, SUNNY, TRIP, URL, Trip, vector
from weir import STRANGE, arrivals, mark, mocked, only_arrival, wait_aborted


def chat(model, **more):
    """A chat model behind the gateway, without retries unless the test asks for them."""
    return ChatOpenAI(**{"model": model, "base_url": URL, "api_key": KEY, "max_retries": 0, "timeout": 20, **more})


@tool
def get_weather(city: str, days: int) -> str:
    """The weather in a city."""
    return f"sunny in {city} for {days} days"


@CHATS
def test_a_chat_and_a_stream(model):
    answer = chat(model).invoke("hello")
    assert answer.content == HELLO
    assert (answer.usage_metadata["input_tokens"], answer.usage_metadata["output_tokens"]) == (12, 11)
    chunks = list(chat(model, stream_usage=True).stream("hello"))
    assert "".join(chunk.content for chunk in chunks) == HELLO and len(chunks) > 8
    assert [c.usage_metadata["output_tokens"] for c in chunks if c.usage_metadata] == [11]


@CHATS
def test_parallel_tools_and_their_results(model):
    bound = chat(model).bind_tools([get_weather])
    asked = [HumanMessage("weather")]
    answer = bound.invoke(asked)
    assert [call["args"] for call in answer.tool_calls] == CITIES
    results = [ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"]) for call in answer.tool_calls]
    assert bound.invoke([*asked, answer, *results]).content == SUNNY


@CHATS
def test_streamed_tools_add_up(model):
    total = None
    for chunk in chat(model).bind_tools([get_weather]).stream("weather"):
        total = chunk if total is None else total + chunk
    assert [call["args"] for call in total.tool_calls] == CITIES


@CHATS
def test_structured_output(model):
    assert chat(model).with_structured_output(Trip, method="json_schema").invoke("plan a trip") == TRIP


@CHATS
def test_vision(model):
    seen = mark()
    parts = [
        {"type": "text", "text": f"what is in the picture? {seen}"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}},
    ]
    assert chat(model).invoke([HumanMessage(parts)]).content == "A red square."
    assert mocked(seen)[-1]["body"]["messages"][0]["content"] == parts


def test_embeddings():
    made = OpenAIEmbeddings(model="echo", base_url=URL, api_key=KEY, check_embedding_ctx_length=False, max_retries=0)
    assert made.embed_query(STRANGE) == vector(STRANGE)
    assert made.embed_documents(["a", "b"]) == [vector("a"), vector("b")]


@RESPONSES
def test_a_response_plain_and_streamed(model):
    made = chat(model, use_responses_api=True)
    assert made.invoke("hello").text == "echoes: hello"
    chunks = list(made.stream("hello"))
    assert "".join(chunk.text for chunk in chunks) == "echoes: hello"


def test_a_response_goes_on_where_it_is_kept():
    made = chat("kept", use_responses_api=True, use_previous_response_id=True)
    for turn in range(4):
        asked = [HumanMessage(f"turn {turn}")]
        first = made.invoke(asked)
        then = made.invoke([*asked, first, HumanMessage("and then?")])
        assert then.text == f"echoes: and then? after: turn {turn}"


@pytest.mark.parametrize(
    ("model", "key", "kind", "code"),
    [
        ("mock", "sk-nobody", openai.AuthenticationError, "invalid_api_key"),
        ("gpt-nobody", KEY, openai.NotFoundError, "model_not_found"),
        ("busy", KEY, openai.RateLimitError, "rate_limit_exceeded"),
        ("broken", KEY, openai.InternalServerError, "upstream_failed"),
    ],
)
def test_errors_are_the_sdks_own(model, key, kind, code):
    with pytest.raises(kind) as caught:
        chat(model, api_key=key).invoke("hello")
    assert caught.value.code == code and caught.value.request_id


def test_its_own_retries_do_not_repeat_what_the_gateway_has_tried():
    user = mark()
    with pytest.raises(openai.InternalServerError):
        chat("broken", max_retries=3, model_kwargs={"user": user}).invoke("hello")
    assert len(arrivals(user)) == 3, "three candidates, each tried once"


def test_leaving_a_stream_reaches_the_provider():
    user = mark()
    stream = chat("drip", model_kwargs={"user": user}).stream("hello")
    next(stream), next(stream)
    assert only_arrival(user)["outcome"] == "running"
    left = time.time()
    stream.close()
    wait_aborted(user, left)
