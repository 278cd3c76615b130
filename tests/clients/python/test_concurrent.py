"""Twenty at once, threads and async: nothing is lost, mixed up or refused."""
import asyncio
from concurrent.futures import ThreadPoolExecutor

from weir import async_client, client, text_of

AT_ONCE = 20


def asked(number):
    """A question that the answer repeats."""
    return [{"role": "user", "content": f"question {number}"}]


def answered(number):
    """Its answer."""
    return f"choice 0 echoes: question {number}"


def test_twenty_calls_on_threads():
    shared = client()

    def call(number):
        return shared.chat.completions.create(model="echo", messages=asked(number)).choices[0].message.content

    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert list(pool.map(call, range(AT_ONCE))) == [answered(n) for n in range(AT_ONCE)]


def test_twenty_streams_on_threads():
    shared = client()

    def call(number):
        with shared.chat.completions.create(model="echo", messages=asked(number), stream=True) as stream:
            return text_of(list(stream))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert list(pool.map(call, range(AT_ONCE))) == [answered(n) for n in range(AT_ONCE)]


def test_twenty_async_calls():
    async def all_at_once():
        async with async_client() as shared:
            calls = (shared.chat.completions.create(model="echo", messages=asked(n)) for n in range(AT_ONCE))
            return [answer.choices[0].message.content for answer in await asyncio.gather(*calls)]

    assert asyncio.run(all_at_once()) == [answered(n) for n in range(AT_ONCE)]


def test_twenty_async_streams():
    async def one(shared, number):
        stream = await shared.chat.completions.create(model="echo", messages=asked(number), stream=True)
        async with stream:
            return text_of([chunk async for chunk in stream])

    async def all_at_once():
        async with async_client() as shared:
            return await asyncio.gather(*(one(shared, n) for n in range(AT_ONCE)))

    assert asyncio.run(all_at_once()) == [answered(n) for n in range(AT_ONCE)]


def test_twenty_calls_and_streams_at_a_strict_provider():
    async def one(shared, number):
        if number % 2:
            answer = await shared.chat.completions.create(model="strict", messages=asked(number), max_tokens=64)
            return answer.choices[0].message.content
        stream = await shared.chat.completions.create(
            model="strict", messages=asked(number), max_tokens=64, stream=True
        )
        async with stream:
            return text_of([chunk async for chunk in stream])

    async def all_at_once():
        async with async_client() as shared:
            return await asyncio.gather(*(one(shared, n) for n in range(2 * AT_ONCE)))

    assert all(text.strip() for text in asyncio.run(all_at_once()))
