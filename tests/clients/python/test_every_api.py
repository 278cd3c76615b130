"""What holds for every call of the API: errors as the SDK's own classes, failures behind the gateway, leaving."""
import time

import openai
import pytest

from weir import SETTINGS, arrivals, client, mark, only_arrival, wait_aborted

APIS = {
    "chat": lambda sdk, model, **more: sdk.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "How are you?"}], **more
    ),
    "completions": lambda sdk, model, **more: sdk.completions.create(model=model, prompt="How are you?", **more),
    "embeddings": lambda sdk, model, **more: sdk.embeddings.create(model=model, input="How are you?", **more),
    "responses": lambda sdk, model, **more: sdk.responses.create(model=model, input="How are you?", **more),
}
pytestmark = pytest.mark.parametrize("call", APIS.values(), ids=APIS.keys())


def refused(kind, status, call, model="echo", sdk=None, **more):
    """The error of a call that must fail with exactly this class and status, and names its request."""
    with pytest.raises(openai.APIError) as caught:
        call(sdk or client(), model, **more)
    error = caught.value
    assert (type(error), error.status_code) == (kind, status), repr(error)
    assert error.request_id == error.response.headers["x-request-id"] and error.request_id.startswith("req_")
    assert error.message and error.type
    return error


def test_a_wrong_key_is_an_authentication_error(call):
    assert refused(openai.AuthenticationError, 401, call, sdk=client("sk-nobody")).code == "invalid_api_key"


def test_a_model_that_is_not_allowed_is_a_permission_error(call):
    assert refused(openai.PermissionDeniedError, 403, call, "strict", client("narrow")).code == "model_not_allowed"


def test_an_unknown_model_is_not_found(call):
    error = refused(openai.NotFoundError, 404, call, "gpt-nobody")
    assert error.code == "model_not_found" and "gpt-nobody" in error.message


def test_a_malformed_request_is_a_bad_request(call):
    wrong = {"messages": 5, "prompt": {}, "input": 5}
    error = refused(openai.BadRequestError, 400, call, extra_body=wrong)
    assert error.type == "invalid_request_error"


def test_a_body_that_is_too_large_is_refused_as_such(call):
    error = refused(openai.APIStatusError, 413, call, extra_body={"padding": "x" * (1 << 20)})
    assert error.code == "request_too_large"


def test_more_than_a_whole_limit_is_a_rate_limit_error_that_no_sdk_retries(call):
    sent = counter()
    error = refused(openai.RateLimitError, 429, call, sdk=sent.sdk("small-python"), **too_much(call))
    assert (error.code, error.response.headers["x-should-retry"]) == ("rate_limit_exceeded", "false")
    assert "retry-after" not in error.response.headers, "no wait will help"
    assert sent.requests == 1


def test_a_spent_limit_is_a_rate_limit_error_with_a_wait(call):
    """Two requests in three seconds are allowed, of whatever call."""
    for _ in range(3):
        try:
            call(client("limited-python"), "echo")
        except openai.RateLimitError:
            break
    error = refused(openai.RateLimitError, 429, call, sdk=client("limited-python"))
    headers = error.response.headers
    assert error.code == "rate_limit_exceeded" and "x-should-retry" not in headers
    assert 0 < int(headers["retry-after-ms"]) <= 4000 and 0 < int(headers["retry-after"]) <= 4


def test_the_providers_own_refusals_are_kept(call):
    for model, kind, status, code in (
        ("refuse", openai.BadRequestError, 400, "context_length_exceeded"),
        ("unprocessable", openai.UnprocessableEntityError, 422, "invalid_value"),
    ):
        user = mark()
        error = refused(kind, status, call, model, user=user)
        assert error.code == code and error.body["message"].startswith("scripted provider: "), repr(error)
        only_arrival(user)


def test_a_busy_provider_is_a_rate_limit_error_with_a_wait(call):
    error = refused(openai.RateLimitError, 429, call, "busy")
    headers = error.response.headers
    assert error.code == "rate_limit_exceeded"
    assert 0 < int(headers["retry-after"]) <= 2 and 0 < int(headers["retry-after-ms"]) <= 2000


def test_providers_that_all_fail_are_a_server_error_that_no_sdk_retries(call):
    user, sent = mark(), counter()
    error = refused(openai.InternalServerError, 502, call, "broken", sent.sdk("main"), user=user)
    assert (error.code, error.response.headers["x-should-retry"]) == ("upstream_failed", "false")
    assert len(arrivals(user)) == 3 and sent.requests == 1


def test_a_providers_refused_key_never_looks_like_the_clients(call):
    user = mark()
    error = refused(openai.InternalServerError, 502, call, "broken-mixed", user=user)
    assert error.code == "upstream_failed"
    assert sorted(arrival["model"] for arrival in arrivals(user)) == ["deny-401", "fail-503"]


def test_a_call_whose_time_is_over_is_a_timeout_of_the_gateway(call):
    user, sent = mark(), counter()
    headers = {"x-weir-timeout-ms": "400"}
    error = refused(openai.InternalServerError, 504, call, "slow", sent.sdk("main"), user=user, extra_headers=headers)
    assert (error.code, error.response.headers["x-should-retry"]) == ("upstream_timeout", "false")
    assert sent.requests == 1
    wait_aborted(user, time.time())


def test_state_that_is_away_is_an_unavailable_service_that_the_sdk_tries_again(call):
    """The second gateway keeps its limits in a Redis that is not there, and may not do without (`closed`)."""
    sent = counter()
    sdk = sent.sdk("small-python", base_url=SETTINGS["away"] + "/v1", max_retries=1)
    error = refused(openai.InternalServerError, 503, call, sdk=sdk)
    assert error.code == "state_unavailable" and int(error.response.headers["retry-after"]) >= 1
    assert sent.requests == 2, "the SDK was told to come back, and did"
    assert sent.times[1] - sent.times[0] >= 0.9, "it came back before the time it was told"


def test_a_failing_provider_is_not_seen_when_another_can_serve(call):
    user = mark()
    call(client(), "failover", user=user)
    assert [arrival["model"] for arrival in arrivals(user)] == ["fail-500", "echo"]


def test_a_name_that_a_wildcard_or_an_alias_covers_is_served(call):
    for name in ("wild-anything", "echo-alias"):
        user = mark()
        call(client(), name, user=user)
        assert only_arrival(user)["model"] == "echo"


def test_a_client_that_does_not_wait_is_gone_for_the_provider_too(call):
    user = mark()
    with pytest.raises(openai.APITimeoutError):
        call(client(timeout=0.5), "slow", user=user)
    wait_aborted(user, time.time())


def test_the_provider_gets_the_path_and_its_own_key(call):
    user = mark()
    call(client(), "echo", user=user)
    arrival = only_arrival(user)
    (name,) = (name for name, made in APIS.items() if made is call)
    path = {"chat": "/v1/chat/completions"}.get(name, f"/v1/{name}")
    assert (arrival["method"], arrival["path"]) == ("POST", path)
    assert arrival["headers"]["authorization"] == "Bearer sk-scripted"


def too_much(call):
    """What makes a call exceed a limit of 1,000 tokens a minute all by itself."""
    if call is APIS["embeddings"]:
        return {"extra_body": {"input": "word " * 20_000}}
    return {"max_output_tokens" if call is APIS["responses"] else "max_tokens": 50_000}


class counter:
    """Counts what an SDK sends, its own retries included."""

    def __init__(self):
        self.times = []

    @property
    def requests(self):
        """How many."""
        return len(self.times)

    def sdk(self, tenant, **more):
        """A client with two retries that is counted."""
        hooks = {"request": [lambda _: self.times.append(time.monotonic())]}
        settings = {"base_url": SETTINGS["gateway"] + "/v1", "max_retries": 2, "timeout": 20.0, **more}
        return openai.OpenAI(
            api_key=SETTINGS["keys"][tenant], http_client=openai.DefaultHttpxClient(event_hooks=hooks), **settings
        )
