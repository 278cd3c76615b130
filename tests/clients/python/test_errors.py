"""Every failure as the SDK's own class, with a code that programs can read, and no retry where one is pointless."""
import time

import openai
import pytest

from weir import ASK, SETTINGS, arrivals, client, mark, only_arrival, text_of, wait_aborted


def refused(kind, asked=None, tenant="main", **more):
    """The error of a call that must fail with exactly this class."""
    with pytest.raises(openai.APIError) as caught:
        client(tenant).chat.completions.create(**{"model": "echo", "messages": ASK, **more, **(asked or {})})
    error = caught.value
    assert type(error) is kind, f"{type(error).__name__} instead of {kind.__name__}: {error}"
    return error


def test_a_wrong_key_is_an_authentication_error():
    error = refused(openai.AuthenticationError, tenant="sk-nobody-has-this")
    assert (error.status_code, error.code) == (401, "invalid_api_key")
    assert "sk-nobody-has-this" not in str(error), "the answer repeats the key"


def test_a_wrong_key_is_refused_for_streams_and_models_too():
    assert refused(openai.AuthenticationError, tenant="sk-nobody-has-this", stream=True).code == "invalid_api_key"
    with pytest.raises(openai.AuthenticationError):
        client("sk-nobody-has-this").models.list()


def test_a_model_that_is_not_allowed_is_a_permission_error():
    error = refused(openai.PermissionDeniedError, tenant="narrow", model="strict")
    assert error.status_code == 403 and error.message


def test_a_tenant_with_a_list_of_models_may_call_those():
    for model in ("echo", "vendor/echo"):
        assert client("narrow").chat.completions.create(model=model, messages=ASK).choices


def test_an_unknown_model_is_not_found():
    error = refused(openai.NotFoundError, model="gpt-nobody")
    assert (error.status_code, error.code) == (404, "model_not_found")
    assert "gpt-nobody" in error.message


def test_an_unknown_path_and_a_wrong_method_are_told_apart():
    with pytest.raises(openai.NotFoundError) as caught:
        client().post("/chat/nothing", body={}, cast_to=object)
    assert caught.value.code == "unknown_url" and caught.value.type == "invalid_request_error"
    with pytest.raises(openai.APIStatusError) as caught:
        client().get("/chat/completions", cast_to=object)
    assert (caught.value.status_code, caught.value.code) == (405, "method_not_allowed")


@pytest.mark.parametrize(
    "asked",
    [
        {"messages": []},
        {"messages": "hello"},
        {"messages": ["hello"]},
        {"model": 7},
        {"model": None},
        {"temperature": "hot"},
        {"extra_body": {"stream": "yes"}},
    ],
    ids=str,
)
def test_a_malformed_request_is_a_bad_request(asked):
    error = refused(openai.BadRequestError, asked)
    assert error.status_code == 400 and error.type == "invalid_request_error"
    assert error.message, "the message is empty"


def test_the_providers_own_refusal_is_kept():
    user = mark()
    error = refused(openai.BadRequestError, model="refuse", user=user)
    assert error.body["message"] == "scripted provider: 9000 tokens are too many"
    assert (error.code, error.param, error.type) == ("context_length_exceeded", "messages", "invalid_request_error")
    only_arrival(user)


def test_a_streams_refusal_comes_before_the_stream():
    error = refused(openai.BadRequestError, model="refuse", stream=True)
    assert error.code == "context_length_exceeded"


def test_providers_that_all_fail_are_a_server_error_that_no_sdk_retries():
    user = mark()
    with pytest.raises(openai.InternalServerError) as caught:
        client(max_retries=2).chat.completions.create(model="broken", messages=ASK, user=user)
    assert caught.value.status_code == 502, caught.value
    assert caught.value.response.headers.get("x-should-retry") == "false"
    assert len(arrivals(user)) == 3, "three candidates, each tried once"


def test_a_failing_provider_is_not_seen_when_another_can_serve():
    user = mark()
    raw = client().chat.completions.with_raw_response.create(model="failover", messages=ASK, user=user)
    assert raw.parse().choices[0].message.content == "choice 0 echoes: How are you?"
    assert raw.headers["x-weir-deployment"] == "echo-a" and raw.headers["x-weir-attempts"] == "2"
    assert [call["model"] for call in arrivals(user)] == ["fail-500", "echo"]


def test_a_provider_at_its_limit_is_not_seen_when_another_can_serve():
    for _ in range(3):
        raw = client().chat.completions.with_raw_response.create(model="failover-busy", messages=ASK)
        assert raw.headers["x-weir-deployment"] == "echo-a"


def test_a_stream_that_breaks_before_its_first_word_moves_to_another_provider_unseen():
    user = mark()
    with client().chat.completions.create(model="failover-stream", messages=ASK, user=user, stream=True) as stream:
        chunks = list(stream)
    assert text_of(chunks) == "choice 0 echoes: How are you?"
    assert [call["model"] for call in arrivals(user)] == ["cut-early", "echo"]
    roles = [c.choices[0].delta.role for c in chunks if c.choices[0].delta.role]
    assert roles == ["assistant"], "the first provider's opening leaked"


@pytest.mark.parametrize("model", ["cut", "error-event"])
def test_a_stream_that_breaks_midway_raises_instead_of_ending(model):
    seen = []
    with pytest.raises(openai.APIError) as caught:
        with client().chat.completions.create(model=model, messages=ASK, stream=True) as stream:
            for chunk in stream:
                seen.append(chunk)
    assert text_of(seen) == "word0 word1 word2 ", "what came before the break must arrive"
    error = caught.value
    assert type(error) is openai.APIError, f"an error event raises APIError, not {type(error).__name__}"
    assert error.message and error.message != "An error occurred during streaming"


def test_a_provider_that_is_too_slow_is_a_gateway_timeout():
    user = mark()
    with pytest.raises(openai.InternalServerError) as caught:
        client(max_retries=2).chat.completions.create(model="late", messages=ASK, user=user, stream=True)
    assert caught.value.status_code == 504, caught.value
    assert caught.value.response.headers.get("x-should-retry") == "false"
    wait_aborted(user, time.time())


def test_no_error_names_an_upstream_secret():
    for model in ("broken", "refuse", "cut"):
        with pytest.raises(openai.APIError) as caught:
            list(client().chat.completions.create(model=model, messages=ASK, stream=True))
        assert "sk-scripted" not in str(caught.value) and SETTINGS["scripted"] not in str(caught.value)
