"""Embeddings: the numbers that the provider sent, in whichever form they travel."""
import hashlib
import json

import openai
import pytest

from weir import client, counted, logged, mark, only_arrival


def wanted(text, dimensions=16):
    """The scripted provider's vector of a text."""
    return [(byte - 128) / 64 for byte in hashlib.sha256(text.encode()).digest()[:dimensions]]


def test_the_sdks_default_form_gives_the_right_floats():
    user = mark()
    answer = client().embeddings.create(model="echo", input="the weir", user=user)
    assert answer.data[0].embedding == wanted("the weir")
    assert json.loads(only_arrival(user)["body"])["encoding_format"] == "base64", "the SDK's default changed"


@pytest.mark.parametrize("form", ["float", "base64"])
def test_each_form_arrives_as_it_was_asked_for(form):
    answer = client().embeddings.with_raw_response.create(model="echo", input=["a", "b"], encoding_format=form)
    first = json.loads(answer.text)["data"][0]["embedding"]
    assert isinstance(first, str if form == "base64" else list)
    if form == "float":
        assert first == wanted("a")


def test_many_inputs_stay_in_order():
    texts = [f"text {number}" for number in range(200)]
    answer = client().embeddings.create(model="echo", input=texts, dimensions=32)
    assert [entry.index for entry in answer.data] == list(range(200))
    assert [entry.embedding for entry in answer.data] == [wanted(text, 32) for text in texts]


def test_tokens_instead_of_text():
    answer = client().embeddings.create(model="echo", input=[[1, 2, 3], [40_000]])
    assert [entry.embedding for entry in answer.data] == [wanted("[1, 2, 3]"), wanted("[40000]")]


def test_usage_reaches_client_and_log():
    raw = client().embeddings.with_raw_response.create(model="echo", input=["one two", "three"])
    usage = raw.parse().usage
    assert (usage.prompt_tokens, usage.total_tokens) == (3, 3)
    line = logged(raw.headers["x-request-id"])
    assert (line["api"], counted(line), line["deployment"]) == ("embeddings", (3, 0, 0), "echo-a")


def test_an_empty_input_is_a_bad_request():
    for given in ("", [], None):
        with pytest.raises(openai.BadRequestError) as caught:
            client().embeddings.create(model="echo", input=given)
        assert caught.value.type == "invalid_request_error"


def test_a_failing_provider_is_not_seen():
    raw = client().embeddings.with_raw_response.create(model="failover", input="the weir")
    assert raw.parse().data[0].embedding == wanted("the weir")
    assert (raw.headers["x-weir-deployment"], raw.headers["x-weir-attempts"]) == ("echo-a", "2")


def test_documents_are_ranked():
    """No SDK of OpenAI's has a method for it; its client carries it all the same."""
    ask = {"model": "echo", "query": "red river", "documents": ["blue river", "red river", "sea"], "top_n": 2}
    answer = client().post("/rerank", body=ask, cast_to=object)
    assert [(found["index"], found["relevance_score"]) for found in answer["results"]] == [(1, 1.0), (0, 0.5)]
    with pytest.raises(openai.BadRequestError):
        client().post("/rerank", body={**ask, "documents": []}, cast_to=object)
