"""llama.cpp behind the gateway: whatever its server does is real, though its model talks nonsense.

Greedy answers of this model never end by themselves (see `model.py`), so they have exactly the tokens that a call allows.
"""
import json
import re
import time
import urllib.request
from typing import Literal

import openai
import pydantic
import pytest

from weir import SETTINGS, client, counted, eventually, logged

ASK = [{"role": "user", "content": "what does the weir say?"}]
GREEDY = {"model": "llama", "messages": ASK, "temperature": 0}
STOPS_WITHIN = 2.0  # s
# While nothing is streamed, llama.cpp looks whether its caller is there when it has had no result of any task for a second:
# whoever asks for its figures more often than that keeps it from looking.
PLAIN_STOPS_WITHIN, PLAIN_EVERY = 15.0, 2.5  # s
ENDLESS = 30_000  # tokens; minutes of work for this server


class Pick(pydantic.BaseModel):
    """A structured answer that a grammar bounds."""

    color: Literal["red", "green", "blue"]
    sure: bool


def page(name, server="llama"):
    """One of the server's own pages."""
    with urllib.request.urlopen(f"{SETTINGS[server]}/{name}", timeout=10) as answer:
        return answer.read().decode()


def metric(name, server="llama"):
    """One of its counters."""
    return float(re.search(rf"^llamacpp:{name} (\S+)$", page("metrics", server), re.M)[1])


def busy():
    """How many of its slots are at work."""
    return sum(slot["is_processing"] for slot in json.loads(page("slots")))


def whole(**more):
    """One plain call: (answer, the gateway's log line)."""
    raw = client(timeout=60).chat.completions.with_raw_response.create(**GREEDY, **more)
    return raw.parse(), logged(raw.headers["x-request-id"])


def test_a_chat_and_what_the_log_says_of_it():
    answer, line = whole(max_tokens=20)
    assert answer.choices[0].finish_reason == "length" and answer.choices[0].message.content
    assert answer.usage.completion_tokens == 20 and answer.usage.prompt_tokens > 10
    cached = answer.usage.prompt_tokens_details.cached_tokens
    assert counted(line) == (answer.usage.prompt_tokens, cached, 20)
    assert (line["api"], line["deployment"], line["status"]) == ("chat", "llama-chat", 200)


def test_the_server_counts_the_same_tokens_as_the_log():
    before = metric("tokens_predicted_total")
    _, line = whole(max_tokens=33)
    eventually(lambda: metric("tokens_predicted_total") == before + 33, STOPS_WITHIN, "the server counted others")
    assert line["output_tokens"] == 33


def test_a_stream_says_what_a_plain_answer_says():
    answer, plain = whole(max_tokens=40)
    raw = client().chat.completions.with_raw_response.create(**GREEDY, max_tokens=40, stream=True)
    chunks = list(raw.parse())
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == answer.choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == "length"
    assert all(chunk.usage is None for chunk in chunks), "usage that nobody asked for"
    line = logged(raw.headers["x-request-id"])
    assert line["stream"] and (line["input_tokens"], line["output_tokens"]) == (plain["input_tokens"], 40)


def test_a_stream_tells_its_usage_when_asked():
    options = {"stream": True, "stream_options": {"include_usage": True}}
    raw = client().chat.completions.with_raw_response.create(**GREEDY, max_tokens=15, **options)
    usage = list(raw.parse())[-1].usage
    line = logged(raw.headers["x-request-id"])
    assert usage.completion_tokens == 15
    assert counted(line) == (usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens, 15)


def test_a_schema_binds_the_answer():
    answer = client(timeout=60).chat.completions.parse(**GREEDY, max_tokens=300, response_format=Pick)
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.parsed.color in ("red", "green", "blue")


def test_a_streamed_schema_adds_up_to_the_same():
    plain = client(timeout=60).chat.completions.parse(**GREEDY, max_tokens=300, response_format=Pick)
    with client(timeout=60).chat.completions.stream(**GREEDY, max_tokens=300, response_format=Pick) as events:
        streamed = events.get_final_completion()
    assert streamed.choices[0].message.parsed == plain.choices[0].message.parsed


def test_a_legacy_completion():
    raw = client().completions.with_raw_response.create(model="llama", prompt="the weir", max_tokens=9, temperature=0)
    answer, line = raw.parse(), logged(raw.headers["x-request-id"])
    assert answer.choices[0].text and answer.usage.completion_tokens == 9
    assert (line["api"], line["input_tokens"], line["output_tokens"]) == ("completions", answer.usage.prompt_tokens, 9)


def test_a_response_plain_and_streamed():
    ask = {"model": "llama", "input": "what does the weir say?", "max_output_tokens": 25, "temperature": 0}
    raw = client().responses.with_raw_response.create(**ask)
    answer, line = raw.parse(), logged(raw.headers["x-request-id"])
    assert answer.output_text and answer.status == "completed"
    assert (line["api"], line["input_tokens"], line["output_tokens"]) == ("responses", answer.usage.input_tokens, 25)
    raw = client().responses.with_raw_response.create(**ask, stream=True)
    events = list(raw.parse())
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    # llama.cpp leaves out `sequence_number`; the gateway invents none. The scripted provider shows that it keeps them.
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
    assert text == answer.output_text
    assert logged(raw.headers["x-request-id"])["output_tokens"] == 25


@pytest.mark.parametrize("form", [{}, {"encoding_format": "float"}], ids=["base64", "float"])
def test_embeddings_are_what_the_server_says(form):
    texts = ["the weir", "and the river", "the weir"]
    raw = client().embeddings.with_raw_response.create(model="llama-embed", input=texts, **form)
    answer, line = raw.parse(), logged(raw.headers["x-request-id"])
    first, other, again = (entry.embedding for entry in sorted(answer.data, key=lambda entry: entry.index))
    assert len(first) == 128 and first == pytest.approx(again, abs=1e-5)
    direct = openai.OpenAI(base_url=SETTINGS["embed"] + "/v1", api_key="none").embeddings.create(
        model="random", input=texts, encoding_format="float"
    )
    assert first == pytest.approx(direct.data[0].embedding, abs=1e-5)
    assert other == pytest.approx(direct.data[1].embedding, abs=1e-5) and other != pytest.approx(first, abs=1e-2)
    assert (line["api"], line["input_tokens"], line["output_tokens"]) == ("embeddings", answer.usage.prompt_tokens, 0)
    assert answer.usage.prompt_tokens == direct.usage.prompt_tokens > 0


def test_a_client_that_leaves_a_stream_stops_the_generation():
    stream = client().chat.completions.create(**GREEDY, max_tokens=ENDLESS, stream=True)
    words = iter(stream)
    for _ in range(5):
        next(words)
    assert busy() == 1, "the server is not at work"
    stream.close()
    stopped()


def test_a_client_that_leaves_a_response_stops_the_generation():
    ask = {"model": "llama", "input": "for ever", "max_output_tokens": ENDLESS, "temperature": 0, "stream": True}
    stream = client().responses.create(**ask)
    for event in stream:
        if event.type == "response.output_text.delta":
            break
    assert busy() == 1, "the server is not at work"
    stream.close()
    stopped()


def test_a_client_that_does_not_wait_for_a_plain_answer_stops_the_generation():
    before = metric("n_decode_total")
    with pytest.raises(openai.APITimeoutError):
        client(timeout=1.0).chat.completions.create(**GREEDY, max_tokens=ENDLESS)
    stopped(PLAIN_STOPS_WITHIN, PLAIN_EVERY)
    assert metric("n_decode_total") > before + 5, "the server was not at work"


def stopped(within=STOPS_WITHIN, every=0.02):
    """The slot is free, and no token is generated any more."""
    eventually(lambda: busy() == 0, within, "the server still generates for a client that left", every)
    before = metric("tokens_predicted_total")
    time.sleep(0.3)  # not a wait for something: a span in which nothing must happen
    assert metric("tokens_predicted_total") == before < ENDLESS


def test_a_call_that_does_not_fit_is_the_servers_own_refusal():
    long = [{"role": "user", "content": "weir " * 40_000}]
    with pytest.raises(openai.BadRequestError) as caught:
        client().chat.completions.create(model="llama", messages=long)
    assert "context" in caught.value.message and caught.value.request_id
