"""A tenant's limits: refused as the SDK expects it, with a wait that is exact."""
import time

import openai
import pytest

from weir import ASK, client, eventually, mark, wait_aborted

WINDOW = 3.0  # s; the tenant's meter allows 2 requests per window


def call(tenant, **more):
    """One plain call."""
    return client(tenant, **more).chat.completions.create(model="echo", messages=ASK)


def refusal(tenant):
    """Calls until the limit refuses; the third call of a window must be refused."""
    for _ in range(3):
        try:
            call(tenant)
        except openai.RateLimitError as error:
            return error
    return pytest.fail("three calls in a row passed a limit of two")


def wait_of(error):
    """The refusal's wait in seconds, from its exact header."""
    headers = error.response.headers
    assert "retry-after" in headers, f"no retry-after in {dict(headers)}"
    whole, exact = int(headers["retry-after"]), int(headers["retry-after-ms"]) / 1000
    assert 0 < exact <= WINDOW + 1 and exact <= whole < exact + 1.001, f"retry-after {whole} s, exact {exact} s"
    return exact


def test_a_spent_limit_is_a_rate_limit_error_with_an_honest_wait():
    error = refusal("limited-python")
    assert (error.status_code, error.code) == (429, "rate_limit_exceeded")
    wait = wait_of(error)
    time.sleep(wait)
    assert call("limited-python").choices, "refused although the wait was kept"


def test_a_refusal_before_the_wait_is_over_is_no_longer_than_the_first():
    first = wait_of(refusal("limited-python"))
    time.sleep(first / 2)
    with pytest.raises(openai.RateLimitError) as caught:
        call("limited-python")
    assert wait_of(caught.value) <= first / 2 + 0.2, "the wait grew although nothing was admitted"
    time.sleep(wait_of(caught.value))
    assert call("limited-python").choices


def test_the_sdks_own_retry_waits_long_enough():
    refusal("patient-python")
    assert call("patient-python", max_retries=1).choices, "one retry after the stated wait must do"


def test_a_cancelled_stream_frees_the_tenants_concurrency():
    user = mark()
    stream = client("single-python").chat.completions.create(model="drip", messages=ASK, user=user, stream=True)
    words = iter(stream)
    next(words), next(words)
    with pytest.raises(openai.RateLimitError):
        call("single-python")
    left = time.time()
    stream.close()
    wait_aborted(user, left)
    eventually(lambda: admitted("single-python"), 1.0, "the tenant's one place is still taken")


def test_finished_calls_free_the_tenants_concurrency():
    for _ in range(5):
        eventually(lambda: admitted("single-python"), 1.0, "the tenant's one place is still taken")


def admitted(tenant):
    """Did a call pass the limits?"""
    try:
        return bool(call(tenant).choices)
    except openai.RateLimitError:
        return False
