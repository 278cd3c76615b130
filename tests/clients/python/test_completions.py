"""Legacy completions."""
import time

import openai
import pytest

from weir import client, counted, logged, mark, only_arrival, wait_aborted

ASK = {"model": "echo", "prompt": "How are you?"}


def test_a_completion_arrives_whole():
    raw = client().completions.with_raw_response.create(**ASK)
    answer = raw.parse()
    assert (answer.object, answer.choices[0].text, answer.choices[0].finish_reason) == (
        "text_completion",
        "choice 0 echoes: How are you?",
        "stop",
    )
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (17, 6)
    line = logged(raw.headers["x-request-id"])
    assert (line["api"], counted(line)) == ("completions", (17, 0, 6))


def test_several_prompts_and_choices():
    choices = client().completions.create(model="echo", prompt=["a", "b"], n=2).choices
    assert [choice.text for choice in choices] == [
        "choice 0 echoes: a",
        "choice 1 echoes: a",
        "choice 2 echoes: b",
        "choice 3 echoes: b",
    ]


def test_a_stream_shows_usage_only_to_who_asks_and_the_log_has_it():
    for more in ({}, {"stream_options": {"include_usage": True}}):
        raw = client().completions.with_raw_response.create(**ASK, stream=True, **more)
        chunks = list(raw.parse())
        text = "".join(choice.text for chunk in chunks for choice in chunk.choices)
        assert text == "choice 0 echoes: How are you?"
        usages = [chunk.usage.completion_tokens for chunk in chunks if chunk.usage]
        assert usages == ([6] if more else [])
        assert all(chunk.choices for chunk in chunks[:-1]) and bool(chunks[-1].choices) is not bool(more)
        assert counted(logged(raw.headers["x-request-id"])) == (17, 0, 6)


def test_a_stream_that_breaks_midway_raises():
    seen = []
    with pytest.raises(openai.APIError):
        with client().completions.create(model="cut", prompt="How are you?", stream=True) as stream:
            for chunk in stream:
                seen.append(chunk.choices[0].text)
    assert "".join(seen) == "word0 word1 word2 "


def test_leaving_a_stream_reaches_the_provider():
    user = mark()
    stream = client().completions.create(model="drip", prompt="How are you?", user=user, stream=True)
    next(iter(stream))
    assert only_arrival(user)["outcome"] == "running"
    left = time.time()
    stream.close()
    wait_aborted(user, left)
