"""Steady calls by OpenAI's own SDK as it is by default: it tries again, twice, what failed before an answer began.

    steady.py BASE_URL KEY RATE FILE

RATE calls a second, every other one streamed, until SIGTERM; those that are open then are read to their end. FILE gets a line of JSON for
each: when it began and ended, which replica served it, how it ended (ok; failed: no answer had begun; cut: one had), and what broke
below, try by try and when, before the SDK tried again.
"""
import asyncio
import contextvars
import json
import signal
import sys
import time

import httpx2
import openai

MODEL = "gpt-4o-mini"
BROKEN = contextvars.ContextVar("what broke below the call of this task")


class Watched(httpx2.AsyncClient):
    """The SDK's HTTP client, with its own settings; what fails is written down, and fails."""

    def __init__(self, base_url):
        super().__init__(
            base_url=base_url, timeout=openai.DEFAULT_TIMEOUT, limits=openai.DEFAULT_CONNECTION_LIMITS, follow_redirects=True
        )

    async def send(self, request, **more):
        """One try."""
        try:
            response = await super().send(request, **more)
        except Exception as error:
            BROKEN.get().append((time.time(), type(error).__name__))
            raise
        if response.status_code >= 400:
            BROKEN.get().append((time.time(), str(response.status_code)))
        return response


class Client:
    """Who calls."""

    def __init__(self, base_url, key, out):
        self.sdk = openai.AsyncOpenAI(base_url=base_url, api_key=key, http_client=Watched(base_url))
        self.out = out

    async def call(self, number):
        """One call, told when it is over."""
        BROKEN.set(broken := [])
        told = {"number": number, "stream": number % 2 == 0, "began": time.time(), "replica": None}
        try:
            await (self.stream if told["stream"] else self.plain)(told)
            told["how"] = "ok"
        except Exception as error:
            told["how"], told["error"] = "cut" if told["replica"] else "failed", repr(error)
        told["ended"], told["broken"] = time.time(), broken
        print(json.dumps(told), file=self.out, flush=True)

    async def plain(self, told):
        """A whole answer at once."""
        answer = await self.sdk.chat.completions.with_raw_response.create(**request(told))
        assert answer.parse().choices[0].message.content, "an answer without content"
        told["replica"] = answer.headers["x-weir-replica"]

    async def stream(self, told):
        """A stream, to the end that its model says it has."""
        answer = await self.sdk.chat.completions.with_raw_response.create(**request(told), stream=True)
        told["replica"], reason = answer.headers["x-weir-replica"], None
        async for chunk in answer.parse():
            reason = next((choice.finish_reason for choice in chunk.choices if choice.finish_reason), reason)
        assert reason in ("stop", "length"), "a stream without an end"


def request(told):
    """What is asked."""
    return {"model": MODEL, "max_tokens": 400, "messages": [{"role": "user", "content": f"Count to {told['number']}"}]}


async def main(base_url, key, rate, path):
    """Calls at their times, however long those before take."""
    over, calls = asyncio.Event(), set()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    with open(path, "w", encoding="utf-8") as out:
        client, start, number = Client(base_url, key, out), time.monotonic(), 0
        while not over.is_set():
            calls.add(asyncio.create_task(client.call(number)))
            number += 1
            try:
                await asyncio.wait_for(over.wait(), max(0.0, start + number / float(rate) - time.monotonic()))
            except TimeoutError:
                continue
        await asyncio.gather(*calls)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
