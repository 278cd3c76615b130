"""A client that leaves: the provider stops working for it at once."""
import asyncio
import time

import openai
import pytest

from weir import ASK, arrivals, async_client, client, eventually, mark, only_arrival, strict_log, wait_aborted


def test_the_sdks_timeout_raises_and_reaches_the_provider():
    user = mark()
    with pytest.raises(openai.APITimeoutError):
        client(timeout=0.5).chat.completions.create(model="slow", messages=ASK, user=user)
    wait_aborted(user, time.time())


def test_closing_a_stream_reaches_the_provider():
    user = mark()
    with client().chat.completions.create(model="drip", messages=ASK, user=user, stream=True) as stream:
        for number, _ in enumerate(stream):
            if number == 5:
                break
        left = time.time()
    wait_aborted(user, left)


def test_closing_a_stream_reaches_the_strict_provider():
    ask = {"model": "left-python", "messages": ASK, "stream": True}
    with client().chat.completions.create(**ask) as stream:
        events = iter(stream)
        next(events), next(events)
    eventually(lambda: left() == [True], 1.0, "the strict provider's log shows no abort")


def test_a_stream_flows_while_the_provider_still_generates():
    user, started = mark(), time.monotonic()
    with client().chat.completions.create(model="drip", messages=ASK, user=user, stream=True) as stream:
        for number, _ in enumerate(stream):
            if number == 10:
                break
        took = time.monotonic() - started
        assert only_arrival(user)["outcome"] == "running"
    assert took < 5, f"ten words at one per 50 ms took {took:.1f} s: the stream is held back"


def test_a_cancelled_task_of_the_async_client_reaches_the_provider():
    user = mark()

    async def leave():
        task = asyncio.create_task(
            async_client().chat.completions.create(model="slow", messages=ASK, user=user)
        )
        await asyncio.to_thread(eventually, lambda: arrived(user), 5.0, "the call did not reach the provider")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return time.time()

    wait_aborted(user, asyncio.run(leave()))


def left():
    """Whether the callers of this suite's calls at the strict provider left, call by call."""
    return [record["aborted"] for record in strict_log() if record["model"] == "left-python"]


def arrived(user):
    """Has the call reached the provider?"""
    return bool(arrivals(user))
